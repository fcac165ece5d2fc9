#include "queue/history_sweep.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "queue/store_history.h"

enum {
    FIRST_PASS_MS = MINUTE_MS, /* a start has better things to do */
    PASS_MS = HOUR_MS,
    SLICE_PAUSE_MS = 50, /* mail comes first */
};

struct history_sweep {
    struct history_expire expire; /* first: the committer hands it back */
    struct committer *committer;
    struct loop_timer *timer;
    bool in_pass;
};

static void on_expired(struct operation *operation, enum operation_outcome outcome)
{
    struct history_sweep *sweep = (struct history_sweep *)operation;

    sweep->in_pass = outcome == OPERATION_COMMITTED && sweep->expire.more;
    if (sweep->in_pass)
        history_expire_advance(&sweep->expire);
    loop_timer_start(sweep->timer, sweep->in_pass ? SLICE_PAUSE_MS : PASS_MS);
}

static void on_timer(void *ctx)
{
    struct history_sweep *sweep = ctx;

    if (!sweep->in_pass)
        history_expire_prepare(&sweep->expire);
    committer_add(sweep->committer, &sweep->expire.operation);
}

struct history_sweep *history_sweep_new(struct loop *loop, struct committer *committer)
{
    struct history_sweep *sweep = memory_new(sizeof(*sweep));

    sweep->committer = committer;
    sweep->expire.operation.done = on_expired;
    sweep->timer = loop_timer_new(loop, on_timer, sweep);
    loop_timer_start(sweep->timer, FIRST_PASS_MS);
    return sweep;
}

void history_sweep_free(struct history_sweep **sweep)
{
    if (!*sweep)
        return;
    loop_timer_free(&(*sweep)->timer);
    free(*sweep);
    *sweep = NULL;
}
