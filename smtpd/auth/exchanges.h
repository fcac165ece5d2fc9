/*
 * exchanges - the exchanges of all smtpd processes: their channels, what a client has said so far,
 * and the answer.  Called by the role's entry.  An smtpd is taken for hostile (design.md section
 * 2). An unknown user and a wrong password take the same way and the same time.
 */
#ifndef WAXSEAL_SMTPD_AUTH_EXCHANGES_H
#define WAXSEAL_SMTPD_AUTH_EXCHANGES_H

#include "lib/io/loop.h"
#include "smtpd/auth/users.h"

struct exchanges;

struct exchanges *exchanges_new(struct loop *loop);
void exchanges_free(struct exchanges **exchanges);

/* The channel of an smtpd process; takes the descriptor.  It ends with the process. */
void exchanges_attach(struct exchanges *exchanges, int fd);

/* Who may log in from now on; takes them.  NULL: nobody. */
void exchanges_use(struct exchanges *exchanges, struct users **users);

/* From now on Dovecot judges, at the other end of this socket; "": the users file does. */
void exchanges_ask_dovecot(struct exchanges *exchanges, const char *path);

#endif
