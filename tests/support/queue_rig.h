/*
 * queue_rig - the queue role in a process of its own, with the test in place of its supervisor, of
 * an smtpd instance and of a delivery worker and of the role that signs.  Used by test_queue; the
 * relay's own processes are not needed.  Waits are bounded: a test that waits in vain fails.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_QUEUE_RIG_H
#define WAXSEAL_TESTS_SUPPORT_QUEUE_RIG_H

#include "lib/base/buf.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/queue.pb-c.h"
#include "lib/ipc/queue_client.h"
#include "lib/ipc/role.h"
#include "lib/ipc/sign.pb-c.h"

#include <sys/types.h>

enum { RIG_JOBS_MAX = 4096, RIG_ACCEPTS_MAX = 4096 };

struct rig_job {
    uint64_t lease;
    uint64_t id;
    Ipc__Job *job; /* owned by the rig */
    bool acknowledged;
};

struct queue_rig {
    struct loop *loop;
    struct loop_timer *patience;
    bool impatient;
    char folder[64];
    pid_t pid; /* 0: the queue does not run */
    int exit_status;
    struct channel *supervisor;
    bool ready;
    struct buf answer; /* to a control request */
    bool answered;
    bool answer_failed;
    struct queue_client *smtpd;
    struct queue_client *tlsrpt; /* not attached */
    struct channel *worker;      /* NULL: there is none */
    bool worker_closed;
    struct rig_job jobs[RIG_JOBS_MAX];
    unsigned job_count;
    unsigned jobs_taken; /* the test's */
    unsigned ack_count;
    struct buf content; /* of the chunks pulled */
    unsigned chunk_count;
    bool chunk_damaged;
    /* What a worker does with each job by itself; 0: nothing. */
    bool answers_itself;
    Ipc__ResultKind kind;
    /* in place of the role sign */
    struct channel *signer; /* NULL: there is none */
    bool signer_closed;
    bool signer_is_silent;
    Ipc__SignVerdict verdict; /* of each answer, */
    const char *fields;       /* its fields; NULL: one that will do, */
    const char *reason;
    unsigned ask_count;
    Ipc__SignAsk *ask; /* the last; owned by the rig */
    struct buf header; /* of the last */
    /* accepts */
    bool from_stranger;         /* the messages handed in from now on */
    bool hashed;                /* the body of the messages handed in from now on */
    const char *content_begins; /* with this; NULL: with any text */
    bool tls_required_no;       /* of the messages handed in from now on */
    bool tls_report;            /* the same: by tlsrpt, under the key `once` */
    const char *once;
    unsigned done_count;
    enum accept_outcome outcomes[RIG_ACCEPTS_MAX];
    uint64_t ids[RIG_ACCEPTS_MAX];
    int64_t tried_ahead_ms; /* of the clock when the worker tried: it was stepped back since */
};

void rig_open(struct queue_rig *rig);
void rig_close(struct queue_rig *rig); /* removes the folder */

/* Starts the role with these settings added to those of an empty file. */
void rig_start(struct queue_rig *rig, const char *settings);
void rig_kill(struct queue_rig *rig);
/* Waits for it to end by itself; gives the exit status. */
int rig_wait_end(struct queue_rig *rig);

/* A channel to the queue as another role; gives its other end. */
int rig_peer(struct queue_rig *rig, enum role_id role);

/* A worker connects and reports; `leases` are those it holds from before. */
void rig_attach_worker(struct queue_rig *rig, unsigned job_room, const uint64_t *leases,
                       size_t lease_count);
void rig_attach_silent_worker(struct queue_rig *rig);
void rig_worker_hello(struct queue_rig *rig, unsigned job_room, const uint64_t *leases,
                      size_t lease_count);
void rig_detach_worker(struct queue_rig *rig); /* it dies */

/* The role that signs comes, and answers what it is asked. */
#define RIG_SIGNATURE                                                                              \
    "DKIM-Signature: v=1; a=ed25519-sha256; d=example.net;\r\n s=2026a; b=eA==\r\n"
void rig_attach_signer(struct queue_rig *rig);
void rig_detach_signer(struct queue_rig *rig);
/* A late answer to the last ask. */
void rig_answer_ask(struct queue_rig *rig);

/* Runs the loop until *counter has reached `count`; false: not within some seconds. */
bool rig_wait(struct queue_rig *rig, const unsigned *counter, unsigned count);
/* Runs the loop for a while. */
void rig_idle(struct queue_rig *rig, int64_t ms);

/* Hands in a message of `size` bytes; the result comes in done_count. */
void rig_send(struct queue_rig *rig, const char *sender, const char *const *recipients,
              size_t recipient_count, size_t size);
void rig_send_one(struct queue_rig *rig, const char *sender, const char *recipient, size_t size);

void rig_outcome(struct queue_rig *rig, const struct rig_job *job, Ipc__ResultKind kind,
                 const char *status, const char *reply, bool hop_failed);
void rig_pull(struct queue_rig *rig, const struct rig_job *job);

/* Asks as the command line does; the answer is lent until the next. */
struct span rig_ask(struct queue_rig *rig, const char *verb, const char *name, const char *value);

#endif
