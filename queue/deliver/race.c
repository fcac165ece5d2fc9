#include "queue/deliver/race.h"

#include "lib/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNNERS_MAX = 2 };

struct race {
    struct loop *loop;
    struct ip_address addresses[MX_ADDRESSES_MAX];
    unsigned count;
    unsigned started;
    uint16_t port;
    struct dialogue_plan plan;
    char mx[DOMAIN_MAX + 1];
    struct dialogue *runners[RUNNERS_MAX];
    struct loop_timer *head_start;
    const struct race_events *events;
    void *ctx;
};

static void on_connected(void *ctx, struct dialogue *d);
static void on_ended(void *ctx, struct dialogue *d, const struct dialogue_end *end);

static const struct dialogue_events runner_events = {
    .connected = on_connected,
    .ended = on_ended,
};

static void race_free(struct race *race)
{
    for (int i = 0; i < RUNNERS_MAX; i++)
        dialogue_free(&race->runners[i]);
    loop_timer_free(&race->head_start);
    tls_context_free(&race->plan.context);
    free(race);
}

static struct dialogue **runner_of(struct race *race, const struct dialogue *d)
{
    return race->runners[0] == d ? &race->runners[0] : &race->runners[1];
}

/* Sends the next address off, if one is left and there is room for it. */
static void race_start_next(struct race *race)
{
    struct dialogue **runner = runner_of(race, NULL);
    struct endpoint remote;

    if (race->started == race->count || *runner)
        return;
    remote = (struct endpoint){ race->addresses[race->started++], race->port };
    if (race->events->begun)
        race->events->begun(race->ctx);
    *runner = dialogue_connect(race->loop, &remote, &race->plan, &runner_events, race);
    if (race->started < race->count)
        loop_timer_start(race->head_start, RACE_HEAD_START_MS);
}

static void on_head_start_over(void *ctx)
{
    race_start_next(ctx);
}

/* The other runner began before the winner: where addresses are in order, their order tells. */
static void tell_outrun(const struct race *race, const struct dialogue *winner)
{
    const struct dialogue *other = race->runners[0] ? race->runners[0] : race->runners[1];
    const struct endpoint *remote = other ? &dialogue_facts(other)->remote : NULL;

    if (!other)
        return;
    for (unsigned i = 0; i < race->started; i++) {
        if (ip_address_equal(&race->addresses[i], &dialogue_facts(winner)->remote.address))
            return;
        if (ip_address_equal(&race->addresses[i], &remote->address))
            break;
    }
    race->events->outrun(race->ctx, remote);
}

static void on_connected(void *ctx, struct dialogue *d)
{
    struct race *race = ctx;
    const struct race_events *events = race->events;
    void *owner = race->ctx;

    *runner_of(race, d) = NULL;
    tell_outrun(race, d);
    race_free(race);
    events->won(owner, d);
}

static void on_ended(void *ctx, struct dialogue *d, const struct dialogue_end *end)
{
    struct race *race = ctx;
    const struct race_events *events = race->events;
    void *owner = race->ctx;

    *runner_of(race, d) = NULL;
    events->lost(owner, &dialogue_facts(d)->remote, end);
    race_start_next(race);
    if (race->runners[0] || race->runners[1])
        return;
    race_free(race);
    events->used_up(owner);
}

struct race *race_start(struct loop *loop, const struct ip_address *addresses, unsigned count,
                        uint16_t port, const struct dialogue_plan *plan,
                        const struct race_events *events, void *ctx)
{
    struct race *race = memory_new(sizeof(*race));

    ensure(count > 0 && count <= MX_ADDRESSES_MAX);
    race->loop = loop;
    memcpy(race->addresses, addresses, count * sizeof(*addresses));
    race->count = count;
    race->port = port;
    race->plan = *plan;
    race->plan.context = tls_context_keep(plan->context);
    snprintf(race->mx, sizeof(race->mx), "%s", plan->mx);
    race->plan.mx = race->mx;
    race->events = events;
    race->ctx = ctx;
    race->head_start = loop_timer_new(loop, on_head_start_over, race);
    race_start_next(race);
    return race;
}

void race_cancel(struct race **race)
{
    if (*race)
        race_free(*race);
    *race = NULL;
}
