#include "tests/support/test.h"

#include "tlsrpt/day.h"

static void a_day_ends_with_its_last_millisecond(void **state)
{
    uint32_t day;
    (void)state;
    assert_true(day_parse(SPAN("2026-03-09"), &day));
    assert_int_equal(day_of(day_begins(day)), day);
    assert_int_equal(day_of(day_begins(day) + DAY_MS - 1), day);
    assert_int_equal(day_of(day_begins(day) + DAY_MS), day + 1);
    assert_int_equal(day_of(day_begins(day) - 1), day - 1);
    assert_int_equal(day_of(-1), 0);
}

static void days_are_written_and_read(void **state)
{
    char text[CLOCK_TEXT_SIZE];
    uint32_t day = 7;
    (void)state;
    day_format(0, text);
    assert_string_equal(text, "1970-01-01");
    assert_true(day_parse(SPAN("2024-02-29"), &day));
    day_format(day, text);
    assert_string_equal(text, "2024-02-29");
    day = 7;
    assert_false(day_parse(SPAN("2026-02-29"), &day));
    assert_false(day_parse(SPAN("yesterday"), &day));
    assert_false(day_parse(SPAN("2026-03-09T00:00:00Z"), &day));
    assert_false(day_parse(SPAN("1969-12-31"), &day));
    assert_false(day_parse(SPAN("2026-03-09\0"), &day));
    assert_false(day_parse(SPAN("2026-03-0900000000000000000000000000000000000"), &day));
    assert_int_equal(day, 7);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "day: a session at midnight belongs to the next day (RFC 8460 s.4.1)",
          a_day_ends_with_its_last_millisecond, 0, 0, 0 },
        { "day: days are written and read", days_are_written_and_read, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
