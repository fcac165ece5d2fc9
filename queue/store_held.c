#include "queue/store_held.h"

#include <string.h>

#include "lib/ipc/channel.h"

static const char unknown_reason[] =
    "it was held in the queue it comes from; why could not be read there";

struct error *held_get(struct store_txn *txn, uint64_t id, Queue__HeldRecord **out_record)
{
    struct record_key key = key_of_id(id);
    struct error *err;

    *out_record = NULL;
    err = store_get(txn, TABLE_HELD, &key, &queue__held_record__descriptor, out_record);
    if (err && store_txn_trouble(txn) == KV_FINE)
        error_free(&err);
    return err;
}

bool held_is_damage_alone(const Queue__HeldRecord *record)
{
    return record->damaged && record->by == 0;
}

/* "phishing; a record is damaged" */
static ProtobufCBinaryData both_reasons(struct store_txn *txn, ProtobufCBinaryData said,
                                        struct span more)
{
    static const char between[] = "; ";
    size_t len = said.len + sizeof(between) - 1 + more.len;

    if (said.len == 0) /* he gave none */
        return bytes_of_span(more);
    char *both = arena_take(txn->arena, len);
    memcpy(both, said.data, said.len);
    memcpy(both + said.len, between, sizeof(between) - 1);
    memcpy(both + len - more.len, more.data, more.len);
    return bytes_of_span((struct span){ both, len });
}

/* By an operator and for what the relay found: both are said, and that it is his stays known. */
static void add_reason(struct store_txn *txn, const Queue__HeldRecord *before,
                       const struct held_facts *facts, Queue__HeldRecord *record)
{
    bool is_said = (before->damaged && facts->is_damaged) ||
                   span_ends_with_nocase(span_of_bytes(before->reason), facts->reason);

    record->reason = is_said ? before->reason : both_reasons(txn, before->reason, facts->reason);
    record->since_utc_ms = before->since_utc_ms;
    record->by = before->by != 0 ? before->by : facts->by;
}

struct error *held_put(struct store_txn *txn, uint64_t id, const struct held_facts *facts)
{
    struct record_key key = key_of_id(id);
    Queue__HeldRecord record = QUEUE__HELD_RECORD__INIT;
    Queue__HeldRecord *before;
    struct error *err = held_get(txn, id, &before);

    if (err)
        return err;
    bool was_damaged = before && before->damaged;
    record.reason = bytes_of_span(facts->reason);
    record.since_utc_ms = txn->now_ms;
    record.by = facts->by;
    record.damaged = facts->is_damaged || was_damaged;
    bool keeps_operators = before && before->by != 0 && facts->by == 0;
    bool keeps_damage = before && !facts->is_damaged && held_is_damage_alone(before);
    if (keeps_operators || keeps_damage)
        add_reason(txn, before, facts, &record);
    txn->usage.damaged_messages += record.damaged && !was_damaged;
    return store_put(txn, TABLE_HELD, &key, &record.base);
}

struct error *held_restore(struct store_txn *txn, uint64_t id, const Queue__HeldRecord *before)
{
    struct record_key key = key_of_id(id);
    Queue__HeldRecord record = QUEUE__HELD_RECORD__INIT;

    record.reason = before ? before->reason : bytes_of_span(span_of(unknown_reason));
    record.since_utc_ms = before ? before->since_utc_ms : txn->now_ms;
    record.by = before ? before->by : 0;
    return store_put(txn, TABLE_HELD, &key, &record.base);
}

struct error *held_remove(struct store_txn *txn, uint64_t id)
{
    struct record_key key = key_of_id(id);
    Queue__HeldRecord *before;
    struct error *err = held_get(txn, id, &before);

    if (err)
        return err;
    if (before && before->damaged && txn->usage.damaged_messages > 0)
        txn->usage.damaged_messages--;
    return store_remove(txn, TABLE_HELD, &key);
}
