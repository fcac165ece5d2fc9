/*
 * works - the files that are on their way into the queue, and what becomes of each: removed, put
 * aside, or left for later, and its sender told of what was refused.  Called by pickup.
 */
#ifndef WAXSEAL_SMTPD_PICKUP_WORKS_H
#define WAXSEAL_SMTPD_PICKUP_WORKS_H

#include "lib/base/list.h"
#include "smtpd/pickup/aside.h"
#include "smtpd/pickup/feed.h"

/* One of them has ended, from the loop; `later`: it could not be taken now. */
typedef void works_ended_fn(void *ctx, bool later);

struct works {
    const struct settings *settings;
    struct aside *aside;
    struct feed_host feeds;
    struct list all;
    unsigned count;
    works_ended_fn *ended;
    void *ctx;
};

void works_init(struct works *works, struct session_host *sessions,
                const struct session_place *place, struct aside *aside, works_ended_fn *ended,
                void *ctx);
/* Gives up what is under way: the files stay. */
void works_clear(struct works *works);

/*
 * Begins with a file whose head has been read; its descriptor is taken.  False: there is nothing to
 * begin with now.
 */
bool works_begin(struct works *works, const char *name, const struct folder_file *file,
                 const struct drop_head *head);
bool works_have(const struct works *works, const char *name);

#endif
