/*
 * commands_private - what the two halves of the command table share: commands.c has the table, the
 * session's own commands and the counts; commands_mail.c has the transaction, MAIL to BDAT.
 */
#ifndef WAXSEAL_SMTPD_COMMANDS_PRIVATE_H
#define WAXSEAL_SMTPD_COMMANDS_PRIVATE_H

#include "smtpd/commands.h"

/* --- commands.c */

/* TLS is required here and not yet active. */
bool conversation_must_secure(const struct conversation *talk);

/* --- commands_mail.c: what the table calls, with what stands behind the verb */
enum reply_id take_mail(struct conversation *talk, struct span argument);
enum reply_id take_rcpt(struct conversation *talk, struct span argument);
enum reply_id take_data(struct conversation *talk, struct span argument);
enum reply_id take_bdat(struct conversation *talk, struct span argument);

#endif
