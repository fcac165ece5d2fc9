/*
 * race - the first of several addresses to answer: two connects at most, the second with 250 ms of
 * delay or when the first has failed; the loser is closed unread (design.md section 11, RFC 8305).
 * Called by attempt, which gets the winner as a dialogue that waits for the greeting.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_RACE_H
#define WAXSEAL_QUEUE_DELIVER_RACE_H

#include "queue/deliver/dialogue.h"

enum { RACE_HEAD_START_MS = 250 };

struct race;

/* Called from the loop. */
struct race_events {
    /* A connect is made, whatever comes of it; NULL where nobody counts them. */
    void (*begun)(void *ctx);
    /* One address is out of it. */
    void (*lost)(void *ctx, const struct endpoint *remote, const struct dialogue_end *end);
    /* It had a head start, and another one won all the same; called before `won`. */
    void (*outrun)(void *ctx, const struct endpoint *remote);
    /* The connection stands; the dialogue is the owner's, who binds it at once.  The race is over.
     */
    void (*won)(void *ctx, struct dialogue *winner);
    /* None is left.  The race is over. */
    void (*used_up)(void *ctx);
};

/* `addresses` are copied; at least one, at most MX_ADDRESSES_MAX.  `plan` as in dialogue.h. */
struct race *race_start(struct loop *loop, const struct ip_address *addresses, unsigned count,
                        uint16_t port, const struct dialogue_plan *plan,
                        const struct race_events *events, void *ctx);
void race_cancel(struct race **race);

#endif
