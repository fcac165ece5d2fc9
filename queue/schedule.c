#include "queue/schedule.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"

enum { JITTER_STEPS = 2001, JITTER_ONE = 10000, JITTER_LEAST = 9000, DOUBLINGS_MAX = 20 };
enum { SIGNING_PATIENCE_MS = 60 * MINUTE_MS };

struct schedule {
    atomic_uint holders;
    struct settings *settings; /* its own */
    int64_t longest_ms;        /* between two attempts, of all mail and all routes */
    struct schedule_rules usual;
    struct schedule_rules routes[]; /* in the order of the settings */
};

/* ---- the settings of one moment ----------------------------------------------------------- */

static struct schedule_rules usual_rules(const struct settings *settings)
{
    return (struct schedule_rules){
        .retry_first_ms = (int64_t)settings->retry_first_s * SECOND_MS,
        .retry_max_ms = (int64_t)settings->retry_max_s * SECOND_MS,
        .lifetime_ms = (int64_t)settings->queue_lifetime_s * SECOND_MS,
        .policy_wait_ms = (int64_t)settings->policy_unknown_wait_s * SECOND_MS,
        .delay_notice_ms = (int64_t)settings->delay_notice_after_s * SECOND_MS,
    };
}

static int64_t own_or(unsigned own_s, int64_t usual_ms)
{
    return own_s > 0 ? (int64_t)own_s * SECOND_MS : usual_ms;
}

/* A first wait beyond the longest of all mail has no other to grow to. */
static struct schedule_rules route_rules(const struct route_settings *route,
                                         const struct schedule_rules *usual)
{
    struct schedule_rules rules = *usual;

    rules.retry_first_ms = own_or(route->retry_first_s, usual->retry_first_ms);
    rules.retry_max_ms = own_or(route->retry_max_s, usual->retry_max_ms);
    if (route->retry_max_s == 0 && rules.retry_max_ms < rules.retry_first_ms)
        rules.retry_max_ms = rules.retry_first_ms;
    rules.lifetime_ms = own_or(route->queue_lifetime_s, usual->lifetime_ms);
    rules.delay_notice_ms = own_or(route->delay_notice_after_s, usual->delay_notice_ms);
    return rules;
}

struct schedule *schedule_new(const struct settings *settings)
{
    struct schedule *schedule =
        memory_new(sizeof(*schedule) + settings->route_count * sizeof(schedule->routes[0]));

    atomic_init(&schedule->holders, 1);
    schedule->settings = settings_new();
    settings_copy(schedule->settings, settings);
    schedule->usual = usual_rules(settings);
    schedule->longest_ms = schedule->usual.retry_max_ms;
    for (unsigned i = 0; i < settings->route_count; i++) {
        schedule->routes[i] = route_rules(&settings->routes[i], &schedule->usual);
        if (schedule->routes[i].retry_max_ms > schedule->longest_ms)
            schedule->longest_ms = schedule->routes[i].retry_max_ms;
    }
    return schedule;
}

struct schedule *schedule_keep(struct schedule *schedule)
{
    atomic_fetch_add(&schedule->holders, 1);
    return schedule;
}

void schedule_drop(struct schedule **schedule)
{
    struct schedule *held = *schedule;

    *schedule = NULL;
    if (!held || atomic_fetch_sub(&held->holders, 1) > 1)
        return;
    settings_free(&held->settings);
    free(held);
}

/* ---- where ---------------------------------------------------------------------------------- */

void schedule_route(const struct schedule *schedule, const struct routing_facts *facts,
                    struct routing *out)
{
    routing_choose(schedule->settings, facts, out);
}

const struct route_settings *schedule_route_of(const struct schedule *schedule, struct span hop)
{
    return routing_of_hop(schedule->settings, hop);
}

const struct schedule_rules *schedule_rules_of(const struct schedule *schedule, struct span hop)
{
    const struct route_settings *route = schedule_route_of(schedule, hop);

    return route ? &schedule->routes[route - schedule->settings->routes] : &schedule->usual;
}

struct schedule_rules schedule_rules_for(const struct schedule *schedule, struct span hop,
                                         bool is_report)
{
    struct schedule_rules rules = *schedule_rules_of(schedule, hop);

    if (is_report && rules.lifetime_ms > SCHEDULE_REPORT_MS)
        rules.lifetime_ms = SCHEDULE_REPORT_MS;
    return rules;
}

/* ---- when ----------------------------------------------------------------------------------- */

/* The nth wait, n from 1: doubling, bounded, and spread by a tenth to both sides. */
static int64_t spread_wait(const struct schedule_rules *rules, unsigned nth, uint32_t dice)
{
    unsigned doublings = nth > 0 ? nth - 1 : 0;
    int64_t wait_ms = rules->retry_first_ms;

    if (doublings > DOUBLINGS_MAX)
        doublings = DOUBLINGS_MAX;
    while (doublings-- > 0 && wait_ms < rules->retry_max_ms)
        wait_ms *= 2;
    if (wait_ms > rules->retry_max_ms)
        wait_ms = rules->retry_max_ms;
    return wait_ms * (JITTER_LEAST + dice % JITTER_STEPS) / JITTER_ONE;
}

int64_t schedule_retry(const struct schedule_rules *rules, unsigned attempts, int64_t accepted_ms,
                       int64_t now_ms, uint32_t dice)
{
    int64_t next_ms = now_ms + spread_wait(rules, attempts, dice);
    int64_t end_ms = accepted_ms + rules->lifetime_ms;

    return now_ms < end_ms && next_ms > end_ms ? end_ms : next_ms;
}

int64_t schedule_policy_retry(unsigned waits, int64_t now_ms)
{
    static const int64_t minutes[] = { 1, 2, 4, 5 };
    unsigned last = sizeof(minutes) / sizeof(minutes[0]) - 1;

    return now_ms + minutes[waits < last ? waits : last] * MINUTE_MS;
}

bool schedule_skips_policy(const struct schedule_rules *rules, unsigned waits, int64_t accepted_ms,
                           int64_t now_ms)
{
    return waits > 0 && now_ms - accepted_ms >= rules->policy_wait_ms;
}

int64_t schedule_signing_retry(int64_t now_ms)
{
    return now_ms + MINUTE_MS;
}

bool schedule_leaves_unsigned(int64_t unsigned_since_ms, int64_t now_ms)
{
    return unsigned_since_ms > 0 && now_ms - unsigned_since_ms >= SIGNING_PATIENCE_MS;
}

bool schedule_is_last(const struct schedule_rules *rules, int64_t accepted_ms, int64_t now_ms)
{
    return now_ms - accepted_ms >= rules->lifetime_ms;
}

int64_t schedule_hop_rest(const struct schedule_rules *rules, unsigned failures, uint32_t dice)
{
    return spread_wait(rules, failures, dice);
}

int64_t schedule_horizon(const struct schedule *schedule, int64_t now_ms)
{
    int64_t longest_ms = schedule->longest_ms + schedule->longest_ms / 10;

    if (longest_ms < 5 * MINUTE_MS)
        longest_ms = 5 * MINUTE_MS; /* the wait for a policy */
    return now_ms + longest_ms + MINUTE_MS;
}
