#include "queue/store_hops.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/ages.h"

/* One hop touched in this transaction. */
struct hop_row {
    struct list others;
    struct record_key key;
    struct span name; /* lent from the key */
    Queue__HopRecord record;
    struct ages ages;
    char *operator_reason; /* what the record points to */
    bool suspension_changed;
};

struct hops {
    struct map *by_name;
    struct list rows;
};

struct hops *hops_new(void)
{
    struct hops *hops = memory_new(sizeof(*hops));

    hops->by_name = map_new();
    list_init(&hops->rows);
    return hops;
}

void hops_reset(struct hops *hops)
{
    while (!list_empty(&hops->rows)) {
        struct hop_row *row = LIST_FIRST(&hops->rows, struct hop_row, others);
        map_remove(hops->by_name, row->name);
        list_remove(&row->others);
        free(row->operator_reason);
        free(row);
    }
}

void hops_free(struct hops **hops)
{
    if (!*hops)
        return;
    hops_reset(*hops);
    map_free(&(*hops)->by_name);
    free(*hops);
    *hops = NULL;
}

static void set_suspension(struct hop_row *row, int64_t until_ms, struct span reason, uint32_t by)
{
    free(row->operator_reason);
    row->operator_reason = memory_new(reason.len + 1);
    memcpy(row->operator_reason, reason.len > 0 ? reason.data : "", reason.len);
    row->record.operator_until_utc_ms = until_ms;
    row->record.operator_reason = bytes_of_span((struct span){ row->operator_reason, reason.len });
    row->record.operator_by = by;
}

/* Numbers, and texts and ages in room of their own: nothing points into the arena. */
static void row_load(struct hop_row *row, const Queue__HopRecord *stored)
{
    row->record.waiting = stored->waiting;
    row->record.earliest_utc_ms = stored->earliest_utc_ms;
    row->record.suspended_until_utc_ms = stored->suspended_until_utc_ms;
    row->record.failures = stored->failures;
    row->record.wake_utc_ms = stored->wake_utc_ms;
    row->record.counted_deferred = stored->counted_deferred;
    row->record.dns_silent_utc_ms = stored->dns_silent_utc_ms;
    if (stored->operator_until_utc_ms != 0)
        set_suspension(row, stored->operator_until_utc_ms, span_of_bytes(stored->operator_reason),
                       stored->operator_by);
    ages_load(&row->ages, stored);
}

/* ---- a row that cannot be read ------------------------------------------------------------- */

/* How much waits, and since when it is due, as the rows of `due` say. */
static struct error *count_rows(struct kv_cursor *cursor, struct hop_row *row)
{
    struct due at = { .hop = row->name };
    struct record_key from = key_of_due(&at);
    struct span key;
    struct span value;
    struct error *err = kv_cursor_seek(cursor, key_span(&from), &key, &value);

    while (!err && key.data && key_read_due(key, &at) && span_equal(at.hop, row->name)) {
        if (row->record.waiting++ == 0 || at.utc_ms < row->record.earliest_utc_ms)
            row->record.earliest_utc_ms = at.utc_ms;
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

static struct error *find_wake(struct kv_cursor *cursor, struct hop_row *row)
{
    struct span key;
    struct span value;
    struct span name;
    int64_t utc_ms;
    struct error *err = kv_cursor_seek(cursor, SPAN(""), &key, &value);

    while (!err && key.data && key_read_wake(key, &utc_ms, &name) && row->record.wake_utc_ms == 0) {
        if (span_equal(name, row->name))
            row->record.wake_utc_ms = utc_ms;
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

typedef struct error *row_find_fn(struct kv_cursor *cursor, struct hop_row *row);

static struct error *in_table(struct store_txn *txn, enum queue_table table, row_find_fn *find,
                              struct hop_row *row)
{
    struct kv_cursor *cursor = NULL;
    struct error *err = kv_cursor_open(txn->kv, table, &cursor);

    if (!err)
        err = find(cursor, row);
    kv_cursor_close(&cursor);
    return err;
}

/* What an operator stopped stays so: `meta` says that it is, but not until when. */
static struct error *find_suspension(struct store_txn *txn, struct hop_row *row)
{
    struct record_key key = key_of_suspended(row->name);
    struct span value;
    struct error *err = kv_get(txn->kv, TABLE_META, key_span(&key), &value);

    if (!err && value.data)
        set_suspension(row, INT64_MAX, SPAN("its record was damaged: resume it when you wish"), 0);
    return err;
}

/* Its counts are found again; when its mail arrived and its failures are lost. */
static struct error *rebuild(struct store_txn *txn, struct hop_row *row)
{
    struct log_line line;

    log_begin(&line, LOG_ERROR, "queue-hop-rebuilt");
    log_text(&line, "hop", row->name);
    log_end(&line);
    struct error *err = in_table(txn, TABLE_DUE, count_rows, row);
    if (!err)
        err = in_table(txn, TABLE_WAKE, find_wake, row);
    return err ? err : find_suspension(txn, row);
}

static struct error *row_of(struct store_txn *txn, struct span hop, struct hop_row **out_row)
{
    struct hop_row *row = map_get(txn->hops->by_name, hop);
    Queue__HopRecord *stored = NULL;

    if (row) {
        *out_row = row;
        return NULL;
    }
    row = memory_new(sizeof(*row));
    row->key = key_of_hop(hop);
    row->name = (struct span){ row->key.bytes, hop.len };
    queue__hop_record__init(&row->record);
    struct error *err =
        store_get(txn, TABLE_HOP, &row->key, &queue__hop_record__descriptor, &stored);
    if (err && store_txn_trouble(txn) == KV_FINE) {
        error_free(&err);
        err = rebuild(txn, row);
    }
    if (err) {
        free(row->operator_reason);
        free(row);
        return err;
    }
    if (stored)
        row_load(row, stored);
    list_append(&txn->hops->rows, &row->others);
    map_put(txn->hops->by_name, row->name, row);
    *out_row = row;
    return NULL;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* When it is to be looked at; 0: never by itself.  A hop at which nothing waits is looked at when
 * its suspension ends, for then its row may go. */
static int64_t wake_of(const Queue__HopRecord *hop)
{
    int64_t until_ms = hop->operator_until_utc_ms;

    if (until_ms == INT64_MAX)
        return 0;
    if (hop->waiting == 0)
        return until_ms;
    return later(until_ms, later(hop->suspended_until_utc_ms, hop->earliest_utc_ms));
}

/* Moves the hop's row in `wake`, which is keyed by its time. */
static struct error *flush_wake(struct store_txn *txn, struct hop_row *row)
{
    int64_t wake_ms = wake_of(&row->record);
    struct error *err = NULL;

    if (wake_ms == row->record.wake_utc_ms)
        return NULL;
    if (row->record.wake_utc_ms > 0) {
        struct record_key old = key_of_wake(row->record.wake_utc_ms, row->name);
        err = store_remove(txn, TABLE_WAKE, &old);
    }
    row->record.wake_utc_ms = wake_ms;
    if (err || wake_ms == 0)
        return err;
    struct record_key fresh = key_of_wake(wake_ms, row->name);
    return kv_put(txn->kv, TABLE_WAKE, key_span(&fresh), SPAN(""));
}

/* A hop whose row goes is none that defers. */
static void count_deferred(struct store_txn *txn, struct hop_row *row)
{
    bool is_deferred = row->record.waiting > 0 && row->record.failures > 0;

    if (is_deferred && !row->record.counted_deferred)
        txn->usage.deferred_hops++;
    if (!is_deferred && row->record.counted_deferred && txn->usage.deferred_hops > 0)
        txn->usage.deferred_hops--;
    row->record.counted_deferred = is_deferred;
}

/* One whose time is over is none; `meta` lists the others, for they are few among many hops. */
static struct error *flush_suspension(struct store_txn *txn, struct hop_row *row)
{
    struct record_key key = key_of_suspended(row->name);

    if (row->record.operator_until_utc_ms != 0 &&
        row->record.operator_until_utc_ms <= txn->now_ms) {
        set_suspension(row, 0, SPAN(""), 0);
        row->suspension_changed = true;
    }
    if (!row->suspension_changed)
        return NULL;
    if (row->record.operator_until_utc_ms == 0)
        return store_remove(txn, TABLE_META, &key);
    return kv_put(txn->kv, TABLE_META, key_span(&key), SPAN(""));
}

static struct error *flush_row(struct store_txn *txn, struct hop_row *row)
{
    struct error *err = flush_suspension(txn, row);

    if (!err)
        err = flush_wake(txn, row);
    if (err)
        return err;
    count_deferred(txn, row);
    if (row->record.waiting == 0 && row->record.operator_until_utc_ms == 0)
        return store_remove(txn, TABLE_HOP, &row->key); /* nothing waits: nothing to remember */
    ages_store(&row->ages, &row->record);
    return store_put(txn, TABLE_HOP, &row->key, &row->record.base);
}

struct error *hops_flush(struct store_txn *txn)
{
    struct hop_row *row;
    struct error *err = NULL;

    LIST_EACH(row, &txn->hops->rows, struct hop_row, others)
    {
        if (!err)
            err = flush_row(txn, row);
    }
    return err;
}

/* New mail waits at most so long behind DNS that was silent. */
static void shorten_rest(struct hop_row *row, int64_t now_ms)
{
    int64_t until_ms = later(row->record.dns_silent_utc_ms + SCHEDULE_DNS_REST_MS, now_ms);

    if (row->record.dns_silent_utc_ms > 0 && until_ms < row->record.suspended_until_utc_ms)
        row->record.suspended_until_utc_ms = until_ms;
}

struct error *hops_add_due(struct store_txn *txn, const struct due *due, int64_t arrived_utc_ms)
{
    struct hop_row *row;
    struct record_key key = key_of_due(due);
    struct error *err = row_of(txn, due->hop, &row);

    if (err)
        return err;
    if (row->record.waiting == 0 || due->utc_ms < row->record.earliest_utc_ms)
        row->record.earliest_utc_ms = due->utc_ms;
    row->record.waiting++;
    if (due->utc_ms <= txn->now_ms)
        shorten_rest(row, txn->now_ms);
    ages_add(&row->ages, arrived_utc_ms, txn->now_ms);
    return kv_put(txn->kv, TABLE_DUE, key_span(&key), SPAN(""));
}

struct error *hops_remove_due(struct store_txn *txn, const struct due *due, int64_t arrived_utc_ms)
{
    struct hop_row *row;
    struct record_key key = key_of_due(due);
    struct error *err = row_of(txn, due->hop, &row);

    if (err)
        return err;
    if (row->record.waiting > 0)
        row->record.waiting--;
    ages_remove(&row->ages, arrived_utc_ms);
    return store_remove(txn, TABLE_DUE, &key);
}

struct error *hops_fail(struct store_txn *txn, struct span hop, bool dns_was_silent, uint32_t dice)
{
    struct hop_row *row;
    struct error *err = row_of(txn, hop, &row);

    /* Jobs that were under way when the rest began tell nothing new. */
    if (err || row->record.suspended_until_utc_ms > txn->now_ms)
        return err;
    row->record.failures++;
    row->record.dns_silent_utc_ms = dns_was_silent ? txn->now_ms : 0;
    row->record.suspended_until_utc_ms =
        txn->now_ms +
        schedule_hop_rest(schedule_rules_of(txn->schedule, hop), row->record.failures, dice);
    return NULL;
}

struct error *hops_revive(struct store_txn *txn, struct span hop, bool *out_after_rest)
{
    struct hop_row *row;
    struct error *err = row_of(txn, hop, &row);

    *out_after_rest = false;
    if (err)
        return err;
    *out_after_rest = row->record.failures > 0 && row->record.suspended_until_utc_ms <= txn->now_ms;
    row->record.failures = 0;
    row->record.suspended_until_utc_ms = 0;
    row->record.dns_silent_utc_ms = 0;
    return NULL;
}

struct error *hops_suspend(struct store_txn *txn, struct span hop, int64_t until_ms,
                           struct span reason, uint32_t by)
{
    struct hop_row *row;
    struct error *err = row_of(txn, hop, &row);

    if (err)
        return err;
    set_suspension(row, until_ms, reason, by);
    row->suspension_changed = true;
    return NULL;
}

struct error *hops_is_suspended(struct store_txn *txn, struct span hop, bool *out)
{
    struct hop_row *row;
    struct error *err = row_of(txn, hop, &row);

    *out = !err && row->record.operator_until_utc_ms > txn->now_ms;
    return err;
}

struct error *hops_resume(struct store_txn *txn, struct span hop, bool *out_was_suspended)
{
    struct hop_row *row;
    struct error *err = hops_is_suspended(txn, hop, out_was_suspended);

    if (!err)
        err = row_of(txn, hop, &row);
    if (err)
        return err;
    if (row->record.operator_until_utc_ms == 0)
        return NULL;
    set_suspension(row, 0, SPAN(""), 0);
    row->suspension_changed = true;
    return NULL;
}

/* ---- the true earliest time --------------------------------------------------------------- */

/* The first row at or behind `from` that belongs to the same hop. */
static struct error *first_from(struct kv_cursor *cursor, const struct due *from, struct due *out,
                                bool *out_found)
{
    struct record_key at = key_of_due(from);
    struct span key;
    struct span value;
    struct error *err = kv_cursor_seek(cursor, key_span(&at), &key, &value);

    *out_found = !err && key.data && key_read_due(key, out) && span_equal(out->hop, from->hop);
    return err;
}

/* Rows of one class and bucket are in the order of time: one seek for each bucket that is filled.
 */
static struct error *earliest_of(struct kv_cursor *cursor, struct span hop,
                                 int64_t *out_earliest_ms)
{
    struct due from = { .hop = hop };
    struct due at;
    bool found;
    struct error *err = first_from(cursor, &from, &at, &found);

    *out_earliest_ms = INT64_MAX;
    while (!err && found) {
        if (at.utc_ms < *out_earliest_ms)
            *out_earliest_ms = at.utc_ms;
        from.due_class = at.due_class;
        from.bucket = at.bucket + 1;
        err = first_from(cursor, &from, &at, &found);
    }
    return err;
}

struct error *hops_correct(struct store_txn *txn, struct span hop)
{
    struct hop_row *row;
    struct kv_cursor *cursor = NULL;
    int64_t earliest_ms = 0;
    int64_t horizon_ms = schedule_horizon(txn->schedule, txn->now_ms);
    struct error *err = row_of(txn, hop, &row);

    if (!err)
        err = kv_cursor_open(txn->kv, TABLE_DUE, &cursor);
    if (!err)
        err = earliest_of(cursor, row->name, &earliest_ms);
    kv_cursor_close(&cursor);
    if (err)
        return err;
    if (earliest_ms == INT64_MAX) {
        row->record.waiting = 0; /* heals counts that went astray */
        row->ages.count = 0;
        return NULL;
    }
    row->record.earliest_utc_ms = earliest_ms;
    if (row->record.suspended_until_utc_ms > horizon_ms)
        row->record.suspended_until_utc_ms = 0;
    return NULL;
}

/* ---- a row whose recipient cannot be read -------------------------------------------------- */

static struct error *find_row(struct kv_cursor *cursor, struct due *at, uint64_t id,
                              uint32_t number, bool *out_found)
{
    struct span hop = at->hop;
    struct span value;
    struct span key;
    struct error *err = first_from(cursor, at, at, out_found);

    while (!err && *out_found && (at->id != id || at->number != number)) {
        err = kv_cursor_next(cursor, &key, &value);
        *out_found = !err && key.data && key_read_due(key, at) && span_equal(at->hop, hop);
    }
    at->hop = hop;
    return err;
}

struct error *hops_drop(struct store_txn *txn, struct span hop, uint64_t id, uint32_t number)
{
    struct kv_cursor *cursor = NULL;
    struct due at = { .hop = hop };
    bool found = false;
    struct error *err = kv_cursor_open(txn->kv, TABLE_DUE, &cursor);

    if (!err)
        err = find_row(cursor, &at, id, number, &found);
    kv_cursor_close(&cursor);
    return err || !found ? err : hops_remove_due(txn, &at, 0);
}
