#include "supervisor/strangers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/settings_text.h"
#include "tests/support/test.h"

static const char routes4[] =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    "eth1\t0000A8C0\t020011AC\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
static const char routes6[] =
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "20010db8000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n"
    "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";

static struct strangers_facts facts_of(bool in_container)
{
    struct strangers_facts facts = { .in_container = in_container };
    strangers_take_routes(&facts, span_of(routes4), span_of(routes6));
    return facts;
}

static void default_gateways_are_read_off_the_routes(void **state)
{
    (void)state;
    struct strangers_facts facts = facts_of(false);
    char text[NETWORK_TEXT_SIZE];
    assert_int_equal(facts.gateway_count, 2);
    ip_address_format(&facts.gateways[0], text);
    assert_string_equal(text, "172.17.0.1");
    ip_address_format(&facts.gateways[1], text);
    assert_string_equal(text, "2001:db8::1");
}

static void what_is_no_route_is_stepped_over(void **state)
{
    (void)state;
    struct strangers_facts facts = { .in_container = false };
    strangers_take_routes(&facts, SPAN("\n\nx y z\neth0 0 0\n\xff"), SPAN("00 00\nzz\n"));
    assert_int_equal(facts.gateway_count, 0);
    for (int i = 0; i < 20; i++)
        strangers_take_routes(&facts, span_of(routes4), SPAN(""));
    assert_int_equal(facts.gateway_count, GATEWAYS_MAX);
}

struct said {
    unsigned faults;
    unsigned warnings;
    unsigned listener;
    char last[600];
};

static void on_stranger(void *ctx, unsigned listener, bool is_fault, const char *sentence)
{
    struct said *said = ctx;
    said->faults += is_fault;
    said->warnings += !is_fault;
    said->listener = listener;
    snprintf(said->last, sizeof(said->last), "%s", sentence);
}

static struct said judge(const char *text, bool in_container)
{
    struct settings *s = settings_of(text);
    struct strangers_facts facts = facts_of(in_container);
    struct said said = { .faults = 0 };

    strangers_judge(s, &facts, on_stranger, &said);
    free(s);
    return said;
}

#define PROXIED "{ address = \"192.0.2.1:2525\"; relay-from = [ ]; proxy-from = [ \"10.0.0.5\" ]; }"
#define RELAYS(networks) "{ address = \"192.0.2.1:25\"; relay-from = [ " networks " ]; }"

static void a_proxy_of_another_listener_is_not_relayed_for(void **state)
{
    (void)state;
    struct said said = judge("listeners = ( " PROXIED ", " RELAYS("\"10.0.0.5\"") " );", false);
    assert_int_equal(said.faults, 1);
    assert_int_equal(said.listener, 1);
    assert_non_null(strstr(said.last, "10.0.0.5/32 holds 10.0.0.5, a proxy of another listener"));
}

static void a_network_with_a_proxy_in_it_is_warned_of(void **state)
{
    (void)state;
    struct said said = judge("listeners = ( " PROXIED ", " RELAYS("\"10.0.0.0/8\"") " );", false);
    assert_int_equal(said.faults, 0);
    assert_int_equal(said.warnings, 1);
}

static void where_the_proxy_is_one_all_is_well(void **state)
{
    (void)state;
    struct said said = judge("listeners = ( " PROXIED ", { address = \"192.0.2.1:25\"; relay-from "
                             "= [ \"10.0.0.0/8\" ]; proxy-from = [ \"10.0.0.0/24\" ]; } );",
                             false);
    assert_int_equal(said.faults + said.warnings, 0);
    said = judge("listeners = ( { address = \"192.0.2.1:2525\"; proxy-from = [ \"127.0.0.1\" ]; }, "
                 "{ address = \"192.0.2.1:25\"; } );",
                 false);
    assert_int_equal(said.faults + said.warnings, 0);
}

static void in_a_container_its_gateway_is_not_relayed_for(void **state)
{
    (void)state;
    struct said said = judge("listeners = ( " RELAYS("\"172.16.0.0/12\"") " );", true);
    assert_int_equal(said.faults, 1);
    assert_non_null(strstr(said.last, "172.16.0.0/12 holds 172.17.0.1, the gateway of this"));
    said = judge("listeners = ( " RELAYS("\"2001:db8::/32\"") " );", true);
    assert_int_equal(said.faults, 1);
    said = judge("listeners = ( " RELAYS("\"10.0.0.0/8\"") " );", true);
    assert_int_equal(said.faults + said.warnings, 0);
}

static void on_a_host_only_the_gateway_itself_is_warned_of(void **state)
{
    (void)state;
    struct said said = judge("listeners = ( " RELAYS("\"172.17.0.1\"") " );", false);
    assert_int_equal(said.faults, 0);
    assert_int_equal(said.warnings, 1);
    said = judge("listeners = ( " RELAYS("\"172.16.0.0/12\"") " );", false);
    assert_int_equal(said.faults + said.warnings, 0);
}

static void nobody_from_outside_reaches_loopback(void **state)
{
    (void)state;
    struct said said =
        judge("listeners = ( { address = \"127.0.0.1:25\"; relay-from = [ \"172.16.0.0/12\" ]; } "
              ");",
              true);
    assert_int_equal(said.faults + said.warnings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "default gateways are read off the routes", default_gateways_are_read_off_the_routes,
          NULL, NULL, NULL },
        { "what is no route is stepped over", what_is_no_route_is_stepped_over, NULL, NULL, NULL },
        { "a proxy of another listener is not relayed for",
          a_proxy_of_another_listener_is_not_relayed_for, NULL, NULL, NULL },
        { "a network with a proxy in it is warned of", a_network_with_a_proxy_in_it_is_warned_of,
          NULL, NULL, NULL },
        { "where the proxy is one, or is on loopback, all is well",
          where_the_proxy_is_one_all_is_well, NULL, NULL, NULL },
        { "in a container its gateway is not relayed for",
          in_a_container_its_gateway_is_not_relayed_for, NULL, NULL, NULL },
        { "on a host only the gateway itself is warned of",
          on_a_host_only_the_gateway_itself_is_warned_of, NULL, NULL, NULL },
        { "nobody from outside reaches a listener on loopback",
          nobody_from_outside_reaches_loopback, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("strangers", tests, NULL, NULL);
}
