#include "supervisor/pairs.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLOSED_WAIT_MS = 2 * SECOND_MS };

struct pair {
    struct list others;
    unsigned number; /* never zero */
    struct process *ends[2];
    struct process *teller; /* who says that it was closed; NULL: nobody */
    int64_t due_ms;         /* then we take its word for it */
};

struct pairs {
    struct loop *loop;
    struct loop_timer *due;
    struct list all;
    unsigned last_number;
    pairs_broken_fn *on_broken;
    void *ctx;
};

static void pair_free(struct pair *pair)
{
    list_remove(&pair->others);
    free(pair);
}

/* Takes the pair out before anybody acts upon it. */
static void tell(struct pairs *pairs, struct pair *pair, struct process *teller, struct span why)
{
    struct process *peer = pair->ends[0] == teller ? pair->ends[1] : pair->ends[0];

    pair_free(pair);
    pairs->on_broken(pairs->ctx, teller, peer, why);
}

static struct pair *next_due(const struct pairs *pairs)
{
    struct pair *pair, *first = NULL;

    LIST_EACH(pair, (struct list *)(uintptr_t)&pairs->all, struct pair, others)
    if (pair->teller && (!first || pair->due_ms < first->due_ms))
        first = pair;
    return first;
}

static void on_due(void *ctx)
{
    struct pairs *pairs = ctx;
    int64_t now = loop_now(pairs->loop);
    struct pair *pair;

    while ((pair = next_due(pairs)) != NULL && pair->due_ms <= now)
        tell(pairs, pair, pair->teller, SPAN("it closed the channel"));
    if (pair)
        loop_timer_start(pairs->due, pair->due_ms - now);
}

struct pairs *pairs_new(struct loop *loop, pairs_broken_fn *on_broken, void *ctx)
{
    struct pairs *pairs = memory_new(sizeof(*pairs));

    pairs->loop = loop;
    pairs->due = loop_timer_new(loop, on_due, pairs);
    pairs->on_broken = on_broken;
    pairs->ctx = ctx;
    list_init(&pairs->all);
    return pairs;
}

void pairs_free(struct pairs **pairs)
{
    if (!*pairs)
        return;
    while (!list_empty(&(*pairs)->all))
        pair_free(LIST_FIRST(&(*pairs)->all, struct pair, others));
    loop_timer_free(&(*pairs)->due);
    free(*pairs);
    *pairs = NULL;
}

void pairs_join(struct pairs *pairs, struct process *a, struct process *b)
{
    struct pair *pair;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        struct error *err = error_errno(ERROR_LOCAL, errno, "socket pair of two roles");
        log_failure(LOG_ERROR, "roles-apart", err);
        error_free(&err);
        return;
    }
    pair = memory_new(sizeof(*pair));
    if (++pairs->last_number == 0)
        pairs->last_number = 1;
    pair->number = pairs->last_number;
    pair->ends[0] = a;
    pair->ends[1] = b;
    list_append(&pairs->all, &pair->others);
    process_hand_peer(a, b, pair->number, fds[0]);
    process_hand_peer(b, a, pair->number, fds[1]);
}

void pairs_forget(struct pairs *pairs, const struct process *process)
{
    struct pair *pair;

    LIST_EACH(pair, &pairs->all, struct pair, others)
    if (pair->ends[0] == process || pair->ends[1] == process)
        pair_free(pair);
}

static struct pair *pair_of(struct pairs *pairs, unsigned number, const struct process *end)
{
    struct pair *pair;

    LIST_EACH(pair, &pairs->all, struct pair, others)
    if (pair->number == number)
        return pair->ends[0] == end || pair->ends[1] == end ? pair : NULL;
    return NULL;
}

void pairs_lost(struct pairs *pairs, struct process *teller, unsigned number, struct span why)
{
    struct pair *pair = pair_of(pairs, number, teller);

    if (!pair)
        return;
    if (why.len > 0) {
        tell(pairs, pair, teller, why);
    } else if (!pair->teller) {
        pair->teller = teller;
        pair->due_ms = loop_now(pairs->loop) + CLOSED_WAIT_MS;
        if (!loop_timer_running(pairs->due))
            loop_timer_start(pairs->due, CLOSED_WAIT_MS);
    } else if (process_row(pair->teller)->exposure > process_row(teller)->exposure) {
        pair->teller = teller; /* each says it of the other */
    }
}
