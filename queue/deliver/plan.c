#include "queue/deliver/plan.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "policy/mx_match.h"

#include <stdlib.h>
#include <string.h>

/* What is asked for one of the plans. */
struct plan_part {
    struct plan_query *query;
    struct plan *plan;
    struct resolver_query *mx;
    struct policy_query *policy;
    int64_t life_ms;
};

struct plan_query {
    struct loop *loop;
    struct plans *plans;
    struct plan_part parts[TARGETS_MAX];
    const char *own_name;
    struct loop_task at_once; /* when there is nothing to wait for */
    plan_done_fn *done;
    void *ctx;
};

/* --- the plan */

void plans_free(struct plans **plans)
{
    struct plans *p = *plans;

    *plans = NULL;
    if (!p || --p->refs > 0)
        return;
    for (unsigned i = 0; i < p->count; i++)
        if (p->items[i].answer)
            ipc__policy_answer__free_unpacked(p->items[i].answer, NULL);
    free(p);
}

struct plans *plans_keep(struct plans *plans)
{
    plans->refs++;
    return plans;
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

bool plan_is_open(const struct plan *plan, bool skip_policy)
{
    return plan->route.verdict == ROUTE_FOUND && !plan_must_wait(plan, skip_policy);
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
        .has_login = plan->target.route && plan->target.route->credentials[0] != '\0',
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
    if (!plan->target.is_chosen || target_has_policy(&plan->target))
        return "none";
    return plan->target.route ? "route" : "relayhost";
}

/* --- the query */

static void query_free(struct plan_query *query)
{
    for (unsigned i = 0; i < query->plans->count; i++) {
        if (query->parts[i].mx)
            resolver_cancel(&query->parts[i].mx);
        if (query->parts[i].policy)
            policy_cancel(&query->parts[i].policy);
    }
    loop_task_cancel(&query->at_once);
    plans_free(&query->plans);
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

static bool query_waits(const struct plan_query *query)
{
    for (unsigned i = 0; i < query->plans->count; i++)
        if (query->parts[i].mx || query->parts[i].policy)
            return true;
    return false;
}

/* All live as long as the one that is over first. */
static int64_t least_life(const struct plan_query *query)
{
    int64_t life_ms = PLAN_LIFE_MS;

    for (unsigned i = 0; i < query->plans->count; i++)
        if (query->parts[i].life_ms < life_ms)
            life_ms = query->parts[i].life_ms;
    return life_ms;
}

static void query_step(struct plan_query *query)
{
    struct plans *plans = query->plans;
    plan_done_fn *done = query->done;
    void *ctx = query->ctx;

    if (query_waits(query))
        return;
    plans->until_ms = loop_now(query->loop) + least_life(query);
    query->plans = plans_keep(plans);
    query_free(query);
    done(ctx, plans);
}

static void on_at_once(void *ctx)
{
    query_step(ctx);
}

/* Says that not all of a domain's hosts get its mail. */
static void log_cut(const struct plan *plan)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "mx-cut");
    log_string(&line, "domain", plan->target.name);
    log_number(&line, "hosts", plan->route.count);
    log_number(&line, "left-out", plan->route.left_out);
    log_end(&line);
}

static void on_mx(void *ctx, const struct dns_answer *answer)
{
    struct plan_part *part = ctx;
    struct plan *plan = part->plan;

    part->mx = NULL;
    route_from_mx(answer, span_of(plan->target.name), &part->query->own_name, 1, random_below,
                  &plan->route);
    if (plan->route.left_out > 0)
        log_cut(plan);
    part->life_ms = life_of(plan, answer->ttl);
    query_step(part->query);
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
    struct plan_part *part = ctx;

    part->policy = NULL;
    part->plan->answer = answer_copy(answer);
    if (!is_known(part->plan) && part->life_ms > PLAN_LIFE_LEAST_MS)
        part->life_ms = PLAN_LIFE_LEAST_MS;
    query_step(part->query);
}

/* A host without an MX lookup is its own one candidate. */
static void take_host(struct plan_part *part)
{
    struct plan *plan = part->plan;

    plan->route.verdict = ROUTE_FOUND;
    plan->route.count = 1;
    strcpy(plan->route.candidates[0].name, plan->target.name);
    part->life_ms = PLAN_LIFE_MS;
}

static void ask_part(struct plan_part *part, struct resolver *resolver,
                     struct policy_client *policies, bool fresh)
{
    struct span name = span_of(part->plan->target.name);

    if (part->plan->target.kind != TARGET_DOMAIN) {
        take_host(part);
        return;
    }
    part->life_ms = PLAN_LIFE_MS; /* until the MX says less */
    part->mx = resolver_ask(resolver, name, DNS_MX, on_mx, part);
    if (policies)
        part->policy = policy_ask(policies, name, fresh, on_policy, part);
    else
        part->plan->for_reports = true;
}

static struct plans *plans_new(const struct target *targets, unsigned count, bool fresh)
{
    struct plans *plans = memory_new(sizeof(*plans) + count * sizeof(plans->items[0]));

    ensure(count > 0 && count <= TARGETS_MAX);
    plans->refs = 1;
    plans->is_fresh = fresh;
    plans->count = count;
    for (unsigned i = 0; i < count; i++)
        plans->items[i].target = targets[i];
    return plans;
}

struct plan_query *plan_ask(struct loop *loop, struct resolver *resolver,
                            struct policy_client *policies, const struct target *targets,
                            unsigned count, const char *own_name, bool fresh, plan_done_fn *done,
                            void *ctx)
{
    struct plan_query *query = memory_new(sizeof(*query));

    query->loop = loop;
    query->own_name = own_name;
    query->done = done;
    query->ctx = ctx;
    query->plans = plans_new(targets, count, fresh);
    loop_task_init(&query->at_once, on_at_once, query);
    for (unsigned i = 0; i < count; i++) {
        query->parts[i] = (struct plan_part){ .query = query, .plan = &query->plans->items[i] };
        ask_part(&query->parts[i], resolver, policies, fresh);
    }
    if (!query_waits(query))
        loop_defer(loop, &query->at_once);
    return query;
}

void plan_cancel(struct plan_query **query)
{
    if (*query)
        query_free(*query);
    *query = NULL;
}
