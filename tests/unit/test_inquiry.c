#include "policy/inquiry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "policy/dane_survey.h"
#include "tests/support/test.h"

#define ENFORCE "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n"
#define SECURE "OK secure match=mx.example.com servername=hostname"

/* ---- a loop whose time is the test's ------------------------------------------------------ */

struct loop {
    int64_t now_ms;
    struct list tasks;
};
struct loop_timer {
    loop_timer_fn *on_due;
    void *ctx;
    int64_t wait_ms;
};

static struct loop fake = { .now_ms = 1000000 };
static struct loop_timer *deadline; /* of the last inquiry */

int64_t loop_now(const struct loop *unused)
{
    (void)unused;
    return fake.now_ms;
}

struct loop_timer *loop_timer_new(struct loop *unused, loop_timer_fn *on_due, void *ctx)
{
    (void)unused;
    deadline = memory_new(sizeof(*deadline));
    deadline->on_due = on_due;
    deadline->ctx = ctx;
    return deadline;
}

void loop_timer_start(struct loop_timer *timer, int64_t wait_ms)
{
    timer->wait_ms = wait_ms;
}

void loop_timer_free(struct loop_timer **timer)
{
    free(*timer);
    *timer = NULL;
}

void loop_task_init(struct loop_task *task, loop_task_fn *run, void *ctx)
{
    list_init(&task->waiting);
    task->run = run;
    task->ctx = ctx;
}

void loop_defer(struct loop *unused, struct loop_task *task)
{
    (void)unused;
    list_append(&fake.tasks, &task->waiting);
}

void loop_task_cancel(struct loop_task *task)
{
    list_remove(&task->waiting);
}

static void end_of_turn(void)
{
    while (!list_empty(&fake.tasks)) {
        struct loop_task *task = LIST_FIRST(&fake.tasks, struct loop_task, waiting);
        list_remove(&task->waiting);
        task->run(task->ctx);
    }
}

/* ---- in place of domains and of the survey ------------------------------------------------ */

static struct {
    unsigned asked, cancelled;
    domain_done_fn *done;
    void *ctx;
} domains;

static struct {
    unsigned asked, cancelled;
    dane_survey_done_fn *done;
    void *ctx;
} surveys;

struct domain_asker *domain_ask(struct domains *unused, struct span domain, enum policy_wish wish,
                                domain_done_fn *done, void *ctx)
{
    (void)unused;
    (void)domain;
    assert_int_equal(wish, WISH_CURRENT);
    domains.asked++;
    domains.done = done;
    domains.ctx = ctx;
    return (struct domain_asker *)&domains;
}

void domain_cancel(struct domain_asker **asker)
{
    domains.cancelled += *asker != NULL;
    *asker = NULL;
}

struct dane_survey *dane_survey_start(struct loop *loop, struct resolver *resolver,
                                      const char *domain, uint16_t port, dane_survey_done_fn *done,
                                      void *ctx)
{
    (void)loop;
    (void)resolver;
    (void)domain;
    (void)port;
    surveys.asked++;
    surveys.done = done;
    surveys.ctx = ctx;
    return (struct dane_survey *)&surveys;
}

void dane_survey_cancel(struct dane_survey **survey)
{
    surveys.cancelled += *survey != NULL;
    *survey = NULL;
}

static void policy_is(enum policy_state state, const char *text, int64_t fetched_utc_ms)
{
    struct sts_entry entry = { .fetched_utc_ms = fetched_utc_ms };
    struct policy_answer answer = { .state = state, .fetch_reason = "" };
    if (text) {
        assert_int_equal(sts_policy_parse(span_of(text), &entry.policy), STS_POLICY_FINE);
        answer.entry = &entry;
    }
    domains.done(domains.ctx, &answer);
    sts_entry_clear(&entry);
}

static void policy_is_enforced(void)
{
    policy_is(POLICY_PRESENT, ENFORCE, clock_utc_ms());
}

static void dane_is(enum postfix_dane dane)
{
    surveys.done(surveys.ctx, dane, 3600);
}

/* ---- the world ---------------------------------------------------------------------------- */

static struct {
    struct inquiries *inquiries;
    struct settings *settings;
    struct inquirer *inquirer;
    unsigned answers;
    char answer[1000]; /* the last one */
} world;

static const struct postfix_question question = { POSTFIX_MAP_QUERY, "example.com", 25 };

static void on_answer(void *ctx, struct span answer)
{
    (void)ctx;
    world.inquirer = NULL;
    world.answers++;
    assert_true(span_to_string(answer, world.answer, sizeof(world.answer)));
}

static int begin(void **state)
{
    (void)state;
    memset(&domains, 0, sizeof(domains));
    memset(&surveys, 0, sizeof(surveys));
    memset(&world, 0, sizeof(world));
    list_init(&fake.tasks);
    world.settings = settings_new();
    settings_defaults(world.settings);
    world.inquiries = inquiries_new(&fake, NULL, NULL);
    inquiries_settings(world.inquiries, world.settings);
    return 0;
}

static int end(void **state)
{
    (void)state;
    inquiries_free(&world.inquiries);
    settings_free(&world.settings);
    return 0;
}

static struct inquirer *ask(const struct postfix_question *asked)
{
    world.inquirer = inquiry_ask(world.inquiries, asked, on_answer, NULL);
    return world.inquirer;
}

static bool is_known(const struct postfix_question *asked)
{
    struct span answer;
    return inquiry_recall(world.inquiries, asked, &answer);
}

/* ---- stories ------------------------------------------------------------------------------ */

static void policy_and_hosts_are_asked_at_once_and_both_waited_for(void **state)
{
    (void)state;
    ask(&question);
    assert_int_equal(domains.asked, 1);
    assert_int_equal(surveys.asked, 1);
    policy_is_enforced();
    assert_int_equal(world.answers, 0);
    dane_is(POSTFIX_DANE_NONE);
    assert_int_equal(world.answers, 1);
    assert_string_equal(world.answer, SECURE);
}

/* As it may be in a cache that another version has filled. */
static void a_policy_binds_whose_text_this_version_would_not_take(void **state)
{
    struct sts_entry entry = { .fetched_utc_ms = clock_utc_ms() };
    struct policy_answer answer = { .state = POLICY_PRESENT, .entry = &entry, .fetch_reason = "" };
    (void)state;
    assert_int_equal(sts_policy_parse(SPAN(ENFORCE), &entry.policy), STS_POLICY_FINE);
    entry.policy->text[0] = '?';
    ask(&question);
    domains.done(domains.ctx, &answer);
    sts_entry_clear(&entry);
    dane_is(POSTFIX_DANE_NONE);
    assert_string_equal(world.answer, SECURE);
}

static void the_other_order_is_as_good(void **state)
{
    (void)state;
    ask(&question);
    dane_is(POSTFIX_DANE_ALL);
    assert_int_equal(world.answers, 0);
    policy_is(POLICY_ABSENT, NULL, 0);
    assert_string_equal(world.answer, "OK dane");
}

static void however_many_ask_it_is_one_inquiry(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        ask(&question);
    assert_int_equal(domains.asked, 1);
    dane_is(POSTFIX_DANE_NONE);
    policy_is_enforced();
    assert_int_equal(world.answers, 1000);
}

static void another_map_or_port_is_another_inquiry(void **state)
{
    struct postfix_question other = question;
    (void)state;
    ask(&question);
    other.port = 26;
    ask(&other);
    other = question;
    other.map = POSTFIX_MAP_TLSRPT;
    ask(&other);
    assert_int_equal(domains.asked, 3);
}

static void sendmail_costs_no_survey(void **state)
{
    struct postfix_question sendmail = question;
    (void)state;
    sendmail.map = POSTFIX_MAP_STS;
    ask(&sendmail);
    assert_int_equal(surveys.asked, 0);
    policy_is_enforced();
    assert_string_equal(world.answer, SECURE);
}

static void nor_does_anybody_where_dane_is_off(void **state)
{
    (void)state;
    world.settings->socketmap_dane = SOCKETMAP_DANE_OFF;
    inquiries_settings(world.inquiries, world.settings);
    ask(&question);
    assert_int_equal(surveys.asked, 0);
    policy_is(POLICY_ABSENT, NULL, 0);
    assert_string_equal(world.answer, "NOTFOUND ");
}

static void an_answer_is_kept_for_others(void **state)
{
    struct span answer;
    (void)state;
    assert_false(is_known(&question));
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is_enforced();
    assert_true(inquiry_recall(world.inquiries, &question, &answer));
    assert_true(span_equal(answer, SPAN(SECURE)));
    fake.now_ms += SOCKETMAP_KEPT_MS - 1;
    assert_true(is_known(&question));
    fake.now_ms += 1;
    assert_false(is_known(&question));
}

static void new_settings_forget_the_answers(void **state)
{
    (void)state;
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is_enforced();
    assert_true(is_known(&question));
    inquiries_settings(world.inquiries, world.settings);
    assert_false(is_known(&question));
}

static void no_longer_than_the_records_and_the_policy_live(void **state)
{
    (void)state;
    ask(&question);
    surveys.done(surveys.ctx, POSTFIX_DANE_NONE, 0);
    policy_is_enforced();
    assert_int_equal(world.answers, 1);
    assert_false(is_known(&question));
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is(POLICY_PRESENT, ENFORCE, clock_utc_ms() - (int64_t)604800 * SECOND_MS);
    assert_int_equal(world.answers, 2);
    assert_false(is_known(&question));
}

static void trouble_is_not_kept(void **state)
{
    (void)state;
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is(POLICY_UNKNOWN, NULL, 0);
    assert_string_equal(world.answer, "TEMP the policy cannot be found out");
    assert_false(is_known(&question));
}

static void without_patience_what_is_unknown_is_as_none(void **state)
{
    (void)state;
    world.settings->policy_unknown_wait_s = 0;
    inquiries_settings(world.inquiries, world.settings);
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is(POLICY_UNKNOWN, NULL, 0);
    assert_string_equal(world.answer, "NOTFOUND ");
}

static void what_stays_unknown_is_as_none_when_mail_has_waited(void **state)
{
    (void)state;
    for (int64_t waited = 0; waited <= HOUR_MS; waited += HOUR_MS / 4) {
        ask(&question);
        dane_is(POSTFIX_DANE_NONE);
        policy_is(POLICY_UNKNOWN, NULL, 0);
        assert_string_equal(world.answer,
                            waited < HOUR_MS ? "TEMP the policy cannot be found out" : "NOTFOUND ");
        fake.now_ms += HOUR_MS / 4;
    }
}

static void what_was_known_meanwhile_waits_anew(void **state)
{
    (void)state;
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is(POLICY_UNKNOWN, NULL, 0);
    fake.now_ms += HOUR_MS;
    ask(&question);
    surveys.done(surveys.ctx, POSTFIX_DANE_NONE, 0);
    policy_is(POLICY_ABSENT, NULL, 0);
    assert_string_equal(world.answer, "NOTFOUND ");
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is(POLICY_UNKNOWN, NULL, 0);
    assert_string_equal(world.answer, "TEMP the policy cannot be found out");
}

static void what_is_not_known_in_time_is_not_known(void **state)
{
    (void)state;
    ask(&question);
    assert_int_equal(deadline->wait_ms, SOCKETMAP_ANSWER_MS);
    dane_is(POSTFIX_DANE_NONE);
    deadline->on_due(deadline->ctx);
    assert_string_equal(world.answer, "TEMP the policy cannot be found out");
    assert_int_equal(domains.cancelled, 1);
    assert_false(is_known(&question));
}

static void what_never_is_known_in_time_is_as_none_when_mail_has_waited(void **state)
{
    (void)state;
    for (int64_t waited = 0; waited <= HOUR_MS; waited += HOUR_MS / 4) {
        ask(&question);
        dane_is(POSTFIX_DANE_NONE);
        deadline->on_due(deadline->ctx);
        assert_string_equal(world.answer,
                            waited < HOUR_MS ? "TEMP the policy cannot be found out" : "NOTFOUND ");
        fake.now_ms += HOUR_MS / 4;
    }
}

static void in_time_an_enforced_policy_is_enough(void **state)
{
    (void)state;
    ask(&question);
    policy_is_enforced();
    deadline->on_due(deadline->ctx);
    assert_string_equal(world.answer, SECURE);
    assert_int_equal(surveys.cancelled, 1);
}

static void an_exception_of_the_administrator_is_heeded(void **state)
{
    struct exception_settings *exception = &world.settings->exceptions[0];
    (void)state;
    world.settings->exception_count = 1;
    strcpy(exception->domain, "example.com");
    exception->last_day_utc_ms = clock_utc_ms() - clock_utc_ms() % DAY_MS;
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is_enforced();
    assert_string_equal(world.answer, "OK encrypt");
    exception->last_day_utc_ms -= DAY_MS;
    inquiries_settings(world.inquiries, world.settings);
    ask(&question);
    dane_is(POSTFIX_DANE_NONE);
    policy_is_enforced();
    assert_string_equal(world.answer, SECURE);
}

static unsigned asked_again;

static void on_answer_ask_again(void *ctx, struct span answer)
{
    on_answer(ctx, answer);
    if (asked_again++ == 0)
        ask(&question);
}

static void who_hears_of_it_may_ask_at_once(void **state)
{
    (void)state;
    asked_again = 0;
    inquiry_ask(world.inquiries, &question, on_answer_ask_again, NULL);
    dane_is(POSTFIX_DANE_NONE);
    policy_is(POLICY_UNKNOWN, NULL, 0);
    assert_int_equal(domains.asked, 2);
    assert_int_equal(world.answers, 1);
    dane_is(POSTFIX_DANE_NONE);
    policy_is_enforced();
    assert_int_equal(world.answers, 2);
    assert_string_equal(world.answer, SECURE);
}

static void who_has_gone_is_not_told_and_the_answer_is_kept(void **state)
{
    struct inquirer *gone;
    (void)state;
    gone = ask(&question);
    inquiry_cancel(&gone);
    assert_null(gone);
    assert_int_equal(domains.cancelled, 0);
    dane_is(POSTFIX_DANE_NONE);
    policy_is_enforced();
    assert_int_equal(world.answers, 0);
    assert_true(is_known(&question));
}

static void only_so_much_is_under_way(void **state)
{
    struct postfix_question many = question;
    (void)state;
    for (unsigned i = 0; i < SOCKETMAP_INQUIRIES_MAX; i++) {
        snprintf(many.domain, sizeof(many.domain), "d%u.example", i);
        ask(&many);
    }
    ask(&question);
    assert_int_equal(domains.asked, SOCKETMAP_INQUIRIES_MAX);
    struct inquirer *gone = ask(&question);
    inquiry_cancel(&gone);
    assert_int_equal(world.answers, 0);
    end_of_turn();
    assert_int_equal(world.answers, 1);
    assert_string_equal(world.answer, "TEMP too many questions are under way");
    ask(&many); /* one that is under way may be joined */
    dane_is(POSTFIX_DANE_NONE);
    policy_is_enforced();
    assert_int_equal(world.answers, 3);
}

static void the_end_of_the_role_ends_what_is_under_way(void **state)
{
    (void)state;
    ask(&question);
    inquiries_free(&world.inquiries);
    assert_int_equal(domains.cancelled, 1);
    assert_int_equal(surveys.cancelled, 1);
    assert_int_equal(world.answers, 0);
}

#define TEST(sentence, function)                                                                   \
    {                                                                                              \
        "inquiry: " sentence, function, begin, end, NULL                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("policy and hosts are asked at once, and both waited for",
             policy_and_hosts_are_asked_at_once_and_both_waited_for),
        TEST("a policy binds whose text this version would not take",
             a_policy_binds_whose_text_this_version_would_not_take),
        TEST("the other order is as good", the_other_order_is_as_good),
        TEST("however many ask, it is one inquiry (MAP-90)", however_many_ask_it_is_one_inquiry),
        TEST("another map or port is another inquiry", another_map_or_port_is_another_inquiry),
        TEST("sendmail costs no survey", sendmail_costs_no_survey),
        TEST("nor does anybody where DANE is off", nor_does_anybody_where_dane_is_off),
        TEST("an answer is kept for others for seconds", an_answer_is_kept_for_others),
        TEST("new settings forget the answers", new_settings_forget_the_answers),
        TEST("no longer than the records and the policy live",
             no_longer_than_the_records_and_the_policy_live),
        TEST("trouble is not kept", trouble_is_not_kept),
        TEST("what never is known in time is as none when mail has waited",
             what_never_is_known_in_time_is_as_none_when_mail_has_waited),
        TEST("without patience what is unknown is as none",
             without_patience_what_is_unknown_is_as_none),
        TEST("what stays unknown is as none when mail has waited (policy-unknown-wait)",
             what_stays_unknown_is_as_none_when_mail_has_waited),
        TEST("what was known meanwhile waits anew", what_was_known_meanwhile_waits_anew),
        TEST("what is not known in time is not known (MAP-18)",
             what_is_not_known_in_time_is_not_known),
        TEST("in time an enforced policy is enough", in_time_an_enforced_policy_is_enough),
        TEST("an exception of the administrator is heeded until its end",
             an_exception_of_the_administrator_is_heeded),
        TEST("who hears of it may ask at once", who_hears_of_it_may_ask_at_once),
        TEST("who has gone is not told, and the answer is kept",
             who_has_gone_is_not_told_and_the_answer_is_kept),
        TEST("only so much is under way", only_so_much_is_under_way),
        TEST("the end of the role ends what is under way",
             the_end_of_the_role_ends_what_is_under_way),
    };
    return cmocka_run_group_tests_name("inquiry", tests, NULL, NULL);
}
