/*
 * socketmap - other mail systems ask here for the policies of domains: Postfix by
 * smtp_tls_policy_maps, sendmail by its map `sts`.  Called by the role's entry.  Owns the listening
 * socket and the connections: a question at a time of each, in the order they came, all of them
 * bounded.  Whoever reaches the socket may ask: what is told stands in public.
 * Rules: rfc/socketmap-and-policy-maps.md sections 1 and 2.
 */
#ifndef WAXSEAL_POLICY_SOCKETMAP_H
#define WAXSEAL_POLICY_SOCKETMAP_H

#include "policy/inquiry.h"

struct socketmap;

struct socketmap *socketmap_new(struct loop *loop, struct inquiries *inquiries);
/* Before the inquiries are freed. */
void socketmap_free(struct socketmap **socketmap);

/* Takes a listening socket, in place of the one before. */
void socketmap_listen(struct socketmap *socketmap, int fd);
struct socketmap_counts {
    unsigned connections; /* now */
    uint64_t answers;     /* since the start */
};
struct socketmap_counts socketmap_counts(const struct socketmap *socketmap);

/* No more: closes the socket and all connections. */
void socketmap_stop(struct socketmap *socketmap);

#endif
