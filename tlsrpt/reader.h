/*
 * reader - a TLS report that somebody else sent, read and explained: as JSON, packed with gzip, or
 * in a mail.  Called by the command `waxseal tlsrpt read`.  Pure.
 * Everything in it is a stranger's.  Bounds: READER_INPUT_MAX bytes come in, READER_UNPACKED_MAX
 * bytes of JSON with READER_VALUES_MAX values are read; what is told of it is bounded by
 * reader_findings.h.
 */
#ifndef WAXSEAL_TLSRPT_READER_H
#define WAXSEAL_TLSRPT_READER_H

#include "lib/base/error.h"
#include "lib/base/json.h"

enum {
    /* More than the largest report of our own (report.h), packed or not. */
    READER_INPUT_MAX = 72 * 1024 * 1024,
    READER_UNPACKED_MAX = 72 * 1024 * 1024,
    READER_VALUES_MAX = 1200 * 1000, /* 100,000 failure details have 900,000 */
};

/*
 * Gives an object: "report" in the form of RFC 8460 s.4.4; "mail", what the mail around it says;
 * what reader_findings_add adds; "unclear", whether its counts leave open that something failed;
 * "notes", in what it differs from the RFC.  An error when there is
 * no report to be read, which says why.
 */
struct error *reader_read(struct span input, struct json **out) MUST_CHECK;

/* Did all sessions succeed that such an object tells of? */
bool reader_is_well(const struct json *told);

#endif
