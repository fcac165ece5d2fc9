/* policy_commands - what status says of policies, for people.  Called by commands. */
#ifndef WAXSEAL_SUPERVISOR_POLICY_COMMANDS_H
#define WAXSEAL_SUPERVISOR_POLICY_COMMANDS_H

#include "lib/base/json.h"

#include <stdio.h>

/* The counts, and below them the policies that an administrator should look at. */
void policy_print_counts(const struct json *counts, FILE *out);

#endif
