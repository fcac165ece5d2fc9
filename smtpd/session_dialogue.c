#include "smtpd/session_private.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "smtpd/session_log.h"
#include "smtpd/shares.h"
#include "smtpd/trace.h"

/* --- saying */

enum { DETAIL_SIZE = SETTINGS_ROUTE_TEXT_SIZE };
_Static_assert((int)DETAIL_SIZE >= (int)SETTINGS_BANNER_SIZE, "a banner fits");
_Static_assert((int)DETAIL_SIZE >= (int)QID_TEXT_SIZE, "a queue id fits");

/* What some replies add to their text. */
static void reply_detail(const struct session *s, enum reply_id reply, uint64_t id,
                         char detail[DETAIL_SIZE])
{
    detail[0] = '\0';
    if (reply == REPLY_GREETING)
        span_to_string(span_of(s->place->settings->banner), detail, DETAIL_SIZE);
    else if (reply == REPLY_QUEUED)
        qid_format(id, detail);
    else if (reply == REPLY_RELAYING_DENIED || reply == REPLY_SENDER_DENIED ||
             reply == REPLY_ROUTE_REFUSES || reply == REPLY_SHARE_SPENT)
        span_to_string(span_of(s->talk.reason), detail, DETAIL_SIZE);
    else if (reply == REPLY_BAD_CONTENT)
        span_to_string(span_of(data_fault_name(s->intake.data.fault)), detail, DETAIL_SIZE);
}

static size_t reply_text(const struct session *s, enum reply_id reply, uint64_t id,
                         char room[REPLY_ROOM])
{
    char detail[DETAIL_SIZE];
    struct reply_facts facts = {
        .hostname = s->host->settings->hostname,
        .detail = detail,
        .size_max = shares_message_bytes(s->host->settings, s->place->settings),
        .recipients_max = shares_recipients(s->host->settings, s->place->settings),
        .offers_starttls = s->talk.has_certificate && !s->talk.is_secure,
        .is_secure = s->talk.is_secure,
        .offers_priority = commands_offer_priority(&s->talk),
        .offers_xclient = commands_offer_xclient(&s->talk),
        .mechanisms = s->talk.mechanisms,
    };

    reply_detail(s, reply, id, detail);
    return reply_write(reply, &facts, room);
}

void session_say(struct session *s, enum reply_id reply, uint64_t id)
{
    char room[REPLY_ROOM];
    size_t len;

    if (!s->stream)
        return;
    len = reply_text(s, reply, id, room);
    stream_write(s->stream, (struct span){ room, len });
    if (reply_next(reply) == NEXT_CLOSE)
        s->is_over = true;
}

void session_log_reply(const struct session *s, enum reply_id reply, struct span line)
{
    char room[REPLY_ROOM];

    if (reply_code(reply) < 400 || reply == REPLY_SHUTTING_DOWN)
        return;
    size_t len = reply_text(s, reply, 0, room);
    session_log_refuse(&s->client, &s->talk, (struct span){ room, len }, line);
}

/* While draining, a transaction that ended was the last one. */
static void session_say_farewell(struct session *s)
{
    if (s->host->is_draining && s->had_transaction && !session_in_transaction(s) && !s->is_over &&
        s->hold == HOLD_NONE)
        session_say(s, REPLY_SHUTTING_DOWN, 0);
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
    span_to_string(span_of(conversation_client_name(&s->talk)), envelope->client_name,
                   sizeof(envelope->client_name));
    if (s->tls_version[0] != '\0')
        snprintf(envelope->client_tls, sizeof(envelope->client_tls), "%s %s", s->tls_version,
                 s->tls_cipher);
    if (s->client.address.family == ADDRESS_LOCAL)
        ip_address_format(&s->client.address,
                          envelope->user); /* one of many senders, as users are */
}

/* Its mailbox in ASCII: the header of a message is not to become UTF-8 by our field alone. */
static const char *only_recipient(const struct envelope *envelope, char room[ADDRESS_ASCII_SIZE])
{
    bool is_one = envelope->recipient_count == 1;

    return is_one && address_to_ascii(&envelope->recipients[0].forward_path, room) ? room : NULL;
}

static struct trace_facts trace_facts_of(const struct session *s, char room[ADDRESS_ASCII_SIZE])
{
    const struct envelope *envelope = &s->talk.envelope;
    const struct xclient *claims = s->talk.claims;

    return (struct trace_facts){
        .client_name = conversation_client_name(&s->talk),
        .client_rdns = claims ? claims->name : "",
        .client_address = s->client.address,
        .hostname = s->host->settings->hostname,
        .is_esmtp = s->talk.is_esmtp && !(claims && claims->is_smtp),
        .is_user = s->talk.user[0] != '\0',
        .user = s->place->settings->received_from == RECEIVED_USER ? s->talk.user : NULL,
        .is_hidden = s->place->settings->received_from == RECEIVED_HIDDEN,
        .tls_version = s->tls_version,
        .tls_cipher = s->tls_cipher,
        .is_utf8 = envelope->smtputf8,
        .priority = envelope->priority,
        .only_recipient = only_recipient(envelope, room),
        .now_utc_ms = envelope->received_utc_ms,
    };
}

/* For mail that may be signed as it leaves: not that of strangers. */
static struct settings_dkim_bodies bodies_to_hash(const struct session *s)
{
    if (s->talk.envelope.from_stranger)
        return (struct settings_dkim_bodies){ .relaxed = false };
    return settings_dkim_bodies(s->host->settings);
}

static void content_begin(struct session *s)
{
    struct duties duties;
    char head[TRACE_PART_SIZE], tail[TRACE_PART_SIZE], recipient[ADDRESS_ASCII_SIZE];

    complete_envelope(s, clock_utc_ms());
    struct trace_facts trace = trace_facts_of(s, recipient);
    session_add_copy(s);
    const struct settings_dkim_bodies bodies = bodies_to_hash(s);
    struct intake_start start = {
        .queue = s->host->queue,
        .envelope = &s->talk.envelope,
        .trace_head = trace_head(&trace, head),
        .trace_tail = trace_tail(&trace, tail),
        .max_bytes = shares_message_bytes(s->host->settings, s->place->settings),
        .max_header_bytes = s->host->settings->header_bytes_max,
        .max_line = s->host->settings->line_octets_max,
        .max_hops = s->host->settings->received_hops_max,
        .is_chunked = s->talk.phase == PHASE_CHUNKS,
        .joined = &s->host->joined,
        .duties = session_duties(s, &duties),
        .mends_lines = session_mends_lines(s),
        .hashes_relaxed = bodies.relaxed,
        .hashes_simple = bodies.simple,
    };
    intake_begin(&s->intake, &start, &intake_events, s);
    s->data_begun_ms = loop_now(s->host->loop);
}

/* The reply to the final dot; the transaction is over, whatever it says. */
static void content_settled(struct session *s, enum reply_id reply, uint64_t id)
{
    session_log_reply(s, reply, (struct span){ NULL, 0 });
    if (reply == REPLY_QUEUED) {
        session_log_accept(&s->talk, id, s->intake.sent, s->tls_version);
        session_note_mended(s);
        s->messages++;
        s->host->messages++;
        if (s->host->rates)
            rates_praise(s->host->rates, &s->client.address, loop_now(s->host->loop));
        conversation_delivered(&s->talk);
    } else {
        conversation_reset(&s->talk);
    }
    session_say(s, commands_count(&s->talk, reply), id);
    session_say_farewell(s);
}

/* Gives the queue what it has room for. */
static size_t hand_in(struct session *s, struct span input)
{
    size_t used = intake_take(&s->intake, input);

    if (used == 0) {
        s->held_ms = loop_now(s->host->loop);
        session_hold(s, HOLD_ROOM, SMTPD_ROOM_WAIT_MS);
    }
    return used;
}

static void content_ends(struct session *s)
{
    enum reply_id reply = intake_end(&s->intake);

    if (reply == REPLY_WAIT)
        session_hold(s, HOLD_COMMIT, SMTPD_COMMIT_MS);
    else
        content_settled(s, reply, 0);
}

static size_t take_content(struct session *s, struct span input)
{
    size_t used = hand_in(s, input);

    if (used > 0 && s->intake.data.ended)
        content_ends(s);
    return used;
}

/* --- content in chunks (RFC 3030 s.2) */

/* All octets have come: one reply for each BDAT, and a refused one ends the transaction. */
static void chunk_ends(struct session *s)
{
    s->chunk.is_open = false;
    if (s->chunk.verdict != REPLY_TAKE_CHUNK) {
        session_answer(s, s->chunk.verdict, (struct span){ NULL, 0 });
        session_say_farewell(s);
    } else if (s->chunk.is_last || s->intake.refusal != REPLY_WAIT) {
        content_ends(s);
    } else {
        session_say(s, REPLY_CHUNK_OK, 0);
    }
}

static void chunk_begin(struct session *s, enum reply_id verdict)
{
    int64_t now_ms = loop_now(s->host->loop);

    s->chunk = (struct chunk){
        .is_open = true,
        .is_last = s->talk.chunk.is_last,
        .octets = s->talk.chunk.octets,
        .left = s->talk.chunk.octets,
        .verdict = verdict,
        .begun_ms = now_ms,
    };
    if (verdict != REPLY_TAKE_CHUNK)
        s->data_begun_ms = now_ms;
    else if (s->talk.chunks == 1)
        content_begin(s);
    if (verdict == REPLY_TAKE_CHUNK)
        intake_expect(&s->intake, s->chunk.left);
    if (s->chunk.left == 0)
        chunk_ends(s);
}

static size_t take_chunk(struct session *s, struct span input)
{
    struct span part = input.len > s->chunk.left ? span_first(input, s->chunk.left) : input;
    size_t used = s->chunk.verdict == REPLY_TAKE_CHUNK ? hand_in(s, part) : part.len;

    s->chunk.left -= used;
    if (s->chunk.left == 0)
        chunk_ends(s);
    return used;
}

static void on_room(void *ctx)
{
    struct session *s = ctx;

    if (s->hold != HOLD_ROOM)
        return;
    s->data_begun_ms += loop_now(s->host->loop) - s->held_ms;
    s->chunk.begun_ms += loop_now(s->host->loop) - s->held_ms;
    session_go_on(s);
}

static void on_settled(void *ctx, enum reply_id reply, uint64_t id)
{
    struct session *s = ctx;

    s->hold = HOLD_NONE;
    content_settled(s, reply, id);
    if (s->stream && !s->is_over)
        session_go_on(s);
    session_after(s);
}

/* --- commands */

static enum queue_state state_of_queue(const struct session *s)
{
    if (queue_client_is_up(s->host->queue))
        return queue_client_is_full(s->host->queue) ? QUEUE_FULL : QUEUE_TAKES;
    if (loop_now(s->host->loop) - s->host->queue_left_ms >= SMTPD_QUEUE_DOWN_MS)
        return QUEUE_DOWN;
    return s->queue_waited ? QUEUE_GONE : QUEUE_AWAY;
}

void session_begin_tls(struct session *s)
{
    s->hold = HOLD_TLS;
    session_deadline(s, loop_now(s->host->loop) + SMTPD_TLS_MS);
    stream_secure_server(s->stream, s->place->tls);
}

void session_answer(struct session *s, enum reply_id reply, struct span line)
{
    if (reply_next(reply) == NEXT_AUTH) {
        session_auth_begin(s);
        return;
    }
    session_log_reply(s, reply, line);
    if (reply_code(reply) >= 500 && s->talk.errors > s->host->settings->max_errors / 2) {
        s->delayed = reply;
        session_hold(s, HOLD_SLOW, SMTPD_SLOW_MS);
        return;
    }
    session_say(s, reply, 0);
    if (reply_next(reply) == NEXT_DATA)
        content_begin(s);
    else if (reply_next(reply) == NEXT_TLS)
        session_begin_tls(s);
}

/* XCLIENT was believed: from here on the client is another one. */
static void take_claims(struct session *s)
{
    s->client = (struct endpoint){ s->talk.client, s->talk.claims->port };
    session_log_xclient(&s->peer, &s->client, s->talk.user);
}

/* --- a mailbox that its next hop is asked for */

static void probe_decided(struct session *s, enum probe_verdict verdict)
{
    s->talk.was_probed = true;
    s->talk.probed = verdict;
    session_go_on(s); /* the same line once more */
}

static void on_probed(void *ctx, enum probe_verdict verdict)
{
    struct session *s = ctx;

    s->probe = NULL;
    if (s->hold == HOLD_PROBE)
        probe_decided(s, verdict);
}

void session_probe_late(struct session *s)
{
    queue_probe_cancel(&s->probe);
    probe_decided(s, PROBE_UNDECIDED);
}

static void begin_probe(struct session *s)
{
    if (queue_client_is_up(s->host->queue)) {
        s->probe =
            queue_probe_begin(s->host->queue, s->talk.probe, &s->talk.envelope, on_probed, s);
        conversation_forget_probe(&s->talk);
        session_hold(s, HOLD_PROBE, SMTPD_PROBE_MS);
    } else { /* a queue that is away comes back, or not */
        session_hold(s, HOLD_QUEUE, SMTPD_QUEUE_WAIT_MS);
    }
}

static void take_command(struct session *s, struct span line, bool input_follows)
{
    s->talk.has_certificate = s->place->tls != NULL;
    s->talk.input_follows = input_follows;
    s->talk.queue = state_of_queue(s);
    s->talk.aliases = s->host->aliases;
    s->talk.recipients = s->place->recipients;
    s->talk.mechanisms = session_mechanisms(s);
    bool had_chunks = s->talk.phase == PHASE_CHUNKS;
    enum reply_id reply = commands_take(&s->talk, line);
    if (reply == REPLY_WAIT) {
        session_hold(s, HOLD_QUEUE, SMTPD_QUEUE_WAIT_MS);
        return;
    }
    s->talk.was_probed = false;
    if (reply == REPLY_ASK) {
        begin_probe(s);
        return;
    }
    s->queue_waited = false;
    if (s->talk.verb == VERB_XCLIENT && reply == REPLY_GREETING)
        take_claims(s);
    s->had_transaction = s->had_transaction || session_in_transaction(s);
    if (had_chunks && s->talk.phase != PHASE_CHUNKS)
        intake_abort(&s->intake); /* RSET, EHLO: the chunks so far are forgotten */
    if (s->talk.chunk_follows && reply_next(reply) != NEXT_CLOSE) {
        chunk_begin(s, reply);
        return;
    }
    session_answer(s, reply, line);
    session_say_farewell(s);
}

/* A TLS record instead of a command: a client of another protocol (SRV-14). */
static bool looks_like_tls(struct span input)
{
    return input.len >= 2 && input.data[0] == 0x16 && input.data[1] == 0x03;
}

static void refuse_line(struct session *s, enum reply_id reply)
{
    s->talk.verb = VERB_UNKNOWN;
    session_answer(s, commands_count(&s->talk, reply), (struct span){ NULL, 0 });
}

static size_t take_line(struct session *s, struct span input)
{
    struct span line;
    size_t used;

    if (!s->talk.is_secure && s->lines.discarded == 0 && looks_like_tls(input)) {
        refuse_line(s, REPLY_NOT_SMTP);
        return input.len;
    }
    switch (lines_take(&s->lines, input, &line, &used)) {
    case LINE_NONE:
        break;
    case LINE_WHOLE:
        take_command(s, line, input.len > used);
        return s->hold == HOLD_QUEUE || s->hold == HOLD_PROBE ? 0 : used;
    case LINE_TOO_LONG:
        refuse_line(s, REPLY_LINE_TOO_LONG);
        break;
    case LINE_ENDLESS:
        refuse_line(s, REPLY_NOT_SMTP);
        break;
    }
    return used;
}

size_t session_take_input(struct session *s, struct span input)
{
    if (s->chunk.is_open)
        return take_chunk(s, input);
    if (s->talk.phase == PHASE_CONTENT)
        return take_content(s, input);
    if (s->auth || s->awaits_identity)
        return session_take_response(s, input);
    return take_line(s, input);
}

void session_say_delayed(struct session *s)
{
    session_say(s, s->delayed, 0);
    session_go_on(s);
    session_say_farewell(s);
    session_after(s);
}
