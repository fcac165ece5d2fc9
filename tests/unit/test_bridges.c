#include "supervisor/bridges.h"

#include "tests/support/test.h"

static void container_software_names_its_bridges(void **state)
{
    (void)state;
    assert_true(bridge_is_name("docker0"));
    assert_true(bridge_is_name("br-1f2e3d4c5b6a"));
    assert_true(bridge_is_name("podman1"));
    assert_true(bridge_is_name("virbr0"));
    assert_false(bridge_is_name("lo"));
    assert_false(bridge_is_name("eth0"));
    assert_false(bridge_is_name("br0")); /* an administrator's own */
}

static void on_bridge(void *ctx, unsigned listener, const char *interface,
                      const struct ip_address *address)
{
    (void)listener;
    (void)address;
    assert_true(bridge_is_name(interface));
    ++*(unsigned *)ctx;
}

static void loopback_is_no_bridge(void **state)
{
    static struct settings settings;
    unsigned count = 0;

    (void)state;
    settings_defaults(&settings);
    bridges_visit(&settings, on_bridge, &count);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "container software names its bridges", container_software_names_its_bridges, NULL, NULL,
          NULL },
        { "loopback, which may relay by default, is no bridge", loopback_is_no_bridge, NULL, NULL,
          NULL },
    };

    return cmocka_run_group_tests_name("bridges", tests, NULL, NULL);
}
