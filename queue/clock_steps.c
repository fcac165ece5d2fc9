#include "queue/clock_steps.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/store_manage.h"

enum {
    SLACK_MS = 2 * SECOND_MS, /* what is no step */
    AGAIN_MS = SECOND_MS,     /* after the disk was full */
};

struct clock_steps {
    struct sweep sweep; /* first: the committer hands it back */
    struct committer *committer;
    struct dispatch *dispatch;
    struct loop_timer *again;
    int64_t offset_ms; /* UTC less monotonic */
    bool sweeping;
    bool stepped_again; /* back, while the sweep was under way: what it had passed is not right */
};

static void sweep_on(struct clock_steps *steps)
{
    committer_add(steps->committer, &steps->sweep.operation);
}

static void on_again(void *ctx)
{
    sweep_on(ctx);
}

static void begin_sweep(struct clock_steps *steps)
{
    steps->sweeping = true;
    steps->stepped_again = false;
    sweep_prepare(&steps->sweep);
    sweep_on(steps);
}

static void sweep_ended(struct clock_steps *steps)
{
    steps->sweeping = false;
    if (steps->stepped_again)
        begin_sweep(steps);
}

static void on_swept(struct operation *operation, enum operation_outcome outcome)
{
    struct clock_steps *steps = (struct clock_steps *)operation;

    dispatch_look(steps->dispatch);
    if (outcome == OPERATION_FULL) {
        loop_timer_start(steps->again, AGAIN_MS);
        return;
    }
    if (outcome == OPERATION_COMMITTED && steps->sweep.more) {
        sweep_advance(&steps->sweep);
        sweep_on(steps);
        return;
    }
    sweep_ended(steps); /* to its end, or the store has failed and so does the role */
}

static void pull_in(struct clock_steps *steps)
{
    if (steps->sweeping)
        steps->stepped_again = true;
    else
        begin_sweep(steps);
}

struct clock_steps *clock_steps_new(const struct dispatch_parts *parts, struct dispatch *dispatch,
                                    int64_t utc_ms, int64_t monotonic_ms)
{
    struct clock_steps *steps = memory_new(sizeof(*steps));

    steps->committer = parts->committer;
    steps->dispatch = dispatch;
    steps->again = loop_timer_new(parts->loop, on_again, steps);
    steps->offset_ms = utc_ms - monotonic_ms;
    steps->sweep.operation.done = on_swept;
    if (store_clock_stepped_back(parts->store))
        pull_in(steps);
    return steps;
}

void clock_steps_free(struct clock_steps **steps)
{
    struct clock_steps *s = *steps;

    *steps = NULL;
    if (!s)
        return;
    loop_timer_free(&s->again);
    free(s);
}

void clock_steps_check(struct clock_steps *steps, int64_t utc_ms, int64_t monotonic_ms)
{
    int64_t offset_ms = utc_ms - monotonic_ms;
    int64_t step_ms = offset_ms - steps->offset_ms;

    steps->offset_ms = offset_ms;
    if (step_ms > -SLACK_MS && step_ms < SLACK_MS)
        return;
    log_event(LOG_WARNING, "clock-stepped");
    dispatch_forget_marks(steps->dispatch);
    if (step_ms < 0)
        pull_in(steps);
}
