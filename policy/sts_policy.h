/*
 * sts_policy - the policy file of MTA-STS: from the HTTPS answer to mode, patterns and max_age.
 * Called by sts_fetch for what came and by sts_cache for what was kept; deliver reads the result.
 * Pure.  Rules: RFC 8461 s.3.2 and s.3.3, with LF and CRLF alike (erratum 6253).
 */
#ifndef WAXSEAL_POLICY_STS_POLICY_H
#define WAXSEAL_POLICY_STS_POLICY_H

#include "lib/base/span.h"

enum { STS_REASON_SIZE = 200 }; /* of a sentence why a fetch failed */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct sts_policy {
    enum sts_mode mode;
    uint32_t max_age_s; /* at most STS_MAX_AGE_MAX */
    char **mx;          /* patterns in lower case, "*." in front or not */
    unsigned mx_count;  /* at most STS_MX_MAX ... */
    unsigned mx_cut;    /* ... and how many the file lists besides: of no effect */
    char *text;         /* exactly as published, for reports (RFC 8460 s.4.4) */
    size_t text_len;
};

/* What is wrong with an answer. */
enum sts_policy_fault {
    STS_POLICY_FINE,
    STS_POLICY_HTTP_STATUS,
    STS_POLICY_CONTENT_TYPE,
    STS_POLICY_TOO_LARGE,
    STS_POLICY_BAD_LINE,
    STS_POLICY_MISSING_VERSION,
    STS_POLICY_BAD_VERSION,
    STS_POLICY_MISSING_MODE,
    STS_POLICY_BAD_MODE,
    STS_POLICY_MISSING_MAX_AGE,
    STS_POLICY_BAD_MAX_AGE,
    STS_POLICY_MISSING_MX,
    STS_POLICY_BAD_MX,
};

/* "http_status", "bad_mx", ...; "" for STS_POLICY_FINE. */
const char *sts_policy_fault_name(enum sts_policy_fault fault);

/* Only 200 counts, and only text/plain (RFC 8461 s.3.2, s.3.3); an absent type is not text/plain.
 */
enum sts_policy_fault sts_policy_check_http(int status, struct span content_type);

/* Parses a body; *out_policy is written only for STS_POLICY_FINE. */
enum sts_policy_fault sts_policy_parse(struct span body, struct sts_policy **out_policy);
/* Another one that is the same, whether or not its text would still be taken. */
struct sts_policy *sts_policy_copy(const struct sts_policy *policy);
void sts_policy_free(struct sts_policy **policy);

/* "none", "testing", "enforce", and back. */
const char *sts_mode_name(enum sts_mode mode);
bool sts_mode_parse(struct span name, enum sts_mode *out);

/* In what `newer` asks for less than `older`: bits, 0 for nothing. */
enum sts_weakening {
    STS_WEAKER_MODE = 1,
    STS_WEAKER_MAX_AGE = 2,
    STS_WEAKER_MX = 4, /* a pattern that was not there */
};
unsigned sts_policy_weakening(const struct sts_policy *newer, const struct sts_policy *older);

/* The first such pattern, lent; "" for none, and where hosts are of no account. */
const char *sts_policy_added_mx(const struct sts_policy *newer, const struct sts_policy *older);

#endif
