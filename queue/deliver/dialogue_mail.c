#include "queue/deliver/dialogue_private.h"

#include "lib/base/clock.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    DOT_WAIT_MS = 10 * MINUTE_MS, /* RFC 5321 s.4.5.3.2.6 */
};

static struct reply_facts facts_of(const struct dialogue *d, enum stage stage,
                                   const struct reply *reply)
{
    return (struct reply_facts){ .stage = stage,
                                 .code = reply->code,
                                 .status = reply->status,
                                 .accepted = d->accepted,
                                 .size_declared = d->offered.size };
}

static void on_more_content(void *ctx)
{
    struct dialogue *d = ctx;

    dialogue_hold(d);
    dialogue_pump(d);
    dialogue_release(d);
}

/* --- beginning */

static struct outcome outcome_of_unfit(const struct unfit *unfit)
{
    struct outcome o = { .kind = OUTCOME_FAILED, .elsewhere = unfit->elsewhere };

    snprintf(o.status, sizeof(o.status), "%s", unfit->status);
    return o;
}

/*
 * Those the server can take, and takes at a time (RFC 9422); the others follow in a new transaction
 * or go elsewhere.
 */
static void mark_recipients(const struct dialogue *d, struct job *job)
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
    d->mail_refused = d->elsewhere = d->sending = false;
    d->accepted = 0;
    d->rcpt = recipient_from(job, 0);
}

void dialogue_send(struct dialogue *d, struct job *job)
{
    ensure(d->phase == PH_IDLE && !d->job);
    mark_recipients(d, job);
    transaction_begin(d, job);
    d->said_ahead = false;
    dialogue_enter(d, d->dirty ? PH_RSET : PH_MAIL);
}

/* RFC 2920 s.3.1: MAIL, all RCPT and DATA in one go. */
static void put_group(struct dialogue *d, struct job *job)
{
    dialogue_put_mail(d, job);
    for (unsigned i = recipient_from(job, 0); i < job->envelope.recipient_count;
         i = recipient_from(job, i + 1))
        dialogue_put_rcpt(d, job, i);
    dialogue_say(d, "DATA\r\n");
    content_start(&job->content, on_more_content, d); /* it comes while the answers do */
}

static bool has_nobody(const struct job *job)
{
    return recipient_from(job, 0) == job->envelope.recipient_count;
}

/* A job that need not be tried here ends at the end of the turn, never inside dialogue_send. */
static bool refuse_unsuitable(struct dialogue *d)
{
    const struct unfit *unfit = dialogue_unfit(d, d->job);
    struct outcome o;

    if (!unfit && !has_nobody(d->job))
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

enum phase rset_answered(struct dialogue *d, const struct reply *reply)
{
    (void)reply; /* RFC 5321 s.4.1.1.5 knows no refusal */
    (void)d;
    return PH_MAIL;
}

void say_mail_from(struct dialogue *d)
{
    if (refuse_unsuitable(d))
        return;
    if (!d->offered.pipelining || d->job->is_probe) { /* a probe has no DATA to go with them */
        dialogue_put_mail(d, d->job);
        return;
    }
    put_group(d, d->job);
    d->said_ahead = true;
}

void say_rcpt_to(struct dialogue *d)
{
    dialogue_put_rcpt(d, d->job, d->rcpt);
}

void say_data(struct dialogue *d)
{
    dialogue_say(d, "DATA\r\n");
    content_start(&d->job->content, on_more_content, d);
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

static enum phase transaction_over(struct dialogue *d)
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
    dialogue_enter(d, transaction_over(d));
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

/* An answer that is neither yes nor no: the two of us have lost each other. */
static enum phase nonsense(struct dialogue *d, enum stage stage, const struct reply *reply)
{
    struct dialogue_end end = { .stage = stage,
                                .outcome = outcome_of_loss(stage, LOSS_PROTOCOL),
                                .words = dialogue_words(d, reply),
                                .remote = true };

    return dialogue_give_up(d, end, false);
}

static bool is_nonsense(const struct reply *reply)
{
    return reply->code / 100 == 3;
}

/* --- MAIL, RCPT, DATA */

enum phase mail_answered(struct dialogue *d, const struct reply *reply)
{
    struct outcome o;

    if (reply_is_positive(reply)) {
        d->dirty = true;
        return PH_RCPT;
    }
    if (is_nonsense(reply))
        return nonsense(d, STAGE_MAIL, reply);
    o = outcome_of_reply(facts_of(d, STAGE_MAIL, reply));
    job_settle(d->job, RECIPIENT_OPEN, &o, dialogue_words(d, reply), true);
    d->mail_refused = true;
    d->elsewhere = o.elsewhere;
    return d->said_ahead ? PH_RCPT : transaction_over(d); /* the other answers still come */
}

/* There is no message to wait for: what RCPT was answered is all that was asked. */
static enum phase probe_answered(struct dialogue *d, const struct reply *reply)
{
    struct outcome o = { .kind = OUTCOME_DELIVERED, .status = "2.1.5" };

    if (d->accepted > 0)
        job_settle(d->job, RECIPIENT_ACCEPTED, &o, dialogue_words(d, reply), true);
    return transaction_over(d);
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
    o = outcome_of_reply(facts_of(d, STAGE_RCPT, reply));
    job_settle_one(d->job, d->rcpt, &o, dialogue_words(d, reply), true);
}

enum phase rcpt_answered(struct dialogue *d, const struct reply *reply)
{
    if (is_nonsense(reply))
        return nonsense(d, STAGE_RCPT, reply);
    recipient_answered(d, reply);
    d->rcpt = recipient_from(d->job, d->rcpt + 1);
    if (d->rcpt < d->job->envelope.recipient_count)
        return PH_RCPT;
    if (d->job->is_probe)
        return probe_answered(d, reply);
    if (d->accepted == 0 && !d->said_ahead)
        return transaction_over(d); /* CLI-53: no recipient, no DATA */
    return PH_DATA;
}

enum phase data_answered(struct dialogue *d, const struct reply *reply)
{
    struct outcome o;

    if (reply_is(reply, 354))
        return d->accepted > 0 ? PH_CONTENT : PH_NOTHING;
    if (is_nonsense(reply) || reply_is_positive(reply))
        return nonsense(d, STAGE_DATA, reply);
    o = outcome_of_reply(facts_of(d, STAGE_DATA, reply));
    job_settle(d->job, RECIPIENT_ACCEPTED, &o, dialogue_words(d, reply), true);
    return transaction_over(d);
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
    return transaction_over(d);
}

/* --- content */

static void write_content(void *ctx, struct span content)
{
    struct dialogue *d = ctx;

    stream_write(d->stream, content);
}

void say_content(struct dialogue *d)
{
    data_writer_init(&d->writer, write_content, d);
    d->sending = true;
    dialogue_pump(d);
}

/* Our own trouble: the connection is cut before the final dot, so that nothing of it is taken. */
static void content_is_bad(struct dialogue *d)
{
    bool damaged = d->job->content.damaged;
    struct outcome o = { .kind = damaged ? OUTCOME_DEFERRED : OUTCOME_FAILED, .hang_up = true };
    char words[80];
    int len;

    strcpy(o.status, damaged ? "4.3.0" : "5.6.0");
    len = damaged ? snprintf(words, sizeof(words), "the stored message is damaged")
                  : snprintf(words, sizeof(words), "the message holds a %s",
                             data_fault_name(d->writer.fault));
    dialogue_give_up(d,
                     (struct dialogue_end){
                         .stage = STAGE_CONTENT, .outcome = o, .words = { words, (size_t)len } },
                     false);
}

/* Design.md section 10: the next message's commands leave in the same write as this one's end. */
static void say_next_along(struct dialogue *d)
{
    if (!d->offered.pipelining || d->facts.messages + 1 >= dialogue_messages_max(d))
        return;
    d->next_job = d->events->next(d->ctx, d);
    if (!d->next_job)
        return;
    mark_recipients(d, d->next_job);
    d->next_said =
        !dialogue_unfit(d, d->next_job) && !has_nobody(d->next_job) && !d->next_job->is_probe;
    if (d->next_said)
        put_group(d, d->next_job);
}

static void content_ends(struct dialogue *d)
{
    if (data_writer_finish(&d->writer) != DATA_CLEAN) {
        content_is_bad(d);
        return;
    }
    d->sending = false;
    d->dirty = false;
    d->owed++;
    d->job->dot_is_out = true;
    stream_deadline(d->stream, DOT_WAIT_MS);
    say_next_along(d);
}

void dialogue_pump(struct dialogue *d)
{
    struct content *content;
    struct span chunk;

    if (d->dead || d->phase != PH_CONTENT || !d->sending)
        return;
    content = &d->job->content;
    stream_deadline(d->stream, DIALOGUE_BLOCK_MS);
    while (stream_pending(d->stream) < DIALOGUE_BLOCK_SIZE && content_peek(content, &chunk)) {
        if (data_writer_put(&d->writer, chunk) != DATA_CLEAN)
            break;
        content_next(content);
    }
    if (content->damaged || d->writer.fault != DATA_CLEAN)
        content_is_bad(d);
    else if (content_at_end(content))
        content_ends(d);
}

/* An answer to what was not yet asked: never taken for acceptance. */
enum phase content_interrupted(struct dialogue *d, const struct reply *reply)
{
    struct dialogue_end end = { .stage = STAGE_CONTENT,
                                .outcome = outcome_of_reply(facts_of(d, STAGE_CONTENT, reply)),
                                .words = dialogue_words(d, reply),
                                .remote = true };

    return dialogue_give_up(d, end, false);
}

enum phase content_answered(struct dialogue *d, const struct reply *reply)
{
    struct outcome o;

    if (is_nonsense(reply))
        return nonsense(d, STAGE_DOT, reply);
    o = outcome_of_reply(facts_of(d, STAGE_DOT, reply));
    o.without_dsn = o.kind == OUTCOME_DELIVERED && !d->offered.dsn;
    job_settle(d->job, RECIPIENT_ACCEPTED, &o, dialogue_words(d, reply), true);
    return transaction_over(d);
}
