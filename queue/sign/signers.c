#include "queue/sign/signers.h"

#include "lib/base/list.h"
#include "lib/base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct signers_task {
    struct list others;
    struct keys *keys;
    const struct signing_key *key;
    struct buf input;
    unsigned char signature[DKIM_SIGNATURE_MAX];
    size_t signature_len;
    struct error *err;
    bool is_waiting;       /* under the lock: no thread has it, nor had */
    signers_done_fn *done; /* NULL: cancelled; the loop's alone */
    void *ctx;
};

struct signers {
    struct loop_wake *wake;
    pthread_t threads[SIGNERS_THREADS_MAX];
    unsigned thread_count;

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting;  /* under the lock */
    struct list finished; /* under the lock */
    bool closing;         /* under the lock */
};

static void task_free(struct signers_task *task)
{
    list_remove(&task->others);
    buf_clear(&task->input);
    error_free(&task->err);
    keys_release(&task->keys);
    free(task);
}

/* --- in the threads -------------------------------------------------------------------------- */

/* The next task; NULL at the end. */
static struct signers_task *take_waiting(struct signers *signers)
{
    struct signers_task *task = NULL;

    pthread_mutex_lock(&signers->lock);
    while (!signers->closing && list_empty(&signers->waiting))
        pthread_cond_wait(&signers->work, &signers->lock);
    if (!signers->closing) {
        task = LIST_FIRST(&signers->waiting, struct signers_task, others);
        list_remove(&task->others);
        task->is_waiting = false;
    }
    pthread_mutex_unlock(&signers->lock);
    return task;
}

static void *run(void *ctx)
{
    struct signers *signers = ctx;
    struct signers_task *task;

    while ((task = take_waiting(signers)) != NULL) {
        task->err = signing_key_sign(task->key, buf_span(&task->input), task->signature,
                                     &task->signature_len);
        pthread_mutex_lock(&signers->lock);
        list_append(&signers->finished, &task->others);
        pthread_mutex_unlock(&signers->lock);
        loop_wake_post(signers->wake);
    }
    return NULL;
}

/* --- in the loop ----------------------------------------------------------------------------- */

static void on_wake(void *ctx)
{
    struct signers *signers = ctx;
    struct list finished;

    list_init(&finished);
    pthread_mutex_lock(&signers->lock);
    list_splice(&finished, &signers->finished);
    pthread_mutex_unlock(&signers->lock);
    while (!list_empty(&finished)) {
        struct signers_task *task = LIST_FIRST(&finished, struct signers_task, others);
        if (task->done)
            task->done(task->ctx,
                       (struct span){ (const char *)task->signature, task->signature_len },
                       task->err);
        task_free(task);
    }
}

/* Half the cores, like all roles that serve others. */
static unsigned threads_wanted(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN) / 2;

    if (cores < 1)
        return 1;
    return cores < SIGNERS_THREADS_MAX ? (unsigned)cores : SIGNERS_THREADS_MAX;
}

struct signers *signers_new(struct loop *loop)
{
    struct signers *signers = memory_new(sizeof(*signers));

    signers->wake = loop_wake_new(loop, on_wake, signers);
    list_init(&signers->waiting);
    list_init(&signers->finished);
    ensure(pthread_mutex_init(&signers->lock, NULL) == 0 &&
           pthread_cond_init(&signers->work, NULL) == 0);
    for (unsigned i = 0; i < threads_wanted(); i++) {
        ensure(pthread_create(&signers->threads[i], NULL, run, signers) == 0);
        signers->thread_count++;
    }
    return signers;
}

void signers_free(struct signers **signers)
{
    struct signers *s = *signers;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    list_splice(&s->finished, &s->waiting);
    while (!list_empty(&s->finished))
        task_free(LIST_FIRST(&s->finished, struct signers_task, others));
    loop_wake_free(&s->wake);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *signers = NULL;
}

struct signers_task *signers_start(struct signers *signers, struct keys *keys,
                                   const struct signing_key *key, struct buf *input,
                                   signers_done_fn *done, void *ctx)
{
    struct signers_task *task = memory_new(sizeof(*task));

    task->keys = keys_hold(keys);
    task->key = key;
    task->input = *input;
    buf_init(input, 0);
    task->done = done;
    task->ctx = ctx;
    task->is_waiting = true;
    pthread_mutex_lock(&signers->lock);
    list_append(&signers->waiting, &task->others);
    pthread_cond_signal(&signers->work);
    pthread_mutex_unlock(&signers->lock);
    return task;
}

/* One that a thread has is signed all the same, and the signature thrown away. */
void signers_cancel(struct signers *signers, struct signers_task **task)
{
    struct signers_task *cancelled = *task;
    bool was_waiting;

    *task = NULL;
    if (!cancelled)
        return;
    pthread_mutex_lock(&signers->lock);
    was_waiting = cancelled->is_waiting;
    if (was_waiting)
        list_remove(&cancelled->others);
    pthread_mutex_unlock(&signers->lock);
    if (was_waiting)
        task_free(cancelled);
    else
        cancelled->done = NULL;
}
