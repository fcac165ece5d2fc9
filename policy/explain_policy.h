/*
 * explain_policy - answers "policy explain": what is cached for a domain, and what the domain
 * publishes at this moment, which is looked up and fetched for the answer alone: nothing of it is
 * kept, and no wait of the cache begins or ends by it.  Called by the role's entry.
 */
#ifndef WAXSEAL_POLICY_EXPLAIN_POLICY_H
#define WAXSEAL_POLICY_EXPLAIN_POLICY_H

#include "lib/base/json.h"
#include "policy/sts_cache.h"
#include "policy/sts_fetch.h"
#include "policy/sts_txt.h"

struct role_request;

/* All of them the role's; they outlive what is under way. */
struct explain_policy_tools {
    struct sts_cache *cache;
    struct resolver *resolver;
    struct sts_fetcher *fetcher;
};

/* Takes the request, whose argument is `domain`, and answers it later. */
void explain_policy(const struct explain_policy_tools *tools, struct role_request **request);

/* What was found; `fetched` NULL: nothing was fetched.  For the words, which are pure. */
struct explain_policy_facts {
    const char *domain;
    const struct sts_entry *cached; /* its policy is NULL when there is none */
    const struct sts_txt *txt;
    const char *txt_reason; /* with STS_TXT_DNS_ERROR */
    const struct sts_fetched *fetched;
};
/* Appends { "what", "who" } for each thing that is wrong. */
void explain_policy_problems(const struct explain_policy_facts *f, struct json *problems);

#endif
