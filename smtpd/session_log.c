#include "smtpd/session_log.h"

#include "lib/base/log.h"

enum { LOGGED_COMMAND_MAX = 512 };

static void put_endpoint(struct log_line *line, const char *key, const struct endpoint *endpoint)
{
    char text[NETWORK_TEXT_SIZE];

    endpoint_format(endpoint, text);
    log_string(line, key, text);
}

static void put_address(struct log_line *line, const char *key, const struct ip_address *address)
{
    char text[NETWORK_TEXT_SIZE];

    ip_address_format(address, text);
    log_string(line, key, text);
}

void session_log_connect(const struct endpoint *client, const struct listener_settings *listener)
{
    char label[SETTINGS_UNIX_SIZE];
    struct log_line line;

    log_begin(&line, LOG_DEBUG, "connect");
    put_endpoint(&line, "client", client);
    listener_settings_label(listener, label);
    log_string(&line, "listener", label);
    log_end(&line);
}

void session_log_disconnect(const struct endpoint *client, const char *why, unsigned messages,
                            int64_t took_ms)
{
    struct log_line line;

    log_begin(&line, LOG_DEBUG, "disconnect");
    put_endpoint(&line, "client", client);
    log_string(&line, "why", why);
    log_number(&line, "messages", messages);
    log_seconds(&line, "took", took_ms);
    log_end(&line);
}

void session_log_accept(const struct conversation *talk, uint64_t id, uint64_t size,
                        const char *tls)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "accept");
    log_qid(&line, id);
    log_path(&line, "from", span_of(talk->envelope.reverse_path.text));
    log_number(&line, "size", (int64_t)size);
    log_number(&line, "nrcpt", talk->envelope.recipient_count);
    put_address(&line, "client", &talk->client);
    log_string(&line, "tls", tls[0] != '\0' ? tls : "none");
    if (talk->user[0] != '\0')
        log_string(&line, "user", talk->user);
    log_end(&line);
}

/* Lines of any other kind may be a password that went astray. */
static bool may_be_shown(enum command_verb verb)
{
    return verb == VERB_MAIL || verb == VERB_RCPT || verb == VERB_EHLO || verb == VERB_HELO;
}

void session_log_refuse(const struct endpoint *client, const struct conversation *talk,
                        struct span said, struct span command)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "refuse");
    put_endpoint(&line, "client", client);
    log_text(&line, "reply", span_trim(span_first(said, said.len - 2)));
    if (talk->phase >= PHASE_MAIL)
        log_path(&line, "from", span_of(talk->envelope.reverse_path.text));
    if (command.len > 0 && may_be_shown(talk->verb))
        log_text(&line, "command", span_first(command, LOGGED_COMMAND_MAX));
    log_end(&line);
}

void session_log_mended(const struct endpoint *client, uint64_t lines, uint64_t times)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "bare-lf-mended");
    put_endpoint(&line, "client", client);
    log_number(&line, "lines", (int64_t)lines);
    log_number(&line, "messages", (int64_t)times);
    log_end(&line);
}

void session_log_xclient(const struct endpoint *proxy, const struct endpoint *client,
                         const char *user)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "xclient");
    put_endpoint(&line, "proxy", proxy);
    put_endpoint(&line, "client", client);
    if (user[0] != '\0')
        log_string(&line, "user", user);
    log_end(&line);
}

void session_log_tls_failed(const struct endpoint *client, const char *reason)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "tls-failed");
    put_endpoint(&line, "client", client);
    log_string(&line, "reason", reason);
    log_end(&line);
}

void session_log_certificate(const struct endpoint *client, const struct tls_session *tls)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "client-certificate");
    put_endpoint(&line, "client", client);
    log_string(&line, "certificate", tls->certificate_sha256);
    log_string(&line, "key", tls->key_sha256);
    log_text(&line, "subject", span_of(tls->subject));
    log_string(&line, "verdict", tls->cert == CERT_OK ? "trusted" : tls->cert_reason);
    log_end(&line);
}

void session_log_auth(const struct endpoint *client, struct span user,
                      enum auth_mechanism mechanism, const char *why)
{
    struct log_line line;

    if (why)
        log_begin(&line, LOG_INFO, "auth-failed");
    else
        log_begin(&line, LOG_INFO, "auth");
    put_endpoint(&line, "client", client);
    log_text(&line, "user", user);
    log_string(&line, "mechanism", auth_mechanism_name(mechanism));
    if (why)
        log_string(&line, "why", why);
    log_end(&line);
}
