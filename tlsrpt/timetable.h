/*
 * timetable - when a day's report is sent, when it is tried again, and when it is given up.
 * Called by the tlsrpt role.  Pure: time and dice come in as facts.
 * Rules: RFC 8460 s.4.1 (after a delay), s.5.5 (24 hours of tries); design.md section 6.
 */
#ifndef WAXSEAL_TLSRPT_TIMETABLE_H
#define WAXSEAL_TLSRPT_TIMETABLE_H

#include "tlsrpt/day.h"

enum {
    TIMETABLE_RETRY_FIRST_MS = 5 * MINUTE_MS,
    TIMETABLE_RETRY_MAX_MS = 4 * HOUR_MS,
    TIMETABLE_DAYS_BACK = 2, /* for a relay that was away: a day that ended less than 48 h ago */
};
#define TIMETABLE_TRIES_MS DAY_MS

/* The earliest day about which a report may still be begun. */
uint32_t timetable_first_day(int64_t now_ms);

/*
 * When the report about a day goes out: within `spread_ms` after the day's end, or after now when
 * that is past, so that a relay that was away does not send all at once.  `dice` is any number.
 */
int64_t timetable_due(uint32_t day, int64_t now_ms, int64_t spread_ms, uint64_t dice);

/*
 * When to try again after `tries` tries of which the first was at `first_ms`: after 5 minutes,
 * doubling to 4 hours, with a tenth of jitter to both sides; the last one 24 hours after the first.
 * False: that was the last.
 */
bool timetable_retry(int64_t first_ms, unsigned tries, int64_t now_ms, uint64_t dice,
                     int64_t *out_next_ms);

/*
 * Is it too late for the last try, since the relay was away meanwhile?  A mailed report must not be
 * handed in again when the queue may have forgotten that it was (ONCE_KEPT_MS).
 */
bool timetable_is_over(int64_t first_ms, int64_t now_ms);

#endif
