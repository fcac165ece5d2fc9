#include "tests/support/test.h"

#include "tests/support/store_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/clock_steps.h"
#include "queue/records.pb-c.h"

static struct store_rig rig;
static struct loop *loop;
static struct committer *committer;
static struct leases *leases;
static struct dispatch *dispatch;
static struct clock_steps *steps;

static void give_nothing(void *ctx, struct worker_slot *slot, struct lease *lease,
                         const struct job_facts *facts)
{
    (void)ctx, (void)slot, (void)lease, (void)facts;
}

static void settle_nothing(void *ctx, struct lease *lease, Ipc__Outcome *outcome)
{
    (void)ctx, (void)lease, (void)outcome;
}

static void on_broken(void *ctx, int exit_status, const struct error *why)
{
    (void)ctx, (void)exit_status, (void)why;
    fail();
}

static int open_all(void **state)
{
    (void)state;
    store_rig_open(&rig);
    loop = loop_new();
    committer = committer_new(loop, rig.store, on_broken, NULL);
    leases = leases_new();
    const struct dispatch_parts parts = { loop, rig.store, committer, leases };
    dispatch = dispatch_new(&parts, give_nothing, settle_nothing, NULL);
    steps = clock_steps_new(&parts, dispatch, 0, 0);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    committer_free(&committer);
    clock_steps_free(&steps);
    dispatch_free(&dispatch);
    leases_free(&leases);
    loop_free(&loop);
    store_rig_close(&rig);
    return 0;
}

static void stop(void *ctx)
{
    loop_stop(ctx);
}

static void run_for(int64_t ms)
{
    struct loop_timer *timer = loop_timer_new(loop, stop, loop);
    loop_timer_start(timer, ms);
    loop_run(loop);
    loop_timer_free(&timer);
}

static void wait_by_days(int64_t days)
{
    rig.settings.retry_first_s = rig.settings.retry_max_s = (unsigned)days * (DAY_MS / SECOND_MS);
    store_set_schedule(rig.store, &rig.settings);
}

/* A message that waits for ten days, as if the clock had been ahead. */
static uint64_t far_ahead(void)
{
    uint64_t id = store_rig_accept(&rig, "ada@sender.test", "bob@example.net", SPAN("x\r\n"));
    assert_true(id > 0);
    wait_by_days(10);
    struct settle settle =
        store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__DEFERRED, "4.2.1", false);
    settle_clear(&settle);
    return id;
}

static bool is_due_soon(uint64_t id)
{
    Queue__RecipientRecord *recipient;
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    bool soon = recipient->due_utc_ms <= clock_utc_ms() + SECOND_MS;
    queue__recipient_record__free_unpacked(recipient, NULL);
    return soon;
}

/* However slow the disk is. */
static bool becomes_due_soon(uint64_t id)
{
    for (int i = 0; i < 100 && !is_due_soon(id); i++)
        run_for(50);
    return is_due_soon(id);
}

static void a_step_back_pulls_due_times_in(void **state)
{
    (void)state;
    uint64_t id = far_ahead();
    wait_by_days(1);
    clock_steps_check(steps, -HOUR_MS, 0);
    assert_true(becomes_due_soon(id));
}

static void a_step_ahead_or_a_drift_pulls_nothing_in(void **state)
{
    (void)state;
    uint64_t id = far_ahead();
    wait_by_days(1);
    clock_steps_check(steps, -SECOND_MS, 0);
    clock_steps_check(steps, HOUR_MS, 0);
    clock_steps_check(steps, HOUR_MS + 5 * MINUTE_MS, 5 * MINUTE_MS);
    run_for(100);
    assert_false(is_due_soon(id));
}

static void a_second_step_during_the_sweep_is_swept_too(void **state)
{
    (void)state;
    uint64_t id = far_ahead();
    wait_by_days(30); /* at the first step the message waits no longer than it may */
    clock_steps_check(steps, -HOUR_MS, 0);
    run_for(0);         /* handed over ... */
    usleep(100 * 1000); /* ... and swept; the loop does not know yet */
    wait_by_days(1);
    clock_steps_check(steps, -2 * HOUR_MS, 0);
    assert_false(is_due_soon(id));
    assert_true(becomes_due_soon(id));
}

static void a_damaged_record_does_not_end_the_sweep(void **state)
{
    (void)state;
    uint64_t damaged = far_ahead();
    uint64_t healthy = far_ahead();
    struct record_key key = key_of_part(damaged, 0);
    struct kv_txn *txn;
    assert_null(kv_begin_write(store_kv(rig.store), &txn));
    assert_null(kv_put(txn, TABLE_RECIPIENT, key_span(&key), SPAN("nothing like a record")));
    assert_null(kv_commit(&txn));
    wait_by_days(1);
    clock_steps_check(steps, -HOUR_MS, 0);
    assert_true(becomes_due_soon(healthy));
}

static void a_long_queue_is_swept_to_its_end(void **state)
{
    (void)state;
    enum { LONG = 3 * SWEEP_SLICE + 7 };
    store_rig_accept_many(&rig, "ada@sender.test", "bob@example.net", LONG);
    uint64_t last = far_ahead();
    wait_by_days(1);
    clock_steps_check(steps, -HOUR_MS, 0);
    assert_true(becomes_due_soon(last));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_all, close_all, NULL                                                 \
    }

int main(void)
{
    log_open(STDERR_FILENO, LOG_ERROR, "test");
    const struct CMUnitTest tests[] = {
        TEST("a step back pulls due times in", a_step_back_pulls_due_times_in),
        TEST("a step ahead or a drift pulls nothing in", a_step_ahead_or_a_drift_pulls_nothing_in),
        TEST("a second step back during the sweep is swept, too",
             a_second_step_during_the_sweep_is_swept_too),
        TEST("a damaged record does not end the sweep", a_damaged_record_does_not_end_the_sweep),
        TEST("a long queue is swept to its end", a_long_queue_is_swept_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
