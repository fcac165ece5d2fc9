#include "tlsrpt/reader_dates.h"

#include "lib/base/clock.h"

#define EPOCH_SECONDS_MAX UINT64_C(253402300799) /* the end of the year 9999 */

/* A number of exactly two digits. */
static bool two_digits(struct span text, size_t at, uint64_t max, int64_t *out)
{
    uint64_t value;

    if (text.len < at + 2 || !span_to_number(span_first(span_from(text, at), 2), max, &value))
        return false;
    *out = (int64_t)value;
    return true;
}

/* "10:00:00.250" or "10:00"; gives the bytes used, 0 for none.  24:00:00 is the next day's
 * beginning (RPT-54), second 60 a leap one. */
static size_t read_time_of_day(struct span text, int64_t *out_seconds, bool *out_exact)
{
    int64_t hours, minutes, seconds = 0;
    size_t at = 5;

    if (!two_digits(text, 0, 24, &hours) || !two_digits(text, 3, 59, &minutes) ||
        text.data[2] != ':')
        return 0;
    *out_exact = text.len > 5 && text.data[5] == ':' && two_digits(text, 6, 60, &seconds);
    if (*out_exact)
        at = 8;
    if (*out_exact && at < text.len && text.data[at] == '.')
        for (at++; at < text.len && ascii_is_digit(text.data[at]);)
            at++;
    *out_seconds = hours * 3600 + minutes * 60 + seconds;
    return at;
}

/* "Z", "+01:00", "+0100" or nothing. */
static enum reader_date read_zone(struct span zone, int64_t *out_seconds)
{
    int64_t hours, minutes;
    bool has_colon = zone.len == 6 && zone.data[3] == ':';

    *out_seconds = 0;
    if (zone.len == 0)
        return READER_DATE_WITHOUT_ZONE;
    if (span_equal_nocase(zone, SPAN("Z")))
        return READER_DATE_FINE;
    if (span_equal_nocase(span_trim(zone), SPAN("UTC")) ||
        span_equal_nocase(span_trim(zone), SPAN("GMT")))
        return READER_DATE_FORM;
    if ((zone.len != 5 && !has_colon) || (zone.data[0] != '+' && zone.data[0] != '-') ||
        !two_digits(zone, 1, 23, &hours) || !two_digits(zone, zone.len - 2, 59, &minutes))
        return READER_DATE_UNKNOWN;
    *out_seconds = (hours * 3600 + minutes * 60) * (zone.data[0] == '-' ? -1 : 1);
    return has_colon ? READER_DATE_FINE : READER_DATE_FORM;
}

/* What stands behind the date's "T" or blank. */
static enum reader_date read_time(struct span text, char separator, int64_t *utc_ms)
{
    int64_t seconds, offset;
    bool exact;
    size_t used = read_time_of_day(text, &seconds, &exact);
    enum reader_date verdict;

    if (used == 0)
        return READER_DATE_UNKNOWN;
    verdict = read_zone(span_from(text, used), &offset);
    *utc_ms += (seconds - offset) * SECOND_MS;
    if (verdict == READER_DATE_FINE && (!exact || ascii_lower(separator) != 't'))
        return READER_DATE_FORM;
    return verdict;
}

static enum reader_date read_seconds(struct span text, int64_t *out_utc_ms)
{
    uint64_t seconds;

    if (!span_to_number(text, EPOCH_SECONDS_MAX, &seconds))
        return READER_DATE_UNKNOWN;
    *out_utc_ms = (int64_t)seconds * SECOND_MS;
    return READER_DATE_FORM;
}

enum reader_date reader_date_read(struct span text, int64_t *out_utc_ms)
{
    enum reader_date verdict;
    char day[CLOCK_TEXT_SIZE];
    int64_t utc_ms;

    text = span_trim(text);
    if (!span_to_string(span_first(text, 10), day, sizeof(day)) || !clock_parse_day(day, &utc_ms))
        return read_seconds(text, out_utc_ms);
    if (text.len == 10)
        verdict = READER_DATE_FORM;
    else if (ascii_lower(text.data[10]) != 't' && text.data[10] != ' ')
        return READER_DATE_UNKNOWN;
    else
        verdict = read_time(span_from(text, 11), text.data[10], &utc_ms);
    if (verdict != READER_DATE_UNKNOWN)
        *out_utc_ms = utc_ms;
    return verdict;
}
