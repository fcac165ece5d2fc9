/*
 * records - keys of the queue's database as bytes, and its values with their checksums.
 * Called by the store's files, dispatch, transfer and salvage.  Pure; owns nothing.
 * Layout: docs/storage.md.  Numbers in keys are big-endian, so that keys sort as numbers do.
 */
#ifndef WAXSEAL_QUEUE_RECORDS_H
#define WAXSEAL_QUEUE_RECORDS_H

#include "lib/base/limits.h"
#include "lib/base/span.h"
#include "lib/ipc/envelope.pb-c.h"
#include "lib/mail/next_hop.h"

#include <protobuf-c/protobuf-c.h>

/* The tables, in the order in which kv_open gets their names. */
enum queue_table {
    TABLE_META,
    TABLE_MESSAGE,
    TABLE_CONTENT,
    TABLE_RECEIVING,
    TABLE_RECIPIENT,
    TABLE_DUE,
    TABLE_WAKE,
    TABLE_HOP,
    TABLE_HELD,
    TABLE_HISTORY,
    TABLE_HOST,
    TABLE_ONCE,
    TABLE_COUNT,
};
extern const char *const queue_tables[TABLE_COUNT];

enum {
    QUEUE_VERSION = 1,
    RECORD_SUM_SIZE = 4,
    CHUNK_BYTES = CONTENT_CHUNK_SIZE - RECORD_SUM_SIZE, /* content in a whole chunk */
    SENDER_BUCKETS = 1024,
    RECORD_KEY_SIZE = 8 + HOP_NAME_MAX + 24,
};

struct record_key {
    char bytes[RECORD_KEY_SIZE];
    size_t len;
};
struct span key_span(const struct record_key *key); /* lent: lives as long as the key */

/*
 * The first id that a store made at that time gives.  Ids begin with the second, counted from 2024,
 * so that a queue that was thrown away and made anew does not give those of the old one again.  A
 * clock that is nowhere near gives some all the same: 44 bits is what fits into a lease's number.
 */
uint64_t first_id_at(int64_t utc_ms);

/* message, receiving, held */
struct record_key key_of_id(uint64_t id);
bool key_read_id(struct span key, uint64_t *out_id);

/* content (chunk), recipient, history (number) */
struct record_key key_of_part(uint64_t id, uint32_t part);
bool key_read_part(struct span key, uint64_t *out_id, uint32_t *out_part);

/* history: what happened to a recipient before it was final (serial); behind its final row */
struct record_key key_of_note(uint64_t id, uint32_t number, uint32_t serial);
bool key_read_note(struct span key, uint64_t *out_id, uint32_t *out_number, uint32_t *out_serial);

/* due */
enum due_class {
    DUE_URGENT,
    DUE_FIRST,
    DUE_RETRY,
    DUE_SUSPECT,
    DUE_LOW,
    DUE_LENIENT, /* TLS-Required: No, TLS reports: do not rest where a policy stops other mail */
    DUE_CLASSES
};
/* Priority comes before all, "first attempt or retry" last (design.md section 3). */
enum due_class due_class_of(const Ipc__Envelope *envelope, bool was_tried);
struct due {
    struct span hop;
    enum due_class due_class;
    unsigned bucket;
    int64_t utc_ms;
    uint64_t id;
    uint32_t number;
};
struct record_key key_of_due(const struct due *due);
/* The hop is lent from the key. */
bool key_read_due(struct span key, struct due *out);

/* wake */
struct record_key key_of_wake(int64_t utc_ms, struct span hop);
bool key_read_wake(struct span key, int64_t *out_utc_ms, struct span *out_hop);

/* hop */
struct record_key key_of_hop(struct span hop);

/* host: what was learned of an MX host, or of a next hop */
enum host_kind { HOST_MX, HOST_HOP };
struct record_key key_of_host(enum host_kind kind, struct span name);
/* The name is lent from the key. */
bool key_read_host(struct span key, enum host_kind *out_kind, struct span *out_name);

/* once: mail taken in under a key, of which a digest is known; and these in the order of time */
enum { ONCE_DIGEST_SIZE = 32 };
struct record_key key_of_once(const unsigned char digest[ONCE_DIGEST_SIZE]);
struct record_key key_of_once_time(int64_t utc_ms, const unsigned char digest[ONCE_DIGEST_SIZE]);
/* False for one of the first kind, and for what is none. */
bool key_read_once_time(struct span key, int64_t *out_utc_ms,
                        unsigned char out_digest[ONCE_DIGEST_SIZE]);

/* meta */
struct record_key key_of_meta(const char *name);
/* A row without a record for each hop that an operator suspended. */
#define SUSPENDED_PREFIX "suspended:"
struct record_key key_of_suspended(struct span hop);

/* Plain numbers in meta. */
enum { RECORD_NUMBER_SIZE = 8 };
void record_write_number(uint64_t number, char room[RECORD_NUMBER_SIZE]);
bool record_read_number(struct span value, uint64_t *out_number);

/*
 * The size of a record with its checksum; and writing it to room of that size.  The checksum is
 * over table, key and record: none is taken for another.
 */
size_t record_size(const ProtobufCMessage *message);
void record_write(enum queue_table table, struct span key, const ProtobufCMessage *message,
                  char *room);
/* Gives the message, or NULL when the checksum is wrong or it does not decode. */
void *record_read(enum queue_table table, struct span key, struct span value,
                  const ProtobufCMessageDescriptor *as, ProtobufCAllocator *allocator);

/* A chunk of content behind its checksum, in room of bytes.len + RECORD_SUM_SIZE. */
void chunk_write(struct span key, struct span bytes, char *room);
/* Gives the lent content; false: it is damaged. */
bool chunk_read(struct span key, struct span value, struct span *out_bytes);
/* What a chunk of that many content bytes takes on disk. */
uint64_t chunk_cost(size_t len);

/* The bucket in which a sender's mail takes turns with that of others. */
unsigned sender_bucket(struct span user, struct span reverse_path_domain);

#endif
