#include "smtpd/pickup/turns.h"

#include "lib/base/limits.h"
#include "tests/support/test.h"

static void a_user_has_so_many_files_in_a_pass_and_others_have_theirs(void **state)
{
    struct turns turns;

    (void)state;
    turns_init(&turns);
    for (int i = 0; i < PICKUP_USER_FILES; i++)
        assert_true(turns_take(&turns, 1000, 10));
    assert_false(turns.somebody_waits);
    assert_false(turns_take(&turns, 1000, 10));
    assert_true(turns.somebody_waits);
    assert_true(turns_take(&turns, 0, 10));
    turns_begin(&turns);
    assert_false(turns.somebody_waits);
    assert_true(turns_take(&turns, 1000, 10));
    turns_clear(&turns);
}

static void one_large_file_may_be_all_that_a_user_has(void **state)
{
    struct turns turns;

    (void)state;
    turns_init(&turns);
    assert_true(turns_take(&turns, 1000, UINT64_C(8) * PICKUP_USER_BYTES));
    assert_false(turns_take(&turns, 1000, 1));
    assert_true(turns_take(&turns, 1001, PICKUP_USER_BYTES - 1));
    assert_true(turns_take(&turns, 1001, 1));
    assert_false(turns_take(&turns, 1001, 1));
    turns_clear(&turns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a user has so many files in a pass, and others have theirs",
          a_user_has_so_many_files_in_a_pass_and_others_have_theirs, NULL, NULL, NULL },
        { "one large file may be all that a user has", one_large_file_may_be_all_that_a_user_has,
          NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
