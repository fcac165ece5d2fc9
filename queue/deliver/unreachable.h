/*
 * unreachable - addresses of hosts that could not be connected to lately, or were outrun by another
 * address of theirs: for some minutes they go behind all others, and are still tried when there is
 * nothing else (rfc/dns.md DNS-73).  Called by attempt.  A worker's own memory, bounded.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_UNREACHABLE_H
#define WAXSEAL_QUEUE_DELIVER_UNREACHABLE_H

#include "lib/base/network.h"

#include <stdint.h>

enum { UNREACHABLE_MS = 10 * 60 * 1000 };

struct unreachable;

struct unreachable *unreachable_new(void);
void unreachable_free(struct unreachable **memory);

/* No connection came of it. */
void unreachable_note(struct unreachable *memory, const struct endpoint *remote, int64_t now_ms);
/* It answers. */
void unreachable_forget(struct unreachable *memory, const struct endpoint *remote);

/*
 * Moves those that were noted behind the others; else the order stays.  Gives the number of the
 * others.
 */
unsigned unreachable_order(struct unreachable *memory, struct ip_address *addresses, unsigned count,
                           uint16_t port, int64_t now_ms);

unsigned unreachable_count(const struct unreachable *memory);

#endif
