/*
 * counting - takes in what sessions came to.  Called by the tlsrpt role, for events of our own
 * workers and for those of other MTAs.  Each is counted for its policy domain at once; one under
 * DANE is counted for its MX host, too, when the TLSRPT record at the host's TLSA base domain
 * names none of the destinations of the policy domain's own record: so nobody is told of a session
 * twice (RFC 8460 s.1.1 and s.3; rfc/tls-rpt.md RPT-3).  For that it waits for DNS; such events
 * are kept in memory, bounded, and what is left out then is counted.
 */
#ifndef WAXSEAL_TLSRPT_COUNTING_H
#define WAXSEAL_TLSRPT_COUNTING_H

#include "tlsrpt/wishes.h"

enum {
    COUNTING_KEPT_MAX = 4096, /* events that wait for DNS */
    COUNTING_KEPT_BYTES = 8 << 20,
};

struct counting;

/* Something was added to tally. */
typedef void counting_changed_fn(void *ctx);

/* Tally and resolver stay the caller's and outlive it. */
struct counting *counting_new(struct loop *loop, struct resolver *resolver, struct tally *tally,
                              counting_changed_fn *changed, void *ctx);
void counting_free(struct counting **counting);

/* Are reports wanted at all?  Where not (tlsrpt-reports), nobody is looked up. */
void counting_set_reports(struct counting *counting, bool wanted);

/*
 * Counts a session of `day`; counts_is_valid(event).  `record`: the TXT record of the policy domain
 * as whoever saw the session found it (RPT-101); data NULL: we look for it.
 */
void counting_take(struct counting *counting, uint32_t day, const Ipc__SessionEvent *event,
                   struct span record);

/*
 * Looks up whether a subject wants reports of which nobody could tell so far; what is found is
 * noted in tally.
 */
void counting_look_again(struct counting *counting, const struct subject *subject);

struct counting_counts {
    uint64_t sessions;
    uint64_t left_out; /* of them, not counted for an MX host for want of an answer or of room */
    unsigned waiting;  /* for DNS just now */
};
struct counting_counts counting_counts(const struct counting *counting);

#endif
