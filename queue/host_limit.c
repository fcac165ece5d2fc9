#include "queue/host_limit.h"

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned between(unsigned least, unsigned number, unsigned most)
{
    return number < least ? least : smaller(number, most);
}

static void forget(struct host_limit *limit, unsigned now)
{
    *limit = (struct host_limit){ .limit = now, .trouble_ms = limit->trouble_ms };
}

void host_limit_init(struct host_limit *limit, unsigned cap)
{
    *limit = (struct host_limit){ .limit = smaller(HOST_LIMIT_FIRST, cap) };
}

static void next_goal(struct host_limit *limit, unsigned cap, unsigned step)
{
    limit->step = smaller(step, cap);
    limit->goal = smaller(limit->limit + limit->step, cap);
}

void host_limit_restore(struct host_limit *limit, unsigned cap)
{
    if (limit->limit == 0 || limit->limit >= cap) {
        host_limit_init(limit, cap);
        return;
    }
    limit->is_learned = true;
    next_goal(limit, cap, between(1, limit->step, cap));
    if (limit->wait_ms < HOST_LIMIT_WAIT_MS || limit->wait_ms > HOST_LIMIT_WAIT_MAX_MS)
        limit->wait_ms = HOST_LIMIT_WAIT_MS;
}

/* A time beyond the longest wait was written before the clock was stepped back. */
static bool may_probe(const struct host_limit *limit, int64_t now_ms)
{
    return now_ms >= limit->probe_ms || limit->probe_ms - now_ms > HOST_LIMIT_WAIT_MAX_MS;
}

unsigned host_limit_now(const struct host_limit *limit, unsigned cap, int64_t now_ms)
{
    unsigned now = limit->limit;

    if (limit->is_learned && may_probe(limit, now_ms))
        now = limit->goal;
    return smaller(now, cap);
}

bool host_limit_is_probe(const struct host_limit *limit, unsigned open)
{
    return limit->is_learned && open >= limit->limit;
}

static void grow(struct host_limit *limit, unsigned cap, unsigned standing)
{
    if (standing >= limit->limit)
        limit->limit = smaller(2 * limit->limit, cap);
}

void host_limit_stood(struct host_limit *limit, unsigned cap, unsigned standing, bool probe,
                      int64_t now_ms)
{
    if (!limit->is_learned) {
        grow(limit, cap, standing);
        return;
    }
    if (standing <= limit->limit)
        return;
    limit->limit = smaller(standing, cap);
    if (limit->limit >= cap - cap / 16) {
        forget(limit, cap);
    } else if (!probe) { /* it was on its way when the last one was refused */
        next_goal(limit, cap, limit->step);
    } else if (standing >= limit->goal - limit->step / 4) { /* others may have ended meanwhile */
        next_goal(limit, cap, 2 * limit->step);
        limit->wait_ms = HOST_LIMIT_WAIT_MS;
        limit->probe_ms = now_ms + HOST_LIMIT_PACE_MS;
    }
}

void host_limit_refused(struct host_limit *limit, unsigned cap, unsigned standing, bool probe,
                        int64_t now_ms)
{
    if (!limit->is_learned)
        limit->wait_ms = HOST_LIMIT_WAIT_MS;
    else if (probe && may_probe(limit, now_ms)) /* the first of those that were tried together */
        limit->wait_ms = 2 * limit->wait_ms < HOST_LIMIT_WAIT_MAX_MS ? 2 * limit->wait_ms
                                                                     : HOST_LIMIT_WAIT_MAX_MS;
    limit->is_learned = true;
    limit->limit = between(1, standing, cap);
    next_goal(limit, cap, 1);
    limit->probe_ms = now_ms + limit->wait_ms;
    limit->trouble_ms = now_ms;
}

int64_t host_limit_expiry(const struct host_limit *limit)
{
    return limit->is_learned ? limit->trouble_ms + HOST_LIMIT_KEPT_MS : 0;
}
