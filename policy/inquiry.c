#include "policy/inquiry.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "policy/dane_survey.h"
#include "policy/kept_answers.h"
#include "policy/patience.h"

struct inquiries {
    struct loop *loop;
    struct domains *domains;
    struct resolver *resolver;
    struct map *under_way; /* by their keys */
    struct kept_answers *kept;
    struct patience *patience;
    const struct settings *settings;
};

/* Map, port and domain as text: who asks the same gets the same. */
enum { KEY_SIZE = DOMAIN_MAX + 16 };

struct inquiry {
    struct inquiries *inquiries;
    char key[KEY_SIZE];
    struct postfix_question question;
    struct list inquirers;
    struct domain_asker *asking;
    struct dane_survey *survey;
    struct loop_timer *deadline;
    struct postfix_facts facts;
    struct sts_policy *policy; /* our copy of the one in the facts */
    int64_t kept_ms;           /* so long the answer holds */
};

struct inquirer {
    struct list in_inquiry; /* in none: turned away */
    struct loop_task refusal;
    inquiry_done_fn *done;
    void *ctx;
};

static void key_of(const struct postfix_question *question, char key[KEY_SIZE])
{
    snprintf(key, KEY_SIZE, "%d %u %s", (int)question->map, question->port, question->domain);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void inquirer_free(struct inquirer *inquirer)
{
    list_remove(&inquirer->in_inquiry);
    loop_task_cancel(&inquirer->refusal);
    free(inquirer);
}

static void inquiry_free(struct inquiry *inquiry)
{
    map_remove(inquiry->inquiries->under_way, span_of(inquiry->key));
    domain_cancel(&inquiry->asking);
    dane_survey_cancel(&inquiry->survey);
    loop_timer_free(&inquiry->deadline);
    sts_policy_free(&inquiry->policy);
    while (!list_empty(&inquiry->inquirers))
        inquirer_free(LIST_FIRST(&inquiry->inquirers, struct inquirer, in_inquiry));
    free(inquiry);
}

/* Trouble is not kept: who asks again has it looked up again (policy/domains holds back). */
static void keep(const struct inquiry *inquiry, enum postfix_answer_kind kind, struct span answer)
{
    const struct inquiries *all = inquiry->inquiries;
    if (kind != POSTFIX_ANSWER_LATER && inquiry->kept_ms > 0)
        kept_answers_put(all->kept, span_of(inquiry->key), answer,
                         loop_now(all->loop) + inquiry->kept_ms);
}

/* Frees it first: who hears of it may ask the same again at once. */
static void tell(struct inquiry **inquiry, struct span answer)
{
    struct list inquirers;
    list_init(&inquirers);
    list_splice(&inquirers, &(*inquiry)->inquirers);
    inquiry_free(*inquiry);
    *inquiry = NULL;
    while (!list_empty(&inquirers)) {
        struct inquirer *inquirer = LIST_FIRST(&inquirers, struct inquirer, in_inquiry);
        list_remove(&inquirer->in_inquiry);
        inquirer->done(inquirer->ctx, answer);
        free(inquirer);
    }
}

static void shorten(struct inquiry *inquiry, int64_t ms)
{
    if (ms < inquiry->kept_ms)
        inquiry->kept_ms = ms;
}

/* Looked up at the end: settings may have changed meanwhile. */
static void look_for_exception(struct inquiry *inquiry)
{
    const struct exception_settings *exception =
        settings_exception(inquiry->inquiries->settings, span_of(inquiry->question.domain));
    int64_t now = clock_utc_ms();
    if (!exception || !exception_is_in_force(exception, now))
        return;
    inquiry->facts.exception = exception;
    shorten(inquiry, exception_end_ms(exception) - now);
}

static void conclude(struct inquiry *inquiry)
{
    struct buf answer;
    look_for_exception(inquiry);
    buf_init(&answer, SOCKETMAP_REPLY_MAX);
    enum postfix_answer_kind kind = postfix_answer(&inquiry->question, &inquiry->facts, &answer);
    keep(inquiry, kind, buf_span(&answer));
    tell(&inquiry, buf_span(&answer));
    buf_clear(&answer);
}

static void conclude_if_whole(struct inquiry *inquiry)
{
    if (!inquiry->asking && !inquiry->survey)
        conclude(inquiry);
}

/* ---- what is found out -------------------------------------------------------------------- */

/* The policy is lent to us for this call, and the hosts may still be looked at: we keep a copy. */
static void copy_policy(struct inquiry *inquiry, const struct sts_entry *entry)
{
    inquiry->policy = sts_policy_copy(entry->policy);
    inquiry->facts.policy = inquiry->policy;
    shorten(inquiry, sts_entry_expires(entry) - clock_utc_ms());
}

static int64_t unknown_wait_ms(const struct inquiries *inquiries)
{
    return (int64_t)inquiries->settings->policy_unknown_wait_s * SECOND_MS;
}

/* Nobody knows what binds: has the domain's mail waited for that long enough? */
static bool has_waited(const struct inquiry *inquiry)
{
    const struct inquiries *all = inquiry->inquiries;
    return patience_is_over(all->patience, span_of(inquiry->question.domain), loop_now(all->loop),
                            unknown_wait_ms(all));
}

static void on_policy(void *ctx, const struct policy_answer *answer)
{
    struct inquiry *inquiry = ctx;
    struct inquiries *all = inquiry->inquiries;
    struct span domain = span_of(inquiry->question.domain);
    inquiry->asking = NULL;
    if (answer->state == POLICY_PRESENT)
        copy_policy(inquiry, answer->entry);
    if (answer->state != POLICY_UNKNOWN)
        patience_restore(all->patience, domain);
    inquiry->facts.sts_is_known = answer->state != POLICY_UNKNOWN || has_waited(inquiry);
    conclude_if_whole(inquiry);
}

static void on_survey(void *ctx, enum postfix_dane dane, uint32_t ttl_s)
{
    struct inquiry *inquiry = ctx;
    inquiry->survey = NULL;
    inquiry->facts.dane = dane;
    shorten(inquiry, (int64_t)ttl_s * SECOND_MS);
    conclude_if_whole(inquiry);
}

/* What is not known by now is not known: the asker's own patience ends soon. */
static void on_deadline(void *ctx)
{
    struct inquiry *inquiry = ctx;
    if (inquiry->survey)
        inquiry->facts.dane = POSTFIX_DANE_UNKNOWN;
    if (inquiry->asking)
        inquiry->facts.sts_is_known = has_waited(inquiry);
    domain_cancel(&inquiry->asking);
    dane_survey_cancel(&inquiry->survey);
    conclude(inquiry);
}

/* ---- the beginning ------------------------------------------------------------------------ */

static struct inquiry *inquiry_new(struct inquiries *inquiries, const char *key,
                                   const struct postfix_question *question)
{
    struct inquiry *inquiry = memory_new(sizeof(*inquiry));
    inquiry->inquiries = inquiries;
    inquiry->question = *question;
    inquiry->kept_ms = SOCKETMAP_KEPT_MS;
    inquiry->facts.level = inquiries->settings->socketmap_dane;
    list_init(&inquiry->inquirers);
    ensure(span_to_string(span_of(key), inquiry->key, sizeof(inquiry->key)));
    map_put(inquiries->under_way, span_of(key), inquiry);
    inquiry->deadline = loop_timer_new(inquiries->loop, on_deadline, inquiry);
    loop_timer_start(inquiry->deadline, SOCKETMAP_ANSWER_MS);
    return inquiry;
}

static void begin(struct inquiry *inquiry)
{
    struct inquiries *all = inquiry->inquiries;
    const struct postfix_question *question = &inquiry->question;
    if (question->map != POSTFIX_MAP_STS && question->port != 0 &&
        inquiry->facts.level != SOCKETMAP_DANE_OFF)
        inquiry->survey = dane_survey_start(all->loop, all->resolver, question->domain,
                                            question->port, on_survey, inquiry);
    inquiry->asking =
        domain_ask(all->domains, span_of(question->domain), WISH_CURRENT, on_policy, inquiry);
}

static void on_refusal(void *ctx)
{
    struct inquirer *inquirer = ctx;
    inquirer->done(inquirer->ctx, SPAN("TEMP too many questions are under way"));
    free(inquirer);
}

static struct inquirer *inquirer_new(inquiry_done_fn *done, void *ctx)
{
    struct inquirer *inquirer = memory_new(sizeof(*inquirer));
    inquirer->done = done;
    inquirer->ctx = ctx;
    list_init(&inquirer->in_inquiry);
    loop_task_init(&inquirer->refusal, on_refusal, inquirer);
    return inquirer;
}

struct inquirer *inquiry_ask(struct inquiries *inquiries, const struct postfix_question *question,
                             inquiry_done_fn *done, void *ctx)
{
    struct inquirer *inquirer = inquirer_new(done, ctx);
    char key[KEY_SIZE];
    key_of(question, key);
    struct inquiry *inquiry = map_get(inquiries->under_way, span_of(key));
    if (!inquiry && map_count(inquiries->under_way) >= SOCKETMAP_INQUIRIES_MAX) {
        loop_defer(inquiries->loop, &inquirer->refusal);
        return inquirer;
    }
    if (inquiry) {
        list_append(&inquiry->inquirers, &inquirer->in_inquiry);
        return inquirer;
    }
    inquiry = inquiry_new(inquiries, key, question);
    list_append(&inquiry->inquirers, &inquirer->in_inquiry);
    begin(inquiry);
    return inquirer;
}

/* What is under way goes on: its answer is worth keeping, and so nobody can make more of it. */
void inquiry_cancel(struct inquirer **inquirer)
{
    if (*inquirer)
        inquirer_free(*inquirer);
    *inquirer = NULL;
}

bool inquiry_recall(const struct inquiries *inquiries, const struct postfix_question *question,
                    struct span *out_answer)
{
    char key[KEY_SIZE];
    key_of(question, key);
    return kept_answers_find(inquiries->kept, span_of(key), loop_now(inquiries->loop), out_answer);
}

struct inquiries *inquiries_new(struct loop *loop, struct domains *domains,
                                struct resolver *resolver)
{
    struct inquiries *inquiries = memory_new(sizeof(*inquiries));
    inquiries->loop = loop;
    inquiries->domains = domains;
    inquiries->resolver = resolver;
    inquiries->under_way = map_new();
    inquiries->kept = kept_answers_new(SOCKETMAP_KEPT_MAX, SOCKETMAP_KEPT_BYTES_MAX);
    inquiries->patience = patience_new(SOCKETMAP_KEPT_MAX);
    return inquiries;
}

void inquiries_settings(struct inquiries *inquiries, const struct settings *settings)
{
    inquiries->settings = settings;
    kept_answers_forget_all(inquiries->kept);
}

void inquiries_free(struct inquiries **inquiries)
{
    struct inquiries *all = *inquiries;
    struct inquiry *inquiry;
    *inquiries = NULL;
    if (!all)
        return;
    for (size_t cursor = 0; (inquiry = map_next(all->under_way, &cursor, NULL)); cursor = 0)
        inquiry_free(inquiry);
    map_free(&all->under_way);
    kept_answers_free(&all->kept);
    patience_free(&all->patience);
    free(all);
}
