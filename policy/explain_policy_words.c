/* The words of explain_policy: what is wrong with what a domain publishes.  Pure. */
#include "policy/explain_policy.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

enum { WHAT_SIZE = 1024 };

static void add(const struct explain_policy_facts *f, struct json *problems, const char *what)
{
    struct json *problem = json_append_object(problems);
    char who[DOMAIN_MAX + 32];

    snprintf(who, sizeof(who), "the postmaster of %s", f->domain);
    json_add_string(problem, "what", what);
    json_add_string(problem, "who", who);
}

static const char *txt_words(enum sts_txt_verdict verdict)
{
    switch (verdict) {
    case STS_TXT_NO_RECORD:
        return "is no policy record any more";
    case STS_TXT_MULTIPLE:
        return "are several policy records, which is as good as none (RFC 8461 section 3.1)";
    case STS_TXT_INVALID:
        return "is a malformed policy record, which is as good as none (RFC 8461 section 3.1)";
    case STS_TXT_DNS_ERROR:
        return "may be a policy record: DNS does not say";
    case STS_TXT_VALID:
        break;
    }
    return "is a policy record";
}

/* A domain that never had a policy is not to blame for that. */
static void txt_problem(const struct explain_policy_facts *f, struct json *problems)
{
    bool has_cached = f->cached->policy != NULL;
    char what[WHAT_SIZE], expires[CLOCK_TEXT_SIZE];

    if (f->txt->verdict == STS_TXT_VALID || (f->txt->verdict == STS_TXT_NO_RECORD && !has_cached))
        return;
    clock_format_rfc3339(has_cached ? sts_entry_expires(f->cached) : 0, expires);
    snprintf(what, sizeof(what), "at _mta-sts.%s there %s%s%s%s%s", f->domain,
             txt_words(f->txt->verdict), f->txt_reason[0] ? ": " : "", f->txt_reason,
             has_cached ? "; the cached policy holds until " : "", has_cached ? expires : "");
    add(f, problems, what);
}

static bool is_same(const struct sts_policy *a, const struct sts_policy *b)
{
    return a->text_len == b->text_len && memcmp(a->text, b->text, a->text_len) == 0;
}

static void fetch_problem(const struct explain_policy_facts *f, struct json *problems)
{
    char what[WHAT_SIZE];

    if (!f->fetched)
        return;
    if (!f->fetched->policy) {
        snprintf(what, sizeof(what), "its policy file cannot be had: %s", f->fetched->reason);
        add(f, problems, what);
    } else if (f->cached->policy && strcmp(f->cached->id, f->txt->id) == 0 &&
               !is_same(f->cached->policy, f->fetched->policy)) {
        add(f, problems,
            "the policy file has changed under the same id: until they renew it, those who have "
            "it keep the old one");
    }
}

void explain_policy_problems(const struct explain_policy_facts *f, struct json *problems)
{
    txt_problem(f, problems);
    fetch_problem(f, problems);
}
