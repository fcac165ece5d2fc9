/*
 * feed - one file of the drop folder on its way into the queue: a session of smtpd's own code on
 * one end of a socket pair, with its rules, duties and log lines, and on the other end this client,
 * who says what the file says.  Called by smtpd/pickup.
 * A file is the relay's only when the session has said 250 to its final dot, after the commit.
 */
#ifndef WAXSEAL_SMTPD_PICKUP_FEED_H
#define WAXSEAL_SMTPD_PICKUP_FEED_H

#include "smtpd/pickup/drop_file.h"
#include "smtpd/session.h"

struct feed;

enum feed_end {
    FEED_TAKEN,   /* by all recipients, or by some: feed_refusals names the others */
    FEED_LATER,   /* nothing was taken; try again.  feed_refusals says why, if there was a reply */
    FEED_REFUSED, /* for good, nothing was taken; feed_refusals says why */
    FEED_CUT,     /* the file is shorter than it says */
};

typedef void feed_done_fn(void *ctx, struct feed *feed, enum feed_end end);

/* What a feed is made of; outlived by both. */
struct feed_host {
    struct session_host *sessions;
    const struct session_place *place;
    feed_done_fn *done; /* called once, from the loop; then feed_free */
    void *ctx;
};

/*
 * Begins to hand in a message of a user: its envelope's commands, copied, and its content, from a
 * descriptor that is taken.  NULL: there is no socket pair now; the descriptor is closed.
 */
struct feed *feed_start(const struct feed_host *host, uint32_t uid, struct span commands, int fd,
                        uint64_t offset, uint64_t size);
void feed_free(struct feed **feed);

/* One line, each with LF, for each refused recipient, or for the whole message; lent. */
struct span feed_refusals(const struct feed *feed);
/* The reverse-path as its MAIL says it; lent. */
struct span feed_sender(const struct feed *feed);

#endif
