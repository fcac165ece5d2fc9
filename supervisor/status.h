/*
 * status - what the supervisor knows about its relay, for `waxseal status`: since when it runs,
 * under which settings, and for each post which process fills it and how the one before ended.
 * Called by the supervisor.
 */
#ifndef WAXSEAL_SUPERVISOR_STATUS_H
#define WAXSEAL_SUPERVISOR_STATUS_H

#include "lib/base/json.h"
#include "supervisor/posts.h"

struct status_facts {
    const char *hostname;
    uint64_t generation;
    int64_t since_ms; /* UTC */
    bool stopping;
};

/* The answer, owned by the caller. */
struct json *status_new(const struct status_facts *facts, const struct posts *posts);

#endif
