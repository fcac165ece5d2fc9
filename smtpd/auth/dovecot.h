/*
 * dovecot - the lines of Dovecot's authentication protocol, version 1, as its clients speak it.
 * Called by smtpd/auth/dovecot_link.  Pure.  Dovecot is believed when it says who somebody is, and
 * nothing more: what it says is bounded and looked at like anything from outside.
 * Rules: Dovecot's "Authentication Protocol" (doc/wiki/Design.AuthProtocol).
 */
#ifndef WAXSEAL_SMTPD_AUTH_DOVECOT_H
#define WAXSEAL_SMTPD_AUTH_DOVECOT_H

#include "lib/base/buf.h"

enum {
    DOVECOT_LINE_MAX = 8192, /* both ways: Dovecot hangs up on longer ones */
    DOVECOT_USER_MAX = 254,
};

enum dovecot_kind {
    DOVECOT_VERSION,
    DOVECOT_MECHANISM, /* one that it offers */
    DOVECOT_READY,     /* all is said, requests may come */
    DOVECOT_CONTINUE,
    DOVECOT_OK,
    DOVECOT_FAIL,
    DOVECOT_OTHER,  /* of no concern to us */
    DOVECOT_BROKEN, /* not of this protocol */
};

struct dovecot_line {
    enum dovecot_kind kind;
    bool is_ours;                    /* VERSION: the major number is 1 */
    struct span mechanism;           /* lent, as it stands in the line */
    uint32_t id;                     /* CONTINUE, OK, FAIL: of the request */
    struct span challenge;           /* CONTINUE: base64, lent */
    char user[DOVECOT_USER_MAX + 1]; /* OK, FAIL: "" when it is not said, or no fit name */
    bool is_temporary;               /* FAIL: it cannot tell now */
};

/* Reads a line without its LF. */
struct dovecot_line dovecot_parse(struct span line);

/*
 * What we say, with line ends, into `out`, which has to have room for DOVECOT_LINE_MAX more.  The
 * latter two give false, and leave `out` as it was, for a response that is too long.
 */
void dovecot_put_hello(struct buf *out, unsigned process);
bool dovecot_put_begin(struct buf *out, uint32_t id, const char *mechanism, const char *client,
                       const struct span *response) MUST_CHECK;
bool dovecot_put_continue(struct buf *out, uint32_t id, struct span response) MUST_CHECK;
void dovecot_put_cancel(struct buf *out, uint32_t id);

#endif
