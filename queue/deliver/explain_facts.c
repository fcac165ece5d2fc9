#include "queue/deliver/explain_facts.h"

#include "queue/deliver/relief.h"

const char *explain_mx(const struct explain_facts *f)
{
    return f->plan->route.candidates[f->candidate].name;
}

static uint16_t preference_of(const struct explain_facts *f)
{
    return f->plan->route.candidates[f->candidate].preference;
}

/* One that not even TLSA records could make fit for use is passed over before it is looked up. */
static bool is_own(const struct explain_facts *f)
{
    struct sts_facts best = f->facts;

    best.tlsa = TLSA_USABLE;
    return f->is_known && f->addresses.verdict == ADDRESSES_OWN &&
           (f->decision.deliver || (best.mx_is_sure && sts_decide_candidate(best).deliver));
}

static void cut(struct explain_facts *f, const struct explain_facts *own)
{
    if (f->plan != own->plan || preference_of(f) < preference_of(own) ||
        f->addresses.verdict == ADDRESSES_OWN)
        return;
    f->behind_own = explain_mx(own);
    f->contact = CONTACT_NONE;
    f->said[0] = '\0';
}

void explain_cut_own(struct explain_facts *const *all, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; is_own(all[i]) && k < count; k++)
            cut(all[k], all[i]);
}

bool explain_is_open(const struct explain_facts *f)
{
    return !f->behind_own && f->is_known && f->addresses.verdict == ADDRESSES_FOUND &&
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
