/*
 * sendmail - the command that programs of this machine hand in mail with: sendmail, mailq and
 * newaliases, by the name it was called by.  Called by supervisor/main.  It runs with the rights of
 * whoever calls it and needs no others.
 */
#ifndef WAXSEAL_SENDMAIL_SENDMAIL_H
#define WAXSEAL_SENDMAIL_SENDMAIL_H

#include <stdbool.h>

/* Is this what the program was called as? */
bool sendmail_is_called(const char *name);

/*
 * Gives the exit status, of sysexits.h.  `show_queue` is what mailq does; `config` is the file
 * when no option names one, and need not be there.
 */
typedef int sendmail_queue_fn(const char *config);
int sendmail_run(int count, char *const words[], const char *config, sendmail_queue_fn *show_queue);

#endif
