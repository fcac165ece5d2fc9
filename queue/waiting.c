#include "queue/waiting.h"

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"

enum {
    STEP_MS = 5,       /* of the loop's time: mail comes first */
    ROWS_PER_LOOK = 8, /* at the clock */
};

/* A walk under way. */
struct walking {
    struct reading r; /* its arena: the recipient's record */
    struct waiting_walk *walk;
    waiting_fn *each;
    void *ctx;
    struct arena message_arena;
    uint64_t message_id; /* whose record is in it */
    const Queue__MessageRecord *message;
    bool held_is_read;
    const Queue__HeldRecord *held;
    int64_t until_ms; /* monotonic */
    size_t matches;
    size_t rows;
};

enum waiting_state waiting_state_of(const Queue__RecipientRecord *recipient, bool is_damaged,
                                    bool is_delivering)
{
    if (is_delivering)
        return WAITING_DELIVERING;
    if (is_damaged)
        return WAITING_DAMAGED;
    if (recipient->held)
        return WAITING_HELD;
    if (recipient->unsigned_since_utc_ms > 0)
        return WAITING_SIGNATURE;
    if (recipient->policy_waits > 0 && recipient->attempts == 0)
        return WAITING_POLICY;
    return recipient->attempts > 0 ? WAITING_DEFERRED : WAITING_QUEUED;
}

/* Recipients of one message stand side by side: its record is read once. */
static const Queue__MessageRecord *message_of(struct walking *w, uint64_t id)
{
    struct record_key key = key_of_id(id);

    if (w->message_id == id)
        return w->message;
    arena_reset(&w->message_arena);
    w->held_is_read = false;
    w->message_id = id;
    w->message = store_look_up(w->r.txn, TABLE_MESSAGE, &key, &queue__message_record__descriptor,
                               &w->message_arena);
    if (w->message && (!w->message->envelope || !w->message->envelope->reverse_path))
        w->message = NULL;
    return w->message;
}

/* Behind message_of, in the same arena: why the message is held. */
static const Queue__HeldRecord *held_of(struct walking *w)
{
    struct record_key key = key_of_id(w->message_id);

    if (!w->held_is_read)
        w->held = store_look_up(w->r.txn, TABLE_HELD, &key, &queue__held_record__descriptor,
                                &w->message_arena);
    w->held_is_read = true;
    return w->held;
}

static bool read_row(struct walking *w, struct span key, struct span value, struct waiting *out)
{
    arena_reset(&w->r.arena);
    out->recipient = record_read(TABLE_RECIPIENT, key, value, &queue__recipient_record__descriptor,
                                 &w->r.arena.allocator);
    out->message = message_of(w, out->at.id);
    bool is_delivering =
        w->walk->leases && lease_covers(w->walk->leases, out->at.id, out->at.number);
    if (out->message && out->recipient && out->recipient->recipient &&
        out->recipient->recipient->forward_path) {
        out->held = out->recipient->held ? held_of(w) : NULL;
        out->state =
            waiting_state_of(out->recipient, out->held && out->held->damaged, is_delivering);
        return true;
    }
    out->held = held_of(w);
    out->state = is_delivering ? WAITING_DELIVERING : WAITING_DAMAGED;
    out->recipient = NULL;
    out->message = NULL;
    return false;
}

static struct filter_facts facts_of(const struct walking *w, const struct waiting *waiting)
{
    const Queue__RecipientRecord *recipient = waiting->recipient;
    const Ipc__Mailbox *path = recipient->recipient->forward_path;
    const Ipc__Envelope *envelope = waiting->message->envelope;
    struct filter_facts facts = {
        .id = waiting->at.id,
        .texts = { [FILTER_SENDER] = span_of_bytes(envelope->reverse_path->text),
                   [FILTER_RECIPIENT] = span_of_bytes(path->text),
                   [FILTER_DOMAIN] = span_of_bytes(path->domain),
                   [FILTER_NEXT_HOP] = span_of_bytes(recipient->next_hop),
                   [FILTER_LISTENER] = span_of_bytes(envelope->listener),
                   [FILTER_USER] = span_of_bytes(envelope->user) },
        .age_ms = w->r.now_ms - waiting->message->accepted_utc_ms,
        .size = waiting->message->size,
        .held_reason = waiting->held ? span_of_bytes(waiting->held->reason) : SPAN(""),
        .state = waiting->state,
    };
    if (recipient->last_result) {
        facts.texts[FILTER_REPLY] = span_of_bytes(recipient->last_result->reply);
        facts.status = span_of_bytes(recipient->last_result->status);
    }
    return facts;
}

/* Has an operator suspended its next hop?  Neither what is held nor what is tried waits for that.
 */
static bool is_suspended(struct reading *r, const struct waiting *waiting)
{
    struct record_key key = key_of_hop(span_of_bytes(waiting->recipient->next_hop));
    const Queue__HopRecord *hop;

    if (waiting->state == WAITING_HELD || waiting->state == WAITING_DAMAGED ||
        waiting->state == WAITING_DELIVERING)
        return false;
    hop = reading_record(r, TABLE_HOP, &key, &queue__hop_record__descriptor);
    return hop && hop->operator_until_utc_ms > r->now_ms;
}

/* As lists show it.  Looked up for those alone who ask for states. */
static enum waiting_state shown_state(struct walking *w, const struct waiting *waiting)
{
    return is_suspended(&w->r, waiting) ? WAITING_SUSPENDED : waiting->state;
}

static bool names_an_id_or_damage_at_most(const struct filter *filter)
{
    struct filter rest = *filter;

    rest.id = 0;
    if (rest.states & 1U << WAITING_DAMAGED)
        rest.states = 0;
    return filter_is_empty(&rest);
}

static void walk_row(struct walking *w, struct span key, struct span value, struct row_place at)
{
    struct waiting waiting = { .at = at };
    bool matches;

    if (read_row(w, key, value, &waiting)) {
        struct filter_facts facts = facts_of(w, &waiting);
        if (w->walk->filter->states != 0)
            facts.state = shown_state(w, &waiting);
        matches = filter_matches(w->walk->filter, &facts);
    } else {
        matches = names_an_id_or_damage_at_most(w->walk->filter);
    }
    if (!matches)
        return;
    w->matches++;
    w->each(w->ctx, &w->r, &waiting);
}

static bool has_time(struct walking *w)
{
    if (w->matches >= w->walk->most)
        return false;
    return ++w->rows % ROWS_PER_LOOK != 0 || clock_monotonic_ms() < w->until_ms;
}

static struct error *walk_rows(struct walking *w, struct kv_cursor *cursor)
{
    struct waiting_walk *walk = w->walk;
    uint64_t only = walk->filter->id;
    struct row_place at = walk->place;
    struct span key;
    struct span value;

    if (only > at.id)
        at = (struct row_place){ only, 0 };
    struct record_key start = key_of_part(at.id, at.number);
    struct error *err = kv_cursor_seek(cursor, key_span(&start), &key, &value);
    while (!err && key.data && key_read_part(key, &at.id, &at.number) &&
           (only == 0 || at.id == only)) {
        if (!has_time(w)) {
            walk->more = true;
            return NULL;
        }
        walk_row(w, key, value, at);
        walk->place = (struct row_place){ at.id, at.number + 1 };
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

struct error *waiting_walk(struct store *store, struct waiting_walk *walk, waiting_fn *each,
                           void *ctx)
{
    struct walking w = { .walk = walk, .each = each, .ctx = ctx };
    struct kv_cursor *cursor = NULL;
    struct error *err = reading_begin(&w.r, store);

    walk->more = false;
    w.until_ms = clock_monotonic_ms() + STEP_MS;
    arena_init(&w.message_arena);
    if (!err)
        err = kv_cursor_open(w.r.txn, TABLE_RECIPIENT, &cursor);
    if (!err)
        err = walk_rows(&w, cursor);
    kv_cursor_close(&cursor);
    arena_clear(&w.message_arena);
    reading_end(&w.r);
    return err;
}
