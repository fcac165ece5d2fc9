/*
 * host_keep - what was learned of hosts and next hops, on disk in the table `host`.  Called by
 * hosts and control.  Written many at a time, and in a transaction that is made anyway when mail
 * flows: the way of a message pays nothing for it.  What a crash loses is learned again.
 */
#ifndef WAXSEAL_QUEUE_HOST_KEEP_H
#define WAXSEAL_QUEUE_HOST_KEEP_H

#include "queue/committer.h"
#include "queue/host_states.h"

struct host_keep;

struct host_keep *host_keep_new(struct loop *loop, struct store *store,
                                struct committer *committer);
void host_keep_free(struct host_keep **keep);

/* Fills limit and words from disk; false: nothing is known, or it is over. */
bool host_keep_load(struct host_keep *keep, struct host_state *state);
/* There is something in the list of what has changed, which stays the caller's.  It is written with
 * what is committed next, once a second at most, or alone after ten. */
void host_keep_soon(struct host_keep *keep, struct list *changed);
/* Writes all of it now; for the end of the role. */
void host_keep_now(struct host_keep *keep);
/* Takes one from disk: an operator says that it is wrong. */
void host_keep_drop(struct host_keep *keep, enum host_kind kind, struct span name);

/* Rows on disk that are not over, in the order of their keys from behind `after` (NULL: the
 * beginning) on; `visit` gives false to end.  `state` is lent. */
typedef bool host_keep_visit_fn(void *ctx, const struct host_state *state);
struct error *host_keep_walk(struct host_keep *keep, const struct record_key *after,
                             host_keep_visit_fn *visit, void *ctx) MUST_CHECK;

#endif
