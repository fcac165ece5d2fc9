#include "tests/support/test.h"

#include "tests/support/store_rig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/leases.h"
#include "queue/reading.h"
#include "queue/store_history.h"
#include "queue/store_read.h"
#include "queue/store_trace.h"

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

/* From ada@sender.test, to that many. */
static uint64_t a_message_to(unsigned recipients)
{
    struct envelope envelope;
    struct address address;
    struct accept accept = {
        .content = SPAN("Subject: x\r\n\r\n"), .last = true, .envelope = &envelope, .size = 14
    };

    envelope_init(&envelope);
    assert_int_equal(address_parse_reverse(SPAN("ada@sender.test"), &envelope.reverse_path),
                     ADDRESS_FINE);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    for (unsigned i = 0; i < recipients; i++)
        envelope_add(&envelope, &address);
    accept.id = store_new_id(rig.store);
    accept_prepare(&accept);
    assert_int_equal(store_rig_commit(&rig, &accept.operation), OPERATION_COMMITTED);
    envelope_clear(&envelope);
    return accept.id;
}

static void settle(uint64_t id, uint32_t number, Ipc__ResultKind kind)
{
    struct settle settle = store_rig_settle(&rig, id, number, kind, "2.0.0", false);

    settle_clear(&settle);
}

/* As a sweep does it when so much time has gone by. */
static void expire_what_is_older_than(int64_t ms)
{
    struct store_limits limits = store_limits_of(&rig.settings);
    struct history_expire expire = { .more = true };

    limits.history_ms_max = ms;
    store_set_limits(rig.store, limits);
    history_expire_prepare(&expire);
    store_rig_commit(&rig, &expire.operation);
}

static struct json *trace_of(uint64_t id)
{
    struct json *trace = NULL;

    assert_null(store_trace(rig.store, leases, id, &trace));
    assert_non_null(trace);
    return trace;
}

static struct json *shown_of(uint64_t id)
{
    struct json *shown = NULL;

    assert_null(store_show(rig.store, leases, id, &shown));
    assert_non_null(shown);
    return shown;
}

static void assert_state_of_first(struct json *told, const char *state)
{
    if (!json_member_is(json_item(json_get(told, "recipients"), 0), "state", state))
        fail_msg("the state is not %s", state);
    json_free(&told);
}

static void what_is_with_a_worker_is_being_delivered_whoever_tells_it(void **state)
{
    (void)state;
    uint64_t id = a_message_to(1);
    struct lease *lease = lease_begin(leases, id, &(uint32_t){ 0 }, 1);
    assert_state_of_first(trace_of(id), "delivering");
    assert_state_of_first(shown_of(id), "delivering");
    lease_end(leases, &lease);
    assert_state_of_first(trace_of(id), "queued");
    assert_state_of_first(shown_of(id), "queued");
}

static void assert_tells_how_it_came(struct json *told)
{
    assert_true(json_member_is(told, "sender", "ada@sender.test"));
    assert_int_equal(json_number(json_get(told, "size")), 14);
    assert_true(json_member_text(told, "accepted").len > 0);
    assert_int_equal(json_count(json_get(told, "recipients")), 1);
    json_free(&told);
}

static void a_message_is_known_by_whichever_recipient_is_left_of_it(void **state)
{
    (void)state;
    uint64_t id = a_message_to(2);
    settle(id, 0, IPC__RESULT_KIND__DEFERRED); /* a note, that goes with it */
    settle(id, 0, IPC__RESULT_KIND__DELIVERED);
    usleep(400 * 1000);
    settle(id, 1, IPC__RESULT_KIND__DELIVERED);
    expire_what_is_older_than(200);
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 1);
    assert_tells_how_it_came(trace_of(id));
    assert_tells_how_it_came(shown_of(id));
}

/* Where room is short rows go in the order of their keys, a final row before its notes. */
static void notes_of_one_that_is_gone_do_not_hide_what_is_left(void **state)
{
    (void)state;
    struct store_limits limits = store_limits_of(&rig.settings);
    uint64_t id = a_message_to(2);
    settle(id, 0, IPC__RESULT_KIND__DEFERRED);
    settle(id, 0, IPC__RESULT_KIND__DELIVERED);
    limits.history_bytes_max = store_usage(rig.store).history_bytes + 20;
    store_set_limits(rig.store, limits);
    settle(id, 1, IPC__RESULT_KIND__DELIVERED);
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 2);
    assert_tells_how_it_came(trace_of(id));
    assert_tells_how_it_came(shown_of(id));
}

/* ---- more than an answer tells ----------------------------------------------------------- */

static size_t count_in(const struct json *told, const char *state)
{
    const struct json *recipients = json_get(told, "recipients");
    size_t count = 0;

    for (size_t i = 0; i < json_count(recipients); i++)
        count += json_member_is(json_item(recipients, i), "state", state);
    return count;
}

static void assert_shows_waiting_and_ended(struct json *told)
{
    assert_int_equal(count_in(told, "queued"), RECIPIENTS_SHOWN_MAX);
    assert_int_equal(count_in(told, "delivered"), 1);
    assert_int_equal(json_number(json_get(told, "recipients_not_shown")), 4);
    struct span how = json_member_text(told, "to_see_them");
    assert_true(span_starts_with(how, SPAN("waxseal queue list --id ")));
    assert_true(span_ends_with_nocase(how, SPAN(" lists all that wait")));
    json_free(&told);
}

static void many_that_wait_hide_none_that_has_ended_and_are_counted(void **state)
{
    (void)state;
    uint64_t id = a_message_to(RECIPIENTS_SHOWN_MAX + 5);
    settle(id, RECIPIENTS_SHOWN_MAX + 4, IPC__RESULT_KIND__DELIVERED);
    assert_shows_waiting_and_ended(trace_of(id));
    assert_shows_waiting_and_ended(shown_of(id));
}

static void assert_shows_some_that_ended(struct json *told)
{
    assert_int_equal(count_in(told, "delivered"), RECIPIENTS_SHOWN_MAX);
    assert_true(json_bool(json_get(told, "recipients_not_shown")));
    assert_true(
        json_member_is(told, "to_see_them", "the log has a delivery line of each that has ended"));
    json_free(&told);
}

static void of_many_that_ended_it_is_said_that_there_are_more(void **state)
{
    (void)state;
    uint64_t id = a_message_to(RECIPIENTS_SHOWN_MAX + 1);
    for (uint32_t i = 0; i <= RECIPIENTS_SHOWN_MAX; i++)
        settle(id, i, IPC__RESULT_KIND__DELIVERED);
    assert_shows_some_that_ended(trace_of(id));
    assert_shows_some_that_ended(shown_of(id));
}

static void assert_shows_all(struct json *told)
{
    const struct json *none = json_get(told, "recipients_not_shown");

    assert_int_equal(json_count(json_get(told, "recipients")), RECIPIENTS_SHOWN_MAX);
    assert_int_equal(json_kind_of(none), JSON_KIND_NUMBER);
    assert_int_equal(json_number(none), 0);
    assert_null(json_get(told, "to_see_them"));
    json_free(&told);
}

static void as_many_as_are_shown_are_all(void **state)
{
    (void)state;
    uint64_t id = a_message_to(RECIPIENTS_SHOWN_MAX);
    assert_shows_all(trace_of(id));
    assert_shows_all(shown_of(id));
}

enum { TALKATIVE = 50, REPLY_SIZE = 60000 };

static void put_off_with_a_long_reply(uint64_t id, uint32_t number)
{
    struct settle settle =
        store_rig_settle(&rig, id, number, IPC__RESULT_KIND__RETURNED, "4.0.0", false);
    Ipc__Result *result = settle.outcome->results[0];

    result->kind = IPC__RESULT_KIND__DEFERRED;
    free(result->reply.data);
    result->reply.data = memory_new_array(1, REPLY_SIZE);
    memset(result->reply.data, 'x', REPLY_SIZE);
    result->reply.len = REPLY_SIZE;
    settle.outcome->lease = 1000000 + number;
    store_rig_commit(&rig, &settle.operation);
    settle_clear(&settle);
}

static void assert_is_cut(struct json *told)
{
    size_t shown = json_count(json_get(told, "recipients"));

    assert_in_range(shown, 1, TALKATIVE - 1);
    assert_int_equal(json_number(json_get(told, "recipients_not_shown")), TALKATIVE - shown);
    json_free(&told);
}

static void an_answer_is_cut_before_it_is_too_long_to_be_shown(void **state)
{
    (void)state;
    uint64_t id = a_message_to(TALKATIVE);
    for (uint32_t i = 0; i < TALKATIVE; i++)
        put_off_with_a_long_reply(id, i);
    assert_is_cut(trace_of(id));
    assert_is_cut(shown_of(id));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a message is known by whichever recipient is left of it",
             a_message_is_known_by_whichever_recipient_is_left_of_it),
        TEST("what is with a worker is being delivered, whoever tells it",
             what_is_with_a_worker_is_being_delivered_whoever_tells_it),
        TEST("notes of one that is gone do not hide what is left",
             notes_of_one_that_is_gone_do_not_hide_what_is_left),
        TEST("many that wait hide none that has ended, and are counted",
             many_that_wait_hide_none_that_has_ended_and_are_counted),
        TEST("of many that ended it is said that there are more",
             of_many_that_ended_it_is_said_that_there_are_more),
        TEST("as many as are shown are all", as_many_as_are_shown_are_all),
        TEST("an answer is cut before it is too long to be shown",
             an_answer_is_cut_before_it_is_too_long_to_be_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
