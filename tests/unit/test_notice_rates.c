#include "tests/support/test.h"

#include "queue/notice_rates.h"

#include <stdio.h>

#include "lib/base/clock.h"

enum { MOST = 3 };
static const int64_t noon_ms = INT64_C(1769767200000);
static struct notice_rates *rates;
static int64_t until_ms;

static int open_rates(void **state)
{
    (void)state;
    rates = notice_rates_new();
    return 0;
}

static int close_rates(void **state)
{
    (void)state;
    notice_rates_free(&rates);
    assert_null(rates);
    notice_rates_free(&rates);
    return 0;
}

static enum notice_verdict take(const char *address, int64_t at_ms)
{
    return notice_rates_take(rates, span_of(address), MOST, at_ms, &until_ms);
}

static void spend(const char *address)
{
    while (take(address, noon_ms) != NOTICE_WITHHELD)
        ;
}

static void the_last_of_an_hour_is_told_from_the_others(void **state)
{
    (void)state;
    assert_int_equal(take("ada@sender.test", noon_ms), NOTICE_FINE);
    assert_int_equal(take("ada@sender.test", noon_ms + 1), NOTICE_FINE);
    assert_int_equal(take("ada@sender.test", noon_ms + 2), NOTICE_LAST);
    assert_int_equal(until_ms, noon_ms + HOUR_MS);
    assert_int_equal(take("ada@sender.test", noon_ms + 3), NOTICE_WITHHELD);
    assert_int_equal(take("ada@sender.test", noon_ms + HOUR_MS - 1), NOTICE_WITHHELD);
    assert_int_equal(take("ada@sender.test", noon_ms + HOUR_MS), NOTICE_FINE);
}

static void each_address_has_its_own(void **state)
{
    (void)state;
    spend("ada@sender.test");
    assert_int_equal(take("bob@sender.test", noon_ms), NOTICE_FINE);
    assert_int_equal(take("ADA@Sender.Test", noon_ms), NOTICE_WITHHELD);
}

static void one_an_hour_is_the_last_at_once(void **state)
{
    (void)state;
    assert_int_equal(notice_rates_take(rates, SPAN("a@b"), 1, noon_ms, &until_ms), NOTICE_LAST);
    assert_int_equal(notice_rates_take(rates, SPAN("a@b"), 1, noon_ms, &until_ms), NOTICE_WITHHELD);
}

static void none_is_no_limit(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(notice_rates_take(rates, SPAN("a@b"), 0, noon_ms, &until_ms), NOTICE_FINE);
}

static void a_clock_stepped_back_begins_a_new_hour(void **state)
{
    (void)state;
    spend("ada@sender.test");
    assert_int_equal(take("ada@sender.test", noon_ms - 1), NOTICE_FINE);
}

static void of_too_many_addresses_the_oldest_is_forgotten(void **state)
{
    char address[32];
    (void)state;
    spend("first@sender.test");
    spend("second@sender.test");
    for (int i = 0; i < NOTICE_ADDRESSES_MAX - 1; i++) {
        snprintf(address, sizeof(address), "u%d@sender.test", i);
        take(address, noon_ms);
    }
    assert_int_equal(take("second@sender.test", noon_ms), NOTICE_WITHHELD);
    assert_int_equal(take("first@sender.test", noon_ms), NOTICE_FINE);
}

static void an_address_of_any_length_counts(void **state)
{
    char longest[400];
    (void)state;
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = 'x';
    struct span address = { longest, sizeof(longest) };
    assert_int_equal(notice_rates_take(rates, address, 1, noon_ms, &until_ms), NOTICE_LAST);
    assert_int_equal(notice_rates_take(rates, address, 1, noon_ms, &until_ms), NOTICE_WITHHELD);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rates, close_rates, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("the last of an hour is told from the others; the next hour begins anew",
             the_last_of_an_hour_is_told_from_the_others),
        TEST("each address has its own, however it is written", each_address_has_its_own),
        TEST("of one an hour the first is the last", one_an_hour_is_the_last_at_once),
        TEST("0 is no limit", none_is_no_limit),
        TEST("a clock that was stepped back begins a new hour",
             a_clock_stepped_back_begins_a_new_hour),
        TEST("of too many addresses the one longest known is forgotten",
             of_too_many_addresses_the_oldest_is_forgotten),
        TEST("an address of any length counts", an_address_of_any_length_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
