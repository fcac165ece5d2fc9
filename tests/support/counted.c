#include "tests/support/counted.h"

#include "lib/base/memory.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(struct error *err)
{
    if (!err)
        return;
    fprintf(stderr, "%s\n", error_text(err));
    abort();
}

static void open_in(struct counted *c)
{
    int exit_status;

    must(database_open(c->folder, &c->database, &exit_status));
    c->tally = tally_new(c->database);
}

void counted_open(struct counted *c)
{
    strcpy(c->folder, "/var/tmp/waxseal-counted-XXXXXX");
    if (!mkdtemp(c->folder))
        abort();
    open_in(c);
}

void counted_reopen(struct counted *c)
{
    tally_free(&c->tally);
    database_close(&c->database);
    open_in(c);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void counted_close(struct counted *c)
{
    tally_free(&c->tally);
    database_close(&c->database);
    nftw(c->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void counted_add(struct counted *c, uint32_t day, const Ipc__SessionEvent *event, uint64_t sessions)
{
    struct span domain = { (const char *)event->domain.data, event->domain.len };
    struct subject subject = subject_of_domain(day, domain);

    tally_add(c->tally, &subject, event, sessions);
}

/* --- reading */

static ProtobufCMessage *copy_of(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = memory_new(len + 1);
    ProtobufCMessage *copy;

    protobuf_c_message_pack(message, packed);
    copy = protobuf_c_message_unpack(message->descriptor, NULL, len, packed);
    free(packed);
    return copy;
}

static void on_policy(void *ctx, const Tlsrpt__PolicyCount *policy)
{
    Tlsrpt__DayRecord *day = ctx;

    day->policies = memory_resize(day->policies, (day->n_policies + 1) * sizeof(void *));
    day->policies[day->n_policies++] = (Tlsrpt__PolicyCount *)copy_of(&policy->base);
}

static void on_failure(void *ctx, const Ipc__SessionFailure *failure, uint64_t sessions)
{
    Tlsrpt__DayRecord *day = ctx;
    Tlsrpt__PolicyCount *policy = day->policies[day->n_policies - 1];
    Tlsrpt__FailureCount *count = memory_new(sizeof(*count));

    tlsrpt__failure_count__init(count);
    count->failure = (Ipc__SessionFailure *)copy_of(&failure->base);
    count->sessions = sessions;
    policy->failures = memory_resize(policy->failures, (policy->n_failures + 1) * sizeof(void *));
    policy->failures[policy->n_failures++] = count;
}

Tlsrpt__DayRecord *counted_read(struct counted *c, const struct subject *subject)
{
    static const struct tally_reader reader = { on_policy, on_failure };
    Tlsrpt__DayRecord *day = memory_new(sizeof(*day));

    tlsrpt__day_record__init(day);
    must(tally_read(c->tally, subject, &reader, day));
    return day;
}

void counted_free(Tlsrpt__DayRecord **day)
{
    tlsrpt__day_record__free_unpacked(*day, NULL);
    *day = NULL;
}
