#include "tests/support/test.h"

#include <limits.h>

#include "lib/base/clock.h"
#include "queue/pace.h"

enum { START_MS = 1700000 };

/* As dispatch does: whatever may go goes, and it looks again when the next one may. */
static unsigned send_for(struct pace *pace, struct message_rate rate, int64_t *now_ms, int64_t ms,
                         int64_t late_ms)
{
    unsigned sent = 0;
    int64_t end_ms = *now_ms + ms;
    while (*now_ms < end_ms) {
        for (unsigned n = pace_tokens(pace, rate, *now_ms); n > 0; n--) {
            pace_take(pace, rate, *now_ms);
            sent++;
        }
        int64_t next_ms = pace_next_ms(pace, rate, *now_ms);
        assert_true(next_ms > *now_ms);
        *now_ms = next_ms + late_ms;
    }
    *now_ms = end_ms;
    return sent;
}

static void without_a_rate_any_number_may_go(void **state)
{
    struct pace pace = { 0 };
    struct message_rate none = { 0, 0 };
    (void)state;
    assert_int_equal(pace_tokens(&pace, none, START_MS), UINT_MAX);
    pace_take(&pace, none, START_MS);
    assert_int_equal(pace.paid_us, 0);
}

static void a_hundred_a_minute_are_a_hundred_a_minute(void **state)
{
    struct pace pace = { 0 };
    struct message_rate rate = { 100, 60 };
    int64_t now_ms = START_MS;
    (void)state;
    for (int minute = 0; minute < 60; minute++)
        assert_int_equal(send_for(&pace, rate, &now_ms, MINUTE_MS, 0), 100);
}

static void a_late_timer_loses_nothing(void **state)
{
    static const struct message_rate rates[] = {
        { 7, 1 }, { 100, 60 }, { 1000, 60 }, { 90000, 86400 }
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct pace pace = { 0 };
        int64_t now_ms = START_MS;
        unsigned sent = send_for(&pace, rates[i], &now_ms, 100 * (int64_t)rates[i].per_s * 1000, 5);
        assert_in_range(sent, 100 * rates[i].count - rates[i].count / 60 - 1,
                        100 * rates[i].count + rates[i].count / 60 + 1);
    }
}

static void in_no_window_go_more_than_the_count_and_the_bucket(void **state)
{
    struct pace pace = { 0 };
    struct message_rate rate = { 600, 60 };
    int64_t now_ms = START_MS;
    (void)state;
    send_for(&pace, rate, &now_ms, MINUTE_MS, 0);
    now_ms += HOUR_MS; /* nothing to send */
    assert_int_equal(pace_tokens(&pace, rate, now_ms), 10);
    assert_in_range(send_for(&pace, rate, &now_ms, MINUTE_MS, 0), 600, 610);
}

static void the_first_one_goes_at_once_and_the_second_in_its_time(void **state)
{
    struct pace pace = { 0 };
    struct message_rate rate = { 10, 3600 };
    (void)state;
    assert_int_equal(pace_tokens(&pace, rate, START_MS), 1);
    pace_take(&pace, rate, START_MS);
    assert_int_equal(pace_tokens(&pace, rate, START_MS), 0);
    assert_int_equal(pace_next_ms(&pace, rate, START_MS), START_MS + 6 * MINUTE_MS);
    assert_int_equal(pace_tokens(&pace, rate, START_MS + 6 * MINUTE_MS), 1);
}

static void a_clock_stepped_back_makes_nobody_wait_for_it(void **state)
{
    struct pace pace = { 0 };
    struct message_rate rate = { 60, 60 };
    (void)state;
    pace_take(&pace, rate, START_MS + HOUR_MS);
    assert_int_equal(pace_tokens(&pace, rate, START_MS), 0);
    assert_int_equal(pace_next_ms(&pace, rate, START_MS), START_MS + SECOND_MS);
}

static void another_rate_holds_from_then_on(void **state)
{
    struct pace pace = { 0 };
    struct message_rate slow = { 1, 3600 };
    struct message_rate fast = { 60, 60 };
    (void)state;
    pace_take(&pace, slow, START_MS);
    assert_int_equal(pace_tokens(&pace, slow, START_MS + SECOND_MS), 0);
    assert_int_equal(pace_tokens(&pace, fast, START_MS + 2 * SECOND_MS), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "without a rate any number may go", without_a_rate_any_number_may_go, NULL, NULL, NULL },
        { "a hundred a minute are a hundred a minute", a_hundred_a_minute_are_a_hundred_a_minute,
          NULL, NULL, NULL },
        { "a late timer loses nothing", a_late_timer_loses_nothing, NULL, NULL, NULL },
        { "in no window go more than the count and the bucket",
          in_no_window_go_more_than_the_count_and_the_bucket, NULL, NULL, NULL },
        { "the first one goes at once, and the second in its time",
          the_first_one_goes_at_once_and_the_second_in_its_time, NULL, NULL, NULL },
        { "a clock stepped back makes nobody wait for it",
          a_clock_stepped_back_makes_nobody_wait_for_it, NULL, NULL, NULL },
        { "another rate holds from then on", another_rate_holds_from_then_on, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
