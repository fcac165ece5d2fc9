#include "smtpd/trace.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "tests/support/test.h"

static struct trace_facts plain(void)
{
    struct trace_facts facts = {
        .client_name = "client.test",
        .client_rdns = "",
        .hostname = "relay.example",
        .is_esmtp = true,
        .tls_version = "",
        .tls_cipher = "",
        .only_recipient = "ada@example.net",
        .now_utc_ms = INT64_C(1769767200000), /* Fri, 30 Jan 2026 10:00:00 */
    };

    assert_true(ip_address_parse(SPAN("192.0.2.9"), &facts.client_address));
    return facts;
}

static void assert_field(const struct trace_facts *facts, const char *expected)
{
    char head[TRACE_PART_SIZE], tail[TRACE_PART_SIZE], whole[2 * TRACE_PART_SIZE + 16];
    struct span h = trace_head(facts, head);
    struct span t = trace_tail(facts, tail);

    snprintf(whole, sizeof(whole), SPAN_FMT "3f9c21" SPAN_FMT, SPAN_ARG(h), SPAN_ARG(t));
    assert_string_equal(whole, expected);
}

static void field_names_client_protocol_id_and_recipient(void **state)
{
    struct trace_facts facts = plain();

    (void)state;
    assert_field(&facts, "Received: from client.test ([192.0.2.9])\r\n"
                         "\tby relay.example with ESMTP id 3f9c21\r\n"
                         "\tfor <ada@example.net>;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
}

static void users_of_this_machine_are_numbers(void **state)
{
    struct trace_facts facts = plain();

    (void)state;
    facts.client_name = "localhost";
    facts.client_address = ip_address_of_user(1000);
    assert_field(&facts, "Received: from localhost (local user 1000)\r\n"
                         "\tby relay.example with ESMTP id 3f9c21\r\n"
                         "\tfor <ada@example.net>;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
}

static void a_user_is_named_where_that_is_wanted(void **state)
{
    struct trace_facts facts = plain();

    (void)state;
    facts.only_recipient = NULL;
    facts.user = "ada (\\\n\xc3)@x";
    assert_field(&facts, "Received: from client.test ([192.0.2.9])\r\n"
                         "\tby relay.example with ESMTP id 3f9c21;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
    facts.is_user = true;
    assert_field(&facts, "Received: from client.test ([192.0.2.9])\r\n"
                         "\t(user ada??????@x)\r\n"
                         "\tby relay.example with ESMTPA id 3f9c21;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
}

static void the_client_of_a_user_may_be_hidden(void **state)
{
    struct trace_facts facts = plain();

    (void)state;
    facts.only_recipient = NULL;
    facts.is_hidden = true;
    assert_field(&facts, "Received: from client.test ([192.0.2.9])\r\n"
                         "\tby relay.example with ESMTP id 3f9c21;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
    facts.is_user = true;
    assert_field(&facts, "Received: from localhost (client hidden)\r\n"
                         "\tby relay.example with ESMTPA id 3f9c21;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
}

static void the_longest_names_have_room(void **state)
{
    struct trace_facts facts = plain();
    char name[DOMAIN_MAX + 1], user[ADDRESS_MAX + 1], head[TRACE_PART_SIZE];

    (void)state;
    memset(name, 'x', DOMAIN_MAX);
    memset(user, 'u', ADDRESS_MAX);
    name[DOMAIN_MAX] = user[ADDRESS_MAX] = '\0';
    facts.client_name = facts.client_rdns = facts.hostname = name;
    facts.user = user;
    facts.is_user = true;
    assert_true(trace_head(&facts, head).len < TRACE_PART_SIZE);
}

static void several_recipients_are_not_named(void **state)
{
    struct trace_facts facts = plain();

    (void)state;
    facts.only_recipient = NULL;
    assert_field(&facts, "Received: from client.test ([192.0.2.9])\r\n"
                         "\tby relay.example with ESMTP id 3f9c21;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
}

static void tls_is_recorded(void **state)
{
    struct trace_facts facts = plain();

    (void)state;
    facts.tls_version = "TLSv1.3";
    facts.tls_cipher = "TLS_AES_256_GCM_SHA384";
    assert_field(&facts, "Received: from client.test ([192.0.2.9])\r\n"
                         "\tby relay.example with ESMTPS id 3f9c21\r\n"
                         "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
                         "\tfor <ada@example.net>;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
}

static void helo_is_smtp_and_v6_has_its_tag(void **state)
{
    struct trace_facts facts = plain();

    (void)state;
    facts.is_esmtp = false;
    facts.client_name = "[IPv6:2001:db8::9]";
    assert_true(ip_address_parse(SPAN("2001:db8::9"), &facts.client_address));
    assert_field(&facts, "Received: from [IPv6:2001:db8::9] ([IPv6:2001:db8::9])\r\n"
                         "\tby relay.example with SMTP id 3f9c21\r\n"
                         "\tfor <ada@example.net>;\r\n"
                         "\tFri, 30 Jan 2026 10:00:00 +0000\r\n");
}

static void assert_protocol(bool is_secure, bool is_user, const char *expected)
{
    struct trace_facts facts = plain();
    char head[TRACE_PART_SIZE], end[40];

    facts.is_utf8 = true;
    facts.is_user = is_user;
    facts.tls_version = is_secure ? "TLSv1.3" : "";
    struct span text = trace_head(&facts, head);
    snprintf(end, sizeof(end), " with %s id ", expected);
    assert_true(span_ends_with_nocase(text, span_of(end)));
}

static void smtputf8_has_protocols_of_its_own(void **state)
{
    (void)state;
    assert_protocol(false, false, "UTF8SMTP");
    assert_protocol(false, true, "UTF8SMTPA");
    assert_protocol(true, false, "UTF8SMTPS");
    assert_protocol(true, true, "UTF8SMTPSA");
}

/* As XCLIENT has told. */
static void a_name_by_dns_stands_before_the_address(void **state)
{
    struct trace_facts facts = plain();
    char head[TRACE_PART_SIZE];

    (void)state;
    facts.client_rdns = "a.far.test";
    assert_true(span_starts_with(trace_head(&facts, head),
                                 SPAN("Received: from client.test (a.far.test [192.0.2.9])\r\n")));
    facts.client_address.family = ADDRESS_NONE;
    assert_true(span_starts_with(trace_head(&facts, head),
                                 SPAN("Received: from client.test (a.far.test)\r\n")));
    facts.client_rdns = "";
    assert_true(span_starts_with(trace_head(&facts, head),
                                 SPAN("Received: from client.test (unknown)\r\n")));
}

static void a_priority_is_told(void **state)
{
    struct trace_facts facts = plain();
    char tail[TRACE_PART_SIZE];

    (void)state;
    facts.priority = -4;
    assert_true(span_starts_with(trace_tail(&facts, tail),
                                 SPAN("\r\n\tfor <ada@example.net>\r\n\tpriority -4;\r\n")));
}

static void the_longest_names_fit(void **state)
{
    struct trace_facts facts = plain();
    char name[254], path[255];
    char head[TRACE_PART_SIZE], tail[TRACE_PART_SIZE];

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    memset(path, 'y', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    facts.client_name = facts.client_rdns = facts.hostname = name;
    facts.only_recipient = path;
    assert_true(trace_head(&facts, head).len > 2 * sizeof(name) - 2);
    assert_true(trace_tail(&facts, tail).len > sizeof(path) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "the field names client, protocol, id and the one recipient (RFC 5321 s.4.4)",
          field_names_client_protocol_id_and_recipient, NULL, NULL, NULL },
        { "of a user of this machine the number is told", users_of_this_machine_are_numbers, NULL,
          NULL, NULL },
        { "a user is named where that is wanted, made harmless",
          a_user_is_named_where_that_is_wanted, NULL, NULL, NULL },
        { "the client of a user may be hidden (RFC 5321 s.7.6)", the_client_of_a_user_may_be_hidden,
          NULL, NULL, NULL },
        { "the longest names have room", the_longest_names_have_room, NULL, NULL, NULL },
        { "several recipients are not named (RFC 5321 s.7.6)", several_recipients_are_not_named,
          NULL, NULL, NULL },
        { "TLS is ESMTPS and its version and cipher are recorded (RFC 8314 s.4.3)", tls_is_recorded,
          NULL, NULL, NULL },
        { "HELO is SMTP; an IPv6 address has its tag", helo_is_smtp_and_v6_has_its_tag, NULL, NULL,
          NULL },
        { "SMTPUTF8 has protocols of its own (RFC 6531 s.4.3)", smtputf8_has_protocols_of_its_own,
          NULL, NULL, NULL },
        { "a name by DNS stands before the address; a client may be unknown",
          a_name_by_dns_stands_before_the_address, NULL, NULL, NULL },
        { "a priority is told (RFC 6710)", a_priority_is_told, NULL, NULL, NULL },
        { "the longest names fit", the_longest_names_fit, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
