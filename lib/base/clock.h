/*
 * clock - the time of day and the forms it is written in.  Times in stores are UTC milliseconds
 * since 1970; waits are monotonic milliseconds and come from the loop (lib/io/loop.h).
 * The formatting functions are pure and know no locale.
 */
#ifndef WAXSEAL_BASE_CLOCK_H
#define WAXSEAL_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };
#define DAY_MS ((int64_t)24 * HOUR_MS)

/* UTC now, in milliseconds since 1970-01-01. */
int64_t clock_utc_ms(void);

/* A clock that never steps, in milliseconds; its zero means nothing. */
int64_t clock_monotonic_ms(void);

enum { CLOCK_TEXT_SIZE = 40 };

/* "Fri, 30 Jan 2026 10:00:00 +0000" (RFC 5322 s.3.3), always in UTC. */
void clock_format_mail(int64_t utc_ms, char text[CLOCK_TEXT_SIZE]);

/* "2026-01-30T10:00:00Z" (RFC 3339). */
void clock_format_rfc3339(int64_t utc_ms, char text[CLOCK_TEXT_SIZE]);

/* "2026-01-30". */
void clock_format_day(int64_t utc_ms, char text[CLOCK_TEXT_SIZE]);

/* Reads "2026-01-30" as the UTC time at which that day begins; false for anything else. */
bool clock_parse_day(const char *text, int64_t *out_utc_ms);

#endif
