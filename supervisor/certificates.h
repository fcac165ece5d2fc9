/*
 * certificates - what the administrator has to hear about a listener's certificate, in time.
 * Called by supervisor/handover: for `waxseal check`, and for the log, again every day.  Pure but
 * for the parsing of the certificate.
 */
#ifndef WAXSEAL_SUPERVISOR_CERTIFICATES_H
#define WAXSEAL_SUPERVISOR_CERTIFICATES_H

#include "lib/base/error.h"
#include "lib/base/span.h"

#include <stdint.h>

enum { CERTIFICATE_WARNING_DAYS = 14 };

/* One complaint; `is_fault`: clients that check certificates cannot accept it today. */
typedef void certificate_complaint_fn(void *ctx, bool is_fault, struct error **taken);

/* `path` is what the file is called, `hostname` the name that it should bear; empty: any. */
void certificate_examine(struct span chain_pem, const char *path, struct span hostname,
                         int64_t now_utc_ms, certificate_complaint_fn *complain, void *ctx);

#endif
