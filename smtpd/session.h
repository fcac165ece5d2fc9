/*
 * session - one client's dialogue, from the greeting to QUIT, and what all dialogues of a process
 * share.  Called by smtpd/smtpd.  It reads lines and content from the stream, lets smtpd/commands
 * and smtpd/intake judge them, says the replies, and keeps the time.  A session owns its stream,
 * its transaction and the message it hands in, and ends itself.
 * Rules: RFC 5321 s.3, s.4.5.3; RFC 2920; RFC 3207; rfc/smtp-server.md sections 1, 3 and 4;
 * pitfalls.md sections 7.1 to 7.7.
 */
#ifndef WAXSEAL_SMTPD_SESSION_H
#define WAXSEAL_SMTPD_SESSION_H

#include "lib/base/buf.h"
#include "lib/base/list.h"
#include "lib/base/settings.h"
#include "lib/io/loop.h"
#include "lib/io/tls.h"
#include "lib/ipc/auth_client.h"
#include "lib/ipc/queue_client.h"
#include "lib/mail/mailbox_set.h"
#include "smtpd/offenders.h"
#include "smtpd/rates.h"

/* Where clients come in; outlives their sessions. */
struct session_place {
    const struct listener_settings *settings;
    struct tls_context *tls;        /* NULL: no STARTTLS */
    struct mailbox_set *recipients; /* of relay-to's domains; NULL: no such file */
};

/* How close all connections together are to their limit: what is done about it, in this order. */
enum pressure {
    PRESSURE_NONE,
    PRESSURE_SLOW, /* strangers are greeted late */
    PRESSURE_HIGH, /* strangers are turned away, and those that are there have less time */
};

/* What all sessions of a process share; outlives them. */
struct session_host {
    struct loop *loop;
    struct queue_client *queue;
    struct auth_client *auth;      /* NULL: nobody can log in */
    struct rates *rates;           /* NULL: nothing is counted */
    const struct aliases *aliases; /* changes with the file; NULL: none */
    const struct settings *settings;
    /* A session has ended, for any reason. */
    void (*on_ended)(void *ctx, const struct ip_address *client);
    void *ctx;

    enum pressure pressure;
    uint64_t envelope_bytes; /* the memory of all recipients under way */

    /* The sessions' own. */
    struct list sessions;
    unsigned session_count;
    uint64_t messages;        /* accepted so far */
    bool is_draining;         /* take no further transaction */
    int64_t drain_begins_ms;  /* until when a new client may begin its one */
    int64_t hurried_ms;       /* when strangers' deadlines were looked at last */
    int64_t queue_left_ms;    /* while there is no queue: since when */
    struct offenders menders; /* whose bare LFs were mended */
    struct buf joined;        /* see smtpd/intake.h */
};

void session_host_init(struct session_host *host, struct loop *loop, struct queue_client *queue,
                       const struct settings *settings,
                       void (*on_ended)(void *ctx, const struct ip_address *client), void *ctx);

/* Ends what sessions are left, without a word. */
void session_host_clear(struct session_host *host);

/* A client has connected: takes the descriptor, greets. */
void session_open(struct session_host *host, const struct session_place *place, int fd,
                  const struct endpoint *client);

/* The queue has come, gone, filled or emptied: those who wait for it try again. */
void session_host_queue_changed(struct session_host *host);

/*
 * From here on every session ends with 421 4.3.2 after its transaction (design.md section 2); a
 * client that has just come may have its one transaction if it begins at once.
 */
void session_host_drain(struct session_host *host);

/*
 * The pressure is what it is now; under a high one the deadlines of strangers are pulled in, at
 * most once a second.  No stranger is who has handed in mail within the hour or has logged in.
 */
void session_host_press(struct session_host *host, enum pressure pressure);

/* Ends with 421 4.3.2 all sessions, but perhaps those that wait for the reply to a final dot. */
void session_host_end(struct session_host *host, bool even_committing);

#endif
