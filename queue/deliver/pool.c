#include "queue/deliver/pool.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "queue/deliver/lane.h"

#include <stdlib.h>

struct pool {
    struct loop *loop;
    struct list idle; /* the oldest first */
    unsigned count;
    struct loop_timer *sweep;
};

static bool is_same_address(const struct endpoint *has, const struct endpoint *needs)
{
    return has->port == needs->port && (needs->address.family == ADDRESS_NONE ||
                                        ip_address_equal(&has->address, &needs->address));
}

bool pool_key_serves(const struct pool_key *has, const struct pool_key *needs)
{
    if (!is_same_address(&has->remote, &needs->remote))
        return false;
    if (!span_equal_nocase(span_of(has->mx), span_of(needs->mx)))
        return false;
    if (has->trust_generation != needs->trust_generation)
        return false;
    if (has->assurance < needs->assurance)
        return false;
    return needs->assurance != ASSURANCE_VERIFIED ||
           (needs->identity[0] != '\0' &&
            span_equal_nocase(span_of(has->identity), span_of(needs->identity)));
}

static void pool_drop(struct pool *pool, struct session *session)
{
    list_remove(&session->others);
    pool->count--;
}

/* An idle session hears only that it is over. */
static void on_ended(void *ctx, struct dialogue *d, const struct dialogue_end *end)
{
    struct session *session = ctx;

    (void)d;
    (void)end;
    session->dialogue = NULL; /* it frees itself */
    pool_drop(session->lane->worker->pool, session);
    session_free(&session);
}

static const struct dialogue_events idle_events = { .ended = on_ended };

static void on_sweep(void *ctx)
{
    struct pool *pool = ctx;
    int64_t now_ms = loop_now(pool->loop);
    struct session *session;

    LIST_EACH(session, &pool->idle, struct session, others)
    {
        if (now_ms - session->idle_since_ms < POOL_IDLE_MS)
            continue;
        pool_drop(pool, session);
        session_free(&session);
    }
    if (!list_empty(&pool->idle))
        loop_timer_start(pool->sweep, SECOND_MS);
}

struct pool *pool_new(struct loop *loop)
{
    struct pool *pool = memory_new(sizeof(*pool));

    pool->loop = loop;
    list_init(&pool->idle);
    pool->sweep = loop_timer_new(loop, on_sweep, pool);
    return pool;
}

void pool_free(struct pool **pool)
{
    if (!*pool)
        return;
    while (pool_end_oldest(*pool))
        ;
    loop_timer_free(&(*pool)->sweep);
    free(*pool);
    *pool = NULL;
}

void pool_put(struct pool *pool, struct session **session)
{
    struct session *s = *session;

    *session = NULL;
    dialogue_bind(s->dialogue, &idle_events, s);
    s->idle_since_ms = loop_now(pool->loop);
    list_append(&pool->idle, &s->others);
    pool->count++;
    if (!loop_timer_running(pool->sweep))
        loop_timer_start(pool->sweep, SECOND_MS);
}

struct session *pool_take(struct pool *pool, const struct pool_key *needs)
{
    for (struct list *at = pool->idle.prev; at != &pool->idle; at = at->prev) {
        struct session *session = LIST_ITEM(at, struct session, others);
        if (!pool_key_serves(&session->key, needs))
            continue;
        pool_drop(pool, session);
        return session;
    }
    return NULL;
}

bool pool_end_oldest(struct pool *pool)
{
    struct session *session;

    if (list_empty(&pool->idle))
        return false;
    session = LIST_FIRST(&pool->idle, struct session, others);
    pool_drop(pool, session);
    session_free(&session);
    return true;
}

unsigned pool_count(const struct pool *pool)
{
    return pool->count;
}
