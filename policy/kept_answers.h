/*
 * kept_answers - answers given a moment ago, for others who ask the same.  Called by
 * policy/inquiry, so that a busy mail system costs one lookup of a domain in some seconds, not one
 * a message. Owns copies, bounded in number and in bytes: the oldest goes first.  Pure: times come
 * in as facts.
 */
#ifndef WAXSEAL_POLICY_KEPT_ANSWERS_H
#define WAXSEAL_POLICY_KEPT_ANSWERS_H

#include "lib/base/span.h"

struct kept_answers;

struct kept_answers *kept_answers_new(size_t count_max, size_t bytes_max);
void kept_answers_free(struct kept_answers **kept);

/* Keeps a copy until then, in place of what was kept under the key before. */
void kept_answers_put(struct kept_answers *kept, struct span key, struct span text,
                      int64_t until_ms);

/* What is kept and not over, lent until the next change; false: nothing. */
bool kept_answers_find(const struct kept_answers *kept, struct span key, int64_t now_ms,
                       struct span *out_text);

void kept_answers_forget_all(struct kept_answers *kept);

#endif
