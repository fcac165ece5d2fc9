#include "tests/support/test.h"

#include "policy/alarms.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

#define FETCHED ((int64_t)1700000000 * SECOND_MS)
#define NOW (FETCHED + DAY_MS)

static const char enforce[] = "version: STSv1\nmode: enforce\nmx: a\nmax_age: 864000\n";
static const char none[] = "version: STSv1\nmode: none\nmax_age: 864000\n";

static struct alarms *alarms;

static int open_alarms(void **state)
{
    (void)state;
    alarms = alarms_new();
    return 0;
}

static int close_alarms(void **state)
{
    (void)state;
    alarms_free(&alarms);
    return 0;
}

static struct sts_entry entry_of(const char *domain, const char *file)
{
    struct sts_entry entry = { .id = "A1", .fetched_utc_ms = FETCHED };
    snprintf(entry.domain, sizeof(entry.domain), "%s", domain);
    assert_int_equal(sts_policy_parse(span_of(file), &entry.policy), STS_POLICY_FINE);
    return entry;
}

static void note(const char *domain, const char *file, struct sts_trouble trouble)
{
    struct sts_entry entry = entry_of(domain, file);
    entry.trouble = trouble;
    alarms_note(alarms, &entry);
    sts_entry_clear(&entry);
}

static struct json *shown(int64_t now)
{
    struct json *object = json_new_object();
    alarms_show(alarms, now, object);
    return object;
}

static void assert_row(const struct json *object, size_t at, const char *domain, const char *alarm,
                       int64_t days_left, const char *detail)
{
    const struct json *row = json_item(json_get(object, "alarms"), at);
    assert_non_null(row);
    assert_true(span_equal(json_text(json_get(row, "domain")), span_of(domain)));
    assert_true(span_equal(json_text(json_get(row, "alarm")), span_of(alarm)));
    assert_int_equal(json_number(json_get(row, "days_left")), days_left);
    assert_true(span_equal(json_text(json_get(row, "detail")), span_of(detail)));
}

static int64_t number_of(const struct json *object, const char *key)
{
    return json_number(json_get(object, key));
}

static void a_refresh_that_fails_is_told_with_the_days_left(void **state)
{
    (void)state;
    note("example.com", enforce,
         (struct sts_trouble){ .failing_utc_ms = FETCHED + HOUR_MS,
                               .failing_reason = "status 404" });
    struct json *object = shown(NOW);
    assert_int_equal(number_of(object, "refresh_failing"), 1);
    assert_int_equal(number_of(object, "weakened"), 0);
    assert_row(object, 0, "example.com", "refresh fails", 9, "status 404");
    assert_true(span_equal(json_text(json_get(json_item(json_get(object, "alarms"), 0), "since")),
                           SPAN("2023-11-14T23:13:20Z")));
    json_free(&object);
}

static void what_is_well_again_is_forgotten(void **state)
{
    (void)state;
    note("example.com", enforce, (struct sts_trouble){ .gone_utc_ms = NOW });
    note("example.com", enforce, (struct sts_trouble){ 0 });
    note("example.net", enforce, (struct sts_trouble){ .gone_utc_ms = NOW });
    alarms_forget(alarms, "example.net");
    alarms_forget(alarms, "example.org");
    struct json *object = shown(NOW);
    assert_int_equal(json_count(json_get(object, "alarms")), 0);
    json_free(&object);
}

static void mode_none_has_nothing_to_lose(void **state)
{
    (void)state;
    note("example.com", none, (struct sts_trouble){ .failing_utc_ms = NOW, .gone_utc_ms = NOW });
    struct json *object = shown(NOW);
    assert_int_equal(json_count(json_get(object, "alarms")), 0);
    json_free(&object);
}

static void a_weakening_is_news_for_a_week(void **state)
{
    (void)state;
    note("example.com", none,
         (struct sts_trouble){ .weakened_utc_ms = NOW,
                               .weakened = STS_WEAKER_MODE | STS_WEAKER_MAX_AGE });
    struct json *object = shown(NOW + ALARM_DAYS * DAY_MS);
    assert_row(object, 0, "example.com", "weakened", 2, "mode, max_age");
    json_free(&object);
    object = shown(NOW + ALARM_DAYS * DAY_MS + 1);
    assert_int_equal(number_of(object, "weakened"), 0);
    json_free(&object);
}

static void a_policy_that_lapsed_is_told_for_a_week_more(void **state)
{
    int64_t expires = FETCHED + 10 * DAY_MS;
    (void)state;
    note("example.com", enforce, (struct sts_trouble){ .gone_utc_ms = NOW });
    struct json *object = shown(expires + ALARM_DAYS * DAY_MS);
    assert_row(object, 0, "example.com", "record gone", 0, "");
    json_free(&object);
    object = shown(expires + ALARM_DAYS * DAY_MS + 1);
    assert_int_equal(number_of(object, "record_gone"), 0);
    json_free(&object);
}

static void those_that_lapse_first_come_first_and_not_all_are_shown(void **state)
{
    char domain[32];
    char file[100];
    (void)state;
    for (int i = 99; i >= 0; i--) {
        snprintf(domain, sizeof(domain), "d%d.example", i);
        snprintf(file, sizeof(file), "version: STSv1\nmode: enforce\nmx: a\nmax_age: %d\n",
                 864000 + i);
        note(domain, file, (struct sts_trouble){ .gone_utc_ms = NOW });
    }
    note("last.example", enforce, (struct sts_trouble){ .failing_utc_ms = NOW });
    struct json *object = shown(NOW);
    assert_int_equal(number_of(object, "record_gone"), 100);
    assert_int_equal(json_count(json_get(object, "alarms")), ALARMS_SHOWN_MAX);
    assert_row(object, 0, "last.example", "refresh fails", 9, "");
    assert_row(object, 1, "d0.example", "record gone", 9, "");
    assert_row(object, 2, "d1.example", "record gone", 9, "");
    json_free(&object);
}

static void their_number_is_bounded_and_what_is_left_out_counted(void **state)
{
    struct sts_entry entry = entry_of("x", enforce);
    (void)state;
    entry.trouble.gone_utc_ms = NOW;
    for (int i = 0; i < ALARMS_MAX + 3; i++) {
        snprintf(entry.domain, sizeof(entry.domain), "d%d.example", i);
        alarms_note(alarms, &entry);
    }
    struct json *object = shown(NOW);
    assert_int_equal(number_of(object, "record_gone"), ALARMS_MAX);
    assert_int_equal(number_of(object, "alarms_left_out"), 3);
    json_free(&object);
    sts_entry_clear(&entry);
}

static void an_entry_tells_its_own(void **state)
{
    struct sts_entry entry = entry_of("example.com", enforce);
    struct json *rows = json_new_array();
    (void)state;
    entry.trouble = (struct sts_trouble){ .failing_utc_ms = NOW, .gone_utc_ms = NOW };
    alarms_of_entry(&entry, NOW, rows);
    assert_int_equal(json_count(rows), 2);
    json_free(&rows);
    sts_entry_clear(&entry);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, open_alarms, close_alarms, NULL                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("a refresh that fails is told with the days left (RFC 8461 s.3.3)",
              a_refresh_that_fails_is_told_with_the_days_left),
        STORY("what is well again, or dropped, is forgotten", what_is_well_again_is_forgotten),
        STORY("mode none has nothing to lose", mode_none_has_nothing_to_lose),
        STORY("a weakening is news for a week", a_weakening_is_news_for_a_week),
        STORY("a policy that lapsed is told for a week more",
              a_policy_that_lapsed_is_told_for_a_week_more),
        STORY("those that lapse first come first, and not all are shown",
              those_that_lapse_first_come_first_and_not_all_are_shown),
        STORY("their number is bounded, and what is left out counted",
              their_number_is_bounded_and_what_is_left_out_counted),
        STORY("an entry tells its own", an_entry_tells_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
