#include "queue/departures.h"

#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/store_manage.h"

/* The messages a dead worker held, on their way to being marked. */
struct burial {
    struct operation operation; /* first */
    struct dispatch *dispatch;
    struct deaths *deaths;
    struct list leases;
};

static struct error *apply_burial(struct operation *operation, struct store_txn *txn)
{
    struct burial *burial = (struct burial *)operation;

    return burial->deaths->operation.apply(&burial->deaths->operation, txn);
}

static void say_held(const struct deaths *deaths)
{
    for (size_t i = 0; i < deaths->held_count; i++) {
        struct log_line line;
        log_begin(&line, LOG_ERROR, "held");
        log_qid(&line, deaths->held[i]);
        log_string(&line, "why", "three delivery workers died while they held this message");
        log_end(&line);
    }
}

static void on_deaths_counted(struct operation *operation, enum operation_outcome outcome)
{
    struct burial *burial = (struct burial *)operation;
    struct lease *lease;

    if (outcome == OPERATION_COMMITTED)
        say_held(burial->deaths);
    LIST_EACH(lease, &burial->leases, struct lease, of_worker)
    {
        list_remove(&lease->of_worker);
        dispatch_return(burial->dispatch, &lease, false);
    }
    dispatch_look(burial->dispatch);
    deaths_free(&burial->deaths);
    free(burial);
}

/* Each message once, however many leases it had. */
static struct deaths *deaths_of(const struct list *leases, unsigned count)
{
    uint64_t *ids = memory_new_array(count, sizeof(*ids));
    struct lease *lease;
    size_t used = 0;

    LIST_EACH(lease, leases, struct lease, of_worker)
    {
        size_t at = 0;
        while (at < used && ids[at] != lease->id)
            at++;
        if (at == used)
            ids[used++] = lease->id;
    }
    struct deaths *deaths = deaths_new(ids, used);
    free(ids);
    return deaths;
}

/* Takes from a worker what it has no outcome of; gives how many.  The others end when settled. */
static unsigned release(struct dispatch *dispatch, struct list *leases, struct list *out_held)
{
    struct lease *lease;
    unsigned count = 0;

    list_init(out_held);
    LIST_EACH(lease, leases, struct lease, of_worker)
    {
        lease->holder = NULL;
        list_remove(&lease->of_worker);
        if (lease->settling)
            continue;
        dispatch_leave(dispatch, lease, NULL, HOP_SAID_NOTHING);
        list_append(out_held, &lease->of_worker);
        count++;
    }
    return count;
}

/* Whatever a worker held when it went may have been what killed it (design.md section 2). */
void departure_bury(struct dispatch *dispatch, struct committer *committer, struct list *leases)
{
    struct list held;
    unsigned count = release(dispatch, leases, &held);

    if (count == 0)
        return;
    struct burial *burial = memory_new(sizeof(*burial));
    burial->dispatch = dispatch;
    burial->deaths = deaths_of(&held, count);
    list_init(&burial->leases);
    list_splice(&burial->leases, &held);
    burial->operation = burial->deaths->operation;
    burial->operation.apply = apply_burial;
    burial->operation.done = on_deaths_counted;
    committer_add(committer, &burial->operation);
}

/* A worker that was told to end has not died of its mail. */
void departure_take_back(struct dispatch *dispatch, struct list *leases)
{
    struct lease *lease;
    struct list held;

    (void)release(dispatch, leases, &held);
    LIST_EACH(lease, &held, struct lease, of_worker)
    {
        list_remove(&lease->of_worker);
        dispatch_return(dispatch, &lease, false);
    }
}

void departure_let_go(struct list *leases)
{
    struct lease *lease;

    LIST_EACH(lease, leases, struct lease, of_worker)
    {
        list_remove(&lease->of_worker);
        lease->holder = NULL;
    }
}
