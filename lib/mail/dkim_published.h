/*
 * dkim_published - what receivers will make of a key's signatures, judged by what stands in DNS.
 * Called by `waxseal dkim check`.  Pure.  Rules: RFC 6376 s.3.6.1 and s.3.6.2, RFC 8463 s.4,
 * RFC 8460 s.3 (service "tlsrpt").
 */
#ifndef WAXSEAL_MAIL_DKIM_PUBLISHED_H
#define WAXSEAL_MAIL_DKIM_PUBLISHED_H

#include "lib/mail/dkim.h"
#include "lib/mail/dns_message.h"

enum dkim_severity {
    DKIM_WARNING, /* signatures are good, for most receivers at least */
    DKIM_UNKNOWN, /* it could not be looked up */
    DKIM_WRONG,   /* receivers find no signature good */
};

struct dkim_finding {
    enum dkim_severity severity;
    bool wants_record; /* our record, published, mends it */
    const char *word;  /* for programs: "no-record" */
    const char *text;  /* what is so, and what follows from it */
    const char *remedy;
};

/* The public part of our key. */
struct dkim_public {
    enum dkim_algorithm algorithm;
    struct span key; /* as p= has it, decoded */
};

/*
 * Visits what is wrong, the worst first; nothing: all is well.  `detail` is a text from DNS or a
 * reason, or empty; it may hold anything.
 */
typedef void dkim_finding_fn(void *ctx, const struct dkim_finding *finding, struct span detail);
void dkim_published_judge(const struct dns_answer *answer, const struct dkim_public *ours,
                          dkim_finding_fn *visit, void *ctx);

#endif
