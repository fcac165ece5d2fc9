#include "lib/io/thread_pool.h"

#include "lib/base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct thread_pool {
    const struct thread_pool_work *work;
    void *ctx;
    struct loop_wake *wake;
    pthread_t threads[THREAD_POOL_MAX];
    unsigned thread_count;

    pthread_mutex_t lock;
    pthread_cond_t has_work;
    struct list waiting;  /* under the lock */
    struct list finished; /* under the lock */
    bool closing;         /* under the lock */
};

/* --- in the threads -------------------------------------------------------------------------- */

/* The next task; NULL at the end. */
static struct thread_task *take_waiting(struct thread_pool *pool)
{
    struct thread_task *task = NULL;

    pthread_mutex_lock(&pool->lock);
    while (!pool->closing && list_empty(&pool->waiting))
        pthread_cond_wait(&pool->has_work, &pool->lock);
    if (!pool->closing) {
        task = LIST_FIRST(&pool->waiting, struct thread_task, others);
        list_remove(&task->others);
        task->is_waiting = false;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static void *run(void *ctx)
{
    struct thread_pool *pool = ctx;
    struct thread_task *task;

    while ((task = take_waiting(pool)) != NULL) {
        pool->work->run(task);
        pthread_mutex_lock(&pool->lock);
        list_append(&pool->finished, &task->others);
        pthread_mutex_unlock(&pool->lock);
        loop_wake_post(pool->wake);
    }
    return NULL;
}

/* --- in the loop ----------------------------------------------------------------------------- */

static void on_wake(void *ctx)
{
    struct thread_pool *pool = ctx;
    struct list finished;

    list_init(&finished);
    pthread_mutex_lock(&pool->lock);
    list_splice(&finished, &pool->finished);
    pthread_mutex_unlock(&pool->lock);
    while (!list_empty(&finished)) {
        struct thread_task *task = LIST_FIRST(&finished, struct thread_task, others);
        list_remove(&task->others);
        pool->work->ended(pool->ctx, task);
    }
}

static unsigned threads_wanted(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN) / 2;

    if (cores < 1)
        return 1;
    return cores < THREAD_POOL_MAX ? (unsigned)cores : THREAD_POOL_MAX;
}

struct thread_pool *thread_pool_new(struct loop *loop, const struct thread_pool_work *work,
                                    void *ctx)
{
    struct thread_pool *pool = memory_new(sizeof(*pool));

    pool->work = work;
    pool->ctx = ctx;
    pool->wake = loop_wake_new(loop, on_wake, pool);
    list_init(&pool->waiting);
    list_init(&pool->finished);
    ensure(pthread_mutex_init(&pool->lock, NULL) == 0 &&
           pthread_cond_init(&pool->has_work, NULL) == 0);
    for (unsigned i = 0; i < threads_wanted(); i++) {
        ensure(pthread_create(&pool->threads[i], NULL, run, pool) == 0);
        pool->thread_count++;
    }
    return pool;
}

static void join_threads(struct thread_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->has_work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
}

void thread_pool_free(struct thread_pool **pool)
{
    struct thread_pool *p = *pool;

    if (!p)
        return;
    join_threads(p);
    list_splice(&p->finished, &p->waiting);
    while (!list_empty(&p->finished)) {
        struct thread_task *task = LIST_FIRST(&p->finished, struct thread_task, others);
        list_remove(&task->others);
        p->work->dropped(task);
    }
    loop_wake_free(&p->wake);
    pthread_cond_destroy(&p->has_work);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *pool = NULL;
}

void thread_pool_start(struct thread_pool *pool, struct thread_task *task)
{
    task->is_waiting = true;
    list_init(&task->others);
    pthread_mutex_lock(&pool->lock);
    list_append(&pool->waiting, &task->others);
    pthread_cond_signal(&pool->has_work);
    pthread_mutex_unlock(&pool->lock);
}

bool thread_pool_take_back(struct thread_pool *pool, struct thread_task *task)
{
    bool was_waiting;

    pthread_mutex_lock(&pool->lock);
    was_waiting = task->is_waiting;
    task->is_waiting = false;
    if (was_waiting)
        list_remove(&task->others);
    pthread_mutex_unlock(&pool->lock);
    return was_waiting;
}
