/*
 * reader_words - what a failure in a received report means: the likely cause, what became of the
 * mail, who must do what, and the command or record that mends it.  Called by reader_findings.
 * Pure: one table, by result type, policy type and words of the reason.
 * Names of the report stand in commands that people paste into a shell, so only what is a host name
 * is put there; anything else is left for the reader to fill in.
 */
#ifndef WAXSEAL_TLSRPT_READER_WORDS_H
#define WAXSEAL_TLSRPT_READER_WORDS_H

#include "lib/base/json.h"

struct reader_failure {
    struct span policy_type; /* as in the report: "sts", "tlsa", "no-policy-found" */
    struct span mode;        /* of an STS policy; "" when it is not known */
    struct span domain;      /* the policy's */
    struct span host;        /* the MX host's; "" for none */
    struct span result;
    struct span reason;
};

/* Adds "cause", "effect", "who", "mend" and, where there is one, "check", a command. */
void reader_words_add(const struct reader_failure *failure, struct json *to);

/* What the policy's owner may think about though nothing failed; NULL for nothing. */
const char *reader_words_hint(struct span policy_type, struct span mode, bool has_failures);

#endif
