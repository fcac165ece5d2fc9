/*
 * tlsrpt_rig - the tlsrpt role as a process, with a test as its supervisor, as a worker that tells,
 * and as the queue: one that keeps what it is handed under each key once, and that can be made to
 * kill the role at a chosen step.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_TLSRPT_RIG_H
#define WAXSEAL_TESTS_SUPPORT_TLSRPT_RIG_H

#include "lib/base/buf.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/tlsrpt_client.h"

#include <sys/types.h>

enum { RIG_WAIT_MS = 10 * 1000, RIG_MAILS_MAX = 8, RIG_KEY_SIZE = 512 };

/* Where the queue kills the role; in the order of a report's way. */
enum rig_step {
    STEP_NEVER,
    STEP_BEGUN,     /* the queue has heard of it */
    STEP_CONTENT,   /* some of it has come */
    STEP_WHOLE,     /* all of it, and it is not committed */
    STEP_COMMITTED, /* it is, and the role has not heard of that */
    STEP_ANSWERED,  /* the answer is on its way */
};

/* What the queue has committed. */
struct rig_mail {
    char key[RIG_KEY_SIZE];
    unsigned handed_in; /* how often it was handed in whole */
    struct buf content;
};

struct tlsrpt_rig {
    char folder[64]; /* the role's is "tlsrpt" in it */
    const char *settings;
    struct loop *loop;
    struct channel *supervisor;
    struct tlsrpt_client *worker;
    struct channel *queue;
    struct loop_timer *patience;
    pid_t pid;
    bool ready;
    bool closed;
    bool time_is_up;
    bool answered;
    bool failed;
    struct buf answer;
    enum rig_step kill_at;
    bool is_full;        /* the queue takes nothing */
    struct buf arriving; /* content of the one mail on its way */
    char arriving_key[RIG_KEY_SIZE];
    struct rig_mail mails[RIG_MAILS_MAX];
    unsigned mail_count;
};

/* A folder, and a loop; the role is not started.  Settings are a configuration's text. */
struct tlsrpt_rig *reporter_new(const char *settings);
void reporter_free(struct tlsrpt_rig *rig);

void reporter_start(struct tlsrpt_rig *rig);
/* The same without waiting until it is ready, and whether it dies within a time. */
void reporter_launch(struct tlsrpt_rig *rig);
bool reporter_dies_within(struct tlsrpt_rig *rig, int64_t wait_ms);
int reporter_stop(struct tlsrpt_rig *rig); /* gives its exit status */
void reporter_kill(struct tlsrpt_rig *rig);
/* The role has been killed by the queue; waits for its end. */
void reporter_wait_killed(struct tlsrpt_rig *rig);

/* A further channel to the role as of a worker; gives the other end. */
int reporter_hand_over_peer(struct tlsrpt_rig *rig);
void reporter_wait(struct tlsrpt_rig *rig, const bool *fact);

/*
 * Asks as the command line does, with up to two arguments by name, each NULL to leave it out; the
 * answer stands in rig->answer, ended by a NUL.
 */
void reporter_ask(struct tlsrpt_rig *rig, const char *verb, const char *domain, const char *name,
                  const char *value);
/* The same without waiting for an answer. */
void reporter_request(struct tlsrpt_rig *rig, const char *verb, const char *domain,
                      const char *name, const char *value);

#endif
