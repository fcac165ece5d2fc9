#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "queue/deliver/attempt_private.h"

/* A job that was requeued, under the plans of a route with two domains, each with one MX host. */
struct again {
    struct plans *plans;
    Ipc__PolicyAnswer answers[2];
    struct job job;
    struct attempt attempt;
};

static void again_begin(struct again *again)
{
    *again = (struct again){ .job.policy = "" };
    again->plans = memory_new(sizeof(*again->plans) + 2 * sizeof(again->plans->items[0]));
    again->plans->count = 2;
    for (unsigned i = 0; i < 2; i++) {
        struct plan *plan = &again->plans->items[i];
        ipc__policy_answer__init(&again->answers[i]);
        again->answers[i].state = IPC__POLICY_STATE__NO_POLICY;
        plan->answer = &again->answers[i];
        plan->route.verdict = ROUTE_FOUND;
        plan->route.count = 1;
        strcpy(plan->route.candidates[0].name, i == 0 ? "mx.one.test" : "mx.two.test");
    }
    again->attempt = (struct attempt){ .plans = again->plans, .job = &again->job };
    again->attempt.places[1] = 1;
}

static void again_end(struct again *again)
{
    free(again->job.words); /* one block at most */
    free(again->plans);
}

static bool has_candidate(const struct attempt *a)
{
    return a->next < a->order_count;
}

static void a_job_goes_on_where_it_was(void **state)
{
    struct again again;

    (void)state;
    again_begin(&again);
    attempt_begin_at(&again.attempt, MX_NAMES_MAX);
    assert_ptr_equal(again.attempt.plan, &again.plans->items[1]);
    assert_true(has_candidate(&again.attempt));
    again_end(&again);
}

static void a_job_goes_on_at_the_next_host_of_which_the_policy_is_known(void **state)
{
    struct again again;

    (void)state;
    again_begin(&again);
    again.answers[0].state = IPC__POLICY_STATE__POLICY_NOT_KNOWN;
    attempt_begin_at(&again.attempt, 0);
    assert_ptr_equal(again.attempt.plan, &again.plans->items[1]);
    assert_true(has_candidate(&again.attempt));
    again_end(&again);
}

static void a_host_is_not_gone_on_with_when_its_policy_is_not_known_any_more(void **state)
{
    static const Ipc__PolicyState unknown[] = { IPC__POLICY_STATE__POLICY_NOT_KNOWN,
                                                IPC__POLICY_STATE__POLICY_NOT_ASKED };
    struct again again;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        again_begin(&again);
        again.answers[1].state = unknown[i];
        attempt_begin_at(&again.attempt, MX_NAMES_MAX);
        assert_false(has_candidate(&again.attempt));
        assert_true(attempt_position(&again.attempt) > MX_NAMES_MAX);
        again_end(&again);
    }
}

/* What was said to a job that is under way: no by the one, and nothing by the other. */
static void refuse(struct again *again, struct job_result *result, unsigned state)
{
    again_begin(again);
    again->answers[1].state = state;
    *result = (struct job_result){ .is_given = true, .kind = OUTCOME_FAILED, .reply = "no" };
    again->job.results = result;
    again->job.envelope.recipient_count = 1;
    attempt_begin_at(&again->attempt, 0);
}

static void a_host_that_says_no_does_not_speak_for_one_of_which_nothing_is_known(void **state)
{
    struct again again;
    struct job_result result;

    (void)state;
    refuse(&again, &result, IPC__POLICY_STATE__POLICY_NOT_KNOWN);
    strcpy(again.plans->items[1].target.name, "two.test");
    attempt_settle_unknown(&again.attempt);
    assert_int_equal(result.kind, OUTCOME_DEFERRED);
    assert_int_equal(result.state, RECIPIENT_OPEN);
    assert_string_equal(result.status, "4.4.3");
    assert_string_equal(result.reply, "two.test: its MTA-STS policy is not known yet");
    again_end(&again);

    refuse(&again, &result, IPC__POLICY_STATE__NO_POLICY);
    again.plans->items[1].route =
        (struct route){ .verdict = ROUTE_TEMPFAIL, .reason = "MX lookup: SERVFAIL" };
    strcpy(again.plans->items[1].target.name, "two.test");
    attempt_settle_unknown(&again.attempt);
    assert_int_equal(result.kind, OUTCOME_DEFERRED);
    assert_string_equal(result.reply, "two.test: MX lookup: SERVFAIL");
    again_end(&again);
}

static void where_all_is_known_what_was_said_stands(void **state)
{
    struct again again;
    struct job_result result;

    (void)state;
    refuse(&again, &result, IPC__POLICY_STATE__NO_POLICY);
    attempt_settle_unknown(&again.attempt);
    assert_int_equal(result.kind, OUTCOME_FAILED);
    assert_string_equal(result.reply, "no");
    again_end(&again);

    refuse(&again, &result, IPC__POLICY_STATE__POLICY_NOT_KNOWN);
    result.kind = OUTCOME_DEFERRED; /* says more than that nothing is known */
    attempt_settle_unknown(&again.attempt);
    assert_string_equal(result.reply, "no");
    result.kind = OUTCOME_FAILED;
    result.state = RECIPIENT_SETTLED;
    attempt_settle_unknown(&again.attempt);
    assert_int_equal(result.kind, OUTCOME_FAILED);
    again_end(&again);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a job that was requeued goes on where it was", a_job_goes_on_where_it_was),
        T("a job goes on at the next host of which the policy is known",
          a_job_goes_on_at_the_next_host_of_which_the_policy_is_known),
        T("a requeued job does not go on with a host whose policy is not known any more",
          a_host_is_not_gone_on_with_when_its_policy_is_not_known_any_more),
        T("a host that says no does not speak for one of which nothing is known",
          a_host_that_says_no_does_not_speak_for_one_of_which_nothing_is_known),
        T("where all is known what was said stands", where_all_is_known_what_was_said_stands),
    };

    return cmocka_run_group_tests_name("attempt", tests, NULL, NULL);
}
