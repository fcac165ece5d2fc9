#include "tests/support/test.h"

#include "tests/support/dns_build.h"

#include <stdio.h>
#include <string.h>

static struct dns_build b;

static struct dns_answer parse_as(const char *name, enum dns_type type)
{
    struct dns_answer answer;

    dns_message_parse((struct span){ b.wire, b.len }, span_of(name), type, true, &answer);
    return answer;
}

static struct dns_answer parse(enum dns_type type)
{
    return parse_as("example.test", type);
}

static void check_fault(enum dns_type type, const char *reason)
{
    struct dns_answer answer = parse(type);

    assert_int_equal(answer.outcome, DNS_TEMPFAIL);
    assert_string_equal(answer.reason, reason);
    assert_int_equal(answer.count, 0);
    assert_null(answer.records);
    assert_false(answer.secure);
}

static void mx_records_come_in_their_order(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "Example.TEST", 300, 10, "MX1.example.test");
    build_mx(&b, "example.test", 200, 5, "mx2.example.test");
    build_mx(&b, "other.test", 1, 1, "evil.test");
    a = parse_as("EXAMPLE.test.", DNS_MX);
    assert_int_equal(a.outcome, DNS_ANSWER);
    assert_int_equal(a.count, 2);
    assert_string_equal(a.records[0].name, "mx1.example.test");
    assert_int_equal(a.records[0].preference, 10);
    assert_true(a.records[0].name_is_host);
    assert_int_equal(a.records[1].preference, 5);
    assert_int_equal(a.ttl, 200);
    assert_string_equal(a.canonical, "example.test");
    assert_false(a.secure);
    dns_answer_clear(&a);
}

static void ad_counts_only_from_a_trusted_resolver(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x81a0, "example.test", DNS_MX);
    build_mx(&b, "example.test", 300, 10, "mx.test");
    a = parse(DNS_MX);
    assert_true(a.secure);
    dns_answer_clear(&a);
    dns_message_parse((struct span){ b.wire, b.len }, SPAN("example.test"), DNS_MX, false, &a);
    assert_false(a.secure);
    dns_answer_clear(&a);
}

static void addresses_must_have_their_length(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_A);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_A, 60);
    build_bytes(&b, "\xc0\x00\x02\x05", 4);
    build_end(&b);
    a = parse(DNS_A);
    assert_int_equal(a.records[0].address.family, ADDRESS_V4);
    assert_int_equal(a.records[0].address.bytes[3], 5);
    dns_answer_clear(&a);
    build_u8(&b, 0);
    build_end(&b);
    check_fault(DNS_A, "malformed record");

    build_start(&b, 0x8180, "example.test", DNS_AAAA);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_AAAA, 60);
    build_bytes(&b, "0123456789abcdef", 16);
    build_end(&b);
    a = parse(DNS_AAAA);
    assert_int_equal(a.records[0].address.family, ADDRESS_V6);
    dns_answer_clear(&a);
    b.len--;
    build_end(&b);
    check_fault(DNS_AAAA, "malformed record");
}

static void strings_of_a_txt_record_are_joined(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_TXT);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_TXT, 60);
    build_bytes(&b,
                "\x03"
                "abc\x00\x02"
                "de",
                8);
    build_end(&b);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_TXT, 60);
    build_u8(&b, 0);
    build_end(&b);
    a = parse(DNS_TXT);
    assert_int_equal(a.count, 2);
    assert_int_equal(a.records[0].data_len, 5);
    assert_memory_equal(a.records[0].data, "abcde", 5);
    assert_int_equal(a.records[1].data_len, 0);
    dns_answer_clear(&a);

    build_record(&b, SECTION_ANSWER, "example.test", DNS_TXT, 60);
    build_bytes(&b,
                "\x04"
                "abc",
                4);
    build_end(&b);
    check_fault(DNS_TXT, "malformed record");
    build_start(&b, 0x8180, "example.test", DNS_TXT);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_TXT, 60);
    check_fault(DNS_TXT, "malformed record");
}

static void tlsa_and_soa_data_stay_as_they_are(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "_25._tcp.example.test", DNS_TLSA);
    build_record(&b, SECTION_ANSWER, "_25._tcp.example.test", DNS_TLSA, 60);
    build_bytes(&b, "\x03\x01\x01zz", 5);
    build_end(&b);
    build_record(&b, SECTION_ANSWER, "_25._tcp.example.test", DNS_TLSA, 60);
    a = parse_as("_25._tcp.example.test", DNS_TLSA);
    assert_int_equal(a.count, 2);
    assert_int_equal(a.records[0].data_len, 5);
    assert_int_equal(a.records[1].data_len, 0);
    dns_answer_clear(&a);
    build_start(&b, 0x8180, "example.test", DNS_SOA);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_SOA, 60);
    build_bytes(&b, "soa", 3);
    build_end(&b);
    a = parse(DNS_SOA);
    assert_memory_equal(a.records[0].data, "soa", 3);
    dns_answer_clear(&a);
}

static void aliases_are_followed_in_any_order(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "end.test", 300, 10, "mx.test");
    build_cname(&b, "middle.test", 50, "END.test");
    build_cname(&b, "example.test", 100, "middle.test");
    a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_ANSWER);
    assert_int_equal(a.count, 1);
    assert_string_equal(a.canonical, "end.test");
    assert_int_equal(a.cname_steps, 2);
    assert_int_equal(a.ttl, 50);
    dns_answer_clear(&a);
}

static void records_at_the_name_win_over_an_alias(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_cname(&b, "example.test", 100, "other.test");
    build_mx(&b, "other.test", 300, 10, "mx1.test");
    build_mx(&b, "example.test", 300, 10, "mx2.test");
    a = parse(DNS_MX);
    assert_int_equal(a.count, 1);
    assert_string_equal(a.records[0].name, "mx2.test");
    dns_answer_clear(&a);
}

static void a_cname_asked_for_is_not_followed(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_CNAME);
    build_cname(&b, "example.test", 100, "b.test");
    build_cname(&b, "b.test", 100, "c.test");
    a = parse(DNS_CNAME);
    assert_int_equal(a.count, 1);
    assert_string_equal(a.records[0].name, "b.test");
    assert_int_equal(a.cname_steps, 0);
    dns_answer_clear(&a);
}

static void chain_of(unsigned steps)
{
    char from[20], to[20];

    build_start(&b, 0x8180, "n0.test", DNS_MX);
    for (unsigned i = 0; i < steps; i++) {
        snprintf(from, sizeof(from), "n%u.test", i);
        snprintf(to, sizeof(to), "n%u.test", i + 1);
        build_cname(&b, from, 100, to);
    }
    snprintf(from, sizeof(from), "n%u.test", steps);
    build_mx(&b, from, 300, 10, "mx.test");
}

static void chains_are_bounded(void **state)
{
    struct dns_answer a;
    (void)state;
    chain_of(CNAME_STEPS_MAX);
    a = parse_as("n0.test", DNS_MX);
    assert_int_equal(a.outcome, DNS_ANSWER);
    assert_int_equal(a.cname_steps, CNAME_STEPS_MAX);
    dns_answer_clear(&a);
    chain_of(CNAME_STEPS_MAX + 1);
    a = parse_as("n0.test", DNS_MX);
    assert_int_equal(a.outcome, DNS_TEMPFAIL);
    assert_string_equal(a.reason, "CNAME chain too long");
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_cname(&b, "example.test", 100, "example.test");
    check_fault(DNS_MX, "CNAME chain too long");
}

static void no_data_is_not_no_domain(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_soa(&b, "test", 900, 300);
    a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_NODATA);
    assert_int_equal(a.ttl, 300);
    build_start(&b, 0x8183, "example.test", DNS_MX);
    build_soa(&b, "test", 100, 300);
    a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_NXDOMAIN);
    assert_int_equal(a.ttl, 100);
    build_start(&b, 0x8183, "example.test", DNS_MX);
    a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_NXDOMAIN);
    assert_int_equal(a.ttl, 0);
}

static void an_alias_to_nothing_is_no_domain(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8183, "example.test", DNS_MX);
    build_cname(&b, "example.test", 40, "gone.test");
    build_soa(&b, "test", 100, 300);
    a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_NXDOMAIN);
    assert_string_equal(a.canonical, "gone.test");
    assert_int_equal(a.ttl, 40);
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_cname(&b, "example.test", 40, "bare.test");
    a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_NODATA);
    assert_string_equal(a.canonical, "bare.test");
}

static void trouble_is_never_absence(void **state)
{
    static const struct {
        unsigned flags;
        const char *reason;
    } faults[] = {
        { 0x8181, "FORMERR" },          { 0x8182, "SERVFAIL" },
        { 0x8184, "NOTIMP" },           { 0x8185, "REFUSED" },
        { 0x8189, "rcode 9" },          { 0x8380, "truncated answer" },
        { 0x0180, "malformed answer" }, { 0x8980, "malformed answer" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        build_start(&b, faults[i].flags, "example.test", DNS_MX);
        check_fault(DNS_MX, faults[i].reason);
    }
    build_start(&b, 0x8182, "", 0);
    b.len = 12; /* the header alone */
    check_fault(DNS_MX, "SERVFAIL");
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_record(&b, SECTION_AUTHORITY, "test", 2, 60);
    build_name(&b, "ns.test");
    build_end(&b);
    check_fault(DNS_MX, "referral instead of an answer");
    build_start(&b, 0x8183, "example.test", DNS_MX);
    build_mx(&b, "example.test", 60, 1, "mx.test");
    check_fault(DNS_MX, "records for a name that does not exist");
}

static void the_upper_bits_of_the_rcode_count(void **state)
{
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_record(&b, SECTION_ADDITIONAL, "", 41, UINT32_C(0x01000000));
    check_fault(DNS_MX, "rcode 16");
}

static void the_question_must_be_ours(void **state)
{
    (void)state;
    build_start(&b, 0x8180, "example.org", DNS_MX);
    check_fault(DNS_MX, "answer to another question");
    build_start(&b, 0x8180, "example.test", DNS_A);
    check_fault(DNS_MX, "answer to another question");
    build_start(&b, 0x8180, "example.test", DNS_MX);
    b.wire[b.len - 1] = 3; /* class CH */
    check_fault(DNS_MX, "answer to another question");
    b.wire[5] = 2; /* two questions */
    check_fault(DNS_MX, "malformed answer");
}

static void every_truncation_is_malformed(void **state)
{
    size_t whole;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "example.test", 300, 10, "mx1.example.test");
    build_soa(&b, "test", 100, 300);
    whole = b.len;
    for (b.len = 0; b.len < whole; b.len++)
        check_fault(DNS_MX, "malformed answer");
    struct dns_answer a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_ANSWER);
    dns_answer_clear(&a);
}

static void compression_pointers_only_lead_back(void **state)
{
    struct dns_answer a;
    size_t at;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_MX, 60);
    build_u16(&b, 10);
    build_bytes(&b, "\x02mx\xc0\x0c", 5);
    build_end(&b);
    a = parse(DNS_MX);
    assert_string_equal(a.records[0].name, "mx.example.test");
    dns_answer_clear(&a);

    at = b.len - 2;
    b.wire[at + 1] = (char)at; /* to itself */
    check_fault(DNS_MX, "malformed record");
    b.wire[at + 1] = (char)(at - 3); /* to the run it ends */
    check_fault(DNS_MX, "malformed record");
    b.wire[at + 1] = (char)(at + 2); /* forward */
    check_fault(DNS_MX, "malformed record");
    b.wire[at + 1] = 2; /* into the header */
    check_fault(DNS_MX, "malformed record");
    b.wire[at] = (char)0x80; /* a kind of label that does not exist */
    check_fault(DNS_MX, "malformed record");
}

static void a_name_must_fill_its_record(void **state)
{
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "example.test", 60, 1, "mx.test");
    build_u8(&b, 0);
    build_end(&b);
    check_fault(DNS_MX, "malformed record");
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_MX, 60);
    build_u8(&b, 0);
    build_end(&b);
    check_fault(DNS_MX, "malformed record");
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_cname(&b, "example.test", 60, "b.test");
    build_u8(&b, 0);
    build_end(&b);
    check_fault(DNS_MX, "malformed record");
}

static void names_may_have_255_octets(void **state)
{
    char name[300] = "";
    struct dns_answer a;
    (void)state;
    for (int i = 0; i < 126; i++)
        strcat(name, "a.");
    strcat(name, "a");
    assert_int_equal(strlen(name), DOMAIN_MAX);
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "example.test", 60, 1, name);
    a = parse(DNS_MX);
    assert_string_equal(a.records[0].name, name);
    assert_true(a.records[0].name_is_host);
    dns_answer_clear(&a);
    strcat(name, "a");
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "example.test", 60, 1, name);
    check_fault(DNS_MX, "malformed record");
}

static void odd_names_are_no_hosts_and_printed_harmlessly(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "example.test", 60, 1, "");
    build_record(&b, SECTION_ANSWER, "example.test", DNS_MX, 60);
    build_u16(&b, 10);
    build_bytes(&b, "\x01\0\x00", 3); /* a label of one zero byte: no null MX */
    build_end(&b);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_MX, 60);
    build_u16(&b, 10);
    build_bytes(&b,
                "\x04"
                "A\n.\xff\x00",
                6);
    build_end(&b);
    build_mx(&b, "example.test", 60, 1, "under_score-1.test");
    a = parse(DNS_MX);
    assert_int_equal(a.count, 4);
    assert_string_equal(a.records[0].name, ".");
    assert_false(a.records[0].name_is_host);
    assert_string_equal(a.records[1].name, "\\000");
    assert_false(a.records[1].name_is_host);
    assert_string_equal(a.records[2].name, "a\\010\\046\\255");
    assert_false(a.records[2].name_is_host);
    assert_true(a.records[3].name_is_host);
    dns_answer_clear(&a);
}

static void an_alias_to_a_name_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_record(&b, SECTION_ANSWER, "example.test", DNS_CNAME, 60);
    for (int i = 0; i < 2; i++) {
        build_u8(&b, 63);
        for (int j = 0; j < 63; j++)
            build_u8(&b, 1);
    }
    build_u8(&b, 0);
    build_end(&b);
    check_fault(DNS_MX, "CNAME to an impossible name");
}

static void ttls_are_tamed(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "example.test", UINT32_C(0x80000001), 1, "mx.test");
    a = parse(DNS_MX);
    assert_int_equal(a.ttl, 0);
    assert_int_equal(a.records[0].ttl, 0);
    dns_answer_clear(&a);
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_soa(&b, "test", 900, 300);
    b.len -= 20;
    build_end(&b); /* a SOA cut short says nothing */
    a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_NODATA);
    assert_int_equal(a.ttl, 0);
}

static void records_are_bounded(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    for (int i = 0; i < DNS_RECORDS_MAX; i++)
        build_mx(&b, "example.test", 60, 1, "mx.test");
    a = parse(DNS_MX);
    assert_int_equal(a.count, DNS_RECORDS_MAX);
    dns_answer_clear(&a);
    build_mx(&b, "example.test", 60, 2, "worse.test");
    build_mx(&b, "example.test", 60, 0, "best.test");
    a = parse(DNS_MX);
    assert_int_equal(a.count, DNS_RECORDS_MAX);
    assert_int_equal(a.left_out, 2);
    unsigned best = 0;
    for (unsigned i = 0; i < a.count; i++) {
        assert_string_not_equal(a.records[i].name, "worse.test");
        best += strcmp(a.records[i].name, "best.test") == 0;
    }
    assert_int_equal(best, 1);
    dns_answer_clear(&a);
    build_start(&b, 0x8180, "example.test", DNS_A);
    for (int i = 0; i <= DNS_RECORDS_MAX; i++) {
        build_record(&b, SECTION_ANSWER, "example.test", DNS_A, 60);
        build_u32(&b, 0xc0000201);
        build_end(&b);
    }
    check_fault(DNS_A, "too many records");
    b.len = DNS_MESSAGE_MAX + 1;
    check_fault(DNS_MX, "answer too long");
}

static void records_of_other_classes_are_ignored(void **state)
{
    struct dns_answer a;
    (void)state;
    build_start(&b, 0x8180, "example.test", DNS_MX);
    build_mx(&b, "example.test", 60, 1, "mx.test");
    b.wire[b.data_len_at - 5] = 3; /* class CH */
    build_cname(&b, "example.test", 60, "b.test");
    b.wire[b.data_len_at - 5] = 3;
    a = parse(DNS_MX);
    assert_int_equal(a.outcome, DNS_NODATA);
}

static void names_asked_for_are_checked(void **state)
{
    char name[400];
    struct dns_answer a;
    (void)state;
    assert_true(dns_name_is_valid(SPAN("_mta-sts.example.test")));
    assert_true(dns_name_is_valid(SPAN("example.test.")));
    assert_false(dns_name_is_valid(SPAN("")));
    assert_false(dns_name_is_valid(SPAN(".")));
    assert_false(dns_name_is_valid(SPAN("a..b")));
    assert_false(dns_name_is_valid(SPAN("a b")));
    assert_false(dns_name_is_valid(SPAN("\xc3\xa4.test")));
    memset(name, 'a', sizeof(name));
    assert_true(dns_name_is_valid((struct span){ name, 63 }));
    assert_false(dns_name_is_valid((struct span){ name, 64 }));
    for (size_t i = 1; i < sizeof(name); i += 2)
        name[i] = '.';
    assert_true(dns_name_is_valid((struct span){ name, DOMAIN_MAX }));
    assert_false(dns_name_is_valid((struct span){ name, DOMAIN_MAX + 2 }));
    dns_message_parse(SPAN(""), (struct span){ name, 399 }, DNS_MX, true, &a);
    assert_string_equal(a.reason, "name too long");
}

static void an_answer_that_never_came_has_a_reason(void **state)
{
    struct dns_answer a;
    (void)state;
    dns_answer_none(&a, DNS_TEMPFAIL, "timed out");
    assert_int_equal(a.outcome, DNS_TEMPFAIL);
    assert_string_equal(a.reason, "timed out");
    assert_int_equal(a.ttl, 0);
    dns_answer_clear(&a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dns_message: MX records come in their order, those of other owners not",
          mx_records_come_in_their_order, 0, 0, 0 },
        { "dns_message: AD counts only from a trusted resolver (RFC 4035 s.4.9.3)",
          ad_counts_only_from_a_trusted_resolver, 0, 0, 0 },
        { "dns_message: addresses must have their length", addresses_must_have_their_length, 0, 0,
          0 },
        { "dns_message: the strings of a TXT record are joined", strings_of_a_txt_record_are_joined,
          0, 0, 0 },
        { "dns_message: TLSA and SOA data stay as they are", tlsa_and_soa_data_stay_as_they_are, 0,
          0, 0 },
        { "dns_message: aliases are followed, in any order of the records",
          aliases_are_followed_in_any_order, 0, 0, 0 },
        { "dns_message: records at the name win over an alias beside them",
          records_at_the_name_win_over_an_alias, 0, 0, 0 },
        { "dns_message: a CNAME that was asked for is not followed",
          a_cname_asked_for_is_not_followed, 0, 0, 0 },
        { "dns_message: 10 aliases are followed, 11 and loops are not", chains_are_bounded, 0, 0,
          0 },
        { "dns_message: no data is not no domain (RFC 2308 s.2)", no_data_is_not_no_domain, 0, 0,
          0 },
        { "dns_message: an alias to nothing is no domain", an_alias_to_nothing_is_no_domain, 0, 0,
          0 },
        { "dns_message: trouble is never absence", trouble_is_never_absence, 0, 0, 0 },
        { "dns_message: the upper bits of the rcode count (RFC 6891 s.6.1.3)",
          the_upper_bits_of_the_rcode_count, 0, 0, 0 },
        { "dns_message: the question must be ours", the_question_must_be_ours, 0, 0, 0 },
        { "dns_message: every truncation is malformed", every_truncation_is_malformed, 0, 0, 0 },
        { "dns_message: compression pointers only lead back", compression_pointers_only_lead_back,
          0, 0, 0 },
        { "dns_message: a name must fill its record", a_name_must_fill_its_record, 0, 0, 0 },
        { "dns_message: names may have 255 octets and no more", names_may_have_255_octets, 0, 0,
          0 },
        { "dns_message: odd names are no hosts, and printed harmlessly",
          odd_names_are_no_hosts_and_printed_harmlessly, 0, 0, 0 },
        { "dns_message: an alias to a name that does not fit is refused",
          an_alias_to_a_name_that_does_not_fit_is_refused, 0, 0, 0 },
        { "dns_message: TTLs are tamed (RFC 2181 s.8)", ttls_are_tamed, 0, 0, 0 },
        { "dns_message: 512 records pass, 513 do not", records_are_bounded, 0, 0, 0 },
        { "dns_message: records of other classes are ignored", records_of_other_classes_are_ignored,
          0, 0, 0 },
        { "dns_message: names asked for are checked", names_asked_for_are_checked, 0, 0, 0 },
        { "dns_message: an answer that never came has a reason",
          an_answer_that_never_came_has_a_reason, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
