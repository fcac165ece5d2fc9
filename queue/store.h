/*
 * store - durable messages: the queue's database and what may be done to it.
 * All writing is done by operations that the committer applies in its thread, many in one
 * transaction (committer.h); reading is done by anybody in short transactions (store_read.h).
 * Owns the LMDB environment in queue/.  Rules: design.md sections 3 and 4, pitfalls.md section 1.
 */
#ifndef WAXSEAL_QUEUE_STORE_H
#define WAXSEAL_QUEUE_STORE_H

#include "lib/base/error.h"
#include "lib/io/kv.h"
#include "queue/arena.h"
#include "queue/records.h"
#include "queue/schedule.h"

#include <stdatomic.h>

struct store;
struct store_txn;

struct store_limits {
    uint64_t bytes_max;         /* queue-size-max */
    uint64_t history_bytes_max; /* history-size */
    int64_t history_ms_max;     /* history-days */
};
struct store_limits store_limits_of(const struct settings *settings);

/*
 * Opens or makes the store in `folder`, waiting up to `wait_ms` for the lock of a predecessor. What
 * a crash left half received is found with store_sweep_unfinished.  On failure *out_exit_status is
 * what the role should exit with.
 */
struct error *store_open(const char *folder, struct store_limits limits, int64_t wait_ms,
                         struct store **out_store, int *out_exit_status) MUST_CHECK;
void store_close(struct store **store);

/* New limits, taken at the next operation. */
void store_set_limits(struct store *store, struct store_limits limits);
/* What the settings say of where and when: before the first operation, and when they change. */
void store_set_schedule(struct store *store, const struct settings *settings);
/* What was set last, kept for the caller, who drops it. */
struct schedule *store_schedule(struct store *store);

/* A new id, above all given before, also by earlier processes; 0: none may be given right now. */
uint64_t store_new_id(struct store *store);
/* This one, of which the caller found nothing in any table; false: it is above all that is given.
 * No other thread may ask for ids meanwhile. */
bool store_take_id(struct store *store, uint64_t id);
/* One within a transaction: its commit reserves it, so there always is one. */
uint64_t store_txn_id(struct store_txn *txn);

/* What the store holds, as of the last commit. */
struct store_usage {
    uint64_t bytes;
    uint64_t messages;
    uint64_t deferred_hops;                    /* whose last attempts found no candidate usable */
    uint64_t strangers_untold, senders_untold; /* see records.proto */
    uint64_t damaged_messages;                 /* held because some of them cannot be read */
    uint64_t history_bytes;
};
struct store_usage store_usage(const struct store *store);
uint64_t store_bytes_max(const struct store *store);

/* True when the clock was stepped back while the store was closed. */
bool store_clock_stepped_back(const struct store *store);

/* ---- for the store's own files and the committer: one write transaction and its bookkeeping */

struct usage {
    uint64_t bytes;
    uint64_t messages;
    uint64_t history_bytes;
    uint64_t deferred_hops;
    uint64_t strangers_untold;
    uint64_t senders_untold;
    uint64_t damaged_messages;
};

struct store_txn {
    struct store *store;
    struct kv_txn *kv;
    struct arena *arena;       /* reset before each operation */
    struct schedule *schedule; /* the transaction's own hold on it */
    struct store_limits limits;
    struct usage usage;
    int64_t now_ms; /* later than that of all transactions before, unless the clock was stepped */
    struct hops *hops; /* store_hops.h */
    struct notice_rates *notice_rates;
};

struct error *store_begin(struct store *store, struct store_txn *out_txn) MUST_CHECK;
struct error *store_commit(struct store_txn *txn) MUST_CHECK; /* ends it whatever comes */
void store_abort(struct store_txn *txn);
struct kv *store_kv(struct store *store);
enum kv_trouble store_txn_trouble(const struct store_txn *txn);

/* Tops up the room on disk that belongs to settlements alone; after each transaction. */
void store_keep_reserve(struct store *store);
/* False when accepts would touch what belongs to settlements, on disk or in the map. */
bool store_has_room(struct store *store);

/*
 * Is the disk so short of room, as the last transaction saw it and as it is now, that accepts would
 * be refused?  From any thread.
 */
bool store_disk_is_low(const struct store *store);

/* A record under a key: reading gives NULL when it is not there, an error when it is damaged. */
struct error *store_get(struct store_txn *txn, enum queue_table table, const struct record_key *key,
                        const ProtobufCMessageDescriptor *as, void *out_message) MUST_CHECK;
struct error *store_put(struct store_txn *txn, enum queue_table table, const struct record_key *key,
                        const ProtobufCMessage *message) MUST_CHECK;
struct error *store_remove(struct store_txn *txn, enum queue_table table,
                           const struct record_key *key) MUST_CHECK;
/* In a read transaction, for those to whom a damaged record is as good as none: NULL. */
void *store_look_up(struct kv_txn *kv, enum queue_table table, const struct record_key *key,
                    const ProtobufCMessageDescriptor *as, struct arena *arena);

#endif
