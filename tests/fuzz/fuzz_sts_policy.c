/* fuzz_sts_policy - the body of a policy file; what is accepted must hold what it promises. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "policy/mx_match.h"
#include "policy/sts_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_patterns(const struct sts_policy *policy)
{
    for (unsigned i = 0; i < policy->mx_count; i++) {
        const char *pattern = policy->mx[i];
        ensure(strlen(pattern) <= DOMAIN_MAX + 2);
        ensure(!strchr(pattern + 1, '*'));
        if (pattern[0] != '*')
            ensure(mx_match(span_of(pattern), span_of(pattern)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = { (const char *)data, size };
    struct sts_policy *policy = NULL;
    enum sts_policy_fault fault = sts_policy_parse(body, &policy);
    ensure((fault == STS_POLICY_FINE) == (policy != NULL));
    ensure(sts_policy_fault_name(fault) != NULL);
    if (!policy)
        return 0;
    ensure(policy->max_age_s <= STS_MAX_AGE_MAX);
    ensure(policy->mx_count > 0 || policy->mode == STS_NONE);
    ensure(policy->text_len == size && memcmp(policy->text, data, size) == 0);
    check_patterns(policy);
    ensure(sts_policy_weakening(policy, policy) == 0);
    ensure(policy->mx_count <= STS_MX_MAX);
    sts_policy_free(&policy);
    return 0;
}
