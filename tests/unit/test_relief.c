#include "tests/support/test.h"

#include "lib/base/clock.h"
#include "queue/deliver/relief.h"

#include <stdlib.h>
#include <string.h>

#define NOW_MS INT64_C(1790000000000) /* in September 2026 */

static struct exception_settings exception_that(enum exception_allow allow)
{
    return (struct exception_settings){
        .domain = "example.net", .allow = allow, .reason = "r", .last_day_utc_ms = NOW_MS
    };
}

static enum policy_relief kind_with(const struct job *job, const struct target *target)
{
    return relief_of(job, target, NOW_MS).kind;
}

static void mail_as_all_mail_has_no_relief(void **state)
{
    struct job job = { .lease = 1 };
    struct target target = { .name = "example.net" };

    (void)state;
    assert_int_equal(kind_with(&job, &target), RELIEF_NONE);
}

static void a_header_that_says_no_relieves_its_message(void **state)
{
    struct job job = { .envelope.tls_required_no = true };
    struct target target = { .name = "example.net" };

    (void)state;
    assert_int_equal(kind_with(&job, &target), RELIEF_FULL);
    assert_null(relief_of(&job, &target, NOW_MS).exception);
}

static void a_report_of_ours_goes_whatever_is_asked(void **state)
{
    struct exception_settings unverified = exception_that(EXCEPTION_UNVERIFIED);
    struct exception_settings clear = exception_that(EXCEPTION_CLEAR);
    struct job job = { .envelope.tls_report = true };
    struct target target = { .name = "example.net", .exception = &unverified };

    (void)state;
    assert_true(job_is_report(&job));
    assert_int_equal(kind_with(&job, &target), RELIEF_FULL);
    target.exception = &clear; /* no exception is used up by it */
    assert_int_equal(kind_with(&job, &target), RELIEF_FULL);
    assert_null(relief_of(&job, &target, NOW_MS).exception);
}

/* No policy was asked for: nobody can say that it would have stopped it. */
static void a_reports_relief_is_not_called_needed(void **state)
{
    struct sts_facts facts = { .source = POLICY_SOURCE_NONE, .relief = RELIEF_FULL };
    struct pool_key session = { .mx = "mx.example.net", .for_reports = true };

    (void)state;
    assert_false(relief_is_needed(facts, &session));
}

static void requiretls_takes_the_headers_word_away(void **state)
{
    struct job job = { .envelope = { .tls_required_no = true, .requiretls = true } };
    struct target target = { .name = "example.net" };

    (void)state;
    assert_int_equal(kind_with(&job, &target), RELIEF_NONE); /* of a notification */
    assert_false(job_may_skip_policy(&job));
    strcpy(job.envelope.reverse_path.text, "a@example.org");
    assert_int_equal(kind_with(&job, &target), RELIEF_NONE);
    job.skip_policy = true;
    assert_false(job_may_skip_policy(&job));
}

static void an_exception_allows_what_it_says_until_its_end(void **state)
{
    struct exception_settings clear = exception_that(EXCEPTION_CLEAR);
    struct exception_settings unverified = exception_that(EXCEPTION_UNVERIFIED);
    struct target target = { .name = "example.net", .exception = &clear };
    struct job job = { .lease = 1 };

    (void)state;
    assert_int_equal(kind_with(&job, &target), RELIEF_FULL);
    assert_ptr_equal(relief_of(&job, &target, NOW_MS).exception, &clear);
    target.exception = &unverified;
    assert_int_equal(kind_with(&job, &target), RELIEF_UNVERIFIED);
    assert_int_equal(relief_of(&job, &target, NOW_MS + DAY_MS).kind, RELIEF_NONE);
    assert_null(relief_of(&job, &target, NOW_MS + DAY_MS).exception);
}

static void requiretls_has_no_exceptions_but_its_notification_has(void **state)
{
    struct exception_settings clear = exception_that(EXCEPTION_CLEAR);
    struct target target = { .name = "example.net", .exception = &clear };
    struct job job = { .envelope.requiretls = true };

    (void)state;
    assert_int_equal(kind_with(&job, &target), RELIEF_FULL);
    strcpy(job.envelope.reverse_path.text, "a@example.org");
    assert_int_equal(kind_with(&job, &target), RELIEF_NONE);
}

static void of_two_the_one_that_allows_more_counts(void **state)
{
    struct exception_settings clear = exception_that(EXCEPTION_CLEAR);
    struct exception_settings unverified = exception_that(EXCEPTION_UNVERIFIED);
    struct target target = { .name = "example.net", .exception = &unverified };
    struct job job = { .envelope.tls_required_no = true };

    (void)state;
    assert_int_equal(kind_with(&job, &target), RELIEF_FULL);
    assert_null(relief_of(&job, &target, NOW_MS).exception);
    target.exception = &clear;
    assert_ptr_equal(relief_of(&job, &target, NOW_MS).exception, &clear);
}

static void what_may_go_in_clear_waits_for_no_policy(void **state)
{
    struct exception_settings clear = exception_that(EXCEPTION_CLEAR);
    struct exception_settings unverified = exception_that(EXCEPTION_UNVERIFIED);
    Ipc__PolicyAnswer answer = IPC__POLICY_ANSWER__INIT;
    struct plans *plans = calloc(1, sizeof(*plans) + sizeof(plans->items[0]));
    struct plan *plan = &plans->items[0];
    struct job job = { .lease = 1 };

    (void)state;
    plans->count = 1;
    answer.state = IPC__POLICY_STATE__POLICY_NOT_KNOWN;
    *plan = (struct plan){ .answer = &answer, .route.verdict = ROUTE_FOUND };
    assert_null(relief_open_plan(&job, plans, NOW_MS));
    job.skip_policy = true; /* it has waited for long */
    assert_ptr_equal(relief_open_plan(&job, plans, NOW_MS), plan);
    job = (struct job){ .envelope.tls_required_no = true };
    assert_ptr_equal(relief_open_plan(&job, plans, NOW_MS), plan);
    job = (struct job){ .lease = 1 };
    plan->target.exception = &unverified;
    assert_null(relief_open_plan(&job, plans, NOW_MS));
    plan->target.exception = &clear;
    assert_ptr_equal(relief_open_plan(&job, plans, NOW_MS), plan);
    job.envelope.requiretls = true;
    strcpy(job.envelope.reverse_path.text, "a@example.org");
    assert_null(relief_open_plan(&job, plans, NOW_MS));
    free(plans);
}

static struct pool_key session_that_is(enum session_tls tls, enum cert_verdict cert)
{
    const struct endpoint remote = { .port = 25 };

    return pool_key_had(&remote, "mx.example.net", tls, TLS_FLOOR_STRICT, cert, 1);
}

static void a_relief_is_needed_where_the_session_is_less_than_the_policy_asks(void **state)
{
    struct pool_key verified = session_that_is(SESSION_TLS_ON, CERT_OK);
    struct pool_key expired = session_that_is(SESSION_TLS_ON, CERT_EXPIRED);
    struct pool_key clear = session_that_is(SESSION_TLS_NOT_OFFERED, CERT_NONE);
    struct sts_facts f = {
        .source = POLICY_SOURCE_STS, .mode = STS_ENFORCE, .mx_listed = true, .relief = RELIEF_FULL
    };

    (void)state;
    assert_false(relief_is_needed(f, &verified));
    assert_true(relief_is_needed(f, &expired));
    assert_true(relief_is_needed(f, &clear));
    f.mx_listed = false;
    assert_true(relief_is_needed(f, &verified));
    f.mode = STS_TESTING;
    assert_false(relief_is_needed(f, &clear));
    f.mode = STS_ENFORCE;
    f.relief = RELIEF_NONE;
    assert_false(relief_is_needed(f, &clear)); /* there is none */
}

static void without_an_answer_about_tlsa_mail_goes_by_full_relief_alone(void **state)
{
    struct sts_facts f = { .relief = RELIEF_FULL };

    (void)state;
    assert_true(relief_without_tlsa(&f));
    f.route = ROUTE_TLS_DANE;
    assert_false(relief_without_tlsa(&f));
    f.route = ROUTE_TLS_VERIFY;
    assert_true(relief_without_tlsa(&f));
    f.require_tls = true;
    assert_false(relief_without_tlsa(&f));
    f = (struct sts_facts){ .relief = RELIEF_UNVERIFIED };
    assert_false(relief_without_tlsa(&f));
}

static void a_target_has_its_exception_whatever_the_message(void **state)
{
    struct exception_settings clear = exception_that(EXCEPTION_CLEAR);
    struct target target = { .name = "example.net" };

    (void)state;
    assert_int_equal(relief_of_target(&target, NOW_MS).kind, RELIEF_NONE);
    target.exception = &clear;
    assert_int_equal(relief_of_target(&target, NOW_MS).kind, RELIEF_FULL);
    assert_ptr_equal(relief_of_target(&target, NOW_MS).exception, &clear);
    assert_int_equal(relief_of_target(&target, exception_end_ms(&clear)).kind, RELIEF_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "mail as all mail has no relief from a policy", mail_as_all_mail_has_no_relief, NULL,
          NULL, NULL },
        { "what may go in clear waits for no policy that DNS does not tell; REQUIRETLS does",
          what_may_go_in_clear_waits_for_no_policy, NULL, NULL, NULL },
        { "TLS-Required: No relieves its message (RFC 8689 s.3)",
          a_header_that_says_no_relieves_its_message, NULL, NULL, NULL },
        { "a report of ours goes whatever is asked, and needs no exception (RFC 8460 s.3)",
          a_report_of_ours_goes_whatever_is_asked, NULL, NULL, NULL },
        { "of a report nobody can say that it would not have gone without",
          a_reports_relief_is_not_called_needed, NULL, NULL, NULL },
        { "REQUIRETLS takes the header's word away (RFC 8689 s.4.1)",
          requiretls_takes_the_headers_word_away, NULL, NULL, NULL },
        { "an exception allows what it says, until its end",
          an_exception_allows_what_it_says_until_its_end, NULL, NULL, NULL },
        { "a message with REQUIRETLS has no exceptions; a notification about it has",
          requiretls_has_no_exceptions_but_its_notification_has, NULL, NULL, NULL },
        { "of header and exception the one that allows more counts",
          of_two_the_one_that_allows_more_counts, NULL, NULL, NULL },
        { "a relief is needed where the session is less than the policy asks for",
          a_relief_is_needed_where_the_session_is_less_than_the_policy_asks, NULL, NULL, NULL },
        { "where nobody knows of TLSA records mail goes by full relief alone",
          without_an_answer_about_tlsa_mail_goes_by_full_relief_alone, NULL, NULL, NULL },
        { "a target has its exception, whatever the message",
          a_target_has_its_exception_whatever_the_message, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("relief", tests, NULL, NULL);
}
