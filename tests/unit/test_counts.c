#include "tests/support/test.h"

#include "tests/support/session_event.h"
#include "tlsrpt/counts.h"

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

/* They would be packed with the rest, and what comes of that need not unpack again. */
static void fields_that_nobody_knows_are_refused(void **state)
{
    struct session_event e;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_DANE_REQUIRED);
    assert_true(counts_is_valid(&e.event));
    e.failure.base.n_unknown_fields = 1;
    assert_false(counts_is_valid(&e.event));
    event_failure(&e, "a.test", TLS_RESULT_DANE_REQUIRED);
    e.event.base.n_unknown_fields = 1;
    assert_false(counts_is_valid(&e.event));
}

static void records_that_are_not_ours_are_seen(void **state)
{
    Tlsrpt__PolicyCount policy = TLSRPT__POLICY_COUNT__INIT;
    Tlsrpt__FailureCount count = TLSRPT__FAILURE_COUNT__INIT;
    struct session_event e;
    (void)state;
    policy.type = IPC__POLICY_TYPE__STS;
    assert_true(counts_policy_is_valid(&policy));
    policy.type = (Ipc__PolicyType)9;
    assert_false(counts_policy_is_valid(&policy));
    assert_false(counts_failure_is_valid(&count));
    event_failure(&e, "a.test", TLS_RESULT_DANE_REQUIRED);
    count.failure = &e.failure;
    assert_true(counts_failure_is_valid(&count));
    e.failure.result = 99;
    assert_false(counts_failure_is_valid(&count));
}

/* The event as it is counted under a.test. */
static Ipc__SessionEvent *counted(const struct session_event *e)
{
    Ipc__SessionEvent *event;
    struct span packed;
    struct buf buf;

    buf_init(&buf, 1 << 20);
    counts_pack(&e->event, SPAN("a.test"), &buf);
    packed = buf_span(&buf);
    event = ipc__session_event__unpack(NULL, packed.len, (const uint8_t *)packed.data);
    assert_non_null(event);
    buf_clear(&buf);
    return event;
}

static void equal_things_have_equal_bytes(void **state)
{
    static const char *const names[] = { "", "a.test", "A.test.", "MX.test", "mx.test." };
    static const char *const wanted[] = { "", "", "", "mx.test", "mx.test" };
    Ipc__SessionEvent *event;
    struct session_event e;
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        event_failure(&e, "A.TEST", TLS_RESULT_DANE_REQUIRED);
        e.event.policy_domain = event_bytes(names[i]);
        event = counted(&e);
        assert_int_equal(event->domain.len, 0);
        assert_int_equal(event->policy_domain.len, strlen(wanted[i]));
        assert_memory_equal(event->policy_domain.data, wanted[i], strlen(wanted[i]));
        assert_int_equal(event->n_failures, 1);
        assert_int_equal(event->failures[0]->result, TLS_RESULT_DANE_REQUIRED);
        assert_int_equal(event->failures[0]->sending_ip.len, 4);
        ipc__session_event__free_unpacked(event, NULL);
    }
}

static bool same_policy(const struct session_event *a, const struct session_event *b)
{
    struct counts_digest one = counts_policy_digest(&a->event);
    struct counts_digest other = counts_policy_digest(&b->event);

    return memcmp(&one, &other, sizeof(one)) == 0;
}

static void a_policy_is_its_type_its_domain_and_its_text(void **state)
{
    struct session_event a, b;
    (void)state;
    event_success(&a, "a.test");
    event_failure(&b, "b.test", TLS_RESULT_DANE_REQUIRED);
    assert_true(same_policy(&a, &b));
    b.event.policy_type = IPC__POLICY_TYPE__TLSA;
    assert_false(same_policy(&a, &b));
    event_success(&b, "a.test");
    b.event.policy_domain = event_bytes("mx.test");
    assert_false(same_policy(&a, &b));
    event_success(&b, "a.test");
    b.event.policy_text.len -= 3;
    assert_false(same_policy(&a, &b));
}

/* As whoever read it wrote it down. */
static void line_ends_and_the_case_of_digits_make_no_other_policy(void **state)
{
    struct session_event a, b;
    (void)state;
    event_success(&a, "a.test");
    event_success(&b, "a.test");
    b.event.policy_text = event_bytes("version: STSv1\nmode: enforce\nmx: *.mx.test");
    assert_true(same_policy(&a, &b));
    b.event.policy_text = event_bytes("version: STSv1\nmode: enforce\nmx: *.MX.test");
    assert_false(same_policy(&a, &b));
    a.event.policy_type = b.event.policy_type = IPC__POLICY_TYPE__TLSA;
    a.event.policy_text = event_bytes("3 1 1 ab\n3 1 1 cd\n");
    b.event.policy_text = event_bytes("3 1 1 AB\n3 1 1 CD\n");
    assert_true(same_policy(&a, &b));
    b.event.policy_text = event_bytes("3 1 1 ab3 1 1 cd");
    assert_false(same_policy(&a, &b));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "counts: what a peer could not have seen is refused", what_cannot_be_is_refused, 0, 0,
          0 },
        { "counts: fields that nobody knows are refused", fields_that_nobody_knows_are_refused, 0,
          0, 0 },
        { "counts: records that are not ours are seen", records_that_are_not_ours_are_seen, 0, 0,
          0 },
        { "counts: equal things have equal bytes", equal_things_have_equal_bytes, 0, 0, 0 },
        { "counts: a policy is its type, its domain and its text",
          a_policy_is_its_type_its_domain_and_its_text, 0, 0, 0 },
        { "counts: line ends, and the case of a TLSA record's digits, make no other policy",
          line_ends_and_the_case_of_digits_make_no_other_policy, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
