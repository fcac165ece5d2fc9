#include "supervisor/route_check.h"

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was said, a line each: "fault 0 listeners: ..." */
static struct buf said;

static int begin(void **state)
{
    (void)state;
    buf_init(&said, 64 * 1024);
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_clear(&said);
    return 0;
}

static void on_said(void *ctx, enum route_finding finding, unsigned route, const char *member,
                    const char *sentence)
{
    static const char *const words[] = { "fault", "warning", "note" };

    (void)ctx;
    ensure(buf_printf(&said, "%s %u %s: %s\n", words[finding], route, member, sentence));
}

static char *text_said(void)
{
    return memory_copy_span(buf_span(&said));
}

static void check_names(const char *text, struct span users_file)
{
    struct settings *s = settings_of(text);
    struct settings_errors errors;
    struct users *users = NULL;

    settings_errors_init(&errors);
    if (users_file.data)
        assert_true(users_parse(users_file, "users", &errors, &users));
    buf_reset(&said);
    route_check_names(s, users, on_said, NULL);
    users_free(&users);
    settings_errors_clear(&errors);
    free(s);
}

static void assert_names(const char *text, struct span users_file, const char *expected)
{
    check_names(text, users_file);
    char *got = text_said();
    if (expected[0] == '\0')
        assert_string_equal(got, "");
    else if (!strstr(got, expected))
        fail_msg("of \"%s\" was said \"%s\"", text, got);
    free(got);
}

#define FILE_OF_ADA                                                                                \
    "ada:$6$abcdefgh$D7W7qyozKBT.t6FD3DVYHvADbIO0eSyI4.p20LaEUjro8PqT"                             \
    "GYYo/EQcuNjhFbzo9Yg5ir1KIEqFY/yJpgFph0\n"

static const struct span unknown = { NULL, 0 };

static void listeners_are_known_by_name_address_or_as_local(void **state)
{
    (void)state;
    assert_names("listeners = ( { name = \"in\"; address = \"192.0.2.1:25\"; },"
                 " { address = \"192.0.2.2:25\"; } );"
                 "routes = ( { name = \"a\"; next-hop = \"mx\";"
                 " listeners = [ \"in\", \"192.0.2.2:25\", \"local\" ]; } );",
                 unknown, "");
    assert_names(
        "listeners = ( { name = \"in\"; address = \"192.0.2.1:25\"; } );"
        "routes = ( { name = \"a\"; next-hop = \"mx\"; listeners = [ \"192.0.2.1:25\" ]; } );",
        unknown, "fault 0 listeners: listeners of route a: no listener is called \"192.0.2.1:25\"");
}

static void users_are_known_by_their_file_or_certificate(void **state)
{
    static const char of_route[] = "routes = ( { name = \"a\"; next-hop = \"mx\"; users = [ ";
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "users-file = \"/u\"; %s\"ada\", \"*\", \"local:7\" ]; } );",
             of_route);
    assert_names(text, SPAN(FILE_OF_ADA), "");
    assert_names(text, unknown, ""); /* its file cannot be read, which is said elsewhere */
    snprintf(text, sizeof(text), "users-file = \"/u\"; %s\"bob\" ]; } );", of_route);
    assert_names(text, SPAN(FILE_OF_ADA),
                 "fault 0 users: users of route a: there is no user \"bob\"");
    snprintf(text, sizeof(text), "%s\"ada\" ]; } );", of_route);
    assert_names(text, unknown, "there is no user \"ada\"");
    snprintf(text, sizeof(text), "dovecot-socket = \"/d\"; %s\"ada\" ]; } );", of_route);
    assert_names(text, unknown, "");
    snprintf(
        text, sizeof(text),
        "listeners = ( { address = \"192.0.2.1:25\"; tls-certificate = \"/c\"; tls-key = \"/k\";"
        " tls-client-certificates = \"request\"; tls-client-ca = \"/ca\";"
        " certificate-users = [ \"name:a.example ada\" ]; } ); %s\"ada\" ]; } );",
        of_route);
    assert_names(text, unknown, "");
}

static void a_route_behind_one_for_all_mail_is_warned_of(void **state)
{
    (void)state;
    assert_names("routes = ( { name = \"a\"; next-hop = \"mx\"; senders = [ \"<>\" ]; },"
                 " { name = \"b\"; next-hop = \"mx\"; }, { name = \"c\"; next-hop = \"mx\"; } );",
                 unknown,
                 "warning 2 name: no mail reaches route c: route b in front of it is for all");
    assert_names("routes = ( { name = \"a\"; next-hop = \"mx\"; senders = [ \"<>\" ]; },"
                 " { name = \"b\"; next-hop = \"mx\"; } );",
                 unknown, "");
}

/* Is the second of two routes, with these conditions, one that no mail reaches? */
static void a_route_behind_one_that_takes_all_it_would_is_warned_of(void **state)
{
    static const struct {
        const char *first, *second;
        bool is_reached;
    } rows[] = {
        { "recipients = [ \"x.test\" ];", "recipients = [ \"X.test\" ];", false },
        { "recipients = [ \"x.test\", \"y.test\" ];", "recipients = [ \"y.test\" ];", false },
        { "recipients = [ \".x.test\" ];", "recipients = [ \"y.x.test\" ];", false },
        { "recipients = [ \".x.test\" ];", "recipients = [ \".x.test\" ];", false },
        { "recipients = [ \".x.test\" ];", "recipients = [ \".y.x.test\", \"a.x.test\" ];", false },
        { "recipients = [ \"x.test\" ];", "recipients = [ \"x.test\" ]; users = [ \"*\" ];",
          false },
        { "senders = [ \"<>\" ];", "recipients = [ \"x.test\" ]; senders = [ \"<>\" ];", false },
        { "listeners = [ \"local\" ];", "listeners = [ \"local\" ]; users = [ \"local:1\" ];",
          false },
        { "users = [ \"*\" ];", "users = [ \"ada\" ];", false },
        { "users = [ \"*\" ];", "users = [ \"*\" ];", false },
        { "recipients = [ \"x.test\" ];", "recipients = [ \"x.test\", \"y.test\" ];", true },
        { "recipients = [ \".x.test\" ];", "recipients = [ \"x.test\" ];", true },
        { "recipients = [ \"x.test\" ];", "recipients = [ \".x.test\" ];", true },
        { "recipients = [ \".y.x.test\" ];", "recipients = [ \".x.test\" ];", true },
        { "recipients = [ \"y.x.test\" ];", "recipients = [ \".y.x.test\" ];", true },
        { "recipients = [ \".x.test\" ];", "recipients = [ \"ax.test\" ];", true },
        { "recipients = [ \"x.test\" ];", "senders = [ \"x.test\" ];", true },
        { "recipients = [ \"x.test\" ]; senders = [ \"a.test\" ];", "recipients = [ \"x.test\" ];",
          true },
        { "recipients = [ \"x.test\" ]; users = [ \"ada\" ];", "recipients = [ \"x.test\" ];",
          true },
        { "recipients = [ \"x.test\" ]; listeners = [ \"local\" ];", "recipients = [ \"x.test\" ];",
          true },
        { "listeners = [ \"local\" ];", "listeners = [ \"local\", \"in\" ];", true },
        { "users = [ \"*\" ];", "users = [ \"ada\", \"local:1\" ];", true },
        { "users = [ \"ada\" ];", "users = [ \"*\" ];", true },
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(
            text, sizeof(text),
            "dovecot-socket = \"/d\"; listeners = ( { name = \"in\"; address = \"192.0.2.1:25\"; } "
            "); routes = ( { name = \"a\"; next-hop = \"mx\"; %s },"
            " { name = \"b\"; next-hop = \"mx\"; %s } );",
            rows[i].first, rows[i].second);
        assert_names(text, unknown,
                     rows[i].is_reached
                         ? ""
                         : "warning 1 name: no mail reaches route b: route a in front "
                           "of it takes all that it would\n");
    }
}

static void each_route_that_weakens_a_policy_is_noted(void **state)
{
    struct settings *s = settings_of(
        "routes = ( { name = \"clear\"; next-hop = \"mx\"; tls = \"none\"; senders = [ \"a\" ]; },"
        " { name = \"floor\"; next-hop = \"mx\"; tls = \"encrypt\"; senders = [ \"a\" ]; },"
        " { name = \"host\"; next-hop = \"[h.example]\"; senders = [ \"a\" ]; },"
        " { name = \"named\"; next-hop = [ \"[h.example]\", \"n.example\" ]; tls = \"encrypt\";"
        "   senders = [ \"a\" ]; },"
        " { name = \"firm\"; next-hop = \"[h.example]\"; tls = \"verify\"; senders = [ \"a\" ]; },"
        " { name = \"void\"; next-hop = \"discard\"; } );");

    (void)state;
    route_check_policies(s, on_said, NULL);
    char *got = text_said();
    assert_non_null(strstr(got, "note 0 tls: route clear: mail goes in clear text"));
    assert_non_null(strstr(got, "note 2 next-hop: route host: "));
    assert_non_null(strstr(got, "named next hop, and tls = \"may\""));
    assert_non_null(strstr(got, "note 3 next-hop: route named: "));
    assert_non_null(strstr(got, "whose own policy does, and tls = \"encrypt\""));
    assert_null(strstr(got, "floor"));
    assert_null(strstr(got, "firm"));
    assert_null(strstr(got, "void"));
    free(got);
    free(s);
}

/* What is said of one route to `hosts` and of the relayhost "n.example" or "[n.example]". */
static char *said_of_verified(const char *hosts, const char *tls, const char *floor,
                              const char *relayhost)
{
    static const char prints[] =
        "tls-fingerprints = [ \"sha256:"
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\" ];";
    char text[512];
    struct settings *s;

    snprintf(text, sizeof(text),
             "tls-floor = \"%s\"; tls-level = \"encrypt\"; relayhost = \"%s\"; "
             "routes = ( { name = \"a\"; next-hop = [ %s ]; tls = \"%s\"; %s } );",
             floor, relayhost, hosts, tls, strcmp(tls, "fingerprint") == 0 ? prints : "");
    s = settings_of(text);
    buf_reset(&said);
    route_check_policies(s, on_said, NULL);
    free(s);
    return text_said();
}

static void assert_noted(const char *hosts, const char *tls, const char *floor, bool is_noted)
{
    char *got = said_of_verified(hosts, tls, floor, "");

    if (!is_noted)
        assert_string_equal(got, "");
    else if (!strstr(got, "note 0 next-hop: route a: ") ||
             !strstr(got, "DNS decides which name is verified; write [host], or tls = \"dane\""))
        fail_msg("of %s with %s was said \"%s\"", hosts, tls, got);
    free(got);
}

static void a_name_that_dns_gives_to_verify_is_noted(void **state)
{
    (void)state;
    assert_noted("\"n.example\"", "verify", "may", true);
    assert_noted("\"[h.example]\", \"n.example:26\"", "verify", "may", true);
    assert_noted("\"[h.example]\"", "verify", "may", false);
    assert_noted("\"n.example\"", "dane", "may", false);
    assert_noted("\"n.example\"", "fingerprint", "may", false);
    assert_noted("\"n.example\"", "encrypt", "verify", true);
    assert_noted("\"[h.example]\"", "encrypt", "verify", false);
}

static void a_relayhost_whose_name_dns_gives_is_noted(void **state)
{
    char *got = said_of_verified("\"[h.example]\"", "verify", "verify", "n.example");

    (void)state;
    assert_non_null(strstr(got, "relayhost: relayhost: what MTA-STS"));
    assert_non_null(strstr(got, "DNS decides which name is verified; write [host]\n"));
    free(got);
    got = said_of_verified("\"[h.example]\"", "verify", "verify", "[n.example]");
    assert_string_equal(got, "");
    free(got);
}

static void a_host_that_the_families_leave_out_is_a_fault(void **state)
{
    static const char text[] =
        "routes = ( { name = \"six\"; families = \"ipv6\"; senders = [ \"a\" ];"
        "   next-hop = [ \"[2001:db8::1]\", \"[192.0.2.1]:26\", \"[h.example]\", \"n.example\" ]; "
        "},"
        " { name = \"four\"; families = \"ipv4\"; senders = [ \"a\" ]; next-hop = "
        "\"[2001:db8::1]\"; },"
        " { name = \"both\"; next-hop = [ \"[2001:db8::1]\", \"[192.0.2.1]\" ]; } );";
    struct settings *s = settings_of(text);

    (void)state;
    route_check_families(s, on_said, NULL);
    char *got = text_said();
    assert_string_equal(got,
                        "fault 0 families: families = \"ipv6\" of route six leaves out its host "
                        "[192.0.2.1]:26: no mail would go there; write \"both\", or another host\n"
                        "fault 1 families: families = \"ipv4\" of route four leaves out its host "
                        "[2001:db8::1]: no mail would go there; write \"both\", or another host\n");
    free(got);
    free(s);
}

static void a_next_hop_that_is_a_listener_of_ours_is_a_fault(void **state)
{
    static const char text[] =
        "listeners = ( { address = [ \"127.0.0.1:25\", \"127.0.0.1:465\", \"[::1]:26\" ]; } );"
        "relayhost = \"[127.0.0.1]\";"
        "routes = ( { name = \"out\"; senders = [ \"a\" ];"
        "   next-hop = [ \"[127.0.0.1]:10025\", \"[127.0.0.2]\", \"n.example\" ]; },"
        " { name = \"back\"; senders = [ \"a\" ]; port = 26;"
        "   next-hop = [ \"[127.0.0.1]\", \"[0.0.0.0]:25\", \"[::1] priority 20\" ]; },"
        " { name = \"tls\"; implicit-tls = \"on\"; tls = \"encrypt\";"
        "   next-hop = \"[127.0.0.1]\"; } );";
    struct settings *s = settings_of(text);

    (void)state;
    route_check_loops(s, on_said, NULL);
    char *got = text_said();
#define WORDS " is a listener of this relay itself: mail for it would come back; write another host"
    assert_string_equal(got, "fault 4294967295 relayhost: relayhost [127.0.0.1] port 25" WORDS
                             " or port\n"
                             "fault 1 next-hop: next-hop [0.0.0.0] port 25" WORDS " or port\n"
                             "fault 1 next-hop: next-hop [::1] port 26" WORDS " or port\n"
                             "fault 2 next-hop: next-hop [127.0.0.1] port 465" WORDS " or port\n");
    free(got);
    free(s);
}

static void a_source_address_that_is_not_ours_is_warned_of(void **state)
{
    struct settings *s = settings_of("routes = ( { name = \"a\"; next-hop = \"mx\";"
                                     " source-address = [ \"127.0.0.1\", \"192.0.2.7\" ]; } );");

    (void)state;
    route_check_sources(s, on_said, NULL);
    char *got = text_said();
    assert_string_equal(got, "warning 0 source-address: source-address 192.0.2.7 of route a is no "
                             "address of this machine: nothing can be sent from it\n");
    free(got);
    free(s);
}

static void a_relayhost_is_noted_like_a_route(void **state)
{
    struct settings *s = settings_of("relayhost = \"[h.example]\"; tls-level = \"encrypt\";");

    (void)state;
    route_check_policies(s, on_said, NULL);
    char *got = text_said();
    assert_non_null(strstr(got, "relayhost: relayhost: what MTA-STS"));
    assert_non_null(strstr(got, "tls-level = \"encrypt\" wants no good certificate"));
    assert_null(strstr(got, "its own policy"));
    free(got);
    free(s);
}

static void what_goes_below_the_floor_is_noted(void **state)
{
    struct settings *s = settings_of("tls-floor = \"verify\"; relayhost = \"[h.example]\";"
                                     "routes = ( { name = \"a\"; next-hop = \"[i.example]\"; },"
                                     " { name = \"b\"; next-hop = \"[i.example]\";"
                                     " tls = \"none\"; } );");

    (void)state;
    route_check_policies(s, on_said, NULL);
    char *got = text_said();
    assert_non_null(strstr(got, "route b: tls = \"none\" goes below tls-floor = \"verify\""));
    assert_null(strstr(got, "route a"));
    assert_null(strstr(got, "relayhost"));
    free(got);
    free(s);
}

static void a_relayhost_below_the_floor_is_noted(void **state)
{
    struct settings *s =
        settings_of("tls-floor = \"encrypt\"; relayhost = \"[h.example]\"; tls-level = \"none\";");

    (void)state;
    route_check_policies(s, on_said, NULL);
    char *got = text_said();
    assert_non_null(strstr(got, "tls-level = \"none\" goes below tls-floor = \"encrypt\""));
    free(got);
    free(s);
}

static void assert_name(const char *spec, const char *name, bool by_mx)
{
    struct span found;
    bool is_by_mx;

    assert_int_equal(route_check_name_of(span_of(spec), &found, &is_by_mx), name != NULL);
    if (name) {
        assert_true(span_equal(found, span_of(name)));
        assert_int_equal(is_by_mx, by_mx);
    }
}

static void names_are_looked_up_and_addresses_are_not(void **state)
{
    (void)state;
    assert_name("mx.example", "mx.example", true);
    assert_name("mx.example:26", "mx.example", true);
    assert_name("[mx.example]:26", "mx.example", false);
    assert_name("[192.0.2.1]:26", NULL, false);
    assert_name("[2001:db8::1]", NULL, false);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, begin, end, NULL                                                          \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("listeners in routes are known by name, else by address, or as local",
             listeners_are_known_by_name_address_or_as_local),
        TEST("users in routes are known by their file, by a certificate, or not known here",
             users_are_known_by_their_file_or_certificate),
        TEST("what goes below tls-floor is noted", what_goes_below_the_floor_is_noted),
        TEST("a relayhost below tls-floor is noted", a_relayhost_below_the_floor_is_noted),
        TEST("a route behind one for all mail is warned of",
             a_route_behind_one_for_all_mail_is_warned_of),
        TEST("a route behind one that takes all it would is warned of, and no other",
             a_route_behind_one_that_takes_all_it_would_is_warned_of),
        TEST("each route that weakens a policy is noted, and no other",
             each_route_that_weakens_a_policy_is_noted),
        TEST("that DNS decides which name is verified is noted",
             a_name_that_dns_gives_to_verify_is_noted),
        TEST("that DNS decides which name of the relayhost is verified is noted",
             a_relayhost_whose_name_dns_gives_is_noted),
        TEST("a host that the route's families leave out is a fault",
             a_host_that_the_families_leave_out_is_a_fault),
        TEST("a next hop in brackets that is a listener of ours is a fault",
             a_next_hop_that_is_a_listener_of_ours_is_a_fault),
        TEST("a source address that is not ours is warned of",
             a_source_address_that_is_not_ours_is_warned_of),
        TEST("a relayhost is noted like a route", a_relayhost_is_noted_like_a_route),
        TEST("names of next hops are looked up, and addresses are not",
             names_are_looked_up_and_addresses_are_not),
    };
    return cmocka_run_group_tests_name("check of routes", tests, NULL, NULL);
}
