/*
 * copy - a copy of a report, by mail to somebody the operator names.  Called by answers.  It
 * changes nothing of what is sent to others, and may be sent as often as one likes.
 */
#ifndef WAXSEAL_TLSRPT_COPY_H
#define WAXSEAL_TLSRPT_COPY_H

#include "tlsrpt/sending.h"
#include "tlsrpt/submit.h"

/* `done` is called exactly once, from the loop; `to` is a mailbox. */
void copy_send(const struct sending_tools *tools, const struct subject *subject, struct span to,
               submit_done_fn *done, void *ctx);

#endif
