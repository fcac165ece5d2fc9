/*
 * failures - the last fetch of each domain and id that failed, for the five minutes in which that
 * id is not fetched again (RFC 8461 s.3.3) and for what is told of it.  Called by domains.  Kept in
 * the policy database, so that a restart does not shorten the wait.
 */
#ifndef WAXSEAL_POLICY_FAILURES_H
#define WAXSEAL_POLICY_FAILURES_H

#include "lib/io/loop.h"
#include "lib/mail/tls_result.h"
#include "policy/sts_cache.h"

struct failures;

struct failure {
    int64_t at_ms; /* on the loop's clock */
    enum tls_result result;
    char reason[STS_REASON_SIZE];
};

struct failures *failures_new(struct loop *loop, struct sts_cache *cache);
void failures_free(struct failures **failures);

/* Takes up what an earlier process noted and still counts. */
struct error *failures_load(struct failures *failures) MUST_CHECK;

/* The last failure of an id, lent until the next call; NULL: none that is remembered. */
const struct failure *failures_find(const struct failures *failures, const char *domain,
                                    const char *id);

/* A fetch failed now; it counts in this process even when an error says that it is not on disk. */
struct error *failures_note(struct failures *failures, const char *domain, const char *id,
                            enum tls_result result, const char *reason) MUST_CHECK;
/* A fetch of that id succeeded. */
struct error *failures_forget(struct failures *failures, const char *domain,
                              const char *id) MUST_CHECK;

#endif
