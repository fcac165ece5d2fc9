/*
 * thread_pool - work that keeps a processor busy for a millisecond and more, done in threads while
 * the loop serves on (design.md section 10): half the cores' number, at least one.  Called by
 * smtpd/auth/hashing and queue/sign/signers, which bound how much waits here.  A task is the first
 * member of its owner's structure; the pool holds it from start to `ended` or `dropped`.
 */
#ifndef WAXSEAL_IO_THREAD_POOL_H
#define WAXSEAL_IO_THREAD_POOL_H

#include "lib/base/list.h"
#include "lib/io/loop.h"

#include <stdbool.h>

enum { THREAD_POOL_MAX = 4 };

struct thread_pool;

/* Its members are the pool's. */
struct thread_task {
    struct list others;
    bool is_waiting; /* no thread has it, nor had */
};

struct thread_pool_work {
    void (*run)(struct thread_task *task);              /* in a thread, with nothing but the task */
    void (*ended)(void *ctx, struct thread_task *task); /* from the loop: it is the owner's again */
    void (*dropped)(struct thread_task *task);          /* the pool ends: nobody hears of it */
};

/* `work` outlives the pool. */
struct thread_pool *thread_pool_new(struct loop *loop, const struct thread_pool_work *work,
                                    void *ctx);
/* Waits for what is being run; no `ended` comes any more.  Not from within `ended`. */
void thread_pool_free(struct thread_pool **pool);

/* Runs it when a thread is free, those that came first before it. */
void thread_pool_start(struct thread_pool *pool, struct thread_task *task);
/* True: no thread has had it, and it is the owner's again.  False: `ended` is still to come. */
bool thread_pool_take_back(struct thread_pool *pool, struct thread_task *task);

#endif
