/*
 * author - whose mail is this?  The domain of the one author that a header block names in its From
 * field, for the keys of that domain sign it.  Called by asks.  Pure.
 * Rules: RFC 5322 s.3.6 (one From field), RFC 6376 s.5.4, rfc/dkim.md DKIM-4, DKIM-7, DKIM-39.
 */
#ifndef WAXSEAL_QUEUE_SIGN_AUTHOR_H
#define WAXSEAL_QUEUE_SIGN_AUTHOR_H

#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "lib/base/span.h"

/* NULL, with the domain as A-labels in lower case; or why there is none, in words for people. */
const char *author_domain(struct span header, char out_domain[DOMAIN_MAX + 1]) MUST_CHECK;

#endif
