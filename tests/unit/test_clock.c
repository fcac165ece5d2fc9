#include "tests/support/test.h"

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/random.h"

static const int64_t friday = 1769767200000; /* 2026-01-30 10:00:00 UTC */

static void the_mail_date_has_a_numeric_zone(void **state)
{
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    clock_format_mail(friday, text);
    assert_string_equal(text, "Fri, 30 Jan 2026 10:00:00 +0000");
}

static void reports_use_rfc3339(void **state)
{
    char text[CLOCK_TEXT_SIZE];
    (void)state;
    clock_format_rfc3339(friday + 999, text);
    assert_string_equal(text, "2026-01-30T10:00:00Z");
    clock_format_day(friday, text);
    assert_string_equal(text, "2026-01-30");
}

static void only_a_real_day_reads_as_a_day(void **state)
{
    int64_t begin = 0;
    (void)state;
    assert_true(clock_parse_day("2026-01-30", &begin));
    assert_int_equal(begin, friday - 10 * HOUR_MS);
    const char *refused[] = { "2026-02-30", "2026-13-01", "26-01-30", "2026-01-3", "2026/01/30",
                              "2026-01-30 ", "", "2026-01-xx", "20x6-01-01", "2026-0x-01" };
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
        assert_false(clock_parse_day(refused[i], &begin));
}

static void errors_read_from_the_outside_in(void **state)
{
    struct error *err = error_errno(ERROR_TRANSIENT, 2, "open %s", "x");
    (void)state;
    err = error_wrap(err, "policy for %s", "example.net");
    assert_string_equal(error_text(err), "policy for example.net: open x: No such file or directory");
    assert_int_equal(error_kind(err), ERROR_TRANSIENT);
    error_free(&err);
    assert_null(err);
    error_free(&err);
}

static void random_numbers_stay_below_their_bound(void **state)
{
    bool seen[7] = { false };
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t n = random_below(7);
        assert_true(n < 7);
        seen[n] = true;
    }
    for (int i = 0; i < 7; i++)
        assert_true(seen[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "clock: the mail date has a numeric zone (RFC 5322 s.3.3)",
          the_mail_date_has_a_numeric_zone, 0, 0, 0 },
        { "clock: reports use RFC 3339", reports_use_rfc3339, 0, 0, 0 },
        { "clock: only a real day reads as a day", only_a_real_day_reads_as_a_day, 0, 0, 0 },
        { "error: errors read from the outside in", errors_read_from_the_outside_in, 0, 0, 0 },
        { "random: numbers stay below their bound", random_numbers_stay_below_their_bound, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
