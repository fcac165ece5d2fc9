/*
 * file_name - the name of a report's file: sender!policy-domain!begin!end[!unique-id].json[.gz]
 * (RFC 8460 s.5.1, rfc/tls-rpt.md RPT-60, RPT-61).  Called for the reports we send and for those
 * we read.  Pure.
 */
#ifndef WAXSEAL_TLSRPT_FILE_NAME_H
#define WAXSEAL_TLSRPT_FILE_NAME_H

#include "lib/base/limits.h"
#include "lib/base/span.h"

enum {
    FILE_NAME_UNIQUE_MAX = 64, /* letters of the unique id */
    FILE_NAME_SIZE = 2 * DOMAIN_MAX + FILE_NAME_UNIQUE_MAX + 64,
};

struct file_name {
    char sender[DOMAIN_MAX + 1]; /* A-labels; of one that was read, too */
    char domain[DOMAIN_MAX + 1];
    int64_t begin_s; /* since 1970-01-01 */
    int64_t end_s;
    char unique[FILE_NAME_UNIQUE_MAX + 1]; /* letters and digits, or "" for none */
    bool packed;                           /* ".json.gz" */
};

/* Of a report about `domain` for the UTC day `day`; false when a domain is none. */
bool file_name_of_day(struct span sender, struct span domain, uint32_t day, bool packed,
                      struct file_name *out);

void file_name_format(const struct file_name *name, char text[FILE_NAME_SIZE]);

/* False for anything that has not that form. */
bool file_name_parse(struct span text, struct file_name *out);

#endif
