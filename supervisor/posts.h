/*
 * posts - the places that processes fill: one for each instance of each role.  A post starts its
 * process, and starts it anew when it dies: 0.1 s later, and where it never gets to serve after
 * twice as long each time, up to 30 s, for ever.  A post that was relieved by a successor ends with
 * its process.  Called by the supervisor.
 */
#ifndef WAXSEAL_SUPERVISOR_POSTS_H
#define WAXSEAL_SUPERVISOR_POSTS_H

#include "supervisor/handover.h"
#include "supervisor/process.h"

struct posts;

/* What became of a death. */
enum post_fate {
    POST_RESTARTS,
    POST_ENDED,      /* it was asked to end */
    POST_STAYS_DOWN, /* the queue's store fails: starting it again could do harm */
    POST_REFUSED,    /* it cannot run like this: the service has to stop */
};

struct posts *posts_new(const struct process_plan *plan);
void posts_free(struct posts **posts);

/* Fills all posts of a fresh start. */
void posts_start(struct posts *posts, const struct handover *h, uint64_t generation);
/*
 * New settings: roles with successors get them, the others are told.  What is down is started.
 * `h` replaces the handover given before, which may be freed afterwards.
 */
void posts_reload(struct posts *posts, const struct handover *h, uint64_t generation);
/* A process is ready: when it completes its role, the predecessors are relieved. */
void posts_on_ready(struct posts *posts, struct process *process);
/* True when every post that is not down has a process that is ready. */
bool posts_are_ready(const struct posts *posts);

/*
 * A role says that its channel of a socket pair has ended; unless its peer dies or drains, one of
 * the two is ended and started anew, on which they get a new pair (see supervisor/quarrels.h).
 */
void posts_on_peer_lost(struct posts *posts, struct process *teller, unsigned pair,
                        struct span why);

/* A process ended; `before_free` hears of it while it is still there. */
typedef void posts_gone_fn(void *ctx, const struct process *process);
enum post_fate posts_on_death(struct posts *posts, pid_t pid, int wait_status,
                              posts_gone_fn *before_free, void *ctx);

/* What a post is doing, for `waxseal status`. */
enum post_state {
    POST_STARTING, /* its process is not ready yet */
    POST_SERVING,
    POST_DRAINING, /* relieved by a successor, or the relay stops */
    POST_WAITING,  /* its process died; it gets another one shortly */
    POST_DOWN,     /* it stays so until a reload */
};

struct post_facts {
    enum role_id role;
    unsigned instance;
    enum post_state state;
    int64_t since_ms; /* UTC: when that state began */
    pid_t pid;        /* 0: none */
    uint64_t generation;
    unsigned restarts;
    unsigned blamed;      /* how often we ended its process in a quarrel with a peer */
    const char *last_end; /* how the last process that was not asked to ended; NULL: none did */
};

typedef void posts_visit_fn(void *ctx, const struct post_facts *facts);
void posts_visit(const struct posts *posts, posts_visit_fn *visit, void *ctx);
bool posts_any_down(const struct posts *posts);

/* Hands a file's new content to all whom it concerns. */
void posts_hand_content(struct posts *posts, enum role_content kind, unsigned index,
                        struct span content);

/* The process to ask for a role; NULL: none is ready. */
struct process *posts_find(struct posts *posts, enum role_id role);

/* No more restarts.  The edge (smtpd, deliver) is drained first, then the rest; true when all
 * ended. */
void posts_stop_edge(struct posts *posts, int64_t wait_ms);
bool posts_edge_ended(const struct posts *posts);
void posts_stop_rest(struct posts *posts, int64_t wait_ms);
bool posts_all_ended(const struct posts *posts);
void posts_kill(struct posts *posts);

#endif
