/*
 * tlsrpt_read_text - a received TLS report for people: who sent it about whom, what its sessions
 * came to, and for each kind of failure the likely cause and whose turn it is.  Called by the
 * command `waxseal tlsrpt read`, with what tlsrpt/reader.h gives.  Pure, apart from what it writes
 * to; what comes from the report reaches no terminal as a control.
 */
#ifndef WAXSEAL_SUPERVISOR_TLSRPT_READ_TEXT_H
#define WAXSEAL_SUPERVISOR_TLSRPT_READ_TEXT_H

#include "lib/base/json.h"

#include <stdio.h>

void tlsrpt_read_tell(const struct json *told, FILE *out);

#endif
