/*
 * schedule - where mail goes, when a recipient is tried next, and when it is given up: the settings
 * of one moment, as the queue needs them.  Called by the store when it accepts and settles and by
 * dispatch when it leases.  Pure: time and dice come in as facts.
 * Rules: RFC 5321 s.4.5.4.1; design.md sections 3 and 11.
 */
#ifndef WAXSEAL_QUEUE_SCHEDULE_H
#define WAXSEAL_QUEUE_SCHEDULE_H

#include "lib/mail/routing.h"

/* The waits of all mail, or of a route's. */
struct schedule_rules {
    int64_t retry_first_ms;
    int64_t retry_max_ms;
    int64_t lifetime_ms;
    int64_t policy_wait_ms;
    int64_t delay_notice_ms; /* 0: none */
};

/*
 * Never changes, and is counted, so that the committer's thread keeps one through a transaction
 * while the loop may put another in its place.
 */
struct schedule;
struct schedule *schedule_new(const struct settings *settings);
struct schedule *schedule_keep(struct schedule *schedule); /* gives the same; from any thread */
void schedule_drop(struct schedule **schedule);

/* Where mail goes. */
void schedule_route(const struct schedule *schedule, const struct routing_facts *facts,
                    struct routing *out);
/* The route that a next hop is of, and the waits of its mail; lent. */
const struct route_settings *schedule_route_of(const struct schedule *schedule, struct span hop);
const struct schedule_rules *schedule_rules_of(const struct schedule *schedule, struct span hop);
/*
 * The waits of a message on that way; a report of ours is given up after SCHEDULE_REPORT_MS at the
 * latest (RFC 8460 s.5.5).
 */
enum { SCHEDULE_REPORT_MS = 24 * 60 * 60 * 1000 };
struct schedule_rules schedule_rules_for(const struct schedule *schedule, struct span hop,
                                         bool is_report);

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

/* When to ask again for signatures that could not be had; and whether a message that could not be
 * signed since then goes without, so that mail is not stopped for ever.  0: it could be. */
int64_t schedule_signing_retry(int64_t now_ms);
bool schedule_leaves_unsigned(int64_t unsigned_since_ms, int64_t now_ms);

/* True when an attempt begun now is the last: the message's life is over. */
bool schedule_is_last(const struct schedule_rules *rules, int64_t accepted_ms, int64_t now_ms);

/* How long a next hop rests after so many failures in a row. */
int64_t schedule_hop_rest(const struct schedule_rules *rules, unsigned failures, uint32_t dice);

/* But no longer than this after DNS gave no answer, for mail that comes meanwhile. */
enum { SCHEDULE_DNS_REST_MS = 30 * 1000 };

/* The latest time that a due time set at `now_ms` can be: beyond it the clock was stepped back. */
int64_t schedule_horizon(const struct schedule *schedule, int64_t now_ms);

#endif
