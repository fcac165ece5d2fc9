#include "queue/store_read.h"

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"
#include "queue/leases.h"
#include "queue/reading.h"
#include "queue/store_summary.h"

enum { REPLY_BYTES_MAX = 1024 * 1024 }; /* in a page of a list */

/* ---- recipients that wait ----------------------------------------------------------------- */

/* A hop that rests keeps all its mail waiting.  0: until an operator resumes it. */
static int64_t next_try(const Queue__HopRecord *hop, const Queue__RecipientRecord *recipient)
{
    int64_t next_ms = recipient->due_utc_ms;

    if (hop && hop->suspended_until_utc_ms > next_ms)
        next_ms = hop->suspended_until_utc_ms;
    if (hop && hop->operator_until_utc_ms == INT64_MAX)
        return 0;
    return hop && hop->operator_until_utc_ms > next_ms ? hop->operator_until_utc_ms : next_ms;
}

/* Gives whether an operator suspended its next hop. */
static bool add_waiting(struct reading *r, struct json *object,
                        const Queue__RecipientRecord *recipient)
{
    struct record_key key = key_of_hop(span_of_bytes(recipient->next_hop));
    const Queue__HopRecord *hop =
        reading_record(r, TABLE_HOP, &key, &queue__hop_record__descriptor);

    add_bytes(object, "recipient", recipient->recipient->forward_path->text);
    add_bytes(object, "next_hop", recipient->next_hop);
    json_add_number(object, "attempts", recipient->attempts);
    add_time(object, "next_try", recipient->held ? 0 : next_try(hop, recipient));
    if (recipient->last_result)
        add_bytes(object, "last_reply", recipient->last_result->reply);
    else
        json_add_string(object, "last_reply", "");
    return !recipient->held && hop && hop->operator_until_utc_ms > r->now_ms;
}

static const char *state_text(enum waiting_state state, bool is_suspended)
{
    bool waits = state != WAITING_DELIVERING && state != WAITING_HELD && state != WAITING_DAMAGED;

    return waiting_state_name(is_suspended && waits ? WAITING_SUSPENDED : state);
}

void store_add_waiting(struct reading *r, struct json *object,
                       const Queue__RecipientRecord *recipient, enum waiting_state state)
{
    struct record_key key = key_of_hop(span_of_bytes(recipient->next_hop));

    bool is_suspended = add_waiting(r, object, recipient);
    json_add_string(object, "state", state_text(state, is_suspended));
    add_hop_state(object, reading_record(r, TABLE_HOP, &key, &queue__hop_record__descriptor),
                  r->now_ms);
}

/* ---- a list of them ----------------------------------------------------------------------- */

struct listing {
    struct json *array;
    struct waiting_walk *walk;
    size_t reply_bytes; /* which may be many */
};

/* "held": why its message is; null when it is not. */
static void add_why_held(struct json *row, const struct waiting *waiting)
{
    if (waiting->held)
        add_bytes(row, "held", waiting->held->reason);
    else
        json_add_null(row, "held");
}

static void list_row(void *ctx, struct reading *r, const struct waiting *waiting)
{
    struct listing *listing = ctx;
    struct json *row = json_append_object(listing->array);
    const Queue__MessageRecord *message = waiting->message;

    add_id(row, "id", waiting->at.id);
    if (!message) {
        json_add_string(row, "state", "damaged");
        add_why_held(row, waiting);
        return;
    }
    add_bytes(row, "sender", message->envelope->reverse_path->text);
    bool is_suspended = add_waiting(r, row, waiting->recipient);
    json_add_number(row, "size", (int64_t)message->size);
    json_add_number(row, "age", (r->now_ms - message->accepted_utc_ms) / SECOND_MS);
    json_add_string(row, "state", state_text(waiting->state, is_suspended));
    add_why_held(row, waiting);
    if (waiting->recipient->last_result)
        listing->reply_bytes += waiting->recipient->last_result->reply.len;
    if (listing->reply_bytes > REPLY_BYTES_MAX)
        listing->walk->most = 0; /* enough for one page */
}

struct error *store_list(struct store *store, struct waiting_walk *walk, struct json *array)
{
    struct listing listing = { array, walk, 0 };

    return waiting_walk(store, walk, list_row, &listing);
}

/* ---- one message -------------------------------------------------------------------------- */

static void add_client(struct json *object, const Ipc__Envelope *envelope)
{
    add_bytes(object, "client_name", envelope->client_name);
    add_address(object, "client_address", envelope->client_address);
    add_bytes(object, "user", envelope->user);
    add_bytes(object, "listener", envelope->listener);
}

static void add_message(struct json *object, const Queue__MessageRecord *message)
{
    const Ipc__Envelope *envelope = message->envelope;

    add_bytes(object, "sender", envelope->reverse_path->text);
    add_time(object, "accepted", message->accepted_utc_ms);
    json_add_number(object, "size", (int64_t)message->size);
    add_client(object, envelope);
    json_add_string(object, "body", envelope->body == 1 ? "8BITMIME" : "7BIT");
    json_add_bool(object, "requiretls", envelope->requiretls);
    json_add_bool(object, "tls_required_no", envelope->tls_required_no);
    json_add_bool(object, "tls_report", envelope->tls_report);
    json_add_bool(object, "notification", message->notification);
    json_add_number(object, "waiting", message->pending);
}

static void add_held(struct reading *r, struct json *object, uint64_t id)
{
    const Queue__HeldRecord *held = reading_held(r, id);

    if (!held)
        return;
    add_bytes(object, "held", held->reason);
    add_time(object, "held_since", held->since_utc_ms);
    add_operator(object, "held_by", held->by);
}

const char *store_final_state(const Queue__HistoryRecord *record)
{
    if (span_equal(span_of_bytes(record->action), SPAN("remove")))
        return "removed";
    return record->result && record->result->kind == IPC__RESULT_KIND__DELIVERED ? "delivered"
                                                                                 : "failed";
}

bool store_add_final(struct json *row, const Queue__HistoryRecord *record)
{
    bool is_whole = record && record->recipient && record->recipient->forward_path;

    if (is_whole)
        add_bytes(row, "recipient", record->recipient->forward_path->text);
    else if (!record || record->action.len == 0)
        json_add_string(row, "state", "damaged");
    return is_whole || (record && record->action.len > 0);
}

struct showing {
    struct reading *r;
    const struct leases *leases;
    struct json *array;
};

static struct error *show_waiting(void *ctx, struct row_place at, struct span key,
                                  struct span value)
{
    const struct showing *s = ctx;
    const Queue__RecipientRecord *recipient = record_read(
        TABLE_RECIPIENT, key, value, &queue__recipient_record__descriptor, &s->r->arena.allocator);
    struct json *row = json_append_object(s->array);

    if (!recipient || !recipient->recipient || !recipient->recipient->forward_path) {
        json_add_string(row, "state", "damaged");
        return NULL;
    }
    bool is_damaged = reading_is_damaged(s->r, at.id, recipient->held);
    bool is_delivering = lease_covers(s->leases, at.id, at.number);
    store_add_waiting(s->r, row, recipient, waiting_state_of(recipient, is_damaged, is_delivering));
    if (recipient->last_result)
        add_bytes(row, "last_status", recipient->last_result->status);
    add_decision(row, recipient->last_decision);
    return NULL;
}

static struct error *show_final(void *ctx, struct row_place at, struct span key, struct span value)
{
    const struct showing *s = ctx;
    const Queue__HistoryRecord *record = record_read(
        TABLE_HISTORY, key, value, &queue__history_record__descriptor, &s->r->arena.allocator);
    struct json *row = json_append_object(s->array);

    (void)at;
    if (!store_add_final(row, record))
        return NULL;
    add_bytes(row, "next_hop", record->next_hop);
    json_add_number(row, "attempts", record->attempts);
    add_time(row, "ended", record->ended_utc_ms);
    if (record->result) {
        add_bytes(row, "last_reply", record->result->reply);
        add_bytes(row, "last_status", record->result->status);
    }
    json_add_string(row, "state", store_final_state(record));
    add_decision(row, record->decision);
    return NULL;
}

static void add_past_message(struct reading *r, struct json *object, uint64_t id)
{
    const Queue__HistoryRecord *record = reading_past(r, id);

    if (!record)
        return;
    add_bytes(object, "sender", record->sender);
    add_time(object, "accepted", record->accepted_utc_ms);
    json_add_number(object, "size", (int64_t)record->size);
    json_add_number(object, "waiting", 0);
}

static struct error *show(struct reading *r, const struct leases *leases, uint64_t id,
                          struct json *object, bool *out_known)
{
    struct record_key key = key_of_id(id);
    const Queue__MessageRecord *message =
        reading_record(r, TABLE_MESSAGE, &key, &queue__message_record__descriptor);

    struct part_walk waiting = { .most = RECIPIENTS_SHOWN_MAX };
    struct part_walk ended = { .most = RECIPIENTS_SHOWN_MAX };
    bool is_known = message; /* which goes with the arena */

    add_id(object, "id", id);
    if (message)
        add_message(object, message);
    else
        add_past_message(r, object, id);
    add_held(r, object, id);
    struct showing s = { r, leases, json_add_array(object, "recipients") };
    struct error *err = reading_parts(r, TABLE_RECIPIENT, id, &waiting, show_waiting, &s);
    if (!err)
        err = reading_parts(r, TABLE_HISTORY, id, &ended, show_final, &s);
    add_not_shown(object, id, &waiting, &ended);
    *out_known = is_known || json_count(s.array) > 0;
    return err;
}

struct error *store_show(struct store *store, const struct leases *leases, uint64_t id,
                         struct json **out_object)
{
    struct reading r = { .txn = NULL };
    struct json *object = json_new_object();
    bool known = false;
    struct error *err = reading_begin(&r, store);

    if (!err)
        err = show(&r, leases, id, object, &known);
    reading_end(&r);
    if (err || !known)
        json_free(&object);
    *out_object = object;
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
    json_add_number(object, "damaged_messages", (int64_t)usage.damaged_messages);
    json_add_number(object, "deferred_hops", (int64_t)usage.deferred_hops);
    json_add_number(object, "strangers_untold", (int64_t)usage.strangers_untold);
    json_add_number(object, "senders_untold", (int64_t)usage.senders_untold);
    json_add_number(object, "bytes", (int64_t)usage.bytes);
    json_add_number(object, "bytes_max", (int64_t)store_bytes_max(store));
    json_add_number(object, "history_bytes", (int64_t)usage.history_bytes);
    json_add_bool(object, "disk_is_low", store_disk_is_low(store));
    return err;
}
