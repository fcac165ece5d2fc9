/* Hops that are held back by a rate, with dispatch on a real store and the test as its worker. */
#include "tests/support/test.h"

#include "tests/support/store_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "queue/dispatch.h"

enum { GIVEN_MAX = 16, PATIENCE_MS = 20 * SECOND_MS };

static struct store_rig rig;
static struct loop *loop;
static struct committer *committer;
static struct leases *leases;
static struct dispatch *dispatch;
static struct worker_slot slot;
static struct lease *given[GIVEN_MAX];
static unsigned given_count;
static unsigned awaited;

static void take(void *ctx, struct worker_slot *to, struct lease *lease,
                 const struct job_facts *facts)
{
    (void)ctx, (void)facts;
    assert_true(to == &slot && given_count < GIVEN_MAX);
    given[given_count++] = lease;
    if (given_count == awaited)
        loop_stop(loop);
}

static void settle_nothing(void *ctx, struct lease *lease, Ipc__Outcome *outcome)
{
    (void)ctx, (void)lease, (void)outcome;
    fail();
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
    dispatch = dispatch_new(&parts, take, settle_nothing, NULL);
    slot = (struct worker_slot){ .room = 100, .takes_jobs = true };
    dispatch_add_slot(dispatch, &slot);
    given_count = 0;
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    committer_free(&committer);
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

/* Until so many were given in all, and what goes with the last. */
static bool wait_given(unsigned count)
{
    awaited = count;
    if (given_count < count)
        run_for(PATIENCE_MS);
    awaited = 0;
    run_for(1);
    return given_count >= count;
}

static void accept_for(const char *recipient, unsigned count)
{
    store_rig_accept_many(&rig, "ada@sender.test", recipient, count);
}

static void begin(struct message_rate rate)
{
    dispatch_set(dispatch, false, (struct hop_limits){ .connections = 10, .rate = rate });
    dispatch_open(dispatch);
}

/* Its host answered; what is due there waits as before. */
static void give_back(unsigned nth)
{
    dispatch_leave(dispatch, given[nth], &slot, HOP_REACHED);
    dispatch_return(dispatch, &given[nth], false);
}

/* No host of its hop could be used: the hop rests for a second. */
static void fail_hop(unsigned nth)
{
    struct settle settle =
        store_rig_settle(&rig, given[nth]->id, 0, IPC__RESULT_KIND__RETURNED, "4.4.1", false);
    settle.outcome->results[0]->kind = IPC__RESULT_KIND__DEFERRED;
    settle.outcome->hop_failed = true;
    settle.outcome->lease = given[nth]->number;
    dispatch_leave(dispatch, given[nth], &slot, HOP_FAILED);
    assert_int_equal(store_rig_commit(&rig, &settle.operation), OPERATION_COMMITTED);
    settle_clear(&settle);
    dispatch_end(dispatch, &given[nth], true);
}

static void rest_shortly(void)
{
    rig.settings.retry_first_s = rig.settings.retry_max_s = 1;
    store_set_schedule(rig.store, &rig.settings);
}

static bool is_for(unsigned nth, const char *hop)
{
    return span_equal(dispatch_hop_of(given[nth]), span_of(hop));
}

static void a_hop_whose_time_comes_is_not_looked_for(void **state)
{
    (void)state;
    accept_for("bob@paced.test", 1);
    begin((struct message_rate){ 4, 1 });
    assert_true(wait_given(1));
    give_back(0);
    run_for(1);
    accept_for("bob@untold.test", 1); /* a look at all rows would find it */
    assert_true(wait_given(2));
    assert_true(is_for(1, "paced.test"));
    assert_int_equal(given_count, 2);
    dispatch_look(dispatch);
    assert_true(wait_given(3));
    assert_true(is_for(2, "untold.test"));
}

static void a_hop_with_mail_under_way_goes_on_when_its_time_comes(void **state)
{
    (void)state;
    accept_for("bob@paced.test", 4);
    begin((struct message_rate){ 20, 1 });
    assert_true(wait_given(1));
    give_back(0);
    assert_true(wait_given(4)); /* and none of them is given back */
}

static void other_mail_is_found_while_hops_are_held_back(void **state)
{
    (void)state;
    accept_for("bob@paced.test", 2);
    begin((struct message_rate){ 1, 3600 });
    assert_true(wait_given(1));
    give_back(0);
    run_for(1);
    accept_for("bob@touched.test", 1);
    dispatch_touch(dispatch, SPAN("touched.test"));
    assert_true(wait_given(2));
    assert_true(is_for(1, "touched.test"));
    accept_for("bob@found.test", 1);
    dispatch_look(dispatch);
    assert_true(wait_given(3));
    assert_true(is_for(2, "found.test"));
    dispatch_touch(dispatch, SPAN("paced.test"));
    dispatch_look(dispatch);
    run_for(100);
    assert_int_equal(given_count, 3); /* its time has not come */
}

static void what_is_due_later_goes_then(void **state)
{
    (void)state;
    begin((struct message_rate){ 0 });
    run_for(1);
    rest_shortly();
    uint64_t id = store_rig_accept(&rig, "ada@sender.test", "bob@later.test", SPAN("x\r\n"));
    struct settle settle =
        store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__DEFERRED, "4.2.1", false);
    settle_clear(&settle);
    dispatch_touch(dispatch, SPAN("later.test")); /* nobody said that times have changed */
    assert_true(wait_given(1));
}

static void a_hop_with_a_rate_goes_on_after_its_rest(void **state)
{
    (void)state;
    rest_shortly();
    accept_for("bob@paced.test", 2);
    begin((struct message_rate){ 60, 1 });
    assert_true(wait_given(1));
    fail_hop(0);
    assert_true(wait_given(2));
}

static void a_hop_that_answered_goes_on_after_its_rest(void **state)
{
    (void)state;
    rest_shortly();
    accept_for("bob@known.test", 3);
    begin((struct message_rate){ 0 });
    assert_true(wait_given(1));
    give_back(0);
    assert_true(wait_given(4));
    fail_hop(1);
    run_for(50);
    give_back(2); /* one that was under way: visited while it rests */
    run_for(50);
    give_back(3);
    assert_true(wait_given(5));
}

static void a_rate_that_is_changed_counts_at_once(void **state)
{
    (void)state;
    accept_for("bob@paced.test", 2);
    begin((struct message_rate){ 1, 3600 });
    assert_true(wait_given(1));
    give_back(0);
    run_for(1);
    dispatch_set(dispatch, false, (struct hop_limits){ .connections = 10, .rate = { 1000, 1 } });
    assert_true(wait_given(2)); /* when its time comes is found anew, as after a clock's step */
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_all, close_all, NULL                                                 \
    }

int main(void)
{
    log_open(STDERR_FILENO, LOG_ERROR, "test");
    const struct CMUnitTest tests[] = {
        TEST("a hop whose time comes by its rate goes without a look at all rows",
             a_hop_whose_time_comes_is_not_looked_for),
        TEST("a hop with mail under way goes on when its time comes",
             a_hop_with_mail_under_way_goes_on_when_its_time_comes),
        TEST("other mail is found at once while hops are held back",
             other_mail_is_found_while_hops_are_held_back),
        TEST("what is due later goes then", what_is_due_later_goes_then),
        TEST("a hop with a rate goes on after its rest", a_hop_with_a_rate_goes_on_after_its_rest),
        TEST("a hop that answered goes on after its rest",
             a_hop_that_answered_goes_on_after_its_rest),
        TEST("a rate that is changed counts at once", a_rate_that_is_changed_counts_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
