#include "tests/support/test.h"

#include "lib/base/clock.h"
#include "supervisor/deaths.h"
#include "supervisor/quarrels.h"

static void of_a_more_exposed_role_one_less_is_believed_always(void **state)
{
    (void)state;
    for (int heard = 0; heard < 2; heard++) {
        struct quarrel q = { .teller_exposure = 1, .peer_exposure = 2, .teller_was_heard = heard };
        struct quarrel_verdict v = quarrel_judge(&q);
        assert_true(v.ends_peer);
        assert_false(v.word_spent);
    }
}

static void any_other_word_counts_once(void **state)
{
    static const unsigned exposure[][2] = { { 2, 1 }, { 0, 0 }, { 3, 3 } };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct quarrel q = { .teller_exposure = exposure[i][0], .peer_exposure = exposure[i][1] };
        struct quarrel_verdict v = quarrel_judge(&q);
        assert_true(v.ends_peer);
        assert_true(v.word_spent);
        q.teller_was_heard = true;
        v = quarrel_judge(&q);
        assert_false(v.ends_peer);
        assert_false(v.word_spent);
    }
}

static void the_fifth_death_within_a_minute_is_an_alarm(void **state)
{
    struct deaths deaths = { .count = 0 };
    int64_t now = 1000;
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_false(deaths_add(&deaths, now += 16 * SECOND_MS)); /* four within a minute */
    for (int i = 0; i < 10; i++)
        if (deaths_add(&deaths, now += 14 * SECOND_MS))
            return;
    fail();
}

static void an_end_is_told_in_words(void **state)
{
    char text[DEATHS_TEXT_SIZE];
    (void)state;
    death_describe(9, text);
    assert_string_equal(text, "signal KILL");
    death_describe(71 << 8, text);
    assert_string_equal(text, "exit status 71");
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("of a more exposed role, one that is less is believed always",
             of_a_more_exposed_role_one_less_is_believed_always),
        TEST("any other word counts once, then it ends who says it", any_other_word_counts_once),
        TEST("the fifth death within a minute is an alarm",
             the_fifth_death_within_a_minute_is_an_alarm),
        TEST("an end is told in words", an_end_is_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
