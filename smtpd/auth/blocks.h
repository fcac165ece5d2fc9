/*
 * blocks - who has failed to log in too often, by address and by user name, and until when nobody
 * listens.  Called by smtpd/auth/exchanges.  No clock: time comes in.  Owns two bounded tables;
 * when one is full, what was touched longest ago is forgotten.
 *
 * A user who has logged in from an address is known there: for the two together only their own
 * failures count.  So nobody locks a user out where he usually is by failing in his name elsewhere,
 * and nobody is locked out by the wrong password of a neighbour behind the same address.
 */
#ifndef WAXSEAL_SMTPD_AUTH_BLOCKS_H
#define WAXSEAL_SMTPD_AUTH_BLOCKS_H

#include "lib/base/clock.h"
#include "lib/base/network.h"

enum {
    BLOCKS_MAX = 65536,          /* entries of each table */
    BLOCK_ADDRESS_FAILURES = 10, /* in a row before the first block; of a known pair, too */
    BLOCK_USER_FAILURES = 20,    /* more: anybody may fail in another's name */
    BLOCK_FIRST_MS = MINUTE_MS,  /* doubles with each further failure ... */
    BLOCK_MOST_MS = HOUR_MS,     /* ... up to this */
    BLOCK_USER_MOST_MS = 5 * MINUTE_MS,
    BLOCK_FORGET_MS = HOUR_MS, /* without a failure, behind the end of a block */
};

struct blocks;

struct blocks *blocks_new(void);
void blocks_free(struct blocks **blocks);

/* `client` is an address as text; one IPv6 /64 counts as one. */
bool blocks_is_blocked(struct blocks *blocks, struct span client, struct span user, int64_t now_ms);
/* Has this user logged in from there before? */
bool blocks_knows(const struct blocks *blocks, struct span client, struct span user);
void blocks_failed(struct blocks *blocks, struct span client, struct span user, int64_t now_ms);
/*
 * Forgives the user, and, when he is new there, the address: somebody with one good password must
 * not be able to try others for ever.
 */
void blocks_succeeded(struct blocks *blocks, struct span client, struct span user);

#endif
