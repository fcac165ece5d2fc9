/*
 * tlsrpt_commands - waxseal tlsrpt status and send: what the tlsrpt role answers, for people and
 * for programs.  Called by commands.
 */
#ifndef WAXSEAL_SUPERVISOR_TLSRPT_COMMANDS_H
#define WAXSEAL_SUPERVISOR_TLSRPT_COMMANDS_H

#include "supervisor/commands.h"

int tlsrpt_run_status(const struct invocation *invocation);

/* Exits with 0 when every destination has taken the report. */
int tlsrpt_run_send(const struct invocation *invocation);

#endif
