#include "smtpd/commands_private.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/mail/command.h"
#include "lib/mail/rewrite.h"
#include "smtpd/access.h"
#include "smtpd/recipients.h"
#include "smtpd/shares.h"

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

static struct access_facts access_facts_of(const struct conversation *talk,
                                           const struct address *path)
{
    return (struct access_facts){
        .listener = talk->listener,
        .hostname = span_of(talk->settings->hostname),
        .client = talk->client,
        .user = span_of(talk->user),
        .has_certificate = talk->has_relay_certificate,
        .forward_path = path,
        .recipient_rules = &talk->settings->recipient_rules,
    };
}

static void begin_envelope(struct conversation *talk, const struct mail_command *mail)
{
    const struct access_facts facts = access_facts_of(talk, NULL);
    struct envelope *envelope = &talk->envelope;

    listener_settings_label(talk->listener, envelope->listener);
    memcpy(envelope->user, talk->user, sizeof(envelope->user));
    envelope->from_stranger = access_is_stranger(&facts);
    envelope->reverse_path = mail->reverse_path;
    rewrite_path(&talk->settings->rewrites, &envelope->reverse_path);
    envelope->body = mail->body;
    envelope->smtputf8 = mail->smtputf8;
    envelope->requiretls = mail->requiretls;
    envelope->declared_size = mail->size;
    envelope->dsn = mail->dsn;
    if (talk->user[0] != '\0') /* RFC 6710 s.4.1 */
        envelope->priority = mail->priority;
}

enum reply_id take_mail(struct conversation *talk, struct span argument)
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

/* The next hop is to be asked first; while there is no queue nobody can be. */
static enum reply_id ask_for(struct conversation *talk, const struct address *path)
{
    if (talk->queue == QUEUE_GONE || talk->queue == QUEUE_DOWN)
        return REPLY_MAILBOX_UNDECIDED;
    conversation_forget_probe(talk);
    talk->probe = memory_new(sizeof(*talk->probe));
    *talk->probe = *path;
    rewrite_path(&talk->settings->rewrites, talk->probe); /* as it would go out */
    return REPLY_ASK;
}

/* What the next hop says of it, once it was asked. */
static enum reply_id probe_mailbox(struct conversation *talk, const struct address *path)
{
    if (!talk->was_probed)
        return ask_for(talk, path);
    if (talk->probed == PROBE_TAKEN)
        return REPLY_RECIPIENT_OK;
    return talk->probed == PROBE_REFUSED ? REPLY_NO_SUCH_MAILBOX : REPLY_MAILBOX_UNDECIDED;
}

/* A mailbox in a domain of ours: only one that there is. */
static enum reply_id find_mailbox(struct conversation *talk, const struct address *path)
{
    if (talk->listener->verify_recipients == VERIFY_NEXT_HOP)
        return probe_mailbox(talk, path);
    if (!talk->recipients)
        return REPLY_CANNOT_VERIFY;
    return mailbox_set_has(talk->recipients, path) ? REPLY_RECIPIENT_OK : REPLY_NO_SUCH_MAILBOX;
}

/* REPLY_RECIPIENT_OK unless a route says that such mail is an error. */
static enum reply_id judge_route(struct conversation *talk, const struct address *path)
{
    const struct route_settings *route =
        recipients_refused(talk->settings, talk->aliases, &talk->envelope, path);

    if (!route)
        return REPLY_RECIPIENT_OK;
    talk->reason = route->error_text;
    return REPLY_ROUTE_REFUSES;
}

/* Brings a forward-path to where its mail goes; REPLY_RECIPIENT_OK when it may. */
static enum reply_id admit(struct conversation *talk, struct address *path)
{
    const struct access_facts facts = access_facts_of(talk, path);
    struct access_judgement judgement = access_judge(&facts);
    enum reply_id verdict;

    talk->reason = judgement.reason;
    if (judgement.verdict == ACCESS_DENIED)
        return REPLY_RELAYING_DENIED;
    if (judgement.verdict == ACCESS_POSTMASTER && !recipients_find_postmaster(talk->settings, path))
        return REPLY_NO_POSTMASTER;
    verdict = judge_route(talk, path);
    if (verdict == REPLY_RECIPIENT_OK && judgement.verdict == ACCESS_OWN)
        verdict = find_mailbox(talk, path);
    return verdict;
}

enum reply_id take_rcpt(struct conversation *talk, struct span argument)
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

enum reply_id take_data(struct conversation *talk, struct span argument)
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

/* May a chunk begin here?  REPLY_TAKE_CHUNK when its octets are content (RFC 3030 s.2). */
static enum reply_id judge_chunk(struct conversation *talk)
{
    enum reply_id queue;

    if (conversation_must_secure(talk))
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
enum reply_id take_bdat(struct conversation *talk, struct span argument)
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
