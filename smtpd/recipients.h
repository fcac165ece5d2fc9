/*
 * recipients - from a path that a client may hand in to the addresses that the queue gets: aliases
 * of this host's names, and the table of rewrites; and whether a route refuses these.  Called by
 * smtpd/commands.  Pure but for memory.
 */
#ifndef WAXSEAL_SMTPD_RECIPIENTS_H
#define WAXSEAL_SMTPD_RECIPIENTS_H

#include "lib/base/settings.h"
#include "lib/mail/aliases.h"
#include "lib/mail/command.h"

/* The mailbox behind our postmaster: the one set, or postmaster at our own name; false: neither. */
bool recipients_find_postmaster(const struct settings *settings, struct address *out);

/*
 * The error route by which mail for a forward-path would fail, of whomever it stands for: then it
 * is not to be taken, for nobody is to get it back later.  NULL: there is none.
 */
const struct route_settings *recipients_refused(const struct settings *settings,
                                                const struct aliases *aliases,
                                                const struct envelope *envelope,
                                                const struct address *path);

/*
 * Adds those for whom a forward-path stands (with aliases, NULL for none), each with what the
 * client asked to be told of it.  False, and none is added, when there is no room for all, or when
 * they would become more than `most`.
 */
bool recipients_add(const struct settings *settings, const struct aliases *aliases, unsigned most,
                    struct envelope *envelope, const struct rcpt_command *rcpt) MUST_CHECK;

#endif
