/*
 * report_words - what a report's mail says to the person who opens it: whose report it is, about
 * whom and which day, how many sessions there were, what went wrong, and how to read the file.
 * Called by report_mail.  Pure.
 */
#ifndef WAXSEAL_TLSRPT_REPORT_WORDS_H
#define WAXSEAL_TLSRPT_REPORT_WORDS_H

#include "tlsrpt/report.h"

/* Lines that end with CRLF, in UTF-8.  False: `out` has no room. */
bool report_words_write(const struct report_facts *facts, const struct report_sum *sum,
                        const char *file_name, struct buf *out) MUST_CHECK;

#endif
