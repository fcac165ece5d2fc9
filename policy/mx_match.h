/*
 * mx_match - does a host name satisfy an MTA-STS mx pattern?
 * Called by deliver for every MX candidate.  Pure: no I/O, no clock, no memory.
 * Rules: RFC 8461 s.4.1; a leading "*." stands for exactly one label.
 */
#ifndef WAXSEAL_POLICY_MX_MATCH_H
#define WAXSEAL_POLICY_MX_MATCH_H

#include "lib/base/span.h"

/* `host` is the name in the MX record, never what it is an alias of; a final dot is let pass. */
bool mx_match(struct span host, struct span pattern);

#endif
