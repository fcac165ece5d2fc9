/*
 * answers - what the operator asks the tlsrpt role: `tlsrpt report`, `tlsrpt send`, `tlsrpt
 * status`. Called by the role; each request is answered at once or when what it asked for has been
 * done.
 */
#ifndef WAXSEAL_TLSRPT_ANSWERS_H
#define WAXSEAL_TLSRPT_ANSWERS_H

#include "lib/ipc/role.h"
#include "tlsrpt/postman.h"

enum { ANSWERS_ROWS_MAX = 100 }; /* of one list in `tlsrpt status` */

struct answers {
    const struct sending_tools *tools;
    struct postman *postman;
};

/*
 * The document about a domain (with "view" host: about an MX host) and day, today's when none is
 * named.
 */
void answers_report(const struct answers *answers, struct role_request **request);

/*
 * Sends a report that has not been sent, yesterday's when no day is named; with "to" a copy of it
 * there, which changes nothing.
 */
void answers_send(const struct answers *answers, struct role_request **request);

/* Today's counts, what is sent next, what came of the last ones, and what is missing. */
void answers_status(const struct answers *answers, struct role_request **request);

/* For `waxseal status`: how many reports wait, and what is missing, if anything is. */
void answers_add_counts(const struct answers *answers, struct json *object);

#endif
