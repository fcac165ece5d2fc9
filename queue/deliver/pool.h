/*
 * pool - open sessions kept for a few seconds for the next message, under a key that says what they
 * are good for (pool_key).  Called by lane and attempt.  Owns the sessions it keeps.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_POOL_H
#define WAXSEAL_QUEUE_DELIVER_POOL_H

#include "lib/io/loop.h"
#include "queue/deliver/pool_key.h"

struct pool;
struct session;

/* Sessions end when they had nothing to do for so long, or are spent. */
struct pool *pool_new(struct loop *loop, int64_t idle_ms);
/* Says QUIT to all. */
void pool_free(struct pool **pool);

/* Keeps an idle session for a while; *session is taken. */
void pool_put(struct pool *pool, struct session **session);
/* A session that serves, taken out; NULL when there is none.  The youngest first. */
struct session *pool_take(struct pool *pool, const struct pool_key *needs);
/* Ends the one that is idle longest, to make room; false when there is none. */
bool pool_end_oldest(struct pool *pool);
unsigned pool_count(const struct pool *pool);

#endif
