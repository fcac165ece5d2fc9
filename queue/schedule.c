#include "queue/schedule.h"

#include "lib/base/clock.h"

enum { JITTER_STEPS = 2001, JITTER_ONE = 10000, JITTER_LEAST = 9000, DOUBLINGS_MAX = 20 };

struct schedule_rules schedule_rules_of(const struct settings *settings)
{
    return (struct schedule_rules){
        .retry_first_ms = (int64_t)settings->retry_first_s * SECOND_MS,
        .retry_max_ms = (int64_t)settings->retry_max_s * SECOND_MS,
        .lifetime_ms = (int64_t)settings->queue_lifetime_s * SECOND_MS,
        .policy_wait_ms = (int64_t)settings->policy_unknown_wait_s * SECOND_MS,
        .relayhost = settings->relayhost[0] != '\0',
    };
}

struct span schedule_route(const struct schedule_rules *rules, struct span domain)
{
    return rules->relayhost ? RELAYHOST_HOP : domain;
}

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

bool schedule_is_last(const struct schedule_rules *rules, int64_t accepted_ms, int64_t now_ms)
{
    return now_ms - accepted_ms >= rules->lifetime_ms;
}

int64_t schedule_hop_rest(const struct schedule_rules *rules, unsigned failures, uint32_t dice)
{
    return spread_wait(rules, failures, dice);
}

int64_t schedule_horizon(const struct schedule_rules *rules, int64_t now_ms)
{
    int64_t longest_ms = rules->retry_max_ms + rules->retry_max_ms / 10;

    if (longest_ms < 5 * MINUTE_MS)
        longest_ms = 5 * MINUTE_MS; /* the wait for a policy */
    return now_ms + longest_ms + MINUTE_MS;
}
