#include "queue/pace.h"

#include <limits.h>

enum { BUCKET_PART = 60 };

static int64_t interval_us(struct message_rate rate)
{
    return (int64_t)rate.per_s * 1000000 / rate.count;
}

/* What is not used for so long is lost; half a message more, for timers are late. */
static int64_t bucket_us(struct message_rate rate)
{
    int64_t held = rate.count / BUCKET_PART;

    return (held > 1 ? held : 1) * interval_us(rate) + interval_us(rate) / 2;
}

/* Up to when is paid, as a time that the clock may have: it may have been stepped back. */
static int64_t paid_us(const struct pace *pace, struct message_rate rate, int64_t now_ms)
{
    int64_t now_us = now_ms * 1000;
    int64_t least_us = now_us - bucket_us(rate);

    if (pace->paid_us == 0)
        return now_us - interval_us(rate);
    if (pace->paid_us > now_us)
        return now_us;
    return pace->paid_us > least_us ? pace->paid_us : least_us;
}

unsigned pace_tokens(const struct pace *pace, struct message_rate rate, int64_t now_ms)
{
    if (rate.count == 0)
        return UINT_MAX;
    return (unsigned)((now_ms * 1000 - paid_us(pace, rate, now_ms)) / interval_us(rate));
}

void pace_take(struct pace *pace, struct message_rate rate, int64_t now_ms)
{
    if (rate.count > 0)
        pace->paid_us = paid_us(pace, rate, now_ms) + interval_us(rate);
}

int64_t pace_next_ms(const struct pace *pace, struct message_rate rate, int64_t now_ms)
{
    return (paid_us(pace, rate, now_ms) + interval_us(rate) + 999) / 1000;
}
