#include "tests/support/test.h"

#include "lib/base/clock.h"
#include "lib/io/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* A loop and what happened in it. */
struct fixture {
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_timer *stop;
    struct loop_watch *watch;
    struct loop_wake *wake;
    struct loop_signal *signal;
    struct loop_task first;
    struct loop_task second;
    int pipe[2];
    unsigned timed;
    unsigned first_runs;
    unsigned second_runs;
    unsigned readable;
    unsigned writable;
    unsigned woken;
    unsigned signals;
    int64_t timed_at;
    bool rearm;
    atomic_uint posted;
    unsigned seen;
};

static void on_stop(void *ctx)
{
    loop_stop(((struct fixture *)ctx)->loop);
}

static void on_timed(void *ctx)
{
    struct fixture *f = ctx;

    f->timed++;
    f->timed_at = clock_monotonic_ms();
    if (f->rearm)
        loop_timer_start(f->timer, 10);
    f->rearm = false;
}

static void on_first(void *ctx)
{
    struct fixture *f = ctx;

    f->first_runs++;
    if (f->first_runs == 1)
        loop_defer(f->loop, &f->second);
}

static void on_second(void *ctx)
{
    ((struct fixture *)ctx)->second_runs++;
}

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){ .loop = loop_new() };
    f.timer = loop_timer_new(f.loop, on_timed, &f);
    f.stop = loop_timer_new(f.loop, on_stop, &f);
    loop_task_init(&f.first, on_first, &f);
    loop_task_init(&f.second, on_second, &f);
    assert_int_equal(pipe(f.pipe), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_timer_free(&f->timer);
    loop_timer_free(&f->stop);
    loop_watch_free(&f->watch);
    loop_wake_free(&f->wake);
    loop_signal_free(&f->signal);
    close(f->pipe[0]);
    close(f->pipe[1]);
    loop_free(&f->loop);
    return 0;
}

static void run_for(struct fixture *f, int64_t wait_ms)
{
    loop_refresh(f->loop);
    loop_timer_start(f->stop, wait_ms);
    loop_run(f->loop);
}

static void timer_is_never_early(void **state)
{
    struct fixture *f = *state;

    for (int wait = 1; wait < 20; wait += 3) {
        int64_t from = clock_monotonic_ms();
        f->timed = 0;
        loop_refresh(f->loop);
        loop_timer_start(f->timer, wait);
        assert_true(loop_timer_running(f->timer));
        run_for(f, 60);
        assert_int_equal(f->timed, 1);
        assert_true(f->timed_at - from >= wait);
        assert_false(loop_timer_running(f->timer));
    }
}

static void timer_restarts_and_cancels(void **state)
{
    struct fixture *f = *state;

    loop_timer_start(f->timer, 5);
    loop_timer_start(f->timer, 500);
    run_for(f, 30);
    assert_int_equal(f->timed, 0);
    loop_timer_start(f->timer, 5);
    loop_timer_cancel(f->timer);
    run_for(f, 30);
    assert_int_equal(f->timed, 0);
}

static void timer_may_start_itself_again(void **state)
{
    struct fixture *f = *state;

    f->rearm = true;
    loop_timer_start(f->timer, 0);
    run_for(f, 60);
    assert_int_equal(f->timed, 2);
}

static void task_runs_once_however_often_asked(void **state)
{
    struct fixture *f = *state;

    loop_defer(f->loop, &f->first);
    loop_defer(f->loop, &f->first);
    assert_int_equal(f->first_runs, 0);
    loop_stop(f->loop); /* not even one turn: what waits before the first is run all the same */
    loop_run(f->loop);
    assert_int_equal(f->first_runs, 1);
    assert_int_equal(f->second_runs, 1);
}

static void cancelled_task_never_runs(void **state)
{
    struct fixture *f = *state;

    loop_defer(f->loop, &f->first);
    loop_task_cancel(&f->first);
    loop_task_cancel(&f->second);
    run_for(f, 1);
    assert_int_equal(f->first_runs, 0);
}

static void on_pipe(void *ctx, bool readable, bool writable)
{
    struct fixture *f = ctx;
    char byte;

    f->readable += readable;
    f->writable += writable;
    if (readable)
        assert_int_equal(read(f->pipe[0], &byte, 1), 1);
    loop_defer(f->loop, &f->first);
}

static void watch_tells_as_long_as_there_is_something(void **state)
{
    struct fixture *f = *state;

    f->watch = loop_watch_new(f->loop, f->pipe[0], on_pipe, f);
    assert_int_equal(write(f->pipe[1], "abc", 3), 3);
    run_for(f, 10);
    assert_int_equal(f->readable, 0); /* nothing is wanted yet */
    loop_watch_want(f->watch, true, false);
    run_for(f, 10);
    assert_int_equal(f->readable, 3);
    assert_int_equal(f->first_runs, 3); /* once in each turn */
    assert_int_equal(write(f->pipe[1], "d", 1), 1);
    loop_watch_want(f->watch, false, false);
    run_for(f, 10);
    assert_int_equal(f->readable, 3);
}

static void on_writable_free(void *ctx, bool readable, bool writable)
{
    struct fixture *f = ctx;

    f->readable += readable;
    f->writable += writable;
    loop_watch_free(&f->watch);
}

static void watch_may_be_freed_in_its_own_callback(void **state)
{
    struct fixture *f = *state;

    f->watch = loop_watch_new(f->loop, f->pipe[1], on_writable_free, f);
    loop_watch_want(f->watch, true, true);
    run_for(f, 10);
    assert_int_equal(f->writable, 1);
    assert_null(f->watch);
}

static void on_woken(void *ctx)
{
    struct fixture *f = ctx;

    f->woken++;
    f->seen = atomic_load(&f->posted);
}

enum { POSTS = 20000 };

static void *post_many(void *ctx)
{
    struct fixture *f = ctx;

    for (int i = 0; i < POSTS; i++) {
        atomic_fetch_add(&f->posted, 1);
        loop_wake_post(f->wake);
    }
    return NULL;
}

static void no_post_from_another_thread_is_lost(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;

    f->wake = loop_wake_new(f->loop, on_woken, f);
    assert_int_equal(pthread_create(&thread, NULL, post_many, f), 0);
    run_for(f, 100);
    pthread_join(thread, NULL);
    run_for(f, 20);
    assert_int_equal(f->seen, POSTS);
    assert_true(f->woken >= 1 && f->woken <= POSTS);
}

static void posts_before_the_turn_are_one_call(void **state)
{
    struct fixture *f = *state;

    f->wake = loop_wake_new(f->loop, on_woken, f);
    for (int i = 0; i < 10; i++)
        loop_wake_post(f->wake);
    run_for(f, 10);
    assert_int_equal(f->woken, 1);
}

static void on_signal(void *ctx, int number)
{
    struct fixture *f = ctx;

    assert_int_equal(number, SIGUSR1);
    f->signals++;
}

static void signal_is_heard_in_the_loop(void **state)
{
    struct fixture *f = *state;

    f->signal = loop_signal_new(f->loop, SIGUSR1, on_signal, f);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(f->signals, 0);
    run_for(f, 20);
    assert_int_equal(f->signals, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(title, function) { title, function, setup, teardown, NULL }
        TEST("a timer fires once and never early", timer_is_never_early),
        TEST("a timer that is started anew or cancelled forgets its old time",
             timer_restarts_and_cancels),
        TEST("a timer may start itself again", timer_may_start_itself_again),
        TEST("a task runs once at the end of the turn, and so does the task it asks for",
             task_runs_once_however_often_asked),
        TEST("a cancelled task never runs", cancelled_task_never_runs),
        TEST("a watch tells as long as there is something, and only what is wanted",
             watch_tells_as_long_as_there_is_something),
        TEST("a watch may be freed in its own callback", watch_may_be_freed_in_its_own_callback),
        TEST("no post from another thread is lost", no_post_from_another_thread_is_lost),
        TEST("posts before the turn are one call", posts_before_the_turn_are_one_call),
        TEST("a signal is heard in the loop, not in the handler", signal_is_heard_in_the_loop),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
