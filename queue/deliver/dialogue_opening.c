#include "queue/deliver/dialogue_private.h"

#include "lib/base/clock.h"

/* --- greeting and EHLO */

enum phase greeting_answered(struct dialogue *d, const struct reply *reply)
{
    d->greeted = true;
    return reply_is_positive(reply) ? PH_EHLO : dialogue_refused(d, STAGE_GREETING, reply);
}

void say_ehlo(struct dialogue *d)
{
    ehlo_clear(&d->offered);
    dialogue_say(d, "EHLO %s\r\n", d->plan.helo);
}

void say_helo(struct dialogue *d)
{
    ehlo_clear(&d->offered); /* after HELO nothing is offered (RFC 5321 s.4.1.4) */
    dialogue_say(d, "HELO %s\r\n", d->plan.helo);
}

/* What the server has given to resume this session by, now that the owner has judged it. */
static void keep_for_later(struct dialogue *d)
{
    struct tls_resumable *resumable;

    if (!d->plan.past || d->facts.tls != SESSION_TLS_ON)
        return;
    d->plan.key.pool.remote = d->facts.remote;
    while ((resumable = stream_resumable(d->stream)) != NULL)
        resumption_put(d->plan.past, &d->plan.key, &resumable, loop_now(d->loop));
}

enum phase dialogue_settled(struct dialogue *d)
{
    struct dialogue_end end = { .stage = STAGE_STARTTLS,
                                .outcome = outcome_of_policy(false),
                                .refused = true };

    d->facts.helo = d->offered.name;
    if (!d->judged && !d->events->judge(d->ctx, d))
        return dialogue_give_up(d, end, true);
    d->judged = true;
    if (d->plan.identity && d->facts.auth[0] == '\0')
        return dialogue_log_in(d);
    keep_for_later(d);
    d->phase = PH_IDLE;
    stream_deadline(d->stream, DIALOGUE_NO_DEADLINE);
    d->events->ready(d->ctx, d);
    return PH_STAY;
}

enum phase ehlo_answered(struct dialogue *d, const struct reply *reply)
{
    if (reply_is_permanent(reply) && !reply_is(reply, 521))
        return PH_HELO; /* RFC 5321 s.3.2 */
    if (!reply_is_positive(reply))
        return dialogue_refused(d, STAGE_EHLO, reply);
    if (d->plan.context && d->facts.tls != SESSION_TLS_ON && d->offered.starttls)
        return PH_STARTTLS;
    return dialogue_settled(d);
}

enum phase helo_answered(struct dialogue *d, const struct reply *reply)
{
    return reply_is_positive(reply) ? dialogue_settled(d) : dialogue_refused(d, STAGE_EHLO, reply);
}

/* --- TLS */

void say_starttls(struct dialogue *d)
{
    dialogue_say(d, "STARTTLS\r\n");
}

/* No TLS with this connection; whether there is another way the owner knows. */
static enum phase without_tls(struct dialogue *d, enum session_tls how, struct span words,
                              bool remote)
{
    struct dialogue_end end = { .stage = STAGE_HANDSHAKE,
                                .outcome = outcome_of_loss(STAGE_HANDSHAKE, LOSS_CLOSED),
                                .words = words,
                                .remote = remote };

    d->facts.tls = how;
    d->facts.helo = d->offered.name;
    return dialogue_give_up(d, end, remote);
}

static void offer_the_past(struct dialogue *d)
{
    struct tls_resumable *resumable = NULL;

    d->plan.key.pool.remote = d->facts.remote;
    if (d->plan.past)
        resumable = resumption_take(d->plan.past, &d->plan.key, loop_now(d->loop), clock_utc_ms());
    if (!resumable)
        return;
    stream_resume_tls(d->stream, resumable);
    d->facts.past_was_offered = true;
    tls_resumable_free(&resumable);
}

void dialogue_begin_tls(struct dialogue *d)
{
    const struct tlsa_set *tlsa = d->plan.tlsa;

    stream_secure_client(d->stream, d->plan.context, tlsa ? tlsa->base : d->mx); /* DANE-70 */
    if (tlsa)
        d->tlsa_in_force =
            stream_expect_tlsa(d->stream, &d->plan.tlsa_names, tlsa->records, tlsa->usable_count);
    else
        offer_the_past(d);
}

enum phase starttls_answered(struct dialogue *d, const struct reply *reply)
{
    if (!reply_is(reply, 220))
        return without_tls(d, SESSION_TLS_REFUSED, dialogue_words(d, reply), true);
    if (d->behind > 0) /* clear text must not cross into TLS (RFC 3207 s.4.2) */
        return without_tls(d, SESSION_TLS_FAILED, SPAN("clear text behind the answer to STARTTLS"),
                           false);
    dialogue_begin_tls(d);
    return PH_HANDSHAKE;
}

/* All from before is forgotten (RFC 3207 s.4.2); not good enough: CLI-124. */
enum phase handshake_done(struct dialogue *d, const struct tls_session *session)
{
    struct dialogue_end end = { .stage = STAGE_STARTTLS,
                                .outcome = outcome_of_policy(false),
                                .refused = true };

    d->facts.tls = SESSION_TLS_ON;
    d->facts.session = *session;
    if (d->plan.tlsa && d->tlsa_in_force == 0 && session->cert == CERT_OK)
        d->facts.session.cert = CERT_OTHER; /* our authorities were asked: not what was wanted */
    d->facts.helo = d->offered.name;
    if (!d->greeted)
        d->owed = 1; /* the greeting is yet to come */
    d->judged = d->events->judge(d->ctx, d);
    if (!d->judged)
        return dialogue_give_up(d, end, true);
    return d->greeted ? PH_EHLO : PH_GREETING;
}
