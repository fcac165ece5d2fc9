/*
 * day - the UTC day, to which a session belongs by the moment it is counted (RFC 8460 s.4.1).
 * A day is the number of days since 1970-01-01.  Pure.
 */
#ifndef WAXSEAL_TLSRPT_DAY_H
#define WAXSEAL_TLSRPT_DAY_H

#include "lib/base/clock.h"
#include "lib/base/span.h"

uint32_t day_of(int64_t utc_ms);

/* The day's first moment; day_begins(day + 1) is the first one behind it. */
int64_t day_begins(uint32_t day);

/* "2026-01-30" and back; false for anything else. */
void day_format(uint32_t day, char text[CLOCK_TEXT_SIZE]);
bool day_parse(struct span text, uint32_t *out_day);

#endif
