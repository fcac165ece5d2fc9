/*
 * offenders - who has been complained about lately, so that a device which does the same thing all
 * day fills no log.  Called by smtpd/session.  A plain value, bounded: of many clients the one
 * named longest ago is forgotten first, and would be named again.
 */
#ifndef WAXSEAL_SMTPD_OFFENDERS_H
#define WAXSEAL_SMTPD_OFFENDERS_H

#include "lib/base/network.h"

enum { OFFENDERS_MAX = 64 };

struct offenders { /* all zero to begin with */
    struct offender {
        struct ip_address client;
        int64_t named_ms;
        uint64_t since; /* times, the first one not counted */
    } items[OFFENDERS_MAX];
    unsigned count;
};

/*
 * Is this client to be named now?  Once in `every_ms`; *out_times is how often it has been noted
 * since it was named last, with this time.
 */
bool offenders_note(struct offenders *offenders, const struct ip_address *client, int64_t now_ms,
                    int64_t every_ms, uint64_t *out_times);

#endif
