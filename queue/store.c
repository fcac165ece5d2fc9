#include "queue/store.h"

#include <pthread.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/ipc/role.h"
#include "queue/notice_rates.h"
#include "queue/records.pb-c.h"
#include "queue/store_hops.h"

#define MIB ((uint64_t)1024 * 1024)

enum {
    ID_BLOCK = 64 * 1024, /* ids reserved on disk at a time */
    CLOCK_SLACK_MS = MINUTE_MS,
    RESERVE_PERCENT = 5,
    STAT_EVERY_MS = SECOND_MS,
};
/* On disk ahead of what is used: one more batch of accepts leaves 16 MiB to settlements. */
#define FILE_RESERVE ((uint64_t)BATCH_BYTES_MAX * 2)

struct store {
    struct kv *kv;
    struct arena arena;                /* the committer's */
    struct hops *hops;                 /* the committer's */
    struct notice_rates *notice_rates; /* the committer's */
    struct usage usage;                /* the committer's: as of the last commit */
    uint64_t ids_on_disk;              /* the committer's: ids below it are reserved */
    int64_t last_now_ms;               /* the committer's */
    int64_t stat_ms;                   /* the committer's: when the map was looked at last */
    bool map_has_room;                 /* the committer's */
    bool file_has_room;     /* the same: what is allocated and free makes up the reserve */
    bool has_reserve;       /* the committer's */
    atomic_bool lacks_disk; /* neither reserve nor room in the file, after the last transaction */
    uint64_t map_bytes;
    bool clock_stepped_back;

    atomic_uint_fast64_t next_id;
    atomic_uint_fast64_t ids_reserved; /* as committed */
    atomic_uint_fast64_t bytes;        /* usage, for the loop */
    atomic_uint_fast64_t messages;
    atomic_uint_fast64_t deferred_hops;
    atomic_uint_fast64_t strangers_untold;
    atomic_uint_fast64_t senders_untold;
    atomic_uint_fast64_t damaged_messages;
    atomic_uint_fast64_t history_bytes;
    atomic_uint_fast64_t bytes_max;
    atomic_uint_fast64_t history_bytes_max;
    pthread_mutex_t schedule_lock; /* for the pointer; what it points to never changes */
    struct schedule *schedule;
    atomic_int_fast64_t history_ms_max;
};

/* ---- limits, schedule, counts: set in the loop, read in the committer's thread -----------------
 */

struct store_limits store_limits_of(const struct settings *settings)
{
    return (struct store_limits){
        .bytes_max = settings->queue_bytes_max,
        .history_bytes_max = settings->history_bytes_max,
        .history_ms_max = settings->history_days * DAY_MS,
    };
}

void store_set_limits(struct store *store, struct store_limits limits)
{
    /* The map was made for the limit at start; a larger one waits for the next start. */
    if (limits.bytes_max > store->map_bytes / 2)
        limits.bytes_max = store->map_bytes / 2;
    atomic_store(&store->bytes_max, limits.bytes_max);
    atomic_store(&store->history_bytes_max, limits.history_bytes_max);
    atomic_store(&store->history_ms_max, limits.history_ms_max);
}

void store_set_schedule(struct store *store, const struct settings *settings)
{
    struct schedule *fresh = schedule_new(settings);
    struct schedule *before;

    pthread_mutex_lock(&store->schedule_lock);
    before = store->schedule;
    store->schedule = fresh;
    pthread_mutex_unlock(&store->schedule_lock);
    schedule_drop(&before);
}

struct schedule *store_schedule(struct store *store)
{
    struct schedule *schedule;

    pthread_mutex_lock(&store->schedule_lock);
    schedule = store->schedule ? schedule_keep(store->schedule) : NULL;
    pthread_mutex_unlock(&store->schedule_lock);
    return schedule;
}

struct store_usage store_usage(const struct store *store)
{
    return (struct store_usage){ .bytes = atomic_load(&store->bytes),
                                 .messages = atomic_load(&store->messages),
                                 .deferred_hops = atomic_load(&store->deferred_hops),
                                 .strangers_untold = atomic_load(&store->strangers_untold),
                                 .senders_untold = atomic_load(&store->senders_untold),
                                 .damaged_messages = atomic_load(&store->damaged_messages),
                                 .history_bytes = atomic_load(&store->history_bytes) };
}

uint64_t store_bytes_max(const struct store *store)
{
    return atomic_load(&store->bytes_max);
}

bool store_clock_stepped_back(const struct store *store)
{
    return store->clock_stepped_back;
}

struct kv *store_kv(struct store *store)
{
    return store->kv;
}

uint64_t store_new_id(struct store *store)
{
    uint64_t id = atomic_fetch_add(&store->next_id, 1);

    return id < atomic_load(&store->ids_reserved) ? id : 0;
}

bool store_take_id(struct store *store, uint64_t id)
{
    if (id == 0 || id >= atomic_load(&store->ids_reserved))
        return false;
    if (id >= atomic_load(&store->next_id))
        atomic_store(&store->next_id, id + 1);
    return true;
}

uint64_t store_txn_id(struct store_txn *txn)
{
    return atomic_fetch_add(&txn->store->next_id, 1);
}

/* ---- records ------------------------------------------------------------------------------ */

struct error *store_get(struct store_txn *txn, enum queue_table table, const struct record_key *key,
                        const ProtobufCMessageDescriptor *as, void *out_message)
{
    struct span value;
    void *message = NULL;
    struct error *err = kv_get(txn->kv, table, key_span(key), &value);

    if (err)
        return err;
    if (value.data) {
        message = record_read(table, key_span(key), value, as, &txn->arena->allocator);
        if (!message)
            return error_new(ERROR_LOCAL, "a record in table %s is damaged", queue_tables[table]);
    }
    *(void **)out_message = message;
    return NULL;
}

void *store_look_up(struct kv_txn *kv, enum queue_table table, const struct record_key *key,
                    const ProtobufCMessageDescriptor *as, struct arena *arena)
{
    struct span value;
    struct error *err = kv_get(kv, table, key_span(key), &value);

    if (err || !value.data) {
        error_free(&err);
        return NULL;
    }
    return record_read(table, key_span(key), value, as, &arena->allocator);
}

struct error *store_put(struct store_txn *txn, enum queue_table table, const struct record_key *key,
                        const ProtobufCMessage *message)
{
    char *room;
    struct error *err = kv_put_room(txn->kv, table, key_span(key), record_size(message), &room);

    if (!err)
        record_write(table, key_span(key), message, room);
    return err;
}

struct error *store_remove(struct store_txn *txn, enum queue_table table,
                           const struct record_key *key)
{
    return kv_remove(txn->kv, table, key_span(key));
}

static struct error *get_number(struct kv_txn *txn, const char *name, uint64_t *out_number)
{
    struct record_key key = key_of_meta(name);
    struct span value;
    struct error *err = kv_get(txn, TABLE_META, key_span(&key), &value);

    *out_number = 0;
    if (!err && value.data && !record_read_number(value, out_number))
        return error_new(ERROR_LOCAL, "meta record %s is damaged", name);
    return err;
}

static struct error *put_number(struct kv_txn *txn, const char *name, uint64_t number)
{
    struct record_key key = key_of_meta(name);
    char room[RECORD_NUMBER_SIZE];

    record_write_number(number, room);
    return kv_put(txn, TABLE_META, key_span(&key), (struct span){ room, sizeof(room) });
}

/* ---- transactions ------------------------------------------------------------------------- */

struct error *store_begin(struct store *store, struct store_txn *out_txn)
{
    struct kv_txn *kv;
    struct error *err = kv_begin_write(store->kv, &kv);

    if (err)
        return err;
    int64_t now_ms = clock_utc_ms();
    /* Rows of one batch never sort before those of an earlier one. */
    if (now_ms <= store->last_now_ms && store->last_now_ms - now_ms < SECOND_MS)
        now_ms = store->last_now_ms + 1;
    arena_reset(&store->arena);
    *out_txn = (struct store_txn){
        .store = store,
        .kv = kv,
        .arena = &store->arena,
        .schedule = store_schedule(store),
        .limits = { store_bytes_max(store), atomic_load(&store->history_bytes_max),
                    atomic_load(&store->history_ms_max) },
        .usage = store->usage,
        .now_ms = now_ms,
        .hops = store->hops,
        .notice_rates = store->notice_rates,
    };
    return NULL;
}

/* As of a commit. */
static void take_usage(struct store *store, const struct usage *usage)
{
    store->usage = *usage;
    atomic_store(&store->bytes, usage->bytes);
    atomic_store(&store->messages, usage->messages);
    atomic_store(&store->deferred_hops, usage->deferred_hops);
    atomic_store(&store->strangers_untold, usage->strangers_untold);
    atomic_store(&store->senders_untold, usage->senders_untold);
    atomic_store(&store->damaged_messages, usage->damaged_messages);
    atomic_store(&store->history_bytes, usage->history_bytes);
}

static struct error *put_usage(struct store_txn *txn)
{
    struct record_key key = key_of_meta("usage");
    Queue__UsageRecord record = QUEUE__USAGE_RECORD__INIT;

    record.bytes = txn->usage.bytes;
    record.messages = txn->usage.messages;
    record.history_bytes = txn->usage.history_bytes;
    record.clock_utc_ms = txn->now_ms;
    record.deferred_hops = txn->usage.deferred_hops;
    record.strangers_untold = txn->usage.strangers_untold;
    record.senders_untold = txn->usage.senders_untold;
    record.damaged_messages = txn->usage.damaged_messages;
    return store_put(txn, TABLE_META, &key, &record.base);
}

/* Reserves the next block of ids in good time. */
static struct error *put_ids(struct store_txn *txn, uint64_t *out_reserved)
{
    struct store *store = txn->store;
    uint64_t next = atomic_load(&store->next_id);

    *out_reserved = store->ids_on_disk;
    if (next + ID_BLOCK / 2 < store->ids_on_disk)
        return NULL;
    *out_reserved = next + ID_BLOCK;
    return put_number(txn->kv, "ids", *out_reserved);
}

struct error *store_commit(struct store_txn *txn)
{
    struct store *store = txn->store;
    uint64_t reserved = 0;
    struct error *err = hops_flush(txn);

    if (!err)
        err = put_usage(txn);
    if (!err)
        err = put_ids(txn, &reserved);
    if (err) {
        store_abort(txn);
        return err;
    }
    err = kv_commit(&txn->kv);
    hops_reset(txn->hops);
    schedule_drop(&txn->schedule);
    if (err)
        return err;
    take_usage(store, &txn->usage);
    store->last_now_ms = txn->now_ms;
    store->ids_on_disk = reserved;
    atomic_store(&store->ids_reserved, reserved);
    return NULL;
}

void store_abort(struct store_txn *txn)
{
    hops_reset(txn->hops);
    kv_abort(&txn->kv);
    schedule_drop(&txn->schedule);
}

enum kv_trouble store_txn_trouble(const struct store_txn *txn)
{
    return txn->kv ? kv_txn_trouble(txn->kv) : kv_trouble(txn->store->kv);
}

/* ---- room that belongs to settlements alone ------------------------------------------------- */

static uint64_t map_reserve(uint64_t bytes_max)
{
    uint64_t part = bytes_max / 100 * RESERVE_PERCENT;

    return part > 64 * MIB ? part : 64 * MIB;
}

/* Address space only: twice the limit, for pages half full, and the reserve. */
static uint64_t map_size(const struct store_limits *limits)
{
    return 2 * (limits->bytes_max + limits->history_bytes_max) + map_reserve(limits->bytes_max) +
           FILE_RESERVE;
}

static void count_room(struct store *store)
{
    struct kv_stat stat;

    kv_stat(store->kv, &stat);
    store->stat_ms = clock_monotonic_ms();
    store->map_has_room = stat.used_bytes - stat.free_bytes + BATCH_BYTES_MAX <
                          stat.map_bytes - map_reserve(store_bytes_max(store));
    store->file_has_room = stat.reserved_bytes + stat.free_bytes >= FILE_RESERVE;
}

void store_keep_reserve(struct store *store)
{
    struct error *err = kv_reserve(store->kv, FILE_RESERVE);

    store->has_reserve = !err; /* else the disk is full, which the next accept is told */
    error_free(&err);
    if (!store->has_reserve)
        count_room(store);
    atomic_store(&store->lacks_disk, !store->has_reserve && !store->file_has_room);
}

static bool map_has_room(struct store *store)
{
    if (store->stat_ms == 0 || clock_monotonic_ms() - store->stat_ms >= STAT_EVERY_MS)
        count_room(store);
    return store->map_has_room;
}

/*
 * Room on disk is the reserve ahead of the file; where a full disk gives no more, what is left of
 * it and the file's own pages that are free again (the file never shrinks), counted anew each time.
 */
bool store_has_room(struct store *store)
{
    if (!store->has_reserve)
        store_keep_reserve(store);
    return map_has_room(store) && (store->has_reserve || store->file_has_room);
}

/* What lacked then may be there now: then the next accept shall try. */
bool store_disk_is_low(const struct store *store)
{
    return atomic_load(&store->lacks_disk) &&
           kv_free_disk(store->kv) < FILE_RESERVE + FILE_RESERVE / 2;
}

/* ---- opening ------------------------------------------------------------------------------ */

static struct error *read_usage(struct store *store, struct store_txn *txn)
{
    struct record_key key = key_of_meta("usage");
    Queue__UsageRecord *record = NULL;
    struct error *err = store_get(txn, TABLE_META, &key, &queue__usage_record__descriptor, &record);

    if (err || !record)
        return err;
    txn->usage = (struct usage){
        .bytes = record->bytes,
        .messages = record->messages,
        .history_bytes = record->history_bytes,
        .deferred_hops = record->deferred_hops,
        .strangers_untold = record->strangers_untold,
        .senders_untold = record->senders_untold,
        .damaged_messages = record->damaged_messages,
    };
    take_usage(store, &txn->usage);
    store->clock_stepped_back = txn->now_ms < record->clock_utc_ms - CLOCK_SLACK_MS;
    return NULL;
}

static struct error *check_version(struct store_txn *txn, int *out_exit_status)
{
    uint64_t version;
    struct error *err = get_number(txn->kv, "version", &version);

    if (err)
        return err;
    if (version > QUEUE_VERSION) {
        *out_exit_status = ROLE_EXIT_REFUSED;
        return error_new(ERROR_LOCAL,
                         "the queue was written by a newer waxseal (version %llu, known here: %d); "
                         "install that one again, or move the queue with its \"queue export\"",
                         (unsigned long long)version, QUEUE_VERSION);
    }
    return version == QUEUE_VERSION ? NULL : put_number(txn->kv, "version", QUEUE_VERSION);
}

static struct error *read_ids(struct store *store, struct store_txn *txn)
{
    uint64_t reserved;
    struct error *err = get_number(txn->kv, "ids", &reserved);

    if (err)
        return err;
    uint64_t first = first_id_at(txn->now_ms);
    atomic_store(&store->next_id, reserved > first ? reserved : first);
    return NULL;
}

/* Its commit also proves that the disk can be written: a process that was started because a commit
 * failed ends here for good when the trouble lasts. */
static struct error *recover(struct store *store, int *out_exit_status)
{
    struct store_txn txn;
    struct error *err = store_begin(store, &txn);

    if (err)
        return err;
    err = check_version(&txn, out_exit_status);
    if (!err)
        err = read_ids(store, &txn);
    if (!err)
        err = read_usage(store, &txn);
    if (err) {
        store_abort(&txn);
        return err;
    }
    return store_commit(&txn);
}

/* A full disk must not keep the queue from delivering what it holds. */
static struct error *recover_when_full(struct store *store, struct error *why)
{
    if (kv_trouble(store->kv) != KV_FULL)
        return why;
    error_free(&why);
    return NULL;
}

struct error *store_open(const char *folder, struct store_limits limits, int64_t wait_ms,
                         struct store **out_store, int *out_exit_status)
{
    struct store *store = memory_new(sizeof(*store));
    enum kv_trouble trouble = KV_FINE;

    *out_exit_status = ROLE_EXIT_STORAGE;
    store->map_bytes = map_size(&limits);
    store_set_limits(store, limits);
    pthread_mutex_init(&store->schedule_lock, NULL);
    arena_init(&store->arena);
    store->hops = hops_new();
    store->notice_rates = notice_rates_new();
    store->map_has_room = true;
    struct error *err =
        kv_open(folder, store->map_bytes, queue_tables, TABLE_COUNT, wait_ms, &store->kv, &trouble);
    if (err && trouble != KV_BROKEN)
        *out_exit_status = trouble == KV_FINE ? ROLE_EXIT_REFUSED : ROLE_EXIT_TROUBLE;
    if (!err) {
        err = recover(store, out_exit_status);
        if (err)
            err = recover_when_full(store, err);
    }
    if (err) {
        store_close(&store);
        return err;
    }
    store_keep_reserve(store);
    *out_store = store;
    return NULL;
}

void store_close(struct store **store)
{
    struct store *s = *store;

    *store = NULL;
    if (!s)
        return;
    kv_close(&s->kv);
    hops_free(&s->hops);
    notice_rates_free(&s->notice_rates);
    arena_clear(&s->arena);
    schedule_drop(&s->schedule);
    pthread_mutex_destroy(&s->schedule_lock);
    free(s);
}
