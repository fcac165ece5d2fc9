#include "queue/store_trace.h"

#include "lib/ipc/channel.h"
#include "queue/reading.h"
#include "queue/store_history.h"
#include "queue/store_read.h"

enum { EVENTS_MAX = 2 * (HISTORY_FIRST + HISTORY_LAST) + 1 };

struct tracing {
    struct reading r;
    const struct leases *leases;
    struct json *array;
    struct part_walk waiting;
    struct part_walk ended;
};

/* ---- one thing that happened -------------------------------------------------------------- */

struct event {
    int64_t at_ms;
    const Queue__NoteRecord *note;     /* either ... */
    const Queue__HistoryRecord *final; /* ... or */
};

static const char *result_name(const Ipc__Result *result)
{
    static const char *const names[] = {
        [IPC__RESULT_KIND__DELIVERED] = "delivered",
        [IPC__RESULT_KIND__DEFERRED] = "deferred",
        [IPC__RESULT_KIND__FAILED] = "failed",
        [IPC__RESULT_KIND__UNKNOWN_RESULT] = "unknown",
        [IPC__RESULT_KIND__POLICY_UNKNOWN] = "policy unknown",
        [IPC__RESULT_KIND__RETURNED] = "returned",
        [IPC__RESULT_KIND__UNSIGNED] = "not signed",
    };

    return result && (size_t)result->kind < sizeof(names) / sizeof(names[0]) ? names[result->kind]
                                                                             : "unknown";
}

static void add_result(struct json *object, const Ipc__Result *result)
{
    json_add_string(object, "result", result_name(result));
    if (!result)
        return;
    add_bytes(object, "status", result->status);
    add_bytes(object, "reply", result->reply);
    json_add_bool(object, "remote", result->remote);
}

static void add_attempt(struct json *object, const Queue__NoteRecord *note)
{
    json_add_string(object, "event", "attempt");
    if (note->attempt > 0)
        json_add_number(object, "attempt", note->attempt);
    else
        json_add_null(object, "attempt");
    add_bytes(object, "next_hop", note->next_hop);
    add_result(object, note->result);
    add_time(object, "next_try", note->next_utc_ms);
    add_decision(object, note->decision);
}

static void add_note(struct json *object, const Queue__NoteRecord *note)
{
    if (note->action.len > 0) {
        json_add_string(object, "event", "operator");
        add_bytes(object, "action", note->action);
        add_operator(object, "by", note->by);
        add_bytes(object, "words", note->words);
        if (note->reason.len > 0)
            add_bytes(object, "reason", note->reason);
    } else if (note->notification != 0) {
        json_add_string(object, "event", "notification");
        add_bytes(object, "kind", note->words);
        add_id(object, "id", note->notification);
    } else {
        add_attempt(object, note);
    }
}

static void add_end(struct json *object, const Queue__HistoryRecord *final)
{
    json_add_string(object, "event", "end");
    json_add_string(object, "state", store_final_state(final));
    json_add_number(object, "attempt", final->attempts);
    add_bytes(object, "next_hop", final->next_hop);
    add_result(object, final->result);
    if (final->action.len > 0) {
        add_bytes(object, "action", final->action);
        add_operator(object, "by", final->by);
    }
    add_decision(object, final->decision);
}

/* ---- all that happened to one recipient --------------------------------------------------- */

struct events {
    struct event all[EVENTS_MAX];
    size_t count;
    size_t attempts; /* of these */
    size_t bytes;    /* of their rows */
};

/* In the order of time; what comes at the same time stays in the order in which it came. */
static void insert(struct events *events, struct event event)
{
    size_t at = events->count;

    if (events->count == EVENTS_MAX)
        return;
    while (at > 0 && events->all[at - 1].at_ms > event.at_ms) {
        events->all[at] = events->all[at - 1];
        at--;
    }
    events->all[at] = event;
    events->count++;
}

static void take_note(struct reading *r, struct span key, struct span value, struct events *events)
{
    const Queue__NoteRecord *note = record_read(
        TABLE_HISTORY, key, value, &queue__note_record__descriptor, &r->arena.allocator);

    events->bytes += value.len;
    if (!note)
        return;
    events->attempts += note->action.len == 0 && note->notification == 0;
    insert(events, (struct event){ .at_ms = note->at_utc_ms, .note = note });
}

static struct error *read_notes(struct reading *r, struct row_place at, struct events *events)
{
    struct record_key start = key_of_note(at.id, at.number, 0);
    struct kv_cursor *cursor = NULL;
    struct row_place row;
    struct span key;
    struct span value;
    uint32_t serial;

    struct error *err = kv_cursor_open(r->txn, TABLE_HISTORY, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, key_span(&start), &key, &value);
    while (!err && key.data && key_read_note(key, &row.id, &row.number, &serial) &&
           row.id == at.id && row.number == at.number) {
        take_note(r, key, value, events);
        err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return err;
}

/* `tried` times an outcome came; of some of them nothing is kept any more. */
static struct error *add_events(struct reading *r, struct part_walk *walk, struct row_place at,
                                struct json *recipient, uint32_t tried,
                                const Queue__HistoryRecord *final)
{
    struct events events = { .count = 0 };

    if (final)
        insert(&events, (struct event){ .at_ms = final->ended_utc_ms, .final = final });
    struct error *err = read_notes(r, at, &events);
    walk->bytes += events.bytes;
    json_add_number(recipient, "attempts_not_kept",
                    tried > events.attempts ? (int64_t)(tried - events.attempts) : 0);
    struct json *array = json_add_array(recipient, "events");
    for (size_t i = 0; i < events.count; i++) {
        struct json *object = json_append_object(array);
        add_time(object, "at", events.all[i].at_ms);
        if (events.all[i].final)
            add_end(object, events.all[i].final);
        else
            add_note(object, events.all[i].note);
    }
    return err;
}

/* ---- recipients --------------------------------------------------------------------------- */

static struct error *trace_waiting(void *ctx, struct row_place at, struct span key,
                                   struct span value)
{
    struct tracing *t = ctx;
    struct json *row = json_append_object(t->array);
    const Queue__RecipientRecord *recipient = record_read(
        TABLE_RECIPIENT, key, value, &queue__recipient_record__descriptor, &t->r.arena.allocator);

    if (!recipient || !recipient->recipient || !recipient->recipient->forward_path) {
        json_add_string(row, "state", "damaged");
        return NULL;
    }
    bool is_damaged = reading_is_damaged(&t->r, at.id, recipient->held);
    bool is_delivering = lease_covers(t->leases, at.id, at.number);
    store_add_waiting(&t->r, row, recipient,
                      waiting_state_of(recipient, is_damaged, is_delivering));
    return add_events(&t->r, &t->waiting, at, row, history_tries(recipient), NULL);
}

static struct error *trace_final(void *ctx, struct row_place at, struct span key, struct span value)
{
    struct tracing *t = ctx;
    struct json *row = json_append_object(t->array);
    const Queue__HistoryRecord *record = record_read(
        TABLE_HISTORY, key, value, &queue__history_record__descriptor, &t->r.arena.allocator);

    if (!store_add_final(row, record))
        return NULL;
    add_bytes(row, "next_hop", record->next_hop);
    json_add_string(row, "state", store_final_state(record));
    json_add_number(row, "attempts", record->attempts);
    add_time(row, "ended", record->ended_utc_ms);
    /* The last attempt is the end itself, unless an operator was it. */
    uint32_t before =
        record->action.len > 0 || record->attempts == 0 ? record->attempts : record->attempts - 1;
    return add_events(&t->r, &t->ended, at, row, before, record);
}

/* ---- how it came -------------------------------------------------------------------------- */

static void add_client(struct json *object, ProtobufCBinaryData name, ProtobufCBinaryData address,
                       ProtobufCBinaryData user, ProtobufCBinaryData listener,
                       ProtobufCBinaryData tls)
{
    add_bytes(object, "client_name", name);
    add_address(object, "client_address", address);
    add_bytes(object, "user", user);
    add_bytes(object, "listener", listener);
    add_bytes(object, "tls", tls);
}

static void add_held(struct reading *r, uint64_t id, struct json *object)
{
    const Queue__HeldRecord *held = reading_held(r, id);

    if (!held)
        return;
    struct json *shown = json_add_object(object, "held");
    add_bytes(shown, "reason", held->reason);
    add_time(shown, "since", held->since_utc_ms);
    add_operator(shown, "by", held->by);
}

static bool add_message(struct reading *r, uint64_t id, struct json *object)
{
    struct record_key key = key_of_id(id);
    const Queue__MessageRecord *message =
        reading_record(r, TABLE_MESSAGE, &key, &queue__message_record__descriptor);

    if (!message || !message->envelope || !message->envelope->reverse_path)
        return false;
    const Ipc__Envelope *e = message->envelope;
    add_bytes(object, "sender", e->reverse_path->text);
    add_time(object, "accepted", message->accepted_utc_ms);
    json_add_number(object, "size", (int64_t)message->size);
    add_client(object, e->client_name, e->client_address, e->user, e->listener, e->client_tls);
    json_add_bool(object, "requiretls", e->requiretls);
    json_add_bool(object, "tls_required_no", e->tls_required_no);
    json_add_bool(object, "tls_report", e->tls_report);
    json_add_bool(object, "notification", message->notification);
    json_add_number(object, "waiting", message->pending);
    return true;
}

static bool add_past_message(struct reading *r, uint64_t id, struct json *object)
{
    const Queue__HistoryRecord *record = reading_past(r, id);

    if (!record)
        return false;
    add_bytes(object, "sender", record->sender);
    add_time(object, "accepted", record->accepted_utc_ms);
    json_add_number(object, "size", (int64_t)record->size);
    add_client(object, record->client_name, record->client_address, record->user, record->listener,
               record->client_tls);
    json_add_bool(object, "tls_report", record->tls_report);
    json_add_number(object, "waiting", 0);
    return true;
}

static struct error *trace(struct tracing *t, uint64_t id, struct json *object, bool *out_known)
{
    add_id(object, "id", id);
    bool is_known = add_message(&t->r, id, object) || add_past_message(&t->r, id, object);
    add_held(&t->r, id, object);
    t->array = json_add_array(object, "recipients");
    struct error *err = reading_parts(&t->r, TABLE_RECIPIENT, id, &t->waiting, trace_waiting, t);
    if (!err)
        err = reading_parts(&t->r, TABLE_HISTORY, id, &t->ended, trace_final, t);
    add_not_shown(object, id, &t->waiting, &t->ended);
    *out_known = is_known || json_count(t->array) > 0;
    return err;
}

struct error *store_trace(struct store *store, const struct leases *leases, uint64_t id,
                          struct json **out_object)
{
    struct tracing t = { .leases = leases,
                         .waiting.most = RECIPIENTS_SHOWN_MAX,
                         .ended.most = RECIPIENTS_SHOWN_MAX };
    struct json *object = json_new_object();
    bool known = false;
    struct error *err = reading_begin(&t.r, store);

    if (!err)
        err = trace(&t, id, object, &known);
    reading_end(&t.r);
    if (err || !known)
        json_free(&object);
    *out_object = object;
    return err;
}
