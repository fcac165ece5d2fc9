#include "smtpd/session_private.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "smtpd/session_log.h"
#include "smtpd/shares.h"

/* --- time: one timer a session, never moved forward, only found to be early */

void session_deadline(struct session *s, int64_t deadline_ms)
{
    s->deadline_ms = deadline_ms;
    if (loop_timer_running(s->timer) && s->armed_ms <= deadline_ms)
        return;
    s->armed_ms = deadline_ms;
    loop_timer_start(s->timer, deadline_ms - loop_now(s->host->loop));
}

bool session_in_transaction(const struct session *s)
{
    return s->talk.phase >= PHASE_MAIL;
}

static bool session_is_stranger(const struct session *s)
{
    return !s->is_known && s->messages == 0 && s->talk.user[0] == '\0' &&
           s->client.address.family != ADDRESS_LOCAL && !ip_address_is_loopback(&s->client.address);
}

/* When connections run out, strangers get no more than SMTPD_HURRY_MS. */
static int64_t patience_with(const struct session *s, int64_t wait_ms)
{
    bool hurries = s->host->pressure == PRESSURE_HIGH && session_is_stranger(s);

    return hurries && wait_ms > SMTPD_HURRY_MS ? SMTPD_HURRY_MS : wait_ms;
}

/* The whole next line has to come by then (RFC 5321 s.4.5.3.2.7). */
static void session_await_command(struct session *s)
{
    const struct session_host *host = s->host;
    int64_t wait_ms = patience_with(s, (int64_t)host->settings->smtpd_timeout_s * SECOND_MS);
    int64_t until_ms = loop_now(host->loop) + wait_ms;

    if (host->is_draining && !session_in_transaction(s) && host->drain_begins_ms < until_ms)
        until_ms = host->drain_begins_ms;
    session_deadline(s, until_ms);
}

/* Content has to come at a least rate, and to end at some time (pitfalls.md section 7.7). */
static int64_t time_for_message(const struct session *s)
{
    return (int64_t)s->host->settings->data_timeout_s * SECOND_MS;
}

static int64_t time_for(const struct session *s, uint64_t octets)
{
    uint64_t earned_ms = octets / s->host->settings->min_data_rate * SECOND_MS;
    int64_t grace_ms = patience_with(s, SMTPD_DATA_GRACE_MS);
    int64_t allowed_ms = time_for_message(s);

    if (earned_ms < (uint64_t)(allowed_ms - grace_ms))
        allowed_ms = grace_ms + (int64_t)earned_ms;
    return allowed_ms;
}

/* A chunk has its own time within that of the message: a client may think between two of them. */
static void session_await_chunk(struct session *s)
{
    int64_t until_ms = s->chunk.begun_ms + time_for(s, s->chunk.octets - s->chunk.left);
    int64_t last_ms = s->data_begun_ms + time_for_message(s);

    session_deadline(s, until_ms < last_ms ? until_ms : last_ms);
}

static void session_await(struct session *s)
{
    if (s->chunk.is_open)
        session_await_chunk(s);
    else if (s->talk.phase == PHASE_CONTENT)
        session_deadline(s, s->data_begun_ms + time_for(s, s->intake.data.bytes));
    else
        session_await_command(s);
}

void session_hold(struct session *s, enum hold why, int64_t wait_ms)
{
    s->hold = why;
    if (why != HOLD_COMMIT) /* there most clients are silent: see on_input */
        stream_pause(s->stream);
    session_deadline(s, loop_now(s->host->loop) + wait_ms);
}

void session_go_on(struct session *s)
{
    s->hold = HOLD_NONE;
    stream_resume(s->stream);
    session_await(s);
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

/* One session may hold as much as an envelope's limits say, all of them together this. */
static void count_memory(struct session *s, uint64_t now_bytes)
{
    s->host->envelope_bytes += now_bytes - s->envelope_bytes;
    s->envelope_bytes = now_bytes;
}

static void session_free(struct session *s, const char *why)
{
    struct session_host *host = s->host;
    struct ip_address client = s->peer.address;

    session_log_disconnect(&s->peer, why, s->messages, loop_now(host->loop) - s->begun_ms);
    intake_abort(&s->intake);
    count_memory(s, 0);
    auth_cancel(&s->auth);
    queue_probe_cancel(&s->probe);
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
    if (!s->stream) {
        session_free(s, "client closed");
        return;
    }
    session_log_reply(s, reply, (struct span){ NULL, 0 });
    session_say(s, reply, 0);
    stream_finish(&s->stream, SMTPD_CLOSE_MS);
    session_free(s, "we closed");
}

void session_after(struct session *s)
{
    count_memory(s, envelope_memory(&s->talk.envelope));
    if (!s->stream) {
        session_free(s, "client closed");
    } else if (s->is_over) {
        stream_finish(&s->stream, SMTPD_CLOSE_MS);
        session_free(s, "we closed");
    } else if (s->hold == HOLD_NONE && stream_pending(s->stream) > SMTPD_OUTPUT_MAX) {
        session_hold(s, HOLD_OUTPUT, (int64_t)s->host->settings->smtpd_timeout_s * SECOND_MS);
    }
}

/* --- what the stream tells */

static size_t on_input(void *ctx, struct span input)
{
    struct session *s = ctx;
    size_t used = 0;
    size_t now = 1;

    if (s->hold != HOLD_NONE) { /* now it pays to ask the kernel for nothing more */
        stream_pause(s->stream);
        return 0;
    }
    while (now > 0 && used < input.len && s->hold == HOLD_NONE && !s->is_over) {
        now = session_take_input(s, span_from(input, used));
        used += now;
    }
    if (used > 0 && s->lines.discarded == 0 && s->hold == HOLD_NONE && !s->is_over)
        session_await(s); /* half a line moves no deadline */
    session_after(s);
    return used;
}

static void on_secured(void *ctx, const struct tls_session *tls)
{
    struct session *s = ctx;

    span_to_string(span_of(tls->version), s->tls_version, sizeof(s->tls_version));
    span_to_string(span_of(tls->cipher), s->tls_cipher, sizeof(s->tls_cipher));
    if (tls->cert != CERT_NONE)
        session_log_certificate(&s->client, tls);
    conversation_secured(&s->talk);
    s->client = s->peer;
    session_take_certificate(s, tls);
    s->hold = HOLD_NONE;
    if (s->place->settings->tls == LISTENER_TLS_IMPLICIT)
        session_say(s, REPLY_GREETING, 0);
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
    if (s->hold == HOLD_COMMIT) { /* what is with the queue is not taken back (SRV-36) */
        stream_free(&s->stream);
        return;
    }
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
    session_end(s, s->host->is_draining && !session_in_transaction(s) ? REPLY_SHUTTING_DOWN
                                                                      : REPLY_TIMEOUT);
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
        session_say_delayed(s);
        break;
    case HOLD_PROBE:
        session_probe_late(s);
        break;
    case HOLD_AUTH: /* never: the exchange has an end of its own, before this one */
        session_end(s, REPLY_AUTH_TROUBLE);
        break;
    case HOLD_TLS:
        session_log_tls_failed(&s->client, "timed out");
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

/* One more message or recipient of a client, its user and the sender. */
static enum reply_id on_share(void *ctx, const struct address *sender, bool is_recipient,
                              const char **out_reason)
{
    const struct session *s = ctx;
    const struct share_facts facts = {
        .settings = s->host->settings,
        .listener = s->place->settings,
        .client = &s->client.address,
        .user = span_of(s->talk.user),
        .sender = span_of(sender->text),
        .now_ms = loop_now(s->host->loop),
    };
    enum rate spent;

    if (is_recipient && s->host->envelope_bytes > s->host->settings->max_envelope_bytes)
        return REPLY_NO_MEMORY;
    if (!s->host->rates)
        return REPLY_OK;
    bool taken = is_recipient ? shares_take_recipient(s->host->rates, &facts, &spent)
                              : shares_take_message(s->host->rates, &facts, &spent);

    if (taken)
        return REPLY_OK;
    *out_reason = rate_name(spent);
    return REPLY_SHARE_SPENT;
}

/* A client waits for the greeting; who has spoken before it is no mail client (SRV-13, SRV-14). */
static enum reply_id judge_first_bytes(int fd)
{
    char first;

    if (recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        return REPLY_GREETING;
    return first == 0x16 ? REPLY_NOT_SMTP : REPLY_EARLY_TALKER;
}

static void session_begin_clear(struct session *s, enum reply_id greeting)
{
    if (greeting != REPLY_GREETING) {
        session_end(s, greeting);
        return;
    }
    if (s->host->pressure >= PRESSURE_SLOW && session_is_stranger(s)) {
        s->delayed = greeting;
        session_hold(s, HOLD_SLOW, SMTPD_LATE_MS);
        return;
    }
    session_say(s, greeting, 0);
    session_await(s);
}

/* The handshake comes before the greeting (RFC 8314 s.3.3). */
static void session_begin_secure(struct session *s)
{
    if (s->place->tls)
        session_begin_tls(s);
    else
        session_free(s, "no certificate");
}

void session_open(struct session_host *host, const struct session_place *place, int fd,
                  const struct endpoint *client)
{
    struct session *s = memory_new(sizeof(*s));

    s->host = host;
    s->place = place;
    s->peer = s->client = *client;
    s->begun_ms = loop_now(host->loop);
    s->is_known = host->rates && rates_knows(host->rates, &client->address, s->begun_ms);
    list_append(&host->sessions, &s->in_host);
    host->session_count++;
    conversation_init(&s->talk, host->settings, place->settings, &client->address);
    s->talk.take_share = on_share;
    s->talk.share_ctx = s;
    s->timer = loop_timer_new(host->loop, on_timer, s);
    s->stream = stream_open(host->loop, fd, &stream_events, s);
    stream_low_mark(s->stream, SMTPD_OUTPUT_MAX / 2);
    session_log_connect(client, place->settings);
    if (place->settings->tls == LISTENER_TLS_IMPLICIT)
        session_begin_secure(s);
    else
        session_begin_clear(s, judge_first_bytes(fd));
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
        .queue_left_ms = loop_now(loop),
        .hurried_ms = loop_now(loop) - SECOND_MS,
    };
    list_init(&host->sessions);
    buf_init(&host->joined, INTAKE_JOINED_MAX);
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

    if (!queue_client_is_up(host->queue)) {
        host->queue_left_ms = loop_now(host->loop);
        return;
    }
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
        if (s->had_transaction && !session_in_transaction(s))
            session_end(s, REPLY_SHUTTING_DOWN);
        else
            session_await(s);
    }
}

/* Time that has been given is only ever made less. */
static void session_hurry(struct session *s)
{
    int64_t had_ms = s->deadline_ms;

    session_await(s);
    if (s->deadline_ms > had_ms)
        session_deadline(s, had_ms);
}

void session_host_press(struct session_host *host, enum pressure pressure)
{
    int64_t now_ms = loop_now(host->loop);
    struct session *s;

    host->pressure = pressure;
    if (pressure < PRESSURE_HIGH || now_ms - host->hurried_ms < SECOND_MS)
        return;
    host->hurried_ms = now_ms;
    LIST_EACH(s, &host->sessions, struct session, in_host)
    {
        if (s->hold == HOLD_NONE && session_is_stranger(s))
            session_hurry(s);
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
