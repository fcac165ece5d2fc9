/*
 * dialogue_private - what the parts of the dialogue share: dialogue.c has the table, QUIT and loss,
 * dialogue_opening.c the session's beginning (greeting to TLS), dialogue_login.c AUTH,
 * dialogue_mail.c the transaction (MAIL to DATA), dialogue_content.c the message itself,
 * dialogue_words.c what can be said to this server.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_DIALOGUE_PRIVATE_H
#define WAXSEAL_QUEUE_DELIVER_DIALOGUE_PRIVATE_H

#include "lib/mail/data_writer.h"
#include "queue/deliver/dialogue.h"

enum { DIALOGUE_NO_DEADLINE = -1 };

/* The phase whose answer is awaited. */
enum phase {
    PH_CONNECT,
    PH_GREETING,
    PH_EHLO,
    PH_HELO,
    PH_STARTTLS,
    PH_HANDSHAKE,
    PH_LOGIN,
    PH_IDLE,
    PH_RSET,
    PH_MAIL,
    PH_RCPT,
    PH_DATA,
    PH_CONTENT,
    PH_NOTHING,
    PH_QUIT,
    PH_COUNT,
    PH_STAY, /* what a handler gives when it has set the phase itself, or all is over */
};

struct dialogue {
    struct loop *loop;
    struct stream *stream;
    const struct dialogue_events *events; /* NULL: nobody listens any more */
    void *ctx;
    struct dialogue_plan plan;
    char mx[DOMAIN_MAX + 1];
    struct dialogue_facts facts;
    struct ehlo offered;
    struct reply_parser parser;
    enum phase phase;
    unsigned owed; /* answers to come for what has been said */
    size_t behind; /* bytes that came behind the answer at hand */
    unsigned busy; /* calls from below that are under way */
    bool dead;     /* freed inside of one */
    bool judged;
    bool worn;        /* it fell out of step: no further message */
    int64_t since_ms; /* when it was begun */

    struct login *login; /* while it is under way */
    struct loop_task login_work;
    bool greeted;
    unsigned tlsa_in_force;

    /* the transaction */
    struct job *job;
    struct job *next_job; /* taken from the owner, its turn comes when job's is over */
    bool next_said;       /* and its commands left with the message before */
    bool said_ahead;      /* the commands up to DATA are all out */
    bool dirty;           /* a transaction is open at the server: RSET before the next */
    bool mail_refused;
    bool elsewhere; /* what is left of the job wants another candidate */
    unsigned rcpt;  /* whose answer is awaited */
    unsigned accepted;
    int64_t until_ms; /* of the loop: the end must be out by then */
    struct data_writer writer;
    bool sending;           /* the final dot, or the last chunk, is not out */
    bool chunk_refused;     /* no further one follows */
    unsigned chunks_owed;   /* answers to BDAT that are still to come */
    size_t behind_dot;      /* octets of the next message's commands, in the same write */
    struct loop_task later; /* for a message that need not be tried */

    char words[REPLY_TEXT_MAX + 8];
};

/* --- dialogue.c */

/* Goes to a phase: its deadline begins, its words are said. */
void dialogue_enter(struct dialogue *d, enum phase phase);
/* From now on so long, but no longer than the message has in all. */
void dialogue_wait(struct dialogue *d, enum wait wait);
int64_t dialogue_wait_ms(const struct dialogue *d, enum wait wait);
/* May so many messages more begin to go over this session? */
bool dialogue_has_room(const struct dialogue *d, unsigned messages);
/* Writes a command whose answer is then owed. */
void dialogue_say(struct dialogue *d, const char *format, ...) PRINTF_LIKE(2, 3);
/* The reply as "code text", in d->words. */
struct span dialogue_words(struct dialogue *d, const struct reply *reply);
/* Ends the session for its owner; a polite end says QUIT. */
enum phase dialogue_give_up(struct dialogue *d, struct dialogue_end end, bool polite);
/* A reply ends the session: 421, or a host that will not have us. */
enum phase dialogue_refused(struct dialogue *d, enum stage stage, const struct reply *reply);
enum phase dialogue_protocol_error(struct dialogue *d, enum stage stage, const char *what);
/* The wrapping of every call from below: what is freed meanwhile is freed at its end. */
void dialogue_hold(struct dialogue *d);
void dialogue_release(struct dialogue *d);

/* --- dialogue_opening.c: the cells of the table */
void say_ehlo(struct dialogue *d);
void say_helo(struct dialogue *d);
void say_starttls(struct dialogue *d);
enum phase greeting_answered(struct dialogue *d, const struct reply *reply);
enum phase ehlo_answered(struct dialogue *d, const struct reply *reply);
enum phase helo_answered(struct dialogue *d, const struct reply *reply);
enum phase starttls_answered(struct dialogue *d, const struct reply *reply);
enum phase handshake_done(struct dialogue *d, const struct tls_session *session);
/* TLS from the first byte on. */
void dialogue_begin_tls(struct dialogue *d);
/* As secure as it will be: the owner judges, we log in where we have to, then mail may go. */
enum phase dialogue_settled(struct dialogue *d);

/* --- dialogue_login.c: AUTH */
enum phase dialogue_log_in(struct dialogue *d);
void say_login(struct dialogue *d);
enum phase login_answered(struct dialogue *d, const struct reply *reply);
void dialogue_login_work(void *dialogue);

/* --- dialogue_words.c */

/* Why this server, by its own words, takes no such message. */
struct unfit {
    const char *status;
    const char *why;
    bool elsewhere; /* another candidate may */
};
extern const struct unfit unfit_recipient;
/* Of the message; NULL: there is nothing. */
const struct unfit *dialogue_unfit(const struct dialogue *d, const struct job *job);
bool dialogue_takes_recipient(const struct dialogue *d, const struct job *job, unsigned i);

void dialogue_put_mail(struct dialogue *d, const struct job *job);
void dialogue_put_rcpt(struct dialogue *d, const struct job *job, unsigned i);

/* --- dialogue_mail.c: the cells of the table */
void say_rset(struct dialogue *d);
void say_mail_from(struct dialogue *d);
void say_rcpt_to(struct dialogue *d);
void say_data(struct dialogue *d);
void say_nothing(struct dialogue *d);
enum phase rset_answered(struct dialogue *d, const struct reply *reply);
enum phase mail_answered(struct dialogue *d, const struct reply *reply);
enum phase rcpt_answered(struct dialogue *d, const struct reply *reply);
enum phase data_answered(struct dialogue *d, const struct reply *reply);
enum phase nothing_answered(struct dialogue *d, const struct reply *reply);

/* The transaction's MAIL, RCPT and DATA, where PIPELINING is offered. */
void dialogue_put_group(struct dialogue *d, struct job *job);
/*
 * Those the server can take, and takes at a time (RFC 9422); the others follow in a new transaction
 * or go elsewhere.
 */
void dialogue_mark_recipients(const struct dialogue *d, struct job *job);
bool dialogue_has_nobody(const struct job *job);
enum phase dialogue_transaction_over(struct dialogue *d);
/* Writes down in the job when a reply says that the host takes no more of anybody's mail. */
void dialogue_note_refusal(struct dialogue *d, enum stage stage, const struct reply *reply);
struct reply_facts dialogue_facts_of(const struct dialogue *d, enum stage stage,
                                     const struct reply *reply);
/* An answer that is neither yes nor no: the two of us have lost each other. */
enum phase dialogue_nonsense(struct dialogue *d, enum stage stage, const struct reply *reply);
void dialogue_later(void *ctx);
/* The session is lost: what that means for the job under way. */
void dialogue_drop_jobs(struct dialogue *d, const struct dialogue_end *end);

/* --- dialogue_content.c: the message itself */
bool dialogue_says_bdat(const struct dialogue *d);
void say_content(struct dialogue *d);
enum phase content_answered(struct dialogue *d, const struct reply *reply);
/* An answer came before it can be one. */
bool content_is_early(const struct dialogue *d);
enum phase content_interrupted(struct dialogue *d, const struct reply *reply);
/* There is room in the stream, or more content. */
void dialogue_pump(struct dialogue *d);
void dialogue_more_content(void *dialogue);

#endif
