/*
 * sts_fetch - gets a policy file: addresses of the policy host by our own resolver, then one HTTPS
 * GET.  Called by the role, which sees to it that a domain is fetched once at a time.  Owns the
 * limits of all fetches together: STS_FETCHES_MAX, and STS_FETCHES_PER_ADDRESS.
 * Rules: RFC 8461 s.3.3; internal addresses are refused (pitfalls.md section 7.9).
 */
#ifndef WAXSEAL_POLICY_STS_FETCH_H
#define WAXSEAL_POLICY_STS_FETCH_H

#include "lib/base/settings.h"
#include "lib/io/http.h"
#include "lib/io/resolver.h"
#include "lib/mail/tls_result.h"
#include "policy/sts_policy.h"

struct sts_fetcher;
struct sts_fetch;

/* What came of a fetch. */
struct sts_fetched {
    struct sts_policy *policy; /* whoever wants it takes it and sets NULL */
    enum tls_result result;    /* why there is none, for reports (RFC 8460 s.4.3) */
    bool local; /* no fault of the domain's: nothing is reported, nothing concluded */
    char reason[STS_REASON_SIZE];
};

/* Resolver and http stay the caller's and outlive it. */
struct sts_fetcher *sts_fetcher_new(struct loop *loop, struct resolver *resolver,
                                    struct http *http);
void sts_fetcher_free(struct sts_fetcher **fetcher);

/* The networks that the address filter lets through; lent until the next call. */
void sts_fetcher_allow(struct sts_fetcher *fetcher, const struct network_list *allow);

/* `done` is called exactly once, from the loop, within STS_FETCH_MS, unless cancelled. */
typedef void sts_fetch_done_fn(void *ctx, struct sts_fetched *fetched);
struct sts_fetch *sts_fetch_start(struct sts_fetcher *fetcher, const char *domain,
                                  sts_fetch_done_fn *done, void *ctx);
void sts_fetch_cancel(struct sts_fetch **fetch);

/* Where a domain's policy file is: "https://mta-sts.example.net/.well-known/mta-sts.txt". */
enum { STS_URL_SIZE = DOMAIN_MAX + 64 };
void sts_fetch_url(const char *domain, char url[STS_URL_SIZE]);

#endif
