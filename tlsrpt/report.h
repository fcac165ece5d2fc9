/*
 * report - a day's counts as the JSON document of RFC 8460 s.4.4 (rfc/tls-rpt.md section 5).
 * Called by the tlsrpt role.  Pure.  What is empty is left out; policies is an array always.
 */
#ifndef WAXSEAL_TLSRPT_REPORT_H
#define WAXSEAL_TLSRPT_REPORT_H

#include "lib/base/json.h"
#include "tlsrpt/records.pb-c.h"

/* Who reports about whom, and which day (a number of tlsrpt/day). */
struct report_facts {
    struct span organization;
    struct span contact; /* an address; its domain is the submitter */
    struct span domain;
    uint32_t day;
};

/* The same report-id comes out of the same facts at each try (design.md section 6). */
struct json *report_build(const struct report_facts *facts, const Tlsrpt__DayRecord *day);

#endif
