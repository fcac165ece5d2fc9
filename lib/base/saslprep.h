/*
 * saslprep - the one form of a password that can be typed in several (RFC 4013); libidn behind it.
 * Called by smtpd/auth/password, `waxseal user` and queue/deliver/login.  Printable ASCII is
 * its own form.  Pure.
 */
#ifndef WAXSEAL_BASE_SASLPREP_H
#define WAXSEAL_BASE_SASLPREP_H

#include "lib/base/span.h"

/*
 * Gives false, and an empty string, when there is no such form: control characters, mixed
 * directions, characters younger than RFC 3454, not UTF-8; or when it does not fit.
 */
bool saslprep(struct span text, char *room, size_t size);

#endif
