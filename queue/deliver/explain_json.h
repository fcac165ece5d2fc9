/*
 * explain_json - what `waxseal explain` found out, as the JSON that the command prints
 * (docs/man/waxseal.8).  Called by explain.  Pure, but for
 * the day of an exception.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_EXPLAIN_JSON_H
#define WAXSEAL_QUEUE_DELIVER_EXPLAIN_JSON_H

#include "lib/base/json.h"
#include "queue/deliver/explain_facts.h"

/* Members of a next hop, but for its hosts: where it leads, and what binds there. */
void explain_json_hop(struct json *object, const struct plan *plan);
/* A route by which mail goes that comes in by other listeners, or from other users. */
void explain_json_other(struct json *array, const struct route_settings *route);
/* A candidate. */
void explain_json_host(struct json *array, const struct explain_facts *f);
/* "securely", "yes" or "no". */
const char *explain_verdict_name(enum explain_verdict verdict);

#endif
