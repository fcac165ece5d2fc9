#include "queue/signing.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"
#include "lib/ipc/sign.pb-c.h"
#include "queue/content_reader.h"
#include "queue/signatures.h"

enum { REASON_MAX = 256 };

struct signing {
    struct loop *loop;
    struct store *store;
    signing_done_fn *done;
    void *ctx;
    bool is_on;
    struct channel *channel;       /* NULL while the role is away */
    struct content_reader *reader; /* NULL before the first ask */
    struct map *by_lease;
    struct list asks;  /* all, in the order of their deadlines */
    struct list fresh; /* of these, whose header is to be read when the turn ends */
    struct loop_task task;
    struct loop_timer *timer;
    int64_t wait_ms;
    int64_t down_ms;
    bool is_down;         /* it let wait_ms go by; has not answered since */
    unsigned owed;        /* answers, by the role that is there now */
    int64_t silent_ms;    /* since when it owes them and says nothing */
    int64_t say_again_ms; /* that messages wait */
    unsigned untold;      /* that have begun to wait since it was said */
};

struct ask {
    struct list others;
    struct list fresh;
    struct signing *signing;
    uint64_t lease;
    uint64_t id;
    int64_t accepted_utc_ms;
    uint32_t chunks;
    uint32_t next_chunk;
    struct body_hashes body;
    bool never_unsigned; /* a report: who gets it has to ignore what nobody signed */
    bool is_over;
    bool is_asked; /* the role has it */
    int64_t until_ms;
    struct buf header; /* of one that comes in several chunks, as far as it has come */
    struct buf job;
};

/* ---- what comes of an ask ------------------------------------------------------------------- */

static void ask_free(struct ask *ask)
{
    map_remove_number(ask->signing->by_lease, ask->lease);
    list_remove(&ask->others);
    list_remove(&ask->fresh);
    buf_clear(&ask->header);
    buf_clear(&ask->job);
    free(ask);
}

static void end(struct ask *ask, struct signing_result *result)
{
    struct signing *s = ask->signing;

    result->lease = ask->lease;
    result->job = &ask->job;
    s->done(s->ctx, result);
    ask_free(ask);
}

/* Not a line for each of many. */
static void say_it_waits(struct signing *s, uint64_t id, struct span because)
{
    struct log_line line;

    s->untold++;
    if (loop_now(s->loop) < s->say_again_ms)
        return;
    log_begin(&line, LOG_WARNING, "signing-waits");
    log_qid(&line, id);
    log_number(&line, "messages", s->untold);
    log_text(&line, "because", because);
    log_end(&line);
    s->untold = 0;
    s->say_again_ms = loop_now(s->loop) + SIGNING_SAY_MS;
}

static void end_waiting(struct ask *ask, struct span because)
{
    struct signing_result result = { .outcome = SIGNING_WAITS, .because = because };

    say_it_waits(ask->signing, ask->id, because);
    end(ask, &result);
}

static void end_unsigned(struct ask *ask, enum log_level level, struct span because)
{
    struct signing_result result = { .outcome = SIGNING_UNSIGNED, .because = because };
    struct log_line line;

    if (ask->never_unsigned) {
        end_waiting(ask, because);
        return;
    }
    log_begin(&line, level, "unsigned");
    log_qid(&line, ask->id);
    log_text(&line, "because", because);
    log_end(&line);
    if (level == LOG_DEBUG)
        result.because = SPAN("");
    end(ask, &result);
}

/* Not now: the message waits, unless it has done so for long. */
static void end_in_trouble(struct ask *ask, struct span because)
{
    if (ask->is_over)
        end_unsigned(ask, LOG_WARNING, because);
    else
        end_waiting(ask, because);
}

/* ---- to the role ---------------------------------------------------------------------------- */

static void put_aside(struct ask *ask)
{
    ask->is_asked = false;
    list_remove(&ask->fresh);
    list_append(&ask->signing->fresh, &ask->fresh);
    loop_defer(ask->signing->loop, &ask->signing->task);
}

static void note_asked(struct signing *s)
{
    if (s->owed++ == 0)
        s->silent_ms = loop_now(s->loop);
}

static void send_ask(struct ask *ask, struct span header)
{
    Ipc__SignAsk message = IPC__SIGN_ASK__INIT;
    bool is_long = header.len > FRAME_BODY_MAX;

    if (!ask->signing->channel) { /* it went meanwhile */
        put_aside(ask);
        return;
    }
    message.id = ask->lease;
    body_hashes_to_bytes(&ask->body, &message.body_sha256_relaxed, &message.body_sha256_simple);
    if (is_long)
        message.header = bytes_of_span(header);
    ask->is_asked = true;
    note_asked(ask->signing);
    channel_send(ask->signing->channel, FRAME_SIGN_ASK, &message.base, is_long ? SPAN("") : header);
    buf_clear(&ask->header);
}

/* ---- the header block ----------------------------------------------------------------------- */

/* Up to and with the empty line; 0: it has not come. */
static size_t header_length(struct span content)
{
    const char *at = content.len > 0 ? memmem(content.data, content.len, "\r\n\r\n", 4) : NULL;

    return at ? (size_t)(at - content.data) + 4 : 0;
}

static void pull_next(const struct ask *ask)
{
    const struct content_pull wanted = {
        .lease = ask->lease,
        .id = ask->id,
        .accepted_utc_ms = ask->accepted_utc_ms,
        .chunk = ask->next_chunk,
        .count = 1,
    };

    content_reader_pull(ask->signing->reader, &wanted);
}

/* Most headers stand in the first chunk: those are sent from where they lie. */
static void take_chunk(struct ask *ask, struct span bytes)
{
    size_t len = ask->next_chunk == 0 ? header_length(bytes) : 0;

    if (len > 0) {
        send_ask(ask, span_first(bytes, len));
        return;
    }
    if (!buf_append(&ask->header, bytes)) {
        end_unsigned(ask, LOG_WARNING, SPAN("its header is too long"));
        return;
    }
    ask->next_chunk++;
    len = header_length(buf_span(&ask->header));
    if (len > 0)
        send_ask(ask, span_first(buf_span(&ask->header), len));
    else if (ask->next_chunk == ask->chunks) /* there is no body */
        send_ask(ask, buf_span(&ask->header));
    else
        pull_next(ask);
}

static void on_chunk(void *ctx, uint64_t lease, uint32_t chunk, struct span bytes)
{
    struct signing *s = ctx;
    struct ask *ask = map_get_number(s->by_lease, lease);

    if (!ask || ask->is_asked || chunk != ask->next_chunk)
        return; /* asked for by one that is no more */
    if (bytes.data)
        take_chunk(ask, bytes);
    else
        end_in_trouble(ask, SPAN("its content cannot be read now"));
}

static void read_header(struct ask *ask)
{
    struct signing *s = ask->signing;

    if (!s->reader)
        s->reader = content_reader_new(s->loop, s->store, on_chunk, s);
    list_remove(&ask->fresh);
    buf_clear(&ask->header);
    ask->next_chunk = 0;
    pull_next(ask);
}

/* The end of a turn: all that was leased in it. */
static void on_task(void *ctx)
{
    struct signing *s = ctx;
    struct ask *ask;

    LIST_EACH(ask, &s->fresh, struct ask, fresh)
    {
        if (!s->is_on)
            end_unsigned(ask, LOG_DEBUG, SPAN("no entry of dkim signs it"));
        else if (s->channel)
            read_header(ask);
        else if (ask->is_over)
            end_in_trouble(ask, SPAN("the process that signs is away"));
    }
}

/* ---- from the role -------------------------------------------------------------------------- */

static const char *take_signatures(struct ask *ask, const Ipc__SignAnswer *answer)
{
    struct signing_result result = { .outcome = SIGNING_DONE };
    struct buf names;

    buf_init(&names, SIGNATURES_NAMES_MAX);
    bool are_fit = signatures_read(span_of_bytes(answer->fields), &names);
    result.signatures = span_of_bytes(answer->fields);
    result.signed_by = buf_span(&names);
    if (are_fit)
        end(ask, &result);
    buf_clear(&names);
    return are_fit ? NULL : "signatures that are none";
}

static const char *take_answer(struct ask *ask, const Ipc__SignAnswer *answer)
{
    struct span reason = span_first(span_of_bytes(answer->reason), REASON_MAX);

    switch (answer->verdict) {
    case IPC__SIGN_VERDICT__SIGNED:
        return take_signatures(ask, answer);
    case IPC__SIGN_VERDICT__NO_KEY:
        end_unsigned(ask, LOG_DEBUG, reason.len > 0 ? reason : SPAN("no key is for its domain"));
        return NULL;
    case IPC__SIGN_VERDICT__SIGNED_ALREADY:
    case IPC__SIGN_VERDICT__UNSIGNABLE:
        end_unsigned(ask, LOG_INFO, reason);
        return NULL;
    case IPC__SIGN_VERDICT__SIGN_TROUBLE:
        end_in_trouble(ask, reason);
        return NULL;
    case _IPC__SIGN_VERDICT_IS_INT_SIZE:
        break;
    }
    return "an answer of no known kind";
}

/* It is alive: what was to wait for a moment only has as long as others. */
static void note_answered(struct signing *s)
{
    struct ask *ask;

    s->owed -= s->owed > 0;
    s->silent_ms = loop_now(s->loop);
    if (!s->is_down)
        return;
    s->is_down = false;
    LIST_EACH(ask, &s->asks, struct ask, others)
    {
        ask->until_ms = loop_now(s->loop) + s->wait_ms;
    }
}

static const char *on_answer(struct signing *s, const struct channel_frame *frame)
{
    Ipc__SignAnswer *answer = channel_decode(frame, &ipc__sign_answer__descriptor);
    const char *wrong = NULL;

    if (!answer)
        return "an answer about signatures does not decode";
    struct ask *ask = map_get_number(s->by_lease, answer->id);
    note_answered(s);
    if (ask && ask->is_asked)
        wrong = take_answer(ask, answer);
    ipc__sign_answer__free_unpacked(answer, NULL);
    return wrong;
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct signing *s = ctx;
    const char *wrong = "unknown frame from the role that signs";

    if (frame->type == FRAME_SIGN_ANSWER)
        wrong = on_answer(s, frame);
    if (wrong)
        channel_refuse(s->channel, wrong);
}

/* What it was asked its successor will be asked. */
static void forget_channel(struct signing *s)
{
    struct ask *ask;

    channel_free(&s->channel);
    s->owed = 0;
    LIST_EACH(ask, &s->asks, struct ask, others)
    {
        if (ask->is_asked)
            put_aside(ask);
    }
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err; /* the channel has logged what is worth it */
    forget_channel(ctx);
}

void signing_attach(struct signing *signing, int fd)
{
    static const struct channel_events events = { on_frame, on_closed };

    forget_channel(signing);
    signing->channel = channel_open(signing->loop, fd, &events, signing);
    loop_defer(signing->loop, &signing->task);
}

/* ---- asks come and go ----------------------------------------------------------------------- */

/* It answers each ask much sooner, and what it is asked meanwhile gathers in our memory. */
static bool is_stuck(const struct signing *s)
{
    return s->channel && s->owed > 0 && loop_now(s->loop) - s->silent_ms >= s->wait_ms / 4 * 3;
}

static void on_timer(void *ctx)
{
    struct signing *s = ctx;
    struct ask *ask;

    if (list_empty(&s->asks))
        return;
    ask = LIST_FIRST(&s->asks, struct ask, others);
    if (ask->until_ms > loop_now(s->loop)) {
        loop_timer_start(s->timer, ask->until_ms - loop_now(s->loop));
        return;
    }
    s->is_down = true;
    if (is_stuck(s))
        channel_refuse(s->channel, "the process that signs does not answer"); /* it is replaced */
    LIST_EACH(ask, &s->asks, struct ask, others)
    {
        end_in_trouble(ask, s->channel ? SPAN("the process that signs does not answer")
                                       : SPAN("the process that signs is away"));
    }
}

void signing_begin(struct signing *signing, const struct signing_wish *wish)
{
    struct ask *ask = memory_new(sizeof(*ask));
    const Queue__MessageRecord *message = wish->message;

    ask->signing = signing;
    ask->lease = wish->lease;
    ask->id = wish->id;
    ask->chunks = message->chunks;
    body_hashes_from_bytes(message->body_sha256_relaxed, message->body_sha256_simple, &ask->body);
    ask->never_unsigned = message->envelope->tls_report;
    ask->is_over = wish->is_over;
    ask->accepted_utc_ms = message->accepted_utc_ms;
    int64_t wait_ms = signing->is_down ? signing->down_ms : signing->wait_ms;
    ask->until_ms = loop_now(signing->loop) + wait_ms;
    ask->job = wish->job;
    buf_init(&ask->header, SIGNING_HEADER_MAX);
    list_init(&ask->fresh);
    map_put_number(signing->by_lease, ask->lease, ask);
    list_append(&signing->asks, &ask->others);
    put_aside(ask);
    if (!loop_timer_running(signing->timer))
        loop_timer_start(signing->timer, wait_ms);
}

void signing_forget(struct signing *signing, uint64_t lease)
{
    struct ask *ask = map_get_number(signing->by_lease, lease);

    if (ask)
        ask_free(ask);
}

/* ---- from start to end ---------------------------------------------------------------------- */

struct signing *signing_new(struct loop *loop, struct store *store, int64_t wait_ms,
                            int64_t down_ms, signing_done_fn *done, void *ctx)
{
    struct signing *s = memory_new(sizeof(*s));

    s->loop = loop;
    s->store = store;
    s->wait_ms = wait_ms;
    s->down_ms = down_ms;
    s->done = done;
    s->ctx = ctx;
    s->by_lease = map_new();
    list_init(&s->asks);
    list_init(&s->fresh);
    loop_task_init(&s->task, on_task, s);
    s->timer = loop_timer_new(loop, on_timer, s);
    return s;
}

void signing_free(struct signing **signing)
{
    struct signing *s = *signing;

    *signing = NULL;
    if (!s)
        return;
    while (!list_empty(&s->asks))
        ask_free(LIST_FIRST(&s->asks, struct ask, others));
    content_reader_free(&s->reader);
    channel_free(&s->channel);
    loop_task_cancel(&s->task);
    loop_timer_free(&s->timer);
    map_free(&s->by_lease);
    free(s);
}

void signing_set(struct signing *signing, bool is_on)
{
    signing->is_on = is_on;
    loop_defer(signing->loop, &signing->task);
}

bool signing_is_on(const struct signing *signing)
{
    return signing->is_on;
}
