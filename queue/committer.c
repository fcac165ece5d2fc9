#include "queue/committer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/role.h"
#include "queue/store_history.h"

enum {
    SETTLEMENT_WAIT_MS = 10, /* design.md section 10 */
    YIELDS_MAX = 16,         /* slices of the history that a batch may wait for */
};

struct committer {
    struct loop *loop;
    struct store *store;
    committer_broken_fn *on_broken;
    void *ctx;
    committer_company_fn *company; /* NULL: nobody rides along */
    void *company_ctx;
    pthread_t thread;

    struct list added[LANE_COUNT]; /* the loop's, until the end of its turn */
    struct loop_task hand_over;
    struct loop_wake *wake;
    size_t pending; /* the loop's */

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list gathered[LANE_COUNT]; /* under the lock */
    struct list finished;             /* under the lock */
    int64_t settle_at_ms;             /* under the lock: when settlements go alone */
    bool waiting;                     /* under the lock: the thread sleeps */
    bool closing;                     /* under the lock */
    enum kv_trouble trouble;          /* under the lock: what broke the store ... */
    struct error *why;                /* ... in words */
};

/* ---- in the committer's thread: one batch ------------------------------------------------- */

struct batch {
    struct store *store;
    struct list finished; /* operations that have their outcome */
    struct error *why;    /* what broke the store */
};

static void settle_all(struct list *operations, enum operation_outcome outcome)
{
    struct operation *operation;

    LIST_EACH(operation, operations, struct operation, others)
    {
        operation->outcome = outcome;
    }
}

/*
 * Applies all; on an error that is one operation's own, *out_refused is that operation.  Errors of
 * the database are told by *out_trouble.
 */
static struct error *apply_all(struct store_txn *txn, struct list *operations,
                               struct operation **out_refused, enum kv_trouble *out_trouble)
{
    struct operation *operation;

    LIST_EACH(operation, operations, struct operation, others)
    {
        arena_reset(txn->arena);
        struct error *err = operation->apply(operation, txn);
        if (!err)
            continue;
        *out_trouble = store_txn_trouble(txn);
        if (*out_trouble == KV_FINE)
            *out_refused = operation;
        return err;
    }
    return NULL;
}

/* A damaged record and the like: the others go without it. */
static void refuse(struct batch *batch, struct operation *operation, struct error **why)
{
    operation->outcome = OPERATION_TROUBLE;
    operation->why = *why;
    *why = NULL;
    list_remove(&operation->others);
    list_append(&batch->finished, &operation->others);
}

/* One transaction with all of them.  KV_FINE: all have their outcome. */
static enum kv_trouble try_commit(struct batch *batch, struct list *operations)
{
    struct store_txn txn;
    struct operation *refused = NULL;
    enum kv_trouble trouble = KV_FINE;

    if (list_empty(operations))
        return KV_FINE;
    struct error *err = store_begin(batch->store, &txn);
    if (err) {
        batch->why = err;
        return KV_UNKNOWN;
    }
    err = apply_all(&txn, operations, &refused, &trouble);
    if (err)
        store_abort(&txn);
    else if ((err = store_commit(&txn)) != NULL)
        trouble = store_txn_trouble(&txn);
    if (!err)
        return KV_FINE;
    if (refused) {
        refuse(batch, refused, &err);
        return try_commit(batch, operations);
    }
    if (trouble == KV_FULL)
        error_free(&err);
    batch->why = err;
    return trouble == KV_FINE ? KV_UNKNOWN : trouble;
}

/* Leaves the first half; gives how many there were. */
static size_t cut_half(struct list *operations, struct list *out_second)
{
    struct operation *operation;
    size_t count = 0;
    size_t at = 0;

    LIST_EACH(operation, operations, struct operation, others)
    {
        count++;
    }
    LIST_EACH(operation, operations, struct operation, others)
    {
        if (at++ < (count + 1) / 2)
            continue;
        list_remove(&operation->others);
        list_append(out_second, &operation->others);
    }
    return count;
}

static enum kv_trouble commit_list(struct batch *batch, struct list *operations);

/*
 * There was no room for all: each half for itself, so that one large message does not refuse fifty
 * small ones (pitfalls.md section 1, MDB_MAP_FULL).
 */
static enum kv_trouble commit_halves(struct batch *batch, struct list *operations)
{
    struct list second;

    list_init(&second);
    if (cut_half(operations, &second) <= 1) {
        settle_all(operations, OPERATION_FULL);
        return KV_FINE;
    }
    enum kv_trouble trouble = commit_list(batch, operations);
    if (trouble == KV_FINE)
        trouble = commit_list(batch, &second);
    settle_all(&second, OPERATION_TROUBLE); /* empty when it was committed */
    list_splice(&batch->finished, &second);
    return trouble;
}

static enum kv_trouble commit_list(struct batch *batch, struct list *operations)
{
    settle_all(operations, OPERATION_COMMITTED);
    enum kv_trouble trouble = try_commit(batch, operations);
    if (trouble == KV_FULL)
        trouble = commit_halves(batch, operations);
    else if (trouble != KV_FINE)
        settle_all(operations, OPERATION_TROUBLE);
    list_splice(&batch->finished, operations);
    return trouble;
}

/* One slice of the history, in a transaction of its own; gives false when that was the last. */
static bool history_gives_way(struct store *store)
{
    struct store_txn txn;
    unsigned count = 0;
    struct error *err = store_begin(store, &txn);

    if (!err) {
        err = history_yield(&txn, HISTORY_SLICE, &count);
        if (err || count == 0)
            store_abort(&txn);
        else
            err = store_commit(&txn);
    }
    bool gave = !err && count > 0;
    error_free(&err); /* what is wrong shows with the batch itself */
    if (gave)
        store_keep_reserve(store);
    return gave;
}

/* Is there room for accepts?  The history goes before mail is refused. */
static bool has_room(struct store *store)
{
    for (int i = 0; !store_has_room(store); i++)
        if (i == YIELDS_MAX || !history_gives_way(store))
            return false;
    return true;
}

/* Accepts that would touch the reserve are answered without trying. */
static void refuse_without_room(struct batch *batch, struct list *operations)
{
    struct operation *operation;

    LIST_EACH(operation, operations, struct operation, others)
    {
        if (operation->lane != LANE_ACCEPT || has_room(batch->store))
            continue;
        operation->outcome = OPERATION_FULL;
        list_remove(&operation->others);
        list_append(&batch->finished, &operation->others);
    }
}

static enum kv_trouble run_batch(struct batch *batch, struct list *operations)
{
    refuse_without_room(batch, operations);
    enum kv_trouble trouble = commit_list(batch, operations);
    if (trouble == KV_FINE) {
        store_keep_reserve(batch->store);
        (void)has_room(batch->store); /* before clients are told that the disk is full */
    }
    return trouble;
}

static void finish(struct operation *operation)
{
    list_remove(&operation->others);
    if (operation->why)
        log_failure(LOG_ERROR, "queue-operation-failed", operation->why);
    error_free(&operation->why);
    operation->done(operation, operation->outcome);
}

enum kv_trouble commit_now(struct store *store, struct list *operations)
{
    struct batch batch = { .store = store };

    list_init(&batch.finished);
    enum kv_trouble trouble = run_batch(&batch, operations);
    while (!list_empty(&batch.finished))
        finish(LIST_FIRST(&batch.finished, struct operation, others));
    if (batch.why)
        log_failure(LOG_ERROR, "queue-database-failed", batch.why);
    error_free(&batch.why);
    return trouble;
}

/* ---- in the committer's thread: what to do next --------------------------------------------- */

static void take_some(struct list *from, struct list *to, size_t *bytes, size_t *count)
{
    struct operation *operation;

    LIST_EACH(operation, from, struct operation, others)
    {
        bool fits = *count < BATCH_OPERATIONS_MAX && *bytes + operation->bytes <= BATCH_BYTES_MAX;
        if (!fits && *count > 0)
            return;
        *bytes += operation->bytes;
        (*count)++;
        list_remove(&operation->others);
        list_append(to, &operation->others);
    }
}

static void take_batch(struct committer *c, struct list *out_batch)
{
    size_t bytes = 0;
    size_t count = 0;

    list_init(out_batch);
    for (int lane = 0; lane < LANE_COUNT; lane++)
        take_some(&c->gathered[lane], out_batch, &bytes, &count);
    c->settle_at_ms = 0; /* what is left was waiting before: it goes next */
}

static void sleep_until(struct committer *c, int64_t monotonic_ms)
{
    struct timespec until = { .tv_sec = monotonic_ms / SECOND_MS,
                              .tv_nsec = monotonic_ms % SECOND_MS * 1000000 };

    c->waiting = true;
    if (monotonic_ms == INT64_MAX)
        pthread_cond_wait(&c->work, &c->lock);
    else
        pthread_cond_timedwait(&c->work, &c->lock, &until);
    c->waiting = false;
}

/* Waits until there is work that should be done now; false: the end. */
static bool wait_for_work(struct committer *c)
{
    for (;;) {
        bool settlements = !list_empty(&c->gathered[LANE_SETTLEMENT]);
        if (!list_empty(&c->gathered[LANE_ACCEPT]) || (settlements && c->closing))
            return true;
        if (c->closing)
            return false;
        if (settlements && clock_monotonic_ms() >= c->settle_at_ms)
            return true;
        sleep_until(c, settlements ? c->settle_at_ms : INT64_MAX);
    }
}

/* Once the store failed nothing is tried any more: all are told so, and the role ends. */
static void commit_batch(struct committer *c, struct list *operations)
{
    struct batch batch = { .store = c->store };
    enum kv_trouble trouble = c->trouble;

    list_init(&batch.finished);
    pthread_mutex_unlock(&c->lock);
    if (trouble == KV_FINE)
        trouble = run_batch(&batch, operations);
    else
        settle_all(operations, OPERATION_TROUBLE);
    list_splice(&batch.finished, operations);
    pthread_mutex_lock(&c->lock);
    c->trouble = trouble;
    if (!c->why)
        c->why = batch.why;
    list_splice(&c->finished, &batch.finished);
    loop_wake_post(c->wake);
}

/* When nobody waits for the batch any more. */
static void write_ahead(struct committer *c)
{
    if (c->trouble != KV_FINE)
        return;
    pthread_mutex_unlock(&c->lock);
    kv_write_ahead(store_kv(c->store));
    pthread_mutex_lock(&c->lock);
}

static void *commit_for_ever(void *ctx)
{
    struct committer *c = ctx;
    struct list operations;

    pthread_mutex_lock(&c->lock);
    while (wait_for_work(c)) {
        take_batch(c, &operations);
        commit_batch(c, &operations);
        write_ahead(c);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- in the loop -------------------------------------------------------------------------- */

static bool has_added(const struct committer *c)
{
    return !list_empty(&c->added[LANE_SETTLEMENT]) || !list_empty(&c->added[LANE_ACCEPT]);
}

static void on_hand_over(void *ctx)
{
    struct committer *c = ctx;

    if (c->company && has_added(c))
        c->company(c->company_ctx);
    pthread_mutex_lock(&c->lock);
    if (list_empty(&c->gathered[LANE_SETTLEMENT]) && !list_empty(&c->added[LANE_SETTLEMENT]))
        c->settle_at_ms = clock_monotonic_ms() + SETTLEMENT_WAIT_MS;
    for (int lane = 0; lane < LANE_COUNT; lane++)
        list_splice(&c->gathered[lane], &c->added[lane]);
    bool wake = c->waiting;
    pthread_mutex_unlock(&c->lock);
    if (wake)
        pthread_cond_signal(&c->work);
}

/* Damage stays; for anything else a new process may find the store in order. */
static int exit_status_of(enum kv_trouble trouble)
{
    return trouble == KV_BROKEN ? ROLE_EXIT_STORAGE : ROLE_EXIT_TROUBLE;
}

static void on_finished(void *ctx)
{
    struct committer *c = ctx;
    struct list finished;

    list_init(&finished);
    pthread_mutex_lock(&c->lock);
    list_splice(&finished, &c->finished);
    enum kv_trouble trouble = c->trouble;
    pthread_mutex_unlock(&c->lock);
    while (!list_empty(&finished)) {
        c->pending--;
        finish(LIST_FIRST(&finished, struct operation, others));
    }
    if (trouble != KV_FINE && c->pending == 0)
        c->on_broken(c->ctx, exit_status_of(trouble), c->why);
}

struct committer *committer_new(struct loop *loop, struct store *store,
                                committer_broken_fn *on_broken, void *ctx)
{
    struct committer *c = memory_new(sizeof(*c));
    pthread_condattr_t attributes;

    c->loop = loop;
    c->store = store;
    c->on_broken = on_broken;
    c->ctx = ctx;
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        list_init(&c->added[lane]);
        list_init(&c->gathered[lane]);
    }
    list_init(&c->finished);
    loop_task_init(&c->hand_over, on_hand_over, c);
    c->wake = loop_wake_new(loop, on_finished, c);
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&c->work, &attributes);
    pthread_condattr_destroy(&attributes);
    ensure(pthread_create(&c->thread, NULL, commit_for_ever, c) == 0);
    return c;
}

void committer_free(struct committer **committer)
{
    struct committer *c = *committer;

    *committer = NULL;
    if (!c)
        return;
    on_hand_over(c);
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    pthread_mutex_unlock(&c->lock);
    pthread_cond_signal(&c->work);
    pthread_join(c->thread, NULL);
    loop_task_cancel(&c->hand_over);
    loop_wake_free(&c->wake);
    pthread_cond_destroy(&c->work);
    pthread_mutex_destroy(&c->lock);
    error_free(&c->why);
    free(c);
}

void committer_set_company(struct committer *committer, committer_company_fn *company, void *ctx)
{
    committer->company = company;
    committer->company_ctx = ctx;
}

void committer_add(struct committer *committer, struct operation *operation)
{
    list_append(&committer->added[operation->lane], &operation->others);
    committer->pending++;
    loop_defer(committer->loop, &committer->hand_over);
}

size_t committer_pending(const struct committer *committer)
{
    return committer->pending;
}
