#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include "queue/deliver/target.h"
#include "queue/deliver/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct target relayhost(const char *text)
{
    struct target t;

    assert_true(target_of_relayhost(span_of(text), RELAYHOST_TLS_MAY, &t));
    return t;
}

static void mail_domain_is_looked_up_at_port_25(void **state)
{
    struct target t;

    (void)state;
    assert_true(target_of_domain(SPAN("Example.NET"), &t));
    assert_int_equal(t.kind, TARGET_DOMAIN);
    assert_string_equal(t.name, "example.net");
    assert_int_equal(t.port, 25);
    assert_false(t.is_chosen);
    assert_true(target_has_policy(&t));
}

static void address_literal_needs_no_lookup_and_has_no_policy(void **state)
{
    struct target t;

    (void)state;
    assert_true(target_of_domain(SPAN("[192.0.2.1]"), &t));
    assert_int_equal(t.kind, TARGET_ADDRESS);
    assert_int_equal(t.address.family, ADDRESS_V4);
    assert_string_equal(t.name, "192.0.2.1");
    assert_false(target_has_policy(&t));
    assert_true(target_of_domain(SPAN("[IPv6:2001:db8::1]"), &t));
    assert_int_equal(t.address.family, ADDRESS_V6);
}

static void nonsense_is_no_domain(void **state)
{
    static const char *const texts[] = { "",
                                         "a..b",
                                         "[192.0.2.1",
                                         "[]",
                                         "[host.name]",
                                         "example.net:26",
                                         "[192.0.2.1]:26",
                                         "[IPv6:192.0.2.1.2]" };
    struct target t;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (target_of_domain(span_of(texts[i]), &t))
            fail_msg("\"%s\" was taken", texts[i]);
}

static void relayhost_in_brackets_is_a_host(void **state)
{
    struct target t = relayhost("[Relay.example.net]:587");

    (void)state;
    assert_int_equal(t.kind, TARGET_HOST);
    assert_string_equal(t.name, "relay.example.net");
    assert_int_equal(t.port, 587);
    assert_true(t.is_chosen);
    assert_false(target_has_policy(&t));
    t = relayhost("[::1]:2525");
    assert_int_equal(t.kind, TARGET_ADDRESS);
    assert_int_equal(t.port, 2525);
    assert_int_equal(relayhost("[127.0.0.1]").port, 25);
}

static void relayhost_without_brackets_is_a_domain(void **state)
{
    struct target t = relayhost("example.net:2525");

    (void)state;
    assert_int_equal(t.kind, TARGET_DOMAIN);
    assert_string_equal(t.name, "example.net");
    assert_int_equal(t.port, 2525);
    assert_true(target_has_policy(&t));
    assert_int_equal(relayhost("example.net").port, 25);
}

static void level_of_the_relayhost_is_the_routes(void **state)
{
    struct target t;

    (void)state;
    assert_int_equal(relayhost("a.test").tls, ROUTE_TLS_MAY);
    assert_true(target_of_relayhost(SPAN("a.test"), RELAYHOST_TLS_NONE, &t));
    assert_int_equal(t.tls, ROUTE_TLS_NONE);
    assert_true(target_of_relayhost(SPAN("a.test"), RELAYHOST_TLS_ENCRYPT, &t));
    assert_int_equal(t.tls, ROUTE_TLS_ENCRYPT);
}

static void bad_ports_are_refused(void **state)
{
    static const char *const texts[] = { "a.test:0", "a.test:65536", "a.test:", "a.test:25x",
                                         "[a.test]25" };
    struct target t;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (target_of_relayhost(span_of(texts[i]), RELAYHOST_TLS_MAY, &t))
            fail_msg("\"%s\" was taken", texts[i]);
}

/* --- hop names */

static const char routes_text[] =
    "relayhost = \"[relay.test]:26\";\n"
    "routes = (\n"
    "  { name = \"far\"; recipients = [ \"far.test\" ];\n"
    "    next-hop = [ \"a.test priority 10 weight 3\", \"[b.test]:587 priority 10\",\n"
    "                 \"[192.0.2.1] priority 20\" ]; tls = \"encrypt\"; },\n"
    "  { name = \"sealed\"; recipients = [ \"sealed.test\" ]; implicit-tls = \"on\"; tls = "
    "\"encrypt\";\n"
    "    next-hop = \"[c.test]\"; },\n"
    "  { name = \"ported\"; recipients = [ \"ported.test\" ]; port = 2525;\n"
    "    next-hop = \"mx\"; tls = \"encrypt\"; },\n"
    "  { name = \"hole\"; recipients = [ \"hole.test\" ]; next-hop = \"discard\"; }\n"
    ");\n";

static struct target targets[TARGETS_MAX];

static unsigned found(const struct settings *settings, const char *hop)
{
    unsigned count = 0;

    assert_int_equal(targets_of_hop(settings, span_of(hop), targets, &count), TARGETS_FOUND);
    return count;
}

static void a_route_leads_to_all_its_hosts(void **state)
{
    struct settings *settings = settings_of(routes_text);

    (void)state;
    assert_int_equal(found(settings, "route:far"), 3);
    assert_int_equal(targets[0].kind, TARGET_DOMAIN);
    assert_true(target_has_policy(&targets[0])); /* RFC 8461 s.3.4: its own domain's */
    assert_int_equal(targets[0].weight, 3);
    assert_int_equal(targets[0].port, 25);
    assert_int_equal(targets[1].kind, TARGET_HOST);
    assert_int_equal(targets[1].port, 587);
    assert_false(target_has_policy(&targets[1]));
    assert_int_equal(targets[2].kind, TARGET_ADDRESS);
    assert_int_equal(targets[2].priority, 20);
    for (int i = 0; i < 3; i++) {
        assert_true(targets[i].is_chosen);
        assert_int_equal(targets[i].tls, ROUTE_TLS_ENCRYPT);
        assert_string_equal(targets[i].route->name, "far");
    }
    assert_int_equal(found(settings, "route:sealed"), 1);
    assert_true(targets[0].implicit_tls);
    assert_int_equal(targets[0].port, 465);
    assert_int_equal(targets[0].tls, ROUTE_TLS_ENCRYPT); /* implicit TLS is TLS */
    free(settings);
}

/* The settings refuse such a route; should they ever let one through, it is the same. */
static void a_password_or_implicit_tls_is_never_without_tls(void **state)
{
    struct settings *settings = settings_of(routes_text);
    struct route_settings *route = &settings->routes[1];

    (void)state;
    route->tls = ROUTE_LEVEL_NONE;
    assert_int_equal(found(settings, "route:sealed"), 1);
    assert_int_equal(targets[0].tls, ROUTE_TLS_ENCRYPT);
    route->implicit_tls = SWITCH_OFF;
    assert_int_equal(found(settings, "route:sealed"), 1);
    assert_int_equal(targets[0].tls, ROUTE_TLS_NONE);
    strcpy(route->credentials, "/etc/waxseal/secret");
    assert_int_equal(found(settings, "route:sealed"), 1);
    assert_int_equal(targets[0].tls, ROUTE_TLS_ENCRYPT);
    free(settings);
}

static void a_route_to_mx_leads_to_the_domain_as_it_is(void **state)
{
    struct settings *settings = settings_of(routes_text);
    char chooser[TARGET_CHOOSER_SIZE];

    (void)state;
    assert_int_equal(found(settings, "route:ported/ported.test"), 1);
    assert_int_equal(targets[0].kind, TARGET_DOMAIN);
    assert_string_equal(targets[0].name, "ported.test");
    assert_int_equal(targets[0].port, 2525);
    assert_int_equal(targets[0].tls, ROUTE_TLS_ENCRYPT);
    assert_false(targets[0].is_chosen); /* DNS names the hosts: the address filter holds */
    target_chooser(&targets[0], chooser);
    assert_string_equal(chooser, "route ported");
    assert_int_equal(found(settings, "route:ported/[192.0.2.9]"), 1);
    assert_int_equal(targets[0].kind, TARGET_ADDRESS);
    free(settings);
}

static void other_hop_names_lead_where_they_say(void **state)
{
    struct settings *settings = settings_of(routes_text);
    char chooser[TARGET_CHOOSER_SIZE];

    (void)state;
    assert_int_equal(found(settings, "example.net"), 1);
    assert_null(targets[0].route);
    target_chooser(&targets[0], chooser);
    assert_string_equal(chooser, "");
    assert_int_equal(found(settings, "relayhost"), 1);
    assert_int_equal(targets[0].port, 26);
    target_chooser(&targets[0], chooser);
    assert_string_equal(chooser, "relayhost");
    assert_int_equal(found(settings, "to:[d.test]:2525"), 1);
    assert_string_equal(targets[0].name, "d.test");
    assert_true(targets[0].is_chosen);
    free(settings);
}

static void what_the_settings_do_not_know_is_no_domain_without_mail(void **state)
{
    static const struct {
        const char *hop;
        enum target_verdict verdict;
    } cases[] = {
        { "route:gone", TARGETS_UNKNOWN },
        { "route:gone/example.net", TARGETS_UNKNOWN },
        { "route:hole", TARGETS_UNKNOWN },            /* no worker's business */
        { "route:ported", TARGETS_UNKNOWN },          /* it goes to MX now */
        { "route:far/example.net", TARGETS_UNKNOWN }, /* and this no more */
        { "relayhost", TARGETS_UNKNOWN },
        { "a..b", TARGETS_NONSENSE },
        { "", TARGETS_NONSENSE },
        { "route:ported/a..b", TARGETS_NONSENSE },
    };
    struct settings *settings = settings_of(routes_text);
    unsigned count;

    (void)state;
    settings->relayhost[0] = '\0';
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (targets_of_hop(settings, span_of(cases[i].hop), targets, &count) != cases[i].verdict)
            fail_msg("\"%s\"", cases[i].hop);
    free(settings);
}

/* --- the order of several */

static void priorities_come_first_then_chance_by_weight(void **state)
{
    static const struct target hosts[] = { { .priority = 20, .weight = 1 },
                                           { .priority = 10, .weight = 3 },
                                           { .priority = 10, .weight = 1 },
                                           { .priority = 5, .weight = 1 } };
    unsigned order[TARGETS_MAX], again[TARGETS_MAX], first = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 10000; seed++) {
        target_order(hosts, 4, seed, order);
        assert_int_equal(order[0], 3);
        assert_int_equal(order[3], 0);
        assert_int_equal(order[1] + order[2], 3); /* each once */
        first += order[1] == 1;
        target_order(hosts, 4, seed, again);
        assert_memory_equal(order, again, sizeof(order[0]) * 4);
    }
    assert_in_range(first, 7300, 7700); /* three of four */
}

static void a_heavy_host_gets_its_share(void **state)
{
    struct target hosts[3] = { { .weight = 1 }, { .weight = 9 }, { .weight = 0 } };
    unsigned order[TARGETS_MAX], count[3] = { 0 };

    (void)state;
    for (uint64_t seed = 0; seed < 11000; seed++) {
        target_order(hosts, 3, seed * 2654435761U, order);
        count[order[0]]++;
    }
    assert_in_range(count[0], 850, 1150);
    assert_in_range(count[1], 8700, 9300);
    assert_in_range(count[2], 850, 1150); /* no weight is the least one */
}

static void a_listed_certificate_or_key_is_known(void **state)
{
    static const char text[] =
        "routes = ( { name = \"pinned\"; next-hop = \"[a.test]\"; tls = \"fingerprint\";\n"
        "tls-fingerprints = [ \"sha256:"
        "AA:bbccddeeff00112233445566778899aabbccddeeff00112233445566778899\",\n"
        "\"key-sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\" ]; } );";
    struct settings *settings = settings_of(text);
    struct tls_session session = { .version = "TLSv1.3" };

    (void)state;
    assert_int_equal(found(settings, "route:pinned"), 1);
    assert_false(target_lists(&targets[0], &session));
    strcpy(session.key_sha256, "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899");
    assert_false(target_lists(&targets[0], &session)); /* of a certificate, not of a key */
    strcpy(session.certificate_sha256, session.key_sha256);
    assert_true(target_lists(&targets[0], &session));
    session.certificate_sha256[0] = '\0';
    strcpy(session.key_sha256, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    assert_true(target_lists(&targets[0], &session));
    targets[0].route = NULL;
    assert_false(target_lists(&targets[0], &session));
    free(settings);
}

static enum route_tls level_under(const char *floor, const char *more, const char *hop,
                                  bool *out_is_floor)
{
    char text[300];
    snprintf(text, sizeof(text), "tls-floor = \"%s\"; %s", floor, more);
    struct settings *settings = settings_of(text);
    unsigned count;

    assert_int_equal(targets_of_hop(settings, span_of(hop), targets, &count), TARGETS_FOUND);
    *out_is_floor = targets[0].is_floor;
    free(settings);
    return targets[0].tls;
}

/* What a setting says, and what becomes of it under each floor: may, encrypt, verify. */
static void the_floor_raises_all_but_none(void **state)
{
    static const struct {
        const char *more, *hop;
        enum route_tls levels[3];
    } rows[] = {
        { "", "example.net", { ROUTE_TLS_MAY, ROUTE_TLS_ENCRYPT, ROUTE_TLS_VERIFY } },
        { "", "[192.0.2.1]", { ROUTE_TLS_MAY, ROUTE_TLS_ENCRYPT, ROUTE_TLS_VERIFY } },
        { "relayhost = \"[h.test]\";",
          "relayhost",
          { ROUTE_TLS_MAY, ROUTE_TLS_ENCRYPT, ROUTE_TLS_VERIFY } },
        { "relayhost = \"[h.test]\"; tls-level = \"encrypt\";",
          "relayhost",
          { ROUTE_TLS_ENCRYPT, ROUTE_TLS_ENCRYPT, ROUTE_TLS_VERIFY } },
        { "relayhost = \"[h.test]\"; tls-level = \"none\";",
          "relayhost",
          { ROUTE_TLS_NONE, ROUTE_TLS_NONE, ROUTE_TLS_NONE } },
        { "routes = ( { name = \"r\"; next-hop = \"[h.test]\"; } );",
          "route:r",
          { ROUTE_TLS_MAY, ROUTE_TLS_ENCRYPT, ROUTE_TLS_VERIFY } },
        { "routes = ( { name = \"r\"; next-hop = \"[h.test]\"; tls = \"none\"; } );",
          "route:r",
          { ROUTE_TLS_NONE, ROUTE_TLS_NONE, ROUTE_TLS_NONE } },
        { "routes = ( { name = \"r\"; next-hop = \"[h.test]\"; tls = \"dane\"; } );",
          "route:r",
          { ROUTE_TLS_DANE, ROUTE_TLS_DANE, ROUTE_TLS_DANE } },
        { "routes = ( { name = \"r\"; next-hop = \"mx\"; } );",
          "route:r/example.net",
          { ROUTE_TLS_MAY, ROUTE_TLS_ENCRYPT, ROUTE_TLS_VERIFY } },
    };
    static const char *const floors[] = { "may", "encrypt", "verify" };
    bool is_floor;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int f = 0; f < 3; f++) {
            assert_int_equal(level_under(floors[f], rows[i].more, rows[i].hop, &is_floor),
                             rows[i].levels[f]);
            assert_int_equal(is_floor, rows[i].levels[f] != rows[i].levels[0]);
        }
}

static void the_words_tell_whose_demand_it_is(void **state)
{
    char words[VERDICT_WORDS_SIZE];
    struct target t = { .tls = ROUTE_TLS_VERIFY, .is_floor = true };

    (void)state;
    verdict_of_level(&t, "mx.example", "certificate expired", "", words);
    assert_non_null(strstr(words, "tls-floor of this relay asks for a certificate for the host's "
                                  "name for all mail, but mx.example does not give it: "
                                  "certificate expired; whoever runs"));
    t = (struct target){ .tls = ROUTE_TLS_ENCRYPT, .is_chosen = true };
    verdict_of_level(&t, "h.test", "no STARTTLS offered", "", words);
    assert_non_null(strstr(words, "tls-level encrypt asks for TLS, but relayhost h.test"));
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a mail domain is looked up and has port 25", mail_domain_is_looked_up_at_port_25),
        T("an address literal needs no lookup and has no policy (RFC 8461 section 3.4)",
          address_literal_needs_no_lookup_and_has_no_policy),
        T("what is no domain leads nowhere", nonsense_is_no_domain),
        T("a relayhost in brackets is one host", relayhost_in_brackets_is_a_host),
        T("a relayhost without brackets is a policy domain of its own",
          relayhost_without_brackets_is_a_domain),
        T("tls-level is the route's", level_of_the_relayhost_is_the_routes),
        T("tls-floor raises whatever is not \"none\"", the_floor_raises_all_but_none),
        T("the words of a refusal tell whose demand it is", the_words_tell_whose_demand_it_is),
        T("bad ports are refused", bad_ports_are_refused),
        T("a route leads to all its hosts, each with its own policy domain (RFC 8461 s.3.4)",
          a_route_leads_to_all_its_hosts),
        T("a route with a password, or with implicit TLS, is never without TLS",
          a_password_or_implicit_tls_is_never_without_tls),
        T("a route to MX leads to the recipient's domain, on the route's terms",
          a_route_to_mx_leads_to_the_domain_as_it_is),
        T("domain, relayhost and an operator's choice lead where they say",
          other_hop_names_lead_where_they_say),
        T("what the settings know nothing of is given back, what makes no sense fails",
          what_the_settings_do_not_know_is_no_domain_without_mail),
        T("hosts are tried by priority, then by chance in proportion to their weights",
          priorities_come_first_then_chance_by_weight),
        T("a host of weight 9 gets nine times the mail of others", a_heavy_host_gets_its_share),
        T("a certificate or key that the route lists is known",
          a_listed_certificate_or_key_is_known),
    };

    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
