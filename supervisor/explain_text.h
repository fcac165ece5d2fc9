/*
 * explain_text - tells what `waxseal explain` found out to somebody who has to do something about
 * it.  Called by explain.  Pure: from the answer to text; what comes from outside is made harmless.
 */
#ifndef WAXSEAL_SUPERVISOR_EXPLAIN_TEXT_H
#define WAXSEAL_SUPERVISOR_EXPLAIN_TEXT_H

#include "lib/base/json.h"

#include <stdio.h>

void explain_tell(const struct json *found, FILE *out);

/* What the command exits with: 0 deliverable securely, 1 deliverable, 2 not. */
int explain_status(const struct json *found);

#endif
