#include "tlsrpt/day.h"

uint32_t day_of(int64_t utc_ms)
{
    return utc_ms < 0 ? 0 : (uint32_t)(utc_ms / DAY_MS);
}

int64_t day_begins(uint32_t day)
{
    return (int64_t)day * DAY_MS;
}

void day_format(uint32_t day, char text[CLOCK_TEXT_SIZE])
{
    clock_format_day(day_begins(day), text);
}

bool day_parse(struct span text, uint32_t *out_day)
{
    char string[CLOCK_TEXT_SIZE];
    int64_t utc_ms;

    if (!span_to_string(text, string, sizeof(string)) || !clock_parse_day(string, &utc_ms))
        return false;
    if (utc_ms < 0)
        return false;
    *out_day = day_of(utc_ms);
    return true;
}
