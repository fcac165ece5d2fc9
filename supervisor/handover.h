/*
 * handover - all that the supervisor opens and reads for the roles under one set of settings:
 * listening sockets, trust anchors, resolv.conf, certificates and keys, smtpd's table of counters.
 * Made whole or not at all, so that a reload that fails changes nothing.
 */
#ifndef WAXSEAL_SUPERVISOR_HANDOVER_H
#define WAXSEAL_SUPERVISOR_HANDOVER_H

#include "lib/base/settings.h"
#include "supervisor/process.h"

struct handover;

/*
 * Opens everything.  Sockets that `old` (or NULL) has already are shared with it.  `settings` is
 * copied.  The error is one line for the administrator, with all files that are wrong.
 */
struct error *handover_new(const struct settings *settings, const struct handover *old,
                           struct handover **out_handover) MUST_CHECK;
/*
 * Opens the socket of local submission, unless the settings want none, and the Unix sockets of
 * listeners; their folders, the run directory among them, must be there.
 */
struct error *handover_open_unix(struct handover *h, const struct handover *old) MUST_CHECK;
/*
 * Reads the files that the settings name, for `waxseal check`, and tells of each that is wrong, or,
 * to `warning`, about to be; opens no socket.
 */
typedef void handover_fault_fn(void *ctx, enum role_content kind, unsigned index,
                               struct error **taken);
void handover_check_files(const struct settings *settings, handover_fault_fn *fault,
                          handover_fault_fn *warning, void *ctx);
void handover_free(struct handover **handover);

const struct settings *handover_settings(const struct handover *h);
/* The settings as text for the roles; lent. */
struct span handover_text(const struct handover *h);

/* Hands a new process what its role is to have. */
void handover_give(const struct handover *h, struct process *process);

/*
 * Looks whether files have changed, and visits each new content.  What is worse than before (no
 * certificate in it, a key that does not fit) is logged and not taken.  Certificates that end soon
 * are logged, too, once a day; new keys for TLS tickets are visited as a file's content is.
 */
typedef void handover_visit_fn(void *ctx, enum role_content kind, unsigned index,
                               struct span content);
void handover_visit_new(struct handover *h, handover_visit_fn *visit, void *ctx);

/* Does a role get contents of this kind? */
bool handover_is_for(enum role_content kind, const struct role_row *row);

#endif
