#include "smtpd/commands.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/mail/aliases.h"
#include "tests/support/test.h"

/* What the settings say by themselves. */
enum { ERRORS_MAX = 20, IDLE_MAX = 100 };

struct bench {
    struct settings settings;
    struct conversation talk;
};

static void bench_open(struct bench *b)
{
    struct ip_address client;

    settings_defaults(&b->settings);
    snprintf(b->settings.hostname, sizeof(b->settings.hostname), "relay.example");
    b->settings.postmaster[0] = '\0';
    b->settings.max_recipients = 5;
    b->settings.max_message_bytes = 1000;
    assert_true(network_parse(SPAN("192.0.2.0/24"), &b->settings.listeners[0].relay_from.items[0]));
    b->settings.listeners[0].relay_from.count = 1;
    assert_true(ip_address_parse(SPAN("192.0.2.7"), &client));
    conversation_init(&b->talk, &b->settings, &b->settings.listeners[0], &client);
}

static int open_bench(void **state)
{
    static struct bench bench;

    bench_open(&bench);
    *state = &bench;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;

    conversation_clear(&b->talk);
    return 0;
}

static enum reply_id say(struct bench *b, const char *line)
{
    return commands_take(&b->talk, span_of(line));
}

/* EHLO, MAIL and RCPT; the last is answered so. */
static void begin_transaction_as(struct bench *b, enum reply_id last)
{
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_SENDER_OK);
    assert_int_equal(say(b, "RCPT TO:<b@example.com>"), last);
}

static void begin_transaction(struct bench *b)
{
    begin_transaction_as(b, REPLY_RECIPIENT_OK);
}

/* --- paths that change */

static void add_rewrite(struct bench *b, const char *from, const char *to)
{
    struct rewrite *row = &b->settings.rewrites.items[b->settings.rewrites.count++];

    strcpy(row->from, from);
    strcpy(row->to, to);
}

static const char *recipient(const struct bench *b, unsigned i)
{
    return b->talk.envelope.recipients[i].forward_path.text;
}

static void both_paths_are_rewritten(void **state)
{
    struct bench *b = *state;

    add_rewrite(b, ".internal", "example.net");
    add_rewrite(b, "x.example", "bad..domain"); /* no settings allow it: then nothing changes */
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@web.internal>"), REPLY_SENDER_OK);
    assert_string_equal(b->talk.envelope.reverse_path.text, "a@example.net");
    assert_string_equal(b->talk.envelope.reverse_path.domain, "example.net");
    assert_int_equal(say(b, "RCPT TO:<Root@DB.internal>"), REPLY_RECIPIENT_OK);
    assert_int_equal(say(b, "RCPT TO:<a@x.example>"), REPLY_RECIPIENT_OK);
    assert_string_equal(recipient(b, 0), "Root@example.net");
    assert_string_equal(b->talk.envelope.recipients[0].forward_path.domain, "example.net");
    assert_string_equal(recipient(b, 1), "a@x.example");
    assert_int_equal(say(b, "RSET"), REPLY_OK);
    assert_int_equal(say(b, "MAIL FROM:<>"), REPLY_SENDER_OK);
    assert_string_equal(b->talk.envelope.reverse_path.text, "");
}

static void aliases_of_this_host_are_expanded(void **state)
{
    struct bench *b = *state;
    struct aliases *aliases = aliases_parse(
        SPAN("root: ada@example.net, bob@web.internal\npostmaster: root\nall: a1@x.example, "
             "a2@x.example, a3@x.example, a4@x.example, a5@x.example, a6@x.example\n"),
        NULL, NULL);

    b->talk.aliases = aliases;
    add_rewrite(b, ".internal", "example.net");
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_SENDER_OK);
    assert_int_equal(say(b, "RCPT TO:<root@relay.example> NOTIFY=FAILURE ORCPT=rfc822;r@x"),
                     REPLY_RECIPIENT_OK);
    assert_int_equal(b->talk.envelope.recipient_count, 2);
    assert_string_equal(recipient(b, 0), "ada@example.net");
    assert_string_equal(recipient(b, 1), "bob@example.net");
    assert_int_equal(b->talk.envelope.recipients[1].notify, NOTIFY_FAILURE);
    assert_string_equal(b->talk.envelope.recipients[1].orcpt, "rfc822;r@x");
    assert_int_equal(say(b, "RCPT TO:<all@relay.example>"), REPLY_TOO_MANY_RECIPIENTS);
    assert_int_equal(b->talk.envelope.recipient_count, 2); /* all or none */
    assert_int_equal(say(b, "RCPT TO:<c@example.org>"), REPLY_RECIPIENT_OK);
    assert_string_equal(recipient(b, 2), "c@example.org");
    assert_int_equal(say(b, "RCPT TO:<Postmaster>"), REPLY_RECIPIENT_OK);
    assert_string_equal(recipient(b, 3), "ada@example.net");
    assert_int_equal(b->talk.envelope.recipient_count, 5);
    aliases_free(&aliases);
}

/* RFC 3461 s.5.2.7.3 */
static void success_of_an_alias_of_several_is_told_as_expanded(void **state)
{
    struct bench *b = *state;
    const struct envelope *envelope = &b->talk.envelope;
    struct aliases *aliases =
        aliases_parse(SPAN("both: a@x.example, b@x.example\none: a@x.example\n"), NULL, NULL);

    b->talk.aliases = aliases;
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_SENDER_OK);
    assert_int_equal(say(b, "RCPT TO:<one@relay.example> NOTIFY=SUCCESS"), REPLY_RECIPIENT_OK);
    assert_int_equal(envelope->recipients[0].notify, NOTIFY_SUCCESS);
    assert_int_equal(say(b, "RCPT TO:<both@relay.example> NOTIFY=FAILURE"), REPLY_RECIPIENT_OK);
    assert_int_equal(envelope->recipients[2].notify, NOTIFY_FAILURE);
    assert_int_equal(envelope->expanded_count, 0);
    assert_int_equal(say(b, "RSET"), REPLY_OK);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_SENDER_OK);
    assert_int_equal(say(b, "RCPT TO:<both@relay.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@x"),
                     REPLY_RECIPIENT_OK);
    assert_int_equal(envelope->recipient_count, 2);
    assert_int_equal(envelope->recipients[0].notify, NOTIFY_FAILURE);
    assert_int_equal(envelope->expanded_count, 1);
    assert_string_equal(envelope->expanded[0].forward_path.text, "both@relay.example");
    assert_string_equal(envelope->expanded[0].orcpt, "rfc822;b@x");
    assert_int_equal(say(b, "RCPT TO:<both@relay.example> NOTIFY=SUCCESS"), REPLY_RECIPIENT_OK);
    assert_int_equal(envelope->recipients[3].notify, NOTIFY_NEVER);
    assert_int_equal(envelope->expanded_count, 2);
    assert_int_equal(say(b, "RSET"), REPLY_OK);
    assert_int_equal(envelope->expanded_count, 0);
    aliases_free(&aliases);
}

static void an_alias_of_too_many_is_for_nobody(void **state)
{
    struct bench *b = *state;
    struct buf text;

    buf_init(&text, 64 * 1024);
    assert_true(buf_printf(&text, "all: a@x.example"));
    for (int i = 0; i < ALIAS_TARGETS_MAX; i++)
        assert_true(buf_printf(&text, ", a%d@x.example", i));
    struct aliases *aliases = aliases_parse(buf_span(&text), NULL, NULL);
    b->talk.aliases = aliases;
    b->settings.max_recipients = 2 * ALIAS_TARGETS_MAX;
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_SENDER_OK);
    assert_int_equal(say(b, "RCPT TO:<all@relay.example>"), REPLY_TOO_MANY_RECIPIENTS);
    assert_int_equal(b->talk.envelope.recipient_count, 0);
    aliases_free(&aliases);
    buf_clear(&text);
}

static void a_postmaster_that_is_set_has_no_alias(void **state)
{
    struct bench *b = *state;
    struct aliases *aliases = aliases_parse(SPAN("postmaster: root\n"), NULL, NULL);

    b->talk.aliases = aliases;
    strcpy(b->settings.postmaster, "human@example.org");
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_SENDER_OK);
    assert_int_equal(say(b, "RCPT TO:<postmaster@relay.example>"), REPLY_RECIPIENT_OK);
    assert_string_equal(recipient(b, 0), "human@example.org");
    aliases_free(&aliases);
}

static void bare_names_are_completed_where_that_is_told(void **state)
{
    struct bench *b = *state;

    add_rewrite(b, "root@origin.example", "ops@example.net");
    strcpy(b->settings.origin, "origin.example");
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(reply_code(say(b, "MAIL FROM:<root>")), 501);
    b->settings.listeners[0].complete_addresses = SWITCH_ON;
    assert_int_equal(say(b, "MAIL FROM:<root>"), REPLY_SENDER_OK);
    assert_string_equal(b->talk.envelope.reverse_path.text, "ops@example.net");
    assert_int_equal(say(b, "RCPT TO:<ada>"), REPLY_RECIPIENT_OK);
    assert_string_equal(recipient(b, 0), "ada@origin.example");
}

/* --- what the envelope gets */

/* Whatever max-recipients says: the queue is told of an envelope in one frame. */
static void an_envelope_is_bounded_in_octets_too(void **state)
{
    struct bench *b = *state;
    char line[512], domain[200];
    unsigned taken = 0;

    b->settings.max_recipients = 50000;
    memset(domain, 'd', sizeof(domain));
    for (size_t i = 50; i < sizeof(domain); i += 50)
        domain[i] = '.';
    domain[sizeof(domain) - 1] = '\0';
    begin_transaction(b);
    for (; taken < 50000; taken++) {
        snprintf(line, sizeof(line), "RCPT TO:<u%u@%s.test>", taken, domain);
        enum reply_id reply = say(b, line);
        if (reply == REPLY_TOO_MANY_RECIPIENTS)
            break;
        assert_int_equal(reply, REPLY_RECIPIENT_OK);
    }
    assert_in_range(taken, 1000, 49999);
    assert_int_equal(b->talk.phase, PHASE_RCPT);
    assert_int_equal(say(b, "DATA"), REPLY_SEND_DATA);
}

static void envelope_holds_what_was_said(void **state)
{
    struct bench *b = *state;

    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net> BODY=8BITMIME SIZE=77"), REPLY_SENDER_OK);
    assert_int_equal(say(b, "RCPT TO:<b@example.com>"), REPLY_RECIPIENT_OK);
    assert_int_equal(say(b, "RCPT TO:<@r.example:c@example.com>"), REPLY_RECIPIENT_OK);
    assert_string_equal(b->talk.client_name, "client.test");
    assert_string_equal(b->talk.envelope.reverse_path.text, "a@example.net");
    assert_int_equal(b->talk.envelope.body, BODY_8BITMIME);
    assert_int_equal(b->talk.envelope.declared_size, 77);
    assert_int_equal(b->talk.envelope.recipient_count, 2);
    assert_string_equal(b->talk.envelope.recipients[1].forward_path.text, "c@example.com");
}

/* An error route for one domain, or a rule of whom else it is about. */
static struct route_settings *add_error_route(struct bench *b, const char *domain)
{
    struct route_settings *route = &b->settings.routes[b->settings.route_count++];

    memset(route, 0, sizeof(*route));
    strcpy(route->name, "closed");
    strcpy(route->recipients.text, domain);
    route->recipients.count = 1;
    route->to = ROUTE_TO_ERROR;
    strcpy(route->error_text, "5.7.1 not any more");
    return route;
}

static void an_error_route_refuses_at_rcpt(void **state)
{
    struct bench *b = *state;

    add_error_route(b, "closed.example");
    add_rewrite(b, "old.example", "closed.example");
    begin_transaction(b);
    assert_int_equal(say(b, "RCPT TO:<b@closed.example>"), REPLY_ROUTE_REFUSES);
    assert_string_equal(b->talk.reason, "5.7.1 not any more");
    assert_int_equal(say(b, "RCPT TO:<b@old.example>"), REPLY_ROUTE_REFUSES);
    assert_int_equal(say(b, "RCPT TO:<b@below.closed.example>"), REPLY_RECIPIENT_OK);
    assert_int_equal(b->talk.envelope.recipient_count, 2);
}

static void routes_see_the_listener_and_the_sender(void **state)
{
    struct bench *b = *state;
    struct route_settings *route = add_error_route(b, "closed.example");

    strcpy(b->settings.listeners[0].name, "inside");
    strcpy(route->senders.text, "example.net");
    route->senders.count = 1;
    strcpy(route->listeners.text, "inside");
    route->listeners.count = 1;
    begin_transaction(b);
    assert_string_equal(b->talk.envelope.listener, "inside");
    assert_int_equal(say(b, "RCPT TO:<b@closed.example>"), REPLY_ROUTE_REFUSES);
    assert_int_equal(say(b, "RSET"), REPLY_OK);
    assert_int_equal(say(b, "MAIL FROM:<>"), REPLY_SENDER_OK);
    assert_int_equal(say(b, "RCPT TO:<b@closed.example>"), REPLY_RECIPIENT_OK);
}

static void an_alias_of_a_refused_target_is_refused(void **state)
{
    struct bench *b = *state;
    struct aliases *aliases =
        aliases_parse(SPAN("ops: ada@example.com, ada@closed.example\n"), NULL, NULL);

    add_error_route(b, "closed.example");
    b->talk.aliases = aliases;
    begin_transaction(b);
    assert_int_equal(say(b, "RCPT TO:<ops@relay.example>"), REPLY_ROUTE_REFUSES);
    assert_int_equal(b->talk.envelope.recipient_count, 1);
    b->talk.aliases = NULL;
    aliases_free(&aliases);
}

static void postmaster_goes_to_the_one_set(void **state)
{
    struct bench *b = *state;

    snprintf(b->settings.postmaster, sizeof(b->settings.postmaster), "human@example.org");
    begin_transaction(b);
    assert_int_equal(say(b, "RCPT TO:<Postmaster>"), REPLY_RECIPIENT_OK);
    assert_string_equal(b->talk.envelope.recipients[1].forward_path.text, "human@example.org");
}

static void postmaster_is_at_our_name_when_none_is_set(void **state)
{
    struct bench *b = *state;

    begin_transaction(b);
    assert_int_equal(say(b, "RCPT TO:<postmaster>"), REPLY_RECIPIENT_OK);
    assert_string_equal(b->talk.envelope.recipients[1].forward_path.text,
                        "postmaster@relay.example");
}

static void size_is_judged_at_its_limit(void **state)
{
    struct bench *b = *state;

    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net> SIZE=1001"), REPLY_TOO_LARGE);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net> SIZE=1000"), REPLY_SENDER_OK);
}

/* --- the queue */

static void a_queue_that_is_away_holds_mail_and_data_only(void **state)
{
    struct bench *b = *state;

    b->talk.queue = QUEUE_AWAY;
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net> FOO=bar"),
                     reply_of_fault(COMMAND_PARAMETER_UNKNOWN));
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_WAIT);
    assert_int_equal(b->talk.phase, PHASE_GREETED);
    assert_int_equal(say(b, "NOOP"), REPLY_OK);
    b->talk.queue = QUEUE_TAKES;
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_SENDER_OK);
    b->talk.queue = QUEUE_AWAY;
    assert_int_equal(say(b, "RCPT TO:<b@example.com>"), REPLY_RECIPIENT_OK);
    assert_int_equal(say(b, "DATA"), REPLY_WAIT);
    assert_int_equal(b->talk.phase, PHASE_RCPT);
    b->talk.queue = QUEUE_GONE;
    assert_int_equal(say(b, "DATA"), REPLY_QUEUE_TROUBLE);
    assert_int_equal(b->talk.phase, PHASE_GREETED);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_QUEUE_TROUBLE);
}

/* --- TLS */

static void tls_forgets_what_came_in_clear(void **state)
{
    struct bench *b = *state;

    b->talk.has_certificate = true;
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "STARTTLS"), REPLY_START_TLS);
    conversation_secured(&b->talk);
    assert_int_equal(b->talk.phase, PHASE_CONNECTED);
    assert_string_equal(b->talk.client_name, "");
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_HELLO_FIRST);
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "STARTTLS"), REPLY_TLS_ALREADY);
}

static void required_tls_comes_before_all_else(void **state)
{
    static const char *const refused[] = {
        "HELO client.test",
        "MAIL FROM:<a@example.net>",
        "RCPT TO:<b@example.com>",
        "DATA",
        "RSET",
        "VRFY x",
        "EXPN x",
        "HELP",
        "AUTH PLAIN",
        "XYZZY",
    };
    struct bench *b = *state;

    b->talk.has_certificate = true;
    b->settings.listeners[0].tls = LISTENER_TLS_REQUIRED;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_int_equal(say(b, refused[i]), REPLY_TLS_FIRST);
    b->talk.errors = 0;
    assert_int_equal(say(b, "BDAT 5 LAST"), REPLY_TLS_FIRST);
    assert_true(b->talk.chunk_follows); /* its octets are no commands */
    assert_int_equal(say(b, "NOOP"), REPLY_OK);
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_TLS_FIRST);
    assert_int_equal(say(b, "STARTTLS"), REPLY_START_TLS);
    conversation_secured(&b->talk);
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_SENDER_OK);
    conversation_reset(&b->talk);
    b->talk.is_secure = false;
    assert_int_equal(say(b, "QUIT"), REPLY_BYE);
    assert_int_equal(say(b, "GET / HTTP/1.1"), REPLY_NOT_SMTP);
}

static void bytes_behind_starttls_end_the_session(void **state)
{
    struct bench *b = *state;

    b->talk.has_certificate = true;
    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    b->talk.input_follows = true;
    assert_int_equal(say(b, "STARTTLS"), REPLY_BYTES_BEHIND_STARTTLS);
    assert_int_equal(reply_next(REPLY_BYTES_BEHIND_STARTTLS), NEXT_CLOSE);
}

/* --- limits */

static void errors_end_the_session_at_their_limit(void **state)
{
    struct bench *b = *state;

    begin_transaction(b);
    for (int i = 1; i < ERRORS_MAX; i++)
        assert_int_equal(say(b, "RCPT TO:<@>"), reply_of_fault(COMMAND_BAD_FORWARD_PATH));
    assert_int_equal(say(b, "RCPT TO:<@>"), REPLY_TOO_MANY_ERRORS);
    assert_int_equal(b->talk.envelope.recipient_count, 0);
}

static void a_message_taken_forgives_errors(void **state)
{
    struct bench *b = *state;

    begin_transaction(b);
    for (int i = 1; i < ERRORS_MAX; i++)
        assert_int_equal(say(b, "FOO"), REPLY_UNKNOWN_COMMAND);
    assert_int_equal(say(b, "DATA"), REPLY_SEND_DATA);
    conversation_delivered(&b->talk);
    assert_int_equal(say(b, "FOO"), REPLY_UNKNOWN_COMMAND);
}

static void temporary_trouble_is_no_error_of_the_client(void **state)
{
    struct bench *b = *state;

    begin_transaction(b);
    while (b->talk.envelope.recipient_count < 5)
        assert_int_equal(say(b, "RCPT TO:<b@example.com>"), REPLY_RECIPIENT_OK);
    for (int i = 0; i < 5 * ERRORS_MAX; i++)
        assert_int_equal(say(b, "RCPT TO:<b@example.com>"), REPLY_TOO_MANY_RECIPIENTS);
}

/* A full queue must not be asked for ever, nor the log be filled. */
static void temporary_trouble_is_asked_for_only_so_often(void **state)
{
    struct bench *b = *state;

    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO);
    b->talk.queue = QUEUE_FULL;
    for (int i = 1; i < SMTPD_DEFERRALS_MAX; i++)
        assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_QUEUE_FULL);
    conversation_delivered(&b->talk);
    for (int i = 1; i < SMTPD_DEFERRALS_MAX; i++)
        assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_QUEUE_FULL);
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_TOO_MANY_ERRORS);
}

static void commands_that_lead_nowhere_are_taken_only_so_often(void **state)
{
    struct bench *b = *state;

    assert_int_equal(say(b, "EHLO client.test"), REPLY_EHLO); /* counts, too */
    for (int i = 2; i < IDLE_MAX; i++)
        assert_int_equal(say(b, "NOOP"), REPLY_OK);
    conversation_delivered(&b->talk);
    for (int i = 1; i < IDLE_MAX; i++)
        assert_int_equal(say(b, "NOOP"), REPLY_OK);
    assert_int_equal(say(b, "NOOP"), REPLY_TOO_MANY_ERRORS);
}

/* --- chunks */

static void the_chunks_of_a_message_are_counted(void **state)
{
    struct bench *b = *state;

    begin_transaction(b);
    for (int i = 0; i < SMTPD_CHUNKS_MAX; i++)
        assert_int_equal(say(b, "BDAT 0"), REPLY_TAKE_CHUNK);
    assert_int_equal(say(b, "BDAT 0"), REPLY_TOO_MANY_CHUNKS);
}

static void a_chunk_waits_for_a_queue_that_is_away(void **state)
{
    struct bench *b = *state;

    begin_transaction(b);
    b->talk.queue = QUEUE_AWAY;
    assert_int_equal(say(b, "BDAT 5"), REPLY_WAIT);
    assert_false(b->talk.chunk_follows);
    b->talk.queue = QUEUE_FULL;
    assert_int_equal(say(b, "BDAT 5"), REPLY_QUEUE_FULL);
    assert_true(b->talk.chunk_follows);
    assert_int_equal(b->talk.phase, PHASE_GREETED);
}

/* --- the state equals the model's after any reply (pitfalls.md section 7.3) */

/* The model knows a session as four facts, and each line as what it does to them. */
struct model {
    enum { NEW, GREETED, MAIL, RCPT, CHUNKS } phase;
    bool esmtp;
    unsigned recipients;
    unsigned errors, junk;
};

enum effect { NO_EFFECT, GREET, GREET_HELO, RESET, BEGIN, ADD, CONTENT, CHUNK, CLOSE };

struct move {
    const char *line;
    enum effect effect;
    bool junk;
    /* what is answered in each phase */
    int code_new, code_greeted, code_mail, code_rcpt, code_chunks;
};

static const struct move moves[] = {
    { "EHLO client.test", GREET, true, 250, 250, 250, 250, 250 },
    { "HELO client.test", GREET_HELO, true, 250, 250, 250, 250, 250 },
    { "EHLO", NO_EFFECT, true, 501, 501, 501, 501, 501 },
    { "EHLO bad!name", NO_EFFECT, true, 501, 501, 501, 501, 501 },
    { "MAIL FROM:<a@example.net>", BEGIN, false, 503, 250, 503, 503, 503 },
    { "MAIL FROM:<>", BEGIN, false, 503, 250, 503, 503, 503 },
    { "MAIL FROM:<bad", NO_EFFECT, false, 503, 501, 503, 503, 503 },
    { "MAIL", NO_EFFECT, false, 503, 501, 503, 503, 503 },
    { "MAIL FROM:<a@example.net> SIZE=5000", NO_EFFECT, false, 503, 552, 503, 503, 503 },
    { "MAIL FROM:<a@example.net> FOO=1", NO_EFFECT, false, 503, 555, 503, 503, 503 },
    { "RCPT TO:<b@example.com>", ADD, false, 503, 503, 250, 250, 503 },
    { "RCPT TO:<postmaster>", ADD, false, 503, 503, 250, 250, 503 },
    { "RCPT TO:<@>", NO_EFFECT, false, 503, 503, 501, 501, 503 },
    { "RCPT TO:<b@example.com> X", NO_EFFECT, false, 503, 503, 555, 555, 503 },
    { "DATA", CONTENT, false, 503, 503, 554, 354, 503 },
    { "DATA now", NO_EFFECT, false, 503, 503, 501, 501, 503 },
    { "RSET", RESET, true, 250, 250, 250, 250, 250 },
    { "RSET x", NO_EFFECT, true, 501, 501, 501, 501, 501 },
    { "NOOP", NO_EFFECT, true, 250, 250, 250, 250, 250 },
    { "VRFY a", NO_EFFECT, true, 252, 252, 252, 252, 252 },
    { "HELP", NO_EFFECT, true, 214, 214, 214, 214, 214 },
    { "EXPN a", NO_EFFECT, true, 502, 502, 502, 502, 502 },
    { "BDAT 5", CHUNK, false, 503, 503, 554, 250, 250 },
    { "BDAT 5 LAST", CHUNK, false, 503, 503, 554, 250, 250 },
    { "BDAT 5 FIRST", CLOSE, false, 501, 501, 501, 501, 501 },
    { "STARTTLS", NO_EFFECT, true, 503, 454, 503, 503, 503 },
    { "FOO", NO_EFFECT, true, 500, 500, 500, 500, 500 },
    { "NO\rOP", NO_EFFECT, false, 500, 500, 500, 500, 500 },
};
enum { MOVES = sizeof(moves) / sizeof(moves[0]) };

static int model_code(const struct model *m, const struct move *move)
{
    if (move->effect == ADD && (m->phase == MAIL || m->phase == RCPT) && m->recipients == 5)
        return 452;
    const int codes[] = { move->code_new, move->code_greeted, move->code_mail, move->code_rcpt,
                          move->code_chunks };
    return codes[m->phase];
}

static void model_reset(struct model *m)
{
    if (m->phase > GREETED)
        m->phase = GREETED;
    m->recipients = 0;
}

static void model_apply(struct model *m, enum effect effect)
{
    switch (effect) {
    case NO_EFFECT:
    case CONTENT:
    case CLOSE:
        break;
    case CHUNK:
        m->phase = CHUNKS;
        break;
    case GREET:
    case GREET_HELO:
        m->phase = GREETED;
        m->recipients = 0;
        m->esmtp = effect == GREET;
        break;
    case RESET:
        model_reset(m);
        break;
    case BEGIN:
        m->phase = MAIL;
        break;
    case ADD:
        m->phase = RCPT;
        m->recipients++;
        break;
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static bool same_state(const struct conversation *talk, const struct model *m)
{
    static const enum phase phases[] = { PHASE_CONNECTED, PHASE_GREETED, PHASE_MAIL, PHASE_RCPT,
                                         PHASE_CHUNKS };

    return talk->phase == phases[m->phase] && talk->envelope.recipient_count == m->recipients &&
           (m->phase == NEW || talk->is_esmtp == m->esmtp) && talk->errors == m->errors &&
           talk->junk == m->junk;
}

/* After 354: the content ends well or badly; either way the transaction is over. */
static void end_content(struct conversation *talk, struct model *m, bool well)
{
    if (well) {
        conversation_delivered(talk);
        m->errors = m->junk = 0;
    } else {
        conversation_reset(talk);
    }
    model_reset(m);
}

static void step(struct bench *b, struct model *m, const struct move *move, uint32_t dice)
{
    int expected = model_code(m, move);
    bool helo = !m->esmtp && m->phase != NEW;

    if (helo && strstr(move->line, "SIZE=") && expected == 552)
        expected = 555; /* no parameters after HELO */
    if (helo && move->effect == CHUNK)
        expected = 502; /* nor extensions */
    int code = reply_code(say(b, move->line));
    m->junk += move->junk;
    m->errors += expected >= 500 && move->effect != CLOSE;
    assert_int_equal(code, expected);
    if (expected < 400)
        model_apply(m, move->effect);
    assert_int_equal(b->talk.chunk_follows, move->effect == CHUNK);
    if (code == 354 || (m->phase == CHUNKS && dice % 4 == 0))
        end_content(&b->talk, m, dice % 8 == 0);
}

static void state_equals_the_models(void **state)
{
    struct bench *b = *state;
    struct model m = { .phase = NEW };
    uint32_t seed = 20260130;

    for (int i = 0; i < 200000; i++) {
        const struct move *move = &moves[next_random(&seed) % MOVES];
        step(b, &m, move, next_random(&seed));
        if (!same_state(&b->talk, &m))
            fail_msg("step %d, after %s: the states differ", i, move->line);
        if (m.errors == ERRORS_MAX - 1 || m.junk == IDLE_MAX - 1) {
            conversation_delivered(&b->talk); /* stay below the limits */
            m.errors = m.junk = 0;
            model_reset(&m);
        }
    }
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_bench, close_bench, NULL                                             \
    }

/* RFC 6710 s.4.1: offered where clients can log in, obeyed for those who have. */
static void priority_is_for_those_who_have_logged_in(void **state)
{
    struct bench *b = *state;

    say(b, "EHLO client.test");
    assert_false(commands_offer_priority(&b->talk));
    assert_int_equal(say(b, "MAIL FROM:<a@example.net> MT-PRIORITY=4"),
                     reply_of_fault(COMMAND_PARAMETER_UNKNOWN));
    b->talk.mechanisms = 1;
    assert_true(commands_offer_priority(&b->talk));
    assert_int_equal(say(b, "MAIL FROM:<a@example.net> MT-PRIORITY=4"),
                     REPLY_SENDER_WITHOUT_PRIORITY);
    assert_int_equal(b->talk.envelope.priority, 0);
    say(b, "RSET");
    assert_int_equal(say(b, "MAIL FROM:<a@example.net> MT-PRIORITY=0"), REPLY_SENDER_OK);
    say(b, "RSET");
    snprintf(b->talk.user, sizeof(b->talk.user), "ada");
    b->talk.mechanisms = 0;
    assert_int_equal(say(b, "MAIL FROM:<a@example.net> MT-PRIORITY=-4"), REPLY_SENDER_OK);
    assert_int_equal(b->talk.envelope.priority, -4);
}

/* --- XCLIENT (SRV-130, SRV-131) */

static void trust_the_client(struct bench *b)
{
    struct network_list *list = &b->settings.listeners[0].xclient_from;

    assert_true(network_parse(SPAN("192.0.2.7/32"), &list->items[0]));
    list->count = 1;
}

static void xclient_is_for_hosts_that_are_trusted(void **state)
{
    struct bench *b = *state;

    assert_false(commands_offer_xclient(&b->talk));
    assert_int_equal(say(b, "XCLIENT ADDR=192.0.2.8"), REPLY_XCLIENT_DENIED);
    assert_null(b->talk.claims);
    trust_the_client(b);
    assert_true(commands_offer_xclient(&b->talk));
    assert_int_equal(say(b, "XCLIENT ADDR=203.0.113.5 HELO=far.test NAME=a.far.test"),
                     REPLY_GREETING);
    assert_true(commands_offer_xclient(&b->talk)); /* it is still the same peer */
    assert_int_equal(say(b, "MAIL FROM:<a@example.net>"), REPLY_HELLO_FIRST);
    begin_transaction_as(b, REPLY_RELAYING_DENIED);
    assert_string_equal(conversation_client_name(&b->talk), "far.test");
    assert_int_equal(say(b, "XCLIENT ADDR=192.0.2.8"), REPLY_NOT_NOW);
    say(b, "RSET");
    assert_string_equal(b->talk.claims->name, "a.far.test");
    assert_int_equal(say(b, "XCLIENT ADDR=192.0.2.8 WHAT=x"),
                     reply_of_fault(COMMAND_PARAMETER_SYNTAX));
    assert_int_equal(say(b, "XCLIENT"), REPLY_ARGUMENT_WANTED);
    assert_int_equal(say(b, "XCLIENT ADDR=192.0.2.8 HELO=[UNAVAILABLE]"), REPLY_GREETING);
    begin_transaction_as(b, REPLY_RECIPIENT_OK);
    assert_string_equal(conversation_client_name(&b->talk), "client.test");
}

static void a_client_without_address_relays_as_a_user_only(void **state)
{
    struct bench *b = *state;

    trust_the_client(b);
    assert_int_equal(say(b, "XCLIENT ADDR=[UNAVAILABLE]"), REPLY_GREETING);
    begin_transaction_as(b, REPLY_RELAYING_DENIED);
    say(b, "RSET");
    assert_int_equal(say(b, "XCLIENT LOGIN=ada"), REPLY_GREETING);
    begin_transaction_as(b, REPLY_RECIPIENT_OK);
    assert_string_equal(b->talk.envelope.user, "ada");
    say(b, "RSET");
    assert_int_equal(say(b, "XCLIENT PORT=5"), REPLY_GREETING); /* what was said stays */
    assert_string_equal(b->talk.user, "ada");
    assert_int_equal(say(b, "XCLIENT LOGIN=[UNAVAILABLE]"), REPLY_GREETING);
    assert_string_equal(b->talk.user, "");
}

/* RFC 3207 s.4.2; and a proxy that has logged in itself does not lend that to its clients. */
static void what_xclient_said_ends_where_trust_does(void **state)
{
    struct bench *b = *state;

    trust_the_client(b);
    say(b, "XCLIENT ADDR=203.0.113.5 LOGIN=ada");
    conversation_secured(&b->talk);
    assert_null(b->talk.claims);
    assert_string_equal(b->talk.user, "");
    assert_true(ip_address_equal(&b->talk.client, &b->talk.peer));
    snprintf(b->talk.user, sizeof(b->talk.user), "proxy");
    b->talk.has_relay_certificate = true;
    b->talk.certificate_user = SPAN("proxy");
    say(b, "XCLIENT ADDR=203.0.113.5");
    assert_string_equal(b->talk.user, "");
    assert_false(b->talk.has_relay_certificate || b->talk.certificate_user.len > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("the envelope holds what was said", envelope_holds_what_was_said),
        TEST("an error route refuses at RCPT, where rewritten paths lead, too",
             an_error_route_refuses_at_rcpt),
        TEST("routes see the listener and the sender", routes_see_the_listener_and_the_sender),
        TEST("an alias with a refused target is refused before anything is taken",
             an_alias_of_a_refused_target_is_refused),
        TEST("the chunks of a message are counted, and bounded (pitfalls.md 7.6)",
             the_chunks_of_a_message_are_counted),
        TEST("a chunk waits for a queue that is away; a full one is said behind its octets",
             a_chunk_waits_for_a_queue_that_is_away),
        TEST("an envelope is bounded in octets too, whatever the settings allow",
             an_envelope_is_bounded_in_octets_too),
        TEST("postmaster's mail goes to the mailbox set", postmaster_goes_to_the_one_set),
        TEST("postmaster is at our own name when no mailbox is set",
             postmaster_is_at_our_name_when_none_is_set),
        TEST("a declared size is judged at the limit and one beyond", size_is_judged_at_its_limit),
        TEST("a queue that is away holds MAIL and DATA, and nothing else",
             a_queue_that_is_away_holds_mail_and_data_only),
        TEST("TLS forgets what came in clear (RFC 3207 s.4.2)", tls_forgets_what_came_in_clear),
        TEST("where TLS is required, it comes before all else (RFC 3207 s.4)",
             required_tls_comes_before_all_else),
        TEST("bytes behind STARTTLS end the session", bytes_behind_starttls_end_the_session),
        TEST("errors end the session at their limit, and not before",
             errors_end_the_session_at_their_limit),
        TEST("both paths are rewritten, the null path is not", both_paths_are_rewritten),
        TEST("aliases of this host are expanded, all or none", aliases_of_this_host_are_expanded),
        TEST("who asks of success for an alias of several hears that it was expanded, and no more",
             success_of_an_alias_of_several_is_told_as_expanded),
        TEST("an alias of too many is for nobody, instead of for some",
             an_alias_of_too_many_is_for_nobody),
        TEST("a postmaster that is set counts more than his alias",
             a_postmaster_that_is_set_has_no_alias),
        TEST("bare names are completed where that is told",
             bare_names_are_completed_where_that_is_told),
        TEST("XCLIENT is for hosts that are trusted, and names the client from there on",
             xclient_is_for_hosts_that_are_trusted),
        TEST("XCLIENT: a client without an address relays as a user only",
             a_client_without_address_relays_as_a_user_only),
        TEST("XCLIENT: what was said ends with STARTTLS; the proxy's own login is not lent",
             what_xclient_said_ends_where_trust_does),
        TEST("MT-PRIORITY is for those who have logged in (RFC 6710)",
             priority_is_for_those_who_have_logged_in),
        TEST("a message taken forgives earlier errors", a_message_taken_forgives_errors),
        TEST("temporary trouble is no error of the client",
             temporary_trouble_is_no_error_of_the_client),
        TEST("temporary trouble is asked for only so often",
             temporary_trouble_is_asked_for_only_so_often),
        TEST("NOOP and the like are taken only so often without mail",
             commands_that_lead_nowhere_are_taken_only_so_often),
        TEST("after any reply the state equals the model's", state_equals_the_models),
    };
    return cmocka_run_group_tests_name("commands", tests, NULL, NULL);
}
