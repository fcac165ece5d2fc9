#include "tests/support/test.h"

#include "queue/deliver/target.h"

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
    assert_false(t.is_relayhost);
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
    assert_true(t.is_relayhost);
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
        T("bad ports are refused", bad_ports_are_refused),
    };

    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
