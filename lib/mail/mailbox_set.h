/*
 * mailbox_set - the mailboxes there are in domains of one's own, from a file of one a line:
 * "ada@example.net", or "@example.net" for all of a domain; "#" at the
 * beginning or behind a blank begins a comment.  Called by
 * smtpd/commands for every RCPT, and by the supervisor to check the file.  Pure but for memory.
 * Local-parts are compared without regard to the case of ASCII letters: who runs these mailboxes
 * has listed them.
 */
#ifndef WAXSEAL_MAIL_MAILBOX_SET_H
#define WAXSEAL_MAIL_MAILBOX_SET_H

#include "lib/base/settings.h"
#include "lib/mail/address.h"

struct mailbox_set;

/* Gives false, and all that is wrong with its line in `errors`, when anything is. */
bool mailbox_set_parse(struct span text, const char *file, struct settings_errors *errors,
                       struct mailbox_set **out_set);
void mailbox_set_free(struct mailbox_set **set);

size_t mailbox_set_count(const struct mailbox_set *set);
bool mailbox_set_has(const struct mailbox_set *set, const struct address *mailbox);

#endif
