/* smtp - `sendmail -bs`: carries SMTP between standard input and output and the relay. */
#ifndef WAXSEAL_SENDMAIL_SMTP_H
#define WAXSEAL_SENDMAIL_SMTP_H

#include "lib/base/settings.h"

/*
 * Gives the exit status: TEMPFAIL, and 421 to the client, when no relay can be reached; DATAERR,
 * and 500, when its lines end with LF alone.
 */
int smtp_speak(const char *name, const struct settings *settings);

#endif
