#include "smtpd/commands_private.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/mail/command.h"

void conversation_init(struct conversation *talk, const struct settings *settings,
                       const struct listener_settings *listener, const struct ip_address *client)
{
    *talk = (struct conversation){ .settings = settings, .listener = listener, .client = *client };
    talk->peer = *client;
    envelope_init(&talk->envelope);
}

void conversation_forget_probe(struct conversation *talk)
{
    free(talk->probe);
    talk->probe = NULL;
}

void conversation_clear(struct conversation *talk)
{
    conversation_forget_probe(talk);
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

bool commands_offer_priority(const struct conversation *talk)
{
    return talk->mechanisms != 0 || talk->user[0] != '\0';
}

bool conversation_must_secure(const struct conversation *talk)
{
    return talk->listener->tls == LISTENER_TLS_REQUIRED && !talk->is_secure;
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

    if (conversation_must_secure(talk) && !may_be_clear(command->verb))
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
    if (reply == REPLY_WAIT || reply == REPLY_ASK || reply_next(reply) == NEXT_CLOSE)
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
