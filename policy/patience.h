/*
 * patience - since when the policies of some domains cannot be found out.  Called by
 * policy/inquiry: mail of other systems waits for an unknown policy as our own does (design.md
 * section 3), but who asks does not say how old a message is.  What counts is how long the domain
 * has been asked about in vain.  Bounded in number: the oldest goes first.  Pure: times come in as
 * facts.
 */
#ifndef WAXSEAL_POLICY_PATIENCE_H
#define WAXSEAL_POLICY_PATIENCE_H

#include "lib/base/span.h"

struct patience;

struct patience *patience_new(size_t count_max);
void patience_free(struct patience **patience);

/*
 * Notes that the domain's policy is unknown now; true when it has been for `wait_ms`.  A pause in
 * the asking that is as long begins anew: who knows what was meanwhile.
 */
bool patience_is_over(struct patience *patience, struct span domain, int64_t now_ms,
                      int64_t wait_ms);

/* It is known again. */
void patience_restore(struct patience *patience, struct span domain);

#endif
