#include "tests/support/test.h"

#include "smtpd/offenders.h"

static struct ip_address client_of(unsigned number)
{
    return (struct ip_address){ ADDRESS_V4, { 192, 0, 2, (uint8_t)number } };
}

static bool note(struct offenders *offenders, unsigned number, int64_t now_ms, uint64_t *times)
{
    struct ip_address client = client_of(number);

    return offenders_note(offenders, &client, now_ms, 1000, times);
}

static void a_client_is_named_once_in_a_while_with_how_often(void **state)
{
    struct offenders offenders = { .count = 0 };
    uint64_t times = 0;
    (void)state;
    assert_true(note(&offenders, 1, 5000, &times));
    assert_int_equal(times, 1);
    assert_false(note(&offenders, 1, 5999, &times));
    assert_false(note(&offenders, 1, 5999, &times));
    assert_true(note(&offenders, 2, 5999, &times));
    assert_int_equal(times, 1);
    assert_true(note(&offenders, 1, 6000, &times));
    assert_int_equal(times, 3);
    assert_false(note(&offenders, 1, 6999, &times));
}

static void of_many_the_one_named_longest_ago_is_forgotten(void **state)
{
    struct offenders offenders = { .count = 0 };
    uint64_t times;
    (void)state;
    for (unsigned i = 0; i < OFFENDERS_MAX; i++)
        assert_true(note(&offenders, i, i == 7 ? 1 : 10 + i, &times));
    assert_true(note(&offenders, 200, 100, &times));
    assert_int_equal(offenders.count, OFFENDERS_MAX);
    assert_false(note(&offenders, 0, 101, &times));
    assert_true(note(&offenders, 7, 101, &times));
    assert_int_equal(times, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a client is named once in a while, with how often it was noted",
          a_client_is_named_once_in_a_while_with_how_often, NULL, NULL, NULL },
        { "of many clients the one named longest ago is forgotten",
          of_many_the_one_named_longest_ago_is_forgotten, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("offenders", tests, NULL, NULL);
}
