#include "lib/mail/tlsa_walk.h"

#include <string.h>

#include "tests/support/test.h"

#define HOST "mx1.user.test"
#define EXPANDED "in1.host.test"

/* --- how addresses came */

static struct dns_answer found(bool secure, const char *canonical, unsigned steps)
{
    struct dns_answer answer = {
        .outcome = DNS_ANSWER, .secure = secure, .count = 1, .cname_steps = steps
    };

    strcpy(answer.canonical, canonical);
    return answer;
}

static void the_weaker_of_both_families_counts(void **state)
{
    static const struct {
        bool a, aaaa, secure;
    } cases[] = { { true, true, true },
                  { true, false, false },
                  { false, true, false },
                  { false, false, false } };
    struct host_security s;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dns_answer a = found(cases[i].a, HOST, 0), aaaa = found(cases[i].aaaa, HOST, 0);
        host_security_of(&a, &aaaa, &s);
        assert_int_equal(s.secure, cases[i].secure);
        assert_false(s.is_alias);
    }
}

static void a_family_that_brings_nothing_takes_nothing_away(void **state)
{
    struct dns_answer a = found(true, EXPANDED, 2), none = { .outcome = DNS_NODATA };
    struct host_security s;

    (void)state;
    host_security_of(&a, &none, &s);
    assert_true(s.secure && s.is_alias);
    assert_string_equal(s.expanded, EXPANDED);
    host_security_of(&none, &a, &s);
    assert_true(s.secure && s.is_alias);
    assert_string_equal(s.expanded, EXPANDED);
    host_security_of(&none, &none, &s);
    assert_false(s.secure);
}

static void where_only_one_family_is_an_alias_its_end_counts(void **state)
{
    struct dns_answer a = found(true, HOST, 0), aaaa = found(true, EXPANDED, 1);
    struct host_security s;

    (void)state;
    host_security_of(&a, &aaaa, &s);
    assert_true(s.is_alias);
    assert_string_equal(s.expanded, EXPANDED);
    host_security_of(&aaaa, &a, &s);
    assert_true(s.is_alias);
    assert_string_equal(s.expanded, EXPANDED);
    a = found(true, "in2.host.test", 1); /* each has its own: one of them */
    host_security_of(&aaaa, &a, &s);
    assert_true(s.is_alias);
    assert_string_equal(s.expanded, EXPANDED);
}

/* --- the walk */

static struct tlsa_walk begun(bool name_is_sure, bool secure, bool is_alias)
{
    struct host_security s = { .secure = secure, .is_alias = is_alias };
    struct tlsa_walk walk;

    strcpy(s.expanded, is_alias ? EXPANDED : HOST);
    tlsa_walk_start(&walk, HOST, 25, name_is_sure, &s);
    return walk;
}

static void assert_asks(const struct tlsa_walk *walk, enum tlsa_question question, const char *name)
{
    char room[TLSA_NAME_SIZE];

    assert_int_equal(walk->question, question);
    assert_string_equal(tlsa_walk_name(walk, room), name);
}

static void take(struct tlsa_walk *walk, enum dns_outcome outcome, bool secure)
{
    struct dns_answer answer = { .outcome = outcome, .secure = secure };

    tlsa_walk_take(walk, &answer);
}

static void assert_ends(const struct tlsa_walk *walk, const char *base, const char *why)
{
    assert_int_equal(walk->question, TLSA_ASK_NOTHING);
    assert_false(walk->failed);
    if (base)
        assert_string_equal(walk->base, base);
    else
        assert_null(walk->base);
    assert_non_null(strstr(walk->reason, why));
}

static void assert_fails(const struct tlsa_walk *walk, const char *what)
{
    assert_int_equal(walk->question, TLSA_ASK_NOTHING);
    assert_true(walk->failed);
    assert_null(walk->base);
    assert_string_equal(walk->reason, what);
}

static void a_secure_host_is_its_own_base_domain(void **state)
{
    struct tlsa_walk walk = begun(true, true, false);

    (void)state;
    assert_asks(&walk, TLSA_ASK_RECORDS, "_25._tcp." HOST);
    take(&walk, DNS_ANSWER, true);
    assert_ends(&walk, HOST, "");
}

static void nothing_is_asked_of_a_host_of_an_insecure_mx(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct tlsa_walk walk = begun(false, i & 1, i & 2);
        assert_ends(&walk, NULL, "MX records");
    }
}

static void nothing_is_asked_where_the_addresses_are_insecure(void **state)
{
    struct tlsa_walk walk = begun(true, false, false);

    (void)state;
    assert_ends(&walk, NULL, "addresses");
}

static void an_alias_is_asked_for_at_its_end_and_then_itself(void **state)
{
    struct tlsa_walk walk = begun(true, true, true);

    (void)state;
    assert_asks(&walk, TLSA_ASK_RECORDS, "_25._tcp." EXPANDED);
    take(&walk, DNS_ANSWER, true);
    assert_ends(&walk, EXPANDED, "");
    walk = begun(true, true, true);
    take(&walk, DNS_NXDOMAIN, true);
    assert_asks(&walk, TLSA_ASK_RECORDS, "_25._tcp." HOST);
    take(&walk, DNS_ANSWER, true);
    assert_ends(&walk, HOST, "");
    walk = begun(true, true, true);
    take(&walk, DNS_NXDOMAIN, true);
    take(&walk, DNS_NODATA, true);
    assert_ends(&walk, NULL, "no TLSA records");
}

static void insecure_records_are_as_none(void **state)
{
    struct tlsa_walk walk = begun(true, true, true);

    (void)state;
    take(&walk, DNS_ANSWER, false);
    assert_asks(&walk, TLSA_ASK_RECORDS, "_25._tcp." HOST);
    take(&walk, DNS_ANSWER, false);
    assert_ends(&walk, NULL, "not secured");
}

static void an_alias_with_an_insecure_end_is_asked_for_itself_where_it_is_secure(void **state)
{
    struct tlsa_walk walk = begun(true, false, true);

    (void)state;
    assert_asks(&walk, TLSA_ASK_ALIAS, HOST);
    take(&walk, DNS_ANSWER, true);
    assert_asks(&walk, TLSA_ASK_RECORDS, "_25._tcp." HOST);
    take(&walk, DNS_ANSWER, true);
    assert_ends(&walk, HOST, "");
}

static void an_insecure_alias_ends_it(void **state)
{
    static const enum dns_outcome others[] = { DNS_NODATA, DNS_NXDOMAIN };
    struct tlsa_walk walk = begun(true, false, true);

    (void)state;
    take(&walk, DNS_ANSWER, false);
    assert_ends(&walk, NULL, "alias");
    for (int i = 0; i < 2; i++) { /* it is none any more */
        walk = begun(true, false, true);
        take(&walk, others[i], true);
        assert_ends(&walk, NULL, "alias");
    }
}

static void a_question_that_fails_is_the_end(void **state)
{
    struct tlsa_walk walk = begun(true, true, true);

    (void)state;
    take(&walk, DNS_TEMPFAIL, false);
    assert_fails(&walk, "TLSA records");
    walk = begun(true, true, true);
    take(&walk, DNS_NXDOMAIN, true);
    take(&walk, DNS_TEMPFAIL, false);
    assert_fails(&walk, "TLSA records");
    walk = begun(true, false, true);
    take(&walk, DNS_TEMPFAIL, false);
    assert_fails(&walk, "CNAME records");
}

static void the_port_of_the_connection_is_in_the_name(void **state)
{
    struct host_security s = { .secure = true, .expanded = HOST };
    struct tlsa_walk walk;

    (void)state;
    tlsa_walk_start(&walk, HOST, 2525, true, &s);
    assert_asks(&walk, TLSA_ASK_RECORDS, "_2525._tcp." HOST);
}

static void a_name_too_long_for_records_has_none(void **state)
{
    struct host_security s = { .secure = true, .is_alias = true };
    char host[DOMAIN_MAX + 1];
    struct tlsa_walk walk;

    (void)state;
    memset(host, 'a', DOMAIN_MAX);
    host[DOMAIN_MAX] = '\0';
    strcpy(s.expanded, EXPANDED);
    tlsa_walk_start(&walk, host, 25, true, &s); /* its end has room */
    assert_asks(&walk, TLSA_ASK_RECORDS, "_25._tcp." EXPANDED);
    take(&walk, DNS_NXDOMAIN, true);
    assert_ends(&walk, NULL, "no TLSA records");
    strcpy(s.expanded, host);
    tlsa_walk_start(&walk, HOST, 25, true, &s);
    assert_asks(&walk, TLSA_ASK_RECORDS, "_25._tcp." HOST);
    s.is_alias = false;
    tlsa_walk_start(&walk, host, 25, true, &s);
    assert_ends(&walk, NULL, "too long");
    s = (struct host_security){ .is_alias = true };
    tlsa_walk_start(&walk, host, 25, true, &s);
    take(&walk, DNS_ANSWER, true);
    assert_ends(&walk, NULL, "too long");
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        "tlsa_walk: " title, function, NULL, NULL, NULL                                            \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STORY("the weaker of both families counts", the_weaker_of_both_families_counts),
        STORY("a family that brings nothing takes nothing away",
              a_family_that_brings_nothing_takes_nothing_away),
        STORY("where only one family is an alias, its end counts",
              where_only_one_family_is_an_alias_its_end_counts),
        STORY("a secure host is its own base domain", a_secure_host_is_its_own_base_domain),
        STORY("nothing is asked of a host of an insecure MX (RFC 7672 s.2.2.1)",
              nothing_is_asked_of_a_host_of_an_insecure_mx),
        STORY("nothing is asked where the addresses are insecure (RFC 7672 s.2.2.2)",
              nothing_is_asked_where_the_addresses_are_insecure),
        STORY("an alias is asked for at its end, and then itself (RFC 7672 s.2.2.3)",
              an_alias_is_asked_for_at_its_end_and_then_itself),
        STORY("insecure records are as none", insecure_records_are_as_none),
        STORY("an alias with an insecure end is asked for itself, where it is secure",
              an_alias_with_an_insecure_end_is_asked_for_itself_where_it_is_secure),
        STORY("an insecure alias ends it", an_insecure_alias_ends_it),
        STORY("a question that fails is the end: the host is out (RFC 7672 s.2.1.2)",
              a_question_that_fails_is_the_end),
        STORY("the port of the connection is in the name",
              the_port_of_the_connection_is_in_the_name),
        STORY("a name too long for records has none", a_name_too_long_for_records_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
