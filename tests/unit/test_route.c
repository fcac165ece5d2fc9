#include "tests/support/test.h"

#include "lib/mail/route.h"

#include <stdio.h>
#include <string.h>

enum { RECORDS = 40 };

/* An answer whose records live in the test. */
struct made {
    struct dns_answer answer;
    struct dns_record records[RECORDS];
    char names[RECORDS][64];
};

static void made_start(struct made *m, enum dns_outcome outcome)
{
    memset(m, 0, sizeof(*m));
    m->answer.outcome = outcome;
    m->answer.records = m->records;
    strcpy(m->answer.canonical, "example.test");
}

static void add_mx(struct made *m, unsigned preference, const char *name)
{
    unsigned i = m->answer.count++;

    snprintf(m->names[i], sizeof(m->names[i]), "%s", name);
    m->records[i].name = m->names[i];
    m->records[i].preference = (uint16_t)preference;
    m->records[i].name_is_host = strpbrk(name, "\\ ") == NULL && strcmp(name, ".") != 0;
}

static void add_address(struct made *m, const char *text)
{
    assert_true(ip_address_parse(span_of(text), &m->records[m->answer.count].address));
    m->answer.count++;
}

static uint64_t always_last(uint64_t bound)
{
    return bound - 1;
}

static uint64_t always_first(uint64_t bound)
{
    (void)bound;
    return 0;
}

static const char *const own[] = { "relay.test", "alias.relay.test" };

static struct route route_of(const struct made *m)
{
    struct route r;

    route_from_mx(&m->answer, SPAN("example.test"), own, 2, always_last, &r);
    return r;
}

static void the_best_preference_comes_first(void **state)
{
    struct made m;
    struct route r;
    (void)state;
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 20, "c.test");
    add_mx(&m, 5, "a.test");
    add_mx(&m, 10, "b.test");
    m.answer.secure = true;
    r = route_of(&m);
    assert_int_equal(r.verdict, ROUTE_FOUND);
    assert_int_equal(r.count, 3);
    assert_string_equal(r.candidates[0].name, "a.test");
    assert_string_equal(r.candidates[1].name, "b.test");
    assert_string_equal(r.candidates[2].name, "c.test");
    assert_int_equal(r.candidates[2].preference, 20);
    assert_false(r.candidates[0].implicit);
    assert_true(r.secure);
}

static void equal_preferences_are_shuffled(void **state)
{
    struct made m;
    struct route r;
    (void)state;
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 10, "a.test");
    add_mx(&m, 10, "b.test");
    r = route_of(&m);
    assert_string_equal(r.candidates[0].name, "a.test");
    route_from_mx(&m.answer, SPAN("example.test"), own, 2, always_first, &r);
    assert_string_equal(r.candidates[0].name, "b.test");
}

static void a_name_given_twice_counts_at_its_best(void **state)
{
    struct made m;
    struct route r;
    (void)state;
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 20, "a.test");
    add_mx(&m, 10, "b.test");
    add_mx(&m, 5, "a.test");
    add_mx(&m, 30, "a.test");
    r = route_of(&m);
    assert_int_equal(r.count, 2);
    assert_string_equal(r.candidates[0].name, "a.test");
    assert_int_equal(r.candidates[0].preference, 5);
}

static void twenty_names_are_used_the_best_ones(void **state)
{
    struct made m;
    struct route r;
    char name[20];
    (void)state;
    made_start(&m, DNS_ANSWER);
    for (unsigned i = 0; i < RECORDS; i++) {
        snprintf(name, sizeof(name), "m%u.test", RECORDS - i);
        add_mx(&m, RECORDS - i, name);
    }
    r = route_of(&m);
    assert_int_equal(r.count, MX_NAMES_MAX);
    assert_int_equal(r.left_out, RECORDS - MX_NAMES_MAX);
    assert_string_equal(r.candidates[0].name, "m1.test");
    assert_string_equal(r.candidates[MX_NAMES_MAX - 1].name, "m20.test");
}

static void no_data_makes_the_domain_its_own_host(void **state)
{
    struct made m;
    struct route r;
    (void)state;
    made_start(&m, DNS_NODATA);
    r = route_of(&m);
    assert_int_equal(r.verdict, ROUTE_FOUND);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.candidates[0].name, "example.test");
    assert_true(r.candidates[0].implicit);
    assert_int_equal(r.candidates[0].preference, 0);
}

static void no_domain_and_no_answer_are_told_apart(void **state)
{
    struct made m;
    struct route r;
    (void)state;
    made_start(&m, DNS_NXDOMAIN);
    assert_int_equal(route_of(&m).verdict, ROUTE_NO_DOMAIN);
    made_start(&m, DNS_TEMPFAIL);
    strcpy(m.answer.reason, "SERVFAIL");
    r = route_of(&m);
    assert_int_equal(r.verdict, ROUTE_TEMPFAIL);
    assert_string_equal(r.reason, "MX lookup: SERVFAIL");
    assert_int_equal(r.count, 0);
}

static void a_null_mx_ends_the_matter(void **state)
{
    struct made m;
    (void)state;
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 0, ".");
    assert_int_equal(route_of(&m).verdict, ROUTE_NULL_MX);
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 10, ".");
    assert_int_equal(route_of(&m).verdict, ROUTE_NULL_MX);
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 10, "localhost");
    assert_int_equal(route_of(&m).verdict, ROUTE_NULL_MX);
}

static void a_null_mx_among_others_is_ignored(void **state)
{
    struct made m;
    struct route r;
    (void)state;
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 0, ".");
    add_mx(&m, 0, "localhost");
    add_mx(&m, 10, "a.test");
    r = route_of(&m);
    assert_int_equal(r.verdict, ROUTE_FOUND);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.candidates[0].name, "a.test");
}

static void names_that_are_none_are_ignored(void **state)
{
    struct made m;
    (void)state;
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 1, "192.0.2.1");
    add_mx(&m, 2, "bad\\010name.test");
    add_mx(&m, 3, ".");
    assert_int_equal(route_of(&m).verdict, ROUTE_NO_HOST);
    add_mx(&m, 4, "a.test");
    assert_int_equal(route_of(&m).count, 1);
}

static void our_own_name_cuts_itself_and_what_is_no_better(void **state)
{
    struct made m;
    struct route r;
    (void)state;
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 30, "relay.test");
    add_mx(&m, 10, "a.test");
    add_mx(&m, 20, "Alias.Relay.test");
    add_mx(&m, 20, "b.test");
    add_mx(&m, 25, "c.test");
    r = route_of(&m);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.candidates[0].name, "a.test");
}

static void only_ourselves_is_a_loop(void **state)
{
    struct made m;
    struct route r;
    (void)state;
    made_start(&m, DNS_ANSWER);
    add_mx(&m, 10, "relay.test");
    add_mx(&m, 10, "b.test");
    r = route_of(&m);
    assert_int_equal(r.verdict, ROUTE_LOOP);
    assert_int_equal(r.count, 0);
    made_start(&m, DNS_NODATA);
    strcpy(m.answer.canonical, "relay.test");
    assert_int_equal(route_of(&m).verdict, ROUTE_LOOP);
    made_start(&m, DNS_NODATA);
    route_from_mx(&m.answer, SPAN("relay.test"), own, 2, always_last, &r);
    assert_int_equal(r.verdict, ROUTE_LOOP);
    assert_int_equal(r.count, 0);
}

static enum address_verdict addresses_of(const struct made *a, const struct made *aaaa,
                                         struct ip_address out[MX_ADDRESSES_MAX], unsigned *count)
{
    struct network allow;

    assert_true(network_parse(SPAN("10.1.0.0/16"), &allow));
    return route_addresses(&a->answer, &aaaa->answer, &allow, 1, out, count);
}

static void check_address(const struct ip_address *address, const char *wanted)
{
    char text[NETWORK_TEXT_SIZE];

    ip_address_format(address, text);
    assert_string_equal(text, wanted);
}

static void families_take_turns(void **state)
{
    struct made a, aaaa;
    struct ip_address out[MX_ADDRESSES_MAX];
    unsigned count;
    (void)state;
    made_start(&a, DNS_ANSWER);
    made_start(&aaaa, DNS_ANSWER);
    for (int i = 1; i <= 9; i++) {
        char text[30];
        snprintf(text, sizeof(text), "198.51.100.%d", i);
        add_address(&a, text);
        snprintf(text, sizeof(text), "2001:db8::%d", i);
        add_address(&aaaa, text);
    }
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_FOUND);
    assert_int_equal(count, MX_ADDRESSES_MAX);
    check_address(&out[0], "2001:db8::1");
    check_address(&out[1], "198.51.100.1");
    check_address(&out[6], "2001:db8::4");
    check_address(&out[7], "198.51.100.4");
    made_start(&aaaa, DNS_NODATA);
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_FOUND);
    assert_int_equal(count, MX_ADDRESSES_MAX);
    check_address(&out[7], "198.51.100.8");
    made_start(&aaaa, DNS_ANSWER);
    add_address(&aaaa, "2001:db8::1");
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_FOUND);
    assert_int_equal(count, 5);
    check_address(&out[2], "198.51.100.2");
}

static void internal_addresses_are_refused(void **state)
{
    struct made a, aaaa;
    struct ip_address out[MX_ADDRESSES_MAX];
    unsigned count;
    (void)state;
    made_start(&a, DNS_ANSWER);
    made_start(&aaaa, DNS_ANSWER);
    add_address(&a, "127.0.0.1");
    add_address(&a, "10.2.0.1");
    add_address(&aaaa, "::1");
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_REFUSED);
    assert_int_equal(count, 0);
    add_address(&a, "10.1.0.5");
    add_address(&a, "10.1.0.5");
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_FOUND);
    assert_int_equal(count, 1);
    check_address(&out[0], "10.1.0.5");
}

static void trouble_with_one_family_counts_when_the_other_has_nothing(void **state)
{
    struct made a, aaaa;
    struct ip_address out[MX_ADDRESSES_MAX];
    unsigned count;
    (void)state;
    made_start(&a, DNS_TEMPFAIL);
    made_start(&aaaa, DNS_NODATA);
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_TEMPFAIL);
    made_start(&aaaa, DNS_ANSWER);
    add_address(&aaaa, "::1"); /* refused, but the other family may do */
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_TEMPFAIL);
    add_address(&aaaa, "2001:db8::1");
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_FOUND);
    made_start(&a, DNS_NXDOMAIN);
    made_start(&aaaa, DNS_NODATA);
    assert_int_equal(addresses_of(&a, &aaaa, out, &count), ADDRESSES_NONE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "route: the best preference comes first", the_best_preference_comes_first, 0, 0, 0 },
        { "route: equal preferences are shuffled (RFC 5321 s.5.1)", equal_preferences_are_shuffled,
          0, 0, 0 },
        { "route: a name given twice counts at its best", a_name_given_twice_counts_at_its_best, 0,
          0, 0 },
        { "route: twenty names are used, the best ones", twenty_names_are_used_the_best_ones, 0, 0,
          0 },
        { "route: without MX records the domain is its own host",
          no_data_makes_the_domain_its_own_host, 0, 0, 0 },
        { "route: no domain and no answer are told apart", no_domain_and_no_answer_are_told_apart,
          0, 0, 0 },
        { "route: a null MX ends the matter (RFC 7505)", a_null_mx_ends_the_matter, 0, 0, 0 },
        { "route: a null MX among others is ignored", a_null_mx_among_others_is_ignored, 0, 0, 0 },
        { "route: addresses and odd bytes in place of a name are ignored",
          names_that_are_none_are_ignored, 0, 0, 0 },
        { "route: our own name cuts itself and what is no better",
          our_own_name_cuts_itself_and_what_is_no_better, 0, 0, 0 },
        { "route: only ourselves is a loop", only_ourselves_is_a_loop, 0, 0, 0 },
        { "route: the families of addresses take turns, IPv6 first", families_take_turns, 0, 0, 0 },
        { "route: internal addresses are refused (pitfalls.md 7.9)", internal_addresses_are_refused,
          0, 0, 0 },
        { "route: trouble with one family counts when the other has nothing",
          trouble_with_one_family_counts_when_the_other_has_nothing, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
