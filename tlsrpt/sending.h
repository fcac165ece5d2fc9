/*
 * sending - one report on its way to the destinations that are due: composed once, posted to all
 * HTTPS hosts at the same time, handed to the queue for one mailbox after the other.  Called by
 * postman.  What it is about to do, and what came of it, stands in the outbox first and at once, so
 * that a crash doubles nothing but a post whose 2xx could not be recorded (design.md section 6).
 */
#ifndef WAXSEAL_TLSRPT_SENDING_H
#define WAXSEAL_TLSRPT_SENDING_H

#include "lib/ipc/queue_client.h"
#include "tlsrpt/outbox.h"
#include "tlsrpt/post.h"
#include "tlsrpt/tally.h"

struct sending;

/* What sends; all of it outlives what is sent. */
struct sending_tools {
    struct loop *loop;
    const struct settings *settings; /* those in force; whoever changes them puts them here */
    struct tally *tally;
    struct outbox *outbox;
    struct queue_client *queue;
    struct post_tools post;
};

/* `record` is as it stands in the outbox now, lent; NULL when it could not be begun for want of
 * room on the disk. */
typedef void sending_done_fn(void *ctx, const Tlsrpt__OutboxRecord *record);

/*
 * Sends the report whose record this is, which it takes.  `all`: to each destination that has not
 * taken it, whatever became of it so far and whenever it is due; for the operator.  `done` is
 * called exactly once, from the loop, unless cancelled.
 */
struct sending *sending_start(const struct sending_tools *tools, const struct subject *subject,
                              Tlsrpt__OutboxRecord **record, bool all, sending_done_fn *done,
                              void *ctx);
void sending_cancel(struct sending **sending);

const struct subject *sending_subject(const struct sending *sending);

#endif
