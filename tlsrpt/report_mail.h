/*
 * report_mail - a report as a message: multipart/report, first words for a person, then the file
 * (RFC 8460 s.5.3, RFC 6522; rfc/tls-rpt.md section 9, rfc/message-format.md section 7).  Called by
 * the tlsrpt role, which hands it to the queue; the queue has it signed.  Pure: the boundary's and
 * Message-ID's uniqueness comes from the report-id and the time.  ASCII, lines of at most 998
 * octets that end with CRLF, whatever the settings say.
 */
#ifndef WAXSEAL_TLSRPT_REPORT_MAIL_H
#define WAXSEAL_TLSRPT_REPORT_MAIL_H

#include "tlsrpt/report.h"

enum {
    /* The cap to give `out`: base64 of REPORT_BODY_MAX in lines, and what stands around it. */
    REPORT_MAIL_MAX = REPORT_BODY_MAX / 57 * 78 + 64 * 1024,
};

struct report_mail {
    const struct report_facts *facts;
    const struct report_sum *sum; /* of report_end */
    enum report_form form;
    struct span report; /* what report_end made */
    struct span from;   /* the address of tlsrpt-sender */
    struct span to;     /* destination.address */
    struct span hostname;
    int64_t now_ms;
};

/* Header, empty line and body, every line with CRLF.  False: `out` has no room. */
bool report_mail_write(const struct report_mail *mail, struct buf *out) MUST_CHECK;

#endif
