#include "tests/support/store_rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/records.pb-c.h"
#include "queue/waiting.h"

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

void remove_folder(const char *folder)
{
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void must(struct error *err)
{
    if (err)
        fprintf(stderr, "%s\n", error_text(err));
    ensure(!err);
}

/* ---- the store --------------------------------------------------------------------------------
 */

static void open_store(struct store_rig *rig)
{
    int exit_status;

    must(store_open(rig->folder, store_limits_of(&rig->settings), 1000, &rig->store, &exit_status));
    store_set_schedule(rig->store, &rig->settings);
}

void store_rig_open(struct store_rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    settings_defaults(&rig->settings);
    rig->settings.queue_bytes_max = 512 * 1024 * 1024;
    rig->notify = (struct notify_settings){ .hostname = "relay.example",
                                            .postmaster = "postmaster@relay.example" };
    strcpy(rig->folder, "/tmp/waxseal-store.XXXXXX");
    ensure(mkdtemp(rig->folder) != NULL);
    open_store(rig);
}

void store_rig_close(struct store_rig *rig)
{
    store_close(&rig->store);
    remove_folder(rig->folder);
}

void store_rig_reopen(struct store_rig *rig)
{
    store_close(&rig->store);
    open_store(rig);
}

/* ---- operations -------------------------------------------------------------------------------
 */

static void on_done(struct operation *operation, enum operation_outcome outcome)
{
    (void)operation;
    (void)outcome; /* the committer keeps it in the operation */
}

enum operation_outcome store_rig_commit(struct store_rig *rig, struct operation *operation)
{
    struct list one;

    list_init(&one);
    operation->done = on_done;
    list_append(&one, &operation->others);
    ensure(commit_now(rig->store, &one) == KV_FINE);
    return operation->outcome;
}

static void fill_envelope(const struct store_rig *rig, struct envelope *envelope,
                          const char *sender, const char *recipient)
{
    struct address address;

    envelope_init(envelope);
    ensure(address_parse_reverse(span_of(sender), &envelope->reverse_path) == ADDRESS_FINE);
    ensure(address_parse(span_of(recipient), &address) == ADDRESS_FINE);
    envelope_add(envelope, &address);
    envelope->priority = rig->priority;
}

static struct accept an_accept(struct store_rig *rig, const struct envelope *envelope,
                               struct span content)
{
    struct accept accept = {
        .content = content, .last = true, .envelope = envelope, .size = content.len
    };

    accept.id = store_new_id(rig->store);
    accept_prepare(&accept);
    return accept;
}

uint64_t store_rig_accept(struct store_rig *rig, const char *sender, const char *recipient,
                          struct span content)
{
    struct envelope envelope;

    fill_envelope(rig, &envelope, sender, recipient);
    struct accept accept = an_accept(rig, &envelope, content);
    enum operation_outcome outcome = store_rig_commit(rig, &accept.operation);
    envelope_clear(&envelope);
    return outcome == OPERATION_COMMITTED ? accept.id : 0;
}

void store_rig_accept_many(struct store_rig *rig, const char *sender, const char *recipient,
                           unsigned count)
{
    enum { BATCH = 4096 };
    struct accept *accepts = memory_new_array(BATCH, sizeof(*accepts));
    struct envelope envelope;

    fill_envelope(rig, &envelope, sender, recipient);
    for (unsigned done = 0; done < count; done += BATCH) {
        struct list batch;
        list_init(&batch);
        for (unsigned i = 0; i < BATCH && done + i < count; i++) {
            accepts[i] = an_accept(rig, &envelope, SPAN("Subject: one of many\r\n\r\n"));
            accepts[i].operation.done = on_done;
            list_append(&batch, &accepts[i].operation.others);
        }
        ensure(commit_now(rig->store, &batch) == KV_FINE);
    }
    envelope_clear(&envelope);
    free(accepts);
}

/* Packed and unpacked, so that it is freed as one from a worker. */
static Ipc__Outcome *an_outcome(uint64_t id, uint32_t number, Ipc__ResultKind kind,
                                const char *status)
{
    static uint64_t lease;
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    Ipc__Result result = IPC__RESULT__INIT;
    Ipc__Result *results[] = { &result };
    uint8_t packed[512];

    result.number = number;
    result.kind = kind;
    result.status = bytes_of_span(span_of(status));
    result.reply = bytes_of_span(SPAN("the server's words"));
    result.remote = true;
    outcome.lease = ++lease;
    outcome.id = id;
    outcome.results = results;
    outcome.n_results = 1;
    size_t len = ipc__outcome__pack(&outcome, packed);
    return ipc__outcome__unpack(NULL, len, packed);
}

struct settle store_rig_settle(struct store_rig *rig, uint64_t id, uint32_t number,
                               Ipc__ResultKind kind, const char *status, bool last_attempt)
{
    struct settle settle = { .last_attempt = last_attempt, .notices.settings = &rig->notify };

    settle.outcome = an_outcome(id, number, kind, status);
    settle_prepare(&settle);
    ensure(store_rig_commit(rig, &settle.operation) == OPERATION_COMMITTED);
    return settle;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static void *read_record(struct store_rig *rig, enum queue_table table, struct record_key key,
                         const ProtobufCMessageDescriptor *as)
{
    struct kv_txn *txn;
    struct span value;
    void *record = NULL;

    must(kv_begin_read(store_kv(rig->store), &txn));
    must(kv_get(txn, table, key_span(&key), &value));
    if (value.data)
        record = record_read(table, key_span(&key), value, as, NULL);
    kv_abort(&txn);
    return record;
}

uint64_t store_rig_count(struct store_rig *rig, enum queue_table table)
{
    struct kv_txn *txn;
    uint64_t count;

    must(kv_begin_read(store_kv(rig->store), &txn));
    must(kv_count(txn, table, &count));
    kv_abort(&txn);
    return count;
}

bool store_rig_recipient(struct store_rig *rig, uint64_t id, uint32_t number,
                         Queue__RecipientRecord **out)
{
    *out = read_record(rig, TABLE_RECIPIENT, key_of_part(id, number),
                       &queue__recipient_record__descriptor);
    return *out != NULL;
}

Queue__MessageRecord *store_rig_message(struct store_rig *rig, uint64_t id)
{
    return read_record(rig, TABLE_MESSAGE, key_of_id(id), &queue__message_record__descriptor);
}

struct span store_rig_content(struct store_rig *rig, uint64_t id)
{
    Queue__MessageRecord *message = store_rig_message(rig, id);
    struct kv_txn *txn;
    struct buf content;
    bool whole = message != NULL;

    buf_init(&content, SIZE_MAX / 2);
    must(kv_begin_read(store_kv(rig->store), &txn));
    for (uint32_t chunk = 0; whole && chunk < message->chunks; chunk++) {
        struct record_key key = key_of_part(id, chunk);
        struct span value;
        struct span bytes;
        must(kv_get(txn, TABLE_CONTENT, key_span(&key), &value));
        whole =
            value.data && chunk_read(key_span(&key), value, &bytes) && buf_append(&content, bytes);
    }
    kv_abort(&txn);
    if (message)
        queue__message_record__free_unpacked(message, NULL);
    if (whole)
        return buf_span(&content);
    buf_clear(&content);
    return (struct span){ NULL, 0 };
}

/* ---- operators --------------------------------------------------------------------------------
 */

static void take_place(void *ctx, struct reading *r, const struct waiting *waiting)
{
    struct change *change = ctx;

    (void)r;
    change->places[change->count++] = waiting->at;
}

size_t store_rig_change(struct store_rig *rig, enum change_kind kind, uint64_t id)
{
    struct change *change = memory_new(sizeof(*change));
    struct filter filter = { .id = id };
    struct waiting_walk walk = { .filter = &filter, .most = CHANGE_SLICE, .more = true };
    size_t changed = 0;

    change->kind = kind;
    change->act =
        (struct history_act){ .action = change_name(kind), .uid = 7, .words = SPAN("because") };
    change->notify = &rig->notify;
    while (walk.more) {
        change->count = 0;
        must(waiting_walk(rig->store, &walk, take_place, change));
        change_prepare(change);
        ensure(store_rig_commit(rig, &change->operation) == OPERATION_COMMITTED);
        changed += change->changed;
    }
    change_clear(change);
    free(change);
    return changed;
}
