/*
 * resolver_channel - one c-ares channel to one DNS server on the loop.  Called by resolver alone.
 * It sends single questions and hands back the raw reply; which server to ask, when to give up and
 * what a reply means is the resolver's.  A channel that should not be used any more is retired: it
 * ends what it has under way and then goes by itself.
 */
#ifndef WAXSEAL_IO_RESOLVER_CHANNEL_H
#define WAXSEAL_IO_RESOLVER_CHANNEL_H

#include "lib/base/list.h"
#include "lib/base/network.h"
#include "lib/io/loop.h"

struct resolver_channel;
struct resolver_request;

/* What became of a question. */
enum channel_reply {
    CHANNEL_REPLIED, /* with whatever rcode */
    CHANNEL_TIMED_OUT,
    CHANNEL_REFUSED,    /* nobody listens there, or no way to there */
    CHANNEL_MISMATCHED, /* the reply's question is not spelt as ours: perhaps forged */
    CHANNEL_FAILED,
};

/* From the loop or from within channel_ask; `reply` is lent.  The request is gone afterwards. */
typedef void channel_replied_fn(void *ctx, enum channel_reply how, struct span reply);

/* A channel over UDP, with TCP for truncated answers, or over TCP alone. */
struct error *resolver_channel_new(struct loop *loop, const struct endpoint *server, bool tcp,
                                   struct resolver_channel **out_channel) MUST_CHECK;

/*
 * No new question; frees itself when those under way have ended, and is among the retirees until
 * then.  Sets *channel to NULL.
 */
void resolver_channel_retire(struct resolver_channel **channel, struct list *retirees);

/* All of them, at once; as below. */
void resolver_channels_free(struct list *retirees);

/* Ends it at once; no callback comes.  Not from within one. */
void resolver_channel_free(struct resolver_channel **channel);

/* Has it asked enough (pitfalls.md section 3), or seen what makes a new one advisable? */
bool channel_is_worn(const struct resolver_channel *channel);

/* Asks, with recursion and AD wanted.  NULL when `replied` was called already. */
struct resolver_request *resolver_channel_ask(struct resolver_channel *channel, const char *name,
                                              int type, channel_replied_fn *replied, void *ctx);

/* Nobody wants the reply any more. */
void resolver_channel_forget(struct resolver_request **request);

#endif
