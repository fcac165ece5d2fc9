#include "tests/support/test.h"

#include "tests/support/one_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/ipc/channel.h"
#include "queue/leases.h"
#include "queue/records.pb-c.h"
#include "queue/store_damage.h"
#include "queue/store_held.h"
#include "queue/store_trace.h"
#include "queue/waiting.h"

/* One bit of a record as it lies on disk. */
static void spoil(enum queue_table table, struct record_key key)
{
    struct kv_txn *txn;
    struct span value;
    char room[4096];
    assert_null(kv_begin_write(store_kv(rig.store), &txn));
    assert_null(kv_get(txn, table, key_span(&key), &value));
    assert_true(value.data && value.len <= sizeof(room));
    memcpy(room, value.data, value.len);
    room[value.len / 2] ^= 4;
    assert_null(kv_put(txn, table, key_span(&key), (struct span){ room, value.len }));
    assert_null(kv_commit(&txn));
}

static void set_aside(uint64_t id, bool is_delivered)
{
    struct damage *damage = damage_new(id, SPAN("example.net"), "a record is damaged", 1);
    damage->places[0].is_delivered = is_delivered;
    assert_int_equal(store_rig_commit(&rig, &damage->operation), OPERATION_COMMITTED);
    free(damage);
}

static void assert_rows(uint64_t due, uint64_t recipients, uint64_t held)
{
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), due);
    assert_int_equal(store_rig_count(&rig, TABLE_RECIPIENT), recipients);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), held);
}

static void assert_nothing(void)
{
    assert_rows(0, 0, 0);
    assert_int_equal(store_rig_count(&rig, TABLE_MESSAGE), 0);
    assert_int_equal(store_rig_count(&rig, TABLE_CONTENT), 0);
    assert_int_equal(store_usage(rig.store).messages, 0);
    assert_int_equal(store_usage(rig.store).bytes, 0);
    assert_int_equal(store_usage(rig.store).damaged_messages, 0);
}

static void add_recipient(struct envelope *envelope, const char *name)
{
    struct address address;
    assert_int_equal(address_parse(span_of(name), &address), ADDRESS_FINE);
    envelope_add(envelope, &address);
}

/* The third recipient may be NULL. */
static uint64_t a_message_to(const char *one, const char *two, const char *three)
{
    struct envelope envelope;
    envelope_init(&envelope);
    assert_int_equal(address_parse_reverse(SPAN("ada@sender.test"), &envelope.reverse_path),
                     ADDRESS_FINE);
    add_recipient(&envelope, one);
    add_recipient(&envelope, two);
    if (three)
        add_recipient(&envelope, three);
    struct accept accept = {
        .content = mail, .last = true, .envelope = &envelope, .size = mail.len
    };
    accept.id = store_new_id(rig.store);
    accept_prepare(&accept);
    assert_int_equal(store_rig_commit(&rig, &accept.operation), OPERATION_COMMITTED);
    envelope_clear(&envelope);
    return accept.id;
}

static uint64_t a_message_to_two(void)
{
    return a_message_to("bob@example.net", "eve@example.net", NULL);
}

static void take_place(void *ctx, struct reading *r, const struct waiting *waiting)
{
    struct change *change = ctx;
    (void)r;
    change->places[change->count++] = waiting->at;
}

static char told[256]; /* whom the last change removed */

static void note_removals(const struct removals *removals)
{
    told[0] = '\0';
    for (size_t i = 0; i < removals->count; i++) {
        size_t len = strlen(told);
        snprintf(told + len, sizeof(told) - len, "%s<%s>%s", i > 0 ? " " : "",
                 removals->all[i].recipient, removals->all[i].delay_ms < 0 ? "?" : "");
    }
}

/* What an operator does with --state damaged. */
static size_t change_damaged(enum change_kind kind)
{
    static struct change change;
    struct filter filter = { .states = 1U << WAITING_DAMAGED };
    struct waiting_walk walk = { .filter = &filter, .most = CHANGE_SLICE, .more = true };
    change = (struct change){ .kind = kind, .act = { .action = change_name(kind), .uid = 7 } };
    assert_null(waiting_walk(rig.store, &walk, take_place, &change));
    change_prepare(&change);
    assert_int_equal(store_rig_commit(&rig, &change.operation), OPERATION_COMMITTED);
    note_removals(&change.removals);
    change_clear(&change);
    return change.changed;
}

static void a_recipient_that_cannot_be_read_is_due_no_more(void **state)
{
    (void)state;
    uint64_t before = a_message();
    uint64_t id = a_message();
    a_message();
    spoil(TABLE_RECIPIENT, key_of_part(id, 0));
    set_aside(id, false);
    assert_rows(2, 3, 1);
    assert_int_equal(store_usage(rig.store).damaged_messages, 1);
    Queue__RecipientRecord *other;
    assert_true(store_rig_recipient(&rig, before, 0, &other));
    assert_false(other->held);
    queue__recipient_record__free_unpacked(other, NULL);
}

static void a_message_that_cannot_be_read_is_held(void **state)
{
    (void)state;
    uint64_t id = a_message();
    spoil(TABLE_MESSAGE, key_of_id(id));
    set_aside(id, false);
    assert_rows(0, 1, 1);
    Queue__RecipientRecord *recipient;
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_true(recipient->held);
    queue__recipient_record__free_unpacked(recipient, NULL);
    set_aside(id, false); /* and counted once */
    assert_int_equal(store_usage(rig.store).damaged_messages, 1);
    store_rig_reopen(&rig);
    assert_int_equal(store_usage(rig.store).damaged_messages, 1);
}

static void what_was_delivered_is_not_tried_again(void **state)
{
    (void)state;
    uint64_t id = a_message();
    spoil(TABLE_RECIPIENT, key_of_part(id, 0));
    set_aside(id, true);
    assert_rows(0, 0, 0);
    assert_int_equal(store_usage(rig.store).messages, 0); /* it was the last recipient */
    assert_int_equal(store_usage(rig.store).damaged_messages, 0);
    id = a_message();
    spoil(TABLE_MESSAGE, key_of_id(id));
    set_aside(id, true);
    assert_nothing(); /* without a recipient no operator would find what is left of it */
}

/* As of an outcome: the first recipient was delivered, the second cannot be read. */
static void report_delivered_and_damaged(uint64_t id)
{
    struct damage *damage = damage_new(id, SPAN("example.net"), "a record is damaged", 2);
    damage->places[0].is_delivered = true;
    damage->places[1].number = 1;
    assert_int_equal(store_rig_commit(&rig, &damage->operation), OPERATION_COMMITTED);
    free(damage);
}

/* The queue ended before its worker heard that it was committed. */
static void an_outcome_that_comes_again_ends_nobody_twice(void **state)
{
    (void)state;
    uint64_t id = a_message_to("bob@example.net", "eve@example.net", "joe@example.net");
    spoil(TABLE_RECIPIENT, key_of_part(id, 1));
    report_delivered_and_damaged(id);
    store_rig_reopen(&rig);
    report_delivered_and_damaged(id);
    Queue__MessageRecord *message = store_rig_message(&rig, id);
    assert_int_equal(message->pending, 2);
    queue__message_record__free_unpacked(message, NULL);
    assert_int_equal(change_damaged(CHANGE_REMOVE), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_MESSAGE), 1); /* which the third needs still */
    struct settle settle =
        store_rig_settle(&rig, id, 2, IPC__RESULT_KIND__DELIVERED, "2.0.0", false);
    settle_clear(&settle);
    assert_nothing();
}

static void a_row_without_a_recipient_goes(void **state)
{
    (void)state;
    uint64_t id = a_message();
    struct record_key key = key_of_part(id, 0);
    struct kv_txn *txn;
    assert_null(kv_begin_write(store_kv(rig.store), &txn));
    assert_null(kv_remove(txn, TABLE_RECIPIENT, key_span(&key)));
    assert_null(kv_commit(&txn));
    set_aside(id, false);
    assert_rows(0, 0, 1);
    set_aside(id, false); /* and nothing is missed when it is gone */
    assert_rows(0, 0, 1);
}

static void a_hold_is_lifted_and_counted_out(void **state)
{
    (void)state;
    uint64_t id = a_message();
    set_aside(id, false);
    assert_int_equal(store_usage(rig.store).damaged_messages, 1);
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, a_message()), 1); /* as a person does */
    assert_int_equal(change_damaged(CHANGE_RELEASE), 1);
    assert_rows(1, 2, 1);
    assert_int_equal(store_usage(rig.store).damaged_messages, 0);
}

static void assert_held(uint64_t id, const char *reason, int64_t by)
{
    struct json *trace = NULL;
    struct leases *nobody = leases_new();
    assert_null(store_trace(rig.store, nobody, id, &trace));
    const struct json *held = json_get(trace, "held");
    assert_true(span_equal(json_text(json_get(held, "reason")), span_of(reason)));
    assert_int_equal(json_number(json_get(held, "by")), by);
    json_free(&trace);
    leases_free(&nobody);
}

static void why_what_is_damaged_is_held_stands(void **state)
{
    (void)state;
    uint64_t id = a_message();
    set_aside(id, false);
    for (int times = 0; times < 2; times++) {
        assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 0); /* "because" */
        assert_held(id, "a record is damaged; because", 7);
    }
    assert_int_equal(store_usage(rig.store).damaged_messages, 1);
}

/* Which is what keeps it held where the queue is moved to. */
static void damage_takes_no_operators_reason_away(void **state)
{
    (void)state;
    uint64_t id = a_message();
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 1);
    for (int times = 0; times < 2; times++) {
        set_aside(id, false);
        assert_held(id, "because; a record is damaged", 7);
    }
    assert_int_equal(store_usage(rig.store).damaged_messages, 1);
}

/* Three workers die of one of its recipients: the relay holds it. */
static void kill_three_workers(uint64_t id)
{
    for (int i = 0; i < 3; i++) {
        struct deaths *deaths = deaths_new(&id, 1);
        assert_int_equal(store_rig_commit(&rig, &deaths->operation), OPERATION_COMMITTED);
        deaths_free(&deaths);
    }
}

static void hold_without_reason(uint64_t id)
{
    static struct change change;
    change = (struct change){ .kind = CHANGE_HOLD, .count = 1, .places = { { id, 0 } } };
    change.act = (struct history_act){ .action = "hold", .uid = 7 };
    change_prepare(&change);
    assert_int_equal(store_rig_commit(&rig, &change.operation), OPERATION_COMMITTED);
    change_clear(&change);
}

static void a_hold_without_a_reason_has_the_relays(void **state)
{
    (void)state;
    uint64_t id = a_message();
    hold_without_reason(id);
    set_aside(id, false);
    assert_held(id, "a record is damaged", 7);
    id = a_message();
    set_aside(id, false);
    hold_without_reason(id);
    assert_held(id, "a record is damaged", 7);
}

static void the_relays_hold_takes_no_operators_away(void **state)
{
    (void)state;
    static const char died[] = "three delivery workers died while they held this message";
    char reason[256];
    uint64_t id = a_message();
    set_aside(id, false);
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 0);
    snprintf(reason, sizeof(reason), "a record is damaged; because; %s", died);
    for (int times = 0; times < 2; times++) {
        kill_three_workers(id);
        assert_held(id, reason, 7);
    }
    id = a_message();
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, id), 1);
    kill_three_workers(id);
    set_aside(id, false);
    snprintf(reason, sizeof(reason), "because; %s; a record is damaged", died);
    assert_held(id, reason, 7);
    assert_int_equal(store_usage(rig.store).damaged_messages, 2);
}

static void a_hops_record_that_cannot_be_read_is_found_again(void **state)
{
    (void)state;
    uint64_t id = a_message();
    a_message();
    spoil(TABLE_HOP, key_of_hop(SPAN("example.net")));
    struct correct correct = { .hop = "" };
    strcpy(correct.hop, "example.net");
    correct_prepare(&correct);
    assert_int_equal(store_rig_commit(&rig, &correct.operation), OPERATION_COMMITTED);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_HOP), 1);
    spoil(TABLE_HOP, key_of_hop(SPAN("example.net")));
    for (int i = 0; i < 2; i++) { /* and a settlement does not stumble over it */
        struct settle settle = store_rig_settle(&rig, id + (unsigned)i, 0,
                                                IPC__RESULT_KIND__DELIVERED, "2.0.0", false);
        settle_clear(&settle);
    }
    assert_rows(0, 0, 0);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 0);
    assert_int_equal(store_rig_count(&rig, TABLE_HOP), 0);
}

static void suspend(int64_t until_ms)
{
    struct suspend s = { .until_ms = until_ms, .reason = SPAN("they move house"), .uid = 7 };
    strcpy(s.hop, "example.net");
    suspend_prepare(&s);
    assert_int_equal(store_rig_commit(&rig, &s.operation), OPERATION_COMMITTED);
}

static Queue__HopRecord *hop_record(void)
{
    struct record_key key = key_of_hop(SPAN("example.net"));
    struct kv_txn *txn;
    struct span value;
    assert_null(kv_begin_read(store_kv(rig.store), &txn));
    assert_null(kv_get(txn, TABLE_HOP, key_span(&key), &value));
    Queue__HopRecord *hop =
        record_read(TABLE_HOP, key_span(&key), value, &queue__hop_record__descriptor, NULL);
    assert_non_null(hop);
    kv_abort(&txn);
    return hop;
}

static void what_an_operator_suspended_stays_so_when_its_record_is_damaged(void **state)
{
    (void)state;
    a_message();
    suspend(clock_utc_ms() + HOUR_MS);
    spoil(TABLE_HOP, key_of_hop(SPAN("example.net")));
    a_message();
    Queue__HopRecord *hop = hop_record();
    assert_true(hop->operator_until_utc_ms == INT64_MAX);
    assert_true(span_starts_with(span_of_bytes(hop->operator_reason), SPAN("its record was dam")));
    assert_int_equal(hop->waiting, 2);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 0);
    queue__hop_record__free_unpacked(hop, NULL);
    suspend(0); /* resumed */
    hop = hop_record();
    assert_true(hop->operator_until_utc_ms == 0);
    queue__hop_record__free_unpacked(hop, NULL);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 1);
    spoil(TABLE_HOP, key_of_hop(SPAN("example.net")));
    a_message();
    hop = hop_record();
    assert_true(hop->operator_until_utc_ms == 0); /* and no other one is suspended */
    queue__hop_record__free_unpacked(hop, NULL);
}

static void an_operator_removes_what_cannot_be_read(void **state)
{
    (void)state;
    static const enum queue_table tables[] = { TABLE_MESSAGE, TABLE_RECIPIENT };
    for (int i = 0; i < 2; i++) {
        uint64_t id = a_message();
        spoil(tables[i], tables[i] == TABLE_MESSAGE ? key_of_id(id) : key_of_part(id, 0));
        set_aside(id, false);
        assert_int_equal(store_rig_change(&rig, CHANGE_REMOVE, id), 1);
        assert_nothing();
    }
}

static void what_is_removed_before_it_was_met_leaves_nothing_held(void **state)
{
    (void)state;
    static const enum queue_table tables[] = { TABLE_MESSAGE, TABLE_RECIPIENT };
    for (int i = 0; i < 2; i++) {
        uint64_t id = a_message();
        spoil(tables[i], tables[i] == TABLE_MESSAGE ? key_of_id(id) : key_of_part(id, 0));
        assert_int_equal(store_rig_change(&rig, CHANGE_REMOVE, id), 1);
        set_aside(id, false); /* its row of due was left */
        assert_nothing();
    }
}

static void who_can_be_read_goes_on_without_the_one_who_cannot(void **state)
{
    (void)state;
    uint64_t id = a_message_to_two();
    spoil(TABLE_RECIPIENT, key_of_part(id, 0));
    for (int i = 0; i < 2; i++) { /* its row of due was left, and is met */
        assert_int_equal(change_damaged(CHANGE_REMOVE), i == 0);
        assert_rows(i == 0 ? 2 : 1, 1, 0);
        set_aside(id, false);
        assert_rows(1, 1, 0);
        assert_int_equal(store_usage(rig.store).damaged_messages, 0);
    }
    struct settle settle =
        store_rig_settle(&rig, id, 1, IPC__RESULT_KIND__DELIVERED, "2.0.0", false);
    settle_clear(&settle);
    assert_nothing();
}

/* So many recipients, of which the last has no member of the one name, and that of the other. */
static void assert_traced(uint64_t id, size_t count, const char *without, const char *with,
                          const char *text)
{
    struct leases *nobody = leases_new();
    struct json *trace = NULL;
    assert_null(store_trace(rig.store, nobody, id, &trace));
    const struct json *all = json_get(trace, "recipients");
    assert_int_equal(json_count(all), count);
    assert_null(json_get(json_item(all, count - 1), without));
    assert_true(span_equal(json_text(json_get(json_item(all, count - 1), with)), span_of(text)));
    const struct json *end = json_item(json_get(json_item(all, count - 1), "events"), 0);
    assert_int_equal(json_number(json_get(end, "by")), 7);
    json_free(&trace);
    leases_free(&nobody);
}

static void who_was_set_aside_is_removed_alone(void **state)
{
    (void)state;
    uint64_t id = a_message_to_two();
    spoil(TABLE_RECIPIENT, key_of_part(id, 0));
    set_aside(id, false);
    assert_rows(1, 2, 1);
    assert_int_equal(change_damaged(CHANGE_REMOVE), 1);
    assert_string_equal(told, "<>");
    assert_traced(id, 2, "recipient", "state", "removed"); /* and who waits */
    assert_rows(1, 1, 0);
    assert_int_equal(store_usage(rig.store).damaged_messages, 0);
    assert_int_equal(store_usage(rig.store).messages, 1);
}

static void all_whom_a_removal_ends_are_told_and_counted(void **state)
{
    (void)state;
    uint64_t id = a_message_to_two();
    spoil(TABLE_MESSAGE, key_of_id(id));
    set_aside(id, false);
    assert_int_equal(change_damaged(CHANGE_REMOVE), 2);
    assert_string_equal(told, "<bob@example.net>? <eve@example.net>?"); /* since when is lost */
    assert_traced(id, 2, "next_try", "recipient", "eve@example.net");
    assert_traced(id, 2, "next_try", "state", "removed");
    assert_int_equal(store_usage(rig.store).messages, 0);
    assert_int_equal(change_damaged(CHANGE_REMOVE), 0);
    assert_string_equal(told, "");
}

static void who_was_delivered_takes_no_room_when_the_message_cannot_be_read(void **state)
{
    (void)state;
    uint64_t id = a_message_to_two();
    spoil(TABLE_MESSAGE, key_of_id(id));
    for (int times = 0; times < 2; times++)
        set_aside(id, true);
    assert_rows(1, 1, 1);
    assert_int_equal(change_damaged(CHANGE_REMOVE), 1);
    assert_nothing();
}

static void a_hold_that_cannot_be_read_is_written_anew(void **state)
{
    (void)state;
    uint64_t id = a_message();
    set_aside(id, false);
    spoil(TABLE_HELD, key_of_id(id));
    set_aside(id, false);
    assert_rows(0, 1, 1);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a recipient that cannot be read is due no more, and the others are",
             a_recipient_that_cannot_be_read_is_due_no_more),
        TEST("a message that cannot be read is held, and counted once",
             a_message_that_cannot_be_read_is_held),
        TEST("what was delivered is not tried again, whatever is damaged",
             what_was_delivered_is_not_tried_again),
        TEST("an outcome that comes again ends nobody twice",
             an_outcome_that_comes_again_ends_nobody_twice),
        TEST("a row in due without a recipient goes", a_row_without_a_recipient_goes),
        TEST("a hold because of damage is lifted and counted out",
             a_hold_is_lifted_and_counted_out),
        TEST("why what is damaged is held stands, and an operator's reason stands beside it",
             why_what_is_damaged_is_held_stands),
        TEST("damage takes no operator's reason away", damage_takes_no_operators_reason_away),
        TEST("a hold without a reason has the relay's", a_hold_without_a_reason_has_the_relays),
        TEST("the relay's own hold takes no operator's away",
             the_relays_hold_takes_no_operators_away),
        TEST("a hop's record that cannot be read is found again from the rows",
             a_hops_record_that_cannot_be_read_is_found_again),
        TEST("what an operator suspended stays so when its record is damaged, until it is resumed",
             what_an_operator_suspended_stays_so_when_its_record_is_damaged),
        TEST("an operator removes what cannot be read", an_operator_removes_what_cannot_be_read),
        TEST("a hold that cannot be read is written anew",
             a_hold_that_cannot_be_read_is_written_anew),
        TEST("what is removed before its damage was met leaves nothing held",
             what_is_removed_before_it_was_met_leaves_nothing_held),
        TEST("recipients that can be read go on without the one that cannot",
             who_can_be_read_goes_on_without_the_one_who_cannot),
        TEST("a recipient that was set aside is removed alone", who_was_set_aside_is_removed_alone),
        TEST("who was delivered takes no room when the message cannot be read",
             who_was_delivered_takes_no_room_when_the_message_cannot_be_read),
        TEST("all whom a removal ends are told and counted",
             all_whom_a_removal_ends_are_told_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
