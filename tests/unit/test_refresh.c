#include "policy/refresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"

enum { WEEK_S = 604800 };
#define NOW ((int64_t)1773144000000) /* 2026-03-10T12:00:00Z */

static const struct sts_txt txt_a1 = { STS_TXT_VALID, "A1" };
static const struct sts_txt txt_b2 = { STS_TXT_VALID, "B2" };
static const struct sts_txt txt_absent = { STS_TXT_NO_RECORD, "" };
static const struct sts_txt txt_multiple = { STS_TXT_MULTIPLE, "" };
static const struct sts_txt txt_invalid = { STS_TXT_INVALID, "" };
static const struct sts_txt txt_error = { STS_TXT_DNS_ERROR, "" };

static struct sts_situation nothing_cached(const struct sts_txt *txt)
{
    return (struct sts_situation){ .txt = txt, .now_utc_ms = NOW };
}

/* An enforced policy under the id A1, two of its seven days old. */
static struct sts_situation cached(const struct sts_txt *txt)
{
    return (struct sts_situation){
        .cached = true,
        .cached_id = "A1",
        .mode = STS_ENFORCE,
        .fetched_utc_ms = NOW - 2 * DAY_MS,
        .max_age_s = WEEK_S,
        .tried = true,
        .txt = txt,
        .now_utc_ms = NOW,
    };
}

static struct sts_situation lapsed(const struct sts_txt *txt)
{
    struct sts_situation s = cached(txt);
    s.fetched_utc_ms = NOW - 8 * DAY_MS;
    return s;
}

static void assert_step(struct sts_situation s, enum sts_step step)
{
    assert_int_equal(sts_refresh_step(&s), step);
}

static void without_a_record_nothing_is_fetched(void **state)
{
    (void)state;
    assert_step(nothing_cached(&txt_absent), STS_STEP_NO_POLICY);
    assert_step(nothing_cached(&txt_multiple), STS_STEP_NO_POLICY);
    assert_step(nothing_cached(&txt_invalid), STS_STEP_NO_POLICY);
    assert_step(lapsed(&txt_absent), STS_STEP_NO_POLICY);
}

static void a_record_leads_to_a_fetch(void **state)
{
    struct sts_situation s = nothing_cached(&txt_a1);
    (void)state;
    assert_step(s, STS_STEP_FETCH);
    assert_string_equal(sts_refresh_id(&s), "A1");
    assert_int_equal(sts_refresh_without(&s), STS_STEP_NO_POLICY);
}

static void a_cached_policy_with_the_same_id_is_used_as_it_is(void **state)
{
    (void)state;
    assert_step(cached(&txt_a1), STS_STEP_USE);
}

static void a_new_id_leads_to_a_fetch_and_the_old_policy_stays_if_it_fails(void **state)
{
    struct sts_situation s = cached(&txt_b2);
    (void)state;
    assert_step(s, STS_STEP_FETCH);
    assert_string_equal(sts_refresh_id(&s), "B2");
    assert_int_equal(sts_refresh_without(&s), STS_STEP_USE);
}

static void a_cached_policy_outlives_every_trouble_of_dns(void **state)
{
    (void)state;
    assert_step(cached(&txt_absent), STS_STEP_USE);
    assert_step(cached(&txt_multiple), STS_STEP_USE);
    assert_step(cached(&txt_invalid), STS_STEP_USE);
    assert_step(cached(&txt_error), STS_STEP_USE);
}

static void dns_trouble_with_nothing_cached_is_not_no_policy(void **state)
{
    struct sts_situation s = lapsed(&txt_error);
    (void)state;
    assert_step(nothing_cached(&txt_error), STS_STEP_NOT_KNOWN);
    assert_step(s, STS_STEP_NOT_KNOWN);
    assert_int_equal(sts_refresh_without(&s), STS_STEP_NOT_KNOWN);
}

static void a_policy_lapses_one_second_after_max_age(void **state)
{
    struct sts_situation s = cached(&txt_absent);
    (void)state;
    s.fetched_utc_ms = NOW - (int64_t)WEEK_S * SECOND_MS;
    assert_true(sts_is_live(&s));
    assert_step(s, STS_STEP_USE);
    s.fetched_utc_ms -= SECOND_MS;
    assert_false(sts_is_live(&s));
    assert_step(s, STS_STEP_NO_POLICY);
}

static void a_lapsed_policy_is_fetched_again_under_the_same_id(void **state)
{
    struct sts_situation s = lapsed(&txt_a1);
    (void)state;
    assert_step(s, STS_STEP_FETCH);
    assert_int_equal(sts_refresh_without(&s), STS_STEP_NO_POLICY);
}

static void after_a_start_a_policy_lapses_only_when_a_fetch_was_tried(void **state)
{
    struct sts_situation s = lapsed(&txt_error);
    (void)state;
    s.tried = false;
    assert_step(s, STS_STEP_FETCH);
    assert_string_equal(sts_refresh_id(&s), "A1");
}

static void five_minutes_pass_after_a_failure_of_the_same_id(void **state)
{
    struct sts_situation s = nothing_cached(&txt_a1);
    (void)state;
    s.failed_id = "A1";
    s.failed_ago_ms = STS_BACKOFF_MS - 1;
    assert_step(s, STS_STEP_NO_POLICY);
    s.failed_ago_ms = STS_BACKOFF_MS;
    assert_step(s, STS_STEP_FETCH);
    s.failed_ago_ms = 0;
    s.txt = &txt_b2;
    assert_step(s, STS_STEP_FETCH);
    s = cached(&txt_b2);
    s.failed_id = "B2";
    assert_step(s, STS_STEP_USE);
}

static void a_refresh_fetches_whatever_the_record_says(void **state)
{
    struct sts_situation s = cached(&txt_a1);
    (void)state;
    s.fresh = true;
    assert_step(s, STS_STEP_FETCH);
    s.txt = &txt_absent;
    assert_step(s, STS_STEP_FETCH);
    assert_string_equal(sts_refresh_id(&s), "A1");
    s.txt = &txt_error;
    assert_step(s, STS_STEP_FETCH);
    s.failed_id = "A1";
    assert_step(s, STS_STEP_USE);
    s.forced = true;
    assert_step(s, STS_STEP_FETCH);
}

static void a_refresh_comes_within_a_day_and_half_of_max_age(void **state)
{
    int64_t day = (int64_t)DAY_MS;
    (void)state;
    assert_int_equal(sts_refresh_due(STS_REFRESH_RENEWED, NOW, WEEK_S, 0), NOW + day / 2);
    assert_in_range(sts_refresh_due(STS_REFRESH_RENEWED, NOW, WEEK_S, STS_REFRESH_ROLLS - 1),
                    NOW + day / 2 + 1, NOW + day);
    assert_in_range(sts_refresh_due(STS_REFRESH_RENEWED, NOW, 14400, 1023), NOW + HOUR_MS,
                    NOW + 2 * HOUR_MS);
    assert_in_range(sts_refresh_due(STS_REFRESH_FAILED, NOW, WEEK_S, 1023), NOW + HOUR_MS,
                    NOW + 4 * HOUR_MS);
    assert_in_range(sts_refresh_due(STS_REFRESH_SAME_TEXT, NOW, WEEK_S, 1023), NOW + STS_BACKOFF_MS,
                    NOW + 4 * STS_BACKOFF_MS);
    assert_int_equal(sts_refresh_due(STS_REFRESH_RENEWED, NOW, 0, 512), NOW + HOUR_MS);
}

static void what_nobody_asked_for_in_a_month_is_left_to_lapse(void **state)
{
    (void)state;
    assert_true(sts_refresh_wanted(NOW, NOW - 31 * DAY_MS));
    assert_false(sts_refresh_wanted(NOW, NOW - 31 * DAY_MS - 1));
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("without a TXT record nothing is fetched", without_a_record_nothing_is_fetched),
        STORY("a TXT record leads to a fetch", a_record_leads_to_a_fetch),
        STORY("a cached policy with the same id is used as it is",
              a_cached_policy_with_the_same_id_is_used_as_it_is),
        STORY("a new id leads to a fetch, and the old policy stays if it fails (RFC 8461 s.3.3)",
              a_new_id_leads_to_a_fetch_and_the_old_policy_stays_if_it_fails),
        STORY("a cached policy outlives every trouble of DNS",
              a_cached_policy_outlives_every_trouble_of_dns),
        STORY("DNS trouble with nothing cached is not \"no policy\"",
              dns_trouble_with_nothing_cached_is_not_no_policy),
        STORY("a policy lapses when its age exceeds max_age, and not before",
              a_policy_lapses_one_second_after_max_age),
        STORY("a lapsed policy is fetched again under the same id",
              a_lapsed_policy_is_fetched_again_under_the_same_id),
        STORY("after a start a policy lapses only when a fetch was tried",
              after_a_start_a_policy_lapses_only_when_a_fetch_was_tried),
        STORY("five minutes pass after a failure of the same id (RFC 8461 s.3.3)",
              five_minutes_pass_after_a_failure_of_the_same_id),
        STORY("a refresh fetches whatever the record says (RFC 8461 s.10.2)",
              a_refresh_fetches_whatever_the_record_says),
        STORY("a refresh comes within a day and half of max_age",
              a_refresh_comes_within_a_day_and_half_of_max_age),
        STORY("what nobody asked for in a month is left to lapse",
              what_nobody_asked_for_in_a_month_is_left_to_lapse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
