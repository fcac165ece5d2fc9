#include "queue/store_read.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/network.h"
#include "lib/ipc/channel.h"
#include "queue/ages.h"

#include <string.h>

enum { SHOWN_MAX = 1000 }; /* recipients of one message */

/* One read transaction. */
struct reading {
    struct kv_txn *txn;
    struct arena arena;
    int64_t now_ms;
};

static struct error *reading_begin(struct reading *r, struct store *store)
{
    r->now_ms = clock_utc_ms();
    arena_init(&r->arena);
    return kv_begin_read(store_kv(store), &r->txn);
}

static void reading_end(struct reading *r)
{
    kv_abort(&r->txn);
    arena_clear(&r->arena);
}

static void *read_record(struct reading *r, enum queue_table table, const struct record_key *key,
                         const ProtobufCMessageDescriptor *as)
{
    return store_look_up(r->txn, table, key, as, &r->arena);
}

static void add_time(struct json *object, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format_rfc3339(utc_ms, text);
    json_add_string(object, key, text);
}

static void add_id(struct json *object, const char *key, uint64_t id)
{
    char text[QID_TEXT_SIZE];

    qid_format(id, text);
    json_add_string(object, key, text);
}

static void add_bytes(struct json *object, const char *key, ProtobufCBinaryData bytes)
{
    json_add_text(object, key, span_of_bytes(bytes));
}

/* ---- recipients that wait ----------------------------------------------------------------- */

/* A hop that rests keeps all its mail waiting. */
static int64_t next_try(struct reading *r, const Queue__RecipientRecord *recipient)
{
    struct record_key key = key_of_hop(span_of_bytes(recipient->next_hop));
    const Queue__HopRecord *hop = read_record(r, TABLE_HOP, &key, &queue__hop_record__descriptor);

    if (hop && hop->suspended_until_utc_ms > recipient->due_utc_ms)
        return hop->suspended_until_utc_ms;
    return recipient->due_utc_ms;
}

static const char *state_of(const Queue__RecipientRecord *recipient)
{
    if (recipient->held)
        return "held";
    if (recipient->policy_waits > 0 && recipient->attempts == 0)
        return "waits for policy";
    return recipient->attempts > 0 ? "deferred" : "queued";
}

static void add_waiting(struct reading *r, struct json *object,
                        const Queue__RecipientRecord *recipient)
{
    add_bytes(object, "recipient", recipient->recipient->forward_path->text);
    add_bytes(object, "next_hop", recipient->next_hop);
    json_add_number(object, "attempts", recipient->attempts);
    if (recipient->held)
        json_add_null(object, "next_try");
    else
        add_time(object, "next_try", next_try(r, recipient));
    if (recipient->last_result)
        add_bytes(object, "last_reply", recipient->last_result->reply);
    else
        json_add_string(object, "last_reply", "");
}

/* A row of the list; messages of which something is damaged are left to salvage. */
static void list_row(struct reading *r, struct row_place at, struct json *array)
{
    struct record_key key = key_of_part(at.id, at.number);
    const Queue__RecipientRecord *recipient =
        read_record(r, TABLE_RECIPIENT, &key, &queue__recipient_record__descriptor);
    key = key_of_id(at.id);
    const Queue__MessageRecord *message =
        read_record(r, TABLE_MESSAGE, &key, &queue__message_record__descriptor);
    struct json *row = json_append_object(array);

    add_id(row, "id", at.id);
    if (!recipient || !message) {
        json_add_string(row, "state", "damaged");
        return;
    }
    add_bytes(row, "sender", message->envelope->reverse_path->text);
    add_waiting(r, row, recipient);
    json_add_number(row, "size", (int64_t)message->size);
    json_add_number(row, "age", (r->now_ms - message->accepted_utc_ms) / SECOND_MS);
    json_add_string(row, "state", state_of(recipient));
}

static struct error *list_rows(struct reading *r, struct row_place *place, size_t most,
                               struct json *array, bool *out_more)
{
    struct record_key start = key_of_part(place->id, place->number);
    struct kv_cursor *cursor = NULL;
    struct row_place at;
    struct span key = { NULL, 0 };
    struct span value;
    size_t count = 0;

    struct error *err = kv_cursor_open(r->txn, TABLE_RECIPIENT, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, key_span(&start), &key, &value);
    while (!err && key.data && count < most && key_read_part(key, &at.id, &at.number)) {
        arena_reset(&r->arena);
        list_row(r, at, array);
        *place = (struct row_place){ at.id, at.number + 1 };
        count++;
        err = kv_cursor_next(cursor, &key, &value);
    }
    *out_more = !err && key.data;
    kv_cursor_close(&cursor);
    return err;
}

struct error *store_list(struct store *store, struct row_place *place, size_t most,
                         struct json *array, bool *out_more)
{
    struct reading r = { .txn = NULL };
    struct error *err = reading_begin(&r, store);

    *out_more = false;
    if (!err)
        err = list_rows(&r, place, most, array, out_more);
    reading_end(&r);
    return err;
}

/* ---- one message -------------------------------------------------------------------------- */

static void add_candidate(struct json *array, const Ipc__Candidate *candidate)
{
    struct json *object = json_append_object(array);

    add_bytes(object, "mx", candidate->mx);
    add_bytes(object, "address", candidate->address);
    add_bytes(object, "verdict", candidate->verdict);
    add_bytes(object, "tls", candidate->tls);
    add_bytes(object, "tls_version", candidate->tls_version);
    add_bytes(object, "cipher", candidate->cipher);
    add_bytes(object, "certificate", candidate->certificate);
    add_bytes(object, "reply", candidate->reply);
}

static void add_decision(struct json *object, const Ipc__Decision *decision)
{
    if (!decision) {
        json_add_null(object, "decision");
        return;
    }
    struct json *shown = json_add_object(object, "decision");
    add_time(shown, "at", decision->at_utc_ms);
    json_add_number(shown, "took_ms", decision->took_ms);
    add_bytes(shown, "policy", decision->policy);
    add_bytes(shown, "policy_id", decision->policy_id);
    if (decision->policy_expires_utc_ms > 0)
        add_time(shown, "policy_expires", decision->policy_expires_utc_ms);
    if (decision->policy_trouble.len > 0)
        add_bytes(shown, "policy_trouble", decision->policy_trouble);
    struct json *candidates = json_add_array(shown, "candidates");
    for (size_t i = 0; i < decision->n_candidates; i++)
        add_candidate(candidates, decision->candidates[i]);
}

static void add_client(struct json *object, const Ipc__Envelope *envelope)
{
    struct ip_address address = { .family =
                                      envelope->client_address.len == 4 ? ADDRESS_V4 : ADDRESS_V6 };
    char text[NETWORK_TEXT_SIZE] = "";

    if (envelope->client_address.len == 4 || envelope->client_address.len == 16) {
        memcpy(address.bytes, envelope->client_address.data, envelope->client_address.len);
        ip_address_format(&address, text);
    }
    add_bytes(object, "client_name", envelope->client_name);
    json_add_string(object, "client_address", text);
    add_bytes(object, "user", envelope->user);
}

static void add_message(struct reading *r, struct json *object, uint64_t id,
                        const Queue__MessageRecord *message)
{
    struct record_key key = key_of_id(id);
    const Queue__HeldRecord *held =
        read_record(r, TABLE_HELD, &key, &queue__held_record__descriptor);
    const Ipc__Envelope *envelope = message->envelope;

    add_bytes(object, "sender", envelope->reverse_path->text);
    add_time(object, "accepted", message->accepted_utc_ms);
    json_add_number(object, "size", (int64_t)message->size);
    add_client(object, envelope);
    json_add_string(object, "body", envelope->body == 1 ? "8BITMIME" : "7BIT");
    json_add_bool(object, "requiretls", envelope->requiretls);
    json_add_bool(object, "notification", message->notification);
    json_add_number(object, "waiting", message->pending);
    if (held)
        add_bytes(object, "held", held->reason);
}

static const char *final_state(const Queue__HistoryRecord *record)
{
    return record->result && record->result->kind == IPC__RESULT_KIND__DELIVERED ? "delivered"
                                                                                 : "failed";
}

static void show_waiting(struct reading *r, uint64_t id, uint32_t number, struct span value,
                         struct json *array)
{
    struct record_key key = key_of_part(id, number);
    const Queue__RecipientRecord *recipient =
        record_read(TABLE_RECIPIENT, key_span(&key), value, &queue__recipient_record__descriptor,
                    &r->arena.allocator);
    struct json *row = json_append_object(array);

    if (!recipient) {
        json_add_string(row, "state", "damaged");
        return;
    }
    add_waiting(r, row, recipient);
    if (recipient->last_result)
        add_bytes(row, "last_status", recipient->last_result->status);
    json_add_string(row, "state", state_of(recipient));
    add_decision(row, recipient->last_decision);
}

static void show_final(struct reading *r, uint64_t id, uint32_t number, struct span value,
                       struct json *array)
{
    struct record_key key = key_of_part(id, number);
    const Queue__HistoryRecord *record =
        record_read(TABLE_HISTORY, key_span(&key), value, &queue__history_record__descriptor,
                    &r->arena.allocator);
    struct json *row = json_append_object(array);

    if (!record) {
        json_add_string(row, "state", "damaged");
        return;
    }
    add_bytes(row, "recipient", record->recipient->forward_path->text);
    add_bytes(row, "next_hop", record->next_hop);
    json_add_number(row, "attempts", record->attempts);
    add_time(row, "ended", record->ended_utc_ms);
    if (record->result) {
        add_bytes(row, "last_reply", record->result->reply);
        add_bytes(row, "last_status", record->result->status);
    }
    json_add_string(row, "state", final_state(record));
    add_decision(row, record->decision);
}

typedef void show_fn(struct reading *r, uint64_t id, uint32_t number, struct span value,
                     struct json *array);

/* The rows of a message in one table. */
static struct error *show_rows(struct reading *r, enum queue_table table, uint64_t id,
                               show_fn *show, struct json *array)
{
    struct record_key start = key_of_part(id, 0);
    struct kv_cursor *cursor = NULL;
    struct row_place at;
    struct span key;
    struct span value;

    struct error *err = kv_cursor_open(r->txn, table, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, key_span(&start), &key, &value);
    while (!err && key.data && key_read_part(key, &at.id, &at.number) && at.id == id &&
           json_count(array) < SHOWN_MAX) {
        show(r, id, at.number, value, array);
        err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return err;
}

/* A message that is gone is known by what is left of it in the history. */
static void add_past_message(struct reading *r, struct json *object, uint64_t id)
{
    struct record_key key = key_of_part(id, 0);
    const Queue__HistoryRecord *record =
        read_record(r, TABLE_HISTORY, &key, &queue__history_record__descriptor);

    if (!record)
        return;
    add_bytes(object, "sender", record->sender);
    add_time(object, "accepted", record->accepted_utc_ms);
    json_add_number(object, "size", (int64_t)record->size);
    json_add_number(object, "waiting", 0);
}

static struct error *show(struct reading *r, uint64_t id, struct json *object, bool *out_known)
{
    struct record_key key = key_of_id(id);
    const Queue__MessageRecord *message =
        read_record(r, TABLE_MESSAGE, &key, &queue__message_record__descriptor);

    add_id(object, "id", id);
    if (message)
        add_message(r, object, id, message);
    else
        add_past_message(r, object, id);
    struct json *recipients = json_add_array(object, "recipients");
    struct error *err = show_rows(r, TABLE_RECIPIENT, id, show_waiting, recipients);
    if (!err)
        err = show_rows(r, TABLE_HISTORY, id, show_final, recipients);
    *out_known = message || json_count(recipients) > 0;
    return err;
}

struct error *store_show(struct store *store, uint64_t id, struct json **out_object)
{
    struct reading r = { .txn = NULL };
    struct json *object = json_new_object();
    bool known = false;
    struct error *err = reading_begin(&r, store);

    if (!err)
        err = show(&r, id, object, &known);
    reading_end(&r);
    if (err || !known)
        json_free(&object);
    *out_object = object;
    return err;
}

/* ---- next hops ---------------------------------------------------------------------------- */

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
    json_add_number(row, "waiting", (int64_t)hop->waiting);
    add_ages(row, hop, r->now_ms);
    json_add_number(row, "failures", hop->failures);
    if (hop->suspended_until_utc_ms > r->now_ms)
        add_time(row, "rests_until", hop->suspended_until_utc_ms);
    else
        json_add_null(row, "rests_until");
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

    struct error *err = kv_cursor_open(r->txn, TABLE_HOP, &cursor);
    if (!err)
        err = seek_behind(cursor, after, &key, &value);
    for (size_t count = 0; !err && key.data && count < most; count++) {
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

/* ---- how much there is -------------------------------------------------------------------- */

struct error *store_add_counts(struct store *store, struct json *object)
{
    static const struct {
        const char *name;
        enum queue_table table;
    } counts[] = {
        { "recipients", TABLE_RECIPIENT },
        { "held_messages", TABLE_HELD },
        { "next_hops", TABLE_HOP },
    };
    struct store_usage usage = store_usage(store);
    struct reading r = { .txn = NULL };
    struct error *err = reading_begin(&r, store);
    uint64_t count;

    json_add_number(object, "messages", (int64_t)usage.messages);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && !err; i++) {
        err = kv_count(r.txn, counts[i].table, &count);
        if (!err)
            json_add_number(object, counts[i].name, (int64_t)count);
    }
    reading_end(&r);
    json_add_number(object, "deferred_hops", (int64_t)usage.deferred_hops);
    json_add_number(object, "strangers_untold", (int64_t)usage.strangers_untold);
    json_add_number(object, "senders_untold", (int64_t)usage.senders_untold);
    json_add_number(object, "bytes", (int64_t)usage.bytes);
    json_add_number(object, "bytes_max", (int64_t)store_bytes_max(store));
    return err;
}
