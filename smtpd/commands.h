/*
 * commands - what each SMTP command does to a client's dialogue, and what is answered: the command
 * table.  Called by smtpd/session with every line.  Touches no socket, no queue and no clock: facts
 * come in with the struct, a reply goes out.  Owns the envelope of the transaction, and what
 * XCLIENT said. Rules: RFC 5321 s.4.1, RFC 3207, rfc/smtp-server.md sections 1, 2 and 4.
 */
#ifndef WAXSEAL_SMTPD_COMMANDS_H
#define WAXSEAL_SMTPD_COMMANDS_H

#include "lib/base/settings.h"
#include "lib/ipc/auth_client.h"
#include "lib/ipc/queue_client.h"
#include "lib/mail/envelope.h"
#include "lib/mail/mailbox_set.h"
#include "lib/mail/xclient.h"
#include "smtpd/replies.h"

enum phase {
    PHASE_CONNECTED, /* no EHLO or HELO yet */
    PHASE_GREETED,   /* no transaction */
    PHASE_MAIL,      /* a reverse-path, no forward-path yet */
    PHASE_RCPT,      /* at least one forward-path */
    PHASE_CHUNKS,    /* a first BDAT has been taken, the last one has not */
    PHASE_CONTENT,   /* what comes is content, up to the reply to the final dot */
};

/* What is known of the queue when a command needs it. */
enum queue_state {
    QUEUE_TAKES,
    QUEUE_FULL,
    QUEUE_AWAY, /* perhaps back in a moment */
    QUEUE_GONE, /* waited for long enough */
    QUEUE_DOWN, /* nobody knows when it will be back */
};

struct conversation {
    /* Facts, kept up by the session. */
    const struct settings *settings;
    const struct listener_settings *listener;
    struct ip_address peer;
    bool has_certificate;         /* STARTTLS can be done here */
    bool is_secure;               /* TLS is active */
    bool input_follows;           /* bytes stand behind this line already */
    unsigned mechanisms;          /* AUTH is offered with these, a bit each; none outside TLS */
    bool has_relay_certificate;   /* the client has shown one that may relay here ... */
    struct span certificate_user; /* ... or one of this user's; empty: nobody's */
    const struct mailbox_set *recipients; /* of our own domains; NULL: not known */
    bool was_probed;                      /* what REPLY_ASK was about, in this very line ... */
    enum probe_verdict probed;            /* ... with this verdict */
    enum queue_state queue;
    const struct aliases *aliases; /* of this host's names; NULL: none */
    /*
     * Takes one message of this sender, or one recipient, from what the client may have: REPLY_OK,
     * or the refusal and in *out_reason why.  NULL: it may have any number.
     */
    enum reply_id (*take_share)(void *ctx, const struct address *sender, bool is_recipient,
                                const char **out_reason);
    void *share_ctx;

    /* State. */
    struct ip_address client; /* the peer, or for whom it speaks ... */
    struct xclient *claims;   /* ... by its XCLIENT commands, all together; NULL: it said none */
    bool user_is_claimed;     /* there, not by AUTH */
    enum phase phase;
    enum command_verb verb; /* of the last line, for the log */
    bool chunk_follows;     /* octets stand behind the last line, whatever it is answered */
    struct bdat_command chunk;
    unsigned chunks;               /* of this message */
    struct address *probe;         /* what REPLY_ASK is about; NULL: nothing */
    const char *reason;            /* the rule that refused the last path */
    bool is_esmtp;                 /* said EHLO, not HELO */
    char user[ADDRESS_MAX + 1];    /* authenticated; "" for none */
    enum auth_mechanism mechanism; /* of the AUTH just begun ... */
    struct span initial;           /* ... and its initial response, in the line; NULL: none */
    char client_name[DOMAIN_MAX + 1];
    struct envelope envelope;
    unsigned errors;    /* since the last message taken */
    unsigned deferrals; /* the same, of temporary refusals */
    unsigned junk;
};

void conversation_init(struct conversation *talk, const struct settings *settings,
                       const struct listener_settings *listener, const struct ip_address *client);
void conversation_clear(struct conversation *talk);

/*
 * The one way out of a transaction, for good ends and all failures (pitfalls.md section 7.3):
 * forgets the envelope; what remains is who greeted us.
 */
void conversation_reset(struct conversation *talk);

/* What REPLY_ASK was about is being asked for. */
void conversation_forget_probe(struct conversation *talk);

/* TLS is up: forgets all that came in clear (RFC 3207 s.4.2). */
void conversation_secured(struct conversation *talk);

/* A message was taken: the transaction ends, and earlier errors are forgiven. */
void conversation_delivered(struct conversation *talk);

/*
 * Takes one line without its CRLF and gives the reply; REPLY_WAIT: nothing has happened yet, hand
 * the same line in again when the queue's state has changed.  REPLY_ASK: the same, when the probe
 * of `probe` has come to a verdict.
 */
enum reply_id commands_take(struct conversation *talk, struct span line);

/*
 * Is MT-PRIORITY in the answer to EHLO?  Where clients can log in: it is obeyed for those who have,
 * and others may not know yet who they will be.
 */
bool commands_offer_priority(const struct conversation *talk);

/* Is XCLIENT in the answer to EHLO? */
bool commands_offer_xclient(const struct conversation *talk);
/* The name that the client has given itself, or the peer for it. */
const char *conversation_client_name(const struct conversation *talk);

/* Counts a refusal that the session found itself (a line too long, a refused message). */
enum reply_id commands_count(struct conversation *talk, enum reply_id reply);

#endif
