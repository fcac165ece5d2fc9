#include "smtpd/auth/hashing.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/io/crypto.h"
#include "lib/io/thread_pool.h"
#include "smtpd/auth/password.h"

struct hashing_task {
    struct thread_task task; /* first: the pool hands it back */
    char hash[PASSWORD_HASH_SIZE];
    char password[PASSWORD_MAX + 1];
    size_t password_len;
    bool fits;
    hashing_done_fn *done; /* NULL: cancelled; the loop's alone */
    void *ctx;
};

struct hashing {
    struct thread_pool *pool;
    size_t pending; /* started and not done */
};

static struct hashing_task *hashing_task_of(struct thread_task *task)
{
    return (struct hashing_task *)task;
}

static void compare(struct thread_task *t)
{
    struct hashing_task *task = hashing_task_of(t);

    task->fits = password_fits(task->hash, (struct span){ task->password, task->password_len });
}

static void forget(struct thread_task *t)
{
    crypto_cleanse(hashing_task_of(t), sizeof(struct hashing_task));
    free(hashing_task_of(t));
}

static void on_ended(void *ctx, struct thread_task *t)
{
    const struct hashing_task *task = hashing_task_of(t);
    struct hashing *hashing = ctx;
    hashing_done_fn *done = task->done;
    void *done_ctx = task->ctx;
    bool fits = task->fits;

    hashing->pending--;
    forget(t);
    if (done)
        done(done_ctx, fits);
}

struct hashing *hashing_new(struct loop *loop)
{
    static const struct thread_pool_work work = { compare, on_ended, forget };
    struct hashing *hashing = memory_new(sizeof(*hashing));

    hashing->pool = thread_pool_new(loop, &work, hashing);
    return hashing;
}

void hashing_free(struct hashing **hashing)
{
    if (!*hashing)
        return;
    thread_pool_free(&(*hashing)->pool);
    free(*hashing);
    *hashing = NULL;
}

bool hashing_is_busy(const struct hashing *hashing)
{
    return hashing->pending >= HASHING_QUEUE_MAX / 2;
}

struct hashing_task *hashing_start(struct hashing *hashing, const char *hash, struct span password,
                                   hashing_done_fn *done, void *ctx)
{
    struct hashing_task *task;

    if (hashing->pending >= HASHING_QUEUE_MAX || password.len > PASSWORD_MAX)
        return NULL;
    task = memory_new(sizeof(*task));
    ensure(span_to_string(span_of(hash), task->hash, sizeof(task->hash)));
    memcpy(task->password, password.data, password.len);
    task->password_len = password.len;
    task->done = done;
    task->ctx = ctx;
    hashing->pending++;
    thread_pool_start(hashing->pool, &task->task);
    return task;
}

/* It is compared all the same, and the result thrown away. */
void hashing_cancel(struct hashing_task **task)
{
    if (*task)
        (*task)->done = NULL;
    *task = NULL;
}
