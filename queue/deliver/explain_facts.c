#include "queue/deliver/explain_facts.h"

#include "queue/deliver/relief.h"

const char *explain_mx(const struct explain_facts *f)
{
    return f->plan->route.candidates[f->candidate].name;
}

bool explain_is_open(const struct explain_facts *f)
{
    return f->is_known && f->addresses.verdict == ADDRESSES_FOUND &&
           (!f->tlsa_failed || relief_without_tlsa(&f->facts)) && f->decision.deliver;
}

bool explain_is_usable(const struct explain_facts *f)
{
    if (f->contact == CONTACT_NONE)
        return explain_is_open(f);
    return f->contact == CONTACT_JUDGED && f->may_go;
}

/* Where nothing lower is tried, whoever stands in between gets nothing to read. */
static bool is_safe(const struct explain_facts *f)
{
    return !f->decision.lower_allowed;
}

enum explain_verdict explain_verdict_of(const struct explain_facts *const *all, unsigned count)
{
    bool goes = false, is_secure = true;

    for (unsigned i = 0; i < count; i++) {
        goes = goes || explain_is_usable(all[i]);
        is_secure = is_secure && (is_safe(all[i]) || !explain_is_open(all[i]));
    }
    if (!goes)
        return EXPLAIN_NOWHERE;
    return is_secure ? EXPLAIN_SECURE : EXPLAIN_DELIVERABLE;
}
