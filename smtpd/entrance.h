/*
 * entrance - who of those that connect gets a session; the others hear why not.  Called by
 * smtpd/smtpd for every connection accepted, and when a session has ended.  Owns this process's
 * part of the table of counters (smtpd/counters), and the host's rates (smtpd/rates).
 */
#ifndef WAXSEAL_SMTPD_ENTRANCE_H
#define WAXSEAL_SMTPD_ENTRANCE_H

#include <sys/socket.h>

#include "smtpd/counters.h"
#include "smtpd/proxy_wait.h"
#include "smtpd/session.h"

/* A plain value, part of the role. */
struct entrance {
    struct session_host *host;
    struct counters *counters;
    struct proxy_waits proxies; /* connections whose client is not known yet */
    unsigned connections_max;
    int64_t swept_ms;
};

/*
 * `shared`: the table's descriptor, which stays open and the caller's; with -1 or one that cannot
 * be used this process counts its own clients only.
 */
struct error *entrance_open(struct entrance *entrance, struct session_host *host,
                            int shared) MUST_CHECK;
void entrance_close(struct entrance *entrance);

/* Takes a connection that was accepted at a place. */
void entrance_welcome(struct entrance *entrance, const struct session_place *place, int fd,
                      const struct sockaddr *address);

/* Takes one only to say that there is no room: descriptors have run out. */
void entrance_turn_away(const struct entrance *entrance, int fd, const struct sockaddr *address);

void entrance_left(struct entrance *entrance, const struct ip_address *client);

#endif
