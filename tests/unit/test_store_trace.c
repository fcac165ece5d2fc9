#include "tests/support/test.h"

#include "tests/support/store_rig.h"

#include <unistd.h>

#include "lib/base/json.h"
#include "lib/ipc/channel.h"
#include "queue/leases.h"
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

    assert_null(store_show(rig.store, id, &shown));
    assert_non_null(shown);
    return shown;
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

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a message is known by whichever recipient is left of it",
             a_message_is_known_by_whichever_recipient_is_left_of_it),
        TEST("notes of one that is gone do not hide what is left",
             notes_of_one_that_is_gone_do_not_hide_what_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
