/*
 * job - one leased job: a message's envelope, where its content is, what became of its recipients,
 * and the record of why.  Made by deliver from the queue's frame, worked on by attempt and
 * dialogue, kept by deliver until the queue has acknowledged the outcome.  Owns all it points to.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_JOB_H
#define WAXSEAL_QUEUE_DELIVER_JOB_H

#include "lib/base/list.h"
#include "lib/ipc/queue.pb-c.h"
#include "lib/mail/envelope.h"
#include "queue/deliver/content.h"
#include "policy/decide.h"
#include "queue/deliver/outcome.h"

enum recipient_state {
    RECIPIENT_OPEN,     /* to be sent in the next transaction; a result of before may stand */
    RECIPIENT_ACCEPTED, /* by RCPT, in the transaction under way */
    RECIPIENT_SETTLED,  /* for this attempt */
};

struct job_result {
    enum recipient_state state;
    bool in_transaction; /* its RCPT belongs to the transaction under way */
    bool is_given;       /* the members below say something */
    enum outcome_kind kind;
    char status[STATUS_TEXT_SIZE];
    const char *reply; /* of the job's words */
    bool remote;
    bool without_dsn; /* see outcome.h */
};

/* One candidate's part, in the job's words ("" for what is not known). */
struct job_candidate {
    const char *mx;
    const char *address;
    const char *verdict;
    const char *tls;
    const char *tls_version;
    const char *cipher;
    const char *reply;
    const char *group;    /* of the key exchange */
    const char *auth;     /* the mechanism by which we logged in */
    const char *next_hop; /* which one of a route's */
    const char *level_wanted;
    const char *level; /* of the session */
    const char *key_sha256;
    const char *verify_result; /* "ok", or OpenSSL's name for what is wrong */
    const char *subject;       /* of the certificate, and so on */
    const char *names;
    const char *issuer;
    const char *tlsa_base;   /* where TLSA records stand that bind, */
    const char *tlsa;        /* what they are worth: "usable", "unusable", */
    const char *tlsa_record; /* and which one the certificate fits: "3 1 1" */
    int64_t certificate_expires_utc_ms;
    bool resumed; /* the TLS session */
};

enum { JOB_CANDIDATES_MAX = 40 }; /* lines of the record; more overwrite the last */

/* What lets it go although a policy is not met; see relief.h. */
struct job_relief {
    enum policy_relief kind;
    const struct exception_settings *exception; /* lent; NULL: the message's own doing */
};

struct job_words;

struct job {
    struct list others; /* in its lane, or among those that wait for an acknowledgement */
    uint64_t lease;
    uint64_t id;
    struct envelope envelope;
    struct job_result *results; /* one for each recipient of the envelope */
    uint64_t size;              /* as it leaves, signatures included */
    uint32_t chunks;
    struct span signatures; /* DKIM-Signature fields in front of its content; of the job's words */
    bool eight_bit;
    bool skip_policy;
    bool is_probe;     /* there is no message: RCPT tells what is to be known ... */
    bool was_answered; /* ... and has */
    bool last_attempt;
    bool is_first_try;       /* none was made before */
    bool begun;              /* an attempt has taken it */
    bool is_over;            /* its outcome waits for the queue's acknowledgement */
    bool dot_is_out;         /* the final dot left, its reply has not come: never to be dropped */
    unsigned next_candidate; /* where an attempt goes on that had to wait for a session */
    unsigned gave_way;       /* how often it was to wait for others of its lane */
    const char *refusal;     /* by which the host put it off for its own sake, lately; NULL: none */
    struct content content;

    /* The decision record. */
    int64_t waiting_ms; /* of the loop: in its lane since then */
    int64_t started_ms; /* of the loop */
    int64_t took_ms;
    int64_t at_utc_ms;
    const char *policy;
    const char *policy_id;
    const char *route;          /* its name; "": none */
    const char *policy_trouble; /* why none, or no fresher one, could be fetched */
    struct job_relief relief;
    bool relief_needed;           /* a session was fit for it thanks to that alone */
    const char *signed_by;        /* "example.net:2026a", or "" ... */
    const char *unsigned_because; /* ... and why, where that is worth a word */
    int64_t policy_expires_utc_ms;
    struct job_candidate *candidates;
    unsigned candidate_count;
    bool hop_failed;

    struct job_words *words;
};

/* A job from the queue's frame; NULL when it makes no sense.  `pull` asks for its content. */
struct job *job_new(const Ipc__Job *message, const struct content_source *source);
void job_free(struct job **job);

/*
 * Does it go over protected sessions only, or come back (RFC 8689 s.4.2.1)?  A notification asks
 * for REQUIRETLS where it is to be had, and goes without all the same (s.5).
 */
bool job_requires_tls(const struct job *job);
/* Does its header say "TLS-Required: No", and count (RFC 8689 s.3, s.4.1)? */
bool job_says_tls_required_no(const struct job *job);
/* Is it a report of ours, which goes whatever a policy asks and of which nothing is counted
 * (RFC 8460 s.3)? */
bool job_is_report(const struct job *job);
/* May it go without a policy that could not be found out in time? */
bool job_may_skip_policy(const struct job *job);

/* Keeps a copy of a text as long as the job lives. */
const char *job_keep(struct job *job, struct span text);

/* --- results.  `words` are lent: a reply or our own sentence. */

/* All recipients are open again, those settled excepted; what is known of them stands. */
void job_reopen(struct job *job);
/* What came of one recipient.  With outcome.elsewhere or .again it stays open with this result. */
void job_settle_one(struct job *job, unsigned index, const struct outcome *outcome,
                    struct span words, bool remote);
/* The same for all that are in `state`. */
void job_settle(struct job *job, enum recipient_state state, const struct outcome *outcome,
                struct span words, bool remote);
/* For all that are not settled, whatever the outcome says of other candidates. */
void job_end(struct job *job, const struct outcome *outcome, struct span words, bool remote);
/* Candidates are used up: what stands for the open recipients is final. */
void job_close(struct job *job);
unsigned job_open_count(const struct job *job);

/* --- the decision record */

/* A new candidate's line, to be filled with job_keep; lent until the next one is added. */
struct job_candidate *job_add_candidate(struct job *job, const char *mx);

/* Calls `send` with the outcome as the queue wants it; all of it lent for the call. */
void job_outcome(const struct job *job, void (*send)(void *ctx, const Ipc__Outcome *outcome),
                 void *ctx);

#endif
