/*
 * pace - a rate of messages kept evenly: a bucket that holds a sixtieth of the rate's count, at
 * least one message, and is filled as time goes by.  In the rate's time go no more than the count
 * and what the bucket holds; over a longer time exactly the count.  Called by dispatch.  Pure.
 */
#ifndef WAXSEAL_QUEUE_PACE_H
#define WAXSEAL_QUEUE_PACE_H

#include "lib/base/settings.h"

#include <stdint.h>

/* Begins as all zero. */
struct pace {
    int64_t paid_us; /* messages are paid for up to this time, UTC */
};

/* How many may go now; a rate without count: UINT_MAX. */
unsigned pace_tokens(const struct pace *pace, struct message_rate rate, int64_t now_ms);
/* One goes. */
void pace_take(struct pace *pace, struct message_rate rate, int64_t now_ms);
/* When the next one may go; for a rate with a count, of which none may go now. */
int64_t pace_next_ms(const struct pace *pace, struct message_rate rate, int64_t now_ms);

#endif
