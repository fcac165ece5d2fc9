/*
 * pool - open sessions kept for a few seconds for the next message, under a key that says what they
 * are good for.  Called by lane and attempt.  Owns the sessions it keeps.
 * Rule: a session opened with less assurance is never used for mail that needs more (design.md
 * section 3, pitfalls.md section 7.15); nor one whose certificate was judged with other roots.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_POOL_H
#define WAXSEAL_QUEUE_DELIVER_POOL_H

#include "lib/base/limits.h"
#include "lib/base/network.h"
#include "lib/io/loop.h"

enum assurance {
    ASSURANCE_NONE,      /* in clear, or nobody asked for more */
    ASSURANCE_ENCRYPTED, /* TLS, with whomever */
    ASSURANCE_VERIFIED,  /* strict TLS, the certificate good for `identity` */
};

/* What a session is, or what mail needs of it. */
struct pool_key {
    struct endpoint remote; /* in a need, family NONE: any address of that MX host */
    char mx[DOMAIN_MAX + 1];
    enum assurance assurance;
    char identity[DOMAIN_MAX + 1]; /* the name that was verified, or must be; "" for none */
    uint64_t trust_generation;
};

/* Pure: is a session with the key `has` good for mail that needs `needs`? */
bool pool_key_serves(const struct pool_key *has, const struct pool_key *needs);

enum { POOL_IDLE_MS = 5 * 1000 };

struct pool;
struct session;

struct pool *pool_new(struct loop *loop);
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
