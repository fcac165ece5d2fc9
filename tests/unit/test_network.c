#include "lib/base/network.h"
#include "tests/support/test.h"

#include <string.h>

static struct ip_address address(const char *text)
{
    struct ip_address a = { 0 };

    if (!ip_address_parse(span_of(text), &a))
        fail_msg("not an address: %s", text);
    return a;
}

static void assert_address_text(const char *in, const char *out)
{
    char text[NETWORK_TEXT_SIZE];
    struct ip_address a = address(in);

    ip_address_format(&a, text);
    assert_string_equal(text, out);
}

static void addresses_read_and_write_the_same(void **state)
{
    (void)state;
    assert_address_text("192.0.2.1", "192.0.2.1");
    assert_address_text("2001:DB8:0::1", "2001:db8::1");
    assert_address_text("::", "::");
}

static void mapped_addresses_become_ipv4(void **state)
{
    struct ip_address a = address("::ffff:192.0.2.1");
    struct ip_address b = address("192.0.2.1");

    (void)state;
    assert_true(ip_address_equal(&a, &b));
}

static void nonsense_is_no_address(void **state)
{
    static const char *const wrong[] = {
        "",         "1",        "1.2.3",    "1.2.3.4.5",    "1.2.3.256",
        " 1.2.3.4", "01.2.3.4", "1.2.3.4 ", "fe80::1%eth0", "[::1]",
        "12345::",  ":::",      "localhost"
    };
    struct ip_address a;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(ip_address_parse(span_of(wrong[i]), &a));
    assert_false(ip_address_parse((struct span){ "1.2.3.4\0", 8 }, &a));
}

static void assert_endpoint(const char *in, uint16_t port, const char *out)
{
    char text[NETWORK_TEXT_SIZE];
    struct endpoint e;

    if (!endpoint_parse(span_of(in), port, &e))
        fail_msg("not an endpoint: %s", in);
    endpoint_format(&e, text);
    assert_string_equal(text, out);
}

static void endpoints_have_a_port_or_the_default_one(void **state)
{
    (void)state;
    assert_endpoint("192.0.2.1:2525", 0, "192.0.2.1:2525");
    assert_endpoint("192.0.2.1", 53, "192.0.2.1:53");
    assert_endpoint("[2001:db8::1]:25", 0, "[2001:db8::1]:25");
    assert_endpoint("[2001:db8::1]", 53, "[2001:db8::1]:53");
    assert_endpoint("2001:db8::1", 53, "[2001:db8::1]:53");
    assert_endpoint("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535", 0,
                    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void nonsense_is_no_endpoint(void **state)
{
    static const char *const wrong[] = { "",
                                         "192.0.2.1",
                                         "192.0.2.1:",
                                         "192.0.2.1:0",
                                         "192.0.2.1:65536",
                                         "192.0.2.1:+5",
                                         "[::1]",
                                         "[::1]25",
                                         "[192.0.2.1]:25",
                                         "::1:25",
                                         "[::1",
                                         ":25",
                                         "host:25" };
    struct endpoint e;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(endpoint_parse(span_of(wrong[i]), 0, &e));
}

static void endpoints_survive_the_sockaddr(void **state)
{
    static const char *const texts[] = { "192.0.2.7:25", "[2001:db8::7]:65535" };
    struct sockaddr_storage sa;
    struct endpoint e, back;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_true(endpoint_parse(span_of(texts[i]), 0, &e));
        assert_true(endpoint_to_sockaddr(&e, &sa) > 0);
        assert_true(endpoint_from_sockaddr((const struct sockaddr *)&sa, &back));
        assert_true(ip_address_equal(&e.address, &back.address));
        assert_int_equal(e.port, back.port);
    }
}

static void a_mapped_sockaddr_is_ipv4(void **state)
{
    struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
    struct ip_address want = address("192.0.2.1");
    struct endpoint e;

    (void)state;
    sin6.sin6_addr.s6_addr[10] = sin6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(sin6.sin6_addr.s6_addr + 12, want.bytes, 4);
    assert_true(endpoint_from_sockaddr((const struct sockaddr *)&sin6, &e));
    assert_true(ip_address_equal(&e.address, &want));
}

static bool inside(const char *network_text, const char *address_text)
{
    struct ip_address a = address(address_text);
    struct network n;

    if (!network_parse(span_of(network_text), &n))
        fail_msg("not a network: %s", network_text);
    return network_contains(&n, &a);
}

static void networks_hold_what_shares_their_prefix(void **state)
{
    (void)state;
    assert_true(inside("192.0.2.0/24", "192.0.2.255"));
    assert_false(inside("192.0.2.0/24", "192.0.3.0"));
    assert_true(inside("172.16.0.0/12", "172.31.255.255"));
    assert_false(inside("172.16.0.0/12", "172.32.0.0"));
    assert_true(inside("192.0.2.1", "192.0.2.1"));
    assert_false(inside("192.0.2.1", "192.0.2.0"));
    assert_true(inside("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(inside("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(inside("0.0.0.0/0", "255.255.255.255"));
    assert_false(inside("0.0.0.0/0", "::1"));
    assert_false(inside("::/0", "192.0.2.1"));
    assert_true(inside("::ffff:10.0.0.0/104", "10.255.0.1"));
}

static void networks_with_bits_behind_the_prefix_are_refused(void **state)
{
    static const char *const wrong[] = { "192.0.2.1/24",      "192.0.2.0/33",
                                         "2001:db8::1/127",   "::/129",
                                         "192.0.2.0/",        "192.0.2.0/-1",
                                         "::ffff:0.0.0.0/95", "/8",
                                         "10.0.0.0/8/8" };
    struct network n;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(network_parse(span_of(wrong[i]), &n));
}

static bool internal(const char *text)
{
    struct ip_address a = address(text);

    return ip_address_is_internal(&a);
}

static void internal_addresses_are_known(void **state)
{
    static const char *const texts[] = { "0.0.0.0",
                                         "0.1.2.3",
                                         "10.1.2.3",
                                         "100.64.0.1",
                                         "127.0.0.1",
                                         "127.255.255.255",
                                         "169.254.9.9",
                                         "172.20.0.1",
                                         "192.88.99.1",
                                         "192.168.0.1",
                                         "198.18.0.0",
                                         "198.19.255.255",
                                         "224.0.0.1",
                                         "239.1.1.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "::127.0.0.1",
                                         "fe80::1",
                                         "fd00::1",
                                         "ff02::1",
                                         "64:ff9b::10.0.0.1",
                                         "64:ff9b:1::1",
                                         "64:ff9b::198.18.0.1",
                                         "100::1",
                                         "100:0:0:1::1",
                                         "2001::1",
                                         "2001:2::1",
                                         "2001:1ff:ffff::1",
                                         "5f00::1",
                                         "2002:0a00:0001::1",
                                         "2002:7f00:1::",
                                         "192.0.0.8",
                                         "192.0.0.170",
                                         "240.0.0.1",
                                         "fec0::1",
                                         "::ffff:0:10.0.0.1",
                                         "::ffff:0:8.8.8.8",
                                         "64:ff9a::8.8.8.8",
                                         "100:0:0:2::1",
                                         "1fff::1",
                                         "4000::1",
                                         "5eff::1",
                                         "e000::1" };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!internal(texts[i]))
            fail_msg("%s is taken for an address of the internet", texts[i]);
}

static void addresses_of_the_internet_are_let_through(void **state)
{
    static const char *const texts[] = { "8.8.8.8",        "100.63.255.255",   "100.128.0.0",
                                         "172.15.0.1",     "172.32.0.1",       "192.0.2.1",
                                         "198.51.100.1",   "223.255.255.255",  "2001:db8::1",
                                         "2606:4700::1",   "64:ff9b::8.8.8.8", "2002:808:808::1",
                                         "::ffff:8.8.8.8", "192.88.98.255",    "192.88.100.0",
                                         "198.17.255.255", "198.20.0.0",       "2001:200::1",
                                         "2000::1",        "3fff:ffff::1",     "64:ff9b::808:808" };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (internal(texts[i]))
            fail_msg("%s is taken for an internal address", texts[i]);
}

static void raw_mapped_addresses_are_judged_by_what_they_carry(void **state)
{
    struct ip_address a = { ADDRESS_V6, { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };

    (void)state;
    assert_true(ip_address_is_internal(&a));
    a.bytes[12] = 8;
    assert_false(ip_address_is_internal(&a));
}

static void loopback_is_known(void **state)
{
    struct ip_address v4 = address("127.8.8.8");
    struct ip_address v6 = address("::1");
    struct ip_address other = address("::2");

    (void)state;
    assert_true(ip_address_is_loopback(&v4));
    assert_true(ip_address_is_loopback(&v6));
    assert_false(ip_address_is_loopback(&other));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

static void users_stand_for_an_address_of_their_own(void **state)
{
    struct endpoint user = { .address = ip_address_of_user(4294967294U) };
    struct ip_address other = ip_address_of_user(1000);
    char text[NETWORK_TEXT_SIZE];

    (void)state;
    assert_int_equal(ip_address_user(&user.address), 4294967294U);
    endpoint_format(&user, text);
    assert_string_equal(text, "local:4294967294");
    ip_address_format(&other, text);
    assert_string_equal(text, "local:1000");
    assert_false(ip_address_equal(&user.address, &other));
    assert_false(ip_address_is_loopback(&other));
    assert_false(ip_address_parse(span_of(text), &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("addresses are read and written alike", addresses_read_and_write_the_same),
        TEST("v4-mapped addresses are kept as IPv4", mapped_addresses_become_ipv4),
        TEST("a user of this machine stands for an address",
             users_stand_for_an_address_of_their_own),
        TEST("nonsense is no address", nonsense_is_no_address),
        TEST("endpoints have a port or get the default one",
             endpoints_have_a_port_or_the_default_one),
        TEST("nonsense is no endpoint", nonsense_is_no_endpoint),
        TEST("endpoints survive the way through a sockaddr", endpoints_survive_the_sockaddr),
        TEST("a v4-mapped sockaddr is an IPv4 address", a_mapped_sockaddr_is_ipv4),
        TEST("networks hold what shares their prefix", networks_hold_what_shares_their_prefix),
        TEST("networks with bits behind the prefix are refused",
             networks_with_bits_behind_the_prefix_are_refused),
        TEST("internal addresses are known in all their forms", internal_addresses_are_known),
        TEST("addresses of the internet are let through",
             addresses_of_the_internet_are_let_through),
        TEST("v4-mapped bytes are judged by what they carry",
             raw_mapped_addresses_are_judged_by_what_they_carry),
        TEST("loopback is known in both families", loopback_is_known),
    };
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
