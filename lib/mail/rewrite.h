/*
 * rewrite - the table that gives addresses of internal domains their public form.  Called by
 * smtpd/paths for the envelope and by smtpd/duties for header fields.  Pure: no memory.
 * The first row that fits decides, and its result is not looked up again, so nothing can loop.
 * Addresses are compared without regard to case.
 */
#ifndef WAXSEAL_MAIL_REWRITE_H
#define WAXSEAL_MAIL_REWRITE_H

#include "lib/base/limits.h"
#include "lib/base/settings.h"
#include "lib/mail/address.h"

/* "ada@example.net" with a domain: the row that fits, or NULL.  `*out_is_domain`: only the domain
 * changes. */
const struct rewrite *rewrite_find(const struct rewrite_list *rewrites, struct span address,
                                   bool *out_is_domain);

/* The address as the table has it; false, and `room` unset, when it stays or would be too long. */
bool rewrite_address(const struct rewrite_list *rewrites, struct span address,
                     char room[ADDRESS_MAX + 1]);

/* The same for a path: it stays, too, where the table makes no address of it. */
void rewrite_path(const struct rewrite_list *rewrites, struct address *path);

#endif
