#include "lib/mail/routing.h"

#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- names of hops --------------------------------------------------------------------------- */

static void assert_hop(const char *name, enum next_hop_kind kind, const char *route,
                       const char *target)
{
    char again[HOP_NAME_MAX + 1];
    struct next_hop hop;

    assert_true(next_hop_parse(span_of(name), &hop));
    assert_int_equal(hop.kind, kind);
    assert_true(span_equal(hop.route, span_of(route)));
    assert_true(span_equal(hop.target, span_of(target)));
    assert_true(next_hop_format(&hop, again));
    assert_string_equal(again, name);
}

static void each_form_of_a_hop_is_told_from_the_others(void **state)
{
    (void)state;
    assert_hop("example.net", NEXT_HOP_DOMAIN, "", "example.net");
    assert_hop("[192.0.2.1]", NEXT_HOP_DOMAIN, "", "[192.0.2.1]");
    assert_hop("[IPv6:2001:db8::1]", NEXT_HOP_DOMAIN, "", "[IPv6:2001:db8::1]");
    assert_hop("relayhost", NEXT_HOP_RELAYHOST, "", "");
    assert_hop("route:a-1", NEXT_HOP_ROUTE, "a-1", "");
    assert_hop("route:a/example.net", NEXT_HOP_ROUTE_DOMAIN, "a", "example.net");
    assert_hop("route:a/[IPv6:2001:db8::1]", NEXT_HOP_ROUTE_DOMAIN, "a", "[IPv6:2001:db8::1]");
    assert_hop("to:mx.example:26", NEXT_HOP_SPEC, "", "mx.example:26");
    assert_hop("to:[192.0.2.1]:2525", NEXT_HOP_SPEC, "", "[192.0.2.1]:2525");
}

static void what_is_no_hop_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "route:",
        "route:/a",
        "route:a/",
        "route:a b",
        "route:a/b/c",
        "route:a/b:25",
        "to:",
        "to:a b",
        "to:[a",
        "to:192.0.2.1",
        "a:25",
        "a/b",
        "[192.0.2.1",
        "a\tb",
        "[a\nb]",
        "route:name-that-is-much-longer-than-any",
    };
    char text[HOP_NAME_MAX + 2];
    struct next_hop hop;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (next_hop_parse(span_of(wrong[i]), &hop))
            fail_msg("\"%s\" was taken", wrong[i]);
    memset(text, 'a', sizeof(text));
    assert_false(next_hop_parse((struct span){ text, NEXT_HOP_DOMAIN_MAX + 1 }, &hop));
    assert_true(next_hop_parse((struct span){ text, NEXT_HOP_DOMAIN_MAX }, &hop));
}

static void assert_read(const char *text, const char *name)
{
    char got[HOP_NAME_MAX + 1];

    if (next_hop_read(span_of(text), got) != (name != NULL))
        fail_msg("\"%s\" was %s", text, name ? "refused" : "taken");
    if (name)
        assert_string_equal(got, name);
}

static void what_somebody_writes_is_the_hop_that_he_means(void **state)
{
    char text[HOP_NAME_MAX + 2];

    (void)state;
    assert_read("example.net", "example.net");
    assert_read("Example.NET.", "example.net");
    assert_read("b\u00fccher.example", "xn--bcher-kva.example");
    assert_read("[IPv6:2001:DB8:0::1]", "[IPv6:2001:db8::1]");
    assert_read("[192.0.2.1]", "[192.0.2.1]");
    assert_read("route:a/Example.NET", "route:a/example.net");
    assert_read("route:a", "route:a");
    assert_read("relayhost", "relayhost");
    assert_read("to:[MX.example]:26", "to:[mx.example]:26");
    assert_read("to:MX.Example.:025", "to:mx.example");
    assert_read("to:b\u00fccher.example:587", "to:xn--bcher-kva.example:587");
    assert_read("to:[2001:DB8:0::1]", "to:[2001:db8::1]");
    assert_read("to:[192.0.2.1]:2525", "to:[192.0.2.1]:2525");
    assert_read("", NULL);
    assert_read(".", NULL);
    assert_read("a b", NULL);
    assert_read("a_b.example", NULL);
    assert_read("route:a/", NULL);
    assert_read("route:a b", NULL);
    assert_read("to:", NULL);
    assert_read("to:[mx.example", NULL);
    assert_read("to:[]", NULL);
    assert_read("to:[mx.example]25", NULL);
    assert_read("to:mx.example:0", NULL);
    assert_read("to:mx.example:", NULL);
    assert_read("to:mx.example:65536", NULL);
    assert_read("to:mx.example:25:25", NULL);
    assert_read("to:192.0.2.1", NULL);
    assert_read("[192.0.2.1", NULL);
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_read(text, NULL);
}

static void the_longest_name_fits_and_a_longer_one_does_not(void **state)
{
    char domain[HOP_NAME_MAX + 1], name[HOP_NAME_MAX + 1];
    struct next_hop hop = { .kind = NEXT_HOP_ROUTE_DOMAIN,
                            .route = SPAN("a23456789-123456789-123456789-1") };

    (void)state;
    memset(domain, 'd', sizeof(domain));
    hop.target = (struct span){ domain, NEXT_HOP_DOMAIN_MAX };
    assert_true(next_hop_format(&hop, name));
    assert_int_equal(strlen(name), HOP_NAME_MAX);
    hop.target.len++;
    assert_false(next_hop_format(&hop, name));
}

/* --- the choice ------------------------------------------------------------------------------ */

static const char table[] =
    "relayhost = \"smart.example\";\n"
    "routes = ( { name = \"exact\"; recipients = [ \"example.net\" ]; next-hop = \"mx\"; },\n"
    " { name = \"below\"; recipients = [ \".example.net\" ]; next-hop = \"[b.example]\"; },\n"
    " { name = \"both\"; recipients = [ \"example.org\" ]; users = [ \"ada\" ];\n"
    "   next-hop = \"c.example\"; },\n"
    " { name = \"null\"; senders = [ \"<>\" ]; next-hop = \"discard\"; },\n"
    " { name = \"sender\"; senders = [ \"from.example\", \".sub.example\" ]; next-hop = "
    "\"[d.example]\"; },\n"
    " { name = \"place\"; listeners = [ \"edge\" ]; next-hop = \"error 5.7.9 no\"; },\n"
    " { name = \"known\"; users = [ \"*\", \"local:7\" ]; next-hop = \"mx\"; } );";

static const struct settings *routes;

static int read_table(void **state)
{
    (void)state;
    routes = settings_of(table);
    return 0;
}

static int forget_table(void **state)
{
    (void)state;
    free((void *)(uintptr_t)routes);
    return 0;
}

static void assert_goes(struct routing_facts facts, const char *hop, const char *route)
{
    struct routing routing;

    if (!facts.sender_domain.data)
        facts.sender_domain = SPAN("sender.example");
    routing_choose(routes, &facts, &routing);
    assert_string_equal(routing.hop, hop);
    if (!route)
        assert_null(routing.route);
    else
        assert_string_equal(routing.route->name, route);
}

static void recipients_are_matched_exactly_or_below(void **state)
{
    (void)state;
    assert_goes((struct routing_facts){ .domain = SPAN("example.net") }, "route:exact/example.net",
                "exact");
    assert_goes((struct routing_facts){ .domain = SPAN("EXAMPLE.net") }, "route:exact/EXAMPLE.net",
                "exact");
    assert_goes((struct routing_facts){ .domain = SPAN("a.example.net") }, "route:below", "below");
    assert_goes((struct routing_facts){ .domain = SPAN("xexample.net") }, "relayhost", NULL);
    assert_goes((struct routing_facts){ .domain = SPAN("[192.0.2.1]") }, "relayhost", NULL);
}

static void senders_listeners_and_users_are_matched(void **state)
{
    const struct span to = SPAN("other.example");

    (void)state;
    assert_goes((struct routing_facts){ .domain = to, .sender_domain = SPAN("from.example") },
                "route:sender", "sender");
    assert_goes((struct routing_facts){ .domain = to, .sender_domain = SPAN("a.sub.example") },
                "route:sender", "sender");
    assert_goes((struct routing_facts){ .domain = to, .sender_domain = SPAN("") }, "route:null",
                "null");
    assert_goes((struct routing_facts){ .domain = to, .listener = SPAN("edge") }, "route:place",
                "place");
    assert_goes((struct routing_facts){ .domain = to, .listener = SPAN("Edge") }, "relayhost",
                NULL);
    assert_goes((struct routing_facts){ .domain = to, .user = SPAN("grace") },
                "route:known/other.example", "known");
    assert_goes((struct routing_facts){ .domain = to, .user = SPAN("local:8") }, "relayhost", NULL);
    assert_goes((struct routing_facts){ .domain = to, .user = SPAN("local:7") },
                "route:known/other.example", "known");
}

static void all_conditions_must_hold_and_the_first_route_wins(void **state)
{
    const struct span to = SPAN("example.org");

    (void)state;
    assert_goes((struct routing_facts){ .domain = to, .user = SPAN("ada") }, "route:both", "both");
    assert_goes((struct routing_facts){ .domain = to, .user = SPAN("Ada") },
                "route:known/example.org", "known");
    assert_goes((struct routing_facts){ .domain = SPAN("example.net"), .listener = SPAN("edge") },
                "route:exact/example.net", "exact");
}

static void an_operators_choice_counts_as_long_as_its_route_is_there(void **state)
{
    const struct span to = SPAN("example.net");

    (void)state;
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("to:[x.example]:26") },
                "to:[x.example]:26", NULL);
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("to:[X.example]:25") },
                "to:[x.example]", NULL); /* as an earlier version wrote it */
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("route:below") },
                "route:below", "below");
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("relayhost") }, "relayhost",
                NULL);
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("route:exact/a.example") },
                "route:exact/a.example", "exact");
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("route:gone") },
                "route:exact/example.net", "exact");
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("route:below/a.example") },
                "route:exact/example.net", "exact"); /* goes to hosts now */
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("route:exact") },
                "route:exact/example.net", "exact"); /* to MX now */
    assert_goes((struct routing_facts){ .domain = to, .override = SPAN("to: nothing") },
                "route:exact/example.net", "exact");
}

static void without_relayhost_mail_goes_to_its_domain(void **state)
{
    struct routing_facts facts = { .domain = SPAN("example.net") };
    struct settings *s = settings_of("");
    struct routing routing;

    (void)state;
    routing_choose(s, &facts, &routing);
    assert_string_equal(routing.hop, "example.net");
    assert_null(routing.route);
    facts.override = SPAN("relayhost"); /* there was one when it was rerouted */
    routing_choose(s, &facts, &routing);
    assert_string_equal(routing.hop, "example.net");
    free(s);
}

static void assert_most_goes(const char *domain, const char *hop)
{
    struct routing routing;

    routing_of_most(routes, span_of(domain), &routing);
    assert_string_equal(routing.hop, hop);
}

static void most_mail_goes_by_no_route_that_asks_who_sent_it(void **state)
{
    struct settings *s = settings_of(
        "routes = ( { name = \"some\"; senders = [ \"<>\" ]; next-hop = \"[a.example]\"; "
        "}, { name = \"one\"; recipients = [ \"example.net\" ]; next-hop = \"discard\"; } );");
    struct routing routing;

    (void)state;
    assert_most_goes("example.net", "route:exact/example.net");
    assert_most_goes("a.example.net", "route:below");
    assert_most_goes("example.org", "relayhost");
    assert_most_goes("[192.0.2.1]", "relayhost");
    routing_of_most(s, SPAN("example.org"), &routing);
    assert_string_equal(routing.hop, "example.org");
    assert_null(routing.route);
    routing_of_most(s, SPAN("example.net"), &routing);
    assert_string_equal(routing.hop, "route:one");
    free(s);
}

/* The names of the routes that are visited, with blanks between them. */
static void assert_others(const struct settings *s, const char *domain, const char *sender,
                          const char *names)
{
    struct routing_facts facts = { .domain = span_of(domain), .sender_domain = span_of(sender) };
    const struct route_settings *route;
    char got[100] = "";
    unsigned at = 0;

    while ((route = routing_next_other(s, &facts, &at)))
        snprintf(got + strlen(got), sizeof(got) - strlen(got), " %s", route->name);
    assert_string_equal(got, names);
    assert_null(routing_next_other(s, &facts, &at));
}

static void routes_of_other_listeners_and_users_are_visited(void **state)
{
    struct settings *s = settings_of(
        "dovecot-socket = \"/d\"; routes = ("
        " { name = \"l\"; recipients = [ \"a.test\" ]; listeners = [ \"local\" ]; next-hop = "
        "\"mx\"; },"
        " { name = \"n\"; senders = [ \"<>\" ]; users = [ \"*\" ]; next-hop = \"mx\"; },"
        " { name = \"u\"; users = [ \"ada\" ]; next-hop = \"mx\"; },"
        " { name = \"b\"; recipients = [ \"b.test\" ]; next-hop = \"mx\"; },"
        " { name = \"v\"; users = [ \"bob\" ]; next-hop = \"mx\"; } );");

    (void)state;
    assert_others(s, "a.test", "c.test", " l u v");
    assert_others(s, "a.test", "", " l n u v");
    assert_others(s, "b.test", "c.test", " u"); /* and no other, for the next one takes it */
    free(s);
    s = settings_of("");
    assert_others(s, "a.test", "c.test", "");
    free(s);
}

static void a_hop_names_its_route(void **state)
{
    (void)state;
    assert_string_equal(routing_of_hop(routes, SPAN("route:below"))->name, "below");
    assert_string_equal(routing_of_hop(routes, SPAN("route:exact/a.example"))->name, "exact");
    assert_null(routing_of_hop(routes, SPAN("route:gone")));
    assert_null(routing_of_hop(routes, SPAN("example.net")));
    assert_null(routing_of_hop(routes, SPAN("relayhost")));
    assert_null(routing_of_hop(routes, SPAN("route:")));
    assert_null(routing_route(routes, SPAN("Exact")));
}

static void an_error_has_a_status_and_words(void **state)
{
    struct span status, words;

    (void)state;
    routing_error(routing_route(routes, SPAN("place")), &status, &words);
    assert_true(span_equal(status, SPAN("5.7.9")));
    assert_true(span_equal(words, SPAN("no")));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("each form of a hop's name is told from the others, and written back as it was",
             each_form_of_a_hop_is_told_from_the_others),
        TEST("what is no name of a hop is refused", what_is_no_hop_is_refused),
        TEST("what somebody writes is the hop that he means",
             what_somebody_writes_is_the_hop_that_he_means),
        TEST("the longest name of a hop fits, and a longer one is refused",
             the_longest_name_fits_and_a_longer_one_does_not),
        TEST("a route's recipients are matched exactly, or below a domain",
             recipients_are_matched_exactly_or_below),
        TEST("a route's senders, listeners and users are matched",
             senders_listeners_and_users_are_matched),
        TEST("all conditions of a route must hold, and the first that fits wins",
             all_conditions_must_hold_and_the_first_route_wins),
        TEST("an operator's choice counts as long as its route is there and of that kind",
             an_operators_choice_counts_as_long_as_its_route_is_there),
        TEST("without route and relayhost mail goes to its own domain",
             without_relayhost_mail_goes_to_its_domain),
        TEST("where most mail for a domain goes no route says that asks for a sender, a listener "
             "or a "
             "user",
             most_mail_goes_by_no_route_that_asks_who_sent_it),
        TEST("routes by which mail of other listeners or users goes are visited up to the one that "
             "is found",
             routes_of_other_listeners_and_users_are_visited),
        TEST("the name of a hop leads to its route", a_hop_names_its_route),
        TEST("an error route has a status and words", an_error_has_a_status_and_words),
    };
    return cmocka_run_group_tests_name("routing", tests, read_table, forget_table);
}
