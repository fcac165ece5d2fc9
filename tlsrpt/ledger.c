#include "tlsrpt/ledger.h"

#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "tlsrpt/ledger_private.h"

#include <stdlib.h>
#include <string.h>

enum {
    NUMBERS_MAX = LEDGER_POLICIES_MAX + 3, /* and the nameless, one of each type */
    ROW_BYTES = 96,                        /* of a row in the store, besides its key and value */
};

/* A subject whose totals change within the transaction. */
struct account {
    struct subject subject;
    struct subject_key key;
    Tlsrpt__SubjectRecord *record;
    struct day *day;
    bool changed;
};

/* What all subjects of a day take. */
struct day {
    uint32_t number;
    Tlsrpt__UsedRecord *used;
};

struct ledger {
    struct kv_txn *txn;
    struct map *accounts; /* by key */
    struct map *days;     /* by number */
    uint64_t dropped;     /* of subjects beyond the bound */
};

/* --- keys */

struct ledger_key ledger_key(const struct subject_key *subject, unsigned number,
                             const struct counts_digest *digest)
{
    struct ledger_key key = { .len = subject->len };

    memcpy(key.bytes, subject->bytes, subject->len);
    key.bytes[key.len++] = (char)number;
    if (digest) {
        memcpy(key.bytes + key.len, digest->bytes, sizeof(digest->bytes));
        key.len += sizeof(digest->bytes);
    }
    return key;
}

static struct span key_span(const struct ledger_key *key)
{
    return (struct span){ key->bytes, key->len };
}

struct span ledger_used_key(uint32_t day, char room[LEDGER_USED_SIZE])
{
    struct subject_key key = subject_key_of_day(day);

    memcpy(room, "used", LEDGER_USED_SIZE - SUBJECT_DAY_SIZE);
    memcpy(room + LEDGER_USED_SIZE - SUBJECT_DAY_SIZE, key.bytes, SUBJECT_DAY_SIZE);
    return (struct span){ room, LEDGER_USED_SIZE };
}

/* --- records */

/* Gives NULL inside when there is none; one that is damaged is as good as none. */
struct error *ledger_get(struct kv_txn *txn, kv_table table, struct span key,
                         const ProtobufCMessageDescriptor *descriptor, ProtobufCMessage **out)
{
    struct span value;
    struct error *err = kv_get(txn, table, key, &value);

    *out = NULL;
    if (!err && value.data)
        *out = database_unpack(key, value, descriptor);
    return err;
}

static Tlsrpt__SubjectRecord *new_record(void)
{
    Tlsrpt__SubjectRecord *record = memory_new(sizeof(*record));

    tlsrpt__subject_record__init(record);
    return record;
}

static Tlsrpt__UsedRecord *new_used(void)
{
    Tlsrpt__UsedRecord *used = memory_new(sizeof(*used));

    tlsrpt__used_record__init(used);
    return used;
}

/* --- days and accounts, read once in a transaction */

static struct error *day_of_ledger(struct ledger *ledger, uint32_t number, struct day **out)
{
    ProtobufCMessage *used = NULL;
    char room[LEDGER_USED_SIZE];
    struct error *err;

    *out = map_get_number(ledger->days, number);
    if (*out)
        return NULL;
    err = ledger_get(ledger->txn, DATABASE_META, ledger_used_key(number, room),
                     &tlsrpt__used_record__descriptor, &used);
    if (err)
        return err;
    *out = memory_new(sizeof(**out));
    (*out)->number = number;
    (*out)->used = used ? (Tlsrpt__UsedRecord *)used : new_used();
    map_put_number(ledger->days, number, *out);
    return NULL;
}

/* False: it is a new one, and there is no room for more. */
static bool take_in(struct account *account, bool is_new)
{
    if (is_new && account->day->used->subjects >= LEDGER_SUBJECTS_MAX)
        return false;
    account->day->used->subjects += is_new;
    return true;
}

static void account_free(struct account *account)
{
    tlsrpt__subject_record__free_unpacked(account->record, NULL);
    free(account);
}

/* Gives NULL inside for a subject beyond the bound. */
static struct error *account_of(struct ledger *ledger, const struct subject *subject,
                                struct account **out)
{
    struct subject_key key = subject_key(subject);
    ProtobufCMessage *record = NULL;
    struct day *day;
    struct error *err;

    *out = map_get(ledger->accounts, subject_key_span(&key));
    if (*out)
        return NULL;
    err = day_of_ledger(ledger, subject->day, &day);
    if (!err)
        err = ledger_get(ledger->txn, DATABASE_SUBJECT, subject_key_span(&key),
                         &tlsrpt__subject_record__descriptor, &record);
    if (err)
        return err;
    *out = memory_new(sizeof(**out));
    **out = (struct account){ .subject = *subject, .key = key, .day = day };
    (*out)->record = record ? (Tlsrpt__SubjectRecord *)record : new_record();
    if (take_in(*out, !record)) {
        map_put(ledger->accounts, subject_key_span(&key), *out);
        return NULL;
    }
    account_free(*out);
    *out = NULL;
    return NULL;
}

/* --- room */

static bool has_room(const struct account *account, size_t bytes)
{
    return account->record->bytes + bytes <= LEDGER_SUBJECT_BYTES &&
           account->day->used->bytes + bytes <= LEDGER_DAY_BYTES;
}

static void take_room(struct account *account, size_t bytes)
{
    account->record->bytes += bytes;
    account->day->used->bytes += bytes;
}

/* --- policies */

static bool is_digest(ProtobufCBinaryData kept, struct span digest)
{
    return span_equal(span_of_bytes(kept), digest);
}

/* Its number, or the number of those known: it is new. */
static unsigned find_policy(const Tlsrpt__SubjectRecord *record, struct span digest)
{
    unsigned number = 0;

    while (number < record->n_totals && !is_digest(record->totals[number]->digest, digest))
        number++;
    return number;
}

static Tlsrpt__PolicyTotal *add_total(Tlsrpt__SubjectRecord *record, struct span digest)
{
    Tlsrpt__PolicyTotal *total = memory_new(sizeof(*total));

    tlsrpt__policy_total__init(total);
    total->digest.data = (uint8_t *)memory_copy_span(digest);
    total->digest.len = digest.len;
    record->totals = memory_resize(record->totals, (record->n_totals + 1) * sizeof(void *));
    record->totals[record->n_totals++] = total;
    return total;
}

/* Its text and patterns are left out when it is nameless: there are too many of them. */
static Tlsrpt__PolicyCount policy_message(const struct account *account,
                                          const Ipc__SessionEvent *event, bool is_nameless)
{
    Tlsrpt__PolicyCount policy = TLSRPT__POLICY_COUNT__INIT;

    policy.type = event->policy_type;
    policy.domain = bytes_of_span(span_of(account->subject.domain));
    if (is_nameless)
        return policy;
    if (event->policy_domain.len > 0)
        policy.domain = event->policy_domain;
    policy.text = event->policy_text;
    policy.n_mx_patterns = event->n_mx_patterns;
    policy.mx_patterns = event->mx_patterns;
    return policy;
}

static struct error *open_policy(struct ledger *ledger, struct account *account,
                                 const Tlsrpt__PolicyCount *policy, struct span digest)
{
    struct ledger_key key = ledger_key(&account->key, (unsigned)account->record->n_totals, NULL);

    take_room(account, tlsrpt__policy_count__get_packed_size(policy) + key.len + ROW_BYTES);
    add_total(account->record, digest);
    return database_put(ledger->txn, DATABASE_POLICY, key_span(&key), &policy->base);
}

/* The number of the policy of an event, known or new; beyond the bounds one without a text. */
static struct error *policy_number(struct ledger *ledger, struct account *account,
                                   const Ipc__SessionEvent *event, unsigned *out_number)
{
    struct counts_digest digest = counts_policy_digest(event);
    struct span name = { (const char *)digest.bytes, sizeof(digest.bytes) };
    Tlsrpt__PolicyCount policy = policy_message(account, event, false);
    char nameless = (char)event->policy_type;

    *out_number = find_policy(account->record, name);
    if (*out_number < account->record->n_totals)
        return NULL;
    if (account->record->n_totals < LEDGER_POLICIES_MAX &&
        has_room(account, tlsrpt__policy_count__get_packed_size(&policy)))
        return open_policy(ledger, account, &policy, name);
    name = (struct span){ &nameless, 1 };
    policy = policy_message(account, event, true);
    *out_number = find_policy(account->record, name);
    if (*out_number < account->record->n_totals)
        return NULL;
    ensure(account->record->n_totals < NUMBERS_MAX);
    return open_policy(ledger, account, &policy, name);
}

/* --- failures */

static struct error *put_detail(struct ledger *ledger, const struct ledger_key *key,
                                Ipc__SessionFailure *failure, uint64_t sessions)
{
    Tlsrpt__FailureCount count = TLSRPT__FAILURE_COUNT__INIT;

    count.failure = failure;
    count.sessions = sessions;
    return database_put(ledger->txn, DATABASE_DETAIL, key_span(key), &count.base);
}

/* Adds to a detail that is there, or says that it is not. */
static struct error *add_to_detail(struct ledger *ledger, const struct ledger_key *key,
                                   Ipc__SessionFailure *failure, uint64_t sessions, bool *out_new)
{
    ProtobufCMessage *message = NULL;
    struct error *err = ledger_get(ledger->txn, DATABASE_DETAIL, key_span(key),
                                   &tlsrpt__failure_count__descriptor, &message);

    *out_new = !message;
    if (message) {
        sessions += ((Tlsrpt__FailureCount *)message)->sessions;
        protobuf_c_message_free_unpacked(message, NULL);
        err = put_detail(ledger, key, failure, sessions);
    }
    return err;
}

/* What has no room is counted under its result type alone. */
static struct error *fold(struct ledger *ledger, struct account *account, unsigned number,
                          const Ipc__SessionFailure *failure, uint64_t sessions)
{
    Ipc__SessionFailure bare = IPC__SESSION_FAILURE__INIT;
    struct counts_digest digest;
    struct ledger_key key;
    struct error *err;
    bool is_new;

    bare.result = failure->result;
    digest = counts_failure_digest(&bare);
    key = ledger_key(&account->key, number, &digest);
    account->record->folded += sessions;
    err = add_to_detail(ledger, &key, &bare, sessions, &is_new);
    return !err && is_new ? put_detail(ledger, &key, &bare, sessions) : err;
}

static struct error *add_failure(struct ledger *ledger, struct account *account, unsigned number,
                                 Ipc__SessionFailure *failure, uint64_t sessions)
{
    struct counts_digest digest = counts_failure_digest(failure);
    struct ledger_key key = ledger_key(&account->key, number, &digest);
    size_t bytes = ipc__session_failure__get_packed_size(failure) + key.len + ROW_BYTES;
    struct error *err;
    bool is_new;

    err = add_to_detail(ledger, &key, failure, sessions, &is_new);
    if (err || !is_new)
        return err;
    if (account->record->details >= LEDGER_DETAILS_MAX || !has_room(account, bytes))
        return fold(ledger, account, number, failure, sessions);
    account->record->details++;
    take_room(account, bytes);
    return put_detail(ledger, &key, failure, sessions);
}

/* --- adding */

struct ledger *ledger_begin(struct kv_txn *txn)
{
    struct ledger *ledger = memory_new(sizeof(*ledger));

    ledger->txn = txn;
    ledger->accounts = map_new();
    ledger->days = map_new();
    return ledger;
}

void ledger_free(struct ledger **ledger)
{
    struct ledger *l = *ledger;
    struct account *account;
    struct day *day;
    size_t cursor = 0;

    *ledger = NULL;
    if (!l)
        return;
    while ((account = map_next(l->accounts, &cursor, NULL)))
        account_free(account);
    for (cursor = 0; (day = map_next(l->days, &cursor, NULL)); free(day))
        tlsrpt__used_record__free_unpacked(day->used, NULL);
    map_free(&l->accounts);
    map_free(&l->days);
    free(l);
}

static struct error *add_to(struct ledger *ledger, struct account *account,
                            const Ipc__SessionEvent *event, struct ledger_times times)
{
    Tlsrpt__PolicyTotal *total;
    unsigned number;
    struct error *err = policy_number(ledger, account, event, &number);

    if (err)
        return err;
    total = account->record->totals[number];
    total->succeeded += times.succeeded;
    total->failed += times.failed;
    account->changed = true;
    for (size_t i = 0; !err && i < event->n_failures; i++)
        err = add_failure(ledger, account, number, event->failures[i], times.failures);
    return err;
}

struct error *ledger_add(struct ledger *ledger, const struct subject *subject,
                         const Ipc__SessionEvent *event, struct ledger_times times)
{
    struct account *account;
    struct error *err = account_of(ledger, subject, &account);

    if (!err && account)
        return add_to(ledger, account, event, times);
    ledger->dropped += times.succeeded + times.failed;
    return err;
}

struct error *ledger_note_wish(struct ledger *ledger, const struct subject *subject,
                               enum tally_wish wish, struct span record)
{
    Tlsrpt__WishRecord message = TLSRPT__WISH_RECORD__INIT;
    struct account *account;
    struct error *err = account_of(ledger, subject, &account);

    if (err || !account || account->record->wish > wish)
        return err;
    account->record->wish = wish;
    account->changed = true;
    if (wish != TALLY_WISH_SEEN)
        return NULL;
    message.record = bytes_of_span(record);
    return database_put(ledger->txn, DATABASE_WISH, subject_key_span(&account->key), &message.base);
}

struct error *ledger_end(struct ledger **ledger, uint64_t *out_dropped)
{
    struct ledger *l = *ledger;
    const struct account *account;
    const struct day *day;
    char room[LEDGER_USED_SIZE];
    size_t cursor = 0;
    struct error *err = NULL;

    while (!err && (account = map_next(l->accounts, &cursor, NULL)))
        if (account->changed)
            err = database_put(l->txn, DATABASE_SUBJECT, subject_key_span(&account->key),
                               &account->record->base);
    for (cursor = 0; !err && (day = map_next(l->days, &cursor, NULL));)
        err = database_put(l->txn, DATABASE_META, ledger_used_key(day->number, room),
                           &day->used->base);
    *out_dropped = l->dropped;
    ledger_free(ledger);
    return err;
}
