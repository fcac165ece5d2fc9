#include "queue/deliver/pool.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "queue/deliver/lane.h"

#include <stdlib.h>

/* The idle sessions with one MX host. */
struct pool_host {
    struct list sessions; /* the oldest first */
};

struct pool {
    struct loop *loop;
    int64_t idle_ms;
    struct list idle;  /* all of them, the oldest first */
    struct map *hosts; /* by MX name in lower case */
    unsigned count;
    struct loop_timer *sweep;
};

static struct span lower_name(const char *mx, char room[DOMAIN_MAX + 1])
{
    size_t len = 0;

    for (; len < DOMAIN_MAX && mx[len] != '\0'; len++)
        room[len] = ascii_lower(mx[len]);
    room[len] = '\0';
    return (struct span){ room, len };
}

static struct pool_host *host_of(const struct pool *pool, const char *mx)
{
    char room[DOMAIN_MAX + 1];

    return map_get(pool->hosts, lower_name(mx, room));
}

static void host_add(struct pool *pool, struct session *session)
{
    char room[DOMAIN_MAX + 1];

    session->host = host_of(pool, session->key.mx);
    if (!session->host) {
        session->host = memory_new(sizeof(*session->host));
        list_init(&session->host->sessions);
        map_put(pool->hosts, lower_name(session->key.mx, room), session->host);
    }
    list_append(&session->host->sessions, &session->of_host);
}

static void host_remove(struct pool *pool, struct session *session)
{
    char room[DOMAIN_MAX + 1];

    list_remove(&session->of_host);
    if (list_empty(&session->host->sessions)) {
        map_remove(pool->hosts, lower_name(session->key.mx, room));
        free(session->host);
    }
    session->host = NULL;
}

static void pool_drop(struct pool *pool, struct session *session)
{
    list_remove(&session->others);
    host_remove(pool, session);
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
        if (now_ms - session->idle_since_ms < pool->idle_ms &&
            !dialogue_is_spent(session->dialogue))
            continue;
        pool_drop(pool, session);
        session_free(&session);
    }
    if (!list_empty(&pool->idle))
        loop_timer_start(pool->sweep, SECOND_MS);
}

struct pool *pool_new(struct loop *loop, int64_t idle_ms)
{
    struct pool *pool = memory_new(sizeof(*pool));

    pool->loop = loop;
    pool->idle_ms = idle_ms;
    list_init(&pool->idle);
    pool->hosts = map_new();
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
    map_free(&(*pool)->hosts);
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
    host_add(pool, s);
    pool->count++;
    if (!loop_timer_running(pool->sweep))
        loop_timer_start(pool->sweep, SECOND_MS);
}

struct session *pool_take(struct pool *pool, const struct pool_key *needs)
{
    const struct pool_host *host = host_of(pool, needs->mx);

    for (struct list *at = host ? host->sessions.prev : NULL; at && at != &host->sessions;
         at = at->prev) {
        struct session *session = LIST_ITEM(at, struct session, of_host);
        if (!pool_key_serves(&session->key, needs) || dialogue_is_spent(session->dialogue))
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
