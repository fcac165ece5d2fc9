/*
 * refresh - what to do about a domain's policy now, and when to look again.  Called by the policy
 * role for each question and at each background refresh.  Pure: times and chance come in as facts.
 * Rules: RFC 8461 s.3.1 (ids), s.3.3 (cache, five minutes after a failure), s.10.2 (daily, whatever
 * the TXT record says); design.md sections 3 to 5.
 */
#ifndef WAXSEAL_POLICY_REFRESH_H
#define WAXSEAL_POLICY_REFRESH_H

#include "policy/sts_policy.h"
#include "policy/sts_txt.h"

/* What is known when the TXT answer is there. */
struct sts_situation {
    bool cached; /* an entry is there, lapsed or not; the next four are its own */
    const char *cached_id;
    enum sts_mode mode;
    int64_t fetched_utc_ms;
    uint32_t max_age_s;
    bool tried; /* a fetch was tried since the start, or since the clock was set */

    const struct sts_txt *txt;
    const char *failed_id; /* of the last fetch that failed, within memory; NULL: none */
    int64_t failed_ago_ms;
    bool fresh;  /* fetch even with the same id: a refresh, or before a final bounce */
    bool forced; /* and whatever failed before: an operator asks */
    int64_t now_utc_ms;
};

enum sts_step {
    STS_STEP_USE,       /* the cached policy applies */
    STS_STEP_FETCH,     /* get the policy file; then sts_refresh_without when that fails */
    STS_STEP_NO_POLICY, /* as if the domain had none */
    STS_STEP_NOT_KNOWN, /* nobody knows for now: mail waits (design.md section 3) */
};

enum {
    STS_BACKOFF_MS = 5 * 60 * 1000, /* RFC 8461 s.3.3 */
    STS_REFRESH_ROLLS = 1024,       /* chance comes as a number below this */
    STS_KEEP_UNUSED_DAYS = 31,      /* refreshed that long behind the last mail */
};

/* Has the entry not outlived max_age?  One second of age equal to max_age is still alive (s.5.1).
 */
bool sts_is_live(const struct sts_situation *s);

enum sts_step sts_refresh_step(const struct sts_situation *s);

/* What is left when the fetch failed. */
enum sts_step sts_refresh_without(const struct sts_situation *s);

/* The id that a fetch is made for and its policy kept under. */
const char *sts_refresh_id(const struct sts_situation *s);

/* How a refresh ended, for the time of the next. */
enum sts_refreshed {
    STS_REFRESH_RENEWED,
    STS_REFRESH_SAME_TEXT, /* a new id with the old text: the owner may be a step behind (s.8.1) */
    STS_REFRESH_FAILED,
};

/*
 * When to refresh in the background: within a day and before half of max_age is over, spread by
 * `roll`; sooner after a failure; but not within the hour, for SAME_TEXT not within five minutes.
 */
int64_t sts_refresh_due(enum sts_refreshed how, int64_t now_utc_ms, uint32_t max_age_s,
                        unsigned roll);

/* Is an entry still worth a refresh?  One that nobody asked for in a month is left to lapse. */
bool sts_refresh_wanted(int64_t now_utc_ms, int64_t used_utc_ms);

#endif
