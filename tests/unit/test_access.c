#include "smtpd/access.h"

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
        { "the rule that decided is named", the_rule_is_named, NULL, NULL, NULL },
        { "everybody reaches our postmaster (RFC 5321 s.4.5.1)", everybody_reaches_our_postmaster,
          NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
