/*
 * level - how secure a session has to be, and how secure it is, in one word each: "clear",
 * "encrypted" (TLS with whomever), "verified" (the certificate is good for the host's name, or one
 * that the route lists), "dane" (it fits TLSA records).  For the decision record, the log and
 * `waxseal explain`.  Pure; judges nothing: that is policy/decide's.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_LEVEL_H
#define WAXSEAL_QUEUE_DELIVER_LEVEL_H

#include "policy/decide.h"

/* What mail asks of a session at least, by the decision about its candidate. */
const char *level_wanted(const struct sts_decision *decision);

/* What a session is, as far as `facts` say; "" for one whose handshake failed: it carries nothing.
 */
const char *level_reached(const struct sts_decision *decision, const struct sts_facts *facts);

/* What the check of its certificate came to: "ok", or what is wrong; "" where none was shown. */
const char *level_verify_word(const struct tls_session *tls);

#endif
