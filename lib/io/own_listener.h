/*
 * own_listener - would a connection end at a listener of ours?  Called by addresses, for mail that
 * we send ourselves would come back to us, and by `waxseal check`.
 */
#ifndef WAXSEAL_IO_OWN_LISTENER_H
#define WAXSEAL_IO_OWN_LISTENER_H

#include "lib/base/settings.h"

/*
 * Is there one of these settings at that address and port?  0.0.0.0 and [::] are all addresses of
 * this machine, of their family.
 */
bool own_listener(const struct settings *settings, const struct endpoint *to);

#endif
