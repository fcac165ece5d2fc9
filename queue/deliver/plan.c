#include "queue/deliver/plan.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "policy/mx_match.h"

#include <stdlib.h>
#include <string.h>

struct plan_query {
    struct loop *loop;
    struct plan *plan;
    const char *own_name;
    struct resolver_query *mx;
    struct policy_query *policy;
    struct loop_task at_once; /* when there is nothing to wait for */
    plan_done_fn *done;
    void *ctx;
};

/* --- the plan */

void plan_free(struct plan **plan)
{
    struct plan *p = *plan;

    *plan = NULL;
    if (!p || --p->refs > 0)
        return;
    if (p->answer)
        ipc__policy_answer__free_unpacked(p->answer, NULL);
    free(p);
}

struct plan *plan_keep(struct plan *plan)
{
    plan->refs++;
    return plan;
}

const Ipc__Policy *plan_policy(const struct plan *plan)
{
    if (!plan->answer || plan->answer->state != IPC__POLICY_STATE__POLICY_FOUND)
        return NULL;
    return plan->answer->policy;
}

static bool is_known(const struct plan *plan)
{
    return !plan->answer || plan->answer->state == IPC__POLICY_STATE__NO_POLICY ||
           plan->answer->state == IPC__POLICY_STATE__POLICY_FOUND;
}

bool plan_must_wait(const struct plan *plan, bool skip_policy)
{
    bool only_dns_is_silent =
        !is_known(plan) && plan->answer->state == IPC__POLICY_STATE__POLICY_NOT_KNOWN;

    return !is_known(plan) && !(skip_policy && only_dns_is_silent);
}

static bool is_listed(const Ipc__Policy *policy, const char *mx)
{
    for (size_t i = 0; i < policy->n_mx; i++)
        if (mx_match(span_of(mx), span_of_bytes(policy->mx[i])))
            return true;
    return false;
}

static enum sts_mode mode_of(const Ipc__Policy *policy)
{
    if (policy->mode == IPC__POLICY_MODE__MODE_NONE)
        return STS_NONE;
    return policy->mode == IPC__POLICY_MODE__MODE_TESTING ? STS_TESTING : STS_ENFORCE;
}

struct sts_facts plan_facts(const struct plan *plan, unsigned i)
{
    const Ipc__Policy *policy = plan_policy(plan);
    struct sts_facts f = {
        .source = POLICY_SOURCE_NONE,
        .route = plan->target.tls,
        .mx_is_sure = plan->route.secure || plan->target.kind != TARGET_DOMAIN,
    };

    if (!policy)
        return f;
    f.source = POLICY_SOURCE_STS;
    f.mode = mode_of(policy);
    f.mx_listed = is_listed(policy, plan->route.candidates[i].name);
    return f;
}

const char *plan_policy_words(const struct plan *plan)
{
    const Ipc__Policy *policy = plan_policy(plan);

    if (policy && mode_of(policy) == STS_ENFORCE)
        return "sts enforce";
    if (policy && mode_of(policy) == STS_TESTING)
        return "sts testing";
    if (!is_known(plan))
        return "unknown";
    return target_has_policy(&plan->target) ? "none"
           : plan->target.is_relayhost      ? "relayhost"
                                            : "none";
}

/* --- the query */

static void query_free(struct plan_query *query)
{
    if (query->mx)
        resolver_cancel(&query->mx);
    if (query->policy)
        policy_cancel(&query->policy);
    loop_task_cancel(&query->at_once);
    plan_free(&query->plan);
    free(query);
}

/* The route lives as long as its records, within bounds; trouble is asked about again soon. */
static int64_t life_of(const struct plan *plan, uint32_t ttl)
{
    int64_t life_ms = (int64_t)ttl * SECOND_MS;

    if (plan->route.verdict != ROUTE_FOUND || !is_known(plan) || life_ms < PLAN_LIFE_LEAST_MS)
        return PLAN_LIFE_LEAST_MS;
    return life_ms < PLAN_LIFE_MS ? life_ms : PLAN_LIFE_MS;
}

static void query_step(struct plan_query *query)
{
    struct plan *plan = query->plan;
    plan_done_fn *done = query->done;
    void *ctx = query->ctx;

    if (query->mx || query->policy)
        return;
    plan->until_ms += loop_now(query->loop);
    query->plan = NULL;
    query_free(query);
    done(ctx, plan);
}

static void on_at_once(void *ctx)
{
    query_step(ctx);
}

static void on_mx(void *ctx, const struct dns_answer *answer)
{
    struct plan_query *query = ctx;
    struct plan *plan = query->plan;

    query->mx = NULL;
    route_from_mx(answer, span_of(plan->target.name), &query->own_name, 1, random_below,
                  &plan->route);
    plan->until_ms = life_of(plan, answer->ttl);
    query_step(query);
}

static Ipc__PolicyAnswer *answer_copy(const Ipc__PolicyAnswer *answer)
{
    size_t size = ipc__policy_answer__get_packed_size(answer);
    uint8_t *bytes = memory_new(size + 1);
    Ipc__PolicyAnswer *copy;

    ipc__policy_answer__pack(answer, bytes);
    copy = ipc__policy_answer__unpack(NULL, size, bytes);
    ensure(copy != NULL);
    free(bytes);
    return copy;
}

static void on_policy(void *ctx, const Ipc__PolicyAnswer *answer)
{
    struct plan_query *query = ctx;

    query->policy = NULL;
    query->plan->answer = answer_copy(answer);
    if (!is_known(query->plan) && query->plan->until_ms > PLAN_LIFE_LEAST_MS)
        query->plan->until_ms = PLAN_LIFE_LEAST_MS;
    query_step(query);
}

/* A host without an MX lookup is its own one candidate. */
static void take_host(struct plan *plan)
{
    plan->route.verdict = ROUTE_FOUND;
    plan->route.count = 1;
    strcpy(plan->route.candidates[0].name, plan->target.name);
    plan->until_ms = PLAN_LIFE_MS;
}

struct plan_query *plan_ask(struct loop *loop, struct resolver *resolver,
                            struct policy_client *policies, const struct target *target,
                            const char *own_name, bool fresh, plan_done_fn *done, void *ctx)
{
    struct plan_query *query = memory_new(sizeof(*query));
    struct span name = span_of(target->name);

    query->loop = loop;
    query->own_name = own_name;
    query->done = done;
    query->ctx = ctx;
    query->plan = memory_new(sizeof(*query->plan));
    query->plan->refs = 1;
    query->plan->target = *target;
    query->plan->is_fresh = fresh;
    loop_task_init(&query->at_once, on_at_once, query);
    if (target->kind == TARGET_DOMAIN) {
        query->mx = resolver_ask(resolver, name, DNS_MX, on_mx, query);
        query->policy = policy_ask(policies, name, fresh, on_policy, query);
    } else {
        take_host(query->plan);
        loop_defer(loop, &query->at_once);
    }
    return query;
}

void plan_cancel(struct plan_query **query)
{
    if (*query)
        query_free(*query);
    *query = NULL;
}
