/*
 * reading - one short read transaction on the queue's database, and what the answers to an operator
 * are made of.  Called by the files that answer (store_read, store_summary, store_trace, waiting).
 */
#ifndef WAXSEAL_QUEUE_READING_H
#define WAXSEAL_QUEUE_READING_H

#include "lib/base/json.h"
#include "queue/records.pb-c.h"
#include "queue/store.h"

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
