#include "queue/store_history.h"

enum { HISTORY_ROW_COST = 32, HISTORY_DROPS_MAX = 64 };

static struct error *drop_first(struct store_txn *txn, struct kv_cursor *cursor, bool *out_dropped)
{
    struct span key;
    struct span value;
    uint64_t id;
    uint32_t number;
    struct error *err = kv_cursor_seek(cursor, SPAN(""), &key, &value);

    *out_dropped = false;
    if (err || !key.data || !key_read_part(key, &id, &number))
        return err;
    uint64_t cost = value.len + HISTORY_ROW_COST;
    struct record_key first = key_of_part(id, number);
    txn->usage.history_bytes -= cost < txn->usage.history_bytes ? cost : txn->usage.history_bytes;
    *out_dropped = true;
    return store_remove(txn, TABLE_HISTORY, &first);
}

/* A few at a time, a few more than come in: after a smaller quota was set it shrinks bit by bit. */
static struct error *keep_quota(struct store_txn *txn)
{
    bool dropped = true;
    struct error *err = NULL;

    for (int i = 0; i < HISTORY_DROPS_MAX && dropped && !err; i++) {
        struct kv_cursor *cursor = NULL;
        if (txn->usage.history_bytes <= txn->limits.history_bytes_max)
            break;
        err = kv_cursor_open(txn->kv, TABLE_HISTORY, &cursor);
        if (!err)
            err = drop_first(txn, cursor, &dropped);
        kv_cursor_close(&cursor);
    }
    return err;
}

struct error *history_put(struct store_txn *txn, const struct history_facts *facts)
{
    const Queue__RecipientRecord *recipient = facts->recipient;
    struct record_key key = key_of_part(facts->id, recipient->recipient->number);
    Queue__HistoryRecord record = QUEUE__HISTORY_RECORD__INIT;

    record.sender = facts->message->envelope->reverse_path->text;
    record.recipient = recipient->recipient;
    record.next_hop = recipient->next_hop;
    record.attempts = recipient->attempts;
    record.result = facts->result;
    record.decision = facts->decision;
    record.accepted_utc_ms = facts->message->accepted_utc_ms;
    record.ended_utc_ms = txn->now_ms;
    record.size = facts->message->size;
    struct error *err = store_put(txn, TABLE_HISTORY, &key, &record.base);
    if (err)
        return err;
    txn->usage.history_bytes += record_size(&record.base) + HISTORY_ROW_COST;
    return keep_quota(txn);
}
