#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include "lib/base/clock.h"
#include "queue/schedule.h"

#include <stdlib.h>

#define NOW INT64_C(1769767200000)

static struct schedule_rules usual(void)
{
    return (struct schedule_rules){ .retry_first_ms = 5 * MINUTE_MS,
                                    .retry_max_ms = 4 * HOUR_MS,
                                    .lifetime_ms = 5 * DAY_MS,
                                    .policy_wait_ms = HOUR_MS };
}

static const uint32_t middle_dice = 1000; /* no jitter */

static int64_t wait_after(unsigned attempts)
{
    struct schedule_rules rules = usual();
    return schedule_retry(&rules, attempts, NOW, NOW, middle_dice) - NOW;
}

static void waits_double_to_the_longest(void **state)
{
    (void)state;
    assert_int_equal(wait_after(1), 5 * MINUTE_MS);
    assert_int_equal(wait_after(2), 10 * MINUTE_MS);
    assert_int_equal(wait_after(3), 20 * MINUTE_MS);
    assert_int_equal(wait_after(6), 160 * MINUTE_MS);
    assert_int_equal(wait_after(7), 4 * HOUR_MS);
    assert_int_equal(wait_after(100), 4 * HOUR_MS);
    assert_int_equal(wait_after(UINT32_MAX), 4 * HOUR_MS);
}

static void jitter_is_a_tenth_to_both_sides(void **state)
{
    (void)state;
    struct schedule_rules rules = usual();
    int64_t least = INT64_MAX;
    int64_t most = 0;
    for (uint32_t dice = 0; dice < 5000; dice++) {
        int64_t wait_ms = schedule_retry(&rules, 1, NOW, NOW, dice) - NOW;
        least = wait_ms < least ? wait_ms : least;
        most = wait_ms > most ? wait_ms : most;
    }
    assert_int_equal(least, 5 * MINUTE_MS * 9 / 10);
    assert_int_equal(most, 5 * MINUTE_MS * 11 / 10);
}

static void the_end_of_life_gets_an_attempt(void **state)
{
    (void)state;
    struct schedule_rules rules = usual();
    int64_t accepted = NOW - rules.lifetime_ms + MINUTE_MS;
    assert_int_equal(schedule_retry(&rules, 40, accepted, NOW, middle_dice), NOW + MINUTE_MS);
    assert_false(schedule_is_last(&rules, accepted, NOW + MINUTE_MS - 1));
    assert_true(schedule_is_last(&rules, accepted, NOW + MINUTE_MS));
}

static void after_the_end_waits_are_as_usual(void **state)
{
    (void)state;
    struct schedule_rules rules = usual();
    int64_t accepted = NOW - 2 * rules.lifetime_ms;
    assert_int_equal(schedule_retry(&rules, 1, accepted, NOW, middle_dice), NOW + 5 * MINUTE_MS);
}

static void a_policy_is_asked_for_after_1_2_4_5_5_minutes(void **state)
{
    (void)state;
    static const int64_t minutes[] = { 1, 2, 4, 5, 5, 5 };
    for (unsigned i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++)
        assert_int_equal(schedule_policy_retry(i, NOW), NOW + minutes[i] * MINUTE_MS);
}

static void signatures_are_asked_for_each_minute_for_an_hour(void **state)
{
    (void)state;
    assert_int_equal(schedule_signing_retry(NOW), NOW + MINUTE_MS);
    assert_false(schedule_leaves_unsigned(0, NOW)); /* they were never out of reach */
    assert_false(schedule_leaves_unsigned(NOW, NOW));
    assert_false(schedule_leaves_unsigned(NOW - HOUR_MS + 1, NOW));
    assert_true(schedule_leaves_unsigned(NOW - HOUR_MS, NOW));
}

static void the_wait_for_a_policy_ends_after_its_time(void **state)
{
    (void)state;
    struct schedule_rules rules = usual();
    assert_false(schedule_skips_policy(&rules, 3, NOW - HOUR_MS + 1, NOW));
    assert_true(schedule_skips_policy(&rules, 3, NOW - HOUR_MS, NOW));
    assert_false(schedule_skips_policy(&rules, 0, NOW - DAY_MS, NOW));
}

/* The schedule of a text. */
static struct schedule *schedule_of(const char *text)
{
    struct settings *settings = settings_of(text);
    struct schedule *schedule = schedule_new(settings);
    free(settings);
    return schedule;
}

static void assert_goes(const char *text, const char *hop)
{
    const struct routing_facts facts = { .domain = SPAN("example.net") };
    struct schedule *schedule = schedule_of(text);
    struct routing routing;

    schedule_route(schedule, &facts, &routing);
    assert_string_equal(routing.hop, hop);
    schedule_drop(&schedule);
}

static void mail_goes_by_route_relayhost_or_domain(void **state)
{
    (void)state;
    assert_goes("", "example.net");
    assert_goes("relayhost = \"mx.example\";", "relayhost");
    assert_goes("relayhost = \"mx.example\";"
                "routes = ( { name = \"x\"; recipients = [ \"example.net\" ];"
                " next-hop = \"mx\"; } );",
                "route:x/example.net");
}

static void a_route_has_waits_of_its_own(void **state)
{
    (void)state;
    struct schedule *schedule = schedule_of(
        "retry-first = \"10m\"; retry-max = \"1h\"; queue-lifetime = \"3d\";"
        "delay-notice-after = \"2h\"; policy-unknown-wait = \"30m\";"
        "routes = ( { name = \"slow\"; next-hop = \"mx\"; retry-first = \"2h\"; },"
        " { name = \"own\"; next-hop = \"[a.example]\"; retry-first = \"1s\"; retry-max = \"2s\";"
        "   queue-lifetime = \"1h\"; delay-notice-after = \"5m\"; } );");
    const struct schedule_rules *usual_waits = schedule_rules_of(schedule, SPAN("example.net"));
    const struct schedule_rules *slow = schedule_rules_of(schedule, SPAN("route:slow/example.net"));
    const struct schedule_rules *own = schedule_rules_of(schedule, SPAN("route:own"));

    assert_int_equal(usual_waits->retry_first_ms, 10 * MINUTE_MS);
    assert_int_equal(usual_waits->delay_notice_ms, 2 * HOUR_MS);
    assert_ptr_equal(schedule_rules_of(schedule, SPAN("route:gone")), usual_waits);
    assert_ptr_equal(schedule_rules_of(schedule, SPAN("relayhost")), usual_waits);
    assert_int_equal(slow->retry_first_ms, 2 * HOUR_MS);
    assert_int_equal(slow->retry_max_ms, 2 * HOUR_MS); /* never less than the first */
    assert_int_equal(slow->lifetime_ms, 3 * DAY_MS);
    assert_int_equal(own->retry_first_ms, SECOND_MS);
    assert_int_equal(own->retry_max_ms, 2 * SECOND_MS);
    assert_int_equal(own->lifetime_ms, HOUR_MS);
    assert_int_equal(own->delay_notice_ms, 5 * MINUTE_MS);
    assert_int_equal(own->policy_wait_ms, 30 * MINUTE_MS);
    assert_string_equal(schedule_route_of(schedule, SPAN("route:own"))->name, "own");
    assert_null(schedule_route_of(schedule, SPAN("example.net")));
    schedule_drop(&schedule);
}

static void a_schedule_lives_as_long_as_somebody_holds_it(void **state)
{
    (void)state;
    struct schedule *first = schedule_of("retry-first = \"7m\";");
    struct schedule *second = schedule_keep(first);

    schedule_drop(&first);
    assert_null(first);
    assert_int_equal(schedule_rules_of(second, SPAN("x"))->retry_first_ms, 7 * MINUTE_MS);
    schedule_drop(&second);
    schedule_drop(&second); /* nothing */
}

static void no_wait_reaches_the_horizon(void **state)
{
    (void)state;
    struct schedule *schedule = schedule_of("");
    struct schedule_rules rules = usual();
    int64_t horizon = schedule_horizon(schedule, NOW);
    for (uint32_t dice = 0; dice < 3000; dice++) {
        assert_true(schedule_retry(&rules, 50, NOW, NOW, dice) < horizon);
        assert_true(NOW + schedule_hop_rest(&rules, 50, dice) < horizon);
    }
    schedule_drop(&schedule);
    schedule = schedule_of("retry-first = \"1s\"; retry-max = \"1s\";");
    assert_true(schedule_policy_retry(9, NOW) < schedule_horizon(schedule, NOW));
    schedule_drop(&schedule);
    schedule =
        schedule_of("routes = ( { name = \"x\"; next-hop = \"mx\"; retry-max = \"7d\"; } );");
    for (uint32_t dice = 0; dice < 3000; dice++)
        assert_true(schedule_retry(schedule_rules_of(schedule, SPAN("route:x/a.example")), 50, NOW,
                                   NOW, dice) < schedule_horizon(schedule, NOW));
    schedule_drop(&schedule);
}

/* RFC 8460 s.5.5 */
static void a_report_is_given_up_after_a_day(void **state)
{
    (void)state;
    struct schedule *schedule = schedule_of(
        "routes = ( { name = \"x\"; next-hop = \"[a.example]\"; queue-lifetime = \"1h\"; } );");
    assert_int_equal(schedule_rules_for(schedule, SPAN("example.net"), false).lifetime_ms,
                     5 * DAY_MS);
    assert_int_equal(schedule_rules_for(schedule, SPAN("example.net"), true).lifetime_ms, DAY_MS);
    assert_int_equal(schedule_rules_for(schedule, SPAN("route:x"), true).lifetime_ms, HOUR_MS);
    schedule_drop(&schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "waits double from the first to the longest", waits_double_to_the_longest, NULL, NULL,
          NULL },
        { "each wait is spread by a tenth to both sides", jitter_is_a_tenth_to_both_sides, NULL,
          NULL, NULL },
        { "an attempt is made right at the end of the lifetime", the_end_of_life_gets_an_attempt,
          NULL, NULL, NULL },
        { "after the end of the lifetime waits are as usual", after_the_end_waits_are_as_usual,
          NULL, NULL, NULL },
        { "an unknown policy is asked for after 1, 2, 4, 5, 5 minutes",
          a_policy_is_asked_for_after_1_2_4_5_5_minutes, NULL, NULL, NULL },
        { "signatures are asked for each minute, for an hour",
          signatures_are_asked_for_each_minute_for_an_hour, NULL, NULL, NULL },
        { "the wait for an unknown policy ends when the message is old enough",
          the_wait_for_a_policy_ends_after_its_time, NULL, NULL, NULL },
        { "mail goes where a route says, else to the relayhost, else to its domain",
          mail_goes_by_route_relayhost_or_domain, NULL, NULL, NULL },
        { "a route has waits of its own, and those of all mail where it says nothing",
          a_route_has_waits_of_its_own, NULL, NULL, NULL },
        { "a schedule lives as long as somebody holds it",
          a_schedule_lives_as_long_as_somebody_holds_it, NULL, NULL, NULL },
        { "a report of ours is given up after a day", a_report_is_given_up_after_a_day, NULL, NULL,
          NULL },
        { "no wait reaches the horizon behind which the clock was stepped",
          no_wait_reaches_the_horizon, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
