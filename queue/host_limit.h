/*
 * host_limit - how many connections one MX host, or one next hop, bears at a time, learned from
 * what becomes of them.  Called by hosts.  Pure: time is a fact; owns nothing.
 *
 * As long as none is refused it begins with a few and doubles each time all of them stand.  When
 * one is refused, what stands then is the limit.  One more is tried after a while, which grows as
 * long as it is refused again; once it stands, two more are tried, then four and so on, until the
 * cap is reached and there is nothing to remember.
 */
#ifndef WAXSEAL_QUEUE_HOST_LIMIT_H
#define WAXSEAL_QUEUE_HOST_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HOST_LIMIT_FIRST = 4,                     /* connections to a host that nothing is known of */
    HOST_LIMIT_WAIT_MS = 5 * 1000,            /* before the first probe; */
    HOST_LIMIT_WAIT_MAX_MS = 60 * 1000,       /* doubled up to this while they are refused */
    HOST_LIMIT_PACE_MS = 1000,                /* between probes that succeed */
    HOST_LIMIT_KEPT_MS = 24 * 60 * 60 * 1000, /* after the last refusal it is forgotten */
};

/* A plain value; times are UTC. */
struct host_limit {
    unsigned limit;     /* connections at a time */
    bool is_learned;    /* by a refusal; the next four are then of meaning */
    unsigned step;      /* how many more the next probe is */
    unsigned goal;      /* as many as there may be with it */
    int64_t wait_ms;    /* from the next probe to the one behind it, if it is refused */
    int64_t probe_ms;   /* when more than the limit may be tried */
    int64_t trouble_ms; /* the last refusal; 0: never */
};

void host_limit_init(struct host_limit *limit, unsigned cap);
/* One from before, from its record: what makes no sense is put right. */
void host_limit_restore(struct host_limit *limit, unsigned cap);

/* How many connections there may be now, a probe included. */
unsigned host_limit_now(const struct host_limit *limit, unsigned cap, int64_t now_ms);
/* Is a connection beyond `open` ones a probe? */
bool host_limit_is_probe(const struct host_limit *limit, unsigned open);

/* A connection was welcome; `standing` are, with this one.  `probe`: it was begun as one. */
void host_limit_stood(struct host_limit *limit, unsigned cap, unsigned standing, bool probe,
                      int64_t now_ms);
/* One was refused while `standing` others were welcome. */
void host_limit_refused(struct host_limit *limit, unsigned cap, unsigned standing, bool probe,
                        int64_t now_ms);

/* When what was learned is over; 0: nothing was. */
int64_t host_limit_expiry(const struct host_limit *limit);

#endif
