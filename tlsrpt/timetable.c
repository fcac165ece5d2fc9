#include "tlsrpt/timetable.h"

enum { JITTER_STEPS = 2001, JITTER_ONE = 10000, JITTER_LEAST = 9000, DOUBLINGS_MAX = 16 };

uint32_t timetable_first_day(int64_t now_ms)
{
    uint32_t today = day_of(now_ms);

    return today > TIMETABLE_DAYS_BACK ? today - TIMETABLE_DAYS_BACK : 0;
}

int64_t timetable_due(uint32_t day, int64_t now_ms, int64_t spread_ms, uint64_t dice)
{
    int64_t end_ms = day_begins(day + 1);
    int64_t from_ms = now_ms > end_ms ? now_ms : end_ms;

    return from_ms + (int64_t)(dice % ((uint64_t)spread_ms + 1));
}

static int64_t wait_after(unsigned tries, uint64_t dice)
{
    unsigned doublings = tries > DOUBLINGS_MAX ? DOUBLINGS_MAX : tries > 0 ? tries - 1 : 0;
    int64_t wait_ms = (int64_t)TIMETABLE_RETRY_FIRST_MS << doublings;

    if (wait_ms > TIMETABLE_RETRY_MAX_MS)
        wait_ms = TIMETABLE_RETRY_MAX_MS;
    return wait_ms / JITTER_ONE * (JITTER_LEAST + (int64_t)(dice % JITTER_STEPS));
}

bool timetable_retry(int64_t first_ms, unsigned tries, int64_t now_ms, uint64_t dice,
                     int64_t *out_next_ms)
{
    int64_t end_ms = first_ms + TIMETABLE_TRIES_MS;
    int64_t next_ms = now_ms + wait_after(tries, dice);

    if (now_ms >= end_ms)
        return false;
    *out_next_ms = next_ms < end_ms ? next_ms : end_ms;
    return true;
}

bool timetable_is_over(int64_t first_ms, int64_t now_ms)
{
    return now_ms - first_ms > TIMETABLE_TRIES_MS + TIMETABLE_RETRY_MAX_MS;
}
