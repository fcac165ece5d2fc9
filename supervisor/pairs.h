/*
 * pairs - the socket pairs between the roles' processes, numbered, so that a process can name the
 * one whose channel has ended while its peer lives.  Called by posts.  Nothing a role says is
 * believed but of a pair that it has one end of, and of that once.
 */
#ifndef WAXSEAL_SUPERVISOR_PAIRS_H
#define WAXSEAL_SUPERVISOR_PAIRS_H

#include "supervisor/process.h"

struct pairs;

/* Both processes live, and `teller` can no longer hear `peer`, who did what `why` says. */
typedef void pairs_broken_fn(void *ctx, struct process *teller, struct process *peer,
                             struct span why);

struct pairs *pairs_new(struct loop *loop, pairs_broken_fn *on_broken, void *ctx);
void pairs_free(struct pairs **pairs);

/* Gives each of two processes one end of a new socket pair. */
void pairs_join(struct pairs *pairs, struct process *a, struct process *b);

/* A process is gone, and all its pairs with it. */
void pairs_forget(struct pairs *pairs, const struct process *process);

/*
 * `teller` says that its channel of a pair has ended.  A peer that did wrong is told of at once;
 * one that closed the channel is most often about to die, and told of only when it has not shortly
 * after.
 */
void pairs_lost(struct pairs *pairs, struct process *teller, unsigned number, struct span why);

#endif
