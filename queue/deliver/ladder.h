/*
 * ladder - how a host is connected to, from the best hello downwards (design.md section 11), and
 * what is worth knowing the next time.  Called by attempt and explain.  Pure.
 * After a failed handshake the classic hello is tried, whatever binds: it is no less secure.  What
 * is lower only where the decision allows it.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_LADDER_H
#define WAXSEAL_QUEUE_DELIVER_LADDER_H

#include "policy/decide.h"

/* What was learned of a host; a number in messages to the queue (HostTls). */
enum lesson {
    LESSON_NONE,
    LESSON_CLASSIC, /* it takes the classic hello, and not the full one */
    LESSON_LEGACY,  /* it takes the legacy floor, and no higher one */
};

struct rung {
    enum tls_floor floor;
    enum tls_hello hello;
    bool use_tls;
    bool is_lower; /* than the decision's first */
};

/* The first one, with what was learned before: never in clear, nor lower where somebody asks. */
struct rung ladder_begin(const struct sts_decision *d, enum lesson lesson);

/* After a failed handshake: the same with the classic hello.  False: it was that already, or there
 * is no difference. */
bool ladder_say_less(struct rung *rung, bool hellos_differ);
/* The next lower one, and at last in clear, as far as the decision allows. */
bool ladder_lower(struct rung *rung, const struct sts_decision *d);

/* What a session that came about on this rung teaches. */
enum lesson ladder_lesson(const struct rung *rung);

#endif
