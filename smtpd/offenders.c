#include "smtpd/offenders.h"

/* Its place, or the one that it gets: a free one, or of whom was named longest ago. */
static struct offender *find(struct offenders *offenders, const struct ip_address *client,
                             bool *out_is_known)
{
    struct offender *oldest = &offenders->items[0];

    *out_is_known = true;
    for (unsigned i = 0; i < offenders->count; i++) {
        struct offender *item = &offenders->items[i];
        if (ip_address_equal(&item->client, client))
            return item;
        if (item->named_ms < oldest->named_ms)
            oldest = item;
    }
    *out_is_known = false;
    return offenders->count < OFFENDERS_MAX ? &offenders->items[offenders->count++] : oldest;
}

bool offenders_note(struct offenders *offenders, const struct ip_address *client, int64_t now_ms,
                    int64_t every_ms, uint64_t *out_times)
{
    bool is_known;
    struct offender *offender = find(offenders, client, &is_known);

    if (is_known && now_ms - offender->named_ms < every_ms) {
        offender->since++;
        return false;
    }
    *out_times = is_known ? offender->since + 1 : 1;
    *offender = (struct offender){ .client = *client, .named_ms = now_ms };
    return true;
}
