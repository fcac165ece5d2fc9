/*
 * lines - finds command lines in a client's input.  Called by smtpd/session.  Pure.
 * Only CRLF ends a line (rfc/smtp-server.md SRV-2); one that is too long is used up to its end and
 * never acted upon (SRV-4).  What has been looked at is not looked at again.
 */
#ifndef WAXSEAL_SMTPD_LINES_H
#define WAXSEAL_SMTPD_LINES_H

#include "lib/base/span.h"

struct lines {        /* all zero to begin with */
    size_t scanned;   /* bytes of the input's front that hold no line end */
    size_t discarded; /* of a line that is too long; 0: there is none */
    bool is_response; /* to AUTH: may have SMTP_AUTH_LINE_MAX instead of SMTP_COMMAND_MAX */
};

enum line_found {
    LINE_NONE,     /* more has to come; what is used up belonged to a line that is too long */
    LINE_WHOLE,    /* *out_line, without its CRLF */
    LINE_TOO_LONG, /* the end of one that was beyond its limit */
    LINE_ENDLESS,  /* beyond SMTPD_COMMAND_DISCARD_MAX: nobody means that */
};

/*
 * Takes the first line of all input that is not used up yet; *out_used is what it uses up.  A whole
 * line may be left unused: it is found again.
 */
enum line_found lines_take(struct lines *lines, struct span input, struct span *out_line,
                           size_t *out_used);

#endif
