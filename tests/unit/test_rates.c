/* How much clients, users and senders may ask for in some time. */
#include "smtpd/rates.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "tests/support/test.h"

enum { NOW = 1000 * 1000 };

static struct rates *opened(int fd)
{
    struct rates *rates = NULL;

    assert_null(rates_open(fd, &rates));
    return rates;
}

static int shared_memory(off_t size)
{
    int fd = memfd_create("rates", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    return fd;
}

static bool take(struct rates *rates, enum rate rate, const char *who, unsigned limit, int64_t now)
{
    const struct rate_ask ask = { rate, span_of(who), limit };
    enum rate spent;

    return rates_take(rates, &ask, 1, now, HOUR_MS, &spent);
}

static void so_many_may_be_taken_at_once_and_one_comes_back_after_another(void **state)
{
    struct rates *rates = opened(-1);
    (void)state;
    for (int i = 0; i < 60; i++)
        assert_true(take(rates, RATE_USER_MESSAGES, "ada", 60, NOW));
    assert_false(take(rates, RATE_USER_MESSAGES, "ada", 60, NOW));
    assert_false(take(rates, RATE_USER_MESSAGES, "ada", 60, NOW + MINUTE_MS - 1));
    assert_true(take(rates, RATE_USER_MESSAGES, "ada", 60, NOW + MINUTE_MS));
    assert_false(take(rates, RATE_USER_MESSAGES, "ada", 60, NOW + MINUTE_MS));
    for (int i = 0; i < 60; i++)
        assert_true(take(rates, RATE_USER_MESSAGES, "ada", 60, NOW + 2 * HOUR_MS));
    assert_false(take(rates, RATE_USER_MESSAGES, "ada", 60, NOW + 2 * HOUR_MS));
    rates_close(&rates);
}

static void names_and_kinds_are_counted_apart_and_letters_in_either_case_together(void **state)
{
    struct rates *rates = opened(-1);
    (void)state;
    assert_true(take(rates, RATE_USER_MESSAGES, "ada", 1, NOW));
    assert_false(take(rates, RATE_USER_MESSAGES, "ADA", 1, NOW));
    assert_true(take(rates, RATE_USER_MESSAGES, "bob", 1, NOW));
    assert_true(take(rates, RATE_USER_RECIPIENTS, "ada", 1, NOW));
    assert_true(take(rates, RATE_SENDER_MESSAGES, "ada", 1, NOW));
    rates_close(&rates);
}

static void without_a_limit_nothing_is_counted(void **state)
{
    struct rates *rates = opened(-1);
    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_true(take(rates, RATE_CLIENT_MESSAGES, "x", 0, NOW));
    assert_true(take(rates, RATE_CLIENT_MESSAGES, "x", 1, NOW));
    rates_close(&rates);
}

static void either_all_is_taken_or_nothing(void **state)
{
    struct rates *rates = opened(-1);
    const struct rate_ask both[] = { { RATE_CLIENT_MESSAGES, SPAN("c"), 5 },
                                     { RATE_SENDER_MESSAGES, SPAN("s"), 1 } };
    enum rate spent = RATE_COUNT;
    (void)state;
    assert_true(rates_take(rates, both, 2, NOW, HOUR_MS, &spent));
    for (int i = 0; i < 10; i++) {
        assert_false(rates_take(rates, both, 2, NOW, HOUR_MS, &spent));
        assert_int_equal(spent, RATE_SENDER_MESSAGES);
    }
    for (int i = 0; i < 4; i++)
        assert_true(rates_take(rates, both, 1, NOW, HOUR_MS, &spent));
    assert_false(rates_take(rates, both, 1, NOW, HOUR_MS, &spent));
    assert_int_equal(spent, RATE_CLIENT_MESSAGES);
    assert_string_equal(rate_name(spent), "messages from your address");
    rates_close(&rates);
}

static void processes_count_together(void **state)
{
    int fd = shared_memory(RATES_END);
    struct rates *one = opened(fd), *two = opened(fd);
    (void)state;
    assert_true(take(one, RATE_USER_MESSAGES, "ada", 2, NOW));
    assert_true(take(two, RATE_USER_MESSAGES, "ada", 2, NOW));
    assert_false(take(one, RATE_USER_MESSAGES, "ada", 2, NOW));
    assert_false(take(two, RATE_USER_MESSAGES, "ada", 2, NOW));
    rates_close(&one);
    assert_false(take(two, RATE_USER_MESSAGES, "ada", 2, NOW));
    rates_close(&two);
    close(fd);
}

static void memory_that_is_too_small_is_refused(void **state)
{
    int fd = shared_memory(RATES_END - 1);
    struct rates *rates = NULL;
    struct error *err = rates_open(fd, &rates);
    (void)state;
    assert_non_null(err);
    assert_null(rates);
    error_free(&err);
    close(fd);
}

static void garbled_rows_delay_nobody_for_longer_than_the_time(void **state)
{
    int fd = shared_memory(RATES_END);
    struct rates *rates = opened(fd);
    void *table =
        mmap(NULL, RATES_END - RATES_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED, fd, RATES_OFFSET);
    const struct ip_address client = { ADDRESS_V4, { 192, 0, 2, 1 } };
    (void)state;
    memset(table, 0x7f, RATES_END - RATES_OFFSET);
    assert_false(take(rates, RATE_USER_MESSAGES, "ada", 2, NOW));
    assert_false(rates_knows(rates, &client, NOW));
    rates_praise(rates, &client, NOW);
    assert_true(rates_knows(rates, &client, NOW));
    memset(table, 0xff, RATES_END - RATES_OFFSET);
    assert_true(take(rates, RATE_USER_MESSAGES, "ada", 2, NOW));
    assert_false(rates_knows(rates, &client, NOW));
    munmap(table, RATES_END - RATES_OFFSET);
    rates_close(&rates);
    close(fd);
}

static void many_names_disturb_each_other_hardly_ever(void **state)
{
    struct rates *rates = opened(-1);
    unsigned disturbed = 0;
    char name[32];
    (void)state;
    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof(name), "user%d", i);
        disturbed += !take(rates, RATE_USER_MESSAGES, name, 1, NOW);
    }
    assert_in_range(disturbed, 0, 80);
    rates_close(&rates);
}

static void a_client_is_known_for_an_hour(void **state)
{
    struct rates *rates = opened(-1);
    const struct ip_address one = { ADDRESS_V6, { 0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 1 } };
    const struct ip_address same_64 = { ADDRESS_V6, { 0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 9 } };
    const struct ip_address other = { ADDRESS_V6, { 0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 1 } };
    (void)state;
    assert_false(rates_knows(rates, &one, NOW));
    rates_praise(rates, &one, NOW);
    assert_true(rates_knows(rates, &one, NOW + HOUR_MS));
    assert_true(rates_knows(rates, &same_64, NOW));
    assert_false(rates_knows(rates, &other, NOW));
    assert_false(rates_knows(rates, &one, NOW + HOUR_MS + 1));
    rates_close(&rates);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("so many may be taken at once, and one comes back after another",
             so_many_may_be_taken_at_once_and_one_comes_back_after_another),
        TEST("names and kinds are counted apart, letters in either case together",
             names_and_kinds_are_counted_apart_and_letters_in_either_case_together),
        TEST("without a limit nothing is counted", without_a_limit_nothing_is_counted),
        TEST("either all is taken or nothing", either_all_is_taken_or_nothing),
        TEST("processes count together", processes_count_together),
        TEST("memory that is too small is refused", memory_that_is_too_small_is_refused),
        TEST("garbled rows delay nobody for longer than the time",
             garbled_rows_delay_nobody_for_longer_than_the_time),
        TEST("many names disturb each other hardly ever",
             many_names_disturb_each_other_hardly_ever),
        TEST("a client is known for an hour", a_client_is_known_for_an_hour),
    };
    return cmocka_run_group_tests_name("rates", tests, NULL, NULL);
}
