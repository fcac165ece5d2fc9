/*
 * session_private - what session.c (the life of a session: its stream, its time, its end) and
 * session_dialogue.c (what is said and answered) share.  Nobody else includes it.
 */
#ifndef WAXSEAL_SMTPD_SESSION_PRIVATE_H
#define WAXSEAL_SMTPD_SESSION_PRIVATE_H

#include "lib/io/stream.h"
#include "smtpd/commands.h"
#include "smtpd/intake.h"
#include "smtpd/lines.h"
#include "smtpd/session.h"

/* Why no input is taken just now. */
enum hold {
    HOLD_NONE,
    HOLD_QUEUE,  /* a command needs the queue, which is away */
    HOLD_ROOM,   /* content waits for the queue's credit */
    HOLD_COMMIT, /* the final dot waits for its reply */
    HOLD_SLOW,   /* too many errors: the reply is delayed */
    HOLD_OUTPUT, /* the client does not take our replies */
    HOLD_TLS,    /* handshake */
    HOLD_AUTH,   /* the auth role thinks */
    HOLD_PROBE,  /* the next hop is asked for a mailbox */
};

/* The octets behind a BDAT that are still to come. */
struct chunk {
    bool is_open;
    bool is_last;
    uint64_t octets;
    uint64_t left;
    enum reply_id verdict; /* REPLY_TAKE_CHUNK: content; else thrown away, and then said */
    int64_t begun_ms;
};

struct session {
    struct session_host *host;
    const struct session_place *place;
    struct list in_host;
    struct stream *stream; /* NULL: the client went away and the commit is waited for */
    struct endpoint peer;
    struct endpoint client; /* the same, or for whom it speaks (XCLIENT) */
    struct conversation talk;
    struct intake intake;
    char tls_version[16]; /* "" in clear */
    char tls_cipher[64];

    struct queue_probe *probe;  /* with HOLD_PROBE */
    struct auth_exchange *auth; /* NULL: what comes is no response to AUTH ... */
    bool awaits_identity;       /* ... but perhaps to AUTH EXTERNAL */
    unsigned auth_failures;
    enum hold hold;
    enum reply_id delayed; /* with HOLD_SLOW */
    struct chunk chunk;
    bool queue_waited; /* the queue did not come back in time */
    bool is_over;      /* the last word is said */
    bool is_known;     /* when it came, it had handed in mail not long ago */
    bool had_transaction;
    struct lines lines;
    unsigned messages;
    uint64_t envelope_bytes; /* what the host has counted of it */

    struct loop_timer *timer;
    int64_t armed_ms;      /* when the timer is due */
    int64_t deadline_ms;   /* of the present wait; on the loop's clock, as all below */
    int64_t begun_ms;      /* the session */
    int64_t data_begun_ms; /* moved on by the time that the queue took */
    int64_t held_ms;       /* since when there is no room */
};

/* --- session.c */

bool session_in_transaction(const struct session *s);

/* Takes no input for a reason, which has to go away within `wait_ms`. */
void session_hold(struct session *s, enum hold why, int64_t wait_ms);
/* The reason has gone away. */
void session_go_on(struct session *s);
/* The wait of a reason that does not stop the stream. */
void session_deadline(struct session *s, int64_t deadline_ms);
/* At the end of everything that may have said a last word, or too many: may free the session. */
void session_after(struct session *s);

/* --- session_auth.c */

/* What the client's certificate lets it do here. */
void session_take_certificate(struct session *s, const struct tls_session *tls);
/* What EHLO offers now. */
unsigned session_mechanisms(const struct session *s);
/* AUTH was said: the exchange begins, in which lines are responses. */
void session_auth_begin(struct session *s);
size_t session_take_response(struct session *s, struct span input);

/* --- session_duties.c */

/* What the listener does to headers, in `room`, or NULL for nothing. */
const struct duties *session_duties(const struct session *s, struct duties *room);
/* The mailbox that gets a copy becomes a recipient. */
void session_add_copy(struct session *s);
/* Do this client's bare LFs become line ends? */
bool session_mends_lines(const struct session *s);
/* Logs, now and then, whose lines were mended. */
void session_note_mended(struct session *s);

/* --- session_dialogue.c */

/* Takes some input in the present phase; gives how much is used up. */
size_t session_take_input(struct session *s, struct span input);

/* The next hop has not said in time whether there is a mailbox. */
void session_probe_late(struct session *s);
void session_say(struct session *s, enum reply_id reply, uint64_t id);
/* Waits for the client's handshake. */
void session_begin_tls(struct session *s);
/* The reply that was held back with HOLD_SLOW. */
void session_say_delayed(struct session *s);
/* Says a reply, logs it when it refuses, and goes on as it wants. */
void session_answer(struct session *s, enum reply_id reply, struct span line);
/* Logs a refusal, before the transaction it belongs to is forgotten. */
void session_log_reply(const struct session *s, enum reply_id reply, struct span line);

#endif
