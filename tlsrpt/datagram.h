/*
 * datagram - what a Postfix (3.10 or later) tells of a TLS session through libtlsrpt: one datagram,
 * a JSON object, to session events as our own workers tell them.  Called by collector.  Pure.
 * Rules: rfc/tls-rpt.md section 12 (RPT-101 to RPT-107).  Whoever may send may send anything: all
 * of a datagram is checked before any of it counts, and what it may cost is bounded.
 */
#ifndef WAXSEAL_TLSRPT_DATAGRAM_H
#define WAXSEAL_TLSRPT_DATAGRAM_H

#include "lib/base/span.h"
#include "lib/ipc/tlsrpt.pb-c.h"

enum {
    DATAGRAM_MAX = 1024 * 1024, /* octets; the kernel's own bound is a fifth of that by default */
    DATAGRAM_VALUES_MAX = 20000,
    DATAGRAM_POLICIES_MAX = 16,
};

enum datagram_verdict {
    DATAGRAM_FINE,
    DATAGRAM_OTHER_VERSION, /* of the protocol: not "1" */
    DATAGRAM_MALFORMED,
};

/* What one said.  An opaque whole that owns all that its events point to. */
struct datagram;

/* With DATAGRAM_FINE *out_datagram is the caller's; else *out_why says what is wrong with it. */
enum datagram_verdict datagram_read(struct span text, struct datagram **out_datagram,
                                    const char **out_why);
void datagram_free(struct datagram **datagram);

/* One event for each policy that was finished; counts_is_valid holds for all. */
size_t datagram_count(const struct datagram *datagram);
const Ipc__SessionEvent *datagram_event(const struct datagram *datagram, size_t index);
/* Policies that whoever sent it had begun and not ended: never reported (RPT-104). */
unsigned datagram_unfinished(const struct datagram *datagram);
/* The TLSRPT record of the domain as the sender found it (RPT-4); data NULL: it told none. */
struct span datagram_record(const struct datagram *datagram);

#endif
