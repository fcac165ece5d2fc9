/*
 * reader_dates - the times of a received report: RFC 3339 as it should be, and the ways in which it
 * is missed in the wild (rfc/tls-rpt.md RPT-41).  Called by reader_report.  Pure.
 */
#ifndef WAXSEAL_TLSRPT_READER_DATES_H
#define WAXSEAL_TLSRPT_READER_DATES_H

#include "lib/base/span.h"

enum reader_date {
    READER_DATE_FINE,
    READER_DATE_WITHOUT_ZONE, /* taken for UTC */
    READER_DATE_FORM, /* read, but not in the right form: seconds since 1970, no time of day */
    READER_DATE_UNKNOWN,
};

/* The UTC time in milliseconds since 1970, to the second. */
enum reader_date reader_date_read(struct span text, int64_t *out_utc_ms);

#endif
