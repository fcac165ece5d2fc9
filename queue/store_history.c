#include "queue/store_history.h"

#include "lib/ipc/channel.h"

enum {
    HISTORY_ROW_COST = 32,
    HISTORY_DROPS_MAX = 64,
    SLICE_ROW_BYTES = 1024,
};
#define ACT_SERIAL UINT32_C(0x80000000)          /* of what operators did */
#define NOTIFICATION_SERIAL UINT32_C(0xc0000000) /* of what the sender was told */

/* ---- rows and what they count ------------------------------------------------------------- */

static void count_out(struct store_txn *txn, struct span value)
{
    uint64_t cost = value.len + HISTORY_ROW_COST;

    txn->usage.history_bytes -= cost < txn->usage.history_bytes ? cost : txn->usage.history_bytes;
}

/* Its key, copied out of the map. */
static bool key_copy(struct span key, struct record_key *out)
{
    uint64_t id;
    uint32_t number;
    uint32_t serial;

    if (key_read_note(key, &id, &number, &serial))
        *out = key_of_note(id, number, serial);
    else if (key_read_part(key, &id, &number))
        *out = key_of_part(id, number);
    else
        return false;
    return true;
}

static struct error *drop_first(struct store_txn *txn, struct kv_cursor *cursor, bool *out_dropped)
{
    struct record_key first;
    struct span key;
    struct span value;
    struct error *err = kv_cursor_seek(cursor, SPAN(""), &key, &value);

    *out_dropped = false;
    if (err || !key.data || !key_copy(key, &first))
        return err;
    count_out(txn, value);
    *out_dropped = true;
    return store_remove(txn, TABLE_HISTORY, &first);
}

/* Until no more bytes than `bytes_max` are left. */
static struct error *drop_some(struct store_txn *txn, unsigned most, uint64_t bytes_max,
                               unsigned *out_count)
{
    bool dropped = true;
    struct error *err = NULL;

    *out_count = 0;
    while (*out_count < most && txn->usage.history_bytes > bytes_max && dropped && !err) {
        struct kv_cursor *cursor = NULL;
        err = kv_cursor_open(txn->kv, TABLE_HISTORY, &cursor);
        if (!err)
            err = drop_first(txn, cursor, &dropped);
        kv_cursor_close(&cursor);
        *out_count += dropped;
    }
    return err;
}

/* A few at a time, a few more than come in: after a smaller quota was set it shrinks bit by bit. */
static struct error *keep_quota(struct store_txn *txn)
{
    unsigned count;

    return drop_some(txn, HISTORY_DROPS_MAX, txn->limits.history_bytes_max, &count);
}

struct error *history_yield(struct store_txn *txn, unsigned most, unsigned *out_count)
{
    return drop_some(txn, most, 0, out_count);
}

static struct error *put(struct store_txn *txn, const struct record_key *key,
                         const ProtobufCMessage *record)
{
    struct error *err = store_put(txn, TABLE_HISTORY, key, record);

    if (err)
        return err;
    txn->usage.history_bytes += record_size(record) + HISTORY_ROW_COST;
    return keep_quota(txn);
}

static struct error *remove_row(struct store_txn *txn, const struct record_key *key)
{
    struct span value;
    struct error *err = kv_get(txn->kv, TABLE_HISTORY, key_span(key), &value);

    if (err || !value.data)
        return err;
    count_out(txn, value);
    return store_remove(txn, TABLE_HISTORY, key);
}

/* ---- what is final ------------------------------------------------------------------------ */

static void add_message(Queue__HistoryRecord *record, const Queue__MessageRecord *message)
{
    const Ipc__Envelope *envelope = message->envelope;

    record->sender = envelope->reverse_path->text;
    record->accepted_utc_ms = message->accepted_utc_ms;
    record->size = message->size;
    record->client_name = envelope->client_name;
    record->client_address = envelope->client_address;
    record->user = envelope->user;
    record->listener = envelope->listener;
    record->client_tls = envelope->client_tls;
    record->tls_report = envelope->tls_report;
}

struct error *history_put(struct store_txn *txn, const struct history_facts *facts)
{
    const Queue__RecipientRecord *recipient = facts->recipient;
    struct record_key key =
        key_of_part(facts->id, recipient ? recipient->recipient->number : facts->number);
    Queue__HistoryRecord record = QUEUE__HISTORY_RECORD__INIT;

    if (facts->message)
        add_message(&record, facts->message);
    if (recipient) {
        record.recipient = recipient->recipient;
        record.next_hop = recipient->next_hop;
        record.attempts = recipient->attempts;
    }
    record.result = facts->result;
    record.decision = facts->decision;
    record.ended_utc_ms = txn->now_ms;
    if (facts->act) {
        record.action = bytes_of_span(span_of(facts->act->action));
        record.by = facts->act->uid + 1;
    }
    return put(txn, &key, &record.base);
}

/* ---- what happened before ----------------------------------------------------------------- */

/* The first few and the last few; what lies between gives way to the newest. */
static struct error *put_note(struct store_txn *txn, uint64_t id, uint32_t number, uint32_t base,
                              uint32_t count, const Queue__NoteRecord *note)
{
    struct record_key key = key_of_note(id, number, base + count);
    struct error *err = put(txn, &key, &note->base);

    if (err || count <= HISTORY_FIRST + HISTORY_LAST)
        return err;
    struct record_key old = key_of_note(id, number, base + count - HISTORY_LAST);
    return remove_row(txn, &old);
}

uint32_t history_tries(const Queue__RecipientRecord *recipient)
{
    return recipient->attempts + recipient->policy_waits + recipient->signing_waits;
}

struct error *history_note_attempt(struct store_txn *txn, const struct history_facts *facts,
                                   int64_t next_ms)
{
    const Queue__RecipientRecord *recipient = facts->recipient;
    Queue__NoteRecord note = QUEUE__NOTE_RECORD__INIT;
    bool counts = !facts->result || (facts->result->kind != IPC__RESULT_KIND__POLICY_UNKNOWN &&
                                     facts->result->kind != IPC__RESULT_KIND__UNSIGNED);

    note.at_utc_ms = txn->now_ms;
    note.result = facts->result;
    note.decision = facts->decision;
    note.next_hop = recipient->next_hop;
    note.next_utc_ms = next_ms;
    note.attempt = counts ? recipient->attempts : 0;
    return put_note(txn, facts->id, recipient->recipient->number, 0, history_tries(recipient),
                    &note);
}

struct error *history_note_act(struct store_txn *txn, uint64_t id,
                               Queue__RecipientRecord *recipient, const struct history_act *act)
{
    Queue__NoteRecord note = QUEUE__NOTE_RECORD__INIT;

    note.at_utc_ms = txn->now_ms;
    note.action = bytes_of_span(span_of(act->action));
    note.by = act->uid + 1;
    note.words = bytes_of_span(act->words);
    note.reason = bytes_of_span(act->reason);
    recipient->notes++;
    return put_note(txn, id, recipient->recipient->number, ACT_SERIAL, recipient->notes, &note);
}

struct error *history_note_notification(struct store_txn *txn, uint64_t id, uint32_t number,
                                        uint64_t notification, unsigned kind, const char *words)
{
    struct record_key key = key_of_note(id, number, NOTIFICATION_SERIAL + kind);
    Queue__NoteRecord note = QUEUE__NOTE_RECORD__INIT;

    note.at_utc_ms = txn->now_ms;
    note.words = bytes_of_span(span_of(words));
    note.notification = notification;
    return put(txn, &key, &note.base);
}

/* ---- what is too old ---------------------------------------------------------------------- */

struct row_times {
    int64_t written_ms;  /* 0: the record is damaged, and of no use to anybody */
    int64_t accepted_ms; /* INT64_MIN: the row does not tell */
};

static struct row_times times_of(struct store_txn *txn, struct span key, struct span value)
{
    ProtobufCAllocator *allocator = &txn->arena->allocator;
    struct row_times times = { 0, INT64_MIN };

    arena_reset(txn->arena);
    if (key.len == 16) {
        const Queue__NoteRecord *note =
            record_read(TABLE_HISTORY, key, value, &queue__note_record__descriptor, allocator);
        times.written_ms = note ? note->at_utc_ms : 0;
        return times;
    }
    const Queue__HistoryRecord *record =
        record_read(TABLE_HISTORY, key, value, &queue__history_record__descriptor, allocator);
    if (record)
        times = (struct row_times){ record->ended_utc_ms, record->accepted_utc_ms };
    return times;
}

/* Where to go on behind a row; false: its key is none of ours. */
static bool step_behind(struct history_expire *expire, struct span key)
{
    uint32_t serial;

    if (key_read_note(key, &expire->after.id, &expire->after.number, &serial)) {
        expire->after.serial = serial + 1;
        return true;
    }
    expire->after.serial = 0;
    return key_read_part(key, &expire->after.id, &expire->after.number);
}

/* One row; *out_over: none behind it can be too old, for ids are given in the order of acceptance.
 */
static struct error *expire_row(struct history_expire *expire, struct store_txn *txn,
                                struct span key, struct span value, bool *out_over)
{
    int64_t before_ms = txn->now_ms - txn->limits.history_ms_max;
    struct row_times times = times_of(txn, key, value);
    struct record_key copy;

    *out_over =
        times.accepted_ms >= before_ms || !step_behind(expire, key) || !key_copy(key, &copy);
    if (*out_over || times.written_ms >= before_ms)
        return NULL;
    count_out(txn, value);
    return store_remove(txn, TABLE_HISTORY, &copy);
}

static struct error *next_row(struct store_txn *txn, const struct history_expire *expire,
                              struct span *out_key, struct span *out_value)
{
    struct record_key at =
        key_of_note(expire->after.id, expire->after.number, expire->after.serial);
    struct kv_cursor *cursor = NULL;
    struct error *err = kv_cursor_open(txn->kv, TABLE_HISTORY, &cursor);

    if (!err)
        err = kv_cursor_seek(cursor, key_span(&at), out_key, out_value);
    kv_cursor_close(&cursor);
    return err;
}

static struct error *apply_expire(struct operation *operation, struct store_txn *txn)
{
    struct history_expire *expire = (struct history_expire *)operation;
    bool over = false;
    struct error *err = NULL;

    expire->after = expire->next;
    for (int i = 0; i < HISTORY_SLICE && !err && !over; i++) {
        struct span key;
        struct span value;
        err = next_row(txn, expire, &key, &value);
        over = !err && !key.data;
        if (!err && !over)
            err = expire_row(expire, txn, key, value, &over);
    }
    expire->more = !over;
    return err;
}

void history_expire_prepare(struct history_expire *expire)
{
    expire->operation.lane = LANE_SETTLEMENT;
    expire->operation.apply = apply_expire;
    expire->operation.bytes = (size_t)HISTORY_SLICE * SLICE_ROW_BYTES;
    expire->next.id = 0;
    expire->next.number = 0;
    expire->next.serial = 0;
}

void history_expire_advance(struct history_expire *expire)
{
    expire->next = expire->after;
}
