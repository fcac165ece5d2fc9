/*
 * story - tells what `waxseal trace` knows of a message to somebody who reads it at three in the
 * morning: what happened and when, why, whose turn it is, and the command that helps.  Called by
 * trace.  Pure: from the queue's answer to text; what comes from outside is made harmless.
 */
#ifndef WAXSEAL_SUPERVISOR_STORY_H
#define WAXSEAL_SUPERVISOR_STORY_H

#include "lib/base/json.h"

#include <stdio.h>

void story_tell(const struct json *trace, FILE *out);

#endif
