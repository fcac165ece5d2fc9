#include "tests/support/test.h"

#include "tests/support/store_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/leases.h"
#include "queue/records.pb-c.h"
#include "queue/store_history.h"
#include "queue/store_hops.h"
#include "queue/store_summary.h"
#include "queue/store_trace.h"
#include "queue/waiting.h"

static struct store_rig rig;
static struct leases *leases;

static int open_rig(void **state)
{
    (void)state;
    store_rig_open(&rig);
    leases = leases_new();
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    store_rig_close(&rig);
    leases_free(&leases);
    return 0;
}

static uint64_t a_message(void)
{
    return store_rig_accept(&rig, "ada@sender.test", "bob@example.net", SPAN("Subject: x\r\n\r\n"));
}

static void settle_as(uint64_t id, Ipc__ResultKind kind, const char *status)
{
    struct settle settle = store_rig_settle(&rig, id, 0, kind, status, false);
    settle_clear(&settle);
}

static Queue__RecipientRecord *recipient_of(uint64_t id)
{
    Queue__RecipientRecord *recipient = NULL;

    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    return recipient;
}

static bool is_held(uint64_t id)
{
    Queue__RecipientRecord *recipient = recipient_of(id);
    bool held = recipient->held;

    queue__recipient_record__free_unpacked(recipient, NULL);
    return held;
}

static struct json *trace_of(uint64_t id)
{
    struct json *trace = NULL;

    assert_null(store_trace(rig.store, leases, id, &trace));
    return trace;
}

static const struct json *event_at(const struct json *trace, size_t at)
{
    return json_item(json_get(json_item(json_get(trace, "recipients"), 0), "events"), at);
}

static size_t event_count(const struct json *trace)
{
    return json_count(json_get(json_item(json_get(trace, "recipients"), 0), "events"));
}

static void assert_text(const struct json *object, const char *key, const char *want)
{
    char text[512];

    assert_true(span_to_string(json_text(json_get(object, key)), text, sizeof(text)));
    assert_string_equal(text, want);
}

static enum operation_outcome suspend(const char *hop, int64_t until_ms, bool *out_was)
{
    struct suspend s = { .until_ms = until_ms, .reason = SPAN("they move house"), .uid = 7 };

    strcpy(s.hop, hop);
    suspend_prepare(&s);
    enum operation_outcome outcome = store_rig_commit(&rig, &s.operation);
    if (out_was)
        *out_was = s.was_suspended;
    return outcome;
}

static size_t suspension_count(void)
{
    struct json *array = json_new_array();
    int64_t more;
    size_t count;

    assert_null(store_add_suspensions(rig.store, 100, array, &more));
    assert_int_equal(more, 0);
    count = json_count(array);
    json_free(&array);
    return count;
}

/* ---- what operators do ------------------------------------------------------------------------
 */

static void held_mail_waits_in_no_row_until_it_is_released(void **state)
{
    (void)state;
    uint64_t id = a_message();
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 1);
    assert_true(is_held(id));
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), 0);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 1);
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 0); /* it is held already */
    assert_int_equal(store_rig_change(&rig, CHANGE_RETRY, id), 0);
    assert_int_equal(store_rig_change(&rig, CHANGE_RELEASE, id), 1);
    assert_false(is_held(id));
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 0);
    assert_int_equal(store_rig_change(&rig, CHANGE_RELEASE, id), 0);
}

static void hold_for(uint64_t id, const char *reason)
{
    struct change *change = memory_new(sizeof(*change));

    change->kind = CHANGE_HOLD;
    change->act = (struct history_act){ .action = "hold", .uid = 8, .words = span_of(reason) };
    change->places[change->count++] = (struct row_place){ id, 0 };
    change_prepare(change);
    assert_int_equal(store_rig_commit(&rig, &change->operation), OPERATION_COMMITTED);
    assert_int_equal(change->changed, 0); /* it is held already */
    free(change);
}

static void assert_reason(uint64_t id, const char *reason, int64_t by, size_t events)
{
    struct json *trace = trace_of(id);

    assert_text(json_get(trace, "held"), "reason", reason);
    assert_int_equal(json_number(json_get(json_get(trace, "held"), "by")), by);
    assert_int_equal(event_count(trace), events);
    json_free(&trace);
}

static void the_reason_of_a_hold_stands_until_another_is_given(void **state)
{
    (void)state;
    uint64_t id = a_message();
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 1);
    hold_for(id, "");
    hold_for(id, "because");
    assert_reason(id, "because", 7, 1);
    hold_for(id, "phishing");
    assert_reason(id, "phishing", 8, 2);
    assert_true(is_held(id));
}

static void a_release_is_about_the_named_message_only(void **state)
{
    (void)state;
    uint64_t first = a_message();
    uint64_t second = a_message();
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, 0), 2);
    assert_int_equal(store_rig_change(&rig, CHANGE_RELEASE, first), 1);
    assert_true(is_held(second));
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 1);
}

static uint64_t a_message_to_many(unsigned count)
{
    struct envelope envelope;
    struct address address;
    char name[64];

    envelope_init(&envelope);
    assert_int_equal(address_parse_reverse(SPAN("ada@sender.test"), &envelope.reverse_path),
                     ADDRESS_FINE);
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "user%u@example.net", i);
        assert_int_equal(address_parse(span_of(name), &address), ADDRESS_FINE);
        envelope_add(&envelope, &address);
    }
    struct accept accept = { .last = true, .envelope = &envelope };
    accept.id = store_new_id(rig.store);
    accept_prepare(&accept);
    assert_int_equal(store_rig_commit(&rig, &accept.operation), OPERATION_COMMITTED);
    envelope_clear(&envelope);
    return accept.id;
}

static void a_hold_ends_with_the_last_of_many_recipients(void **state)
{
    enum { MANY = 2 * CHANGE_SLICE };
    struct change *change = memory_new(sizeof(*change));

    (void)state;
    uint64_t other = a_message();
    uint64_t id = a_message_to_many(MANY);
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, 0), MANY + 1);
    for (uint32_t first = 0; first < MANY; first += CHANGE_SLICE) {
        assert_int_equal(store_rig_count(&rig, TABLE_HELD), 2);
        *change = (struct change){ .kind = CHANGE_RELEASE, .act = { .action = "release" } };
        while (change->count < CHANGE_SLICE) {
            uint32_t number = first + (uint32_t)change->count;
            change->places[change->count++] = (struct row_place){ id, number };
        }
        change_prepare(change);
        assert_int_equal(store_rig_commit(&rig, &change->operation), OPERATION_COMMITTED);
        assert_int_equal(change->changed, CHANGE_SLICE);
    }
    change_clear(change);
    free(change);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 1);
    assert_int_equal(store_rig_change(&rig, CHANGE_RELEASE, other), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 0);
}

/* Of several messages at once, each has its own end. */
static void a_release_of_all_ends_each_hold(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 3; count++)
        a_message_to_many(count);
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, 0), 6);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 3);
    assert_int_equal(store_rig_change(&rig, CHANGE_RELEASE, 0), 6);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 0);
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), 6);
}

static size_t taken; /* by records that were read */
static struct error *(*apply_uncounted)(struct operation *operation, struct store_txn *txn);

static void *take_and_count(void *arena, size_t size)
{
    taken += size;
    return arena_take(arena, size);
}

static struct error *apply_counted(struct operation *operation, struct store_txn *txn)
{
    ProtobufCAllocator before = txn->arena->allocator;

    taken = 0;
    txn->arena->allocator.alloc = take_and_count;
    struct error *err = apply_uncounted(operation, txn);
    txn->arena->allocator = before;
    return err;
}

/* How much memory the records take that are read to release one message. */
static size_t release_many(unsigned count)
{
    struct change *change = memory_new(sizeof(*change));
    uint64_t id = a_message_to_many(count);

    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), count);
    change->kind = CHANGE_RELEASE;
    change->act = (struct history_act){ .action = "release", .uid = 7 };
    for (uint32_t i = 0; i < count; i++)
        change->places[change->count++] = (struct row_place){ id, i };
    change_prepare(change);
    apply_uncounted = change->operation.apply;
    change->operation.apply = apply_counted;
    assert_int_equal(store_rig_commit(&rig, &change->operation), OPERATION_COMMITTED);
    assert_int_equal(change->changed, count);
    change_clear(change);
    free(change);
    return taken;
}

static void what_a_release_reads_grows_with_the_recipients_and_not_with_their_square(void **state)
{
    (void)state;
    size_t of_few = release_many(50);
    assert_true(of_few > 0);
    assert_in_range(release_many(200), of_few, 5 * of_few);
}

static void a_bounce_ends_the_message_and_tells_its_sender(void **state)
{
    (void)state;
    uint64_t id = a_message();
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 1);
    assert_int_equal(store_rig_change(&rig, CHANGE_BOUNCE, id), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 0);
    assert_int_equal(store_usage(rig.store).messages, 1); /* the notification */
    struct json *trace = trace_of(id);
    const struct json *end = event_at(trace, 1);
    assert_text(end, "event", "end");
    assert_text(end, "state", "failed");
    assert_text(end, "status", "5.7.0");
    assert_text(end, "reply", "because");
    assert_int_equal(json_number(json_get(end, "by")), 7);
    assert_int_equal(json_number(json_get(end, "attempt")), 0); /* nothing was tried */
    assert_text(event_at(trace, 2), "event", "notification");
    json_free(&trace);
}

static void a_removal_tells_nobody(void **state)
{
    (void)state;
    uint64_t id = a_message();
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 1);
    assert_int_equal(store_rig_change(&rig, CHANGE_REMOVE, id), 1);
    assert_int_equal(store_usage(rig.store).messages, 0);
    assert_int_equal(store_usage(rig.store).bytes, 0);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 0);
    assert_int_equal(store_rig_count(&rig, TABLE_HOP), 0);
    struct json *trace = trace_of(id);
    assert_text(json_item(json_get(trace, "recipients"), 0), "state", "removed");
    json_free(&trace);
    assert_int_equal(store_rig_change(&rig, CHANGE_REMOVE, id), 0);
}

static void who_was_removed_is_told_once_it_is_done(void **state)
{
    (void)state;
    uint64_t id = a_message();
    struct change *change = memory_new(sizeof(*change));
    change->kind = CHANGE_REMOVE;
    change->act = (struct history_act){ .action = "remove", .uid = 7, .words = SPAN("because") };
    change->places[change->count++] = (struct row_place){ id, 0 };
    change->places[change->count++] = (struct row_place){ id, 1 }; /* nobody */
    change_prepare(change);
    assert_int_equal(store_rig_commit(&rig, &change->operation), OPERATION_COMMITTED);
    assert_int_equal(change->removals.count, 1);
    assert_true(change->removals.all[0].id == id && change->removals.all[0].delay_ms >= 0);
    assert_string_equal(change->removals.all[0].recipient, "bob@example.net");
    store_rig_commit(&rig, &change->operation); /* as in a batch that is tried again */
    assert_int_equal(change->removals.count, 0);
    change_clear(change);
    free(change);
}

static void a_change_that_is_applied_again_is_made_once(void **state)
{
    (void)state;
    uint64_t id = a_message();
    struct change *change = memory_new(sizeof(*change));
    change->kind = CHANGE_BOUNCE;
    change->act = (struct history_act){ .action = "bounce", .uid = 7, .words = SPAN("because") };
    change->notify = &rig.notify;
    change->places[change->count++] = (struct row_place){ id, 0 };
    change_prepare(change);
    store_rig_commit(&rig, &change->operation);
    assert_int_equal(change->changed, 1);
    store_rig_commit(&rig, &change->operation);
    assert_int_equal(change->changed, 0);
    assert_int_equal(store_usage(rig.store).messages, 1);
    change_clear(change);
    free(change);
}

static void reroute(uint64_t id, const char *hop, bool has_domain)
{
    struct change *change = memory_new(sizeof(*change));

    change->kind = CHANGE_REROUTE;
    change->act = (struct history_act){ .action = "reroute", .uid = 7, .words = span_of(hop) };
    change->hop = span_of(hop);
    change->hop_has_domain = has_domain;
    change->places[change->count++] = (struct row_place){ id, 0 };
    change_prepare(change);
    assert_int_equal(store_rig_commit(&rig, &change->operation), OPERATION_COMMITTED);
    assert_int_equal(change->changed, 1);
    change_clear(change);
    free(change);
}

static void assert_hop(uint64_t id, const char *hop)
{
    Queue__RecipientRecord *recipient = recipient_of(id);

    assert_true(span_equal(span_of_bytes(recipient->next_hop), span_of(hop)));
    queue__recipient_record__free_unpacked(recipient, NULL);
}

static void mail_goes_another_way_and_back(void **state)
{
    (void)state;
    uint64_t id = a_message();
    settle_as(id, IPC__RESULT_KIND__DEFERRED, "4.2.1");
    reroute(id, "to:[192.0.2.1]", false);
    assert_hop(id, "to:[192.0.2.1]");
    Queue__RecipientRecord *recipient = recipient_of(id);
    assert_true(recipient->due_utc_ms <= clock_utc_ms() + SECOND_MS);
    queue__recipient_record__free_unpacked(recipient, NULL);
    reroute(id, "", false);
    assert_hop(id, "example.net");
    assert_int_equal(store_rig_count(&rig, TABLE_HOP), 1);
    reroute(id, "route:gone", true); /* a route that is not there: as the routes say */
    assert_hop(id, "example.net");
    store_rig_change(&rig, CHANGE_HOLD, id);
    reroute(id, "to:[192.0.2.1]", false);
    assert_true(is_held(id));
    assert_hop(id, "to:[192.0.2.1]"); /* it is so when it is released */
    assert_int_equal(store_rig_count(&rig, TABLE_HOP), 0);
    store_rig_change(&rig, CHANGE_RELEASE, id);
    assert_hop(id, "to:[192.0.2.1]");
    assert_int_equal(store_rig_count(&rig, TABLE_HOP), 1);
}

/* ---- next hops --------------------------------------------------------------------------------
 */

static void a_suspension_holds_the_wake_row_and_survives_a_restart(void **state)
{
    (void)state;
    int64_t until_ms = clock_utc_ms() + HOUR_MS;
    a_message();
    assert_int_equal(suspend("example.net", until_ms, NULL), OPERATION_COMMITTED);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 1);
    store_rig_reopen(&rig);
    assert_int_equal(suspension_count(), 1);
    assert_int_equal(suspend("example.net", INT64_MAX, NULL), OPERATION_COMMITTED);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 0); /* nothing wakes it but an operator */
    a_message();
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 0);
    bool was = false;
    suspend("example.net", 0, &was);
    assert_true(was);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 1);
    assert_int_equal(suspension_count(), 0);
    suspend("example.net", 0, &was);
    assert_false(was);
}

static void of_many_suspended_hops_the_first_are_told_and_how_many_more_there_are(void **state)
{
    static const char *const hops[] = { "a.example", "b.example", "c.example", "d.example" };
    struct json *array = json_new_array();
    int64_t more;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        suspend(hops[i], i < 3 ? INT64_MAX : clock_utc_ms() + 1, NULL);
    usleep(5000); /* the last is over */
    assert_null(store_add_suspensions(rig.store, 2, array, &more));
    assert_int_equal(json_count(array), 2);
    assert_int_equal(more, 1);
    assert_text(json_item(array, 1), "next_hop", "b.example");
    json_free(&array);
}

static void a_hop_without_mail_is_suspended_too_and_its_row_goes_when_that_ends(void **state)
{
    (void)state;
    assert_int_equal(suspend("example.net", clock_utc_ms() + 50, NULL), OPERATION_COMMITTED);
    assert_int_equal(store_rig_count(&rig, TABLE_HOP), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 1);
    usleep(60 * 1000);
    assert_int_equal(suspension_count(), 0);
    struct correct correct = { .hop = "example.net" };
    correct_prepare(&correct);
    store_rig_commit(&rig, &correct.operation);
    assert_int_equal(store_rig_count(&rig, TABLE_HOP), 0);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 0);
}

static size_t suspended_of(enum change_kind kind, uint64_t id)
{
    struct change *change = memory_new(sizeof(*change));
    size_t count;

    change->kind = kind;
    change->act = (struct history_act){ .action = change_name(kind), .uid = 7 };
    change->hop = SPAN("to:[192.0.2.1]");
    change->places[change->count++] = (struct row_place){ id, 0 };
    change_prepare(change);
    assert_int_equal(store_rig_commit(&rig, &change->operation), OPERATION_COMMITTED);
    assert_int_equal(change->changed, 1);
    count = change->suspended;
    free(change);
    return count;
}

static void what_is_made_due_at_a_suspended_hop_is_counted(void **state)
{
    (void)state;
    uint64_t id = a_message();
    suspend("example.net", INT64_MAX, NULL);
    assert_int_equal(suspended_of(CHANGE_RETRY, id), 1);
    assert_int_equal(suspended_of(CHANGE_HOLD, id), 0);
    assert_int_equal(suspended_of(CHANGE_RELEASE, id), 1);
    assert_int_equal(suspended_of(CHANGE_REROUTE, id), 0);
    suspend("to:[192.0.2.1]", INT64_MAX, NULL);
    assert_int_equal(suspended_of(CHANGE_REROUTE, id), 1);
    assert_int_equal(suspended_of(CHANGE_HOLD, id), 0);
    assert_int_equal(suspended_of(CHANGE_REROUTE, id), 0); /* held it stays */
}

static void a_summary_tells_of_a_suspension(void **state)
{
    (void)state;
    char after[HOP_NAME_MAX + 1] = "";
    bool more;
    struct json *rows = json_new_array();
    suspend("example.net", INT64_MAX, NULL);
    a_message();
    assert_null(store_summary(rig.store, after, 10, rows, &more));
    assert_text(json_item(rows, 0), "state", "suspended");
    assert_text(json_item(rows, 0), "suspended_until", "resumed");
    assert_text(json_item(rows, 0), "suspended_reason", "they move house");
    json_free(&rows);
}

/* ---- history ----------------------------------------------------------------------------------
 */

static void a_message_delivered_at_once_is_one_row(void **state)
{
    (void)state;
    uint64_t id = a_message();
    settle_as(id, IPC__RESULT_KIND__DELIVERED, "2.0.0");
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 1);
    struct json *trace = trace_of(id);
    assert_int_equal(event_count(trace), 1);
    assert_text(event_at(trace, 0), "state", "delivered");
    assert_int_equal(
        json_number(json_get(json_item(json_get(trace, "recipients"), 0), "attempts_not_kept")), 0);
    json_free(&trace);
}

static void of_many_attempts_the_first_and_the_last_are_kept(void **state)
{
    (void)state;
    uint64_t id = a_message();
    for (int i = 0; i < 30; i++) {
        struct settle settle = store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__RETURNED, "", false);
        settle.outcome->results[0]->kind =
            i % 5 == 0 ? IPC__RESULT_KIND__POLICY_UNKNOWN : IPC__RESULT_KIND__DEFERRED;
        settle.outcome->lease = 1000000 + (uint64_t)i;
        store_rig_commit(&rig, &settle.operation);
        settle_clear(&settle);
    }
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), HISTORY_FIRST + HISTORY_LAST);
    struct json *trace = trace_of(id);
    assert_int_equal(event_count(trace), HISTORY_FIRST + HISTORY_LAST);
    assert_int_equal(
        json_number(json_get(json_item(json_get(trace, "recipients"), 0), "attempts_not_kept")),
        30 - HISTORY_FIRST - HISTORY_LAST);
    assert_text(event_at(trace, 0), "result", "policy unknown");
    assert_text(event_at(trace, 1), "result", "deferred");
    json_free(&trace);
}

static void an_operators_doings_are_kept_in_the_same_bounds(void **state)
{
    (void)state;
    uint64_t id = a_message();
    for (int i = 0; i < 40; i++)
        assert_int_equal(store_rig_change(&rig, CHANGE_RETRY, id), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), HISTORY_FIRST + HISTORY_LAST);
}

static void what_is_too_old_goes_and_what_is_not_stays(void **state)
{
    (void)state;
    struct store_limits limits = store_limits_of(&rig.settings);
    struct history_expire expire = { .more = true };
    for (int i = 0; i < 5; i++)
        settle_as(a_message(), IPC__RESULT_KIND__DELIVERED, "2.0.0");
    uint64_t waits = a_message();
    settle_as(waits, IPC__RESULT_KIND__DEFERRED, "4.2.1");
    history_expire_prepare(&expire);
    store_rig_commit(&rig, &expire.operation);
    assert_false(expire.more);
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 6);
    usleep(50 * 1000);
    limits.history_ms_max = 40;
    store_set_limits(rig.store, limits);
    settle_as(a_message(), IPC__RESULT_KIND__DELIVERED, "2.0.0");
    history_expire_prepare(&expire);
    store_rig_commit(&rig, &expire.operation);
    assert_false(expire.more);
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 1);
    limits.history_bytes_max = 0; /* what is counted is what is there */
    store_set_limits(rig.store, limits);
    settle_as(a_message(), IPC__RESULT_KIND__DELIVERED, "2.0.0");
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 0);
}

static void a_long_history_expires_in_slices(void **state)
{
    (void)state;
    struct store_limits limits = store_limits_of(&rig.settings);
    struct history_expire expire = { .more = true };
    for (int i = 0; i < HISTORY_SLICE + 100; i++)
        settle_as(a_message(), IPC__RESULT_KIND__DELIVERED, "2.0.0");
    usleep(20 * 1000);
    limits.history_ms_max = 1;
    store_set_limits(rig.store, limits);
    history_expire_prepare(&expire);
    store_rig_commit(&rig, &expire.operation);
    assert_true(expire.more);
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 100);
    history_expire_advance(&expire);
    store_rig_commit(&rig, &expire.operation);
    assert_false(expire.more);
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 0);
}

/* ---- walking ----------------------------------------------------------------------------------
 */

static void count_match(void *ctx, struct reading *r, const struct waiting *waiting)
{
    size_t *count = ctx;

    (void)r;
    assert_non_null(waiting->message);
    ++*count;
}

static void a_walk_goes_on_where_it_ended_and_finds_each_row_once(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct filter filter;
    size_t count = 0;
    unsigned steps = 0;
    store_rig_accept_many(&rig, "ada@sender.test", "bob@example.net", MANY);
    uint64_t odd = store_rig_accept(&rig, "eve@sender.test", "bob@example.net", SPAN("x\r\n"));
    filter_init(&filter);
    struct waiting_walk walk = { .filter = &filter, .most = MANY * 2, .more = true };
    for (; walk.more; steps++)
        assert_null(waiting_walk(rig.store, &walk, count_match, &count));
    assert_int_equal(count, MANY + 1);
    assert_true(steps > 1); /* none takes long */
    count = 0;
    assert_null(filter_take(&filter, SPAN("sender"), SPAN("eve@*")));
    walk = (struct waiting_walk){ .filter = &filter, .most = 1, .more = true };
    while (walk.more)
        assert_null(waiting_walk(rig.store, &walk, count_match, &count));
    assert_int_equal(count, 1);
    filter_init(&filter);
    filter.id = odd;
    lease_begin(leases, odd, &(uint32_t){ 0 }, 1);
    filter.states = 1U << WAITING_DELIVERING;
    walk = (struct waiting_walk){ .filter = &filter, .leases = leases, .most = 9, .more = true };
    assert_null(waiting_walk(rig.store, &walk, count_match, &count));
    assert_int_equal(count, 2);
    assert_false(walk.more); /* an id is found by one seek */
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("held mail waits in no row until it is released",
             held_mail_waits_in_no_row_until_it_is_released),
        TEST("the reason of a hold stands until another is given",
             the_reason_of_a_hold_stands_until_another_is_given),
        TEST("a release is about the named message only",
             a_release_is_about_the_named_message_only),
        TEST("a hold ends with the last of many recipients",
             a_hold_ends_with_the_last_of_many_recipients),
        TEST("a release of all ends each hold", a_release_of_all_ends_each_hold),
        TEST("what a release reads grows with the recipients, and not with their square",
             what_a_release_reads_grows_with_the_recipients_and_not_with_their_square),
        TEST("a bounce ends the message and tells its sender",
             a_bounce_ends_the_message_and_tells_its_sender),
        TEST("a removal tells nobody", a_removal_tells_nobody),
        TEST("who was removed is told once it is done", who_was_removed_is_told_once_it_is_done),
        TEST("a change that is applied again is made once",
             a_change_that_is_applied_again_is_made_once),
        TEST("mail goes another way, and back", mail_goes_another_way_and_back),
        TEST("a suspension holds the wake row and survives a restart",
             a_suspension_holds_the_wake_row_and_survives_a_restart),
        TEST("of many suspended hops the first are told, and how many more there are",
             of_many_suspended_hops_the_first_are_told_and_how_many_more_there_are),
        TEST("a hop without mail is suspended, too, and its row goes when that ends",
             a_hop_without_mail_is_suspended_too_and_its_row_goes_when_that_ends),
        TEST("what is made due at a suspended hop is counted",
             what_is_made_due_at_a_suspended_hop_is_counted),
        TEST("a summary tells of a suspension", a_summary_tells_of_a_suspension),
        TEST("a message delivered at once is one row of the history",
             a_message_delivered_at_once_is_one_row),
        TEST("of many attempts the first and the last are kept",
             of_many_attempts_the_first_and_the_last_are_kept),
        TEST("an operator's doings are kept within the same bounds",
             an_operators_doings_are_kept_in_the_same_bounds),
        TEST("what is too old goes, what is not stays", what_is_too_old_goes_and_what_is_not_stays),
        TEST("a long history expires in slices", a_long_history_expires_in_slices),
        TEST("a walk goes on where it ended and finds each row once",
             a_walk_goes_on_where_it_ended_and_finds_each_row_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
