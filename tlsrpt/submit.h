/*
 * submit - hands a report to the queue as mail of ours (RFC 8460 s.3: no policy stops it, and
 * nothing of its sessions is counted).  Called by sending.  Under a key: however often it is handed
 * in within three days it goes into the queue once (design.md section 6).
 */
#ifndef WAXSEAL_TLSRPT_SUBMIT_H
#define WAXSEAL_TLSRPT_SUBMIT_H

#include "lib/base/settings.h"
#include "lib/ipc/queue_client.h"

struct submit;

enum { SUBMIT_WAIT_MS = 10 * 60 * 1000 }; /* for the queue to take it */

struct submit_facts {
    const struct settings
        *settings;    /* who sends, as what host, and which signatures it will need */
    struct span once; /* the key */
    struct span to;   /* a mailbox */
    int64_t now_utc_ms;
    struct span
        content; /* with CRLF; stays the caller's until `done` or cancel.  Empty: too large */
};

/* What came of it; `id` is the queue's when it was taken.  `reason` is for people. */
typedef void submit_done_fn(void *ctx, bool taken, uint64_t id, const char *reason);

/*
 * `done` is called exactly once, from the loop, unless cancelled; so it is when there is no queue
 * just now, or an address is none.
 */
struct submit *submit_start(struct loop *loop, struct queue_client *queue,
                            const struct submit_facts *facts, submit_done_fn *done, void *ctx);
void submit_cancel(struct submit **submit);

#endif
