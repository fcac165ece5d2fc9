#include "smtpd/access.h"

#include "tests/support/test.h"

static struct network_list networks(const char *first, const char *second)
{
    struct network_list list = { .count = 2 };

    assert_true(network_parse(span_of(first), &list.items[0]));
    assert_true(network_parse(span_of(second), &list.items[1]));
    return list;
}

static enum access_verdict judge(const char *client, const char *path)
{
    struct network_list relay_from = networks("192.0.2.0/24", "2001:db8:1::/48");
    struct ip_address address;
    struct address forward_path;

    assert_true(ip_address_parse(span_of(client), &address));
    assert_int_equal(address_parse(span_of(path), &forward_path), ADDRESS_FINE);
    return access_judge(&address, false, &relay_from, SPAN("relay.example"), &forward_path);
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
    struct network_list none = { .count = 0 };
    struct ip_address address;
    struct address path;

    (void)state;
    assert_true(ip_address_parse(SPAN("127.0.0.1"), &address));
    assert_int_equal(address_parse(SPAN("b@example.com"), &path), ADDRESS_FINE);
    assert_int_equal(access_judge(&address, false, &none, SPAN("relay.example"), &path), ACCESS_DENIED);
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
        { "clients of the listed networks may relay, in both families", listed_networks_may_relay,
          NULL, NULL, NULL },
        { "nobody else may relay, not even loopback when it is not listed", nobody_else_may, NULL,
          NULL, NULL },
        { "routes in the local-part open nothing", only_the_final_domain_counts, NULL, NULL, NULL },
        { "an empty list lets nobody relay", an_empty_list_lets_nobody_relay, NULL, NULL, NULL },
        { "everybody reaches our postmaster (RFC 5321 s.4.5.1)", everybody_reaches_our_postmaster,
          NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
