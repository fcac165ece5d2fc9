#include "tests/support/test.h"

#include "tests/support/session_event.h"
#include "tlsrpt/counts.h"

#include <stdio.h>
#include <stdlib.h>

static void add(Tlsrpt__DayRecord *day, struct session_event *e, uint64_t sessions)
{
    assert_true(counts_is_valid(&e->event));
    counts_add(day, &e->event, sessions);
}

static void successes_and_failures_add_up(void **state)
{
    Tlsrpt__DayRecord *day = counts_new();
    struct session_event e;
    (void)state;
    event_success(&e, "a.test");
    add(day, &e, 3);
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    add(day, &e, 1);
    add(day, &e, 4);
    assert_int_equal(day->n_policies, 1);
    assert_int_equal(day->policies[0]->succeeded, 3);
    assert_int_equal(day->policies[0]->failed, 5);
    assert_int_equal(day->policies[0]->n_failures, 1);
    assert_int_equal(day->policies[0]->failures[0]->sessions, 5);
    assert_true(counts_record_is_valid(day));
    counts_free(&day);
}

static void a_session_that_went_well_may_tell_failures(void **state)
{
    Tlsrpt__DayRecord *day = counts_new();
    struct session_event e;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_STS_POLICY_FETCH_ERROR);
    e.event.failed = false;
    add(day, &e, 1);
    assert_int_equal(day->policies[0]->succeeded, 1);
    assert_int_equal(day->policies[0]->failed, 0);
    assert_int_equal(day->policies[0]->failures[0]->sessions, 1);
    counts_free(&day);
}

static void whatever_differs_is_told_apart(void **state)
{
    static const size_t fields[] = {
        offsetof(Ipc__SessionFailure, sending_ip), offsetof(Ipc__SessionFailure, mx_host),
        offsetof(Ipc__SessionFailure, mx_helo),    offsetof(Ipc__SessionFailure, receiving_ip),
        offsetof(Ipc__SessionFailure, additional), offsetof(Ipc__SessionFailure, reason),
    };
    Tlsrpt__DayRecord *day = counts_new();
    struct session_event e;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    add(day, &e, 1);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
        *(ProtobufCBinaryData *)(void *)((char *)&e.failure + fields[i]) = event_bytes("four");
        add(day, &e, 1);
    }
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_NOT_TRUSTED);
    add(day, &e, 1);
    assert_int_equal(day->policies[0]->n_failures, 8);
    counts_free(&day);
}

static void another_policy_is_counted_apart(void **state)
{
    Tlsrpt__DayRecord *day = counts_new();
    struct session_event e;
    (void)state;
    event_success(&e, "a.test");
    add(day, &e, 1);
    e.event.policy_text = event_bytes("version: STSv1\nmode: testing\n");
    add(day, &e, 1);
    event_success(&e, "a.test");
    e.event.policy_type = IPC__POLICY_TYPE__TLSA;
    e.event.policy_domain = event_bytes("mx.test");
    e.event.policy_text = event_bytes("3 1 1 AB");
    e.event.n_mx_patterns = 0;
    add(day, &e, 1);
    e.event.policy_domain = event_bytes("mx2.test");
    add(day, &e, 1);
    assert_int_equal(day->n_policies, 4);
    assert_int_equal(day->policies[2]->domain.len, 7);
    assert_int_equal(day->policies[0]->n_mx_patterns, 1);
    assert_int_equal(day->policies[2]->n_mx_patterns, 0);
    counts_free(&day);
}

static void distinct_failures_are_bounded(void **state)
{
    Tlsrpt__DayRecord *day = counts_new();
    struct session_event e;
    char ip[20];
    (void)state;
    for (int i = 0; i < COUNTS_DETAILS_MAX + 50; i++) {
        event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
        snprintf(ip, sizeof(ip), "%016x", i);
        e.failure.receiving_ip = event_bytes(ip);
        add(day, &e, 1);
    }
    assert_int_equal(day->policies[0]->n_failures, COUNTS_DETAILS_MAX + 1);
    const Tlsrpt__FailureCount *rest = day->policies[0]->failures[COUNTS_DETAILS_MAX];
    assert_int_equal(rest->sessions, 50);
    assert_int_equal(rest->failure->receiving_ip.len, 0);
    assert_int_equal(rest->failure->result, TLS_RESULT_CERTIFICATE_EXPIRED);
    assert_int_equal(day->policies[0]->failed, COUNTS_DETAILS_MAX + 50);
    counts_free(&day);
}

static void policies_are_bounded(void **state)
{
    Tlsrpt__DayRecord *day = counts_new();
    struct session_event e;
    char text[40];
    (void)state;
    for (int i = 0; i < COUNTS_POLICIES_MAX + 10; i++) {
        event_success(&e, "a.test");
        snprintf(text, sizeof(text), "policy %d", i);
        e.event.policy_text = event_bytes(text);
        add(day, &e, 1);
    }
    e.event.policy_type = IPC__POLICY_TYPE__NO_POLICY_FOUND;
    add(day, &e, 1);
    assert_int_equal(day->n_policies, COUNTS_POLICIES_MAX + 2);
    assert_int_equal(day->policies[COUNTS_POLICIES_MAX]->succeeded, 10);
    assert_int_equal(day->policies[COUNTS_POLICIES_MAX]->text.len, 0);
    counts_free(&day);
}

static void words_of_remote_hosts_are_cut(void **state)
{
    Tlsrpt__DayRecord *day = counts_new();
    struct session_event e;
    char words[1000];
    (void)state;
    memset(words, 'x', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    event_failure(&e, "a.test", TLS_RESULT_VALIDATION_FAILURE);
    e.failure.mx_helo = event_bytes(words);
    add(day, &e, 1);
    add(day, &e, 1); /* and still are the same */
    assert_int_equal(day->policies[0]->n_failures, 1);
    assert_int_equal(day->policies[0]->failures[0]->failure->mx_helo.len, COUNTS_TEXT_MAX);
    counts_free(&day);
}

static void what_cannot_be_is_refused(void **state)
{
    struct session_event e;
    (void)state;
    event_success(&e, "a..test");
    assert_false(counts_is_valid(&e.event));
    event_success(&e, "");
    assert_false(counts_is_valid(&e.event));
    event_success(&e, "a.test");
    e.event.policy_domain = event_bytes("b c");
    assert_false(counts_is_valid(&e.event));
    event_success(&e, "a.test");
    e.event.policy_type = (Ipc__PolicyType)7;
    assert_false(counts_is_valid(&e.event));
    event_success(&e, "a.test");
    e.event.policy_text.len = 64 * 1024 + 1;
    assert_false(counts_is_valid(&e.event));
    event_success(&e, "a.test");
    e.event.n_mx_patterns = COUNTS_PATTERNS_MAX + 1;
    assert_false(counts_is_valid(&e.event));
    event_success(&e, "a.test");
    e.patterns[0].len = 256;
    assert_false(counts_is_valid(&e.event));
    event_failure(&e, "a.test", TLS_RESULT_SUCCESS);
    assert_false(counts_is_valid(&e.event));
    event_failure(&e, "a.test", TLS_RESULT_COUNT);
    assert_false(counts_is_valid(&e.event));
    event_failure(&e, "a.test", TLS_RESULT_DANE_REQUIRED);
    e.failure.receiving_ip = event_bytes("192.0.2.10");
    assert_false(counts_is_valid(&e.event));
    event_failure(&e, "a.test", TLS_RESULT_DANE_REQUIRED);
    e.event.n_failures = COUNTS_FAILURES_MAX + 1;
    assert_false(counts_is_valid(&e.event));
}

static void records_that_are_not_ours_are_seen(void **state)
{
    Tlsrpt__DayRecord *day = counts_new();
    struct session_event e;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_DANE_REQUIRED);
    add(day, &e, 1);
    day->policies[0]->failures[0]->failure->result = 99;
    assert_false(counts_record_is_valid(day));
    day->policies[0]->failures[0]->failure->result = 1;
    day->policies[0]->type = (Ipc__PolicyType)9;
    assert_false(counts_record_is_valid(day));
    day->policies[0]->type = IPC__POLICY_TYPE__STS;
    assert_true(counts_record_is_valid(day));
    ipc__session_failure__free_unpacked(day->policies[0]->failures[0]->failure, NULL);
    day->policies[0]->failures[0]->failure = NULL;
    assert_false(counts_record_is_valid(day));
    counts_free(&day);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "counts: successes and failures add up", successes_and_failures_add_up, 0, 0, 0 },
        { "counts: a session that went well may tell failures (RFC 8460 s.4)",
          a_session_that_went_well_may_tell_failures, 0, 0, 0 },
        { "counts: failures that differ in anything are told apart", whatever_differs_is_told_apart,
          0, 0, 0 },
        { "counts: another type, text or domain is another policy", another_policy_is_counted_apart,
          0, 0, 0 },
        { "counts: distinct failures are bounded; the rest is counted by its type",
          distinct_failures_are_bounded, 0, 0, 0 },
        { "counts: policies of a day are bounded", policies_are_bounded, 0, 0, 0 },
        { "counts: words of remote hosts are cut", words_of_remote_hosts_are_cut, 0, 0, 0 },
        { "counts: what a peer could not have seen is refused", what_cannot_be_is_refused, 0, 0,
          0 },
        { "counts: records that are not ours are seen", records_that_are_not_ours_are_seen, 0, 0,
          0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
