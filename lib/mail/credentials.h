/*
 * credentials - the file by which we log in at a route's next hop: one line "USER:PASSWORD", the
 * user without a colon; empty lines and those that begin with "#" are passed over.  Called by the
 * supervisor, which refuses a file that is none, and by workers.  Pure: the parts are lent.
 */
#ifndef WAXSEAL_MAIL_CREDENTIALS_H
#define WAXSEAL_MAIL_CREDENTIALS_H

#include "lib/base/error.h"
#include "lib/base/span.h"

enum { CREDENTIALS_USER_MAX = 254, CREDENTIALS_PASSWORD_MAX = 1024 };

struct credentials {
    struct span user;
    struct span password;
};

/* The error says nothing of what stands in the file. */
struct error *credentials_parse(struct span text, struct credentials *out) MUST_CHECK;

#endif
