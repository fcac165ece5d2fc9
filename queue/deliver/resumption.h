/*
 * resumption - TLS sessions of this worker that later connections may resume.  Called by dialogue.
 * Owns what it keeps, within bounds of number and age (lib/base/limits.h).
 * A resumed session is never verified again, so each is kept under all that its verdict hung on:
 * the pool's key (address, MX name, level, identity, trust), and the TLS floor.  Only equal keys
 * find each other: more assurance than needed does not do here (pitfalls.md section 5).
 */
#ifndef WAXSEAL_QUEUE_DELIVER_RESUMPTION_H
#define WAXSEAL_QUEUE_DELIVER_RESUMPTION_H

#include "lib/io/tls_resumption.h"
#include "queue/deliver/pool_key.h"

struct resumption;

struct resumption_key {
    struct pool_key pool; /* as needed, with the address */
    enum tls_floor floor;
};

struct resumption *resumption_new(void);
void resumption_free(struct resumption **cache);

/*
 * Keeps a session; *resumable is taken.  One that was not verified is dropped where the floor is
 * strict: a host that mends its certificate is to be seen at once.
 */
void resumption_put(struct resumption *cache, const struct resumption_key *key,
                    struct tls_resumable **resumable, int64_t now_ms);
/* A session to resume, the caller's; NULL when there is none that is good for this key now. */
struct tls_resumable *resumption_take(struct resumption *cache, const struct resumption_key *key,
                                      int64_t now_ms, int64_t utc_ms);
/* A host stumbled over it: nothing of that key is offered again. */
void resumption_forget(struct resumption *cache, const struct resumption_key *key);
/* Other roots are in force: nothing that was verified by the old ones is found again. */
void resumption_clear(struct resumption *cache);

unsigned resumption_count(const struct resumption *cache);

#endif
