/*
 * reader_report - a received report brought into the one form that RFC 8460 s.4.4 gives it: what is
 * spelled, typed or nested in another way is put right, and noted.  Called by reader.  Pure.
 * The new report is as ours: texts, whole numbers, arrays and RFC 3339 times in UTC; what cannot be
 * understood is left out, or stands as it was written.
 */
#ifndef WAXSEAL_TLSRPT_READER_REPORT_H
#define WAXSEAL_TLSRPT_READER_REPORT_H

#include "lib/base/error.h"
#include "lib/base/json.h"
#include "tlsrpt/reader_notes.h"

enum {
    READER_TEXT_MAX = 1024,       /* of one text; longer ones are cut */
    READER_POLICIES_MAX = 10000,  /* one policy domain's have a few */
    READER_FAILURES_MAX = 200000, /* of all policies */
    READER_LINES_MAX = 100,       /* that one text is taken apart into; of so many texts: */
    READER_SPLIT_MAX = 10000,
};

/* An error when it is no report at all: nothing of it is known. */
struct error *reader_report_normalise(const struct json *raw, struct reader_notes *notes,
                                      struct json **out) MUST_CHECK;

#endif
