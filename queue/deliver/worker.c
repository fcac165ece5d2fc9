#include "queue/deliver/worker.h"

#include <string.h>
#include <sys/resource.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "queue/deliver/attempt.h"
#include "queue/deliver/lane.h"

enum {
    SILENCE_MANY_MS = 10 * 1000, /* for a greeting, when many are parked, ... */
    SILENCE_CROWD_MS = 2 * 1000, /* ... or very many */
    FILES_PER_PARKED = 4,        /* of the descriptors we may have */
};

struct tls_context *worker_context(const struct worker *worker, const struct rung *rung)
{
    return rung->use_tls ? worker->contexts[rung->floor][rung->hello] : NULL;
}

bool worker_has_seat(struct worker *worker)
{
    unsigned seats = worker->settings->deliver_connections;

    if (worker->greetings > 0 && worker->greetings >= seats / 2)
        return false; /* silent hosts never starve good ones (design.md section 3) */
    return worker->seats < seats || pool_end_oldest(worker->pool);
}

void worker_size_parking(struct worker *worker)
{
    unsigned most = worker->settings->deliver_connections * SILENT_PER_CONNECTION;
    struct rlimit files;

    worker->parked_max = most < SILENT_MAX ? most : SILENT_MAX;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
        worker->parked_max > files.rlim_cur / FILES_PER_PARKED)
        worker->parked_max = (unsigned)(files.rlim_cur / FILES_PER_PARKED);
}

static void park_silent(struct worker *worker)
{
    int64_t now_ms = loop_now(worker->loop);
    struct session *session;

    LIST_EACH(session, &worker->waiting, struct session, of_waiting)
    {
        if (worker->parked_count >= worker->parked_max ||
            now_ms - session->waits_since_ms < SILENT_PARK_MS)
            return;
        session_park(session);
    }
}

/*
 * How long a first attempt waits for a greeting (RFC 5321 s.4.5.3.2.1: five minutes, of a later
 * attempt and as long as not very many wait): the shorter, the more are parked.
 */
static int64_t patience_ms(const struct worker *worker)
{
    unsigned half = worker->parked_max / 2;

    if (worker->parked_count <= half)
        return INT64_MAX;
    return worker->parked_count <= half + half / 4 ? SILENCE_MANY_MS : SILENCE_CROWD_MS;
}

static bool end_one_silent(struct worker *worker)
{
    int64_t now_ms = loop_now(worker->loop);
    struct session *session;

    LIST_EACH(session, &worker->parked, struct session, of_waiting)
    {
        if (now_ms - session->waits_since_ms < patience_ms(worker))
            return false;
        if (attempt_end_silent(session))
            return true;
    }
    return false;
}

void worker_end_silent(struct worker *worker)
{
    park_silent(worker);
    while (end_one_silent(worker))
        ;
    worker_watch_silence(worker);
}

void worker_watch_silence(struct worker *worker)
{
    bool watches = !list_empty(&worker->waiting) || patience_ms(worker) != INT64_MAX;

    if (watches && !loop_timer_running(worker->silence))
        loop_timer_start(worker->silence, SILENT_LOOK_MS);
}

void worker_seat_is_free(struct worker *worker)
{
    if (!list_empty(&worker->starving))
        loop_defer(worker->loop, &worker->turn);
}

void worker_serve_starving(struct worker *worker)
{
    while (!list_empty(&worker->starving) && worker_has_seat(worker)) {
        struct lane *lane = LIST_FIRST(&worker->starving, struct lane, starving);
        list_remove(&lane->starving);
        if (lane_run(lane))
            list_append(&worker->starving, &lane->starving);
    }
}

/* mx-allow of the route behind that of all mail, made once. */
static const struct network *route_allow(struct worker *worker, const struct route_settings *route)
{
    const struct network_list *all = &worker->settings->mx_allow, *own = &route->mx_allow;
    struct network **made = &worker->route_allow[route - worker->settings->routes];

    if (!*made) {
        *made = memory_new_array(all->count + own->count + 1, sizeof(**made));
        memcpy(*made, all->items, all->count * sizeof(**made));
        memcpy(*made + all->count, own->items, own->count * sizeof(**made));
    }
    return *made;
}

struct address_filter worker_filter(struct worker *worker, const struct target *target)
{
    static const struct network everything[] = {
        { { .family = ADDRESS_V4 }, 0 },
        { { .family = ADDRESS_V6 }, 0 },
    };
    const struct network_list *allow = &worker->settings->mx_allow;
    struct address_filter filter = { .allow = allow->items,
                                     .allow_count = allow->count,
                                     .listeners = worker->settings,
                                     .port = target->port };

    if (target->is_chosen) {
        filter.allow = everything;
        filter.allow_count = 2;
    } else if (target->route) {
        filter.allow = route_allow(worker, target->route);
        filter.allow_count = allow->count + target->route->mx_allow.count;
    }
    if (target->route)
        filter.families = target->route->families;
    return filter;
}

void worker_plan_route(const struct worker *worker, const struct target *target,
                       struct dialogue_plan *plan)
{
    const struct route_settings *route = target->route;

    plan->implicit_tls = target->implicit_tls;
    plan->is_chosen = target->is_chosen;
    if (!route)
        return;
    if (route->hostname[0] != '\0')
        plan->helo = route->hostname;
    if (route->credentials[0] != '\0')
        plan->identity = &worker->identities[route - worker->settings->routes];
    plan->sources = route->source_addresses;
    plan->source_count = route->source_address_count;
}
