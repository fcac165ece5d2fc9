/*
 * tls_groups - the groups for the key exchange that a client's hello offers.  Called by tls.  Pure.
 * Hybrid groups stand last: a key share goes out for the first one alone, so that a host that knows
 * none of them has a hello of the old size, and one that wants a hybrid asks for its share.
 */
#ifndef WAXSEAL_IO_TLS_GROUPS_H
#define WAXSEAL_IO_TLS_GROUPS_H

#include <stdbool.h>

/* Does the library know a group of this name? */
typedef bool tls_group_known_fn(const char *name);

enum { TLS_GROUPS_SIZE = 160 };
/* The list of the full hello, with the hybrids that are known; gives their number. */
unsigned tls_groups_full(tls_group_known_fn *known, char list[TLS_GROUPS_SIZE]);
/* That of the classic one, for hosts that stumble over the full one. */
void tls_groups_classic(char list[TLS_GROUPS_SIZE]);

#endif
