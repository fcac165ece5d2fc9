/*
 * reader_findings - the failures of a received report put together by kind, each with its words:
 * 100,000 details of one cause are one finding.  Called by reader, with a normalised report.  Pure.
 * Bounds: FINDINGS_MAX are told, those with most sessions first, and FINDING_PLACES_MAX places
 * each.
 */
#ifndef WAXSEAL_TLSRPT_READER_FINDINGS_H
#define WAXSEAL_TLSRPT_READER_FINDINGS_H

#include "lib/base/json.h"

enum { FINDINGS_MAX = 50, FINDING_PLACES_MAX = 5, FINDING_POLICIES_MAX = 100 };

/*
 * Adds to `to`: "succeeded" and "failed", the sums; "policies", the first FINDING_POLICIES_MAX with
 * type, domain, mode, counts, hint; "policies_left_out"; "findings", each with the number
 * and name of its policy, result, reason, sessions, places, senders and words; "findings_left_out".
 */
void reader_findings_add(const struct json *report, struct json *to);

#endif
