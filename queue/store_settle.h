/*
 * store_settle - what came of an attempt goes into the store: recipients delivered, given up, or
 * due again; the sender's notification as a new message in the same transaction; the hop's state.
 * Called by workers.  Idempotent: an outcome applied before changes nothing.
 */
#ifndef WAXSEAL_QUEUE_STORE_SETTLE_H
#define WAXSEAL_QUEUE_STORE_SETTLE_H

#include "lib/ipc/queue.pb-c.h"
#include "lib/mail/address.h"
#include "queue/committer.h"
#include "queue/store_notify.h"

enum settled_as {
    SETTLED_DELIVERED,
    SETTLED_DEFERRED,
    SETTLED_FAILED,
    SETTLED_EXPIRED,
    SETTLED_WAITS_FOR_POLICY,
    SETTLED_WAITS_FOR_SIGNATURES,
};

/* What became of one recipient, for the log. */
struct settled {
    char recipient[ADDRESS_MAX + 1];
    enum settled_as as;
    int64_t delay_ms;          /* since acceptance */
    int64_t next_ms;           /* with DEFERRED and those that wait for something */
    const Ipc__Result *result; /* lent from the outcome */
};

struct history_act;

/* The caller embeds it, fills it in, sets operation.done, and calls settle_clear there. */
struct settle {
    struct operation operation;
    Ipc__Outcome *outcome;         /* owned; its results are checked to be the lease's */
    bool last_attempt;             /* the attempt was begun past the end of the message's life */
    struct notices notices;        /* the caller sets its settings */
    const struct history_act *act; /* no attempt, but an operator's doing; or NULL */
    /* what came of it */
    struct settled *settled;
    size_t count;
    bool hop_revived; /* its next hop had failed, and took this after its rest */
};
void settle_prepare(struct settle *settle);
void settle_clear(struct settle *settle);

#endif
