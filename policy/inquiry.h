/*
 * inquiry - from a question of another mail system to its answer: which policy binds (the same
 * policy/domains that deliver asks), and whether the MX hosts have DANE.  Called by
 * policy/socketmap.  Owns what is under way, one inquiry however many ask the same, and the answers
 * of a moment ago.  What is answered is decided by the pure policy/postfix_answer.
 */
#ifndef WAXSEAL_POLICY_INQUIRY_H
#define WAXSEAL_POLICY_INQUIRY_H

#include "policy/domains.h"
#include "policy/postfix_answer.h"

struct inquiries;
struct inquirer;

/* Domains, resolver and settings stay the caller's and outlive it. */
struct inquiries *inquiries_new(struct loop *loop, struct domains *domains,
                                struct resolver *resolver);
void inquiries_free(struct inquiries **inquiries);

/* What holds from now on, lent: at the start, and when settings or resolver have changed. */
void inquiries_settings(struct inquiries *inquiries, const struct settings *settings);

/* An answer that is known already, lent until the next call; false: it has to be asked for. */
bool inquiry_recall(const struct inquiries *inquiries, const struct postfix_question *question,
                    struct span *out_answer);

/*
 * Asks.  `done` is called exactly once, from the loop, unless cancelled; within
 * SOCKETMAP_ANSWER_MS.  `answer` is lent.
 */
typedef void inquiry_done_fn(void *ctx, struct span answer);
struct inquirer *inquiry_ask(struct inquiries *inquiries, const struct postfix_question *question,
                             inquiry_done_fn *done, void *ctx);
void inquiry_cancel(struct inquirer **inquirer); /* NULL: nothing to do */

#endif
