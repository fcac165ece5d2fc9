#include "smtpd/session_private.h"

#include "lib/base/base64.h"
#include "lib/base/limits.h"
#include "lib/io/crypto.h"
#include "lib/ipc/channel.h"
#include "smtpd/client_certificate.h"
#include "smtpd/session_log.h"

/* AUTH (RFC 4954 s.4): the auth role makes the challenges and judges; here it is lines. */

void session_take_certificate(struct session *s, const struct tls_session *tls)
{
    s->talk.has_relay_certificate = client_certificate_may_relay(s->place->settings, tls);
    s->talk.certificate_user = client_certificate_user(s->place->settings, tls);
}

unsigned session_mechanisms(const struct session *s)
{
    unsigned mechanisms = 0;

    if (!s->talk.is_secure || s->place->settings->auth == LISTENER_AUTH_OFF)
        return 0;
    if (s->host->auth && settings_have_users(s->host->settings))
        mechanisms = auth_client_mechanisms(s->host->auth);
    if (s->talk.certificate_user.len > 0)
        mechanisms |= 1U << AUTH_EXTERNAL;
    return mechanisms;
}

/* --- what the auth role says */

static void say_challenge(struct session *s, struct span challenge)
{
    struct buf line;

    buf_init(&line, SMTP_AUTH_LINE_MAX);
    if (!buf_append(&line, SPAN("334 ")) || !base64_encode(challenge, &line) ||
        !buf_append(&line, SPAN("\r\n"))) {
        auth_cancel(&s->auth);
        session_answer(s, commands_count(&s->talk, REPLY_AUTH_TROUBLE), SPAN(""));
    } else {
        stream_write(s->stream, buf_span(&line));
    }
    buf_clear(&line);
}

/* Every failure costs its time (RFC 4954 s.9); too many end the session. */
static void refuse(struct session *s, enum reply_id reply, struct span user, const char *why)
{
    session_log_auth(&s->client, user, s->talk.mechanism, why);
    s->auth_failures++;
    if (s->auth_failures >= SMTPD_AUTH_FAILURES_MAX)
        reply = REPLY_AUTH_TOO_OFTEN;
    s->delayed = commands_count(&s->talk, reply);
    session_log_reply(s, s->delayed, SPAN(""));
    session_hold(s, HOLD_SLOW, SMTPD_SLOW_MS);
}

static void welcome(struct session *s, struct span user)
{
    if (user.len == 0 || !span_to_string(user, s->talk.user, sizeof(s->talk.user))) {
        session_answer(s, commands_count(&s->talk, REPLY_AUTH_TROUBLE), SPAN(""));
        return;
    }
    session_log_auth(&s->client, user, s->talk.mechanism, NULL);
    session_answer(s, REPLY_AUTHENTICATED, SPAN(""));
}

static void take_verdict(struct session *s, const Ipc__AuthAnswer *answer)
{
    struct span user = span_first(span_of_bytes(answer->user), ADDRESS_MAX);

    switch (answer->verdict) {
    case IPC__AUTH_VERDICT__CHALLENGE:
        say_challenge(s, span_of_bytes(answer->challenge));
        break;
    case IPC__AUTH_VERDICT__YES:
        welcome(s, user);
        break;
    case IPC__AUTH_VERDICT__NO:
        refuse(s, REPLY_AUTH_FAILED, user, "wrong");
        break;
    case IPC__AUTH_VERDICT__BLOCKED:
        refuse(s, REPLY_AUTH_BLOCKED, user, "blocked");
        break;
    case IPC__AUTH_VERDICT__MALFORMED:
        session_answer(s, commands_count(&s->talk, REPLY_AUTH_MALFORMED), SPAN(""));
        break;
    case IPC__AUTH_VERDICT__TROUBLE:
    case _IPC__AUTH_VERDICT_IS_INT_SIZE:
    default:
        session_answer(s, commands_count(&s->talk, REPLY_AUTH_TROUBLE), SPAN(""));
        break;
    }
}

static void on_answer(void *ctx, const Ipc__AuthAnswer *answer)
{
    struct session *s = ctx;

    if (answer->verdict != IPC__AUTH_VERDICT__CHALLENGE)
        s->auth = NULL; /* it has ended */
    s->hold = HOLD_NONE;
    take_verdict(s, answer);
    s->lines.is_response = s->auth != NULL;
    if (s->hold == HOLD_NONE && !s->is_over)
        session_go_on(s);
    session_after(s);
}

/* --- what the client says */

static void give_up(struct session *s, enum reply_id reply)
{
    auth_cancel(&s->auth);
    s->awaits_identity = false;
    s->lines.is_response = false;
    session_answer(s, commands_count(&s->talk, reply), SPAN(""));
}

/* RFC 4422, Appendix A: the certificate has said who it is; another may not be asked for. */
static void take_identity(struct session *s, struct span identity)
{
    struct span user = s->talk.certificate_user;

    s->awaits_identity = false;
    s->lines.is_response = false;
    if (identity.len == 0 || span_equal(identity, user))
        welcome(s, user);
    else
        refuse(s, REPLY_AUTH_FAILED, user, "another");
}

/* What was decoded may be a password. */
static void forget(struct buf *secret)
{
    if (secret->base)
        crypto_cleanse(secret->base, secret->size);
    buf_clear(secret);
}

static struct auth_start start_of(const struct session *s, char client[NETWORK_TEXT_SIZE],
                                  unsigned char exporter[TLS_BINDING_MAX],
                                  unsigned char end_point[TLS_BINDING_MAX])
{
    struct auth_start start = { .mechanism = s->talk.mechanism, .client = client };

    ip_address_format(&s->client.address, client);
    start.has_response = s->talk.initial.data != NULL;
    if (start.mechanism != AUTH_SCRAM_SHA_256_PLUS)
        return start;
    start.exporter = (struct span){ (char *)exporter,
                                    stream_tls_binding(s->stream, TLS_BINDING_EXPORTER, exporter) };
    start.end_point =
        (struct span){ (char *)end_point,
                       stream_tls_binding(s->stream, TLS_BINDING_END_POINT, end_point) };
    return start;
}

static void begin_external(struct session *s, bool has_response, struct span response)
{
    if (has_response) {
        take_identity(s, response);
        return;
    }
    s->awaits_identity = true;
    s->lines.is_response = true;
    say_challenge(s, SPAN(""));
}

static void begin_exchange(struct session *s, struct auth_start *start, struct span response)
{
    start->response = response;
    s->auth = auth_begin(s->host->auth, start, on_answer, s);
    session_hold(s, HOLD_AUTH, SMTPD_AUTH_MS);
}

void session_auth_begin(struct session *s)
{
    unsigned char exporter[TLS_BINDING_MAX], end_point[TLS_BINDING_MAX];
    char client[NETWORK_TEXT_SIZE];
    struct auth_start start = start_of(s, client, exporter, end_point);
    struct buf response;

    buf_init(&response, SMTP_AUTH_LINE_MAX);
    /* "=" is an empty response (RFC 4954 s.4) */
    if (start.has_response && !span_equal(s->talk.initial, SPAN("=")) &&
        !base64_decode(s->talk.initial, &response)) {
        give_up(s, REPLY_AUTH_MALFORMED);
    } else if (start.mechanism == AUTH_EXTERNAL) {
        begin_external(s, start.has_response, buf_span(&response));
    } else {
        begin_exchange(s, &start, buf_span(&response));
    }
    forget(&response);
    stream_forget(s->stream, s->talk.initial);
}

static void take_response(struct session *s, struct span line)
{
    struct buf response;

    buf_init(&response, SMTP_AUTH_LINE_MAX);
    if (span_equal(line, SPAN("*"))) {
        give_up(s, REPLY_AUTH_CANCELLED);
    } else if (!base64_decode(line, &response)) {
        give_up(s, REPLY_AUTH_MALFORMED);
    } else if (s->awaits_identity) {
        take_identity(s, buf_span(&response));
    } else {
        auth_respond(s->auth, buf_span(&response));
        session_hold(s, HOLD_AUTH, SMTPD_AUTH_MS);
    }
    forget(&response);
}

size_t session_take_response(struct session *s, struct span input)
{
    struct span line;
    size_t used;

    s->talk.verb = VERB_UNKNOWN; /* nothing of it is logged */
    switch (lines_take(&s->lines, input, &line, &used)) {
    case LINE_NONE:
        break;
    case LINE_WHOLE:
        take_response(s, line);
        stream_forget(s->stream, line);
        break;
    case LINE_TOO_LONG:
        give_up(s, REPLY_AUTH_LINE_TOO_LONG);
        break;
    case LINE_ENDLESS:
        give_up(s, REPLY_NOT_SMTP);
        break;
    }
    return used;
}
