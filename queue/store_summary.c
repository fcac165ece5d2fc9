#include "queue/store_summary.h"

#include "lib/base/clock.h"
#include "queue/ages.h"
#include "queue/reading.h"

enum {
    STEP_MS = 10, /* of the loop's time */
    ROWS_PER_LOOK = 16,
};

static void add_ages(struct json *row, const Queue__HopRecord *hop, int64_t now_ms)
{
    static const char *const names[AGES_COLUMNS] = { "5",   "10",  "20",  "40",   "80",
                                                     "160", "320", "640", "1280", "1280+" };
    uint64_t columns[AGES_COLUMNS];
    struct ages ages;

    ages_load(&ages, hop);
    ages_by_column(&ages, now_ms, columns);
    for (size_t i = 0; i < AGES_COLUMNS; i++)
        json_add_number(row, names[i], (int64_t)columns[i]);
    uint64_t known = ages_rows(&ages);
    json_add_number(row, "unknown", hop->waiting > known ? (int64_t)(hop->waiting - known) : 0);
}

static const char *state_of(const Queue__HopRecord *hop, int64_t now_ms)
{
    if (hop->operator_until_utc_ms > now_ms)
        return "suspended";
    return hop->suspended_until_utc_ms > now_ms ? "resting" : "open";
}

/* Until when, and why; both null when it is not suspended. */
static void add_suspension(struct json *row, const Queue__HopRecord *hop, int64_t now_ms)
{
    if (hop->operator_until_utc_ms <= now_ms) {
        json_add_null(row, "suspended_until");
        json_add_null(row, "suspended_reason");
        return;
    }
    if (hop->operator_until_utc_ms == INT64_MAX)
        json_add_string(row, "suspended_until", "resumed");
    else
        add_time(row, "suspended_until", hop->operator_until_utc_ms);
    add_bytes(row, "suspended_reason", hop->operator_reason);
}

void add_hop_state(struct json *object, const Queue__HopRecord *hop, int64_t now_ms)
{
    const Queue__HopRecord none = QUEUE__HOP_RECORD__INIT;

    if (!hop)
        hop = &none;
    json_add_string(object, "hop_state", state_of(hop, now_ms));
    add_time(object, "rests_until",
             hop->suspended_until_utc_ms > now_ms ? hop->suspended_until_utc_ms : 0);
    add_suspension(object, hop, now_ms);
}

static void summary_row(struct reading *r, struct span key, struct span value, struct json *array)
{
    const Queue__HopRecord *hop =
        record_read(TABLE_HOP, key, value, &queue__hop_record__descriptor, &r->arena.allocator);
    struct json *row = json_append_object(array);

    json_add_text(row, "next_hop", span_first(key, key.len - 1)); /* without its NUL */
    if (!hop) {
        json_add_string(row, "state", "damaged");
        return;
    }
    json_add_string(row, "state", state_of(hop, r->now_ms));
    json_add_number(row, "waiting", (int64_t)hop->waiting);
    add_ages(row, hop, r->now_ms);
    json_add_number(row, "failures", hop->failures);
    add_time(row, "rests_until",
             hop->suspended_until_utc_ms > r->now_ms ? hop->suspended_until_utc_ms : 0);
    add_suspension(row, hop, r->now_ms);
}

/* The first hop behind the one of that name; the very first behind none. */
static struct error *seek_behind(struct kv_cursor *cursor, const char *after, struct span *out_key,
                                 struct span *out_value)
{
    struct record_key from = key_of_hop(span_of(after));

    if (after[0] == '\0')
        return kv_cursor_seek(cursor, SPAN(""), out_key, out_value);
    struct error *err = kv_cursor_seek(cursor, key_span(&from), out_key, out_value);
    if (!err && out_key->data && span_equal(*out_key, key_span(&from)))
        err = kv_cursor_next(cursor, out_key, out_value);
    return err;
}

static struct error *summary_rows(struct reading *r, char after[HOP_NAME_MAX + 1], size_t most,
                                  struct json *array, bool *out_more)
{
    struct kv_cursor *cursor = NULL;
    struct span key = { NULL, 0 };
    struct span value;
    int64_t until_ms = clock_monotonic_ms() + STEP_MS;

    struct error *err = kv_cursor_open(r->txn, TABLE_HOP, &cursor);
    if (!err)
        err = seek_behind(cursor, after, &key, &value);
    for (size_t count = 0; !err && key.data && count < most; count++) {
        if (count > 0 && count % ROWS_PER_LOOK == 0 && clock_monotonic_ms() > until_ms)
            break;
        arena_reset(&r->arena);
        summary_row(r, key, value, array);
        span_to_string(span_first(key, key.len - 1), after, HOP_NAME_MAX + 1);
        err = kv_cursor_next(cursor, &key, &value);
    }
    *out_more = !err && key.data;
    kv_cursor_close(&cursor);
    return err;
}

struct error *store_summary(struct store *store, char after[HOP_NAME_MAX + 1], size_t most,
                            struct json *array, bool *out_more)
{
    struct reading r = { .txn = NULL };
    struct error *err = reading_begin(&r, store);

    *out_more = false;
    if (!err)
        err = summary_rows(&r, after, most, array, out_more);
    reading_end(&r);
    return err;
}

/* ---- one hop ------------------------------------------------------------------------------ */

struct error *store_add_hop(struct store *store, struct span name, struct json *object)
{
    struct record_key key = key_of_hop(name);
    struct reading r = { .txn = NULL };
    struct error *err = reading_begin(&r, store);

    if (!err) {
        const Queue__HopRecord *hop =
            reading_record(&r, TABLE_HOP, &key, &queue__hop_record__descriptor);
        bool is_suspended = hop && hop->operator_until_utc_ms > r.now_ms;
        add_hop_state(object, hop, r.now_ms);
        add_operator(object, "suspended_by", is_suspended ? hop->operator_by : 0);
    }
    reading_end(&r);
    return err;
}

/* ---- what operators suspended ------------------------------------------------------------- */

/* Appends a row while there is room for it; gives whether the hop is suspended. */
static bool suspension_row(struct reading *r, struct span name, size_t most, struct json *array)
{
    struct record_key key = key_of_hop(name);
    const Queue__HopRecord *hop =
        reading_record(r, TABLE_HOP, &key, &queue__hop_record__descriptor);

    if (!hop || hop->operator_until_utc_ms <= r->now_ms)
        return false; /* it is over: its row goes when it is next looked at */
    if (json_count(array) >= most)
        return true;
    struct json *row = json_append_object(array);
    json_add_text(row, "next_hop", name);
    add_suspension(row, hop, r->now_ms);
    add_operator(row, "by", hop->operator_by);
    return true;
}

/* Operators do not suspend hops by the thousand: they are all looked at. */
static struct error *suspension_rows(struct reading *r, size_t most, struct json *array,
                                     int64_t *out_more)
{
    struct kv_cursor *cursor = NULL;
    struct span key = { NULL, 0 };
    struct span value;
    int64_t count = 0;

    struct error *err = kv_cursor_open(r->txn, TABLE_META, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, span_of(SUSPENDED_PREFIX), &key, &value);
    while (!err && key.data && span_starts_with(key, span_of(SUSPENDED_PREFIX))) {
        arena_reset(&r->arena);
        count += suspension_row(r, span_from(key, sizeof(SUSPENDED_PREFIX) - 1), most, array);
        err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    *out_more = count - (int64_t)json_count(array);
    return err;
}

struct error *store_add_suspensions(struct store *store, size_t most, struct json *array,
                                    int64_t *out_more)
{
    struct reading r = { .txn = NULL };
    struct error *err = reading_begin(&r, store);

    *out_more = 0;
    if (!err)
        err = suspension_rows(&r, most, array, out_more);
    reading_end(&r);
    return err;
}
