/*
 * control_lists - the operator's requests that answer with rows: "queue list" and "queue summary",
 * as a page (with "limit" and "after") or as one array, sent piece by piece; and the filter that a
 * request names.  Called by control and control_changes.
 */
#ifndef WAXSEAL_QUEUE_CONTROL_LISTS_H
#define WAXSEAL_QUEUE_CONTROL_LISTS_H

#include "lib/base/json.h"
#include "queue/control.h"
#include "queue/filter.h"

void control_list(struct control *control, struct role_request *request);
void control_summary(struct control *control, struct role_request *request);
void control_hosts(struct control *control, struct role_request *request);
/* No list, but of the same things: an operator says that what was learned is wrong. */
void control_forget_host(struct control *control, struct role_request *request);

/* The filter of a request's arguments; or says which of them is wrong. */
struct error *control_filter(const struct role_request *request, struct filter *out) MUST_CHECK;

/* Ends a request: with a value, or with what went wrong.  Both are taken. */
void control_reply_json(struct role_request **request, struct json **value, bool last);
void control_reply_error(struct role_request **request, struct error **err);
/* There is none of the id that was asked for; `more` follows in the sentence. */
void control_no_such_message(struct role_request **request, const char *more);

#endif
