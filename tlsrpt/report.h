/*
 * report - a day's counts as the JSON document of RFC 8460 s.4.4 (rfc/tls-rpt.md section 5), plain
 * or packed.  Called by the tlsrpt role.  Pure.  It is written piece by piece, so that a day with
 * 100,000 failure details is never held as a whole:
 *
 *     report = report_begin(&facts, REPORT_PACKED, &out);
 *     for each policy {
 *         report_policy(report, policy);                   // its totals; not its failures
 *         for each failure
 *             report_failure(report, failure, sessions);   // of the policy before
 *     }
 *     whole = report_end(&report, &sum);
 *
 * What is empty is left out; policies is an array always.  One policy and one failure stand on a
 * line each, so that people can read it, too.
 */
#ifndef WAXSEAL_TLSRPT_REPORT_H
#define WAXSEAL_TLSRPT_REPORT_H

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/mail/tls_result.h"
#include "tlsrpt/records.pb-c.h"

struct report;

enum report_form { REPORT_PLAIN, REPORT_PACKED };

enum {
    REPORT_ID_SIZE = 2 * DOMAIN_MAX + 32,
    /* What of a buffer is kept free of failures and of policies' texts: the policies behind them
     * must fit, and one with its text. */
    REPORT_RESERVE = 2 * 1024 * 1024,
    /* The cap to give `out` for a report that is sent: in base64 that is the 10 MB which receivers
     * commonly take (RPT-65). */
    REPORT_BODY_MAX = 7 * 1024 * 1024,
    /* Unpacked: no more failures and texts are written behind this. */
    REPORT_JSON_MAX = 64 * 1024 * 1024,
};

/* Who reports about whom, and which day (a number of tlsrpt/day). */
struct report_facts {
    struct span organization;
    struct span contact; /* an address; its domain is the submitter */
    struct span domain;
    bool of_host; /* the domain is an MX host, for the mail of all domains that went there */
    uint32_t day;
    struct span id; /* of report_make_id, kept: the same at each try */
};

/* What was written, for the words in front of it and for the log. */
struct report_sum {
    unsigned policies;
    uint64_t succeeded; /* sessions */
    uint64_t failed;
    uint64_t details;                   /* failures that were told apart, */
    uint64_t left_out;                  /* and those of them that did not fit */
    uint64_t results[TLS_RESULT_COUNT]; /* sessions by result; may be more than `failed` in sum */
};

/*
 * "2026-01-30.example.net@relay1.example.org": the host names the relay, for several may share a
 * contact.  `of_host`: a report about the view of an MX host (TLSA base domain), which is another
 * one than that about a domain of the same name.
 */
void report_make_id(uint32_t day, struct span domain, bool of_host, struct span hostname,
                    char id[REPORT_ID_SIZE]);

/* Facts and `out` stay the caller's and outlive it; `out`'s cap is more than REPORT_RESERVE. */
struct report *report_begin(const struct report_facts *facts, enum report_form form,
                            struct buf *out);
void report_policy(struct report *report, const Tlsrpt__PolicyCount *policy);
void report_failure(struct report *report, const Ipc__SessionFailure *failure, uint64_t sessions);

/* Ends and frees it.  False when it did not fit: then `out` is of no use. */
bool report_end(struct report **report, struct report_sum *out_sum) MUST_CHECK;

/* "application/tlsrpt+gzip" (RPT-66). */
const char *report_media_type(enum report_form form);

/* The domain of the contact (RPT-75). */
struct span report_submitter(const struct report_facts *facts);

#endif
