#include "smtpd/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/mail/command.h"
#include "smtpd/access.h"
#include "smtpd/recipients.h"
#include "smtpd/shares.h"

void conversation_init(struct conversation *talk, const struct settings *settings,
                       const struct listener_settings *listener, const struct ip_address *client)
{
    *talk = (struct conversation){ .settings = settings, .listener = listener, .client = *client };
    talk->peer = *client;
    envelope_init(&talk->envelope);
}

void conversation_clear(struct conversation *talk)
{
    envelope_clear(&talk->envelope);
    free(talk->claims);
    talk->claims = NULL;
}

void conversation_reset(struct conversation *talk)
{
    if (talk->phase >= PHASE_MAIL) {
        envelope_clear(&talk->envelope);
        envelope_init(&talk->envelope);
    }
    talk->chunks = 0;
    talk->phase = talk->client_name[0] == '\0' ? PHASE_CONNECTED : PHASE_GREETED;
}

/* As behind the greeting. */
static void begin_anew(struct conversation *talk)
{
    talk->client_name[0] = '\0';
    talk->is_esmtp = false;
    conversation_reset(talk);
}

void conversation_secured(struct conversation *talk)
{
    free(talk->claims);
    talk->claims = NULL;
    talk->client = talk->peer;
    talk->user[0] = '\0';
    talk->user_is_claimed = false;
    talk->is_secure = true;
    begin_anew(talk);
}

void conversation_delivered(struct conversation *talk)
{
    talk->errors = 0;
    talk->deferrals = 0;
    talk->junk = 0;
    conversation_reset(talk);
}

/* A bad argument changes nothing; a good one resets like RSET (RFC 5321 s.4.1.4). */
static enum reply_id greet(struct conversation *talk, struct span argument, bool is_esmtp)
{
    char name[DOMAIN_MAX + 1];
    enum command_fault fault = command_parse_hello(argument, name);

    if (fault)
        return reply_of_fault(fault);
    span_to_string(span_of(name), talk->client_name, sizeof(talk->client_name));
    talk->is_esmtp = is_esmtp;
    conversation_reset(talk);
    return is_esmtp ? REPLY_EHLO : REPLY_HELO;
}

static enum reply_id take_ehlo(struct conversation *talk, struct span argument)
{
    return greet(talk, argument, true);
}

static enum reply_id take_helo(struct conversation *talk, struct span argument)
{
    return greet(talk, argument, false);
}

/* REPLY_OK when the queue takes a message. */
static enum reply_id ask_queue(const struct conversation *talk)
{
    switch (talk->queue) {
    case QUEUE_TAKES:
        return REPLY_OK;
    case QUEUE_FULL:
        return REPLY_QUEUE_FULL;
    case QUEUE_AWAY:
        return REPLY_WAIT;
    case QUEUE_GONE:
        return REPLY_QUEUE_TROUBLE;
    case QUEUE_DOWN:
        return REPLY_QUEUE_STUCK;
    }
    return REPLY_QUEUE_TROUBLE;
}

static enum reply_id take_share(struct conversation *talk, const struct address *sender,
                                bool is_recipient)
{
    return talk->take_share ? talk->take_share(talk->share_ctx, sender, is_recipient, &talk->reason)
                            : REPLY_OK;
}

/* The domain of bare names; NULL where they are not completed. */
static const char *origin_of(const struct conversation *talk)
{
    bool completes = talk->listener->complete_addresses == SWITCH_ON;

    return completes ? talk->settings->origin : NULL;
}

bool commands_offer_priority(const struct conversation *talk)
{
    return talk->mechanisms != 0 || talk->user[0] != '\0';
}

static enum reply_id judge_sender(struct conversation *talk, const struct address *reverse_path)
{
    struct access_judgement judgement = access_judge_sender(
        &talk->settings->sender_rules, span_of(talk->user), &talk->client, reverse_path);

    talk->reason = judgement.reason;
    return judgement.verdict == ACCESS_DENIED ? REPLY_SENDER_DENIED : REPLY_SENDER_OK;
}

/* Old devices say "MAIL FROM: <path>": those whom we know may, nobody else (SRV-7). */
static struct span forgive_blanks(const struct conversation *talk, struct span argument,
                                  char room[SMTP_COMMAND_MAX])
{
    bool is_known = talk->user[0] != '\0' || talk->client.family == ADDRESS_LOCAL ||
                    network_list_contains(&talk->listener->relay_from, &talk->client);

    return is_known ? command_without_blanks(argument, room) : argument;
}

/* REPLY_SENDER_OK when nothing of what MAIL says stands in the way. */
static enum reply_id judge_mail(const struct conversation *talk, const struct mail_command *mail)
{
    if (mail->parameters > 0 && !talk->is_esmtp) /* SRV-20 */
        return REPLY_NO_PARAMETERS_AFTER_HELO;
    if (mail->size_given &&
        mail->size > shares_message_bytes(talk->settings, talk->listener)) /* RFC 1870 s.6.1 */
        return REPLY_TOO_LARGE;
    if (mail->requiretls && !talk->is_secure) /* RFC 8689 s.4.1 */
        return REPLY_REQUIRETLS_WANTS_TLS;
    if (mail->priority_given && !commands_offer_priority(talk))
        return reply_of_fault(COMMAND_PARAMETER_UNKNOWN);
    if (mail->auth_given && talk->mechanisms == 0)
        return reply_of_fault(COMMAND_PARAMETER_UNKNOWN);
    if (talk->listener->auth == LISTENER_AUTH_REQUIRED && talk->user[0] == '\0')
        return REPLY_AUTH_FIRST; /* RFC 6409 s.4.3 */
    return REPLY_SENDER_OK;
}

static void begin_envelope(struct conversation *talk, const struct mail_command *mail)
{
    struct envelope *envelope = &talk->envelope;

    memcpy(envelope->user, talk->user, sizeof(envelope->user));
    envelope->reverse_path = mail->reverse_path;
    recipients_rewrite(talk->settings, &envelope->reverse_path);
    envelope->body = mail->body;
    envelope->smtputf8 = mail->smtputf8;
    envelope->requiretls = mail->requiretls;
    envelope->declared_size = mail->size;
    envelope->dsn = mail->dsn;
    if (talk->user[0] != '\0') /* RFC 6710 s.4.1 */
        envelope->priority = mail->priority;
}

static enum reply_id take_mail(struct conversation *talk, struct span argument)
{
    struct mail_command mail;
    char room[SMTP_COMMAND_MAX];
    struct span said = forgive_blanks(talk, argument, room);
    enum command_fault fault = command_parse_mail(said, origin_of(talk), &mail);
    enum reply_id verdict;

    if (fault)
        return reply_of_fault(fault);
    verdict = judge_mail(talk, &mail);
    if (verdict == REPLY_SENDER_OK)
        verdict = judge_sender(talk, &mail.reverse_path);
    if (verdict != REPLY_SENDER_OK)
        return verdict;
    verdict = ask_queue(talk);
    if (verdict == REPLY_OK)
        verdict = take_share(talk, &mail.reverse_path, false);
    if (verdict != REPLY_OK)
        return verdict;
    begin_envelope(talk, &mail);
    talk->phase = PHASE_MAIL;
    return talk->envelope.priority == mail.priority ? REPLY_SENDER_OK
                                                    : REPLY_SENDER_WITHOUT_PRIORITY;
}

/* A mailbox in a domain of ours: only one that there is. */
static enum reply_id find_mailbox(const struct conversation *talk, const struct address *path)
{
    if (!talk->recipients)
        return REPLY_CANNOT_VERIFY;
    return mailbox_set_has(talk->recipients, path) ? REPLY_RECIPIENT_OK : REPLY_NO_SUCH_MAILBOX;
}

/* Brings a forward-path to where its mail goes; REPLY_RECIPIENT_OK when it may. */
static enum reply_id admit(struct conversation *talk, struct address *path)
{
    const struct access_facts facts = {
        .listener = talk->listener,
        .hostname = span_of(talk->settings->hostname),
        .client = talk->client,
        .user = span_of(talk->user),
        .has_certificate = talk->has_relay_certificate,
        .forward_path = path,
        .recipient_rules = &talk->settings->recipient_rules,
    };
    struct access_judgement judgement = access_judge(&facts);

    talk->reason = judgement.reason;
    switch (judgement.verdict) {
    case ACCESS_RELAY:
        return REPLY_RECIPIENT_OK;
    case ACCESS_POSTMASTER:
        return recipients_find_postmaster(talk->settings, path) ? REPLY_RECIPIENT_OK
                                                                : REPLY_NO_POSTMASTER;
    case ACCESS_OWN:
        return find_mailbox(talk, path);
    case ACCESS_DENIED:
        return REPLY_RELAYING_DENIED;
    }
    return REPLY_RELAYING_DENIED;
}

static enum reply_id take_rcpt(struct conversation *talk, struct span argument)
{
    struct rcpt_command rcpt;
    unsigned most = shares_recipients(talk->settings, talk->listener);
    char room[SMTP_COMMAND_MAX];
    struct span said = forgive_blanks(talk, argument, room);
    enum command_fault fault =
        command_parse_rcpt(said, talk->envelope.smtputf8, origin_of(talk), &rcpt);
    enum reply_id verdict;

    if (fault)
        return reply_of_fault(fault);
    if (rcpt.parameters > 0 && !talk->is_esmtp)
        return REPLY_NO_PARAMETERS_AFTER_HELO;
    verdict = admit(talk, &rcpt.forward_path);
    if (verdict != REPLY_RECIPIENT_OK)
        return verdict;
    if (talk->envelope.recipient_count >= most ||
        !envelope_has_room(&talk->envelope, &rcpt.forward_path))
        return REPLY_TOO_MANY_RECIPIENTS; /* RFC 5321 s.4.5.3.1.10 */
    verdict = take_share(talk, &talk->envelope.reverse_path, true);
    if (verdict != REPLY_OK)
        return verdict;
    if (!recipients_add(talk->settings, talk->aliases, most, &talk->envelope, &rcpt))
        return REPLY_TOO_MANY_RECIPIENTS; /* an alias of many */
    talk->phase = PHASE_RCPT;
    return REPLY_RECIPIENT_OK;
}

static enum reply_id take_data(struct conversation *talk, struct span argument)
{
    enum reply_id queue;

    (void)argument;
    if (talk->phase == PHASE_MAIL)
        return REPLY_NO_RECIPIENTS;
    queue = ask_queue(talk);
    if (queue == REPLY_WAIT)
        return REPLY_WAIT;
    if (queue != REPLY_OK) {
        conversation_reset(talk);
        return queue;
    }
    talk->phase = PHASE_CONTENT;
    return REPLY_SEND_DATA;
}

/* TLS is required here and not yet active. */
static bool must_secure(const struct conversation *talk)
{
    return talk->listener->tls == LISTENER_TLS_REQUIRED && !talk->is_secure;
}

/* May a chunk begin here?  REPLY_TAKE_CHUNK when its octets are content (RFC 3030 s.2). */
static enum reply_id judge_chunk(struct conversation *talk)
{
    enum reply_id queue;

    if (must_secure(talk))
        return REPLY_TLS_FIRST;
    if (!talk->is_esmtp)
        return talk->phase == PHASE_CONNECTED ? REPLY_HELLO_FIRST : REPLY_NOT_IMPLEMENTED;
    if (talk->phase == PHASE_MAIL)
        return REPLY_NO_RECIPIENTS;
    if (talk->phase != PHASE_RCPT && talk->phase != PHASE_CHUNKS)
        return REPLY_MAIL_FIRST;
    if (talk->phase == PHASE_CHUNKS)
        return REPLY_TAKE_CHUNK;
    queue = ask_queue(talk);
    if (queue == REPLY_WAIT || queue == REPLY_OK)
        return queue == REPLY_OK ? REPLY_TAKE_CHUNK : REPLY_WAIT;
    conversation_reset(talk);
    return queue;
}

/*
 * The octets behind BDAT are read whatever it is answered, so that what follows them is the next
 * command; only where nobody knows how many they are the session ends.
 */
static enum reply_id take_bdat(struct conversation *talk, struct span argument)
{
    enum reply_id verdict;

    if (command_parse_bdat(argument, &talk->chunk))
        return REPLY_BAD_CHUNK;
    verdict = judge_chunk(talk);
    talk->chunk_follows = verdict != REPLY_WAIT;
    if (verdict != REPLY_TAKE_CHUNK)
        return verdict;
    if (++talk->chunks > SMTPD_CHUNKS_MAX)
        return REPLY_TOO_MANY_CHUNKS;
    talk->phase = PHASE_CHUNKS;
    return REPLY_TAKE_CHUNK;
}

static enum reply_id take_rset(struct conversation *talk, struct span argument)
{
    (void)argument;
    conversation_reset(talk);
    return REPLY_OK;
}

static enum reply_id take_starttls(struct conversation *talk, struct span argument)
{
    (void)argument;
    if (talk->is_secure)
        return REPLY_TLS_ALREADY; /* RFC 3207 s.4.2 */
    if (!talk->has_certificate)
        return REPLY_NO_TLS;
    return talk->input_follows ? REPLY_BYTES_BEHIND_STARTTLS : REPLY_START_TLS;
}

/* RFC 4954 s.4: a mechanism, perhaps a response to the challenge that it would begin with. */
static enum reply_id take_auth(struct conversation *talk, struct span argument)
{
    struct span name = span_first(argument, span_find(argument, ' '));

    if (talk->listener->auth == LISTENER_AUTH_OFF ||
        (!settings_have_users(talk->settings) && talk->mechanisms == 0))
        return REPLY_NOT_IMPLEMENTED;
    if (talk->phase != PHASE_GREETED)
        return talk->phase == PHASE_CONNECTED ? REPLY_HELLO_FIRST : REPLY_NOT_NOW;
    if (argument.len == 0)
        return REPLY_ARGUMENT_WANTED;
    if (talk->user[0] != '\0')
        return REPLY_AUTH_ALREADY;
    if (!talk->is_secure)
        return REPLY_AUTH_WANTS_TLS;
    if (talk->mechanisms == 0)
        return REPLY_AUTH_TROUBLE;
    talk->mechanism = auth_mechanism_of(name);
    if (!(talk->mechanisms & 1U << talk->mechanism))
        return REPLY_AUTH_UNKNOWN;
    talk->initial = (struct span){ NULL, 0 };
    if (name.len < argument.len)
        talk->initial = span_from(argument, name.len + 1);
    return REPLY_BEGIN_AUTH;
}

bool commands_offer_xclient(const struct conversation *talk)
{
    return network_list_contains(&talk->listener->xclient_from, &talk->peer);
}

const char *conversation_client_name(const struct conversation *talk)
{
    bool is_claimed = talk->claims && talk->claims->helo[0] != '\0';

    return is_claimed ? talk->claims->helo : talk->client_name;
}

/*
 * Whoever has logged in or shown a certificate did so for himself; from here on it is somebody
 * else, or the one named.
 */
static void take_claimed_user(struct conversation *talk, const struct xclient *said)
{
    talk->has_relay_certificate = false;
    talk->certificate_user = (struct span){ NULL, 0 };
    if (said->given & 1U << XCLIENT_LOGIN) {
        memcpy(talk->user, said->login, sizeof(talk->user));
        talk->user_is_claimed = true;
    } else if (!talk->user_is_claimed) {
        talk->user[0] = '\0';
    }
}

/* SRV-131: a greeting follows, and what was said stays. */
static enum reply_id take_xclient(struct conversation *talk, struct span argument)
{
    struct xclient said;

    if (!commands_offer_xclient(talk))
        return REPLY_XCLIENT_DENIED;
    if (!xclient_parse(argument, &said))
        return reply_of_fault(COMMAND_PARAMETER_SYNTAX);
    if (!talk->claims)
        talk->claims = memory_new(sizeof(*talk->claims));
    xclient_merge(talk->claims, &said);
    if (said.given & 1U << XCLIENT_ADDR)
        talk->client = said.address;
    take_claimed_user(talk, &said);
    begin_anew(talk);
    return REPLY_GREETING;
}

typedef enum reply_id take_fn(struct conversation *talk, struct span argument);

enum argument_rule { ARGUMENT_ANY, ARGUMENT_NONE, ARGUMENT_WANTED };

/* Sets of phases in which a command may come. */
enum {
    GREETED = 1 << PHASE_GREETED,
    IN_MAIL = 1 << PHASE_MAIL | 1 << PHASE_RCPT,
    IN_CHUNKS = 1 << PHASE_CHUNKS,
    OUTSIDE = 1 << PHASE_CONNECTED | GREETED,
    ALWAYS = 1 << PHASE_CONNECTED | GREETED | IN_MAIL | IN_CHUNKS,
};

struct rule {
    unsigned allowed;        /* in these phases */
    enum reply_id otherwise; /* in others, once greeted */
    enum argument_rule argument;
    bool is_junk;  /* does nothing for mail: counted */
    take_fn *take; /* NULL: only says `reply` */
    enum reply_id reply;
};

/* RFC 5321 s.4.1.4 says which command may come when; rfc/smtp-server.md SRV-24 to SRV-26. */
/* clang-format off */
static const struct rule rules[VERB_COUNT] = {
    /*                   allowed   otherwise         argument         junk   does           or says */
    [VERB_EHLO]     = { ALWAYS,  0,                ARGUMENT_WANTED, true,  take_ehlo,     0 },
    [VERB_HELO]     = { ALWAYS,  0,                ARGUMENT_WANTED, true,  take_helo,     0 },
    [VERB_STARTTLS] = { GREETED, REPLY_NOT_NOW,    ARGUMENT_NONE,   true,  take_starttls, 0 },
    [VERB_MAIL]     = { GREETED, REPLY_MAIL_AGAIN, ARGUMENT_WANTED, false, take_mail,     0 },
    [VERB_RCPT]     = { IN_MAIL, REPLY_MAIL_FIRST, ARGUMENT_WANTED, false, take_rcpt,     0 },
    [VERB_DATA]     = { IN_MAIL, REPLY_MAIL_FIRST, ARGUMENT_NONE,   false, take_data,     0 },
    [VERB_RSET]     = { ALWAYS,  0,                ARGUMENT_NONE,   true,  take_rset,     0 },
    [VERB_NOOP]     = { ALWAYS,  0,                ARGUMENT_ANY,    true,  NULL, REPLY_OK },
    [VERB_HELP]     = { ALWAYS,  0,                ARGUMENT_ANY,    true,  NULL, REPLY_HELP },
    [VERB_VRFY]     = { ALWAYS,  0,                ARGUMENT_WANTED, true,  NULL, REPLY_CANNOT_VRFY },
    [VERB_QUIT]     = { ALWAYS,  0,                ARGUMENT_NONE,   false, NULL, REPLY_BYE },
    [VERB_EXPN]     = { ALWAYS,  0,                ARGUMENT_ANY,    true,  NULL, REPLY_NOT_IMPLEMENTED },
    [VERB_BDAT]     = { ALWAYS,  0,                ARGUMENT_ANY,    false, take_bdat,     0 },
    [VERB_AUTH]     = { ALWAYS,  0,                ARGUMENT_ANY,    true,  take_auth,     0 },
    [VERB_XCLIENT]  = { OUTSIDE, REPLY_NOT_NOW,    ARGUMENT_WANTED, true,  take_xclient,  0 },
    [VERB_OBSOLETE] = { ALWAYS,  0,                ARGUMENT_ANY,    true,  NULL, REPLY_NOT_IMPLEMENTED },
    [VERB_HTTP]     = { ALWAYS,  0,                ARGUMENT_ANY,    true,  NULL, REPLY_NOT_SMTP },
    [VERB_UNKNOWN]  = { ALWAYS,  0,                ARGUMENT_ANY,    true,  NULL, REPLY_UNKNOWN_COMMAND },
};
/* clang-format on */

static enum reply_id refuse_out_of_turn(const struct conversation *talk, const struct rule *rule)
{
    if (talk->phase == PHASE_CONNECTED)
        return REPLY_HELLO_FIRST;
    return talk->phase == PHASE_CHUNKS ? REPLY_LAST_CHUNK_FIRST : rule->otherwise;
}

/*
 * RFC 3207 s.4: what may be said in clear where TLS is required.  Two are refused in their own way:
 * HTTP is shown the door, and BDAT's octets have to be read.
 */
static bool may_be_clear(enum command_verb verb)
{
    return verb == VERB_NOOP || verb == VERB_EHLO || verb == VERB_STARTTLS || verb == VERB_QUIT ||
           verb == VERB_HTTP || verb == VERB_BDAT;
}

static enum reply_id take_command(struct conversation *talk, const struct command *command)
{
    const struct rule *rule = &rules[command->verb];

    if (must_secure(talk) && !may_be_clear(command->verb))
        return REPLY_TLS_FIRST;
    if (!(rule->allowed & 1U << talk->phase))
        return refuse_out_of_turn(talk, rule);
    if (rule->argument == ARGUMENT_NONE && command->has_argument)
        return REPLY_NO_ARGUMENT_WANTED;
    if (rule->argument == ARGUMENT_WANTED && !command->has_argument)
        return REPLY_ARGUMENT_WANTED;
    return rule->take ? rule->take(talk, command->argument) : rule->reply;
}

enum reply_id commands_count(struct conversation *talk, enum reply_id reply)
{
    if (reply == REPLY_WAIT || reply_next(reply) == NEXT_CLOSE)
        return reply;
    if (reply_code(reply) >= 500)
        talk->errors++;
    else if (reply_code(reply) >= 400)
        talk->deferrals++;
    if (talk->errors < talk->settings->max_errors && talk->deferrals < SMTPD_DEFERRALS_MAX &&
        talk->junk < talk->settings->max_idle_commands)
        return reply;
    conversation_reset(talk);
    return REPLY_TOO_MANY_ERRORS; /* RFC 5321 s.7.8 */
}

enum reply_id commands_take(struct conversation *talk, struct span line)
{
    struct command command;
    enum command_fault fault = command_parse(line, &command);

    talk->verb = fault ? VERB_UNKNOWN : command.verb;
    talk->chunk_follows = false;
    if (fault)
        return commands_count(talk, reply_of_fault(fault));
    if (rules[command.verb].is_junk)
        talk->junk++;
    return commands_count(talk, take_command(talk, &command));
}
