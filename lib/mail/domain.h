/*
 * domain - names of mail domains and hosts in the one form that we compare, look up and store:
 * A-labels, lower case, without a final dot (RFC 5891; libidn2 behind it).  Pure.
 */
#ifndef WAXSEAL_MAIL_DOMAIN_H
#define WAXSEAL_MAIL_DOMAIN_H

#include "lib/base/limits.h"
#include "lib/base/span.h"

/* Brings a name into our form.  False for what is no domain: empty labels, too long, IDNA refusals.
 */
bool domain_normalize(struct span name, char out[DOMAIN_MAX + 1]);

/* True for letters, digits, hyphen (not at a label's ends), at least one label, in our length. */
bool domain_is_host(struct span name);

#endif
