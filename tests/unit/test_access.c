#include "smtpd/access.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/test.h"

static void put_network(struct network_list *list, const char *text)
{
    assert_true(network_parse(span_of(text), &list->items[list->count++]));
}

static struct access_judgement judge_user(const char *client, const char *user, const char *path)
{
    static struct listener_settings listener;
    struct address forward_path;
    struct access_facts facts = {
        .listener = &listener,
        .hostname = SPAN("relay.example"),
        .user = span_of(user),
        .forward_path = &forward_path,
    };

    listener = (struct listener_settings){ .name = "" };
    put_network(&listener.relay_from, "192.0.2.0/24");
    put_network(&listener.relay_from, "2001:db8:1::/48");
    put_network(&listener.proxy_from, "192.0.2.99/32");
    assert_true(ip_address_parse(span_of(client), &facts.client));
    assert_int_equal(address_parse(span_of(path), &forward_path), ADDRESS_FINE);
    return access_judge(&facts);
}

/* At the edge: for anybody, into two domains of ours. */
static struct access_judgement judge_at_edge(const char *client, const char *user, const char *path)
{
    static struct listener_settings listener;
    struct address forward_path;
    struct access_facts facts = { .listener = &listener,
                                  .hostname = SPAN("mx.example.net"),
                                  .user = span_of(user),
                                  .forward_path = &forward_path };

    listener = (struct listener_settings){ .relay_to = { "example.net\0.example.org", 2 } };
    put_network(&listener.relay_from, "192.0.2.0/24");
    put_network(&listener.proxy_from, "198.51.100.99/32");
    assert_true(ip_address_parse(span_of(client), &facts.client));
    assert_int_equal(address_parse(span_of(path), &forward_path), ADDRESS_FINE);
    return access_judge(&facts);
}

static enum access_verdict judge(const char *client, const char *path)
{
    return judge_user(client, NULL, path).verdict;
}

static void listed_networks_may_relay(void **state)
{
    (void)state;
    assert_int_equal(judge("192.0.2.1", "b@example.com"), ACCESS_RELAY);
    assert_int_equal(judge("192.0.2.255", "b@example.com"), ACCESS_RELAY);
    assert_int_equal(judge("2001:db8:1::9", "b@example.com"), ACCESS_RELAY);
    assert_int_equal(judge("::ffff:192.0.2.1", "b@example.com"), ACCESS_RELAY);
    assert_int_equal(judge("192.0.2.1", "b@[198.51.100.1]"), ACCESS_RELAY);
}

static void users_of_this_machine_may(void **state)
{
    static struct listener_settings listener;
    struct address forward_path;
    struct access_facts facts = { .listener = &listener,
                                  .hostname = SPAN("relay.example"),
                                  .client = ip_address_of_user(1000),
                                  .forward_path = &forward_path };

    (void)state;
    assert_int_equal(address_parse(SPAN("b@example.com"), &forward_path), ADDRESS_FINE);
    assert_int_equal(access_judge(&facts).verdict, ACCESS_RELAY);
    assert_string_equal(access_judge(&facts).reason, "local user");
    assert_int_equal(address_parse(SPAN("postmaster"), &forward_path), ADDRESS_FINE);
    assert_int_equal(access_judge(&facts).verdict, ACCESS_POSTMASTER);
}

static void who_shows_a_certificate_may(void **state)
{
    static struct listener_settings listener;
    struct address forward_path;
    struct access_facts facts = { .listener = &listener,
                                  .hostname = SPAN("relay.example"),
                                  .has_certificate = true,
                                  .forward_path = &forward_path };

    (void)state;
    assert_true(ip_address_parse(SPAN("203.0.113.1"), &facts.client));
    assert_int_equal(address_parse(SPAN("b@example.com"), &forward_path), ADDRESS_FINE);
    assert_int_equal(access_judge(&facts).verdict, ACCESS_RELAY);
    assert_string_equal(access_judge(&facts).reason, "client certificate");
}

static void who_may_relay_is_no_stranger(void **state)
{
    static struct listener_settings listener;
    struct access_facts facts = { .listener = &listener };

    (void)state;
    listener = (struct listener_settings){ .relay_to = { "example.net", 1 } };
    put_network(&listener.relay_from, "192.0.2.0/24");
    put_network(&listener.proxy_from, "192.0.2.99/32");
    assert_true(ip_address_parse(SPAN("192.0.2.1"), &facts.client));
    assert_false(access_is_stranger(&facts));
    assert_true(ip_address_parse(SPAN("192.0.2.99"), &facts.client)); /* who is behind it? */
    assert_true(access_is_stranger(&facts));
    assert_true(ip_address_parse(SPAN("198.51.100.1"), &facts.client));
    assert_true(access_is_stranger(&facts));
    facts.user = SPAN("ada");
    assert_false(access_is_stranger(&facts));
    facts.user = SPAN("");
    facts.has_certificate = true;
    assert_false(access_is_stranger(&facts));
    facts.has_certificate = false;
    facts.client = ip_address_of_user(1000);
    assert_false(access_is_stranger(&facts));
}

static void nobody_else_may(void **state)
{
    (void)state;
    assert_int_equal(judge("192.0.3.1", "b@example.com"), ACCESS_DENIED);
    assert_int_equal(judge("127.0.0.1", "b@example.com"), ACCESS_DENIED);
    assert_int_equal(judge("2001:db8:2::9", "b@example.com"), ACCESS_DENIED);
    assert_int_equal(judge("::1", "b@example.com"), ACCESS_DENIED);
    assert_int_equal(judge("::ffff:192.0.3.1", "b@example.com"), ACCESS_DENIED);
}

static void only_the_final_domain_counts(void **state)
{
    (void)state;
    assert_int_equal(judge("198.51.100.1", "b%example.com@relay.example"), ACCESS_DENIED);
    assert_int_equal(judge("198.51.100.1", "example.com!b@relay.example"), ACCESS_DENIED);
    assert_int_equal(judge("198.51.100.1", "@relay.example:b@example.com"), ACCESS_DENIED);
    assert_int_equal(judge("198.51.100.1", "\"postmaster@relay.example\"@example.com"),
                     ACCESS_DENIED);
}

static void an_empty_list_lets_nobody_relay(void **state)
{
    struct listener_settings *listener = calloc(1, sizeof(*listener));
    struct address path;
    struct access_facts facts = { .listener = listener,
                                  .hostname = SPAN("relay.example"),
                                  .forward_path = &path };

    (void)state;
    assert_true(ip_address_parse(SPAN("127.0.0.1"), &facts.client));
    assert_int_equal(address_parse(SPAN("b@example.com"), &path), ADDRESS_FINE);
    assert_int_equal(access_judge(&facts).verdict, ACCESS_DENIED);
    free(listener);
}

static void who_has_logged_in_may_relay_from_anywhere(void **state)
{
    (void)state;
    assert_int_equal(judge_user("198.51.100.1", "ada", "b@example.com").verdict, ACCESS_RELAY);
    assert_int_equal(judge_user("192.0.2.99", "ada", "b@example.com").verdict, ACCESS_RELAY);
    assert_int_equal(judge_user("198.51.100.1", "", "b@example.com").verdict, ACCESS_DENIED);
}

static void a_proxy_itself_does_not_relay(void **state)
{
    (void)state;
    assert_int_equal(judge("192.0.2.98", "b@example.com"), ACCESS_RELAY);
    assert_int_equal(judge("192.0.2.99", "b@example.com"), ACCESS_DENIED);
    assert_int_equal(judge("192.0.2.99", "postmaster"), ACCESS_POSTMASTER);
}

static void anybody_may_send_to_our_own_domains(void **state)
{
    static const char *const ours[] = { "b@example.net", "b@Example.NET", "b@a.example.org",
                                        "b@a.b.example.org" };
    static const char *const others[] = { "b@example.com",     "b@example.org",
                                          "b@a.example.net",   "b@anexample.net",
                                          "b@xexample.org",    "b@[192.0.2.1]",
                                          "b%example.net@x.y", "\"b@example.net\"@example.com" };

    (void)state;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        assert_int_equal(judge_at_edge("198.51.100.1", NULL, ours[i]).verdict, ACCESS_OWN);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(judge_at_edge("198.51.100.1", NULL, others[i]).verdict, ACCESS_DENIED);
    assert_string_equal(judge_at_edge("198.51.100.1", NULL, ours[0]).reason, "own domain");
}

static void each_of_our_domains_has_a_postmaster(void **state)
{
    (void)state;
    assert_int_equal(judge_at_edge("198.51.100.1", NULL, "PostMaster@example.net").verdict,
                     ACCESS_RELAY);
    assert_int_equal(judge_at_edge("198.51.100.1", NULL, "postmaster@example.com").verdict,
                     ACCESS_DENIED);
}

static void who_may_relay_still_has_to_name_a_mailbox_of_ours(void **state)
{
    (void)state;
    assert_int_equal(judge_at_edge("192.0.2.1", NULL, "b@example.net").verdict, ACCESS_OWN);
    assert_int_equal(judge_at_edge("198.51.100.1", "ada", "b@example.net").verdict, ACCESS_OWN);
    assert_int_equal(judge_at_edge("192.0.2.1", NULL, "b@example.com").verdict, ACCESS_RELAY);
    assert_int_equal(judge_at_edge("198.51.100.1", "ada", "b@example.com").verdict, ACCESS_RELAY);
}

static void a_proxy_itself_sends_nothing_to_our_domains(void **state)
{
    (void)state;
    assert_int_equal(judge_at_edge("198.51.100.99", NULL, "b@example.net").verdict, ACCESS_DENIED);
    assert_int_equal(judge_at_edge("198.51.100.99", NULL, "postmaster@mx.example.net").verdict,
                     ACCESS_POSTMASTER);
}

/* ---- what some clients may use ------------------------------------------------------------- */

static const struct client_rules *rules_of(const char *text)
{
    static struct settings settings;
    struct settings_errors errors;
    char whole[2000];

    snprintf(whole, sizeof(whole), "sender-rules = [ %s ];", text);
    settings_errors_init(&errors);
    if (!settings_parse(span_of(whole), "conf", &settings, &errors))
        fail_msg("refused: " SPAN_FMT, SPAN_ARG(buf_span(&errors.text)));
    settings_errors_clear(&errors);
    return &settings.sender_rules;
}

static const char some_rules[] = "\"user ada: ada@example.net, example.org, .example.com\","
                                 "\"user root: *\", \"user *: example.net\","
                                 "\"network 192.0.2.0/28: printer@example.net\","
                                 "\"network 2001:db8::/32: example.net\"";

static struct access_judgement judge_sender(const char *user, const char *client, const char *path)
{
    struct ip_address address;
    struct address reverse_path;

    assert_true(ip_address_parse(span_of(client), &address));
    assert_int_equal(address_parse_reverse(span_of(path), &reverse_path), ADDRESS_FINE);
    return access_judge_sender(rules_of(some_rules), span_of(user), &address, &reverse_path);
}

static bool may_send_as(const char *user, const char *client, const char *path)
{
    return judge_sender(user, client, path).verdict == ACCESS_RELAY;
}

static void a_user_sends_as_what_the_rule_lists(void **state)
{
    (void)state;
    assert_true(may_send_as("ada", "198.51.100.1", "ada@example.net"));
    assert_true(may_send_as("ada", "198.51.100.1", "Ada@Example.Net"));
    assert_true(may_send_as("ada", "198.51.100.1", "whoever@example.org"));
    assert_true(may_send_as("ada", "198.51.100.1", "whoever@a.example.com"));
    assert_false(may_send_as("ada", "198.51.100.1", "eve@example.net"));
    assert_false(may_send_as("ada", "198.51.100.1", "ada@a.example.org"));
    assert_false(may_send_as("ada", "198.51.100.1", "ada@example.com"));
    assert_false(may_send_as("ada", "198.51.100.1", "\"ada@example.net\"@evil.test"));
    assert_string_equal(judge_sender("ada", "198.51.100.1", "eve@example.net").reason,
                        "not a sender of this user's");
}

static void the_first_rule_about_a_client_counts(void **state)
{
    (void)state;
    assert_true(may_send_as("root", "192.0.2.1", "whoever@wherever.test"));
    assert_true(may_send_as("eve", "198.51.100.1", "whoever@example.net"));
    assert_false(may_send_as("eve", "198.51.100.1", "whoever@example.org"));
    assert_true(may_send_as("eve", "192.0.2.1", "whoever@example.net")); /* not her network's */
}

static void a_network_sends_as_what_its_rule_lists(void **state)
{
    (void)state;
    assert_true(may_send_as("", "192.0.2.1", "printer@example.net"));
    assert_false(may_send_as("", "192.0.2.1", "ceo@example.net"));
    assert_true(may_send_as("", "2001:db8::1", "ceo@example.net"));
    assert_string_equal(judge_sender("", "192.0.2.1", "ceo@example.net").reason,
                        "not a sender of your network's");
}

static void whom_no_rule_is_about_sends_as_anybody(void **state)
{
    (void)state;
    assert_true(may_send_as("", "192.0.2.16", "ceo@example.net"));
}

static void notifications_have_no_sender_to_forbid(void **state)
{
    (void)state;
    assert_true(may_send_as("ada", "192.0.2.1", ""));
    assert_true(may_send_as("", "192.0.2.1", ""));
}

static bool authors_are_allowed(const char *user, const char *block)
{
    struct ip_address nowhere = { .family = ADDRESS_NONE };
    const struct client_rule *rule =
        client_rules_find(rules_of(some_rules), span_of(user), &nowhere);

    assert_non_null(rule);
    return access_authors_are_allowed(rule, SPAN("example.org"), span_of(block));
}

static void from_names_only_authors_that_the_rule_lists(void **state)
{
    (void)state;
    assert_true(authors_are_allowed("ada", "From: Ada <ada@example.net>\r\n\r\n"));
    assert_true(authors_are_allowed("ada", "Subject: no author\r\n\r\n"));
    assert_true(authors_are_allowed("ada", "From: ada@example.net, bob@example.org\r\n\r\n"));
    assert_true(authors_are_allowed("ada", "From: ada\r\n\r\n")); /* at the origin */
    assert_false(authors_are_allowed("eve", "From: eve\r\n\r\n"));
    assert_false(authors_are_allowed("ada", "From: ceo@example.net\r\n\r\n"));
    assert_false(authors_are_allowed("ada", "From: ada@example.net, ceo@example.net\r\n\r\n"));
    assert_false(
        authors_are_allowed("ada", "From: ada@example.net\r\nfrom: ceo@example.net\r\n\r\n"));
    assert_false(authors_are_allowed("ada", "From: \"ada@example.net\" <ceo@example.net>\r\n\r\n"));
    assert_false(authors_are_allowed("ada", "From: <<ceo>>\r\n\r\n"));
    assert_true(authors_are_allowed("root", "From: whoever@wherever.test\r\n\r\n"));
}

static struct access_judgement judge_recipient(const char *user, const char *client,
                                               const char *path)
{
    static struct listener_settings listener;
    struct address forward_path;
    struct access_facts facts = { .listener = &listener,
                                  .hostname = SPAN("relay.example"),
                                  .user = span_of(user),
                                  .forward_path = &forward_path,
                                  .recipient_rules = rules_of(some_rules) };

    listener = (struct listener_settings){ .relay_to = { "example.org", 1 } };
    put_network(&listener.relay_from, "192.0.2.0/24");
    assert_true(ip_address_parse(span_of(client), &facts.client));
    assert_int_equal(address_parse(span_of(path), &forward_path), ADDRESS_FINE);
    return access_judge(&facts);
}

static void some_clients_send_to_some_recipients_only(void **state)
{
    (void)state;
    assert_int_equal(judge_recipient("ada", "198.51.100.1", "ada@example.net").verdict,
                     ACCESS_RELAY);
    assert_int_equal(judge_recipient("ada", "198.51.100.1", "x@example.org").verdict, ACCESS_OWN);
    assert_int_equal(judge_recipient("ada", "198.51.100.1", "x@wherever.test").verdict,
                     ACCESS_DENIED);
    assert_string_equal(judge_recipient("ada", "198.51.100.1", "x@wherever.test").reason,
                        "not a recipient for this user");
    assert_string_equal(judge_recipient("", "192.0.2.1", "x@wherever.test").reason,
                        "not a recipient for your network");
    assert_int_equal(judge_recipient("", "192.0.2.1", "x@example.org").verdict, ACCESS_DENIED);
    assert_int_equal(judge_recipient("", "192.0.2.1", "postmaster").verdict, ACCESS_POSTMASTER);
    assert_int_equal(judge_recipient("", "192.0.2.16", "x@wherever.test").verdict, ACCESS_RELAY);
    /* a rule allows no relaying by itself */
    assert_int_equal(judge_recipient("", "2001:db8::1", "x@example.net").verdict, ACCESS_DENIED);
}

static void the_rule_is_named(void **state)
{
    (void)state;
    assert_string_equal(judge_user("192.0.2.99", "", "b@example.com").reason, "you are a proxy");
    assert_string_equal(judge_user("192.0.2.1", "", "b@example.com").reason, "client network");
    assert_string_equal(judge_user("192.0.2.1", "ada", "b@example.com").reason, "user");
    assert_string_equal(judge_user("198.51.100.1", "", "b@example.com").reason,
                        "you are not in a network that may");
}

static void everybody_reaches_our_postmaster(void **state)
{
    (void)state;
    assert_int_equal(judge("198.51.100.1", "postmaster"), ACCESS_POSTMASTER);
    assert_int_equal(judge("198.51.100.1", "PostMaster"), ACCESS_POSTMASTER);
    assert_int_equal(judge("198.51.100.1", "postmaster@Relay.Example"), ACCESS_POSTMASTER);
    assert_int_equal(judge("198.51.100.1", "postmaster@example.com"), ACCESS_DENIED);
    assert_int_equal(judge("198.51.100.1", "postmaster2@relay.example"), ACCESS_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "users of this machine may relay", users_of_this_machine_may, NULL, NULL, NULL },
        { "who may relay here is no stranger; a proxy alone, and all others, are",
          who_may_relay_is_no_stranger, 0, 0, 0 },
        { "who shows a certificate that may relay may, from anywhere", who_shows_a_certificate_may,
          NULL, NULL, NULL },
        { "clients of the listed networks may relay, in both families", listed_networks_may_relay,
          NULL, NULL, NULL },
        { "nobody else may relay, not even loopback when it is not listed", nobody_else_may, NULL,
          NULL, NULL },
        { "routes in the local-part open nothing", only_the_final_domain_counts, NULL, NULL, NULL },
        { "an empty list lets nobody relay", an_empty_list_lets_nobody_relay, NULL, NULL, NULL },
        { "who has logged in may relay from anywhere", who_has_logged_in_may_relay_from_anywhere,
          NULL, NULL, NULL },
        { "a proxy that speaks for itself does not relay", a_proxy_itself_does_not_relay, NULL,
          NULL, NULL },
        { "anybody may send to our own domains, and to no others",
          anybody_may_send_to_our_own_domains, NULL, NULL, NULL },
        { "each of our domains has a postmaster (RFC 5321 s.4.5.1)",
          each_of_our_domains_has_a_postmaster, NULL, NULL, NULL },
        { "who may relay still has to name a mailbox of ours",
          who_may_relay_still_has_to_name_a_mailbox_of_ours, NULL, NULL, NULL },
        { "a proxy that speaks for itself sends nothing to our domains",
          a_proxy_itself_sends_nothing_to_our_domains, NULL, NULL, NULL },
        { "a user sends as what the rule lists", a_user_sends_as_what_the_rule_lists, NULL, NULL,
          NULL },
        { "the first rule about a client counts", the_first_rule_about_a_client_counts, NULL, NULL,
          NULL },
        { "a network sends as what its rule lists", a_network_sends_as_what_its_rule_lists, NULL,
          NULL, NULL },
        { "whom no rule is about sends as anybody", whom_no_rule_is_about_sends_as_anybody, NULL,
          NULL, NULL },
        { "notifications have no sender to forbid", notifications_have_no_sender_to_forbid, NULL,
          NULL, NULL },
        { "From names only authors that the rule lists",
          from_names_only_authors_that_the_rule_lists, NULL, NULL, NULL },
        { "some clients send to some recipients only", some_clients_send_to_some_recipients_only,
          NULL, NULL, NULL },
        { "the rule that decided is named", the_rule_is_named, NULL, NULL, NULL },
        { "everybody reaches our postmaster (RFC 5321 s.4.5.1)", everybody_reaches_our_postmaster,
          NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
