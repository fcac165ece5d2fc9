/*
 * hand_in - gives a message to the relay over its Unix socket, and waits for every word of it.
 * Called by sendmail.  Blocking, with deadlines.
 */
#ifndef WAXSEAL_SENDMAIL_HAND_IN_H
#define WAXSEAL_SENDMAIL_HAND_IN_H

#include "lib/mail/submission.h"
#include "lib/base/error.h"

enum hand_in_end {
    HAND_IN_TAKEN,
    HAND_IN_LATER,   /* no relay, or none that takes it now; *out_why says more */
    HAND_IN_REFUSED, /* for good; all reasons are printed */
};

/*
 * The envelope's commands with LF, and content with CRLF line ends.  `name` stands in front of what
 * is printed on standard error.  Of several recipients one refused
 * is the end: nothing is sent, so that a failure always means that nobody got it.  *out_exit is
 * the exit status (sysexits.h) for what is refused.
 */
enum hand_in_end hand_in(const char *name, const char *socket_path, struct span commands,
                         struct span content, bool is_verbose, struct error **out_why,
                         int *out_exit);

#endif
