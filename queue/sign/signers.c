#include "queue/sign/signers.h"

#include "lib/base/memory.h"
#include "lib/io/thread_pool.h"

#include <stdlib.h>

struct signers_task {
    struct thread_task task; /* first: the pool hands it back */
    struct keys *keys;
    const struct signing_key *key;
    struct buf input;
    unsigned char signature[DKIM_SIGNATURE_MAX];
    size_t signature_len;
    struct error *err;
    signers_done_fn *done; /* NULL: cancelled; the loop's alone */
    void *ctx;
};

struct signers {
    struct thread_pool *pool;
};

static struct signers_task *signers_task_of(struct thread_task *task)
{
    return (struct signers_task *)task;
}

static void sign(struct thread_task *t)
{
    struct signers_task *task = signers_task_of(t);

    task->err =
        signing_key_sign(task->key, buf_span(&task->input), task->signature, &task->signature_len);
}

static void forget(struct thread_task *t)
{
    struct signers_task *task = signers_task_of(t);

    buf_clear(&task->input);
    error_free(&task->err);
    keys_release(&task->keys);
    free(task);
}

static void on_ended(void *ctx, struct thread_task *t)
{
    const struct signers_task *task = signers_task_of(t);

    (void)ctx;
    if (task->done)
        task->done(task->ctx, (struct span){ (const char *)task->signature, task->signature_len },
                   task->err);
    forget(t);
}

struct signers *signers_new(struct loop *loop)
{
    static const struct thread_pool_work work = { sign, on_ended, forget };
    struct signers *signers = memory_new(sizeof(*signers));

    signers->pool = thread_pool_new(loop, &work, signers);
    return signers;
}

void signers_free(struct signers **signers)
{
    if (!*signers)
        return;
    thread_pool_free(&(*signers)->pool);
    free(*signers);
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
    thread_pool_start(signers->pool, &task->task);
    return task;
}

/* One that a thread has is signed all the same, and the signature thrown away. */
void signers_cancel(struct signers *signers, struct signers_task **task)
{
    struct signers_task *cancelled = *task;

    *task = NULL;
    if (!cancelled)
        return;
    if (thread_pool_take_back(signers->pool, &cancelled->task))
        forget(&cancelled->task);
    else
        cancelled->done = NULL;
}
