/*
 * postman - sees to it that each day's reports are sent: when a UTC day has ended it decides for
 * each subject where its report goes and when, and then sends what is due, a few at a time.
 * Called by the tlsrpt role.  All that it has to remember stands in the outbox; a relay that was
 * away catches up.
 */
#ifndef WAXSEAL_TLSRPT_POSTMAN_H
#define WAXSEAL_TLSRPT_POSTMAN_H

#include "tlsrpt/counting.h"
#include "tlsrpt/draft.h"
#include "tlsrpt/sending.h"

struct postman;

enum {
    POSTMAN_AT_ONCE = 8,  /* reports under way */
    POSTMAN_BATCH = 64,   /* subjects decided on in one turn */
    POSTMAN_ASKED_MAX = 4 /* besides, for the operator */
};

/*
 * Tools and counting, which it has look up once more who wants reports where nobody could tell,
 * stay the caller's and outlive it.  It begins to look at once.
 */
struct postman *postman_new(const struct sending_tools *tools, struct counting *counting);
/* What is under way is broken off; the outbox knows that it was begun. */
void postman_free(struct postman **postman);

/* Settings have changed: looks anew, soon. */
void postman_settings_changed(struct postman *postman);

/* The queue has come or gone: without it nothing is begun. */
void postman_queue_changed(struct postman *postman);

/* Begins nothing any more; `idle` is called, once and from the loop, when nothing is under way. */
void postman_stop(struct postman *postman, void (*idle)(void *ctx), void *ctx);

/*
 * Sends a report at once, to all that have not taken it.  Gives NULL, and calls `done` later; or
 * says why it cannot (then `done` is not called).
 */
const char *postman_send(struct postman *postman, const struct subject *subject,
                         sending_done_fn *done, void *ctx);

#endif
