#include "queue/deliver/dialogue_private.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void say_fn(struct dialogue *d);
typedef enum phase answered_fn(struct dialogue *d, const struct reply *reply);

static say_fn say_quit;
static answered_fn unasked_answered, quit_answered;

struct step {
    say_fn *say;
    enum wait wait;
    answered_fn *answered;
    enum stage stage;
};

/* clang-format off */
static const struct step dialogue[PH_COUNT] = {
    /*                 we say          they have        and then */
    [PH_CONNECT]   = { NULL,           WAIT_CONNECT,   unasked_answered,  STAGE_CONNECT },
    [PH_GREETING]  = { NULL,           WAIT_COMMAND,   greeting_answered, STAGE_GREETING },
    [PH_EHLO]      = { say_ehlo,       WAIT_COMMAND,   ehlo_answered,     STAGE_EHLO },
    [PH_HELO]      = { say_helo,       WAIT_COMMAND,   helo_answered,     STAGE_EHLO },
    [PH_STARTTLS]  = { say_starttls,   WAIT_DATA,      starttls_answered, STAGE_STARTTLS },
    [PH_HANDSHAKE] = { NULL,           WAIT_HANDSHAKE, unasked_answered,  STAGE_HANDSHAKE },
    [PH_LOGIN]     = { say_login,      WAIT_COMMAND,   login_answered,    STAGE_LOGIN },
    [PH_IDLE]      = { NULL,           WAIT_NONE,      unasked_answered,  STAGE_MAIL },
    [PH_RSET]      = { say_rset,       WAIT_COMMAND,   rset_answered,     STAGE_MAIL },
    [PH_MAIL]      = { say_mail_from,  WAIT_COMMAND,   mail_answered,     STAGE_MAIL },
    [PH_RCPT]      = { say_rcpt_to,    WAIT_COMMAND,   rcpt_answered,     STAGE_RCPT },
    [PH_DATA]      = { say_data,       WAIT_DATA,      data_answered,     STAGE_DATA },
    [PH_CONTENT]   = { say_content,    WAIT_BLOCK,     content_answered,  STAGE_CONTENT },
    [PH_NOTHING]   = { say_nothing,    WAIT_END,       nothing_answered,  STAGE_DATA },
    [PH_QUIT]      = { say_quit,       WAIT_QUIT,      quit_answered,     STAGE_MAIL },
};
/* clang-format on */

/* --- the engine */

void dialogue_hold(struct dialogue *d)
{
    d->busy++;
}

void dialogue_release(struct dialogue *d)
{
    if (--d->busy == 0 && d->dead)
        free(d);
}

static bool is_said_ahead(const struct dialogue *d, enum phase phase)
{
    return d->said_ahead && phase >= PH_RSET && phase <= PH_DATA;
}

struct dialogue_waits dialogue_waits(const struct settings *settings)
{
    return (struct dialogue_waits){ .ms = {
                                        [WAIT_CONNECT] = settings->deliver_connect_s * SECOND_MS,
                                        [WAIT_COMMAND] = settings->deliver_command_s * SECOND_MS,
                                        [WAIT_DATA] = settings->deliver_data_s * SECOND_MS,
                                        [WAIT_BLOCK] = settings->deliver_block_s * SECOND_MS,
                                        [WAIT_END] = settings->deliver_end_s * SECOND_MS,
                                        [WAIT_MESSAGE] = settings->deliver_message_s * SECOND_MS,
                                        [WAIT_HANDSHAKE] = MINUTE_MS,
                                        [WAIT_QUIT] = 20 * SECOND_MS,
                                        [WAIT_NONE] = DIALOGUE_NO_DEADLINE,
                                    } };
}

int64_t dialogue_wait_ms(const struct dialogue *d, enum wait wait)
{
    return d->plan.waits->ms[wait];
}

/* Each wait has its end, and all of a message's together (docs/delivery.md). */
void dialogue_wait(struct dialogue *d, enum wait wait)
{
    int64_t wait_ms = dialogue_wait_ms(d, wait);
    int64_t left_ms = d->until_ms - loop_now(d->loop);

    if (!d->job || left_ms > wait_ms)
        left_ms = wait_ms;
    else if (left_ms < 0)
        left_ms = 0;
    stream_deadline(d->stream, left_ms);
}

void dialogue_enter(struct dialogue *d, enum phase phase)
{
    if (phase == PH_STAY || d->dead)
        return;
    d->phase = phase;
    dialogue_wait(d, dialogue[phase].wait);
    if (dialogue[phase].say && !is_said_ahead(d, phase))
        dialogue[phase].say(d);
}

void dialogue_say(struct dialogue *d, const char *format, ...)
{
    char line[SMTP_COMMAND_MAX];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    ensure(len > 0 && (size_t)len < sizeof(line));
    stream_write(d->stream, (struct span){ line, (size_t)len });
    d->owed++;
}

struct span dialogue_words(struct dialogue *d, const struct reply *reply)
{
    struct span text = buf_span(&reply->text);
    int len = snprintf(d->words, sizeof(d->words), "%d%s" SPAN_FMT, reply->code,
                       text.len > 0 ? " " : "", SPAN_ARG(text));

    return (struct span){ d->words,
                          (size_t)len < sizeof(d->words) ? (size_t)len : sizeof(d->words) - 1 };
}

static enum stage stage_of(const struct dialogue *d)
{
    if (d->phase == PH_CONTENT && d->job->dot_is_out)
        return STAGE_DOT;
    return dialogue[d->phase].stage;
}

enum phase dialogue_give_up(struct dialogue *d, struct dialogue_end end, bool polite)
{
    const struct dialogue_events *events = d->events;

    dialogue_drop_jobs(d, &end);
    d->events = NULL;
    if (events)
        events->ended(d->ctx, d, &end);
    if (polite && events)
        dialogue_enter(d, PH_QUIT);
    else
        dialogue_free(&d);
    return PH_STAY;
}

/* Whatever goes wrong from STARTTLS to the end of the handshake is "no TLS with this connection".
 */
static enum stage stage_lost(struct dialogue *d, enum stage stage)
{
    if (stage != STAGE_STARTTLS && stage != STAGE_HANDSHAKE)
        return stage;
    d->facts.tls = stage == STAGE_STARTTLS ? SESSION_TLS_REFUSED : SESSION_TLS_FAILED;
    d->facts.tls_reason = stream_tls_reason(d->stream);
    d->facts.helo = d->offered.name;
    if (d->facts.past_was_offered)
        resumption_forget(d->plan.past, &d->plan.key);
    return STAGE_HANDSHAKE;
}

enum phase dialogue_protocol_error(struct dialogue *d, enum stage stage, const char *what)
{
    char words[DOMAIN_MAX + 160];

    stage = stage_lost(d, stage);
    int len = snprintf(words, sizeof(words), "%s: protocol error %s: %s", d->mx, stage_words(stage),
                       what);

    return dialogue_give_up(d,
                            (struct dialogue_end){ .stage = stage,
                                                   .outcome = outcome_of_loss(stage, LOSS_PROTOCOL),
                                                   .words = { words, (size_t)len } },
                            false);
}

enum phase dialogue_refused(struct dialogue *d, enum stage stage, const struct reply *reply)
{
    struct reply_facts f = { .stage = stage, .code = reply->code, .status = reply->status };
    struct dialogue_end end = { .stage = stage,
                                .outcome = outcome_of_reply(f),
                                .words = dialogue_words(d, reply),
                                .remote = true };

    return dialogue_give_up(d, end, reply->code != 421);
}

/* More has come than was asked for. */
static bool is_out_of_step(const struct dialogue *d)
{
    return d->owed == 0 && d->behind > 0;
}

/* 421 may answer anything (RFC 5321 s.3.8), and who says 221 unasked goes, too; a message is taken.
 */
static bool is_farewell(const struct dialogue *d, const struct reply *reply)
{
    return (reply_is(reply, 421) && d->phase != PH_QUIT) ||
           (reply_is(reply, 221) && d->phase != PH_QUIT && d->phase != PH_CONTENT);
}

static void take_reply(struct dialogue *d, const struct reply *reply)
{
    enum stage stage = stage_of(d);
    enum phase phase = d->phase;

    if (d->phase == PH_CONTENT && content_is_early(d)) {
        dialogue_enter(d, content_interrupted(d, reply));
        return;
    }
    if (d->owed == 0) {
        dialogue_enter(d, unasked_answered(d, reply));
        return;
    }
    d->owed--;
    if (is_farewell(d, reply)) {
        dialogue_enter(d, dialogue_refused(d, stage, reply));
        return;
    }
    if (is_out_of_step(d) && phase != PH_STARTTLS && phase != PH_CONTENT) {
        dialogue_protocol_error(d, stage, "more answers than questions");
        return;
    }
    if (is_out_of_step(d))
        d->worn = true; /* this answer counts; no further message */
    dialogue_enter(d, dialogue[phase].answered(d, reply));
}

static void take_line(void *ctx, unsigned number, struct span text)
{
    struct dialogue *d = ctx;

    if (d->phase == PH_EHLO)
        ehlo_line(&d->offered, number, text);
}

static size_t on_input(void *ctx, struct span input)
{
    struct dialogue *d = ctx;
    enum reply_progress progress = REPLY_WHOLE;
    size_t used = 0, now;

    dialogue_hold(d);
    while (!d->dead && progress == REPLY_WHOLE && used < input.len) {
        progress = reply_parse(&d->parser, span_from(input, used), take_line, d, &now);
        used += now;
        d->behind = input.len - used;
        if (progress == REPLY_WHOLE && d->phase != PH_HANDSHAKE)
            take_reply(d, &d->parser.reply);
        else if (progress == REPLY_BROKEN)
            dialogue_protocol_error(d, stage_of(d), d->parser.fault);
    }
    dialogue_release(d);
    return used;
}

/* --- connect */

/* The connection stands: the greeting is next, or TLS. */
static enum phase dialogue_begin(struct dialogue *d)
{
    if (d->plan.implicit_tls) {
        dialogue_begin_tls(d);
        return PH_HANDSHAKE;
    }
    d->owed = 1;
    return PH_GREETING;
}

static void on_connected(void *ctx)
{
    struct dialogue *d = ctx;

    dialogue_hold(d);
    stream_local(d->stream, &d->facts.local);
    dialogue_enter(d, dialogue_begin(d));
    if (d->events->connected)
        d->events->connected(d->ctx, d);
    dialogue_release(d);
}

static void on_secured(void *ctx, const struct tls_session *session)
{
    struct dialogue *d = ctx;

    dialogue_hold(d);
    dialogue_enter(d, handshake_done(d, session));
    dialogue_release(d);
}

/* --- between and after messages */

/* Nobody asked.  421 is the server's way to go (RFC 5321 s.3.8). */
static enum phase unasked_answered(struct dialogue *d, const struct reply *reply)
{
    if (reply_is(reply, 421))
        return dialogue_refused(d, stage_of(d), reply);
    return dialogue_protocol_error(d, stage_of(d), "an answer without a question");
}

static void say_quit(struct dialogue *d)
{
    dialogue_say(d, "QUIT\r\n");
}

/* Answers to older commands may still come before the 221. */
static enum phase quit_answered(struct dialogue *d, const struct reply *reply)
{
    (void)reply;
    if (d->owed > 0)
        return PH_STAY;
    stream_finish(&d->stream, dialogue_wait_ms(d, WAIT_QUIT));
    dialogue_free(&d);
    return PH_STAY;
}

void dialogue_quit(struct dialogue **d)
{
    struct dialogue *self = *d;

    *d = NULL;
    self->events = NULL;
    if (self->phase == PH_CONNECT || self->phase == PH_HANDSHAKE || self->job)
        dialogue_free(&self);
    else
        dialogue_enter(self, PH_QUIT);
}

/* --- loss */

static enum loss loss_of(enum stream_end end)
{
    switch (end) {
    case STREAM_END_REFUSED:
        return LOSS_REFUSED;
    case STREAM_END_TIMEOUT:
        return LOSS_TIMEOUT;
    case STREAM_END_OVERFLOW:
        return LOSS_PROTOCOL;
    case STREAM_END_PEER:
    case STREAM_END_ERROR:
    case STREAM_END_TLS:
        break;
    }
    return LOSS_CLOSED;
}

static void on_closed(void *ctx, const struct error *err)
{
    struct dialogue *d = ctx;
    enum stage stage = stage_of(d);
    enum loss loss = loss_of(stream_end(d->stream));
    int len;

    dialogue_hold(d);
    len = snprintf(d->words, sizeof(d->words), "%s: %s %s%s%s", d->mx, loss_words(loss),
                   stage_words(stage), err ? ": " : "", err ? error_text(err) : "");
    dialogue_give_up(d,
                     (struct dialogue_end){ .stage = stage_lost(d, stage),
                                            .outcome = outcome_of_loss(stage, loss),
                                            .words = span_first(span_of(d->words), (size_t)len),
                                            .is_ours = err && error_kind(err) == ERROR_LOCAL },
                     false);
    dialogue_release(d);
}

/* --- birth and death */

static void on_drained(void *ctx)
{
    struct dialogue *d = ctx;

    dialogue_hold(d);
    dialogue_pump(d);
    dialogue_release(d);
}

static const struct stream_events stream_events = {
    .connected = on_connected,
    .secured = on_secured,
    .input = on_input,
    .drained = on_drained,
    .closed = on_closed,
};

static struct dialogue *dialogue_new(struct loop *loop, const struct dialogue_plan *plan,
                                     const struct dialogue_events *events, void *ctx)
{
    struct dialogue *d = memory_new(sizeof(*d));

    d->loop = loop;
    d->since_ms = loop_now(loop);
    d->plan = *plan;
    d->plan.context = tls_context_keep(plan->context);
    d->plan.tlsa = tlsa_set_keep(plan->tlsa);
    snprintf(d->mx, sizeof(d->mx), "%s", plan->mx);
    d->facts.tls = plan->context ? SESSION_TLS_NOT_OFFERED : SESSION_TLS_NOT_TRIED;
    d->facts.helo = "";
    d->facts.tls_reason = "";
    d->facts.auth = "";
    reply_parser_init(&d->parser);
    loop_task_init(&d->later, dialogue_later, d);
    loop_task_init(&d->login_work, dialogue_login_work, d);
    dialogue_bind(d, events, ctx);
    return d;
}

static void dialogue_attach(struct dialogue *d, struct stream *stream, enum phase phase)
{
    d->stream = stream;
    stream_low_mark(stream, DIALOGUE_BLOCK_SIZE / 2);
    stream_input_limit(stream, SMTP_REPLY_BYTES_MAX);
    dialogue_enter(d, phase);
}

/* One of the route's addresses that can reach it, by chance; NULL: the kernel chooses. */
static const struct ip_address *source_for(const struct dialogue_plan *plan,
                                           const struct endpoint *remote)
{
    const struct ip_address *chosen = NULL;
    unsigned fit = 0;

    for (unsigned i = 0; i < plan->source_count; i++)
        if (plan->sources[i].family == remote->address.family && random_below(++fit) == 0)
            chosen = &plan->sources[i];
    return chosen;
}

/* Whatever was looked at before, the address that is connected to is one that may be. */
static struct stream *connect_to(struct dialogue *d, const struct endpoint *remote)
{
    char text[NETWORK_TEXT_SIZE];

    if (address_judge(&remote->address, &d->plan.filter) == ADDRESSES_FOUND)
        return stream_connect(d->loop, remote, source_for(&d->plan, remote), &stream_events, d);
    endpoint_format(remote, text);
    return stream_refuse(d->loop, remote,
                         error_new(ERROR_TRANSIENT, "connect to %s: not an address for mail", text),
                         &stream_events, d);
}

struct dialogue *dialogue_connect(struct loop *loop, const struct endpoint *remote,
                                  const struct dialogue_plan *plan,
                                  const struct dialogue_events *events, void *ctx)
{
    struct dialogue *d = dialogue_new(loop, plan, events, ctx);

    d->facts.remote = *remote;
    dialogue_attach(d, connect_to(d, remote), PH_CONNECT);
    return d;
}

struct dialogue *dialogue_open(struct loop *loop, int fd, const struct dialogue_plan *plan,
                               const struct dialogue_events *events, void *ctx)
{
    struct dialogue *d = dialogue_new(loop, plan, events, ctx);

    dialogue_attach(d, stream_open(loop, fd, &stream_events, d), PH_CONNECT);
    stream_local(d->stream, &d->facts.local);
    stream_remote(d->stream, &d->facts.remote);
    dialogue_enter(d, dialogue_begin(d));
    return d;
}

void dialogue_bind(struct dialogue *d, const struct dialogue_events *events, void *ctx)
{
    d->events = events;
    d->ctx = ctx;
}

bool dialogue_is_idle(const struct dialogue *d)
{
    return d->phase == PH_IDLE;
}

/*
 * RFC 9422: a server may want fewer.  Where it counts domains, too, a session carries one message:
 * then there are never more than that message's.
 */
static unsigned messages_max(const struct dialogue *d)
{
    unsigned most = d->offered.messages_max;

    if (d->offered.domains_max > 0)
        return 1;
    return most > 0 && most < d->plan.messages_max ? most : d->plan.messages_max;
}

bool dialogue_has_room(const struct dialogue *d, unsigned messages)
{
    return !d->worn && d->facts.messages + messages <= messages_max(d) &&
           loop_now(d->loop) - d->since_ms < d->plan.life_ms;
}

bool dialogue_is_spent(const struct dialogue *d)
{
    return !dialogue_has_room(d, 1);
}

const struct dialogue_facts *dialogue_facts(const struct dialogue *d)
{
    return &d->facts;
}

void dialogue_free(struct dialogue **d)
{
    struct dialogue *self = *d;

    *d = NULL;
    if (!self || self->dead)
        return;
    self->dead = true;
    tls_context_free(&self->plan.context);
    tlsa_set_free(&self->plan.tlsa);
    if (self->job)
        content_stop(&self->job->content);
    if (self->next_job)
        content_stop(&self->next_job->content);
    loop_task_cancel(&self->later);
    loop_task_cancel(&self->login_work);
    login_free(&self->login);
    stream_free(&self->stream);
    reply_parser_clear(&self->parser);
    if (self->busy == 0)
        free(self);
}
