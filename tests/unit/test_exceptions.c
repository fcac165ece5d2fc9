#include "tests/support/test.h"

#include "queue/exceptions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/channel.h"
#include "tests/support/settings_text.h"

#define TWO                                                                                        \
    "exception = ( { domain = \"a.example\"; allow = \"clear\"; reason = \"no TLS there\"; "       \
    "until = \"2026-12-31\"; }, { domain = \"b.example\"; allow = \"unverified\"; "                \
    "reason = \"r\"; until = \"2027-06-30\"; } );"
#define ONE                                                                                        \
    "exception = ( { domain = \"a.example\"; allow = \"clear\"; reason = \"no TLS there\"; "       \
    "until = \"2027-12-31\"; } );"

static void set(struct exceptions *exceptions, const char *text)
{
    struct settings *s = settings_of(text);

    exceptions_set(exceptions, s);
    free(s);
}

static int64_t day(const char *text)
{
    int64_t utc_ms;

    assert_true(clock_parse_day(text, &utc_ms));
    return utc_ms;
}

/* What an outcome of one recipient says. */
static void count(struct exceptions *exceptions, const char *domain, bool needed,
                  Ipc__ResultKind kind)
{
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    Ipc__Decision decision = IPC__DECISION__INIT;
    Ipc__Result result = IPC__RESULT__INIT;
    Ipc__Result *results[] = { &result };

    decision.relief_domain = bytes_of_span(span_of(domain));
    decision.relief_needed = needed;
    result.kind = kind;
    outcome.decision = &decision;
    outcome.n_results = 1;
    outcome.results = results;
    exceptions_count(exceptions, &outcome);
}

static int64_t number_in(const struct exceptions *exceptions, size_t row, const char *key)
{
    struct json *array = json_new_array();

    exceptions_add(exceptions, day("2026-12-30"), array);
    int64_t number = json_number(json_get(json_item(array, row), key));
    json_free(&array);
    return number;
}

static void mail_that_left_is_counted_for_its_exception(void **state)
{
    struct exceptions *exceptions = exceptions_new();
    Ipc__Outcome without = IPC__OUTCOME__INIT;

    (void)state;
    set(exceptions, TWO);
    count(exceptions, "a.example", true, IPC__RESULT_KIND__DELIVERED);
    count(exceptions, "a.example", false, IPC__RESULT_KIND__DELIVERED);
    count(exceptions, "a.example", true, IPC__RESULT_KIND__DEFERRED);
    count(exceptions, "c.example", true, IPC__RESULT_KIND__DELIVERED);
    count(exceptions, "", false, IPC__RESULT_KIND__DELIVERED);
    exceptions_count(exceptions, &without);
    assert_int_equal(number_in(exceptions, 0, "deliveries"), 2);
    assert_int_equal(number_in(exceptions, 0, "needed"), 1);
    assert_int_equal(number_in(exceptions, 1, "deliveries"), 0);
    assert_int_equal(number_in(exceptions, 0, "days_left"), 2);
    exceptions_free(&exceptions);
}

static void counts_survive_new_settings_while_there_is_an_exception(void **state)
{
    struct exceptions *exceptions = exceptions_new();

    (void)state;
    set(exceptions, TWO);
    count(exceptions, "a.example", true, IPC__RESULT_KIND__DELIVERED);
    set(exceptions, ONE);
    assert_int_equal(number_in(exceptions, 0, "deliveries"), 1);
    assert_true(number_in(exceptions, 0, "days_left") > 300);
    set(exceptions, "");
    set(exceptions, ONE);
    assert_int_equal(number_in(exceptions, 0, "deliveries"), 0);
    exceptions_free(&exceptions);
}

/* How many lines of the log have a part, after what the clock said. */
static unsigned logged(struct exceptions *exceptions, int64_t now_utc_ms, const char *part)
{
    FILE *file = tmpfile();
    char line[LOG_LINE_MAX];
    unsigned lines = 0;

    assert_non_null(file);
    log_open(fileno(file), LOG_INFO, "queue");
    exceptions_check(exceptions, now_utc_ms);
    log_flush();
    log_open(STDERR_FILENO, LOG_INFO, "test");
    rewind(file);
    while (fgets(line, sizeof(line), file))
        lines += strstr(line, part) != NULL;
    fclose(file);
    return lines;
}

static void the_end_is_reminded_of_daily_in_its_last_week(void **state)
{
    struct exceptions *exceptions = exceptions_new();
    const int64_t first = day("2026-12-25");

    (void)state;
    set(exceptions, TWO);
    assert_int_equal(logged(exceptions, first - 1, "exception-ends"), 0);
    assert_int_equal(logged(exceptions, first,
                            "domain=a.example allow=clear until=2026-12-31 "
                            "days-left=7 deliveries=0 needed=0 "
                            "reason=\"no TLS there\""),
                     1);
    assert_int_equal(logged(exceptions, first + DAY_MS - 1, "exception-ends"), 0);
    for (int n = 1; n < EXCEPTION_REMINDED_DAYS; n++)
        assert_int_equal(logged(exceptions, first + n * DAY_MS, "exception-ends"), 1);
    exceptions_free(&exceptions);
}

static void that_it_has_ended_is_said_once(void **state)
{
    struct exceptions *exceptions = exceptions_new();

    (void)state;
    set(exceptions, TWO);
    assert_int_equal(logged(exceptions, day("2026-12-31"), " days-left=1 "), 1);
    assert_int_equal(logged(exceptions, day("2027-01-01"), " days-left=0 "), 1);
    assert_int_equal(logged(exceptions, day("2027-01-02"), "exception-ends"), 0);
    set(exceptions, TWO); /* a reload, or a start */
    assert_int_equal(logged(exceptions, day("2027-01-02"), " days-left=0 "), 1);
    exceptions_free(&exceptions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "mail that left is counted for its exception, and whether that was needed",
          mail_that_left_is_counted_for_its_exception, NULL, NULL, NULL },
        { "what is counted survives new settings, while there is an exception for the domain",
          counts_survive_new_settings_while_there_is_an_exception, NULL, NULL, NULL },
        { "in its last week the log reminds of an exception's end, once a day",
          the_end_is_reminded_of_daily_in_its_last_week, NULL, NULL, NULL },
        { "that an exception has ended is said once", that_it_has_ended_is_said_once, NULL, NULL,
          NULL },
    };
    return cmocka_run_group_tests_name("exceptions", tests, NULL, NULL);
}
