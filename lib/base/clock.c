#define _DEFAULT_SOURCE
#include "lib/base/clock.h"

#include "lib/base/span.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_read(clockid_t which)
{
    struct timespec now;

    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_utc_ms(void)
{
    return clock_read(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

static struct tm broken_down(int64_t utc_ms)
{
    time_t seconds = (time_t)(utc_ms / 1000);
    struct tm tm = { 0 };

    gmtime_r(&seconds, &tm);
    return tm;
}

void clock_format_mail(int64_t utc_ms, char text[CLOCK_TEXT_SIZE])
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct tm tm = broken_down(utc_ms);

    snprintf(text, CLOCK_TEXT_SIZE, "%s, %02d %s %04d %02d:%02d:%02d +0000", days[tm.tm_wday],
             tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void clock_format_rfc3339(int64_t utc_ms, char text[CLOCK_TEXT_SIZE])
{
    struct tm tm = broken_down(utc_ms);

    snprintf(text, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void clock_format_day(int64_t utc_ms, char text[CLOCK_TEXT_SIZE])
{
    struct tm tm = broken_down(utc_ms);

    snprintf(text, CLOCK_TEXT_SIZE, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

bool clock_parse_day(const char *text, int64_t *out_utc_ms)
{
    char again[CLOCK_TEXT_SIZE];
    struct span s = span_of(text);
    uint64_t year;
    uint64_t month;
    uint64_t day;

    if (s.len != 10 || !span_to_number(span_first(s, 4), 9999, &year) ||
        !span_to_number(span_first(span_from(s, 5), 2), 12, &month) ||
        !span_to_number(span_from(s, 8), 31, &day))
        return false;
    struct tm tm = { .tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day };
    int64_t utc_ms = (int64_t)timegm(&tm) * 1000;
    clock_format_day(utc_ms, again); /* refuses 2026-02-30, which timegm moves to March */
    if (strcmp(again, text) != 0)
        return false;
    *out_utc_ms = utc_ms;
    return true;
}
