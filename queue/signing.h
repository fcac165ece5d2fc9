/*
 * signing - gets the DKIM signatures of messages that are leased from the role sign: reads the
 * header block, asks, keeps the job meanwhile, and says what came of it, once for each ask, after
 * SIGNING_WAIT_MS at the latest (design.md section 3).  Asks outlive the role: its successor gets
 * them.  Called by workers; owns the channel to the role.  What it may keep is bounded by leases.
 * Rules: RFC 6376 s.5.
 */
#ifndef WAXSEAL_QUEUE_SIGNING_H
#define WAXSEAL_QUEUE_SIGNING_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/io/loop.h"
#include "queue/records.pb-c.h"
#include "queue/store.h"

struct signing;

enum {
    SIGNING_HEADER_MAX = HEADER_BYTES_MAX + 16 * 1024, /* what is longer goes unsigned */
    SIGNING_WAIT_MS = 20 * 1000,                       /* for the role, its restarts included */
    SIGNING_DOWN_MS = 1000,     /* the same once it let that go by, until it answers again */
    SIGNING_SAY_MS = 60 * 1000, /* between two warnings that messages wait */
};

/* A message to be signed; lent for the call. */
struct signing_wish {
    uint64_t lease;
    uint64_t id;
    const Queue__MessageRecord *message;
    bool is_over;   /* it has waited long enough: it goes unsigned rather than wait again */
    struct buf job; /* kept, and given back with what came of it; taken */
};

enum signing_outcome {
    SIGNING_DONE,     /* `signatures` and `signed_by` */
    SIGNING_UNSIGNED, /* the job goes as it is, for `because` */
    SIGNING_WAITS,    /* not now, for `because` */
};
struct signing_result {
    uint64_t lease;
    enum signing_outcome outcome;
    struct span signatures; /* whole fields, to be put in front of the content */
    struct span signed_by;
    struct span because; /* in words for people; empty: nobody asks */
    struct buf *job;     /* may be taken; else it is freed */
};
typedef void signing_done_fn(void *ctx, const struct signing_result *result);

/* `wait_ms`: SIGNING_WAIT_MS, `down_ms`: SIGNING_DOWN_MS.  One ask that waited so long in vain
 * speaks for all there are: what waits here takes a worker's place from mail that needs no
 * signature.  A role that says nothing meanwhile is refused, on which the supervisor replaces it.
 */
struct signing *signing_new(struct loop *loop, struct store *store, int64_t wait_ms,
                            int64_t down_ms, signing_done_fn *done, void *ctx);
void signing_free(struct signing **signing);

/* Is anything signed at all?  What is asked for while it is not goes, or waits, unsigned. */
void signing_set(struct signing *signing, bool is_on);
bool signing_is_on(const struct signing *signing);

/* A channel to the role, new or restarted; takes the descriptor. */
void signing_attach(struct signing *signing, int fd);

/* `done` comes later, never from inside. */
void signing_begin(struct signing *signing, const struct signing_wish *wish);
/* It does not come any more. */
void signing_forget(struct signing *signing, uint64_t lease);

#endif
