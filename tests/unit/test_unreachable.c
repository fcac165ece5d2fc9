#include "tests/support/test.h"

#include <stdlib.h>

#include "lib/base/limits.h"
#include "queue/deliver/unreachable.h"

static struct ip_address address(const char *text)
{
    struct ip_address a;

    assert_true(ip_address_parse(span_of(text), &a));
    return a;
}

static struct endpoint at(const char *text)
{
    return (struct endpoint){ address(text), 25 };
}

static const char *const three[] = { "2001:db8::1", "192.0.2.1", "2001:db8::2" };

/* The three in their order, with what is known of them; gives how many are well. */
static unsigned ordered(struct unreachable *memory, int64_t now_ms, const char *const *expected)
{
    struct ip_address list[3];
    unsigned well;

    for (int i = 0; i < 3; i++)
        list[i] = address(three[i]);
    well = unreachable_order(memory, list, 3, 25, now_ms);
    for (int i = 0; i < 3; i++) {
        struct ip_address wanted = address(expected[i]);
        assert_true(ip_address_equal(&list[i], &wanted));
    }
    return well;
}

#define ORDER(...) ((const char *const[]){ __VA_ARGS__ })

static void one_that_failed_goes_behind_the_others(void **state)
{
    struct unreachable *memory = unreachable_new();
    struct endpoint first = at(three[0]), third = at(three[2]);

    (void)state;
    assert_int_equal(ordered(memory, 0, three), 3);
    unreachable_note(memory, &first, 1000);
    assert_int_equal(ordered(memory, 1000, ORDER(three[1], three[2], three[0])), 2);
    unreachable_note(memory, &third, 1000);
    assert_int_equal(ordered(memory, 1000, ORDER(three[1], three[0], three[2])), 1);
    unreachable_forget(memory, &first);
    assert_int_equal(ordered(memory, 1000, three), 2);
    unreachable_free(&memory);
}

static void all_of_them_are_still_tried(void **state)
{
    struct unreachable *memory = unreachable_new();

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct endpoint remote = at(three[i]);
        unreachable_note(memory, &remote, 0);
    }
    assert_int_equal(ordered(memory, 0, three), 0);
    unreachable_free(&memory);
}

static void after_ten_minutes_it_is_forgotten(void **state)
{
    struct unreachable *memory = unreachable_new();
    struct endpoint first = at(three[0]), second = at(three[1]);

    (void)state;
    unreachable_note(memory, &first, 0);
    unreachable_note(memory, &second, 1);
    unreachable_note(memory, &first, 2); /* once more: from now on */
    assert_int_equal(unreachable_count(memory), 2);
    assert_int_equal(ordered(memory, UNREACHABLE_MS + 1, ORDER(three[1], three[2], three[0])), 2);
    assert_int_equal(unreachable_count(memory), 1);
    assert_int_equal(ordered(memory, UNREACHABLE_MS + 2, three), 3);
    assert_int_equal(unreachable_count(memory), 0);
    unreachable_free(&memory);
}

static void another_port_is_another_matter(void **state)
{
    struct unreachable *memory = unreachable_new();
    struct endpoint first = { address(three[0]), 587 };

    (void)state;
    unreachable_note(memory, &first, 0);
    assert_int_equal(ordered(memory, 0, three), 3);
    unreachable_free(&memory);
}

static void the_memory_is_bounded(void **state)
{
    struct unreachable *memory = unreachable_new();
    struct endpoint first = at(three[0]);

    (void)state;
    unreachable_note(memory, &first, 0);
    for (unsigned i = 0; i < UNREACHABLE_MAX; i++) {
        struct endpoint remote = at("10.0.0.0");
        remote.address.bytes[1] = (uint8_t)(i >> 16);
        remote.address.bytes[2] = (uint8_t)(i >> 8);
        remote.address.bytes[3] = (uint8_t)i;
        unreachable_note(memory, &remote, 1);
    }
    assert_int_equal(unreachable_count(memory), UNREACHABLE_MAX);
    assert_int_equal(ordered(memory, 1, three), 3); /* the oldest gave way */
    unreachable_free(&memory);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("an address that failed goes behind the others, until it answers",
          one_that_failed_goes_behind_the_others),
        T("where all have failed they are tried in their order", all_of_them_are_still_tried),
        T("after ten minutes it is forgotten", after_ten_minutes_it_is_forgotten),
        T("another port is another matter", another_port_is_another_matter),
        T("the memory is bounded, the oldest gives way", the_memory_is_bounded),
    };

    return cmocka_run_group_tests_name("unreachable", tests, NULL, NULL);
}
