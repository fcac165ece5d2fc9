#include "queue/store_held.h"

#include "lib/ipc/channel.h"
#include "queue/records.pb-c.h"

/* Is it held because of damage?  A record that is damaged itself says so. */
static struct error *is_damaged(struct store_txn *txn, const struct record_key *key, bool *out)
{
    Queue__HeldRecord *record = NULL;
    struct error *err = store_get(txn, TABLE_HELD, key, &queue__held_record__descriptor, &record);

    *out = record && record->damaged;
    if (err && store_txn_trouble(txn) == KV_FINE)
        error_free(&err);
    return err;
}

struct error *held_put(struct store_txn *txn, uint64_t id, const struct held_facts *facts)
{
    struct record_key key = key_of_id(id);
    Queue__HeldRecord record = QUEUE__HELD_RECORD__INIT;
    bool was_damaged;
    struct error *err = is_damaged(txn, &key, &was_damaged);

    if (err)
        return err;
    record.reason = bytes_of_span(facts->reason);
    record.since_utc_ms = txn->now_ms;
    record.by = facts->by;
    record.damaged = facts->is_damaged || was_damaged;
    txn->usage.damaged_messages += record.damaged && !was_damaged;
    return store_put(txn, TABLE_HELD, &key, &record.base);
}

struct error *held_remove(struct store_txn *txn, uint64_t id)
{
    struct record_key key = key_of_id(id);
    bool was_damaged;
    struct error *err = is_damaged(txn, &key, &was_damaged);

    if (err)
        return err;
    if (was_damaged && txn->usage.damaged_messages > 0)
        txn->usage.damaged_messages--;
    return store_remove(txn, TABLE_HELD, &key);
}
