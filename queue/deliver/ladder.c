#include "queue/deliver/ladder.h"

/* What a policy under test comes to is to be seen each time: only without one is it begun lower. */
static bool may_begin_lower(const struct sts_decision *d)
{
    return d->floor == TLS_FLOOR_OPPORTUNISTIC && d->legacy_allowed;
}

struct rung ladder_begin(const struct sts_decision *d, enum lesson lesson)
{
    struct rung rung = { .floor = d->floor, .use_tls = d->use_tls };

    if (lesson == LESSON_LEGACY && may_begin_lower(d)) {
        rung.floor = TLS_FLOOR_LEGACY;
        rung.is_lower = true;
    }
    rung.hello = lesson != LESSON_NONE ? TLS_HELLO_CLASSIC : TLS_HELLO_FULL;
    return rung;
}

bool ladder_say_less(struct rung *rung, bool hellos_differ)
{
    if (!rung->use_tls || !hellos_differ || rung->hello == TLS_HELLO_CLASSIC)
        return false;
    rung->hello = TLS_HELLO_CLASSIC;
    return true;
}

bool ladder_lower(struct rung *rung, const struct sts_decision *d)
{
    if (!sts_decide_again(d, &rung->floor, &rung->use_tls))
        return false;
    rung->hello = TLS_HELLO_CLASSIC;
    rung->is_lower = true;
    return true;
}

enum lesson ladder_lesson(const struct rung *rung)
{
    if (!rung->use_tls)
        return LESSON_NONE;
    if (rung->floor == TLS_FLOOR_LEGACY)
        return LESSON_LEGACY;
    return rung->hello == TLS_HELLO_CLASSIC && !rung->is_lower ? LESSON_CLASSIC : LESSON_NONE;
}
