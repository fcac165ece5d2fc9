/*
 * clock_steps - notices that the clock was stepped.  After any step, what dispatch knows of
 * positions in `due` is void; after a step back, due times beyond the longest wait are pulled in,
 * message by message (design.md section 4).  Called by queue; owns the sweep under way.
 */
#ifndef WAXSEAL_QUEUE_CLOCK_STEPS_H
#define WAXSEAL_QUEUE_CLOCK_STEPS_H

#include "queue/committer.h"
#include "queue/dispatch.h"

struct clock_steps;

/* Pulls in at once when the clock was stepped back while the store was closed. */
struct clock_steps *clock_steps_new(const struct dispatch_parts *parts, struct dispatch *dispatch,
                                    int64_t utc_ms, int64_t monotonic_ms);
/* After the committer has ended: a sweep may be with it. */
void clock_steps_free(struct clock_steps **steps);

/* What both clocks say now; to be called about every second. */
void clock_steps_check(struct clock_steps *steps, int64_t utc_ms, int64_t monotonic_ms);

#endif
