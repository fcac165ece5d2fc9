#include "tests/support/test.h"

#include "queue/deliver/plan.h"

static struct plan plan_with(Ipc__PolicyAnswer *answer, Ipc__PolicyState state)
{
    ipc__policy_answer__init(answer);
    answer->state = state;
    return (struct plan){ .answer = answer };
}

static void a_policy_that_dns_says_nothing_of_is_waited_for_a_while(void **state)
{
    (void)state;
    Ipc__PolicyAnswer answer;
    struct plan plan = plan_with(&answer, IPC__POLICY_STATE__POLICY_NOT_KNOWN);
    assert_true(plan_must_wait(&plan, false));
    assert_false(plan_must_wait(&plan, true));
    assert_string_equal(plan_policy_words(&plan), "unknown");
}

static void a_silent_policy_role_is_waited_for_without_end(void **state)
{
    (void)state;
    Ipc__PolicyAnswer answer;
    struct plan plan = plan_with(&answer, IPC__POLICY_STATE__POLICY_NOT_ASKED);
    assert_true(plan_must_wait(&plan, false));
    assert_true(plan_must_wait(&plan, true));
    assert_string_equal(plan_policy_words(&plan), "unknown");
}

static void an_answer_that_is_none_of_ours_is_no_answer(void **state)
{
    (void)state;
    Ipc__PolicyAnswer answer;
    struct plan plan = plan_with(&answer, (Ipc__PolicyState)77);
    assert_true(plan_must_wait(&plan, true));
}

static void known_answers_and_next_hops_without_policy_wait_for_nothing(void **state)
{
    (void)state;
    Ipc__PolicyAnswer answer;
    struct plan plan = plan_with(&answer, IPC__POLICY_STATE__NO_POLICY);
    assert_false(plan_must_wait(&plan, false));
    plan = plan_with(&answer, IPC__POLICY_STATE__POLICY_FOUND);
    assert_false(plan_must_wait(&plan, false));
    plan = (struct plan){ .answer = NULL };
    assert_false(plan_must_wait(&plan, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a policy that DNS says nothing of is waited for, for a while",
          a_policy_that_dns_says_nothing_of_is_waited_for_a_while, NULL, NULL, NULL },
        { "a policy role that does not answer is waited for without end: it may have a policy",
          a_silent_policy_role_is_waited_for_without_end, NULL, NULL, NULL },
        { "an answer that is none of ours is no answer",
          an_answer_that_is_none_of_ours_is_no_answer, NULL, NULL, NULL },
        { "known answers, and next hops without a policy, wait for nothing",
          known_answers_and_next_hops_without_policy_wait_for_nothing, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
