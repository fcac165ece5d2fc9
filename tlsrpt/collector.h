/*
 * collector - where other mail systems of this machine tell of their TLS sessions, as libtlsrpt
 * does (Postfix 3.10 or later), for the same reports as ours: a socket of datagrams that the
 * supervisor has bound (tlsrpt-socket).  Called by the tlsrpt role; feeds counting.  What cannot be
 * read is dropped, counted, and said in the log once a minute; work for each turn of the loop is
 * bounded, so that a flood holds up nobody.  Rules: rfc/tls-rpt.md section 12.
 */
#ifndef WAXSEAL_TLSRPT_COLLECTOR_H
#define WAXSEAL_TLSRPT_COLLECTOR_H

#include "lib/base/json.h"
#include "tlsrpt/counting.h"

enum {
    COLLECTOR_TURN_DATAGRAMS = 64, /* read in one turn of the loop, */
    COLLECTOR_TURN_BYTES = 1024 * 1024,
    COLLECTOR_LOG_MS = 60 * 1000, /* between two lines about what was dropped */
};

struct collector;

/* Counting stays the caller's and outlives it. */
struct collector *collector_new(struct loop *loop, struct counting *counting);
void collector_free(struct collector **collector);

/* Reads from that socket, which it takes, and from no other one any more. */
void collector_listen(struct collector *collector, int fd);
/* Reads from none. */
void collector_stop(struct collector *collector);

/* What came, in numbers since the process began. */
struct collector_counts {
    uint64_t datagrams;     /* all of them */
    uint64_t sessions;      /* counted: one for each policy */
    uint64_t unfinished;    /* policies not counted, for their sender had not ended them */
    uint64_t other_version; /* datagrams dropped */
    uint64_t malformed;
    uint64_t too_large;
};
struct collector_counts collector_counts(const struct collector *collector);

/* The same as members of an object, for `waxseal status`; none while there is no socket. */
void collector_show(const struct collector *collector, struct json *object);

#endif
