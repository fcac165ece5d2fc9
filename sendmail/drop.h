/*
 * drop - leaves a message in the drop folder, for the relay to pick up when it is there again.
 * Called by sendmail.  When it says that all went well, the file and its name are on disk.
 */
#ifndef WAXSEAL_SENDMAIL_DROP_H
#define WAXSEAL_SENDMAIL_DROP_H

#include "lib/base/error.h"
#include "lib/base/span.h"

struct error *drop(const char *folder, struct span commands, struct span content) MUST_CHECK;

#endif
