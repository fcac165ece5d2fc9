/*
 * dkim_lookups - looks up what DNS has of our public keys, for `waxseal dkim check`.  It has a loop
 * of its own, and gives up on what has not come within its time.
 */
#ifndef WAXSEAL_SUPERVISOR_DKIM_LOOKUPS_H
#define WAXSEAL_SUPERVISOR_DKIM_LOOKUPS_H

#include "lib/base/error.h"
#include "lib/base/settings.h"

struct dns_answer;

/* The name of the n-th key's record, or NULL when it need not be looked up; the answer for it. */
struct dkim_questions {
    unsigned count;
    const char *(*name)(void *ctx, unsigned n);
    void (*answer)(void *ctx, unsigned n, const struct dns_answer *answer);
    void *ctx;
};

/* Calls `answer` once for each name, in any order. */
struct error *dkim_lookups_run(const struct settings *settings,
                               const struct dkim_questions *questions) MUST_CHECK;

#endif
