#include "smtpd/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/stream.h"
#include "smtpd/commands.h"
#include "smtpd/intake.h"
#include "smtpd/session_log.h"
#include "smtpd/trace.h"

/* Why no input is taken just now. */
enum hold {
    HOLD_NONE,
    HOLD_QUEUE,  /* a command needs the queue, which is away */
    HOLD_ROOM,   /* content waits for the queue's credit */
    HOLD_COMMIT, /* the final dot waits for its reply */
    HOLD_SLOW,   /* too many errors: the reply is delayed */
    HOLD_OUTPUT, /* the client does not take our replies */
    HOLD_TLS,    /* handshake */
};

struct session {
    struct session_host *host;
    const struct session_place *place;
    struct list in_host;
    struct stream *stream; /* NULL once it has closed */
    struct endpoint client;
    struct conversation talk;
    struct intake intake;
    char tls_version[16]; /* "" in clear */
    char tls_cipher[64];

    enum hold hold;
    enum reply_id delayed; /* with HOLD_SLOW */
    bool queue_waited;     /* the queue did not come back in time */
    bool is_over;          /* the last word is said */
    bool had_transaction;
    size_t scanned;   /* bytes of the input's front that hold no line end */
    size_t discarded; /* of a line that is too long; 0: there is none */
    unsigned messages;

    struct loop_timer *timer;
    int64_t armed_ms;      /* when the timer is due */
    int64_t deadline_ms;   /* of the present wait; on the loop's clock, as all below */
    int64_t begun_ms;      /* the session */
    int64_t data_begun_ms; /* moved on by the time that the queue took */
    int64_t held_ms;       /* since when there is no room */
};

/* --- time: one timer a session, never moved forward, only found to be early */

static void session_deadline(struct session *s, int64_t deadline_ms)
{
    s->deadline_ms = deadline_ms;
    if (loop_timer_running(s->timer) && s->armed_ms <= deadline_ms)
        return;
    s->armed_ms = deadline_ms;
    loop_timer_start(s->timer, deadline_ms - loop_now(s->host->loop));
}

static bool in_transaction(const struct session *s)
{
    return s->talk.phase >= PHASE_MAIL;
}

/* The whole next line has to come by then (RFC 5321 s.4.5.3.2.7). */
static void session_await_command(struct session *s)
{
    const struct session_host *host = s->host;
    int64_t until_ms = loop_now(host->loop) + (int64_t)host->settings->smtpd_timeout_s * SECOND_MS;

    if (host->is_draining && !in_transaction(s) && host->drain_begins_ms < until_ms)
        until_ms = host->drain_begins_ms;
    session_deadline(s, until_ms);
}

/* Content has to come at a least rate, and to end at some time (pitfalls.md section 7.7). */
static void session_await_content(struct session *s)
{
    uint64_t earned_ms = s->intake.data.bytes / SMTPD_DATA_RATE_MIN * SECOND_MS;
    int64_t allowed_ms = SMTPD_DATA_MS;

    if (earned_ms < SMTPD_DATA_MS - SMTPD_DATA_GRACE_MS)
        allowed_ms = SMTPD_DATA_GRACE_MS + (int64_t)earned_ms;
    session_deadline(s, s->data_begun_ms + allowed_ms);
}

static void session_await(struct session *s)
{
    if (s->talk.phase == PHASE_CONTENT)
        session_await_content(s);
    else
        session_await_command(s);
}

/* Takes no input for a reason, which has to go away by then. */
static void session_hold(struct session *s, enum hold why, int64_t wait_ms)
{
    s->hold = why;
    stream_pause(s->stream);
    session_deadline(s, loop_now(s->host->loop) + wait_ms);
}

static void session_go_on(struct session *s)
{
    s->hold = HOLD_NONE;
    stream_resume(s->stream);
    session_await(s);
}

/* --- saying */

/* What some replies add to their text. */
static void reply_detail(const struct session *s, enum reply_id reply, uint64_t id,
                         char detail[QID_TEXT_SIZE])
{
    detail[0] = '\0';
    if (reply == REPLY_QUEUED)
        qid_format(id, detail);
    else if (reply == REPLY_BAD_CONTENT)
        span_to_string(span_of(data_fault_name(s->intake.data.fault)), detail, QID_TEXT_SIZE);
}

static size_t reply_text(const struct session *s, enum reply_id reply, uint64_t id,
                         char room[REPLY_ROOM])
{
    char detail[QID_TEXT_SIZE];
    struct reply_facts facts = {
        .hostname = s->host->settings->hostname,
        .detail = detail,
        .size_max = s->host->settings->max_message_bytes,
        .offers_starttls = s->talk.has_certificate && !s->talk.is_secure,
    };

    reply_detail(s, reply, id, detail);
    return reply_write(reply, &facts, room);
}

static void say(struct session *s, enum reply_id reply, uint64_t id)
{
    char room[REPLY_ROOM];
    size_t len = reply_text(s, reply, id, room);

    stream_write(s->stream, (struct span){ room, len });
    if (reply_next(reply) == NEXT_CLOSE)
        s->is_over = true;
}

/* A refusal is logged before the transaction it belongs to is forgotten. */
static void log_refusal(const struct session *s, enum reply_id reply, struct span line)
{
    char room[REPLY_ROOM];

    if (reply_code(reply) < 400 || reply == REPLY_SHUTTING_DOWN)
        return;
    size_t len = reply_text(s, reply, 0, room);
    session_log_refuse(&s->client, &s->talk, (struct span){ room, len }, line);
}

/* --- ending */

static const char *end_of_stream(enum stream_end end)
{
    static const char *const words[] = {
        [STREAM_END_PEER] = "client closed", [STREAM_END_ERROR] = "connection failed",
        [STREAM_END_TIMEOUT] = "timed out",  [STREAM_END_TLS] = "TLS failed",
        [STREAM_END_REFUSED] = "refused",    [STREAM_END_OVERFLOW] = "too much input",
    };

    return words[end];
}

static void session_free(struct session *s, const char *why)
{
    struct session_host *host = s->host;
    struct ip_address client = s->client.address;

    session_log_disconnect(&s->client, why, s->messages, loop_now(host->loop) - s->begun_ms);
    intake_abort(&s->intake);
    conversation_clear(&s->talk);
    stream_free(&s->stream);
    loop_timer_free(&s->timer);
    list_remove(&s->in_host);
    host->session_count--;
    free(s);
    host->on_ended(host->ctx, &client);
}

/* Says a last reply and ends. */
static void session_end(struct session *s, enum reply_id reply)
{
    log_refusal(s, reply, (struct span){ NULL, 0 });
    say(s, reply, 0);
    stream_finish(&s->stream, SMTPD_CLOSE_MS);
    session_free(s, "we closed");
}

/* At the end of everything that may have said a last word, or too many. */
static void session_after(struct session *s)
{
    if (s->is_over) {
        stream_finish(&s->stream, SMTPD_CLOSE_MS);
        session_free(s, "we closed");
    } else if (s->hold == HOLD_NONE && stream_pending(s->stream) > SMTPD_OUTPUT_MAX) {
        session_hold(s, HOLD_OUTPUT, (int64_t)s->host->settings->smtpd_timeout_s * SECOND_MS);
    }
}

/* While draining, a transaction that ended was the last one. */
static void say_farewell_if_draining(struct session *s)
{
    if (s->host->is_draining && s->had_transaction && !in_transaction(s) && !s->is_over &&
        s->hold == HOLD_NONE)
        say(s, REPLY_SHUTTING_DOWN, 0);
}

/* --- content */

static void on_room(void *ctx);
static void on_settled(void *ctx, enum reply_id reply, uint64_t id);

static const struct intake_events intake_events = { on_room, on_settled };

/* What the queue has to know beside the paths. */
static void complete_envelope(struct session *s, int64_t now_utc_ms)
{
    struct envelope *envelope = &s->talk.envelope;

    envelope->received_utc_ms = now_utc_ms;
    envelope->client_address = s->client.address;
    memcpy(envelope->client_name, s->talk.client_name, sizeof(envelope->client_name));
}

static struct trace_facts trace_facts_of(const struct session *s)
{
    const struct envelope *envelope = &s->talk.envelope;

    return (struct trace_facts){
        .client_name = s->talk.client_name,
        .client_address = s->client.address,
        .hostname = s->host->settings->hostname,
        .is_esmtp = s->talk.is_esmtp,
        .tls_version = s->tls_version,
        .tls_cipher = s->tls_cipher,
        .only_recipient =
            envelope->recipient_count == 1 ? envelope->recipients[0].forward_path.text : NULL,
        .now_utc_ms = envelope->received_utc_ms,
    };
}

static void content_begin(struct session *s)
{
    char head[TRACE_PART_SIZE], tail[TRACE_PART_SIZE];

    complete_envelope(s, clock_utc_ms());
    struct trace_facts trace = trace_facts_of(s);
    struct intake_start start = {
        .queue = s->host->queue,
        .envelope = &s->talk.envelope,
        .trace_head = trace_head(&trace, head),
        .trace_tail = trace_tail(&trace, tail),
        .max_bytes = s->host->settings->max_message_bytes,
        .max_hops = s->host->settings->received_hops_max,
        .joined = &s->host->joined,
    };
    intake_begin(&s->intake, &start, &intake_events, s);
    s->data_begun_ms = loop_now(s->host->loop);
}

/* The reply to the final dot; the transaction is over, whatever it says. */
static void content_settled(struct session *s, enum reply_id reply, uint64_t id)
{
    log_refusal(s, reply, (struct span){ NULL, 0 });
    if (reply == REPLY_QUEUED) {
        session_log_accept(&s->talk, id, s->intake.data.bytes, s->tls_version);
        s->messages++;
        s->host->messages++;
        conversation_delivered(&s->talk);
    } else {
        conversation_reset(&s->talk);
    }
    say(s, commands_count(&s->talk, reply), id);
    say_farewell_if_draining(s);
}

static size_t take_content(struct session *s, struct span input)
{
    size_t used = intake_take(&s->intake, input);

    if (used == 0) {
        s->held_ms = loop_now(s->host->loop);
        session_hold(s, HOLD_ROOM, SMTPD_ROOM_WAIT_MS);
        return 0;
    }
    if (!s->intake.data.ended)
        return used;
    enum reply_id reply = intake_end(&s->intake);
    if (reply == REPLY_WAIT)
        session_hold(s, HOLD_COMMIT, SMTPD_COMMIT_MS);
    else
        content_settled(s, reply, 0);
    return used;
}

static void on_room(void *ctx)
{
    struct session *s = ctx;

    if (s->hold != HOLD_ROOM)
        return;
    s->data_begun_ms += loop_now(s->host->loop) - s->held_ms;
    session_go_on(s);
}

static void on_settled(void *ctx, enum reply_id reply, uint64_t id)
{
    struct session *s = ctx;

    s->hold = HOLD_NONE;
    content_settled(s, reply, id);
    if (!s->is_over)
        session_go_on(s);
    session_after(s);
}

/* --- commands */

static enum queue_state state_of_queue(const struct session *s)
{
    if (queue_client_is_up(s->host->queue))
        return queue_client_is_full(s->host->queue) ? QUEUE_FULL : QUEUE_TAKES;
    return s->queue_waited ? QUEUE_GONE : QUEUE_AWAY;
}

static void begin_tls(struct session *s)
{
    s->hold = HOLD_TLS;
    session_deadline(s, loop_now(s->host->loop) + SMTPD_TLS_MS);
    stream_secure_server(s->stream, s->place->tls);
}

static void answer(struct session *s, enum reply_id reply, struct span line)
{
    log_refusal(s, reply, line);
    if (reply_code(reply) >= 500 && s->talk.errors > SMTPD_ERRORS_SLOW) {
        s->delayed = reply;
        session_hold(s, HOLD_SLOW, SMTPD_SLOW_MS);
        return;
    }
    say(s, reply, 0);
    if (reply_next(reply) == NEXT_DATA)
        content_begin(s);
    else if (reply_next(reply) == NEXT_TLS)
        begin_tls(s);
}

static void take_command(struct session *s, struct span line, bool input_follows)
{
    s->talk.has_certificate = s->place->tls != NULL;
    s->talk.input_follows = input_follows;
    s->talk.queue = state_of_queue(s);
    enum reply_id reply = commands_take(&s->talk, line);
    if (reply == REPLY_WAIT) {
        session_hold(s, HOLD_QUEUE, SMTPD_QUEUE_WAIT_MS);
        return;
    }
    s->queue_waited = false;
    s->had_transaction = s->had_transaction || in_transaction(s);
    answer(s, reply, line);
    say_farewell_if_draining(s);
}

/* The bytes before the first CRLF, or input.len; bare CR and LF end nothing (SRV-2). */
static size_t find_line_end(struct span input, size_t from)
{
    while (from < input.len) {
        from += span_find(span_from(input, from), '\n');
        if (from > 0 && from < input.len && input.data[from - 1] == '\r')
            return from - 1;
        from++;
    }
    return input.len;
}

/* The rest of a line that is too long: never acted upon, answered at its end (SRV-4). */
static size_t discard_line(struct session *s, struct span input)
{
    size_t end = find_line_end(input, 0);
    bool has_ended = end < input.len;

    if (!has_ended && input.data[input.len - 1] == '\r')
        end--; /* its LF may follow */
    s->discarded += end;
    if (s->discarded > SMTPD_COMMAND_DISCARD_MAX) {
        answer(s, REPLY_NOT_SMTP, (struct span){ NULL, 0 });
        return input.len;
    }
    if (!has_ended)
        return end;
    s->discarded = 0;
    s->talk.verb = VERB_UNKNOWN;
    answer(s, commands_count(&s->talk, REPLY_LINE_TOO_LONG), (struct span){ NULL, 0 });
    return end + 2;
}

/* A TLS record instead of a command: a client of another protocol (SRV-14). */
static bool looks_like_tls(struct span input)
{
    return input.len >= 2 && input.data[0] == 0x16 && input.data[1] == 0x03;
}

static size_t take_line(struct session *s, struct span input)
{
    if (s->discarded > 0)
        return discard_line(s, input);
    if (!s->talk.is_secure && looks_like_tls(input)) {
        answer(s, REPLY_NOT_SMTP, (struct span){ NULL, 0 });
        return input.len;
    }
    size_t len = find_line_end(input, s->scanned);
    s->scanned = 0;
    if (len + 2 > SMTP_COMMAND_MAX && input.len >= SMTP_COMMAND_MAX)
        return discard_line(s, input);
    if (len == input.len) {
        s->scanned = input.len;
        return 0;
    }
    take_command(s, span_first(input, len), input.len > len + 2);
    return s->hold == HOLD_QUEUE ? 0 : len + 2;
}

/* --- what the stream tells */

static size_t take_input(struct session *s, struct span input)
{
    if (s->talk.phase == PHASE_CONTENT)
        return take_content(s, input);
    return take_line(s, input);
}

static size_t on_input(void *ctx, struct span input)
{
    struct session *s = ctx;
    size_t used = 0;
    size_t now = 1;

    while (now > 0 && used < input.len && s->hold == HOLD_NONE && !s->is_over) {
        now = take_input(s, span_from(input, used));
        used += now;
    }
    if (used > 0 && s->discarded == 0 && s->hold == HOLD_NONE && !s->is_over)
        session_await(s); /* half a line moves no deadline */
    session_after(s);
    return used;
}

static void on_secured(void *ctx, const struct tls_session *tls)
{
    struct session *s = ctx;

    span_to_string(span_of(tls->version), s->tls_version, sizeof(s->tls_version));
    span_to_string(span_of(tls->cipher), s->tls_cipher, sizeof(s->tls_cipher));
    conversation_secured(&s->talk);
    s->hold = HOLD_NONE;
    session_await(s);
}

static void on_drained(void *ctx)
{
    struct session *s = ctx;

    if (s->hold == HOLD_OUTPUT)
        session_go_on(s);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct session *s = ctx;
    enum stream_end end = stream_end(s->stream);

    (void)err;
    if (end == STREAM_END_TLS)
        session_log_tls_failed(&s->client, stream_tls_reason(s->stream));
    session_free(s, end_of_stream(end));
}

static const struct stream_events stream_events = {
    .secured = on_secured,
    .input = on_input,
    .drained = on_drained,
    .closed = on_closed,
};

/* --- what the clock tells */

/* The client has let us wait for too long. */
static void session_timed_out(struct session *s)
{
    session_end(s,
                s->host->is_draining && !in_transaction(s) ? REPLY_SHUTTING_DOWN : REPLY_TIMEOUT);
}

static void say_delayed(struct session *s)
{
    say(s, s->delayed, 0);
    session_go_on(s);
    say_farewell_if_draining(s);
    session_after(s);
}

static void on_deadline(struct session *s)
{
    switch (s->hold) {
    case HOLD_NONE:
    case HOLD_OUTPUT:
        session_timed_out(s);
        break;
    case HOLD_QUEUE:
        s->queue_waited = true;
        session_go_on(s);
        break;
    case HOLD_ROOM:
    case HOLD_COMMIT:
        session_end(s, REPLY_QUEUE_STUCK);
        break;
    case HOLD_SLOW:
        say_delayed(s);
        break;
    case HOLD_TLS:
        session_free(s, "TLS timed out");
        break;
    }
}

static void on_timer(void *ctx)
{
    struct session *s = ctx;

    if (s->deadline_ms > loop_now(s->host->loop))
        session_deadline(s, s->deadline_ms);
    else
        on_deadline(s);
}

/* --- what smtpd tells */

/* A client waits for the greeting; who has spoken before it is no mail client (SRV-13, SRV-14). */
static enum reply_id judge_first_bytes(int fd)
{
    char first;

    if (recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        return REPLY_GREETING;
    return first == 0x16 ? REPLY_NOT_SMTP : REPLY_EARLY_TALKER;
}

void session_open(struct session_host *host, const struct session_place *place, int fd,
                  const struct endpoint *client)
{
    struct session *s = memory_new(sizeof(*s));
    enum reply_id greeting = judge_first_bytes(fd);

    s->host = host;
    s->place = place;
    s->client = *client;
    s->begun_ms = loop_now(host->loop);
    list_append(&host->sessions, &s->in_host);
    host->session_count++;
    conversation_init(&s->talk, host->settings, place->settings, &client->address);
    s->timer = loop_timer_new(host->loop, on_timer, s);
    s->stream = stream_open(host->loop, fd, &stream_events, s);
    stream_low_mark(s->stream, SMTPD_OUTPUT_MAX / 2);
    session_log_connect(client, place->settings);
    if (greeting != REPLY_GREETING) {
        session_end(s, greeting);
        return;
    }
    say(s, greeting, 0);
    session_await(s);
}

void session_host_init(struct session_host *host, struct loop *loop, struct queue_client *queue,
                       const struct settings *settings,
                       void (*on_ended)(void *ctx, const struct ip_address *client), void *ctx)
{
    *host = (struct session_host){
        .loop = loop,
        .queue = queue,
        .settings = settings,
        .on_ended = on_ended,
        .ctx = ctx,
    };
    list_init(&host->sessions);
    buf_init(&host->joined, INTAKE_PIECE_MAX);
}

void session_host_clear(struct session_host *host)
{
    struct session *s;

    LIST_EACH(s, &host->sessions, struct session, in_host)
    {
        session_free(s, "we ended");
    }
    buf_clear(&host->joined);
}

void session_host_queue_changed(struct session_host *host)
{
    struct session *s;

    if (!queue_client_is_up(host->queue))
        return;
    LIST_EACH(s, &host->sessions, struct session, in_host)
    {
        if (s->hold == HOLD_QUEUE)
            session_go_on(s);
    }
}

void session_host_drain(struct session_host *host)
{
    struct session *s;

    host->is_draining = true;
    host->drain_begins_ms = loop_now(host->loop) + SMTPD_DRAIN_BEGIN_MS;
    LIST_EACH(s, &host->sessions, struct session, in_host)
    {
        if (s->hold != HOLD_NONE && s->hold != HOLD_OUTPUT)
            continue;
        if (s->had_transaction && !in_transaction(s))
            session_end(s, REPLY_SHUTTING_DOWN);
        else
            session_await(s);
    }
}

void session_host_end(struct session_host *host, bool even_committing)
{
    struct session *s;

    LIST_EACH(s, &host->sessions, struct session, in_host)
    {
        if (s->hold == HOLD_TLS)
            session_free(s, "we closed");
        else if (s->hold != HOLD_COMMIT || even_committing)
            session_end(s, REPLY_SHUTTING_DOWN);
    }
}
