#include "queue/deliver/worker.h"

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

struct address_filter worker_filter(const struct worker *worker, bool is_relayhost)
{
    static const struct network everything[] = {
        { { .family = ADDRESS_V4 }, 0 },
        { { .family = ADDRESS_V6 }, 0 },
    };
    const struct network_list *allow = &worker->settings->mx_allow;

    if (is_relayhost)
        return (struct address_filter){ .allow = everything, .allow_count = 2 };
    return (struct address_filter){ .allow = allow->items,
                                    .allow_count = allow->count,
                                    .own = worker->own,
                                    .own_count = worker->own_count,
                                    .all_own = worker->all_own };
}
