#include "lib/base/settings.h"

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a text; gives what was said about it, "" when it was taken. */
static char *said_of(const char *text, struct settings **out)
{
    struct settings *s = memory_new(sizeof(*s));
    struct settings_errors errors;

    settings_errors_init(&errors);
    bool fine = settings_parse(span_of(text), "conf", s, &errors);
    char *said = memory_copy_span(buf_span(&errors.text));
    settings_errors_clear(&errors);
    if (out && fine)
        *out = s;
    else
        free(s);
    return said;
}

static struct settings *settings_of(const char *text)
{
    struct settings *s = NULL;
    char *said = said_of(text, &s);

    if (!s)
        fail_msg("refused: %s", said);
    free(said);
    return s;
}

static void assert_says(const char *text, const char *part)
{
    char *said = said_of(text, NULL);

    if (!strstr(said, part))
        fail_msg("of \"%s\" was said \"%s\", not \"%s\"", text, said, part);
    free(said);
}

/* An entry that has a name and a next hop; the rest is to be judged. */
static void assert_entry_says(const char *members, const char *part)
{
    char text[1024];

    snprintf(text, sizeof(text), "routes = (\n { name = \"a\"; next-hop = \"[h.example]\"; %s } );",
             members);
    assert_says(text, part);
}

static void assert_next_hop_refused(const char *value)
{
    char text[1024];

    snprintf(text, sizeof(text), "routes = ( { name = \"a\";\n next-hop = %s; } );", value);
    assert_says(text, "conf:2: next-hop");
}

#define FINGERPRINT "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char whole[] =
    "routes = ( { name = \"all\"; recipients = [ \"example.net\", \".example.org\" ];\n"
    " senders = [ \"<>\", \"a.example\" ]; listeners = [ \"edge\", \"[::1]:25\" ];\n"
    " users = [ \"a\\\\da\", \"*\" ];\n"
    " next-hop = [ \"a.example priority 5 weight 3\", \"[b.example]:587\", \"[192.0.2.1]\" ];\n"
    " tls = \"fingerprint\"; tls-fingerprints = [ \"" FINGERPRINT "\" ]; implicit-tls = \"on\";\n"
    " credentials = \"/etc/pass\\\"word\"; source-address = [ \"192.0.2.7\", \"2001:db8::7\" ];\n"
    " hostname = \"out.example\"; port = 2525; connections = 3; rate = \"100/1m\";\n"
    " retry-first = \"1m\"; retry-max = \"1h\"; queue-lifetime = \"2d\"; delay-notice-after = "
    "\"3h\";\n"
    " families = \"ipv6\"; mx-allow = [ \"10.0.0.0/8\" ]; },\n"
    " { name = \"b\"; next-hop = \"error no such \\\"thing\\\"\"; },\n"
    " { name = \"c\"; next-hop = \"error 5.1.10 none\"; },\n"
    " { name = \"d\"; next-hop = \"discard\"; }, { name = \"e\"; next-hop = \"mx\"; },\n"
    " { name = \"f\"; next-hop = \"mx.example:26\"; source-address = \"192.0.2.8\"; } );";

static void a_route_has_all_its_members(void **state)
{
    struct settings *s = settings_of(whole);
    const struct route_settings *r = &s->routes[0];

    (void)state;
    assert_int_equal(s->route_count, 6);
    assert_string_equal(r->name, "all");
    assert_true(domain_list_contains(&r->recipients, SPAN("x.example.org")));
    assert_true(domain_list_contains(&r->senders, SPAN("<>")));
    assert_true(name_list_contains(&r->listeners, SPAN("[::1]:25")));
    assert_true(name_list_contains(&r->users, SPAN("a\\da")));
    assert_int_equal(r->to, ROUTE_TO_HOSTS);
    assert_int_equal(r->host_count, 3);
    assert_string_equal(r->hosts[0].spec, "a.example");
    assert_int_equal(r->hosts[0].priority, 5);
    assert_int_equal(r->hosts[0].weight, 3);
    assert_string_equal(r->hosts[1].spec, "[b.example]:587");
    assert_int_equal(r->hosts[1].priority, 10);
    assert_int_equal(r->hosts[1].weight, 1);
    assert_int_equal(r->tls, ROUTE_LEVEL_FINGERPRINT);
    assert_string_equal(name_list_item(&r->tls_fingerprints, 0), FINGERPRINT);
    assert_int_equal(r->implicit_tls, SWITCH_ON);
    assert_string_equal(r->credentials, "/etc/pass\"word");
    assert_int_equal(r->source_address_count, 2);
    assert_int_equal(r->source_addresses[1].family, ADDRESS_V6);
    assert_string_equal(r->hostname, "out.example");
    assert_int_equal(r->port, 2525);
    assert_int_equal(r->connections, 3);
    assert_int_equal(r->rate.count, 100);
    assert_int_equal(r->rate.per_s, 60);
    assert_int_equal(r->retry_first_s, 60);
    assert_int_equal(r->retry_max_s, 3600);
    assert_int_equal(r->queue_lifetime_s, 2 * 86400);
    assert_int_equal(r->delay_notice_after_s, 3 * 3600);
    assert_int_equal(r->families, FAMILIES_IPV6);
    assert_int_equal(r->mx_allow.count, 1);
    assert_string_equal(s->routes[1].error_text, "5.7.1 no such \"thing\"");
    assert_string_equal(s->routes[2].error_text, "5.1.10 none");
    assert_int_equal(s->routes[3].to, ROUTE_TO_DISCARD);
    assert_int_equal(s->routes[4].to, ROUTE_TO_MX);
    assert_string_equal(s->routes[5].hosts[0].spec, "mx.example:26");
    assert_int_equal(s->routes[5].tls, ROUTE_LEVEL_MAY);
    assert_int_equal(s->routes[5].families, FAMILIES_BOTH);
    free(s);
}

static void routes_survive_writing_and_reading(void **state)
{
    struct settings *s = settings_of(whole);
    struct buf text;

    (void)state;
    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_write(s, &text);
    char *written = memory_copy_span(buf_span(&text));
    struct settings *back = settings_of(written);
    assert_memory_equal(s, back, sizeof(*s));
    free(written);
    buf_clear(&text);
    free(back);
    free(s);
}

static void a_copy_touches_only_what_is_in_use(void **state)
{
    struct settings *from = settings_of("routes = ( { name = \"a\"; next-hop = \"mx\"; } );");
    struct settings *to = memory_new(sizeof(*to));

    (void)state;
    memset(to, 0x5a, sizeof(*to));
    settings_copy(to, from);
    assert_int_equal(to->route_count, 1);
    assert_memory_equal(&to->routes[0], &from->routes[0], sizeof(to->routes[0]));
    assert_int_equal(((unsigned char *)&to->routes[1])[0], 0x5a);
    assert_int_equal(((unsigned char *)&to->listeners[from->listener_count])[0], 0x5a);
    free(to);
    free(from);
}

static void wrong_members_are_refused_with_their_line(void **state)
{
    (void)state;
    assert_says("routes = 5;", "conf:1: routes cannot be 5");
    assert_says("routes = ( 5 );", "conf:1: routes cannot be 5");
    assert_says("routes = (\n { next-hop = \"mx\"; } );", "conf:2: routes lacks a name");
    assert_says("routes = (\n { name = \"a\"; } );", "conf:2: routes lacks a next-hop");
    assert_says("routes = ( { name = \"a\"; next-hop = \"mx\"; },\n"
                "{ name = \"a\"; next-hop = \"mx\"; } );",
                "conf:2: routes has two entries with this name");
    assert_says("routes = ( {\n name = \"A\"; next-hop = \"mx\"; } );", "conf:2: name cannot be");
    assert_says("routes = ( { name = \"a_b\"; next-hop = \"mx\"; } );", "name cannot be");
    assert_says("routes = ( { name = \"\"; next-hop = \"mx\"; } );", "name cannot be");
    assert_says("routes = ( { name = 5; next-hop = \"mx\"; } );", "name cannot be 5");
    assert_says(
        "routes = ( { name = \"a123456789-123456789-123456789-1x\"; next-hop = \"mx\"; } );",
        "name cannot be");
    assert_entry_says("recipients = [ \"a b\" ];", "conf:2: recipients cannot be \"a b\"");
    assert_entry_says("recipients = [ \"<>\" ];", "recipients cannot be");
    assert_entry_says("senders = [ \"<\" ];", "senders cannot be");
    assert_entry_says("senders = \"a.example\";", "senders cannot be");
    assert_entry_says("listeners = [ \"\" ];", "listeners cannot be");
    assert_entry_says("users = \"ada\";", "users cannot be");
    assert_entry_says("users = [ 5 ];", "users cannot be 5");
    assert_entry_says("tls = \"often\";", "tls cannot be \"often\"");
    assert_entry_says("tls-fingerprints = [ \"name:a.example\" ];", "tls-fingerprints cannot be");
    assert_entry_says("tls-fingerprints = [ \"sha256:00\" ];", "tls-fingerprints cannot be");
    assert_entry_says("source-address = \"192.0.2\";", "source-address cannot be");
    assert_entry_says("families = \"ipv5\";", "families cannot be");
    assert_entry_says("relay-from = [ ];",
                      "relay-from does not belong here; write it inside an entry "
                      "of listeners");
    assert_entry_says("log-level = \"info\";",
                      "log-level does not belong here; write it outside of "
                      "routes");
    assert_says("next-hop = \"mx\";", "next-hop does not belong here; write it inside an entry of "
                                      "routes");
    assert_entry_says("recipient = [ ];", "did you mean recipients?");
}

static void next_hops_that_are_none_are_refused(void **state)
{
    (void)state;
    assert_next_hop_refused("\"\"");
    assert_next_hop_refused("[ ]");
    assert_next_hop_refused("5");
    assert_next_hop_refused("\"192.0.2.1\"");
    assert_next_hop_refused("\"error\x01 x\"");
    assert_next_hop_refused("\"error \"");
    assert_next_hop_refused("\"error\"");
    assert_next_hop_refused("\"error 4.7.1 later\"");
    assert_next_hop_refused("\"error 55.7.1 no\"");
    assert_next_hop_refused("\"error 5.7.1\"");
    assert_next_hop_refused("\"error caf\xc3\xa9\"");
    assert_next_hop_refused("[ \"a.example priority\" ]");
    assert_next_hop_refused("[ \"a.example priority x\" ]");
    assert_next_hop_refused("[ \"a.example priority 65536\" ]");
    assert_next_hop_refused("[ \"a.example weight 0\" ]");
    assert_next_hop_refused("[ \"a.example weight 1001\" ]");
    assert_next_hop_refused("[ \"a.example weight 1 weight 2\" ]");
    assert_next_hop_refused("[ \"a.example priority 1 priority 2\" ]");
    assert_next_hop_refused("[ \"a.example share 1\" ]");
    assert_next_hop_refused("[ \"error 5.7.1 x\" ]");
    assert_next_hop_refused("[ \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\" ]");
}

static void an_errors_status_is_whole_or_part_of_its_text(void **state)
{
    struct settings *s = settings_of("routes = ( { name = \"a\"; next-hop = \"error 5.7 no\"; },"
                                     " { name = \"b\"; next-hop = \"error 5.7.1.2 no\"; },"
                                     " { name = \"c\"; next-hop = \"error 5.7.1000 no\"; } );");

    (void)state;
    assert_string_equal(s->routes[0].error_text, "5.7.1 5.7 no");
    assert_string_equal(s->routes[1].error_text, "5.7.1 5.7.1.2 no");
    assert_string_equal(s->routes[2].error_text, "5.7.1 5.7.1000 no");
    free(s);
}

static void members_that_do_not_fit_each_other_are_refused(void **state)
{
    (void)state;
    assert_entry_says("tls = \"fingerprint\";", "tls = \"fingerprint\" and no tls-fingerprints");
    assert_entry_says("tls = \"verify\"; tls-fingerprints = [ \"" FINGERPRINT "\" ];",
                      "tls-fingerprints that do not count");
    assert_entry_says("credentials = \"/x\";", "credentials that could be sent in clear");
    assert_entry_says("credentials = \"/x\"; tls = \"may\";", "could be sent in clear");
    assert_entry_says("implicit-tls = \"on\";", "implicit-tls that asks for no TLS");
    assert_entry_says("retry-first = \"2h\"; retry-max = \"1h\";", "more than its retry-max");
    assert_says("routes = ( { name = \"a\"; next-hop = \"mx\"; tls = \"verify\"; credentials = "
                "\"/x\"; } );",
                "names no host to log in to");
    assert_says("routes = ( { name = \"a\"; next-hop = \"[192.0.2.1]\"; tls = \"verify\"; } );",
                "whose host is an address");
    assert_says("routes = ( { name = \"a\"; tls = \"dane\"; next-hop = [ \"b.example\", "
                "\"[2001:db8::1]:26\" ]; } );",
                "whose host is an address");
    free(settings_of(
        "routes = ( { name = \"a\"; next-hop = \"[192.0.2.1]\"; tls = \"encrypt\"; } );"));
}

static void rates_are_a_number_and_a_time(void **state)
{
    static const char *const wrong[] = { "5",        "\"5\"",   "\"0/1m\"", "\"5/0s\"",
                                         "\"5/2d\"", "\"/1m\"", "\"5/m\"",  "\"1000001/1m\"" };
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "rate = %s;", wrong[i]);
        assert_entry_says(text, "conf:2: rate cannot be");
    }
    struct settings *s =
        settings_of("routes = ( { name = \"a\"; next-hop = \"mx\"; rate = \"\"; },"
                    " { name = \"b\"; next-hop = \"mx\"; rate = \"1000000/1d\"; } );");
    assert_int_equal(s->routes[0].rate.count, 0);
    assert_int_equal(s->routes[1].rate.per_s, 86400);
    free(s);
}

static void lists_end_at_their_room(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, SETTINGS_TEXT_MAX);
    ensure(buf_append(&text, SPAN("routes = ( { name = \"a\"; next-hop = \"mx\"; users = [ ")));
    for (int i = 0; i < 200; i++)
        ensure(buf_printf(&text, "%s\"user-%d\"", i > 0 ? ", " : "", i));
    ensure(buf_append(&text, SPAN(" ]; } );")));
    char *copy = memory_copy_span(buf_span(&text));
    assert_says(copy, "users cannot be \"user-");
    free(copy);
    buf_clear(&text);
    ensure(buf_append(&text, SPAN("routes = ( ")));
    for (int i = 0; i <= SETTINGS_ROUTES_MAX; i++)
        ensure(buf_printf(&text, "%s{ name = \"r%d\"; next-hop = \"mx\"; }", i > 0 ? "," : "", i));
    ensure(buf_append(&text, SPAN(" );")));
    copy = memory_copy_span(buf_span(&text));
    assert_says(copy, "routes has more than 128 entries");
    free(copy);
    buf_clear(&text);
}

/* Of the longest file, in the shortest writing, with as many routes as there can be. */
static void any_file_can_be_handed_on_with_all_its_defaults(void **state)
{
    struct buf file, written;

    (void)state;
    buf_init(&file, SETTINGS_FILE_MAX);
    ensure(buf_append(&file, SPAN("routes=(")));
    for (int i = 0; i < SETTINGS_ROUTES_MAX; i++) {
        ensure(buf_printf(&file, "%s{name=\"r%d\";next-hop=\"mx\";recipients=[\"a\"",
                          i > 0 ? "," : "", i));
        for (int n = 0; n < 980; n++)
            ensure(buf_append(&file, SPAN(",\"b\"")));
        ensure(buf_append(&file, SPAN("];}")));
    }
    ensure(buf_append(&file, SPAN(");")));
    assert_true(buf_len(&file) > SETTINGS_FILE_MAX * 95 / 100);
    char *text = memory_copy_span(buf_span(&file));
    struct settings *s = settings_of(text);
    buf_init(&written, SETTINGS_TEXT_MAX);
    settings_write(s, &written);
    assert_true(buf_len(&written) < FRAME_MESSAGE_MAX - 16 * 1024);
    buf_clear(&written);
    buf_clear(&file);
    free(text);
    free(s);
}

static void assert_edge(const char *routes, bool is_fine)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "listeners = ( { address = \"192.0.2.1:25\"; preset = \"edge\"; recipients = \"/r\";\n"
             "relay-to = [ \"example.net\", \".example.net\" ]; } );\nroutes = ( %s );",
             routes);
    if (is_fine)
        free(settings_of(text));
    else
        assert_says(text, "conf:2: relay-to without relayhost");
}

static void own_domains_need_a_route_or_a_relayhost(void **state)
{
    (void)state;
    assert_edge("", false);
    assert_edge("{ name = \"a\"; recipients = [ \"example.net\", \".example.net\" ];"
                " next-hop = \"[h.example]\"; }",
                true);
    assert_edge("{ name = \"a\"; recipients = [ \"example.net\", \".net\" ];"
                " next-hop = \"[h.example]\"; }",
                true);
    assert_edge("{ name = \"a\"; next-hop = \"discard\"; }", true);
    assert_edge("{ name = \"a\"; recipients = [ \"example.net\" ]; next-hop = \"[h.example]\"; }",
                false);
    assert_edge("{ name = \"a\"; next-hop = \"mx\"; }", false);
    assert_edge("{ name = \"a\"; recipients = [ \".net\" ]; next-hop = \"mx\"; },"
                " { name = \"b\"; next-hop = \"[h.example]\"; }",
                false);
    assert_edge("{ name = \"a\"; senders = [ \"x.example\" ]; next-hop = \"[h.example]\"; }",
                false);
}

static void the_line_of_a_routes_member_is_found(void **state)
{
    char path[] = "/tmp/waxseal-routes.XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    (void)state;
    assert_non_null(file);
    fputs("# one\nroutes = (\n  { name = \"a\"; next-hop = \"mx\"; },\n  { name = \"b\";\n"
          "    next-hop = \"mx\"; } );\n",
          file);
    fclose(file);
    assert_int_equal(settings_find_line(path, "routes", 0, "name"), 3);
    assert_int_equal(settings_find_line(path, "routes", 1, "next-hop"), 5);
    assert_int_equal(settings_find_line(path, "routes", 2, "name"), 0);
    remove(path);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("a route has all its members", a_route_has_all_its_members),
        TEST("routes survive writing and reading", routes_survive_writing_and_reading),
        TEST("a copy touches only the listeners and routes in use",
             a_copy_touches_only_what_is_in_use),
        TEST("wrong members of a route are refused with their line",
             wrong_members_are_refused_with_their_line),
        TEST("next hops that are none are refused", next_hops_that_are_none_are_refused),
        TEST("an error's status is a whole one, or part of its text",
             an_errors_status_is_whole_or_part_of_its_text),
        TEST("members of a route that do not fit each other are refused, passwords in clear above "
             "all",
             members_that_do_not_fit_each_other_are_refused),
        TEST("a rate is a number and a time", rates_are_a_number_and_a_time),
        TEST("lists of a route, and routes, end at their room", lists_end_at_their_room),
        TEST("any file can be handed on with all its defaults written out",
             any_file_can_be_handed_on_with_all_its_defaults),
        TEST("our own domains need a route or a relayhost",
             own_domains_need_a_route_or_a_relayhost),
        TEST("the line of a route's member is found", the_line_of_a_routes_member_is_found),
    };
    return cmocka_run_group_tests_name("routes in settings", tests, NULL, NULL);
}
