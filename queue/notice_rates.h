/*
 * notice_rates - how many notifications an address has had within an hour, so that a flood of
 * failing mail, or a forged sender, never becomes a flood of notifications.  Called by
 * store_notify, in the committer's thread.  In memory and bounded: a restart forgets it, and of
 * more than NOTICE_ADDRESSES_MAX addresses the one longest known is forgotten first.
 */
#ifndef WAXSEAL_QUEUE_NOTICE_RATES_H
#define WAXSEAL_QUEUE_NOTICE_RATES_H

#include "lib/base/span.h"

enum { NOTICE_ADDRESSES_MAX = 4096 };

enum notice_verdict {
    NOTICE_FINE,
    NOTICE_LAST,     /* may go, and is the last of its hour */
    NOTICE_WITHHELD, /* must not */
};

struct notice_rates;
struct notice_rates *notice_rates_new(void);
void notice_rates_free(struct notice_rates **rates);

/*
 * One more is to go to that address, of which `most` may go in an hour (0: any number).  With LAST
 * and WITHHELD *out_until_ms is when the hour ends.
 */
enum notice_verdict notice_rates_take(struct notice_rates *rates, struct span address,
                                      unsigned most, int64_t now_ms, int64_t *out_until_ms);

#endif
