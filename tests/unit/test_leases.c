#include "tests/support/test.h"

#include "queue/leases.h"

static int open_leases(void **state)
{
    *state = leases_new();
    return 0;
}

static int close_leases(void **state)
{
    struct leases *leases = *state;
    leases_free(&leases);
    return 0;
}

static const uint32_t three[] = { 2, 5, 9 };

static void a_lease_covers_its_recipients(void **state)
{
    struct lease *lease = lease_begin(*state, 0x3f9c21, three, 3);
    assert_true(lease_covers(*state, 0x3f9c21, 5));
    assert_false(lease_covers(*state, 0x3f9c21, 6));
    assert_false(lease_covers(*state, 0x3f9c22, 5));
    assert_true(lease_find(*state, lease->number) == lease);
}

static void an_ended_lease_covers_nothing(void **state)
{
    struct lease *lease = lease_begin(*state, 7, three, 3);
    uint64_t number = lease->number;
    lease_end(*state, &lease);
    assert_null(lease);
    assert_null(lease_find(*state, number));
    assert_false(lease_covers(*state, 7, 5));
    assert_int_equal(lease_count(*state), 0);
}

static void leases_of_one_message_have_their_own_numbers(void **state)
{
    static const uint32_t first[] = { 0 };
    static const uint32_t second[] = { 1 };
    struct lease *a = lease_begin(*state, 7, first, 1);
    struct lease *b = lease_begin(*state, 7, second, 1);
    assert_int_not_equal(a->number, b->number);
    lease_end(*state, &a);
    assert_false(lease_covers(*state, 7, 0));
    assert_true(lease_covers(*state, 7, 1));
}

static void a_lease_from_before_covers_its_whole_message(void **state)
{
    struct leases *before = leases_new();
    struct lease *old = lease_begin(before, 0x3f9c21, three, 3);
    struct lease *taken = lease_take_over(*state, old->number);
    assert_non_null(taken);
    assert_int_equal(taken->id, 0x3f9c21);
    assert_true(lease_covers(*state, 0x3f9c21, 5));
    assert_true(lease_covers(*state, 0x3f9c21, 77)); /* it may have been about any of them */
    leases_free(&before);
}

static void a_number_is_taken_over_once(void **state)
{
    assert_non_null(lease_take_over(*state, 0x123456789));
    assert_null(lease_take_over(*state, 0x123456789));
}

static void a_new_lease_never_has_a_number_that_is_held(void **state)
{
    struct lease *first = lease_begin(*state, 1, three, 3);
    uint64_t base = first->number;
    for (uint64_t i = 1; i < 50; i++) /* an old worker holds what would come next */
        assert_non_null(
            lease_take_over(*state, (base & ~UINT64_C(0xfffff)) | ((base + i) & 0xfffff)));
    struct lease *next = lease_begin(*state, 1, three, 3);
    assert_true(lease_find(*state, next->number) == next);
    assert_false(next->covers_all);
}

static void many_leases_are_all_found(void **state)
{
    static const uint32_t one[] = { 0 };
    for (uint64_t id = 1; id <= 20000; id++)
        lease_begin(*state, id, one, 1);
    assert_int_equal(lease_count(*state), 20000);
    for (uint64_t id = 1; id <= 20000; id++)
        assert_true(lease_covers(*state, id, 0));
    assert_false(lease_covers(*state, 20001, 0));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_leases, close_leases, NULL                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a lease covers its recipients and no others", a_lease_covers_its_recipients),
        TEST("an ended lease covers nothing", an_ended_lease_covers_nothing),
        TEST("two leases of one message have numbers of their own",
             leases_of_one_message_have_their_own_numbers),
        TEST("a lease from an earlier queue names its message and covers all of it",
             a_lease_from_before_covers_its_whole_message),
        TEST("a number is taken over once", a_number_is_taken_over_once),
        TEST("a new lease never gets a number that an old worker holds",
             a_new_lease_never_has_a_number_that_is_held),
        TEST("many leases are all found", many_leases_are_all_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
