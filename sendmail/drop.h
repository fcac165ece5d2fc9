/*
 * drop - leaves a letter in the drop folder, for the relay to pick up when it is there again.
 * Called by sendmail.  When it says that all went well, the file and its name are on disk.
 */
#ifndef WAXSEAL_SENDMAIL_DROP_H
#define WAXSEAL_SENDMAIL_DROP_H

#include "sendmail/letter.h"

struct error *drop(const char *folder, const struct letter *letter) MUST_CHECK;

#endif
