/*
 * rua - the TXT record at _smtp._tls.<policy domain>, which says where reports are wanted.
 * Called by the tlsrpt role.  Pure: URIs point into the records handed in, as they are written.
 * Rules: RFC 8460 s.3; "v=TLSRPTv1", blanks, ";" is the beginning that counts (rfc/tls-rpt.md
 * RPT-16).  A URI that cannot be used (no scheme or another one, no address, no host, a bare "!")
 * is passed over; a record whose form is broken, or that leaves no URI, is as good as none.
 */
#ifndef WAXSEAL_TLSRPT_RUA_H
#define WAXSEAL_TLSRPT_RUA_H

#include "lib/base/limits.h"
#include "lib/mail/dns_message.h"

enum rua_verdict {
    RUA_VALID,
    RUA_NO_RECORD,
    RUA_MULTIPLE,  /* several: as good as none */
    RUA_INVALID,   /* one, and malformed: as good as none */
    RUA_DNS_ERROR, /* nothing is known; never taken for "no record" */
};

struct rua {
    enum rua_verdict verdict;
    struct span uris[RUA_MAX]; /* the first ones that can be used, in their order */
    unsigned count;
    struct span list; /* all of them, for rua_next */
};

/* Judges the TXT records found, each with its strings already joined. */
void rua_parse(const struct span *records, unsigned count, struct rua *out);

/* Judges a whole DNS answer; the URIs live as long as it does. */
void rua_judge(const struct dns_answer *answer, struct rua *out);

/*
 * Cuts the next URI that can be used off a valid record's list; false at its end.  What stands
 * behind the first ten may be of hosts that are not crowded yet (RUA_PER_HOST_MAX).
 */
bool rua_next(struct span *list, struct span *out);

/* Can this URI, as it stands in a list, be used? */
bool rua_is_usable(struct span uri);

/* "valid", "no_record", "multiple", "invalid", "dns_error". */
const char *rua_verdict_name(enum rua_verdict verdict);

#endif
