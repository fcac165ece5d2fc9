#include "tests/support/test.h"

#include "tests/support/one_store.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"
#include "queue/records.pb-c.h"
#include "queue/store_release.h"
#include "queue/store_rows.h"

/* Gives whether its hop is back after a rest. */
static bool settle(uint64_t id, Ipc__ResultKind kind, bool hop_failed)
{
    static uint64_t lease = 1000;
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    Ipc__Result result = IPC__RESULT__INIT;
    Ipc__Result *results[] = { &result };
    struct settle settle = { .notices.settings = &rig.notify };
    uint8_t packed[512];
    result.kind = kind;
    result.status = bytes_of_span(SPAN("4.4.1"));
    result.reply = bytes_of_span(SPAN("words"));
    outcome.lease = ++lease;
    outcome.id = id;
    outcome.results = results;
    outcome.n_results = 1;
    outcome.hop_failed = hop_failed;
    size_t len = ipc__outcome__pack(&outcome, packed);
    settle.outcome = ipc__outcome__unpack(NULL, len, packed);
    settle_prepare(&settle);
    assert_int_equal(store_rig_commit(&rig, &settle.operation), OPERATION_COMMITTED);
    bool revived = settle.hop_revived;
    settle_clear(&settle);
    return revived;
}

static bool is_due(uint64_t id)
{
    Queue__RecipientRecord *recipient;
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    bool due = recipient->due_utc_ms <= clock_utc_ms() + SECOND_MS;
    queue__recipient_record__free_unpacked(recipient, NULL);
    return due;
}

/* All slices; gives how many rows moved. */
static size_t release_all(const char *hop)
{
    struct release *release = release_new(span_of(hop));
    size_t changed = 0;
    for (;;) {
        assert_int_equal(store_rig_commit(&rig, &release->operation), OPERATION_COMMITTED);
        changed += release->changed;
        if (!release->more)
            break;
        release_advance(release);
    }
    free(release);
    return changed;
}

static void what_its_hop_deferred_goes_and_what_a_server_deferred_waits(void **state)
{
    (void)state;
    uint64_t silent = a_message();
    uint64_t greylisted = a_message();
    assert_false(settle(greylisted, IPC__RESULT_KIND__DEFERRED, false));
    assert_false(settle(silent, IPC__RESULT_KIND__DEFERRED, true));
    assert_false(is_due(silent));
    assert_int_equal(release_all("example.net"), 1);
    assert_true(is_due(silent));
    assert_false(is_due(greylisted));
    assert_int_equal(release_all("example.net"), 0);
    assert_int_equal(release_all("another.test"), 0);
}

static void a_success_while_the_hop_rests_releases_nothing(void **state)
{
    (void)state;
    uint64_t under_way = a_message();
    uint64_t failed = a_message();
    settle(failed, IPC__RESULT_KIND__DEFERRED, true);
    assert_false(settle(under_way, IPC__RESULT_KIND__DELIVERED, false));
}

static void a_success_after_its_rest_releases(void **state)
{
    (void)state;
    rig.settings.retry_first_s = 1;
    store_rig_reopen(&rig);
    uint64_t failed = a_message();
    uint64_t probe = a_message();
    settle(failed, IPC__RESULT_KIND__DEFERRED, true);
    usleep(1300 * 1000);
    assert_true(settle(probe, IPC__RESULT_KIND__DELIVERED, false));
    uint64_t next = a_message();
    assert_false(settle(next, IPC__RESULT_KIND__DELIVERED, false)); /* once */
}

static void a_hop_with_more_than_a_slice_is_released_slice_by_slice(void **state)
{
    (void)state;
    enum { COUNT = RELEASE_SLICE * 2 + 7 };
    static uint64_t ids[COUNT];
    for (unsigned i = 0; i < COUNT; i++)
        ids[i] = a_message();
    for (unsigned i = 0; i < COUNT; i++)
        settle(ids[i], IPC__RESULT_KIND__DEFERRED, true);
    assert_int_equal(release_all("example.net"), COUNT);
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(is_due(ids[i]));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("mail that waits because of its hop is released, what a server deferred is not",
             what_its_hop_deferred_goes_and_what_a_server_deferred_waits),
        TEST("a success of mail that was under way when the hop failed releases nothing",
             a_success_while_the_hop_rests_releases_nothing),
        TEST("the first success after a hop's rest releases its mail",
             a_success_after_its_rest_releases),
        TEST("a hop with much mail is released slice by slice",
             a_hop_with_more_than_a_slice_is_released_slice_by_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
