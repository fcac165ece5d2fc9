#include "lib/base/settings.h"

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads a text that is wrong; gives what was said about it. */
static char *errors_of(struct span text)
{
    struct settings *s = memory_new(sizeof(*s));
    struct settings_errors errors;
    char *said;

    memset(s, 0x5a, sizeof(*s));
    settings_errors_init(&errors);
    if (settings_parse(text, "conf", s, &errors))
        fail_msg("accepted: " SPAN_FMT, SPAN_ARG(text));
    assert_int_equal(((unsigned char *)s)[0], 0x5a); /* left alone */
    assert_true(errors.count > 0);
    said = memory_copy_span(buf_span(&errors.text));
    settings_errors_clear(&errors);
    free(s);
    return said;
}

static void assert_says(const char *text, const char *part)
{
    char *said = errors_of(span_of(text));

    if (!strstr(said, part))
        fail_msg("of \"%s\" was said \"%s\", not \"%s\"", text, said, part);
    free(said);
}

static void an_empty_text_is_a_loopback_relay(void **state)
{
    struct settings *s = settings_of("");

    (void)state;
    assert_int_equal(s->listener_count, 2);
    for (unsigned i = 0; i < s->listener_count; i++) {
        const struct listener_settings *l = &s->listeners[i];
        assert_true(ip_address_is_loopback(&l->addresses[0].address));
        assert_int_equal(l->address_count, 1);
        assert_int_equal(l->addresses[0].port, 25);
        assert_int_equal(l->relay_from.count, 2);
        for (unsigned j = 0; j < l->relay_from.count; j++)
            assert_true(ip_address_is_loopback(&l->relay_from.items[j].address));
    }
    assert_string_equal(s->user, "waxseal");
    assert_string_equal(s->state_dir, "/var/lib/waxseal");
    assert_string_not_equal(s->hostname, "");
    assert_memory_equal(s->postmaster, "postmaster@", 11);
    assert_int_equal(s->max_message_bytes, 25 << 20);
    assert_int_equal(s->queue_bytes_max, 8LL << 30);
    assert_int_equal(s->retry_first_s, 300);
    assert_int_equal(s->queue_lifetime_s, 5 * 86400);
    assert_int_equal(s->received_hops_max, 100);
    assert_int_equal(s->delivery, DELIVERY_ON);
    free(s);
}

static void every_kind_of_value_is_read(void **state)
{
    struct settings *s =
        settings_of("hostname = \"relay.example.net\"; # a comment\n"
                    "log-level = \"debug\"; delivery = \"hold\";\n"
                    "listeners = ( { address = \"[2001:db8::1]:2525\";\n"
                    "  relay-from = [ \"10.0.0.0/8\", \"2001:db8::/32\" ];\n"
                    "  tls-certificate = \"/c.pem\"; tls-key = \"/k.pem\"; } );\n"
                    "relayhost = \"[mx.example.net]:587\"; tls-level = \"encrypt\";\n"
                    "mx-allow = [ \"192.168.0.0/16\" ];\n"
                    "resolvers = [ \"127.0.0.1\", \"[::1]:5353\" ];\n"
                    "postmaster-copies = [ \"2bounce\", \"policy\" ];\n"
                    "max-recipients = 200; queue-size-max = 8589934592L;\n"
                    "max-message-size = \"1M\"; smtpd-timeout = \"90s\";\n"
                    "tlsrpt-organization = \"M\xc3\xbcller \\\"&\\\" S\xc3\xb6hne\";\n");

    (void)state;
    assert_string_equal(s->hostname, "relay.example.net");
    assert_string_equal(s->postmaster, "postmaster@relay.example.net");
    assert_int_equal(s->log_level, LOG_DEBUG);
    assert_int_equal(s->delivery, DELIVERY_HOLD);
    assert_int_equal(s->listener_count, 1);
    assert_int_equal(s->listeners[0].addresses[0].port, 2525);
    assert_int_equal(s->listeners[0].relay_from.count, 2);
    assert_string_equal(path_list_item(&s->listeners[0].tls_key, 0), "/k.pem");
    assert_string_equal(s->relayhost, "[mx.example.net]:587");
    assert_int_equal(s->tls_level, RELAYHOST_TLS_ENCRYPT);
    assert_int_equal(s->mx_allow.count, 1);
    assert_int_equal(s->resolver_count, 2);
    assert_int_equal(s->resolvers[0].port, 53);
    assert_int_equal(s->resolvers[1].port, 5353);
    assert_int_equal(s->postmaster_copies, 1 + 16);
    assert_int_equal(s->queue_bytes_max, 8589934592);
    assert_int_equal(s->smtpd_timeout_s, 90);
    assert_string_equal(s->tlsrpt_organization, "M\xc3\xbcller \"&\" S\xc3\xb6hne");
    free(s);
}

static void all_errors_are_found_in_one_pass(void **state)
{
    char *said = errors_of(SPAN("hostnam = \"x\";\n"
                                "max-recipients = 5;\n"
                                "retry-first = \"5 minutes\";\n"
                                "listeners = ( { adress = \"1.2.3.4:25\"; },\n"
                                "  { address = \"1.2.3.4\"; } );\n"
                                "max-recipients = 500;\n"
                                "  @include \"other.conf\"\n"
                                "delivery = \"off\";\n"));
    static const char *const parts[] = {
        "conf:1: there is no setting hostnam; did you mean hostname?\n",
        "conf:2: max-recipients is out of range; write a whole number: 100 to 50000\n",
        "conf:3: retry-first cannot be \"5 minutes\"; write a number with s, m, h or d",
        "conf:4: there is no setting adress; did you mean address?\n",
        "conf:5: address cannot be \"1.2.3.4\"; write an address and a port",
        "conf:6: max-recipients was given before",
        "conf:7: @include is not supported",
        "conf:8: delivery cannot be \"off\"; write one of these words: on, hold\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!strstr(said, parts[i]))
            fail_msg("missing: %s in: %s", parts[i], said);
    free(said);
}

static void unknown_names_get_the_nearest_known_one(void **state)
{
    (void)state;
    assert_says("state_dir = \"/x\";", "did you mean state-dir?");
    assert_says("relay-host = \"x\";", "did you mean relayhost?");
    assert_says("qqqqqqqqqqqqqq = 1;", "see waxseal.conf(5)");
    assert_says("relay-from = [ \"10.0.0.0/8\" ];", "inside an entry of listeners");
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; user = \"x\"; } );",
                "outside of listeners");
}

static void no_error_hides_behind_another(void **state)
{
    const char *entry = "listeners = ( { adress = \"x\"; tls-key = \"/k\"; } );\n"
                        "retry-first = \"5h\"; retry-max = \"1h\";";

    (void)state;
    assert_says(entry, "did you mean address?");
    assert_says(entry, "lacks an address");
    assert_says(entry, "only one of tls-certificate and tls-key");
    assert_says(entry, "retry-first is more than retry-max");
    assert_says(entry, "; write address = \"192.0.2.1:25\"\n");
    assert_says(entry, "; write both or none of them\n");
    entry = "listeners = ( { address = \"127.0.0.1:25\";\n"
            "relay-from = [ \"0.0.0.0/0\",\n\"::/0\" ]; } );";
    assert_says(entry, "conf:2: relay-from would make an open relay");
    assert_says(entry, "conf:3: relay-from would make an open relay");
}

static void auth_is_required_only_where_it_can_be(void **state)
{
    static const char with_tls[] =
        "listeners = ( { address = \"127.0.0.1:25\"; tls-certificate = \"/c\"; tls-key = \"/k\";\n"
        "auth = \"required\"; } );";

    (void)state;
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; auth = \"required\"; } );",
                "passwords are taken inside TLS only");
    assert_says(with_tls, "conf:2: auth: \"required\" without users-file");
    assert_says("users-file = \"relative\";", "users-file");
    assert_says("dovecot-socket = \"relative\";", "dovecot-socket");
    assert_says("users-file = \"/u\";\ndovecot-socket = \"/d\";",
                "conf:2: dovecot-socket and users-file");
}

static void the_line_of_a_setting_can_be_found_later(void **state)
{
    char path[] = "/tmp/waxseal-settings-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    (void)state;
    assert_non_null(file);
    fputs("user = \"x\";\nlisteners = ( { address = \"127.0.0.1:25\"; },\n"
          "{ address = \"127.0.0.2:25\";\ntls-key = \"/k\"; } );\nca-file = \"/c\";\n",
          file);
    fclose(file);
    assert_int_equal(settings_find_line(path, NULL, 0, "ca-file"), 5);
    assert_int_equal(settings_find_line(path, NULL, 0, "log-level"), 0);
    assert_int_equal(settings_find_line(path, "listeners", 1, "tls-key"), 4);
    assert_int_equal(settings_find_line(path, "listeners", 0, "tls-key"), 0);
    assert_int_equal(settings_find_line(path, "listeners", 2, "tls-key"), 0);
    unlink(path);
    assert_int_equal(settings_find_line(path, NULL, 0, "ca-file"), 0);
}

static void a_preset_sets_what_is_not_written(void **state)
{
    struct settings *s = settings_of(
        "users-file = \"/u\";\n"
        "listeners = ( { address = \"127.0.0.1:587\"; preset = \"submission\"; name = \"users\";\n"
        "  tls-certificate = \"/c.pem\"; tls-key = \"/k.pem\"; },\n"
        "{ address = \"127.0.0.1:465\"; tls-certificate = \"/c\"; tls-key = \"/k\";\n"
        "  relay-from = [ \"192.0.2.0/24\" ]; banner = \"ESMTP\"; preset = \"submissions\"; },\n"
        "{ address = \"127.0.0.1:25\"; } );");

    (void)state;
    assert_int_equal(s->listeners[0].tls, LISTENER_TLS_REQUIRED);
    assert_int_equal(s->listeners[0].auth, LISTENER_AUTH_REQUIRED);
    assert_int_equal(s->listeners[0].relay_from.count, 0);
    assert_string_equal(s->listeners[0].name, "users");
    assert_string_equal(s->listeners[0].banner, "ESMTP waxseal");
    assert_int_equal(s->listeners[1].tls, LISTENER_TLS_IMPLICIT);
    assert_int_equal(s->listeners[1].relay_from.count, 1); /* what is written counts */
    assert_string_equal(s->listeners[1].banner, "ESMTP");
    assert_int_equal(s->listeners[2].preset, PRESET_RELAY);
    assert_int_equal(s->listeners[2].tls, LISTENER_TLS_OPTIONAL);
    assert_int_equal(s->listeners[2].relay_from.count, 2);
    assert_int_equal(s->listeners[0].submission_fixes, SWITCH_ON);
    assert_int_equal(s->listeners[1].submission_fixes, SWITCH_ON);
    assert_int_equal(s->listeners[2].submission_fixes, SWITCH_OFF);
    assert_int_equal(s->local.submission_fixes, SWITCH_ON);
    assert_int_equal(s->local.complete_addresses, SWITCH_ON);
    free(s);
}

static void rewrites_and_field_names_are_read(void **state)
{
    struct settings *s = settings_of(
        "rewrite = [ \"a@b.internal->ops@example.net\", \" .internal  ->  example.net \" ];\n"
        "origin = \"example.com\";\n"
        "listeners = ( { address = \"127.0.0.1:25\"; remove-headers = [ \"X-Mailer\" ]; } );");

    (void)state;
    assert_int_equal(s->rewrites.count, 2);
    assert_string_equal(s->rewrites.items[0].from, "a@b.internal");
    assert_string_equal(s->rewrites.items[0].to, "ops@example.net");
    assert_string_equal(s->rewrites.items[1].from, ".internal");
    assert_string_equal(s->rewrites.items[1].to, "example.net");
    assert_string_equal(s->origin, "example.com");
    assert_string_equal(s->listeners[0].remove_headers.items[0], "X-Mailer");
    free(s);
    s = settings_of("");
    assert_true(s->origin[0] != '\0'); /* of this machine */
    free(s);
}

static void rewrites_and_field_names_must_make_sense(void **state)
{
    static const char *const bad[] = {
        "rewrite = [ \"a@b.internal\" ];", "rewrite = [ \"a@b -> c\" ];",
        "rewrite = [ \"b -> a@c\" ];",     "rewrite = [ \"b -> .c\" ];",
        "rewrite = [ \" -> c\" ];",        "rewrite = [ \"b ->\" ];",
        "rewrite = [ \". -> c\" ];",       "rewrite = [ 1 ];",
        "rewrite = \"b -> c\";",
    };
    static const char *const bad_names[] = { "\"Received\"", "\"a b\"", "\"\"", "\"a:\"", "3" };
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_says(bad[i], "rewrite cannot be");
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        snprintf(text, sizeof(text),
                 "listeners = ( { address = \"127.0.0.1:25\"; remove-headers = [ %s ]; } );",
                 bad_names[i]);
        assert_says(text, "remove-headers cannot be");
    }
    snprintf(text, sizeof(text),
             "listeners = ( { address = \"127.0.0.1:25\"; remove-headers = [ \"%064d\" ]; } );", 0);
    assert_says(text, "remove-headers cannot be");
}

static void lists_have_a_length(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, SETTINGS_TEXT_MAX);
    assert_true(buf_printf(&text, "rewrite = [ \"a -> b\""));
    for (int i = 0; i < SETTINGS_REWRITES_MAX; i++)
        assert_true(buf_printf(&text, ", \"a%d -> b\"", i));
    assert_true(buf_append(&text, (struct span){ " ];", 4 }));
    assert_says(buf_span(&text).data, "rewrite has too many entries");
    buf_clear(&text);
}

static void a_listener_may_have_several_addresses_and_certificates(void **state)
{
    struct settings *s =
        settings_of("listeners = ( { address = [ \"192.0.2.1:25\", \"[2001:db8::1]:25\" ];\n"
                    "  tls-certificate = [ \"/rsa.pem\", \"/ec.pem\" ]; tls-key = ( \"/rsa.key\",\n"
                    "  \"/ec.key\" ); tls-minimum = \"1.3\"; } );");
    const struct listener_settings *l = &s->listeners[0];
    char text[NETWORK_TEXT_SIZE];

    (void)state;
    assert_int_equal(l->address_count, 2);
    endpoint_format(&l->addresses[1], text);
    assert_string_equal(text, "[2001:db8::1]:25");
    assert_int_equal(l->tls_certificate.count, 2);
    assert_string_equal(path_list_item(&l->tls_certificate, 1), "/ec.pem");
    assert_string_equal(path_list_item(&l->tls_key, 0), "/rsa.key");
    assert_int_equal(l->tls_minimum, TLS_MINIMUM_13);
    free(s);
}

static void a_listener_may_have_a_unix_socket(void **state)
{
    struct settings *s =
        settings_of("listeners = ( { address = \"unix:/run/a b/smtp\"; },\n"
                    "  { name = \"x\"; address = [ \"unix:/run/other\", \"127.0.0.1:25\" ]; } );");
    char label[SETTINGS_UNIX_SIZE];

    (void)state;
    assert_int_equal(s->listeners[0].address_count, 0);
    assert_string_equal(s->listeners[0].unix_path, "/run/a b/smtp");
    listener_settings_label(&s->listeners[0], label);
    assert_string_equal(label, "/run/a b/smtp");
    assert_int_equal(s->listeners[1].address_count, 1);
    assert_string_equal(s->listeners[1].unix_path, "/run/other");
    listener_settings_label(&s->listeners[1], label);
    assert_string_equal(label, "x");
    s->listeners[1].name[0] = '\0';
    listener_settings_label(&s->listeners[1], label);
    assert_string_equal(label, "127.0.0.1:25");
    free(s);
}

static void unix_sockets_that_cannot_be_are_refused(void **state)
{
    char path[2 * SETTINGS_UNIX_SIZE];
    struct buf text;

    (void)state;
    assert_says("listeners = ( { address = \"unix:run/x\"; } );",
                "address cannot be \"unix:run/x\"");
    assert_says("listeners = ( { address = \"unix:\"; } );", "address cannot be \"unix:\"");
    assert_says("listeners = ( { address = \"unix:/run/\"; } );",
                "address cannot be \"unix:/run/\"");
    assert_says("listeners = ( { address = [ \"unix:/a\", \"unix:/b\" ]; } );",
                "address cannot be \"unix:/b\"");
    assert_says("listeners = ( { address = \"unix:/a\"; }, { address = \"unix:/a\"; } );",
                "two entries with this address");
    memset(path, 'x', sizeof(path));
    buf_init(&text, SETTINGS_TEXT_MAX);
    assert_true(buf_printf(&text, "listeners = ( { address = \"unix:/%.*s\"; } );",
                           SETTINGS_UNIX_SIZE - 1, path));
    assert_says(buf_span(&text).data, "address cannot be");
    buf_clear(&text);
}

static void other_mail_systems_ask_where_the_internet_does_not_reach(void **state)
{
    static const char *const sockets[] = { "127.0.0.1:8461", "[::1]:8461", "10.0.0.5:1", "",
                                           "unix:/var/spool/postfix/private/policy" };
    static const char *const refused[] = { "192.88.98.1:8461", "[2600::1]:8461", "0.0.0.0:8461",
                                           "[::]:8461",        "127.0.0.1",      "127.0.0.1:0",
                                           "localhost:8461",   "unix:policy",    "unix:",
                                           "unix:/run/",       "/run/policy",    "127.0.0.1:x" };
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        snprintf(text, sizeof(text), "socketmap = \"%s\";", sockets[i]);
        struct settings *s = settings_of(text);
        assert_string_equal(s->socketmap, sockets[i]);
        free(s);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        snprintf(text, sizeof(text), "socketmap = \"%s\";", refused[i]);
        assert_says(text, "socketmap cannot be");
    }
    assert_says("socketmap = \"127.0.0.1:25\";\nlisteners = ( { address = \"127.0.0.1:25\"; } );",
                "f:1: socketmap: a listener has the address 127.0.0.1:25 already");
    assert_says("listeners = ( { address = \"unix:/a\"; } );\nsocketmap = \"unix:/a\";",
                "socketmap: a listener has the address unix:/a already");
    free(settings_of("listeners = ( { address = \"127.0.0.1:8461\"; } );\n"
                     "socketmap = \"127.0.0.1:8461\";")); /* its default gives way */
}

static void lists_of_a_listener_that_do_not_fit_are_refused(void **state)
{
#define ENTRY(members) "listeners = ( { address = \"127.0.0.1:25\"; " members " } );"
    (void)state;
    assert_says("listeners = ( { address = [ ]; } );", "lacks an address");
    assert_says("listeners = ( { address = [ \"127.0.0.1:25\", \"x\" ]; } );",
                "address cannot be \"x\"");
    assert_says("listeners = ( { address = [ \"127.0.0.1:25\", \"127.0.0.1:25\" ]; } );",
                "two entries with this address");
    assert_says("listeners = ( { address = [ \"127.0.0.1:25\", \"127.0.0.2:25\" ]; },\n"
                "{ address = [ \"127.0.0.3:25\", \"127.0.0.2:25\" ]; } );",
                "two entries with this address");
    assert_says("listeners = ( { address = [ \"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\",\n"
                "\"127.0.0.1:4\", \"127.0.0.1:5\", \"127.0.0.1:6\", \"127.0.0.1:7\",\n"
                "\"127.0.0.1:8\", \"127.0.0.1:9\" ]; } );",
                "more than 8 entries");
    assert_says(ENTRY("tls-certificate = [ \"/a\", \"/b\" ]; tls-key = \"/k\";"),
                "not as many of tls-key as of tls-certificate");
    assert_says(ENTRY("tls-certificate = [ \"a\" ]; tls-key = \"/k\";"),
                "tls-certificate cannot be \"a\"");
    assert_says(ENTRY("tls-certificate = [ ]; tls-key = \"/k\";"), "only one of");
    assert_says(ENTRY("tls-minimum = \"1.1\";"), "1.2, 1.3");
}

static void certificates_of_clients_need_tls(void **state)
{
    (void)state;
    assert_says(ENTRY("tls-client-ca = \"/ca\";"), "asks no client for a certificate");
    assert_says(ENTRY("tls-client-certificates = \"require\"; tls-certificate = \"/c\";\n"
                      "tls-key = \"/k\";"),
                "requires certificates of clients, but not TLS");
}

static void listeners_that_cannot_do_what_they_ask_are_refused(void **state)
{
    (void)state;
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; tls = \"required\"; } );",
                "requires TLS and names no tls-certificate");
    assert_says("listeners = ( { address = \"127.0.0.1:465\"; preset = \"submissions\"; } );",
                "requires TLS and names no tls-certificate");
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; name = \"a\"; },\n"
                "{ address = \"127.0.0.1:26\"; name = \"a\"; } );",
                "two entries with this name");
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; name = \"a b\"; } );", "letters");
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; banner = \"\\xc3\\xa4\"; } );",
                "printable ASCII");
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; preset = \"edgy\"; } );",
                "relay, submission, submissions, edge");
}

#define BEHIND "relayhost = \"[192.0.2.9]\";\n"
#define EDGE(members)                                                                              \
    "listeners = ( { address = \"192.0.2.1:25\"; preset = \"edge\"; " members " } );"

static void an_edge_takes_mail_for_its_domains_from_anybody(void **state)
{
    struct settings *s = settings_of(
        BEHIND EDGE("relay-to = [ \"example.net\", \".example.org\" ]; recipients = \"/r\";"));
    const struct listener_settings *l = &s->listeners[0];

    (void)state;
    assert_int_equal(l->preset, PRESET_EDGE);
    assert_int_equal(l->relay_from.count, 0);
    assert_int_equal(l->auth, LISTENER_AUTH_OFF);
    assert_int_equal(l->relay_to.count, 2);
    assert_true(domain_list_contains(&l->relay_to, SPAN("example.net")));
    assert_true(domain_list_contains(&l->relay_to, SPAN("a.example.org")));
    assert_false(domain_list_contains(&l->relay_to, SPAN("example.org")));
    assert_false(domain_list_contains(&l->relay_to, SPAN("")));
    assert_string_equal(l->recipients, "/r");
    free(s);
}

static void rules_for_clients_that_are_none_are_refused(void **state)
{
    static const char *const wrong[] = {
        "ada: example.net",
        "user: example.net",
        "user ada",
        "user ada:",
        "user ada: ",
        "user ada: example.net,",
        "user ada: not a domain",
        "user ada: a@b@c",
        "host ada: example.net",
        "network 192.0.2.1/24: example.net",
        "network 2001:db8::/32",
        "network 192.0.2.0/24:example.net",
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(text, sizeof(text), "sender-rules = [ \"%s\" ];", wrong[i]);
        assert_says(text, "sender-rules cannot be");
    }
    assert_says("recipient-rules = \"user ada: example.net\";", "recipient-rules cannot be");
    assert_says("recipient-rules = [ 5 ];", "recipient-rules cannot be 5");
}

static void an_edge_that_would_take_what_bounces_is_refused(void **state)
{
    (void)state;
    assert_says(BEHIND EDGE("recipients = \"/r\";"), "no relay-to");
    assert_says(BEHIND EDGE("relay-to = [ ]; recipients = \"/r\";"), "no relay-to");
    assert_says(BEHIND EDGE("relay-to = [ \"example.net\" ];"),
                "can only bounce; write recipients = ");
    assert_says(BEHIND "listeners = ( { address = \"192.0.2.1:25\"; "
                       "relay-to = [ \"example.net\" ]; } );",
                "can only bounce");
    assert_says(BEHIND EDGE("relay-to = [ \"example.net\" ]; recipients = \"/r\"; "
                            "verify-recipients = \"next-hop\";"),
                "both recipients and verify-recipients");
    free(settings_of(BEHIND EDGE("relay-to = [ \"x.y\" ]; verify-recipients = \"next-hop\";")));
    assert_says(EDGE("relay-to = [ \"example.net\" ]; recipients = \"/r\";"),
                "relay-to without relayhost");
    assert_says(BEHIND EDGE("relay-to = \"example.net\"; recipients = \"/r\";"),
                "a list of domains");
    assert_says(BEHIND EDGE("relay-to = [ \"*.example.net\" ]; recipients = \"/r\";"),
                "cannot be \"*.example.net\"");
    assert_says(BEHIND EDGE("relay-to = [ \"\" ]; recipients = \"/r\";"), "a list of domains");
    assert_says(BEHIND EDGE("relay-to = [ \".\" ]; recipients = \"/r\";"), "a list of domains");
}

static void open_relays_are_refused(void **state)
{
    (void)state;
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; relay-from = [ \"0.0.0.0/0\" ]; } );",
                "open relay");
    assert_says("listeners = ( { address = \"127.0.0.1:25\"; relay-from = [ \"10.0.0.0/7\" ]; } );",
                "open relay");
    assert_says(
        "listeners = ( { address = \"127.0.0.1:25\"; relay-from = [ \"2001:db8::/31\" ]; } );",
        "open relay");
    assert_says(
        "listeners = ( { address = \"127.0.0.1:25\"; relay-from = [ \"::ffff:0:0/96\" ]; } );",
        "open relay");
    free(settings_of("mx-allow = [ \"0.0.0.0/0\" ];")); /* a wide network of another setting */
}

static void wrong_types_and_values_are_refused(void **state)
{
    static const char *const texts[] = {
        "hostname = 5;",
        "hostname = \"-x\";",
        "hostname = \"a..b\";",
        "hostname = \"a b\";",
        "user = \"\";",
        "user = \"-x\";",
        "state-dir = \"relative\";",
        "state-dir = \"\";",
        "log-level = \"loud\";",
        "log-level = 1;",
        "postmaster = \"nobody\";",
        "postmaster = \"a b@c\";",
        "listeners = ( );",
        "listeners = \"127.0.0.1:25\";",
        "listeners = { address = \"127.0.0.1:25\"; };",
        "listeners = ( { } );",
        "listeners = ( { address = \"127.0.0.1:25\"; tls-key = \"/k\"; } );",
        "listeners = ( { address = \"127.0.0.1:25\"; }, { address = \"127.0.0.1:25\"; } );",
        "relayhost = \"192.0.2.1\";",
        "relayhost = \"[x\";",
        "relayhost = \"x:0\";",
        "relayhost = \"[x]25\";",
        "tls-level = true;",
        "mx-allow = \"10.0.0.0/8\";",
        "mx-allow = [ \"10.0.0.1/8\" ];",
        "mx-allow = [ 10 ];",
        "resolvers = [ \"dns.example\" ];",
        "postmaster-copies = [ \"software\" ];",
        "postmaster-copies = [ 1 ];",
        "postmaster-copies = \"bounce\";",
        "max-recipients = \"1000\";",
        "max-recipients = -1;",
        "max-recipients = 1.5;",
        "max-message-size = \"25\\nM\";",
        "max-message-size = \"25X\";",
        "max-message-size = \"99999999999999999999G\";",
        "max-message-size = \"18014398509481985K\";",
        "received-hops-max = 29;",
        "received-hops-max = 101;",
        "retry-first = 300;",
        "retry-first = \"300\";",
        "retry-first = \"0s\";",
        "tlsrpt-organization = \"a\\x01\";",
        "tlsrpt-organization = \"\xff\";",
        "hostname = \"unterminated",
        "= 5;",
        "}",
        "a = ( ( ( (",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(errors_of(span_of(texts[i])));
    free(errors_of((struct span){ "user = \"x\";\0", 12 }));
}

static void who_reports_is_one_domain(void **state)
{
    static const struct {
        const char *text, *contact, *sender;
    } rows[] = {
        { "hostname = \"r.test\";", "postmaster@r.test", "postmaster@r.test" },
        { "tlsrpt-contact = \"a@b.test\";", "a@b.test", "a@b.test" },
        { "tlsrpt-sender = \"a@b.test\";", "a@b.test", "a@b.test" },
        { "tlsrpt-sender = \"a@b.test\"; tlsrpt-contact = \"c@B.test\";", "c@B.test", "a@b.test" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct settings *s = settings_of(rows[i].text);
        assert_string_equal(s->tlsrpt_contact, rows[i].contact);
        assert_string_equal(s->tlsrpt_sender, rows[i].sender);
        assert_int_equal(s->tlsrpt_reports, SWITCH_ON);
        assert_int_equal(s->tlsrpt_spread_s, 4 * 3600);
        assert_int_equal(s->tlsrpt_exclude.count, 0);
        free(s);
    }
    assert_says("tlsrpt-sender = \"a@b.test\"; tlsrpt-contact = \"c@d.test\";", "of two domains");
}

static void settings_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    assert_says("\nretry-first = \"5h\";", "conf:2: retry-first is more than retry-max");
    assert_says("queue-size-max = \"2M\";", "max-message-size is more than queue-size-max");
}

static void an_include_is_refused_and_never_opened(void **state)
{
    (void)state;
    assert_says("@include \"/etc/passwd\"\n", "conf:1: @include is not supported");
    assert_says("user = \"x\";\n\t@include \"/etc/passwd\"\n", "conf:2: @include");
}

/* --- the property: what is written is read back to the same ------------------------------------
 */

static void assert_round_trip(const struct settings *s)
{
    struct settings_errors errors;
    struct settings *back = memory_new(sizeof(*back));
    struct buf text;

    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_errors_init(&errors);
    settings_write(s, &text);
    if (!settings_parse(buf_span(&text), "written", back, &errors))
        fail_msg("written, then refused: " SPAN_FMT, SPAN_ARG(buf_span(&errors.text)));
    assert_memory_equal(s, back, sizeof(*s));
    settings_errors_clear(&errors);
    buf_clear(&text);
    free(back);
}

static void random_endpoint(struct endpoint *e, unsigned port)
{
    char text[NETWORK_TEXT_SIZE];

    if (random_below(2))
        snprintf(text, sizeof(text), "10.%u.%u.1:%u", (unsigned)random_below(256),
                 (unsigned)random_below(256), port);
    else
        snprintf(text, sizeof(text), "[2001:db8:%x::%x]:%u", (unsigned)random_below(65536),
                 (unsigned)random_below(65536), port);
    assert_true(endpoint_parse(span_of(text), 0, e));
}

static void random_networks(struct network_list *list)
{
    char text[NETWORK_TEXT_SIZE];

    memset(list, 0, sizeof(*list));
    list->count = (unsigned)random_below(SETTINGS_NETWORKS_MAX + 1);
    for (unsigned i = 0; i < list->count; i++) {
        if (random_below(2))
            snprintf(text, sizeof(text), "10.%u.0.0/%u", (unsigned)random_below(256),
                     16 + (unsigned)random_below(17));
        else
            snprintf(text, sizeof(text), "2001:db8:%x::/%u", (unsigned)random_below(65536),
                     48 + (unsigned)random_below(81));
        assert_true(network_parse(span_of(text), &list->items[i]));
    }
}

static void random_text(char *room, size_t size, const char *start, const char *letters)
{
    size_t len = strlen(start) + random_below(size - strlen(start));

    memset(room, 0, size);
    for (size_t i = 0; i < len; i++)
        room[i] = i < strlen(start) ? start[i] : letters[random_below(strlen(letters))];
}

static void random_paths(struct path_list *list, unsigned count)
{
    size_t used = 0;

    memset(list, 0, sizeof(*list));
    for (unsigned i = 0; i < count; i++) {
        random_text(list->text + used, SETTINGS_PATHS_SIZE / SETTINGS_CERTIFICATES_MAX, "/",
                    "ab/ \"\\;#{}()'@");
        used += strlen(list->text + used) + 1;
    }
    list->count = count;
}

static void random_listeners(struct settings *s)
{
    memset(s->listeners, 0, sizeof(s->listeners));
    s->listener_count = 1 + (unsigned)random_below(SETTINGS_LISTENERS_MAX);
    for (unsigned i = 0; i < s->listener_count; i++) {
        s->listeners[i].address_count = 1 + (unsigned)random_below(SETTINGS_ADDRESSES_MAX);
        for (unsigned n = 0; n < s->listeners[i].address_count; n++)
            random_endpoint(&s->listeners[i].addresses[n], 1000 + 10 * i + n);
        if (s->listeners[i].address_count < SETTINGS_ADDRESSES_MAX)
            snprintf(s->listeners[i].unix_path, SETTINGS_UNIX_SIZE, "/run/\"%u\\", i);
        random_networks(&s->listeners[i].relay_from);
        if (random_below(2)) {
            random_paths(&s->listeners[i].tls_certificate, 1 + i % SETTINGS_CERTIFICATES_MAX);
            random_paths(&s->listeners[i].tls_key, 1 + i % SETTINGS_CERTIFICATES_MAX);
            s->listeners[i].tls_minimum = (enum listener_tls_minimum)random_below(2);
            s->listeners[i].tls = (enum listener_tls)random_below(4);
            s->listeners[i].preset = (enum listener_preset)random_below(3); /* edge wants more */
            if (s->listeners[i].tls >= LISTENER_TLS_REQUIRED)
                s->listeners[i].tls_client_certificates = CLIENTS_REQUIRE;
            if (s->listeners[i].tls_client_certificates != CLIENTS_NONE)
                random_text(s->listeners[i].tls_client_ca, SETTINGS_PATH_SIZE, "/", "ca/ .\\");
        }
        random_networks(&s->listeners[i].proxy_from);
        random_networks(&s->listeners[i].xclient_from);
        s->listeners[i].submission_fixes = (enum listener_switch)random_below(2);
        s->listeners[i].complete_addresses = (enum listener_switch)random_below(2);
        snprintf(s->listeners[i].name, SETTINGS_LABEL_SIZE, "place-%u", i);
        random_text(s->listeners[i].banner, SETTINGS_BANNER_SIZE, "E", "ab \"\\;#%");
    }
}

static void whatever_is_set_survives_writing_and_reading(void **state)
{
    struct settings *s = settings_of(
        "rewrite = [ \"a@b -> c@d\", \".e -> f\" ]; relayhost = \"[192.0.2.9]:25\";\n"
        "sender-rules = [ \"user a\\\\b\\\"c: *, x@y.z\", \"network 2001:db8::/32: .a, b\" ];\n"
        "recipient-rules = [ \"network 192.0.2.1: c\" ];\n"
        "listeners = ( { address = \"192.0.2.1:25\"; preset = \"edge\";\n"
        "recipients = \"/r\"; relay-to = [ \"a.b\", \".c\", \"xn--bcher-kva.x\" ]; } );");

    (void)state;
    assert_round_trip(s);
    strcpy(s->listeners[0].remove_headers.items[0], "X-Mailer");
    strcpy(s->listeners[0].remove_headers.items[1], "x");
    s->listeners[0].remove_headers.count = 2;
    assert_round_trip(s);
    for (int round = 0; round < 50; round++) {
        random_text(s->hostname, 60, "x", "abcXYZ019");
        random_text(s->state_dir, SETTINGS_PATH_SIZE, "/", "ab/ \"\\;#=");
        random_text(s->tlsrpt_organization, SETTINGS_NAME_SIZE, "", "ab \"\\\\'%/*#");
        s->log_level = (enum log_level)random_below(4);
        s->tls_level = (enum relayhost_tls)random_below(3);
        s->tls_floor = (enum site_tls)random_below(3);
        s->delivery = (enum delivery_mode)random_below(2);
        random_listeners(s);
        random_networks(&s->mx_allow);
        s->resolver_count = (unsigned)random_below(SETTINGS_RESOLVERS_MAX + 1);
        memset(s->resolvers, 0, sizeof(s->resolvers));
        for (unsigned i = 0; i < s->resolver_count; i++)
            random_endpoint(&s->resolvers[i], 1 + (unsigned)random_below(65535));
        s->queue_bytes_max = (1ULL << 31) + random_below(1ULL << 43);
        s->max_message_bytes = 65536 + random_below((1ULL << 31) - 65536);
        s->retry_first_s = 1 + (unsigned)random_below(86400);
        s->retry_max_s = 86400 + (unsigned)random_below(6 * 86400);
        s->max_recipients = 100 + (unsigned)random_below(9900);
        s->postmaster_copies = (unsigned)random_below(64);
        assert_round_trip(s);
    }
    free(s);
}

static void every_row_of_the_table_is_complete(void **state)
{
    struct setting_row row;
    size_t count = 0;

    (void)state;
    for (; settings_row(count, &row); count++) {
        assert_true(strlen(row.name) > 0 && strlen(row.type) > 0);
        assert_int_equal(row.sentence[strlen(row.sentence) - 1], '.');
    }
    assert_true(count > 30);
}

static void a_file_that_cannot_be_read_is_one_error(void **state)
{
    struct settings_errors errors;
    struct settings *s = memory_new(sizeof(*s));

    (void)state;
    settings_errors_init(&errors);
    assert_false(settings_load("/nonexistent/waxseal.conf", s, &errors));
    assert_int_equal(errors.count, 1);
    assert_non_null(strstr(buf_span(&errors.text).data, "No such file"));
    settings_errors_clear(&errors);
    settings_errors_init(&errors);
    assert_false(settings_load("/etc", s, &errors));
    assert_int_equal(errors.count, 1);
    settings_errors_clear(&errors);
    free(s);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("an empty text is a safe loopback relay", an_empty_text_is_a_loopback_relay),
        TEST("every kind of value is read", every_kind_of_value_is_read),
        TEST("all errors of a text are found in one pass, with their lines",
             all_errors_are_found_in_one_pass),
        TEST("unknown names get the nearest known one", unknown_names_get_the_nearest_known_one),
        TEST("a listener that would be an open relay is refused", open_relays_are_refused),
        TEST("a listener's preset sets what is not written", a_preset_sets_what_is_not_written),
        TEST("an edge takes mail for its domains from anybody",
             an_edge_takes_mail_for_its_domains_from_anybody),
        TEST("rules for clients that are none are refused",
             rules_for_clients_that_are_none_are_refused),
        TEST("an edge that would take what can only bounce is refused",
             an_edge_that_would_take_what_bounces_is_refused),
        TEST("rewrites and names of header fields are read", rewrites_and_field_names_are_read),
        TEST("rewrites and names of header fields must make sense, and Received stays",
             rewrites_and_field_names_must_make_sense),
        TEST("lists of texts have a length", lists_have_a_length),
        TEST("a listener may have several addresses and certificates",
             a_listener_may_have_several_addresses_and_certificates),
        TEST("a listener may have a Unix socket", a_listener_may_have_a_unix_socket),
        TEST("Unix sockets that cannot be are refused", unix_sockets_that_cannot_be_are_refused),
        TEST("other mail systems ask where the internet does not reach",
             other_mail_systems_ask_where_the_internet_does_not_reach),
        TEST("lists of a listener that do not fit are refused",
             lists_of_a_listener_that_do_not_fit_are_refused),
        TEST("certificates of clients need TLS", certificates_of_clients_need_tls),
        TEST("a listener that cannot do what it asks is refused",
             listeners_that_cannot_do_what_they_ask_are_refused),
        TEST("no error hides behind another", no_error_hides_behind_another),
        TEST("AUTH can be required only with TLS and with users",
             auth_is_required_only_where_it_can_be),
        TEST("the line of a setting can be found later", the_line_of_a_setting_can_be_found_later),
        TEST("wrong types, values and ranges are refused", wrong_types_and_values_are_refused),
        TEST("who reports is one domain, by default the hostname's", who_reports_is_one_domain),
        TEST("settings that contradict each other are refused",
             settings_that_contradict_each_other_are_refused),
        TEST("an include is refused and never opened", an_include_is_refused_and_never_opened),
        TEST("whatever is set survives writing and reading",
             whatever_is_set_survives_writing_and_reading),
        TEST("every row of the table is complete", every_row_of_the_table_is_complete),
        TEST("a file that cannot be read is one error", a_file_that_cannot_be_read_is_one_error),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
