/*
 * reading - one short read transaction on the queue's database, and what the answers to an operator
 * are made of.  Called by the files that answer (store_read, store_summary, store_trace, waiting).
 */
#ifndef WAXSEAL_QUEUE_READING_H
#define WAXSEAL_QUEUE_READING_H

#include "lib/base/json.h"
#include "queue/records.pb-c.h"
#include "queue/store.h"
#include "queue/store_rows.h"

struct reading {
    struct kv_txn *txn;
    struct arena arena;
    int64_t now_ms;
};

/* To be ended in any case. */
struct error *reading_begin(struct reading *r, struct store *store) MUST_CHECK;
void reading_end(struct reading *r);

/* In the reading's arena; NULL: it is not there, or it is damaged. */
void *reading_record(struct reading *r, enum queue_table table, const struct record_key *key,
                     const ProtobufCMessageDescriptor *as);

/* Why a message is held, in the arena; NULL: it is not, or that cannot be read. */
const Queue__HeldRecord *reading_held(struct reading *r, uint64_t id);
/* Nothing is tried because of damage: the message cannot be read, or is held because of that. */
bool reading_is_damaged(struct reading *r, uint64_t id, bool is_held);

/*
 * The rows of a message's recipients in one table, in the order of their numbers; in the history
 * without the notes behind them.  The arena is emptied before each call; `walk` counts them, and
 * one that sets `most` to 0 ends it.
 */
struct part_walk {
    size_t most;
    size_t count;
    size_t bytes; /* of their rows; a call adds what else it reads for its recipient */
    bool is_cut;  /* there are more of them, or there may be */
};
typedef struct error *part_fn(void *ctx, struct row_place at, struct span key, struct span value);
struct error *reading_parts(struct reading *r, enum queue_table table, uint64_t id,
                            struct part_walk *walk, part_fn *each, void *ctx) MUST_CHECK;

/*
 * A message that is gone is known by the first row that is left of it in the history, whichever
 * recipient's that is: each goes at its own time.  In the arena; NULL: nothing is left.
 */
const Queue__HistoryRecord *reading_past(struct reading *r, uint64_t id);

/*
 * An answer about a message tells of so many recipients that wait, and of as many that have ended;
 * "recipients_not_shown" says how many more there are, or true where they are not counted, and
 * then "to_see_them" how.  Behind the message's own members.
 */
enum { RECIPIENTS_SHOWN_MAX = 1000 };
void add_not_shown(struct json *object, uint64_t id, const struct part_walk *waiting,
                   const struct part_walk *ended);

/* Members: a time (RFC 3339; null for 0), an id, bytes as text, a client's address. */
void add_time(struct json *object, const char *key, int64_t utc_ms);
void add_id(struct json *object, const char *key, uint64_t id);
void add_bytes(struct json *object, const char *key, ProtobufCBinaryData bytes);
void add_address(struct json *object, const char *key, ProtobufCBinaryData address);
/* Who did it: a number; null: the relay itself.  `by` is the uid + 1. */
void add_operator(struct json *object, const char *key, uint32_t by);
/* "decision": why an attempt did what it did; null without one. */
void add_decision(struct json *object, const Ipc__Decision *decision);

#endif
