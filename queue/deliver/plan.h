/*
 * plan - how mail for one next hop is to go just now: its MX candidates and the policy that binds,
 * looked up together and kept for a minute at most; one plan for each host of a route.  Asked for
 * by lane, read by attempt; shared by counting, so that an attempt ends under the plans with which
 * it began.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_PLAN_H
#define WAXSEAL_QUEUE_DELIVER_PLAN_H

#include "lib/io/resolver.h"
#include "lib/ipc/policy_client.h"
#include "lib/mail/route.h"
#include "queue/deliver/target.h"

enum { PLAN_LIFE_MS = 60 * 1000, PLAN_LIFE_LEAST_MS = 5 * 1000 };

struct plan {
    struct target target;
    struct route route;
    Ipc__PolicyAnswer *answer; /* NULL: not asked */
    bool for_reports;          /* of ours: no policy binds, and nothing is reported */
};

/* Those of all hosts of a next hop, in the order of the settings. */
struct plans {
    unsigned refs;
    int64_t until_ms; /* of the loop */
    bool is_fresh;    /* the policies were fetched anew for them */
    unsigned count;
    struct plan items[];
};

void plans_free(struct plans **plans); /* when the last one lets go */
struct plans *plans_keep(struct plans *plans);

/* May a message go by it just now?  `skip_policy` as in plan_must_wait. */
bool plan_is_open(const struct plan *plan, bool skip_policy);

/* The policy that speaks, or NULL. */
const Ipc__Policy *plan_policy(const struct plan *plan);

/*
 * Must mail wait until the policy is known?  `skip_policy`: it has waited long enough for a domain
 * that DNS says nothing of; for our own policy role it waits without end, which may have a policy.
 */
bool plan_must_wait(const struct plan *plan, bool skip_policy);

/* What is known of candidate `i` before connecting. */
struct sts_facts plan_facts(const struct plan *plan, unsigned i);

/* "none", "sts testing", "sts enforce", "unknown"; of a host that we chose "relayhost", "route". */
const char *plan_policy_words(const struct plan *plan);

struct plan_query;
/* `plans` are the receiver's.  Called exactly once, from the loop, unless cancelled. */
typedef void plan_done_fn(void *ctx, struct plans *plans);
/* `targets`: one or more.  `policies` NULL: for reports of ours, which no policy binds. */
struct plan_query *plan_ask(struct loop *loop, struct resolver *resolver,
                            struct policy_client *policies, const struct target *targets,
                            unsigned count, const char *own_name, bool fresh, plan_done_fn *done,
                            void *ctx);
void plan_cancel(struct plan_query **query);

#endif
