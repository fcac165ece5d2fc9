#include "supervisor/ticket_keys.h"

#include <string.h>

#include "lib/base/clock.h"
#include "tests/support/test.h"

static void the_first_key_is_made_at_once(void **state)
{
    struct ticket_keys keys = { .count = 0 };
    const char zeros[TLS_TICKET_KEY_SIZE] = { 0 };

    (void)state;
    assert_true(ticket_keys_renew(&keys, -5));
    assert_int_equal(ticket_keys_span(&keys).len, TLS_TICKET_KEY_SIZE);
    assert_memory_not_equal(ticket_keys_span(&keys).data, zeros, TLS_TICKET_KEY_SIZE);
}

static void a_new_key_comes_every_12_hours_and_the_one_before_still_opens(void **state)
{
    struct ticket_keys keys = { .count = 0 };
    char first[TLS_TICKET_KEY_SIZE], second[TLS_TICKET_KEY_SIZE];

    (void)state;
    ticket_keys_renew(&keys, 1000);
    memcpy(first, ticket_keys_span(&keys).data, sizeof(first));
    assert_false(ticket_keys_renew(&keys, 1000 + 12 * HOUR_MS - 1));
    assert_memory_equal(ticket_keys_span(&keys).data, first, sizeof(first));
    assert_true(ticket_keys_renew(&keys, 1000 + 12 * HOUR_MS));
    assert_int_equal(ticket_keys_span(&keys).len, 2 * TLS_TICKET_KEY_SIZE);
    memcpy(second, ticket_keys_span(&keys).data, sizeof(second));
    assert_memory_not_equal(second, first, sizeof(first));
    assert_memory_equal(ticket_keys_span(&keys).data + TLS_TICKET_KEY_SIZE, first, sizeof(first));
    assert_false(ticket_keys_renew(&keys, 1000 + 24 * HOUR_MS - 1));
    assert_true(ticket_keys_renew(&keys, 1000 + 24 * HOUR_MS));
    assert_int_equal(ticket_keys_span(&keys).len, 2 * TLS_TICKET_KEY_SIZE);
    assert_memory_equal(ticket_keys_span(&keys).data + TLS_TICKET_KEY_SIZE, second, sizeof(second));
}

static void keys_are_forgotten(void **state)
{
    struct ticket_keys keys = { .count = 0 };
    const struct ticket_keys none = { .count = 0 };

    (void)state;
    ticket_keys_renew(&keys, 0);
    ticket_keys_forget(&keys);
    assert_int_equal(ticket_keys_span(&keys).len, 0);
    assert_memory_equal(keys.bytes, none.bytes, sizeof(keys.bytes));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("the first key for tickets is made at once", the_first_key_is_made_at_once),
        TEST("a new key for tickets comes every 12 hours, and the one before still opens",
             a_new_key_comes_every_12_hours_and_the_one_before_still_opens),
        TEST("keys for tickets are forgotten", keys_are_forgotten),
    };

    return cmocka_run_group_tests_name("ticket_keys", tests, NULL, NULL);
}
