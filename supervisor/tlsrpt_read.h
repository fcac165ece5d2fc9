/*
 * tlsrpt_read - waxseal tlsrpt read: a TLS report that somebody else sent, out of a file or of the
 * standard input, explained.  Called by commands.  It asks no relay and reads no configuration.
 */
#ifndef WAXSEAL_SUPERVISOR_TLSRPT_READ_H
#define WAXSEAL_SUPERVISOR_TLSRPT_READ_H

#include "supervisor/commands.h"

/* Exits with 0 when nothing failed, 1 when the report tells of failures, 2 when it is none. */
int tlsrpt_run_read(const struct invocation *invocation);

#endif
