#include "lib/base/settings.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *said_of(const char *text)
{
    struct settings *s = settings_new();
    struct settings_errors errors;

    settings_errors_init(&errors);
    bool fine = settings_parse(span_of(text), "conf", s, &errors);
    assert_int_equal(fine, errors.count == 0);
    char *said = memory_copy_span(buf_span(&errors.text));
    settings_errors_clear(&errors);
    settings_free(&s);
    return said;
}

static void assert_says(const char *text, const char *part)
{
    char *said = said_of(text);

    if (!strstr(said, part))
        fail_msg("of \"%s\" was said \"%s\", not \"%s\"", text, said, part);
    free(said);
}

#define DOMAIN "domain = \"Example.NET\"; "
#define ALLOW "allow = \"clear\"; "
#define REASON "reason = \"their \\\"CA\\\" is away\"; "
#define UNTIL "until = \"2026-12-31\"; "
#define ENTRY(members) "exception = (\n { " members "} );"

static int64_t day(const char *text)
{
    int64_t utc_ms;

    assert_true(clock_parse_day(text, &utc_ms));
    return utc_ms;
}

static void an_exception_has_all_its_members(void **state)
{
    struct settings *s = settings_of(ENTRY(DOMAIN ALLOW REASON UNTIL
                                           "}, { domain = \"b.example\"; allow = \"unverified\"; "
                                           "reason = \"r\"; until = \"2028-02-29\"; "));
    const struct exception_settings *e = settings_exception(s, SPAN("example.net"));

    (void)state;
    assert_int_equal(s->exception_count, 2);
    assert_non_null(e);
    assert_int_equal(e->allow, EXCEPTION_CLEAR);
    assert_string_equal(e->reason, "their \"CA\" is away");
    assert_int_equal(e->last_day_utc_ms, day("2026-12-31"));
    assert_int_equal(settings_exception(s, SPAN("B.example"))->allow, EXCEPTION_UNVERIFIED);
    assert_null(settings_exception(s, SPAN("a.b.example")));
    assert_null(settings_exception(s, SPAN("example")));
    free(s);
}

static void exceptions_survive_writing_and_reading(void **state)
{
    struct settings *s = settings_of(ENTRY(DOMAIN ALLOW REASON UNTIL));
    struct buf text;

    (void)state;
    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_write(s, &text);
    char *written = memory_copy_span(buf_span(&text));
    struct settings *back = settings_of(written);
    assert_int_equal(back->exception_count, 1);
    assert_string_equal(back->exceptions[0].domain, s->exceptions[0].domain);
    assert_int_equal(back->exceptions[0].allow, s->exceptions[0].allow);
    assert_string_equal(back->exceptions[0].reason, s->exceptions[0].reason);
    assert_int_equal(back->exceptions[0].last_day_utc_ms, s->exceptions[0].last_day_utc_ms);
    free(written);
    free(back);
    free(s);
    buf_clear(&text);
}

static void no_reason_or_no_end_no_exception(void **state)
{
    (void)state;
    assert_says(ENTRY(DOMAIN ALLOW UNTIL), "conf:2: exception lacks a reason in this entry");
    assert_says(ENTRY(DOMAIN ALLOW "reason = \"\"; " UNTIL), "conf:2: exception lacks a reason");
    assert_says(ENTRY(DOMAIN ALLOW "reason = \"  \"; " UNTIL), "conf:2: exception lacks a reason");
    assert_says(ENTRY(DOMAIN ALLOW REASON), "conf:2: exception lacks an end in this entry");
    assert_says(ENTRY(DOMAIN REASON UNTIL), "conf:2: exception lacks an allow in this entry");
    assert_says(ENTRY(ALLOW REASON UNTIL), "conf:2: exception lacks a domain in this entry");
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    assert_says("exception = 5;", "conf:1: exception cannot be 5; write ( { domain = ");
    assert_says("exception = [ \"a.example\" ];", "exception cannot be \"a.example\"");
    assert_says(ENTRY(DOMAIN ALLOW REASON "until = \"2026-02-30\"; "),
                "until cannot be \"2026-02-30\"; write a day such as \"2026-12-31\"");
    assert_says(ENTRY(DOMAIN ALLOW REASON "until = \"never\"; "), "until cannot be \"never\"");
    assert_says(ENTRY(DOMAIN ALLOW REASON "until = 2026; "), "until cannot be 2026");
    assert_says(ENTRY(DOMAIN "allow = \"all\"; " REASON UNTIL), "allow cannot be \"all\"");
    assert_says(ENTRY("domain = \".example.net\"; " ALLOW REASON UNTIL), "domain cannot be");
    assert_says(ENTRY(DOMAIN ALLOW "reason = \"a\\x01\"; " UNTIL), "reason cannot be");
    assert_says(ENTRY(DOMAIN ALLOW REASON UNTIL "tls = \"may\"; "), "tls does not belong here");
    assert_says(
        ENTRY(DOMAIN ALLOW REASON UNTIL "}, { domain = \"example.net\"; " ALLOW REASON UNTIL),
        "exception has two entries for this domain; write one entry for each");
}

static void there_are_at_most_as_many_as_there_is_room_for(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 100000);
    assert_true(buf_printf(&text, "exception = ( "));
    for (int i = 0; i <= SETTINGS_EXCEPTIONS_MAX; i++)
        assert_true(buf_printf(&text, "%s{ domain = \"d%d.example\"; " ALLOW REASON UNTIL "}",
                               i > 0 ? ", " : "", i));
    assert_true(buf_printf(&text, " );"));
    char *whole = memory_copy_span(buf_span(&text));
    assert_says(whole, "exception has more than 64 entries");
    free(whole);
    buf_clear(&text);
}

static void it_holds_to_the_end_of_its_last_day(void **state)
{
    struct exception_settings e = { .last_day_utc_ms = day("2026-12-31") };
    int64_t end_ms = day("2027-01-01");

    (void)state;
    assert_true(exception_is_in_force(&e, day("2026-06-01")));
    assert_true(exception_is_in_force(&e, end_ms - 1));
    assert_false(exception_is_in_force(&e, end_ms));
    assert_int_equal(exception_days_left(&e, end_ms), 0);
    assert_int_equal(exception_days_left(&e, end_ms - 1), 1);
    assert_int_equal(exception_days_left(&e, day("2026-12-31")), 1);
    assert_int_equal(exception_days_left(&e, day("2026-12-25")), 7);
}

static void a_clock_that_was_lost_revives_none(void **state)
{
    struct exception_settings e = { .last_day_utc_ms = day("2026-12-31") };

    (void)state;
    assert_false(exception_is_in_force(&e, 0));
    assert_false(exception_is_in_force(&e, day("2000-01-01")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "an exception has all its members, and is for its domain alone",
          an_exception_has_all_its_members, NULL, NULL, NULL },
        { "exceptions survive writing and reading", exceptions_survive_writing_and_reading, NULL,
          NULL, NULL },
        { "no reason or no end, no exception", no_reason_or_no_end_no_exception, NULL, NULL, NULL },
        { "an exception that makes no sense is refused, with what would be right",
          what_makes_no_sense_is_refused, NULL, NULL, NULL },
        { "there are at most as many exceptions as there is room for",
          there_are_at_most_as_many_as_there_is_room_for, NULL, NULL, NULL },
        { "an exception holds to the end of its last day in UTC",
          it_holds_to_the_end_of_its_last_day, NULL, NULL, NULL },
        { "a clock that was lost revives no exception", a_clock_that_was_lost_revives_none, NULL,
          NULL, NULL },
    };
    return cmocka_run_group_tests_name("settings_exceptions", tests, NULL, NULL);
}
