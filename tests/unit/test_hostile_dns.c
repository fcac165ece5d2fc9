#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "lib/mail/route.h"
#include "tests/support/dns_build.h"

/*
 * From the bytes of an answer to where mail goes: what a domain may publish, and what somebody on
 * the path may send, to lead us astray or to keep us busy.
 */
#define DOMAIN "example.net"

static struct dns_build b;
static const char *const own[] = { "relay.example" };

static void begin(unsigned flags)
{
    build_start(&b, flags, DOMAIN, DNS_MX);
}

static struct route lead(void)
{
    struct dns_answer answer;
    struct route route;

    dns_message_parse((struct span){ b.wire, b.len }, span_of(DOMAIN), DNS_MX, true, &answer);
    route_from_mx(&answer, span_of(DOMAIN), own, 1, random_below, &route);
    dns_answer_clear(&answer);
    return route;
}

static void assert_unknown(const char *case_name)
{
    struct route route = lead();

    if (route.verdict != ROUTE_TEMPFAIL || route.count != 0)
        fail_msg("%s: verdict %d, %u hosts", case_name, (int)route.verdict, route.count);
}

static void thousands_of_mx_records_cost_little_and_twenty_are_used(void **state)
{
    int64_t begun = clock_monotonic_ms();
    unsigned count = 0;
    char host[40];

    (void)state;
    begin(0x8180);
    for (; b.len < DNS_MESSAGE_MAX - 60; count++) {
        snprintf(host, sizeof(host), "m%u.x", count);
        build_mx(&b, DOMAIN, 3600, 20000 - count, host);
    }
    assert_true(count > 2 * DNS_RECORDS_MAX);
    for (int i = 0; i < 100; i++) {
        struct route route = lead();
        assert_int_equal(route.verdict, ROUTE_FOUND);
        assert_int_equal(route.count, MX_NAMES_MAX);
        assert_int_equal(route.left_out, count - MX_NAMES_MAX);
        for (unsigned c = 0; c < route.count; c++)
            assert_int_equal(route.candidates[c].preference, 20000 - count + 1 + c);
    }
    assert_true(clock_monotonic_ms() - begun < 5000);
}

static void a_count_that_lies_is_no_answer(void **state)
{
    (void)state;
    begin(0x8180);
    build_mx(&b, DOMAIN, 3600, 10, "mx1.example.net");
    b.wire[SECTION_ANSWER] = 0x27; /* 10,000 */
    b.wire[SECTION_ANSWER + 1] = 0x10;
    assert_unknown("10,000 announced, one there");
}

static void the_most_records_there_may_be_give_twenty_hosts(void **state)
{
    char host[40];
    unsigned low = 0;

    (void)state;
    for (int run = 0; run < 50; run++) {
        begin(0x8180);
        for (unsigned i = 0; i < DNS_RECORDS_MAX; i++) {
            snprintf(host, sizeof(host), "mx%u.example.net", i);
            build_mx(&b, DOMAIN, 3600, 10, host);
        }
        struct route route = lead();
        assert_int_equal(route.verdict, ROUTE_FOUND);
        assert_int_equal(route.count, MX_NAMES_MAX);
        low += atoi(route.candidates[0].name + 2) < DNS_RECORDS_MAX / 2;
    }
    assert_in_range(low, 5, 45); /* any of them may come first */
}

static void one_host_five_hundred_times_is_one_host(void **state)
{
    (void)state;
    begin(0x8180);
    for (unsigned i = 0; i < DNS_RECORDS_MAX; i++)
        build_mx(&b, DOMAIN, 3600, 10 + i, i % 2 ? "MX1.example.net" : "mx1.EXAMPLE.net");
    struct route route = lead();
    assert_int_equal(route.count, 1);
    assert_int_equal(route.candidates[0].preference, 10);
}

static void aliases_that_lead_in_circles_are_no_answer(void **state)
{
    char from[40], to[40];

    (void)state;
    begin(0x8180);
    build_cname(&b, DOMAIN, 3600, DOMAIN);
    assert_unknown("an alias of itself");
    begin(0x8180);
    build_cname(&b, DOMAIN, 3600, "a.example");
    build_cname(&b, "a.example", 3600, "b.example");
    build_cname(&b, "b.example", 3600, DOMAIN);
    assert_unknown("a circle of three");
    begin(0x8180);
    build_cname(&b, DOMAIN, 3600, "n0.example");
    for (int i = 0; i < CNAME_STEPS_MAX; i++) {
        snprintf(from, sizeof(from), "n%d.example", i);
        snprintf(to, sizeof(to), "n%d.example", i + 1);
        build_cname(&b, from, 3600, to);
    }
    build_mx(&b, to, 3600, 10, "mx1.example.net");
    assert_unknown("eleven aliases");
}

static void answers_for_other_names_lead_nobody_anywhere(void **state)
{
    (void)state;
    begin(0x8180);
    build_mx(&b, "other.example", 3600, 1, "evil.example");
    build_mx(&b, DOMAIN, 3600, 10, "mx1.example.net");
    build_mx(&b, "sub." DOMAIN, 3600, 1, "evil.example");
    struct route route = lead();
    assert_int_equal(route.count, 1);
    assert_string_equal(route.candidates[0].name, "mx1.example.net");
    build_start(&b, 0x8180, "other.example", DNS_MX);
    build_mx(&b, "other.example", 3600, 1, "evil.example");
    assert_unknown("an answer to another question");
}

static void what_no_host_can_be_called_is_no_host(void **state)
{
    static const char *const names[] = { "192.0.2.1", "localhost", "a b.example", "", "10.0.0.1" };

    (void)state;
    begin(0x8180);
    for (unsigned i = 0; i < 5; i++)
        build_mx(&b, DOMAIN, 3600, i, names[i]);
    assert_int_equal(lead().verdict, ROUTE_NO_HOST);
    build_mx(&b, DOMAIN, 3600, 50, "mx1.example.net");
    struct route route = lead();
    assert_int_equal(route.count, 1);
    assert_string_equal(route.candidates[0].name, "mx1.example.net");
}

static void absence_is_believed_trouble_is_waited_for(void **state)
{
    static const struct {
        unsigned flags;
        enum route_verdict verdict;
    } cases[] = {
        { 0x8180, ROUTE_FOUND },    { 0x8183, ROUTE_NO_DOMAIN }, { 0x8182, ROUTE_TEMPFAIL },
        { 0x8185, ROUTE_TEMPFAIL }, { 0x8184, ROUTE_TEMPFAIL },  { 0x8181, ROUTE_TEMPFAIL },
        { 0x8380, ROUTE_TEMPFAIL }, /* cut short: the resolver asks again by TCP, else unknown */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(cases[i].flags);
        assert_int_equal(lead().verdict, cases[i].verdict);
    }
    begin(0x8183);
    build_cname(&b, DOMAIN, 3600,
                "gone.example"); /* the alias is there, its target is not (RFC 2308) */
    assert_int_equal(lead().verdict, ROUTE_NO_DOMAIN);
}

/* --- addresses */

static void put_a(const char *owner, const char *text)
{
    struct ip_address address;

    assert_true(ip_address_parse(span_of(text), &address));
    build_record(&b, SECTION_ANSWER, owner, address.family == ADDRESS_V4 ? DNS_A : DNS_AAAA, 60);
    build_bytes(&b, address.bytes, address.family == ADDRESS_V4 ? 4 : 16);
    build_end(&b);
}

/* ::ffff:8.8.8.8 */
static void put_mapped(const char *owner)
{
    static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 8, 8, 8, 8 };

    build_record(&b, SECTION_ANSWER, owner, DNS_AAAA, 60);
    build_bytes(&b, mapped, sizeof(mapped));
    build_end(&b);
}

static void parse(enum dns_type type, struct dns_answer *out)
{
    dns_message_parse((struct span){ b.wire, b.len }, span_of("mx1.example.net"), type, false, out);
}

static void five_hundred_internal_addresses_hide_no_good_one_and_none_gets_through(void **state)
{
    struct ip_address list[MX_ADDRESSES_MAX], good;
    struct dns_answer a, aaaa;
    unsigned count;
    char text[40];

    (void)state;
    build_start(&b, 0x8180, "mx1.example.net", DNS_A);
    for (unsigned i = 1; i < DNS_RECORDS_MAX; i++) {
        snprintf(text, sizeof(text), "10.0.%u.%u", i / 256, i % 256);
        put_a("mx1.example.net", text);
    }
    put_a("mx1.example.net", "8.8.4.4");
    parse(DNS_A, &a);
    build_start(&b, 0x8180, "mx1.example.net", DNS_AAAA);
    put_a("mx1.example.net", "64:ff9b::7f00:1");
    put_a("mx1.example.net", "2002:a00:1::1");
    put_a("mx1.example.net", "fd00::1");
    put_mapped("mx1.example.net");
    parse(DNS_AAAA, &aaaa);
    assert_int_equal(route_addresses(&a, &aaaa, NULL, 0, list, &count), ADDRESSES_FOUND);
    assert_int_equal(count, 1);
    assert_true(ip_address_parse(SPAN("8.8.4.4"), &good));
    assert_true(ip_address_equal(&list[0], &good));
    dns_answer_clear(&a);
    dns_answer_clear(&aaaa);
}

static void five_hundred_addresses_give_eight_half_of_each_family(void **state)
{
    struct ip_address list[MX_ADDRESSES_MAX];
    struct dns_answer a, aaaa;
    unsigned count, v6 = 0;
    char text[40];

    (void)state;
    build_start(&b, 0x8180, "mx1.example.net", DNS_A);
    for (unsigned i = 0; i < DNS_RECORDS_MAX; i++) {
        snprintf(text, sizeof(text), "8.8.%u.%u", i / 256, i % 256);
        put_a("mx1.example.net", text);
    }
    parse(DNS_A, &a);
    build_start(&b, 0x8180, "mx1.example.net", DNS_AAAA);
    for (unsigned i = 0; i < DNS_RECORDS_MAX; i++) {
        snprintf(text, sizeof(text), "2606:4700::%x", i);
        put_a("mx1.example.net", text);
    }
    parse(DNS_AAAA, &aaaa);
    assert_int_equal(route_addresses(&a, &aaaa, NULL, 0, list, &count), ADDRESSES_FOUND);
    assert_int_equal(count, MX_ADDRESSES_MAX);
    for (unsigned i = 0; i < count; i++)
        v6 += list[i].family == ADDRESS_V6;
    assert_int_equal(v6, MX_ADDRESSES_MAX / 2);
    dns_answer_clear(&a);
    dns_answer_clear(&aaaa);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("thousands of MX records cost little, the best twenty are used, the rest is counted",
          thousands_of_mx_records_cost_little_and_twenty_are_used),
        T("a count of records that lies makes no answer", a_count_that_lies_is_no_answer),
        T("the most records there may be give twenty hosts, any of which comes first",
          the_most_records_there_may_be_give_twenty_hosts),
        T("one host five hundred times is one host", one_host_five_hundred_times_is_one_host),
        T("aliases that lead in circles, or on and on, make no answer",
          aliases_that_lead_in_circles_are_no_answer),
        T("answers for other names lead nobody anywhere",
          answers_for_other_names_lead_nobody_anywhere),
        T("what no host can be called is no host", what_no_host_can_be_called_is_no_host),
        T("absence is believed, trouble is waited for", absence_is_believed_trouble_is_waited_for),
        T("among five hundred internal addresses a good one is found, and nothing else",
          five_hundred_internal_addresses_hide_no_good_one_and_none_gets_through),
        T("of five hundred addresses eight are used, half of each family",
          five_hundred_addresses_give_eight_half_of_each_family),
    };

    return cmocka_run_group_tests_name("hostile_dns", tests, NULL, NULL);
}
