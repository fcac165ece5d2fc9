/*
 * sts_txt - the TXT record at _mta-sts.<policy domain>, which says that there is a policy and under
 * which id.  Called by the policy role; the id is compared for equality only.  Pure.
 * Rules: RFC 8461 s.3.1; where its text and its grammar differ (erratum 6285) we take
 * "v=STSv1", blanks, ";" as the beginning that counts.
 */
#ifndef WAXSEAL_POLICY_STS_TXT_H
#define WAXSEAL_POLICY_STS_TXT_H

#include "lib/base/limits.h"
#include "lib/base/span.h"
#include "lib/mail/dns_message.h"

enum sts_txt_verdict {
    STS_TXT_VALID,
    STS_TXT_NO_RECORD,
    STS_TXT_MULTIPLE,  /* several: as good as none (RFC 8461 s.3.1) */
    STS_TXT_INVALID,   /* one, and malformed: as good as none */
    STS_TXT_DNS_ERROR, /* nothing is known; never taken for "no record" */
};

struct sts_txt {
    enum sts_txt_verdict verdict;
    char id[STS_ID_MAX + 1]; /* "" unless valid */
};

/* Judges the TXT records found, each with its strings already joined. */
void sts_txt_parse(const struct span *records, unsigned count, struct sts_txt *out);

/* Judges a whole DNS answer. */
void sts_txt_judge(const struct dns_answer *answer, struct sts_txt *out);

/* The name of a field that we do not know, here and in the policy file (s.3.1, s.3.2). */
bool sts_extension_name_is_valid(struct span name);

/* 1 to 32 letters and digits (s.3.1). */
bool sts_id_is_valid(struct span id);

/* "valid", "no_record", "multiple", "invalid", "dns_error". */
const char *sts_txt_verdict_name(enum sts_txt_verdict verdict);

#endif
