/*
 * schedule - when a recipient is tried next, and when it is given up.  Called by the store when it
 * settles and by dispatch when it leases.  Pure: time and dice come in as facts.
 * Rules: RFC 5321 s.4.5.4.1; design.md sections 3 and 11.
 */
#ifndef WAXSEAL_QUEUE_SCHEDULE_H
#define WAXSEAL_QUEUE_SCHEDULE_H

#include "lib/base/settings.h"

struct schedule_rules {
    int64_t retry_first_ms;
    int64_t retry_max_ms;
    int64_t lifetime_ms;
    int64_t policy_wait_ms;
    bool relayhost; /* all mail goes to the one next hop of that name */
};

#define RELAYHOST_HOP SPAN("relayhost")

struct schedule_rules schedule_rules_of(const struct settings *settings);

/* The next hop of mail to a domain. */
struct span schedule_route(const struct schedule_rules *rules, struct span domain);

/*
 * When to try again after `attempts` attempts.  Doubles from the first wait to the longest, each
 * spread by a tenth to both sides with `dice`; never beyond the end of the message's life, so that
 * one attempt is made right then.
 */
int64_t schedule_retry(const struct schedule_rules *rules, unsigned attempts, int64_t accepted_ms,
                       int64_t now_ms, uint32_t dice);

/* When to ask again for a policy that was unknown `waits` times: after 1, 2, 4, then 5 minutes. */
int64_t schedule_policy_retry(unsigned waits, int64_t now_ms);

/* True when an attempt begun now no longer waits for a policy that was unknown before. */
bool schedule_skips_policy(const struct schedule_rules *rules, unsigned waits, int64_t accepted_ms,
                           int64_t now_ms);

/* True when an attempt begun now is the last: the message's life is over. */
bool schedule_is_last(const struct schedule_rules *rules, int64_t accepted_ms, int64_t now_ms);

/* How long a next hop rests after so many failures in a row. */
int64_t schedule_hop_rest(const struct schedule_rules *rules, unsigned failures, uint32_t dice);

/* The latest time that a due time set at `now_ms` can be: beyond it the clock was stepped back. */
int64_t schedule_horizon(const struct schedule_rules *rules, int64_t now_ms);

#endif
