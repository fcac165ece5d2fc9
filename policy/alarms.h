/*
 * alarms - the cached policies that an administrator should look at: their refresh fails, DNS has
 * no record of them any more, or they ask for less than before.  Called by domains for each entry
 * that is written, and by the operator's answers.  In memory, made anew of the entries at a start;
 * bounded by ALARMS_MAX.  Rules: RFC 8461 s.3.3 and s.10.2: told long before a policy lapses, save
 * mode none.
 */
#ifndef WAXSEAL_POLICY_ALARMS_H
#define WAXSEAL_POLICY_ALARMS_H

#include "lib/base/json.h"
#include "policy/sts_entry.h"

enum {
    ALARMS_MAX = 10000,
    ALARMS_SHOWN_MAX = 50,
    ALARM_DAYS = 7, /* a weakening, or a policy that lapsed, is news for so long */
};

struct alarms;

struct alarms *alarms_new(void);
void alarms_free(struct alarms **alarms);

/* The entry was read or written: takes up what is wrong with it, or forgets what was. */
void alarms_note(struct alarms *alarms, const struct sts_entry *entry);
void alarms_forget(struct alarms *alarms, const char *domain);

/*
 * Adds to the object how many there are of each kind, and as `alarms` those that lapse first, at
 * most ALARMS_SHOWN_MAX, as rows of domain, alarm, since, days_left and detail.
 */
void alarms_show(const struct alarms *alarms, int64_t now_utc_ms, struct json *object);

/* The same rows for one entry. */
void alarms_of_entry(const struct sts_entry *entry, int64_t now_utc_ms, struct json *rows);

#endif
