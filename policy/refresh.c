#include "policy/refresh.h"

#include <string.h>

#include "lib/base/clock.h"

bool sts_is_live(const struct sts_situation *s)
{
    return s->cached && s->now_utc_ms <= s->fetched_utc_ms + (int64_t)s->max_age_s * SECOND_MS;
}

static bool same_id(const struct sts_situation *s)
{
    return s->cached && strcmp(s->cached_id, s->txt->id) == 0;
}

const char *sts_refresh_id(const struct sts_situation *s)
{
    if (s->txt->verdict == STS_TXT_VALID)
        return s->txt->id;
    return s->cached ? s->cached_id : "";
}

static bool must_wait(const struct sts_situation *s)
{
    return !s->forced && s->failed_id && s->failed_ago_ms < STS_BACKOFF_MS &&
           strcmp(s->failed_id, sts_refresh_id(s)) == 0;
}

/* Is there a reason to fetch, the waiting after a failure aside? */
static bool wants_fetch(const struct sts_situation *s)
{
    bool live = sts_is_live(s);
    bool anew = s->fresh || s->forced;
    if (s->txt->verdict == STS_TXT_VALID)
        return anew || !live || !same_id(s);
    if (live)
        return anew; /* a refresh does not need the record (RFC 8461 s.10.2) */
    /* Lapsed, and DNS is silent: after a start or a clock step nobody has tried yet. */
    return s->txt->verdict == STS_TXT_DNS_ERROR && s->cached && !s->tried;
}

enum sts_step sts_refresh_step(const struct sts_situation *s)
{
    if (wants_fetch(s) && !must_wait(s))
        return STS_STEP_FETCH;
    return sts_refresh_without(s);
}

enum sts_step sts_refresh_without(const struct sts_situation *s)
{
    if (sts_is_live(s))
        return STS_STEP_USE; /* RFC 8461 s.3.3: whatever happens to DNS and HTTPS */
    return s->txt->verdict == STS_TXT_DNS_ERROR ? STS_STEP_NOT_KNOWN : STS_STEP_NO_POLICY;
}

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

int64_t sts_refresh_due(enum sts_refreshed how, int64_t now_utc_ms, uint32_t max_age_s,
                        unsigned roll)
{
    int64_t wait = at_most((int64_t)max_age_s * SECOND_MS / 2, DAY_MS);
    int64_t least = HOUR_MS; /* what lives less long is fetched when mail asks for it */
    if (how == STS_REFRESH_SAME_TEXT) {
        wait = at_most(wait, 4 * STS_BACKOFF_MS);
        least = STS_BACKOFF_MS;
    }
    if (how == STS_REFRESH_FAILED)
        wait = at_most(wait, 4 * HOUR_MS);
    wait = wait / 2 + wait / 2 * (int64_t)roll / STS_REFRESH_ROLLS;
    return now_utc_ms + (wait > least ? wait : least);
}

bool sts_refresh_wanted(int64_t now_utc_ms, int64_t used_utc_ms)
{
    return now_utc_ms - used_utc_ms <= STS_KEEP_UNUSED_DAYS * DAY_MS;
}
