#include "smtpd/auth/hashing.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/list.h"
#include "lib/base/memory.h"
#include "lib/io/crypto.h"
#include "smtpd/auth/password.h"

struct hashing_task {
    struct list others;
    struct hashing *hashing;
    char hash[PASSWORD_HASH_SIZE];
    char password[PASSWORD_MAX + 1];
    size_t password_len;
    bool fits;
    hashing_done_fn *done; /* NULL: cancelled; the loop's alone */
    void *ctx;
};

struct hashing {
    struct loop_wake *wake;
    size_t pending; /* the loop's: started and not done */
    pthread_t threads[HASHING_THREADS_MAX];
    unsigned thread_count;

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting;  /* under the lock */
    struct list finished; /* under the lock */
    bool closing;         /* under the lock */
};

static void task_free(struct hashing_task *task)
{
    list_remove(&task->others);
    crypto_cleanse(task, sizeof(*task));
    free(task);
}

/* --- in the threads */

/* The next task; NULL at the end. */
static struct hashing_task *take_waiting(struct hashing *hashing)
{
    struct hashing_task *task = NULL;

    pthread_mutex_lock(&hashing->lock);
    while (!hashing->closing && list_empty(&hashing->waiting))
        pthread_cond_wait(&hashing->work, &hashing->lock);
    if (!hashing->closing) {
        task = LIST_FIRST(&hashing->waiting, struct hashing_task, others);
        list_remove(&task->others);
    }
    pthread_mutex_unlock(&hashing->lock);
    return task;
}

static void *run(void *ctx)
{
    struct hashing *hashing = ctx;
    struct hashing_task *task;

    while ((task = take_waiting(hashing)) != NULL) {
        task->fits = password_fits(task->hash, (struct span){ task->password, task->password_len });
        pthread_mutex_lock(&hashing->lock);
        list_append(&hashing->finished, &task->others);
        pthread_mutex_unlock(&hashing->lock);
        loop_wake_post(hashing->wake);
    }
    return NULL;
}

/* --- in the loop */

static void on_wake(void *ctx)
{
    struct hashing *hashing = ctx;
    struct list finished;

    list_init(&finished);
    pthread_mutex_lock(&hashing->lock);
    list_splice(&finished, &hashing->finished);
    pthread_mutex_unlock(&hashing->lock);
    while (!list_empty(&finished)) {
        struct hashing_task *task = LIST_FIRST(&finished, struct hashing_task, others);
        hashing_done_fn *done = task->done;
        void *done_ctx = task->ctx;
        bool fits = task->fits;
        hashing->pending--;
        task_free(task);
        if (done)
            done(done_ctx, fits);
    }
}

/* Half the cores, like all roles that serve clients. */
static unsigned threads_wanted(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN) / 2;

    if (cores < 1)
        return 1;
    return cores < HASHING_THREADS_MAX ? (unsigned)cores : HASHING_THREADS_MAX;
}

struct hashing *hashing_new(struct loop *loop)
{
    struct hashing *hashing = memory_new(sizeof(*hashing));

    hashing->wake = loop_wake_new(loop, on_wake, hashing);
    list_init(&hashing->waiting);
    list_init(&hashing->finished);
    ensure(pthread_mutex_init(&hashing->lock, NULL) == 0 &&
           pthread_cond_init(&hashing->work, NULL) == 0);
    for (unsigned i = 0; i < threads_wanted(); i++) {
        ensure(pthread_create(&hashing->threads[i], NULL, run, hashing) == 0);
        hashing->thread_count++;
    }
    return hashing;
}

void hashing_free(struct hashing **hashing)
{
    struct hashing *h = *hashing;

    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->thread_count; i++)
        pthread_join(h->threads[i], NULL);
    list_splice(&h->finished, &h->waiting);
    while (!list_empty(&h->finished))
        task_free(LIST_FIRST(&h->finished, struct hashing_task, others));
    loop_wake_free(&h->wake);
    pthread_cond_destroy(&h->work);
    pthread_mutex_destroy(&h->lock);
    free(h);
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
    task->hashing = hashing;
    ensure(span_to_string(span_of(hash), task->hash, sizeof(task->hash)));
    memcpy(task->password, password.data, password.len);
    task->password_len = password.len;
    task->done = done;
    task->ctx = ctx;
    hashing->pending++;
    pthread_mutex_lock(&hashing->lock);
    list_append(&hashing->waiting, &task->others);
    pthread_cond_signal(&hashing->work);
    pthread_mutex_unlock(&hashing->lock);
    return task;
}

/* It is compared all the same, and the result thrown away. */
void hashing_cancel(struct hashing_task **task)
{
    if (*task)
        (*task)->done = NULL;
    *task = NULL;
}
