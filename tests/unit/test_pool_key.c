#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/random.h"
#include "queue/deliver/pool_key.h"

static struct pool_key flawless(void)
{
    struct pool_key key = { .assurance = ASSURANCE_VERIFIED, .trust_generation = 3 };

    assert_true(endpoint_parse(SPAN("192.0.2.1:25"), 25, &key.remote));
    strcpy(key.mx, "mx1.example.net");
    strcpy(key.identity, "mx1.example.net");
    return key;
}

static void same_key_serves(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    assert_true(pool_key_serves(&has, &needs));
}

static void any_address_will_do_where_none_is_named(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    needs.remote.address.family = ADDRESS_NONE;
    assert_true(pool_key_serves(&has, &needs));
    needs.remote.port = 26;
    assert_false(pool_key_serves(&has, &needs));
}

static void another_address_does_not_serve(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    needs.remote.address.bytes[3] = 2;
    assert_false(pool_key_serves(&has, &needs));
}

static void another_host_does_not_serve(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    strcpy(needs.mx, "mx2.example.net");
    assert_false(pool_key_serves(&has, &needs));
    strcpy(needs.mx, "MX1.Example.NET");
    assert_true(pool_key_serves(&has, &needs));
}

static void reports_and_other_mail_share_no_session(void **state)
{
    char one[POOL_KEY_TEXT_SIZE], other[POOL_KEY_TEXT_SIZE];
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    needs.for_reports = true;
    assert_false(pool_key_serves(&has, &needs));
    assert_false(pool_key_serves(&needs, &has));
    assert_false(span_equal(pool_key_text(&has, one), pool_key_text(&needs, other)));
    has.for_reports = true;
    assert_true(pool_key_serves(&has, &needs));
}

static void a_session_of_another_route_does_not_serve(void **state)
{
    char one[POOL_KEY_TEXT_SIZE], other[POOL_KEY_TEXT_SIZE];
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    strcpy(has.chooser, "route a");
    assert_false(pool_key_serves(&has, &needs));
    strcpy(needs.chooser, "route b");
    assert_false(pool_key_serves(&has, &needs));
    assert_false(span_equal(pool_key_text(&has, one), pool_key_text(&needs, other)));
    strcpy(needs.chooser, "route a");
    assert_true(pool_key_serves(&has, &needs));
}

static void identity_verified_for_another_name_does_not_serve(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    strcpy(has.identity, "mx2.example.net");
    assert_false(pool_key_serves(&has, &needs));
    has.identity[0] = needs.identity[0] = '\0';
    assert_false(pool_key_serves(&has, &needs));
}

static void session_judged_with_other_roots_does_not_serve(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    has.trust_generation--;
    assert_false(pool_key_serves(&has, &needs));
}

static void more_assurance_than_needed_serves(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    needs.assurance = ASSURANCE_NONE;
    needs.identity[0] = '\0';
    assert_true(pool_key_serves(&has, &needs));
}

/* One of few values for each member, so that equal ones are frequent. */
static struct pool_key any_key(void)
{
    struct pool_key key = flawless();

    key.remote.address.bytes[3] = (uint8_t)random_below(2);
    key.remote.port = random_below(4) ? 25 : 26;
    key.assurance = (enum assurance)random_below(ASSURANCE_VERIFIED + 1);
    key.trust_generation = random_below(2);
    snprintf(key.mx, sizeof(key.mx), "mx%d.example.net", (int)random_below(2));
    snprintf(key.identity, sizeof(key.identity), "mx%d.example.net", (int)random_below(2));
    if (random_below(3) == 0)
        key.identity[0] = '\0';
    return key;
}

static void less_assurance_never_serves(void **state)
{
    unsigned served = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        struct pool_key has = any_key(), needs = any_key();
        if (!pool_key_serves(&has, &needs))
            continue;
        served++;
        assert_true(has.assurance >= needs.assurance);
        assert_string_equal(has.mx, needs.mx);
        assert_int_equal(has.remote.port, needs.remote.port);
        assert_true(has.trust_generation == needs.trust_generation);
        if (needs.assurance == ASSURANCE_VERIFIED)
            assert_string_equal(has.identity, needs.identity);
    }
    assert_true(served > 1000); /* else the property says nothing */
}

/* --- TLSA records (docs/policy.md, "DANE") */

static struct pool_key judged_by_tlsa(void)
{
    struct pool_key key = flawless();

    key.identity[0] = '\0';
    key.is_sure = true;
    key.worth = TLSA_USABLE;
    return key;
}

static struct pool_key needs_of_sure_mail(void)
{
    struct pool_key key = flawless();

    key.is_sure = true;
    strcpy(key.domain, "example.net");
    return key;
}

static void tlsa_and_authorities_do_not_vouch_for_each_other(void **state)
{
    struct pool_key has = judged_by_tlsa(), needs = needs_of_sure_mail();

    (void)state;
    assert_true(pool_key_serves(&has, &needs)); /* of whatever level: the records decide alone */
    needs.assurance = ASSURANCE_NONE;
    assert_true(pool_key_serves(&has, &needs));
    needs = flawless(); /* an MX that anybody may have made up */
    assert_false(pool_key_serves(&has, &needs));
    strcpy(has.identity, needs.identity);
    assert_false(pool_key_serves(&has, &needs));
    has = flawless();
    needs = needs_of_sure_mail();
    assert_false(pool_key_serves(&has, &needs)); /* nobody asked for its records */
    has.is_sure = true;
    assert_true(pool_key_serves(&has, &needs)); /* there were none */
    needs.only_by_tlsa = true;
    assert_false(pool_key_serves(&has, &needs));
    has = judged_by_tlsa();
    assert_true(pool_key_serves(&has, &needs));
}

static void what_failed_the_records_carries_nothing_else(void **state)
{
    struct pool_key has = judged_by_tlsa(), needs = needs_of_sure_mail();

    (void)state;
    needs.assurance = ASSURANCE_NONE;
    has.assurance = ASSURANCE_ENCRYPTED; /* open for a message with TLS-Required: No */
    assert_false(pool_key_serves(&has, &needs));
    has.assurance = ASSURANCE_MODERN;
    has.worth = TLSA_UNUSABLE;
    assert_true(pool_key_serves(&has, &needs));
    has.assurance = ASSURANCE_ENCRYPTED; /* the records ask for TLS 1.2 */
    assert_false(pool_key_serves(&has, &needs));
}

static void a_certificate_for_the_next_hop_serves_that_one_alone(void **state)
{
    struct pool_key has = judged_by_tlsa(), needs = needs_of_sure_mail();

    (void)state;
    strcpy(has.domain, "Example.NET");
    assert_true(pool_key_serves(&has, &needs));
    strcpy(has.domain, "example.org");
    assert_false(pool_key_serves(&has, &needs));
    has.domain[0] = '\0'; /* it bears the base domain */
    assert_true(pool_key_serves(&has, &needs));
}

static void every_member_stands_in_the_text(void **state)
{
    char one[POOL_KEY_TEXT_SIZE], other[POOL_KEY_TEXT_SIZE];
    struct pool_key plain = flawless(), variants[5];

    (void)state;
    for (size_t i = 0; i < 5; i++)
        variants[i] = plain;
    variants[0].is_sure = true;
    variants[1].worth = TLSA_USABLE;
    variants[2].worth = TLSA_UNUSABLE;
    variants[3].only_by_tlsa = true;
    strcpy(variants[4].domain, "example.net");
    for (size_t i = 0; i < 5; i++)
        assert_false(span_equal(pool_key_text(&plain, one), pool_key_text(&variants[i], other)));
}

/* --- whatever the domains: no policy leaks into another's mail */

struct domain {
    const char *name;
    struct sts_facts facts; /* of the host it shares with others */
    uint16_t port;
    unsigned host;
};

/* A connection: what each of both judges says of its certificate. */
struct made {
    struct sts_facts facts;
    enum cert_verdict by_authorities;
    enum cert_verdict by_tlsa;
    bool fits_base; /* the certificate, by TLSA, whatever the next hop's name */
    const char *name;
};

static const char *const hosts[] = { "mx1.example.net", "mx2.example.net", "MX1.example.net" };
static const char *const names[] = { "example.net", "example.org" };

static struct domain any_domain(void)
{
    return (struct domain){
        .name = names[random_below(2)],
        .facts = { .source = (enum policy_source)random_below(2),
                   .mode = (enum sts_mode)random_below(3),
                   .mx_listed = random_below(4) != 0,
                   .route = (enum route_tls)random_below(3),
                   .mx_is_sure = random_below(2),
                   .relief = (enum policy_relief)(random_below(4) ? 0 : random_below(3)),
                   .require_tls = random_below(8) == 0 },
        .port = random_below(8) ? 25 : 587,
        .host = (unsigned)random_below(3),
    };
}

static enum cert_verdict any_verdict(void)
{
    return random_below(2) ? CERT_OK : (enum cert_verdict)random_below(CERT_OTHER + 1);
}

/* By whom the certificate is judged hangs on how the domain found the host. */
static void take_judge(struct sts_facts *f, const struct made *made, enum tlsa_worth worth,
                       const char *name)
{
    bool bears = made->fits_base || strcmp(made->name, name) == 0;

    f->tlsa = f->mx_is_sure ? worth : TLSA_NOT_APPLICABLE;
    if (f->tls != SESSION_TLS_ON)
        f->cert = CERT_NONE;
    else if (f->tlsa != TLSA_USABLE)
        f->cert = made->by_authorities;
    else
        f->cert = made->by_tlsa == CERT_OK && !bears ? CERT_HOST_MISMATCH : made->by_tlsa;
}

/* How a connection for a domain's mail went; as far as its policy lets mail go over it at all. */
static bool any_session(const struct domain *domain, enum tlsa_worth worth, struct made *out,
                        struct pool_key *out_key, uint64_t trust)
{
    struct sts_facts f = domain->facts;
    struct endpoint remote = { .port = domain->port };
    struct sts_decision d;

    *out = (struct made){ .by_authorities = any_verdict(),
                          .by_tlsa = any_verdict(),
                          .fits_base = random_below(2),
                          .name = domain->name };
    assert_true(ip_address_parse(SPAN("192.0.2.1"), &remote.address));
    f.tlsa = f.mx_is_sure ? worth : TLSA_NOT_APPLICABLE;
    d = sts_decide_candidate(f);
    if (!d.deliver)
        return false;
    f.tls = d.use_tls && random_below(4) ? SESSION_TLS_ON : SESSION_TLS_NOT_OFFERED;
    f.floor = random_below(2) ? d.floor : (enum tls_floor)random_below(3);
    if (f.floor < d.floor)
        f.floor = d.floor;
    take_judge(&f, out, worth, domain->name);
    out->facts = f;
    *out_key = pool_key_had(&remote, hosts[domain->host], f.tls, f.floor, f.cert, trust);
    out_key->is_sure = f.mx_is_sure;
    out_key->worth = f.tlsa;
    strcpy(out_key->domain, out->fits_base ? "" : domain->name);
    return sts_decide_session(f).deliver;
}

/* What the session came to, judged as if it had been made for the other domain's mail. */
static bool would_carry(const struct domain *other, const struct made *session,
                        enum tlsa_worth worth)
{
    struct sts_facts f = other->facts;

    f.tls = session->facts.tls;
    f.floor = session->facts.floor;
    take_judge(&f, session, worth, other->name);
    return sts_decide_candidate(f).deliver && sts_decide_session(f).deliver;
}

/* As attempt_needs has it. */
static bool needs_of(const struct domain *domain, uint64_t trust, struct pool_key *out)
{
    struct sts_facts f = domain->facts;
    struct sts_decision d = sts_decide_candidate(f);

    *out = pool_key_needed(&d, hosts[domain->host], domain->port, trust);
    out->is_sure = f.mx_is_sure;
    out->only_by_tlsa = !d.deliver;
    strcpy(out->domain, domain->name);
    f.tlsa = TLSA_USABLE;
    return d.deliver || (f.mx_is_sure && sts_decide_candidate(f).deliver);
}

static void no_mail_leaves_over_a_session_that_its_own_policy_would_refuse(void **state)
{
    unsigned shared = 0, strict = 0, refused = 0, by_tlsa = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        struct domain first = any_domain(), second = any_domain();
        uint64_t then = random_below(2), now = random_below(2);
        enum tlsa_worth worth = (enum tlsa_worth)random_below(3);
        struct made session;
        struct pool_key has, needs;
        if (!any_session(&first, worth, &session, &has, then) || !needs_of(&second, now, &needs))
            continue;
        if (!pool_key_serves(&has, &needs)) {
            refused++;
            continue;
        }
        shared++;
        strict += needs.assurance == ASSURANCE_VERIFIED;
        by_tlsa += has.worth == TLSA_USABLE;
        assert_true(would_carry(&second, &session, worth));
        assert_true(span_equal_nocase(span_of(hosts[first.host]), span_of(hosts[second.host])));
        assert_int_equal(first.port, second.port);
        assert_true(then == now);
        if (needs.assurance == ASSURANCE_VERIFIED && has.worth != TLSA_USABLE) {
            assert_int_equal(session.by_authorities, CERT_OK);
            assert_int_equal(session.facts.floor, TLS_FLOOR_STRICT);
            assert_true(span_equal_nocase(span_of(has.identity), span_of(hosts[second.host])));
        }
    }
    /* else it says nothing */
    assert_true(shared > 1000 && strict > 100 && refused > 1000 && by_tlsa > 100);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a session serves mail with the same key", same_key_serves),
        T("the port counts even where any address will do",
          any_address_will_do_where_none_is_named),
        T("a session with another address does not serve", another_address_does_not_serve),
        T("a session with another MX host does not serve, whatever the case of its name",
          another_host_does_not_serve),
        T("reports of ours and other mail share no session",
          reports_and_other_mail_share_no_session),
        T("a session of one route does not serve mail of another, or of none",
          a_session_of_another_route_does_not_serve),
        T("an identity verified for another name, or for none, does not serve",
          identity_verified_for_another_name_does_not_serve),
        T("a session judged with other roots does not serve",
          session_judged_with_other_roots_does_not_serve),
        T("a verified session serves mail that needs nothing", more_assurance_than_needed_serves),
        T("whatever the keys: less assurance never serves mail that needs more",
          less_assurance_never_serves),
        T("TLSA records and authorities do not vouch for each other",
          tlsa_and_authorities_do_not_vouch_for_each_other),
        T("a session that failed TLSA records, or is not what they ask for, carries nothing else",
          what_failed_the_records_carries_nothing_else),
        T("a certificate that bears the next hop's name serves that one alone (RFC 7672 s.3.2.2)",
          a_certificate_for_the_next_hop_serves_that_one_alone),
        T("every member stands in the key's text", every_member_stands_in_the_text),
        T("whatever the domains: no mail leaves over a session that its own policy would refuse",
          no_mail_leaves_over_a_session_that_its_own_policy_would_refuse),
    };

    return cmocka_run_group_tests_name("pool_key", tests, NULL, NULL);
}
