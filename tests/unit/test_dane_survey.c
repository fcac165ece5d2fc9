#include "policy/dane_survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/io/host_lookup.h"
#include "tests/support/test.h"

/* ---- DNS that says what it is told -------------------------------------------------------- */

struct resolver_query {
    resolver_done_fn *done;
    void *ctx;
};
struct host_lookup {
    host_lookup_done_fn *done;
    void *ctx;
};

static struct resolver_query mx_query;
static struct host_lookup host_query;
static char host_asked[DOMAIN_MAX + 1];
static uint16_t port_asked;
static unsigned hosts_asked;
static unsigned cancelled;
static bool in_doubt; /* what the host was asked about with */

struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx)
{
    (void)resolver;
    assert_int_equal(type, DNS_MX);
    assert_true(span_equal(name, SPAN("example.com")));
    mx_query = (struct resolver_query){ done, ctx };
    return &mx_query;
}

void resolver_cancel(struct resolver_query **query)
{
    cancelled++;
    *query = NULL;
}

struct host_lookup *host_lookup_start(struct loop *loop, struct resolver *resolver,
                                      const struct host_question *question,
                                      host_lookup_done_fn *done, void *ctx)
{
    (void)loop;
    (void)resolver;
    assert_true(question->name_is_sure != question->name_in_doubt);
    in_doubt = question->name_in_doubt;
    assert_true(span_to_string(span_of(question->host), host_asked, sizeof(host_asked)));
    port_asked = question->port;
    hosts_asked++;
    host_query = (struct host_lookup){ done, ctx };
    return &host_query;
}

void host_lookup_cancel(struct host_lookup **lookup)
{
    cancelled += *lookup != NULL;
    *lookup = NULL;
}

/* ---- a survey ----------------------------------------------------------------------------- */

static struct dane_survey *survey;
static unsigned told;
static enum postfix_dane dane;
static uint32_t ttl_s;

static void on_done(void *ctx, enum postfix_dane found, uint32_t found_ttl_s)
{
    (void)ctx;
    survey = NULL;
    told++;
    dane = found;
    ttl_s = found_ttl_s;
}

static int begin(void **state)
{
    (void)state;
    hosts_asked = cancelled = told = 0;
    survey = dane_survey_start(NULL, NULL, "example.com", 25, on_done, NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    dane_survey_cancel(&survey);
    return 0;
}

/* Two hosts, mx1 the better one. */
static void mx_answer(bool secure)
{
    struct dns_record records[] = {
        { .preference = 10, .name = (char *)(uintptr_t) "mx1.example.com", .name_is_host = true },
        { .preference = 20, .name = (char *)(uintptr_t) "mx2.example.com", .name_is_host = true },
    };
    struct dns_answer answer = {
        .outcome = DNS_ANSWER, .secure = secure, .ttl = 600, .records = records, .count = 2
    };
    memcpy(answer.canonical, "example.com", sizeof("example.com"));
    mx_query.done(mx_query.ctx, &answer);
}

static void mx_nothing(enum dns_outcome outcome, bool secure)
{
    struct dns_answer answer = { .outcome = outcome, .secure = secure, .ttl = 60 };
    memcpy(answer.canonical, "example.com", sizeof("example.com"));
    mx_query.done(mx_query.ctx, &answer);
}

static void mx_implied_in_doubt(void)
{
    struct dns_answer answer = { .outcome = DNS_NODATA, .in_doubt = true, .ttl = 60 };
    memcpy(answer.canonical, "example.com", sizeof("example.com"));
    mx_query.done(mx_query.ctx, &answer);
}

enum host { USABLE, UNUSABLE, WITHOUT, FAILED, ADDRESS_FAILED, NO_ADDRESS };

static void host_answer(enum host what)
{
    struct addresses addresses = { .verdict = ADDRESSES_FOUND };
    struct tlsa_set *set = memory_new(sizeof(*set));
    struct host_answer answer = { .addresses = &addresses, .reason = "" };
    set->ttl = 300;
    if (what == USABLE || what == UNUSABLE) {
        answer.worth = what == USABLE ? TLSA_USABLE : TLSA_UNUSABLE;
        answer.tlsa = set;
    }
    answer.tlsa_failed = what == FAILED;
    if (what == ADDRESS_FAILED)
        addresses.verdict = ADDRESSES_TEMPFAIL;
    if (what == NO_ADDRESS)
        addresses.verdict = ADDRESSES_NONE;
    host_query.done(host_query.ctx, &answer);
    free(set);
}

static void assert_told(enum postfix_dane expected)
{
    assert_int_equal(told, 1);
    assert_int_equal(dane, expected);
}

static void every_host_is_looked_at_the_best_first(void **state)
{
    (void)state;
    mx_answer(true);
    assert_string_equal(host_asked, "mx1.example.com");
    assert_int_equal(port_asked, 25);
    host_answer(USABLE);
    assert_int_equal(told, 0);
    assert_string_equal(host_asked, "mx2.example.com");
    host_answer(USABLE);
    assert_told(POSTFIX_DANE_ALL);
    assert_int_equal(ttl_s, 300);
}

/* Their records then count as not known (lib/io/host_lookup). */
static void hosts_are_looked_at_where_nobody_can_say_whether_dnssec_holds(void **state)
{
    (void)state;
    mx_implied_in_doubt();
    assert_int_equal(hosts_asked, 1);
    assert_true(in_doubt);
    host_answer(FAILED);
    assert_told(POSTFIX_DANE_UNREACHABLE);
}

static void one_host_without_it_ends_the_survey(void **state)
{
    (void)state;
    mx_answer(true);
    host_answer(WITHOUT);
    assert_told(POSTFIX_DANE_NONE);
    assert_int_equal(hosts_asked, 1);
}

static void records_that_cannot_be_used_are_as_none(void **state)
{
    (void)state;
    mx_answer(true);
    host_answer(USABLE);
    host_answer(UNUSABLE);
    assert_told(POSTFIX_DANE_NONE);
}

static void without_secure_mx_records_no_host_is_asked_for(void **state)
{
    (void)state;
    mx_answer(false);
    assert_told(POSTFIX_DANE_NONE);
    assert_int_equal(hosts_asked, 0);
    assert_int_equal(ttl_s, 600);
}

static void a_secure_denial_makes_the_domain_its_own_host(void **state)
{
    (void)state;
    mx_nothing(DNS_NODATA, true);
    assert_string_equal(host_asked, "example.com");
    host_answer(USABLE);
    assert_told(POSTFIX_DANE_ALL);
}

static void a_domain_that_does_not_exist_has_none(void **state)
{
    (void)state;
    mx_nothing(DNS_NXDOMAIN, true);
    assert_told(POSTFIX_DANE_NONE);
    assert_int_equal(hosts_asked, 0);
}

static void mx_records_that_cannot_be_looked_up_leave_it_unknown(void **state)
{
    (void)state;
    mx_nothing(DNS_TEMPFAIL, false);
    assert_told(POSTFIX_DANE_UNKNOWN);
}

static void a_host_that_cannot_be_looked_up_gets_no_mail_and_counts_for_nothing(void **state)
{
    (void)state;
    mx_answer(true);
    host_answer(FAILED);
    host_answer(USABLE);
    assert_told(POSTFIX_DANE_ALL);
}

static void nor_does_one_without_an_address(void **state)
{
    (void)state;
    mx_answer(true);
    host_answer(NO_ADDRESS);
    host_answer(USABLE);
    assert_told(POSTFIX_DANE_ALL);
}

static void hosts_none_of_which_can_be_looked_up_are_told_of(void **state)
{
    (void)state;
    mx_answer(true);
    host_answer(FAILED);
    host_answer(ADDRESS_FAILED);
    assert_told(POSTFIX_DANE_UNREACHABLE);
}

static void one_that_has_none_and_one_that_is_dark_have_none(void **state)
{
    (void)state;
    mx_answer(true);
    host_answer(FAILED);
    host_answer(WITHOUT);
    assert_told(POSTFIX_DANE_NONE);
}

static void hosts_without_addresses_have_none(void **state)
{
    (void)state;
    mx_answer(true);
    host_answer(NO_ADDRESS);
    host_answer(NO_ADDRESS);
    assert_told(POSTFIX_DANE_NONE);
}

static void who_cancels_is_told_nothing(void **state)
{
    (void)state;
    dane_survey_cancel(&survey);
    assert_null(survey);
    assert_int_equal(cancelled, 1);
    survey = dane_survey_start(NULL, NULL, "example.com", 25, on_done, NULL);
    mx_answer(true);
    dane_survey_cancel(&survey);
    assert_int_equal(cancelled, 2);
    assert_int_equal(told, 0);
}

#define TEST(sentence, function)                                                                   \
    {                                                                                              \
        "DANE survey: " sentence, function, begin, end, NULL                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("every host is looked at, the best first", every_host_is_looked_at_the_best_first),
        TEST("hosts are looked at where nobody can say whether DNSSEC holds",
             hosts_are_looked_at_where_nobody_can_say_whether_dnssec_holds),
        TEST("one host without it ends the survey", one_host_without_it_ends_the_survey),
        TEST("records that cannot be used are as none", records_that_cannot_be_used_are_as_none),
        TEST("without secure MX records no host is asked for (RFC 7672 s.2.2.1)",
             without_secure_mx_records_no_host_is_asked_for),
        TEST("a secure denial of MX makes the domain its own host",
             a_secure_denial_makes_the_domain_its_own_host),
        TEST("a domain that does not exist has none", a_domain_that_does_not_exist_has_none),
        TEST("MX records that cannot be looked up leave it unknown",
             mx_records_that_cannot_be_looked_up_leave_it_unknown),
        TEST("a host that cannot be looked up gets no mail and counts for nothing",
             a_host_that_cannot_be_looked_up_gets_no_mail_and_counts_for_nothing),
        TEST("nor does one without an address", nor_does_one_without_an_address),
        TEST("hosts none of which can be looked up are told of (RFC 7672 s.2.1.2)",
             hosts_none_of_which_can_be_looked_up_are_told_of),
        TEST("one that has none and one that is dark have none",
             one_that_has_none_and_one_that_is_dark_have_none),
        TEST("hosts without addresses have none", hosts_without_addresses_have_none),
        TEST("who cancels is told nothing", who_cancels_is_told_nothing),
    };
    return cmocka_run_group_tests_name("dane_survey", tests, NULL, NULL);
}
