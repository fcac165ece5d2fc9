/*
 * mail_names - what the administrator has to hear about mail for this host's own names: aliases
 * that are skipped, and a postmaster whom nobody reads (RFC 5321 s.4.5.1).  Called by
 * supervisor/handover: for `waxseal check`, and for the log when the file is read.
 */
#ifndef WAXSEAL_SUPERVISOR_MAIL_NAMES_H
#define WAXSEAL_SUPERVISOR_MAIL_NAMES_H

#include "lib/base/error.h"
#include "lib/base/settings.h"

typedef void mail_names_warning_fn(void *ctx, struct error **taken);

/* Each alias that is skipped in the content of `settings->aliases_file`. */
void mail_names_visit_skipped(const struct settings *settings, struct span content,
                              mail_names_warning_fn *warn, void *ctx);

/* Does the postmaster's mail end at this very host, where nobody keeps mailboxes? */
void mail_names_visit_postmaster(const struct settings *settings, struct span content,
                                 mail_names_warning_fn *warn, void *ctx);

#endif
