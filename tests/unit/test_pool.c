#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/random.h"
#include "queue/deliver/pool.h"

static struct pool_key flawless(void)
{
    struct pool_key key = { .assurance = ASSURANCE_VERIFIED, .trust_generation = 3 };

    assert_true(endpoint_parse(SPAN("192.0.2.1:25"), 25, &key.remote));
    strcpy(key.mx, "mx1.example.net");
    strcpy(key.identity, "mx1.example.net");
    return key;
}

static void same_key_serves(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    assert_true(pool_key_serves(&has, &needs));
}

static void any_address_will_do_where_none_is_named(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    needs.remote.address.family = ADDRESS_NONE;
    assert_true(pool_key_serves(&has, &needs));
    needs.remote.port = 26;
    assert_false(pool_key_serves(&has, &needs));
}

static void another_address_does_not_serve(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    needs.remote.address.bytes[3] = 2;
    assert_false(pool_key_serves(&has, &needs));
}

static void another_host_does_not_serve(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    strcpy(needs.mx, "mx2.example.net");
    assert_false(pool_key_serves(&has, &needs));
    strcpy(needs.mx, "MX1.Example.NET");
    assert_true(pool_key_serves(&has, &needs));
}

static void identity_verified_for_another_name_does_not_serve(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    strcpy(has.identity, "mx2.example.net");
    assert_false(pool_key_serves(&has, &needs));
    has.identity[0] = needs.identity[0] = '\0';
    assert_false(pool_key_serves(&has, &needs));
}

static void session_judged_with_other_roots_does_not_serve(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    has.trust_generation--;
    assert_false(pool_key_serves(&has, &needs));
}

static void more_assurance_than_needed_serves(void **state)
{
    struct pool_key has = flawless(), needs = flawless();

    (void)state;
    needs.assurance = ASSURANCE_NONE;
    needs.identity[0] = '\0';
    assert_true(pool_key_serves(&has, &needs));
}

/* One of few values for each member, so that equal ones are frequent. */
static struct pool_key any_key(void)
{
    struct pool_key key = flawless();

    key.remote.address.bytes[3] = (uint8_t)random_below(2);
    key.remote.port = random_below(4) ? 25 : 26;
    key.assurance = (enum assurance)random_below(3);
    key.trust_generation = random_below(2);
    snprintf(key.mx, sizeof(key.mx), "mx%d.example.net", (int)random_below(2));
    snprintf(key.identity, sizeof(key.identity), "mx%d.example.net", (int)random_below(2));
    if (random_below(3) == 0)
        key.identity[0] = '\0';
    return key;
}

static void less_assurance_never_serves(void **state)
{
    unsigned served = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        struct pool_key has = any_key(), needs = any_key();
        if (!pool_key_serves(&has, &needs))
            continue;
        served++;
        assert_true(has.assurance >= needs.assurance);
        assert_string_equal(has.mx, needs.mx);
        assert_int_equal(has.remote.port, needs.remote.port);
        assert_true(has.trust_generation == needs.trust_generation);
        if (needs.assurance == ASSURANCE_VERIFIED)
            assert_string_equal(has.identity, needs.identity);
    }
    assert_true(served > 1000); /* else the property says nothing */
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a session serves mail with the same key", same_key_serves),
        T("the port counts even where any address will do",
          any_address_will_do_where_none_is_named),
        T("a session with another address does not serve", another_address_does_not_serve),
        T("a session with another MX host does not serve, whatever the case of its name",
          another_host_does_not_serve),
        T("an identity verified for another name, or for none, does not serve",
          identity_verified_for_another_name_does_not_serve),
        T("a session judged with other roots does not serve",
          session_judged_with_other_roots_does_not_serve),
        T("a verified session serves mail that needs nothing", more_assurance_than_needed_serves),
        T("whatever the keys: less assurance never serves mail that needs more",
          less_assurance_never_serves),
    };

    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
