#include "tests/support/test.h"

#include "tlsrpt/timetable.h"

#include <string.h>

enum { DAY = 20521 };

static const uint64_t middle_dice = 1000; /* no jitter */

static int64_t end_of_day(void)
{
    return day_begins(DAY + 1);
}

static void a_report_waits_for_its_day_to_end_and_then_for_its_dice(void **state)
{
    (void)state;
    assert_int_equal(timetable_due(DAY, end_of_day() - HOUR_MS, 4 * HOUR_MS, 0), end_of_day());
    assert_int_equal(timetable_due(DAY, end_of_day() + 1, 0, 12345), end_of_day() + 1);
    for (uint64_t dice = 0; dice < 100; dice++) {
        int64_t due = timetable_due(DAY, end_of_day(), 4 * HOUR_MS, dice * 7919 * 7919);
        assert_in_range(due - end_of_day(), 0, 4 * HOUR_MS);
    }
    assert_int_equal(timetable_due(DAY, end_of_day(), 4 * HOUR_MS, 4 * HOUR_MS),
                     end_of_day() + 4 * HOUR_MS);
    assert_in_range(timetable_due(DAY, end_of_day(), DAY_MS, UINT64_MAX) - end_of_day(), 0, DAY_MS);
}

static void a_relay_that_was_away_spreads_what_it_missed(void **state)
{
    (void)state;
    int64_t now = end_of_day() + 20 * HOUR_MS;

    assert_int_equal(timetable_due(DAY, now, 4 * HOUR_MS, HOUR_MS), now + HOUR_MS);
}

static void what_ended_48_hours_ago_is_not_begun(void **state)
{
    (void)state;
    assert_true(timetable_first_day(end_of_day()) <= DAY);
    assert_int_equal(timetable_first_day(end_of_day() + 2 * DAY_MS - 1), DAY);
    assert_int_equal(timetable_first_day(end_of_day() + 2 * DAY_MS), DAY + 1);
    assert_int_equal(timetable_first_day(0), 0);
    assert_int_equal(timetable_first_day(DAY_MS), 0);
}

static int64_t wait_after(unsigned tries)
{
    int64_t next = 0;

    assert_true(timetable_retry(0, tries, 0, middle_dice, &next));
    return next;
}

static void waits_double_to_four_hours(void **state)
{
    (void)state;
    assert_int_equal(wait_after(0), 5 * MINUTE_MS);
    assert_int_equal(wait_after(1), 5 * MINUTE_MS);
    assert_int_equal(wait_after(2), 10 * MINUTE_MS);
    assert_int_equal(wait_after(6), 160 * MINUTE_MS);
    assert_int_equal(wait_after(7), 4 * HOUR_MS);
    assert_int_equal(wait_after(UINT32_MAX), 4 * HOUR_MS);
}

static void jitter_is_a_tenth_to_both_sides(void **state)
{
    (void)state;
    int64_t next, least = INT64_MAX, most = 0;

    for (uint64_t dice = 0; dice < 2001; dice++) {
        assert_true(timetable_retry(0, 1, 0, dice, &next));
        least = next < least ? next : least;
        most = next > most ? next : most;
    }
    assert_int_equal(least, 5 * MINUTE_MS * 9 / 10);
    assert_int_equal(most, 5 * MINUTE_MS * 11 / 10);
}

static void the_last_try_is_24_hours_after_the_first(void **state)
{
    (void)state;
    int64_t next = 0;

    assert_true(timetable_retry(0, 9, DAY_MS - HOUR_MS, middle_dice, &next));
    assert_int_equal(next, DAY_MS);
    assert_true(timetable_retry(0, 9, DAY_MS - 1, middle_dice, &next));
    assert_int_equal(next, DAY_MS);
    next = 7;
    assert_false(timetable_retry(0, 10, DAY_MS, middle_dice, &next));
    assert_int_equal(next, 7);
}

static void a_relay_that_was_away_for_long_gives_up(void **state)
{
    (void)state;
    assert_false(timetable_is_over(HOUR_MS, HOUR_MS));
    assert_false(timetable_is_over(HOUR_MS, HOUR_MS + DAY_MS + 4 * HOUR_MS));
    assert_true(timetable_is_over(HOUR_MS, HOUR_MS + DAY_MS + 4 * HOUR_MS + 1));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "a report waits for its day to end and then for its dice (RFC 8460 s.4.1)",
          a_report_waits_for_its_day_to_end_and_then_for_its_dice, NULL, NULL, NULL },
        { "a relay that was away spreads what it missed",
          a_relay_that_was_away_spreads_what_it_missed, NULL, NULL, NULL },
        { "what ended 48 hours ago is not begun any more", what_ended_48_hours_ago_is_not_begun,
          NULL, NULL, NULL },
        { "waits double from five minutes to four hours", waits_double_to_four_hours, NULL, NULL,
          NULL },
        { "jitter is a tenth to both sides", jitter_is_a_tenth_to_both_sides, NULL, NULL, NULL },
        { "the last try is 24 hours after the first (RFC 8460 s.5.5)",
          the_last_try_is_24_hours_after_the_first, NULL, NULL, NULL },
        { "a relay that was away for long gives up what it had begun",
          a_relay_that_was_away_for_long_gives_up, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
