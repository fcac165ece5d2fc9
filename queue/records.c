#include "queue/records.h"

#include <string.h>

#include "lib/base/error.h"
#include "lib/io/kv.h"

const char *const queue_tables[TABLE_COUNT] = {
    [TABLE_META] = "meta",           [TABLE_MESSAGE] = "message",
    [TABLE_CONTENT] = "content",     [TABLE_RECEIVING] = "receiving",
    [TABLE_RECIPIENT] = "recipient", [TABLE_DUE] = "due",
    [TABLE_WAKE] = "wake",           [TABLE_HOP] = "hop",
    [TABLE_HELD] = "held",           [TABLE_HISTORY] = "history",
    [TABLE_HOST] = "host",           [TABLE_ONCE] = "once",
};

enum {
    DUE_TAIL = 1 + 1 + 2 + 8 + 8 + 4, /* NUL, class, bucket, time, id, number */
    PAGE_BYTES = 4096,
    PAGE_HEAD = 16,
    INLINE_MAX = 2000, /* about what LMDB keeps in a leaf (pitfalls.md section 1) */
};

enum { ID_STEP_BITS = 10 /* ids a second before they run ahead of the clock */ };
#define ID_EPOCH_MS (INT64_C(1704067200) * 1000)

uint64_t first_id_at(int64_t utc_ms)
{
    int64_t seconds = (utc_ms - ID_EPOCH_MS) / 1000;

    if (seconds < 1)
        seconds = 1;
    if (seconds > UINT32_MAX)
        seconds = UINT32_MAX;
    return (uint64_t)seconds << ID_STEP_BITS;
}

/* ---- keys --------------------------------------------------------------------------------- */

struct span key_span(const struct record_key *key)
{
    return (struct span){ key->bytes, key->len };
}

static void put_number(struct record_key *key, uint64_t number, unsigned octets)
{
    for (unsigned i = octets; i-- > 0;)
        key->bytes[key->len++] = (char)(number >> (8 * i) & 0xff);
}

static void put_bytes(struct record_key *key, struct span s)
{
    ensure(s.len <= HOP_NAME_MAX);
    memcpy(key->bytes + key->len, s.data, s.len);
    key->len += s.len;
}

static uint64_t number_at(const char *bytes, unsigned octets)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < octets; i++)
        number = number << 8 | (unsigned char)bytes[i];
    return number;
}

struct record_key key_of_id(uint64_t id)
{
    struct record_key key = { .len = 0 };

    put_number(&key, id, 8);
    return key;
}

bool key_read_id(struct span key, uint64_t *out_id)
{
    if (key.len != 8)
        return false;
    *out_id = number_at(key.data, 8);
    return true;
}

struct record_key key_of_part(uint64_t id, uint32_t part)
{
    struct record_key key = { .len = 0 };

    put_number(&key, id, 8);
    put_number(&key, part, 4);
    return key;
}

bool key_read_part(struct span key, uint64_t *out_id, uint32_t *out_part)
{
    if (key.len != 12)
        return false;
    *out_id = number_at(key.data, 8);
    *out_part = (uint32_t)number_at(key.data + 8, 4);
    return true;
}

enum due_class due_class_of(const Ipc__Envelope *envelope, bool was_tried)
{
    if (envelope->priority != 0)
        return envelope->priority > 0 ? DUE_URGENT : DUE_LOW;
    if (envelope->tls_report) /* RFC 8460 s.3 */
        return DUE_LENIENT;
    if (envelope->tls_required_no && !envelope->requiretls) /* RFC 8689 s.3, s.4.1 */
        return DUE_LENIENT;
    return was_tried ? DUE_RETRY : DUE_FIRST;
}

struct record_key key_of_due(const struct due *due)
{
    struct record_key key = { .len = 0 };

    put_bytes(&key, due->hop);
    put_number(&key, 0, 1);
    put_number(&key, due->due_class, 1);
    put_number(&key, due->bucket, 2);
    put_number(&key, (uint64_t)due->utc_ms, 8);
    put_number(&key, due->id, 8);
    put_number(&key, due->number, 4);
    return key;
}

bool key_read_due(struct span key, struct due *out)
{
    if (key.len < DUE_TAIL)
        return false;
    size_t hop_len = key.len - DUE_TAIL;
    const char *tail = key.data + hop_len;
    if (tail[0] != '\0' || (unsigned char)tail[1] >= DUE_CLASSES)
        return false;
    out->hop = (struct span){ key.data, hop_len };
    out->due_class = (enum due_class)tail[1];
    out->bucket = (unsigned)number_at(tail + 2, 2);
    out->utc_ms = (int64_t)number_at(tail + 4, 8);
    out->id = number_at(tail + 12, 8);
    out->number = (uint32_t)number_at(tail + 20, 4);
    return true;
}

struct record_key key_of_wake(int64_t utc_ms, struct span hop)
{
    struct record_key key = { .len = 0 };

    put_number(&key, (uint64_t)utc_ms, 8);
    put_bytes(&key, hop);
    return key;
}

bool key_read_wake(struct span key, int64_t *out_utc_ms, struct span *out_hop)
{
    if (key.len < 8)
        return false;
    *out_utc_ms = (int64_t)number_at(key.data, 8);
    *out_hop = span_from(key, 8);
    return true;
}

struct record_key key_of_hop(struct span hop)
{
    struct record_key key = { .len = 0 };

    put_bytes(&key, hop);
    put_number(&key, 0, 1); /* so that no key is empty */
    return key;
}

static const char host_kinds[] = { [HOST_MX] = 'm', [HOST_HOP] = 'n' };

struct record_key key_of_host(enum host_kind kind, struct span name)
{
    struct record_key key = { .len = 1 };

    key.bytes[0] = host_kinds[kind];
    put_bytes(&key, name);
    return key;
}

bool key_read_host(struct span key, enum host_kind *out_kind, struct span *out_name)
{
    if (key.len < 2 || key.len > 1 + HOP_NAME_MAX)
        return false;
    *out_name = span_from(key, 1);
    *out_kind = key.data[0] == host_kinds[HOST_MX] ? HOST_MX : HOST_HOP;
    return key.data[0] == host_kinds[*out_kind];
}

enum { ONCE_BY_DIGEST = 'k', ONCE_BY_TIME = 't' };

struct record_key key_of_once(const unsigned char digest[ONCE_DIGEST_SIZE])
{
    struct record_key key = { .len = 0 };

    put_number(&key, ONCE_BY_DIGEST, 1);
    put_bytes(&key, (struct span){ (const char *)digest, ONCE_DIGEST_SIZE });
    return key;
}

struct record_key key_of_once_time(int64_t utc_ms, const unsigned char digest[ONCE_DIGEST_SIZE])
{
    struct record_key key = { .len = 0 };

    put_number(&key, ONCE_BY_TIME, 1);
    put_number(&key, (uint64_t)utc_ms, 8);
    put_bytes(&key, (struct span){ (const char *)digest, ONCE_DIGEST_SIZE });
    return key;
}

bool key_read_once_time(struct span key, int64_t *out_utc_ms,
                        unsigned char out_digest[ONCE_DIGEST_SIZE])
{
    if (key.len != 1 + 8 + ONCE_DIGEST_SIZE || key.data[0] != ONCE_BY_TIME)
        return false;
    *out_utc_ms = (int64_t)number_at(key.data + 1, 8);
    memcpy(out_digest, key.data + 9, ONCE_DIGEST_SIZE);
    return true;
}

struct record_key key_of_meta(const char *name)
{
    struct record_key key = { .len = 0 };

    put_bytes(&key, span_of(name));
    return key;
}

struct record_key key_of_suspended(struct span hop)
{
    struct record_key key = key_of_meta(SUSPENDED_PREFIX);

    put_bytes(&key, hop);
    return key;
}

struct record_key key_of_note(uint64_t id, uint32_t number, uint32_t serial)
{
    struct record_key key = key_of_part(id, number);

    put_number(&key, serial, 4);
    return key;
}

bool key_read_note(struct span key, uint64_t *out_id, uint32_t *out_number, uint32_t *out_serial)
{
    if (key.len != 16)
        return false;
    *out_serial = (uint32_t)number_at(key.data + 12, 4);
    return key_read_part(span_first(key, 12), out_id, out_number);
}

/* ---- values ------------------------------------------------------------------------------- */

void record_write_number(uint64_t number, char room[RECORD_NUMBER_SIZE])
{
    for (unsigned i = 0; i < RECORD_NUMBER_SIZE; i++)
        room[i] = (char)(number >> (8 * (RECORD_NUMBER_SIZE - 1 - i)) & 0xff);
}

bool record_read_number(struct span value, uint64_t *out_number)
{
    if (value.len != RECORD_NUMBER_SIZE)
        return false;
    *out_number = number_at(value.data, RECORD_NUMBER_SIZE);
    return true;
}

static uint32_t sum_of(enum queue_table table, struct span key, struct span bytes)
{
    char tag = (char)table;

    return kv_checksum(kv_checksum(kv_checksum(0, (struct span){ &tag, 1 }), key), bytes);
}

static void sum_write(enum queue_table table, struct span key, struct span bytes, char *room)
{
    uint32_t sum = sum_of(table, key, bytes);

    for (unsigned i = 0; i < RECORD_SUM_SIZE; i++)
        room[i] = (char)(sum >> (8 * (RECORD_SUM_SIZE - 1 - i)) & 0xff);
}

static bool sum_check(enum queue_table table, struct span key, struct span value,
                      struct span *out_bytes)
{
    if (value.len < RECORD_SUM_SIZE)
        return false;
    struct span bytes = span_from(value, RECORD_SUM_SIZE);
    if (number_at(value.data, RECORD_SUM_SIZE) != sum_of(table, key, bytes))
        return false;
    *out_bytes = bytes;
    return true;
}

bool chunk_read(struct span key, struct span value, struct span *out_bytes)
{
    return sum_check(TABLE_CONTENT, key, value, out_bytes);
}

void chunk_write(struct span key, struct span bytes, char *room)
{
    memcpy(room + RECORD_SUM_SIZE, bytes.data, bytes.len);
    sum_write(TABLE_CONTENT, key, bytes, room);
}

size_t record_size(const ProtobufCMessage *message)
{
    return RECORD_SUM_SIZE + protobuf_c_message_get_packed_size(message);
}

void record_write(enum queue_table table, struct span key, const ProtobufCMessage *message,
                  char *room)
{
    char *body = room + RECORD_SUM_SIZE;
    size_t len = protobuf_c_message_pack(message, (uint8_t *)body);

    sum_write(table, key, (struct span){ body, len }, room);
}

void *record_read(enum queue_table table, struct span key, struct span value,
                  const ProtobufCMessageDescriptor *as, ProtobufCAllocator *allocator)
{
    struct span body;

    if (!sum_check(table, key, value, &body))
        return NULL;
    return protobuf_c_message_unpack(as, allocator, body.len, (const uint8_t *)body.data);
}

uint64_t chunk_cost(size_t len)
{
    size_t stored = len + RECORD_SUM_SIZE;

    if (stored <= INLINE_MAX)
        return stored;
    return (stored + PAGE_HEAD + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* FNV-1a: the same in every run, for it is part of keys on disk. */
unsigned sender_bucket(struct span user, struct span reverse_path_domain)
{
    struct span name = user.len > 0 ? user : reverse_path_domain;
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)ascii_lower(name.data[i])) * 16777619U;
    return (hash ^ hash >> 16) % SENDER_BUCKETS;
}
