/*
 * explain_words - what is wrong with a next hop or a candidate, in plain words, and who can mend
 * it.  For `waxseal explain`.  Pure.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_EXPLAIN_WORDS_H
#define WAXSEAL_QUEUE_DELIVER_EXPLAIN_WORDS_H

#include "queue/deliver/explain_facts.h"

/* One thing that is wrong; both are lent. */
typedef void explain_problem_fn(void *ctx, const char *what, const char *who);

/* Of the next hop: its MX records, its policy, who judges DNSSEC. */
void explain_hop_problems(const struct plan *plan, explain_problem_fn *say, void *ctx);

/* Of one candidate. */
void explain_host_problems(const struct explain_facts *f, explain_problem_fn *say, void *ctx);

/* Why none of a policy's patterns fits a host's name; only for one that none fits. */
enum { EXPLAIN_MISMATCH_SIZE = 1024 };
void explain_mismatch(const Ipc__Policy *policy, const char *mx, char words[EXPLAIN_MISMATCH_SIZE]);

#endif
