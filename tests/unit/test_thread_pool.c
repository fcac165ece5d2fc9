/* Work that is done in threads while the loop serves on. */
#include "lib/io/thread_pool.h"

#include "tests/support/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { TASKS = 100 };

struct task {
    struct thread_task task;
    pthread_t ran_in;
    unsigned runs, ends, drops;
};

static struct loop *loop;
static struct thread_pool *pool;
static struct task tasks[TASKS];
static atomic_uint begun;
static atomic_bool gate; /* while it is shut, who runs waits */
static unsigned left;    /* to end before the loop stops */

static struct task *task_of(struct thread_task *task)
{
    return (struct task *)task;
}

static void run(struct thread_task *task)
{
    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&gate))
        sched_yield();
    task_of(task)->ran_in = pthread_self();
    task_of(task)->runs++;
}

static void on_ended(void *ctx, struct thread_task *task)
{
    assert_ptr_equal(ctx, &left);
    task_of(task)->ends++;
    if (--left == 0)
        loop_stop(loop);
}

static void on_dropped(struct thread_task *task)
{
    task_of(task)->drops++;
}

static int set_up(void **state)
{
    static const struct thread_pool_work work = { run, on_ended, on_dropped };

    (void)state;
    for (int i = 0; i < TASKS; i++)
        tasks[i] = (struct task){ .runs = 0 };
    atomic_store(&begun, 0);
    atomic_store(&gate, true);
    left = TASKS;
    loop = loop_new();
    pool = thread_pool_new(loop, &work, &left);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    atomic_store(&gate, true);
    thread_pool_free(&pool);
    loop_free(&loop);
    return 0;
}

static void start_all(void)
{
    for (int i = 0; i < TASKS; i++)
        thread_pool_start(pool, &tasks[i].task);
}

static void wait_begun(unsigned count)
{
    while (atomic_load(&begun) < count)
        sched_yield();
}

static void each_task_is_run_once_in_a_thread_and_ends_in_the_loop(void **state)
{
    (void)state;
    start_all();
    loop_run(loop);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(tasks[i].runs, 1);
        assert_int_equal(tasks[i].ends, 1);
        assert_false(pthread_equal(tasks[i].ran_in, pthread_self()));
    }
}

static void what_no_thread_has_had_is_taken_back(void **state)
{
    (void)state;
    atomic_store(&gate, false);
    start_all();
    wait_begun(1);
    assert_true(thread_pool_take_back(pool, &tasks[TASKS - 1].task));
    assert_false(thread_pool_take_back(pool, &tasks[TASKS - 1].task)); /* once */
    assert_false(thread_pool_take_back(pool, &tasks[0].task));         /* it is being run */
    left--;
    atomic_store(&gate, true);
    loop_run(loop);
    assert_int_equal(tasks[TASKS - 1].runs + tasks[TASKS - 1].ends, 0);
    assert_int_equal(tasks[0].ends, 1);
}

static void a_task_that_ended_may_be_started_again(void **state)
{
    (void)state;
    left = 1;
    thread_pool_start(pool, &tasks[0].task);
    loop_run(loop);
    left = 1;
    thread_pool_start(pool, &tasks[0].task);
    loop_run(loop);
    assert_int_equal(tasks[0].runs, 2);
    assert_int_equal(tasks[0].ends, 2);
}

static void a_pool_that_ends_waits_for_what_is_run_and_drops_the_rest(void **state)
{
    unsigned ran = 0;

    (void)state;
    start_all();
    wait_begun(1);
    thread_pool_free(&pool);
    assert_null(pool);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(tasks[i].drops, 1);
        assert_int_equal(tasks[i].ends, 0);
        ran += tasks[i].runs;
    }
    assert_int_equal(ran, atomic_load(&begun));
    thread_pool_free(&pool); /* accepts NULL inside */
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        "thread pool: " title, function, set_up, tear_down, 0                                      \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("each task is run once in a thread, and ends in the loop",
             each_task_is_run_once_in_a_thread_and_ends_in_the_loop),
        TEST("what no thread has had is taken back, once", what_no_thread_has_had_is_taken_back),
        TEST("a task that ended may be started again", a_task_that_ended_may_be_started_again),
        TEST("a pool that ends waits for what is run, and drops the rest",
             a_pool_that_ends_waits_for_what_is_run_and_drops_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
