#include "queue/deliver/worker.h"

#include <string.h>

#include "lib/base/memory.h"
#include "queue/deliver/lane.h"

bool worker_has_seat(struct worker *worker)
{
    unsigned seats = worker->settings->deliver_connections;

    if (worker->greetings > 0 && worker->greetings >= seats / 2)
        return false; /* silent hosts never starve good ones (design.md section 3) */
    return worker->seats < seats || pool_end_oldest(worker->pool);
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
                                     .own = worker->own,
                                     .own_count = worker->own_count,
                                     .all_own = worker->all_own };

    if (target->is_chosen)
        filter = (struct address_filter){ .allow = everything, .allow_count = 2 };
    else if (target->route) {
        filter.allow = route_allow(worker, target->route);
        filter.allow_count = allow->count + target->route->mx_allow.count;
    }
    if (target->route)
        filter.families = target->route->families;
    return filter;
}
