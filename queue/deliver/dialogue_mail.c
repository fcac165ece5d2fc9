#include "queue/deliver/dialogue_private.h"

#include "lib/base/clock.h"

#include <limits.h>
#include <stdio.h>

struct reply_facts dialogue_facts_of(const struct dialogue *d, enum stage stage,
                                     const struct reply *reply)
{
    return (struct reply_facts){ .stage = stage,
                                 .code = reply->code,
                                 .status = reply->status,
                                 .accepted = d->accepted,
                                 .size_declared = d->offered.size,
                                 .is_chosen = d->plan.is_chosen };
}

void dialogue_note_refusal(struct dialogue *d, enum stage stage, const struct reply *reply)
{
    if (outcome_blames_host(dialogue_facts_of(d, stage, reply)))
        d->job->refusal = job_keep(d->job, dialogue_words(d, reply));
}

/* --- beginning */

static struct outcome outcome_of_unfit(const struct unfit *unfit)
{
    struct outcome o = { .kind = OUTCOME_FAILED, .elsewhere = unfit->elsewhere };

    snprintf(o.status, sizeof(o.status), "%s", unfit->status);
    return o;
}

void dialogue_mark_recipients(const struct dialogue *d, struct job *job)
{
    unsigned room = d->offered.recipients_max > 0 ? d->offered.recipients_max : UINT_MAX;
    struct outcome unfit = outcome_of_unfit(&unfit_recipient);

    for (unsigned i = 0; i < job->envelope.recipient_count; i++) {
        struct job_result *result = &job->results[i];
        bool is_fit = dialogue_takes_recipient(d, job, i);
        if (result->state == RECIPIENT_OPEN && !is_fit)
            job_settle_one(job, i, &unfit, span_of(unfit_recipient.why), false);
        result->in_transaction = result->state == RECIPIENT_OPEN && is_fit && room > 0;
        room -= result->in_transaction;
    }
}

/* The next recipient of the transaction from `from` on; the count when there is none. */
static unsigned recipient_from(const struct job *job, unsigned from)
{
    while (from < job->envelope.recipient_count && !job->results[from].in_transaction)
        from++;
    return from;
}

static void transaction_begin(struct dialogue *d, struct job *job)
{
    d->job = job;
    job->refusal = NULL;
    d->mail_refused = d->elsewhere = d->sending = d->chunk_refused = false;
    d->accepted = d->chunks_owed = 0;
    d->rcpt = recipient_from(job, 0);
    d->until_ms = loop_now(d->loop) + dialogue_wait_ms(d, WAIT_MESSAGE) +
                  (int64_t)(job->size / DIALOGUE_RATE_MIN * SECOND_MS);
}

void dialogue_send(struct dialogue *d, struct job *job)
{
    ensure(d->phase == PH_IDLE && !d->job);
    dialogue_mark_recipients(d, job);
    transaction_begin(d, job);
    d->said_ahead = false;
    dialogue_enter(d, d->dirty ? PH_RSET : PH_MAIL);
}

/* RFC 2920 s.3.1: MAIL, all RCPT and DATA in one go; BDAT waits for their answers (CLI-90). */
void dialogue_put_group(struct dialogue *d, struct job *job)
{
    dialogue_put_mail(d, job);
    for (unsigned i = recipient_from(job, 0); i < job->envelope.recipient_count;
         i = recipient_from(job, i + 1))
        dialogue_put_rcpt(d, job, i);
    if (!dialogue_says_bdat(d))
        dialogue_say(d, "DATA\r\n");
    content_start(&job->content, dialogue_more_content, d); /* it comes while the answers do */
}

bool dialogue_has_nobody(const struct job *job)
{
    return recipient_from(job, 0) == job->envelope.recipient_count;
}

/* A job that need not be tried here ends at the end of the turn, never inside dialogue_send. */
static bool refuse_unsuitable(struct dialogue *d)
{
    const struct unfit *unfit = dialogue_unfit(d, d->job);
    struct outcome o;

    if (!unfit && !dialogue_has_nobody(d->job))
        return false;
    if (unfit) {
        o = outcome_of_unfit(unfit);
        job_settle(d->job, RECIPIENT_OPEN, &o, span_of(unfit->why), false);
        d->elsewhere = unfit->elsewhere;
    }
    loop_defer(d->loop, &d->later);
    return true;
}

void say_rset(struct dialogue *d)
{
    dialogue_say(d, "RSET\r\n");
    d->dirty = false;
}

/* RFC 5321 s.4.1.1.5 knows no refusal: who refuses may still have the old transaction open. */
enum phase rset_answered(struct dialogue *d, const struct reply *reply)
{
    d->dirty = false;
    return reply_is_positive(reply) ? PH_MAIL : dialogue_nonsense(d, STAGE_MAIL, reply);
}

void say_mail_from(struct dialogue *d)
{
    if (refuse_unsuitable(d))
        return;
    if (!d->offered.pipelining || d->job->is_probe) { /* a probe has no DATA to go with them */
        dialogue_put_mail(d, d->job);
        return;
    }
    dialogue_put_group(d, d->job);
    d->said_ahead = true;
}

void say_rcpt_to(struct dialogue *d)
{
    dialogue_put_rcpt(d, d->job, d->rcpt);
}

void say_data(struct dialogue *d)
{
    dialogue_say(d, "DATA\r\n");
    content_start(&d->job->content, dialogue_more_content, d);
}

/* --- the end of a transaction */

/* Is anybody left whom this server could take? */
static bool has_fit_recipient(const struct dialogue *d, const struct job *job)
{
    for (unsigned i = 0; i < job->envelope.recipient_count; i++)
        if (job->results[i].state == RECIPIENT_OPEN && dialogue_takes_recipient(d, job, i))
            return true;
    return false;
}

static enum mail_end mail_end_of(const struct dialogue *d, const struct job *job)
{
    if (job_open_count(job) == 0)
        return MAIL_DONE;
    return d->elsewhere || !has_fit_recipient(d, job) ? MAIL_ELSEWHERE : MAIL_AGAIN;
}

enum phase dialogue_transaction_over(struct dialogue *d)
{
    struct job *job = d->job;
    struct job *next = d->next_job;
    enum mail_end end = mail_end_of(d, job);

    content_stop(&job->content);
    job->dot_is_out = false;
    d->job = d->next_job = NULL;
    d->said_ahead = false;
    d->facts.messages++;
    d->phase = PH_IDLE;
    stream_deadline(d->stream, -1);
    if (next) {
        transaction_begin(d, next);
        d->said_ahead = d->next_said;
        d->phase = PH_MAIL;
    }
    d->events->finished(d->ctx, d, job, end);
    if (d->dead || d->phase != PH_MAIL || d->job != next || !next)
        return PH_STAY;
    return d->dirty ? PH_RSET : PH_MAIL;
}

void dialogue_later(void *ctx)
{
    struct dialogue *d = ctx;

    dialogue_hold(d);
    dialogue_enter(d, dialogue_transaction_over(d));
    dialogue_release(d);
}

void dialogue_drop_jobs(struct dialogue *d, const struct dialogue_end *end)
{
    struct job *job = d->job;

    if (d->next_job)
        content_stop(&d->next_job->content);
    d->job = d->next_job = NULL;
    loop_task_cancel(&d->later);
    if (!job)
        return;
    content_stop(&job->content);
    job->dot_is_out = false;
    if (end->stage != STAGE_DOT)
        job_reopen(job);
    job_settle(job, end->stage == STAGE_DOT ? RECIPIENT_ACCEPTED : RECIPIENT_OPEN, &end->outcome,
               end->words, end->remote);
}

enum phase dialogue_nonsense(struct dialogue *d, enum stage stage, const struct reply *reply)
{
    struct dialogue_end end = { .stage = stage,
                                .outcome = outcome_of_loss(stage, LOSS_PROTOCOL),
                                .words = dialogue_words(d, reply),
                                .remote = true };

    return dialogue_give_up(d, end, false);
}

/* --- MAIL, RCPT, DATA */

enum phase mail_answered(struct dialogue *d, const struct reply *reply)
{
    struct outcome o;

    dialogue_note_refusal(d, STAGE_MAIL, reply);
    if (reply_is_positive(reply)) {
        d->dirty = true;
        return PH_RCPT;
    }
    if (reply_is_intermediate(reply))
        return dialogue_nonsense(d, STAGE_MAIL, reply);
    o = outcome_of_reply(dialogue_facts_of(d, STAGE_MAIL, reply));
    job_settle(d->job, RECIPIENT_OPEN, &o, dialogue_words(d, reply), true);
    d->mail_refused = true;
    d->elsewhere = o.elsewhere;
    return d->said_ahead ? PH_RCPT
                         : dialogue_transaction_over(d); /* the other answers still come */
}

/* There is no message to wait for: what RCPT was answered is all that was asked. */
static enum phase probe_answered(struct dialogue *d, const struct reply *reply)
{
    struct outcome o = { .kind = OUTCOME_DELIVERED, .status = "2.1.5" };

    if (d->accepted > 0)
        job_settle(d->job, RECIPIENT_ACCEPTED, &o, dialogue_words(d, reply), true);
    return dialogue_transaction_over(d);
}

static void recipient_answered(struct dialogue *d, const struct reply *reply)
{
    struct outcome o;

    if (d->mail_refused)
        return;
    d->job->was_answered = true;
    if (reply_is_positive(reply)) {
        d->job->results[d->rcpt].state = RECIPIENT_ACCEPTED;
        d->accepted++;
        return;
    }
    o = outcome_of_reply(dialogue_facts_of(d, STAGE_RCPT, reply));
    job_settle_one(d->job, d->rcpt, &o, dialogue_words(d, reply), true);
}

enum phase rcpt_answered(struct dialogue *d, const struct reply *reply)
{
    if (reply_is_intermediate(reply))
        return dialogue_nonsense(d, STAGE_RCPT, reply);
    recipient_answered(d, reply);
    d->rcpt = recipient_from(d->job, d->rcpt + 1);
    if (d->rcpt < d->job->envelope.recipient_count)
        return PH_RCPT;
    if (d->job->is_probe)
        return probe_answered(d, reply);
    if (d->accepted == 0 && !(d->said_ahead && !dialogue_says_bdat(d)))
        return dialogue_transaction_over(d); /* CLI-53: no recipient, no DATA */
    return dialogue_says_bdat(d) ? PH_CONTENT : PH_DATA;
}

enum phase data_answered(struct dialogue *d, const struct reply *reply)
{
    struct outcome o;

    if (reply_is(reply, 354))
        return d->accepted > 0 ? PH_CONTENT : PH_NOTHING;
    if (reply_is_intermediate(reply) || reply_is_positive(reply))
        return dialogue_nonsense(d, STAGE_DATA, reply);
    dialogue_note_refusal(d, STAGE_DATA, reply);
    o = outcome_of_reply(dialogue_facts_of(d, STAGE_DATA, reply));
    job_settle(d->job, RECIPIENT_ACCEPTED, &o, dialogue_words(d, reply), true);
    return dialogue_transaction_over(d);
}

/* RFC 2920 s.3.1: 354 although nobody is there to get it: an empty message, and no more. */
void say_nothing(struct dialogue *d)
{
    dialogue_say(d, ".\r\n");
}

enum phase nothing_answered(struct dialogue *d, const struct reply *reply)
{
    (void)reply;
    d->dirty = false;
    return dialogue_transaction_over(d);
}
