#include "queue/deliver/report.h"

#include <string.h>

#include "lib/ipc/channel.h"
#include "tests/support/test.h"

/* What tlsrpt would hear, as words. */
static struct {
    unsigned calls;
    Ipc__PolicyType type;
    char domain[300], policy_domain[300], text[1024], reason[300];
    bool failed;
    unsigned failures;
    uint32_t result;
} told;

static void keep(char *room, size_t size, ProtobufCBinaryData bytes)
{
    assert_true(span_to_string(span_of_bytes(bytes), room, size));
}

void tlsrpt_tell(struct tlsrpt_client *client, const Ipc__SessionEvent *event)
{
    (void)client;
    told.calls++;
    told.type = event->policy_type;
    keep(told.domain, sizeof(told.domain), event->domain);
    keep(told.policy_domain, sizeof(told.policy_domain), event->policy_domain);
    keep(told.text, sizeof(told.text), event->policy_text);
    told.failed = event->failed;
    told.failures = (unsigned)event->n_failures;
    if (event->n_failures > 0) {
        told.result = event->failures[0]->result;
        keep(told.reason, sizeof(told.reason), event->failures[0]->reason);
    }
}

static struct tlsa_set *set_of_two(void)
{
    static char rooms[2][4] = { "\x03\x01\x01\xab", "\x00\x00\x01\xcd" };
    static struct dns_record records[2] = { { .data = rooms[1], .data_len = 4 },
                                            { .data = rooms[0], .data_len = 4 } };
    struct dns_answer answer = {
        .outcome = DNS_ANSWER, .secure = true, .records = records, .count = 2
    };

    return tlsa_set_new("base.example.net", &answer, tlsa_is_usable);
}

static struct plan plan_of(const char *domain)
{
    struct plan plan = { .target.kind = TARGET_DOMAIN };

    memset(&told, 0, sizeof(told));
    strcpy(plan.target.name, domain);
    return plan;
}

static void report(const struct plan *plan, const char *mx, const struct tlsa_set *tlsa,
                   const struct sts_decision *decision, const struct dialogue_facts *session)
{
    struct session_facts facts = {
        .mx = mx, .tlsa = tlsa, .trouble = "", .decision = decision, .session = session
    };

    report_session(NULL, plan, &facts);
}

static void a_session_under_dane_is_counted_by_its_records(void **state)
{
    struct sts_decision d = { .counted_under = POLICY_SOURCE_DANE, .reason = "" };
    struct plan plan = plan_of("example.net");
    struct tlsa_set *set = set_of_two();

    (void)state;
    report(&plan, "mx1.example.net", set, &d, NULL);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.type, IPC__POLICY_TYPE__TLSA);
    assert_string_equal(told.domain, "example.net");
    assert_string_equal(told.policy_domain, "base.example.net");
    assert_string_equal(told.text, "0 0 1 cd\n3 1 1 ab\n");
    assert_false(told.failed);
    tlsa_set_free(&set);
}

static void what_failed_has_its_name(void **state)
{
    struct sts_decision d = { .counted_under = POLICY_SOURCE_DANE,
                              .result = TLS_RESULT_TLSA_INVALID,
                              .reason = "certificate fits no TLSA record" };
    struct dialogue_facts facts = { .tls = SESSION_TLS_ON,
                                    .session = { .cert = CERT_NOT_OF_TLSA,
                                                 .cert_reason = "X509_V_ERR_DANE_NO_MATCH" },
                                    .helo = "mx1" };
    struct plan plan = plan_of("example.net");
    struct tlsa_set *set = set_of_two();

    (void)state;
    report(&plan, "mx1.example.net", set, &d, &facts);
    assert_true(told.failed && told.failures == 1);
    assert_int_equal(told.result, TLS_RESULT_TLSA_INVALID);
    assert_true(span_starts_with(span_of(told.reason), SPAN("X509_V_ERR_DANE_NO_MATCH: the key")));
    tlsa_set_free(&set);
}

static void without_records_the_host_stands_for_the_base_domain(void **state)
{
    struct sts_decision d = { .counted_under = POLICY_SOURCE_DANE,
                              .result = TLS_RESULT_DANE_REQUIRED,
                              .reason = "no usable TLSA records" };
    struct plan plan = plan_of("example.net");

    (void)state;
    report(&plan, "mx1.example.net", NULL, &d, NULL);
    assert_int_equal(told.type, IPC__POLICY_TYPE__TLSA);
    assert_string_equal(told.policy_domain, "mx1.example.net");
    assert_string_equal(told.text, "");
    assert_int_equal(told.result, TLS_RESULT_DANE_REQUIRED);
    assert_string_equal(told.reason, "no usable TLSA records");
}

static void records_are_not_told_of_under_another_policy(void **state)
{
    struct sts_decision d = { .counted_under = POLICY_SOURCE_NONE, .reason = "" };
    struct plan plan = plan_of("example.net");
    struct tlsa_set *set = set_of_two();

    (void)state;
    report(&plan, "mx1.example.net", set, &d, NULL);
    assert_int_equal(told.type, IPC__POLICY_TYPE__NO_POLICY_FOUND);
    assert_string_equal(told.policy_domain, "");
    assert_string_equal(told.text, "");
    tlsa_set_free(&set);
}

static void a_host_that_is_no_domains_is_not_told_of(void **state)
{
    struct sts_decision d = { .counted_under = POLICY_SOURCE_DANE, .reason = "" };
    struct plan plan = plan_of("relay.example.net");

    (void)state;
    plan.target.kind = TARGET_HOST;
    report(&plan, "relay.example.net", NULL, &d, NULL);
    assert_int_equal(told.calls, 0);
}

/* RFC 8460 s.3: else there would be reports about reports for ever. */
static void of_a_session_with_a_report_of_ours_nothing_is_told(void **state)
{
    struct sts_decision d = { .counted_under = POLICY_SOURCE_NONE, .reason = "" };
    struct plan plan = plan_of("example.net");

    (void)state;
    report(&plan, "mx1.example.net", NULL, &d, NULL);
    assert_int_equal(told.calls, 1);
    plan.for_reports = true;
    report(&plan, "mx1.example.net", NULL, &d, NULL);
    assert_int_equal(told.calls, 1);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        "report: " title, function, NULL, NULL, NULL                                               \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STORY("a session under DANE is counted by its records, at their base domain (RFC 8460)",
              a_session_under_dane_is_counted_by_its_records),
        STORY("what failed has its name", what_failed_has_its_name),
        STORY("without records the host stands for the base domain",
              without_records_the_host_stands_for_the_base_domain),
        STORY("records are not told of under another policy",
              records_are_not_told_of_under_another_policy),
        STORY("a host that is no domain's is not told of",
              a_host_that_is_no_domains_is_not_told_of),
        STORY("of a session with a report of ours nothing is told",
              of_a_session_with_a_report_of_ours_nothing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
