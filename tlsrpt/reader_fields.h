/*
 * reader_fields - the keys that objects of a report have (RFC 8460 s.4.4), and how a received
 * object's members are found under them although they may be spelled in another way.  Called by
 * reader_report.  Pure.
 */
#ifndef WAXSEAL_TLSRPT_READER_FIELDS_H
#define WAXSEAL_TLSRPT_READER_FIELDS_H

#include "lib/base/json.h"
#include "tlsrpt/reader_notes.h"

enum { READER_KEY_SIZE = 40 }; /* longer keys are none that we know */

enum report_key {
    REPORT_ORGANIZATION,
    REPORT_RANGE,
    REPORT_CONTACT,
    REPORT_ID,
    REPORT_POLICIES,
    REPORT_KEYS
};
enum range_key { RANGE_START, RANGE_END, RANGE_KEYS };
enum policy_key { POLICY_TYPE, POLICY_STRING, POLICY_DOMAIN, POLICY_MX_HOST, POLICY_KEYS };
/* What belongs in "policy" is looked for beside it, too. */
enum entry_key {
    ENTRY_POLICY,
    ENTRY_SUMMARY,
    ENTRY_DETAILS,
    ENTRY_FLAT_POLICY,
    ENTRY_KEYS = ENTRY_FLAT_POLICY + POLICY_KEYS
};
enum summary_key { SUMMARY_SUCCEEDED, SUMMARY_FAILED, SUMMARY_KEYS };
enum failure_key {
    FAILURE_RESULT,
    FAILURE_SENDING_IP,
    FAILURE_MX_HOST,
    FAILURE_MX_HELO,
    FAILURE_RECEIVING_IP,
    FAILURE_SESSIONS,
    FAILURE_ADDITIONAL,
    FAILURE_REASON,
    FAILURE_KEYS
};

/* As RFC 8460 has it, and another name that is seen; NULL for none. */
struct reader_key {
    const char *name;
    const char *other;
};
struct reader_fields {
    const struct reader_key *keys;
    size_t count;
};

extern const struct reader_fields reader_report_fields;
extern const struct reader_fields reader_range_fields;
extern const struct reader_fields reader_entry_fields;
extern const struct reader_fields reader_policy_fields;
extern const struct reader_fields reader_summary_fields;
extern const struct reader_fields reader_failure_fields;

/* Finds the members of an object, lent, each at the place of its key; NULL for what it has not, or
 * when it is none. */
void reader_fields_pick(const struct reader_fields *fields, const struct json *object,
                        struct reader_notes *notes, const struct json **out_found);

/* A word in lower case, with "-" for "_" and without blanks around it; lives in `room`. */
struct span reader_plain_word(struct span word, char room[READER_KEY_SIZE]);

#endif
