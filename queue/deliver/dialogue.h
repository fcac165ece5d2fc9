/*
 * dialogue - one SMTP session as its client: connect, greeting, EHLO, STARTTLS, EHLO anew, then one
 * message after the other, QUIT.  Called by race (which opens it), attempt (which sends by it) and
 * pool (which keeps it while idle).  Owns the stream.
 * Rules: RFC 5321 s.3 and s.4, RFC 2920, RFC 3207, RFC 1870; rfc/smtp-client.md.  The server is
 * hostile: replies are bounded, counted against what was said, and an answer to nothing ends it.
 *
 * Its owner hears of it through dialogue_events, from the loop.  `ended` is the last call, then the
 * dialogue frees itself; dialogue_quit and dialogue_free are the owner's ways to be rid of it.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_DIALOGUE_H
#define WAXSEAL_QUEUE_DELIVER_DIALOGUE_H

#include "lib/base/settings.h"
#include "lib/io/addresses.h"
#include "lib/io/stream.h"
#include "lib/mail/ehlo.h"
#include "policy/decide.h"
#include "queue/deliver/job.h"
#include "queue/deliver/login.h"
#include "queue/deliver/resumption.h"

enum {
    DIALOGUE_BLOCK_SIZE = 128 * 1024, /* what waits unsent at most, but for one block */
    DIALOGUE_RATE_MIN = 4096,         /* octets of a message that give it a second more */
};

/* How long a server has (RFC 5321 s.4.5.3.2); the first six are settings. */
enum wait {
    WAIT_CONNECT,
    WAIT_COMMAND, /* the greeting, EHLO, AUTH, MAIL, RCPT, RSET */
    WAIT_DATA,    /* DATA, STARTTLS */
    WAIT_BLOCK,   /* for each block of content to leave */
    WAIT_END,     /* the final dot, the last chunk */
    WAIT_MESSAGE, /* from MAIL till that is out, however it drips; and a second for so many octets
                   */
    WAIT_HANDSHAKE,
    WAIT_QUIT,
    WAIT_NONE,
    WAIT_COUNT,
};
struct dialogue_waits {
    int64_t ms[WAIT_COUNT];
};
struct dialogue_waits dialogue_waits(const struct settings *settings);

struct dialogue;

/* How to speak; all but `mx` and `context` outlives the dialogue, which keeps these itself. */
struct dialogue_plan {
    const char *helo;                      /* our own name */
    const char *mx;                        /* the candidate's: SNI and reference identity; copied */
    struct tls_context *context;           /* NULL: never say STARTTLS */
    bool is_chosen;                        /* by the administrator, not by DNS */
    bool implicit_tls;                     /* TLS before the greeting (RFC 8314 s.3) */
    const struct login_identity *identity; /* who logs in, inside TLS; NULL: nobody */
    struct tlsa_set *tlsa; /* by which the certificate is judged; NULL: by our authorities; kept */
    struct tlsa_names tlsa_names;
    const struct ip_address *sources; /* to connect from; none of a family: the kernel's choice */
    unsigned source_count;
    struct resumption *past;      /* sessions to resume; NULL: a whole handshake in any case */
    struct resumption_key key;    /* what the TLS session is for; its address is the dialogue's */
    struct address_filter filter; /* whom not to connect to, asked for the last time */
    const struct dialogue_waits *waits;
    unsigned messages_max; /* over the connection */
    int64_t life_ms;       /* of the connection: no message begins later */
    bool no_chunking;      /* BDAT was offered and not known */
    bool mx_is_valid; /* a notification may say REQUIRETLS over a verified session (RFC 8689 s.2) */
};

/* What is known of the session, for decisions, reports and records. */
struct dialogue_facts {
    enum session_tls tls;
    struct tls_session session; /* with SESSION_TLS_ON */
    const char *tls_reason;     /* with SESSION_TLS_FAILED: an alert's or error's name */
    bool past_was_offered;      /* the handshake began with a session to resume */
    struct endpoint local;
    struct endpoint remote;
    const char *auth;  /* the mechanism by which we are logged in; "": we are not */
    const char *helo;  /* the server's name for itself, made harmless */
    unsigned messages; /* sent over it */
};

/* Why it is over.  The words are the remote's, with the code, or ours. */
struct dialogue_end {
    enum stage stage;
    struct outcome outcome; /* for mail that has not gone */
    struct span words;
    bool remote;
    bool refused;      /* the owner's own judgement ended it */
    bool login_failed; /* what stands in the credentials is of no use there */
    bool no_chunking;  /* it offers CHUNKING and does not know BDAT: by DATA, on a new connection */
    bool is_ours;      /* no socket or no address to connect from: the host is not to blame */
};

/* What came of a message. */
enum mail_end {
    MAIL_DONE,      /* every recipient is settled */
    MAIL_AGAIN,     /* the open ones want a new transaction, here and now */
    MAIL_ELSEWHERE, /* the open ones want another candidate */
};

struct dialogue_events {
    /* The connection stands. */
    void (*connected)(void *ctx, struct dialogue *d);
    /* As secure as it will be: may mail go over it?  Asked once; with false it says QUIT and ends.
     */
    bool (*judge)(void *ctx, struct dialogue *d);
    /* dialogue_send may be called. */
    void (*ready)(void *ctx, struct dialogue *d);
    /* The message is out: another one, whose commands may leave with it?  NULL: none. */
    struct job *(*next)(void *ctx, struct dialogue *d);
    /*
     * A message's transaction is over and its results stand in the job.  The dialogue is idle, or
     * has gone on with the job that `next` gave.
     */
    void (*finished)(void *ctx, struct dialogue *d, struct job *job, enum mail_end end);
    /*
     * It is over; the results of the job under way stand in it, a job from `next` is untouched.
     * `end` is lent.
     */
    void (*ended)(void *ctx, struct dialogue *d, const struct dialogue_end *end);
};

/* Connects to `remote`, then waits for the greeting. */
struct dialogue *dialogue_connect(struct loop *loop, const struct endpoint *remote,
                                  const struct dialogue_plan *plan,
                                  const struct dialogue_events *events, void *ctx);
/* Takes a connected socket. */
struct dialogue *dialogue_open(struct loop *loop, int fd, const struct dialogue_plan *plan,
                               const struct dialogue_events *events, void *ctx);
/* Another owner from now on. */
void dialogue_bind(struct dialogue *d, const struct dialogue_events *events, void *ctx);

/* Sends a job to its open recipients.  Only when ready or finished said so. */
void dialogue_send(struct dialogue *d, struct job *job);
/* May another message go over this session?  Spent: it is too old, or had enough of them. */
bool dialogue_is_idle(const struct dialogue *d);
bool dialogue_is_spent(const struct dialogue *d);

const struct dialogue_facts *dialogue_facts(const struct dialogue *d);

/* Says QUIT, waits for the answer, frees itself.  Takes an idle one; the owner hears no more. */
void dialogue_quit(struct dialogue **d);
/* Closes at once.  Accepts NULL inside. */
void dialogue_free(struct dialogue **d);

#endif
