/*
 * counters - how many clients are connected, in all, per address and per network, over all smtpd
 * processes.
 * Called by smtpd/smtpd at each connect and disconnect.  A table of fixed size in memory that the
 * processes share; every process counts in a part of its own, and holds a lock (fcntl(2)) on it
 * while it lives, so that the counts of a dead one are found and zeroed.
 *
 * Clients are counted by IPv4 address or IPv6 /64, and by their network, an IPv4 /24 or IPv6 /48,
 * in two rows each, found by a keyed hash; the smaller count holds.  Strangers that share both rows
 * make it too large, hardly ever and by little.
 */
#ifndef WAXSEAL_SMTPD_COUNTERS_H
#define WAXSEAL_SMTPD_COUNTERS_H

#include "lib/base/error.h"
#include "lib/base/network.h"

struct counters;

/* What the shared memory has to hold. */
enum { COUNTERS_SIZE = 4 * 1024 * 1024 };

enum admission {
    ADMISSION_GRANTED, /* counted; counters_leave takes it back */
    ADMISSION_FULL,    /* too many in all */
    ADMISSION_CLIENT,  /* too many of this client */
    ADMISSION_NETWORK, /* too many of its network */
};

struct admission_limits {
    unsigned connections;             /* the last tenth is kept for loopback (pitfalls.md 7.7) */
    unsigned connections_per_client;  /* loopback excepted */
    unsigned connections_per_network; /* the same; and users of this machine */
    bool is_stranger;                 /* gets none of the last two tenths */
};

/*
 * Takes a free part of the table behind `fd`, which stays the caller's and must stay open: closing
 * any descriptor of that file drops the lock.  -1: a table of our own, for one process alone.
 */
struct error *counters_open(int fd, struct counters **out_counters) MUST_CHECK;
void counters_close(struct counters **counters);

enum admission counters_admit(struct counters *counters, const struct ip_address *client,
                              const struct admission_limits *limits);
void counters_leave(struct counters *counters, const struct ip_address *client);

/* All connections, of all processes. */
unsigned counters_total(const struct counters *counters);

/* Zeroes the counts of processes that are dead. */
void counters_sweep(struct counters *counters);

#endif
