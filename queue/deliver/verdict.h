/*
 * verdict - the words of a decision: why a candidate was not used, and whose turn it is.  Called by
 * attempt.  Pure.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_VERDICT_H
#define WAXSEAL_QUEUE_DELIVER_VERDICT_H

#include "queue/deliver/outcome.h"
#include "queue/deliver/plan.h"

enum { VERDICT_WORDS_SIZE = 1024 };

/* What binds, which host, what is wrong, who has to mend it (design.md promise 3). */
void verdict_of_policy(const struct plan *plan, const char *mx, const char *reason,
                       const char *detail, char words[VERDICT_WORDS_SIZE]);

/* The same, of the host's TLSA records; they stand at the base domain `base`. */
void verdict_of_tlsa(const char *base, const char *mx, const char *reason, const char *detail,
                     char words[VERDICT_WORDS_SIZE]);
/* They are not known, for the reason that lib/io/host_lookup gives. */
void verdict_of_tlsa_failure(const char *reason, char words[VERDICT_WORDS_SIZE]);

/* The same, of what a route, the relayhost or tls-floor asks for. */
void verdict_of_level(const struct target *target, const char *mx, const char *reason,
                      const char *detail, char words[VERDICT_WORDS_SIZE]);

/* The login at a host came to nothing: which route's, with which file, and what was said. */
void verdict_of_login(const struct target *target, const char *mx, struct span said,
                      char words[VERDICT_WORDS_SIZE]);

/* The same, of what the message itself asks for with REQUIRETLS (RFC 8689). */
void verdict_of_unprotected(const char *mx, const char *reason, const char *detail,
                            char words[VERDICT_WORDS_SIZE]);

/* Why a host has no address that can be used, and who mends it where that is a route's doing. */
void verdict_of_addresses(enum address_verdict verdict, const struct target *target, const char *mx,
                          const char *reason, char words[VERDICT_WORDS_SIZE]);
/* The same in two or three words. */
const char *verdict_of_no_address(enum address_verdict verdict);

/* How a session with a host came to its end, in two or three words. */
const char *verdict_of_end(enum stage stage, enum outcome_kind kind);

#endif
