/*
 * decisions - the area sts_decisions: what the policy role finds out (discovery, cache, refresh),
 * what deliver would then do with each host, and what is compared of it.  Each part has a file.
 */
#ifndef WAXSEAL_TESTS_VECTORS_DECISIONS_H
#define WAXSEAL_TESTS_VECTORS_DECISIONS_H

#include "lib/mail/tls_result.h"
#include "policy/sts_policy.h"
#include "tests/vectors/vectors.h"

/* What the policy role answered. */
struct found_policy {
    struct sts_policy *policy; /* NULL: there is none */
    enum tls_result fetch_result;
};

/* The attempt: adds attempts, message, report and what else came of it to `got`. */
void play_attempt(const json_t *given, const char *domain, const struct found_policy *found,
                  json_t *got);

/* Counts a session, or a failure without one, in got's `report`. */
void count_session(json_t *got, const char *policy_type, const char *policy_domain,
                   enum tls_result result);

#endif
