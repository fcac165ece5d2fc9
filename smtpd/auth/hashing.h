/*
 * hashing - compares passwords with hashes in threads, for that takes a tenth of a second each, and
 * the loop has to serve on.  Called by smtpd/auth/exchanges.  The queue is bounded: who does not
 * fit in is told to come again.
 */
#ifndef WAXSEAL_SMTPD_AUTH_HASHING_H
#define WAXSEAL_SMTPD_AUTH_HASHING_H

#include "lib/base/span.h"
#include "lib/io/loop.h"

enum { HASHING_QUEUE_MAX = 64 };

struct hashing;
struct hashing_task;

struct hashing *hashing_new(struct loop *loop);
/* Waits for the comparisons under way; no `done` is called any more. */
void hashing_free(struct hashing **hashing);

/* Half of the queue is taken: the rest is for those who are known. */
bool hashing_is_busy(const struct hashing *hashing);

/* NULL: the queue is full.  `done` is called once, from the loop, unless cancelled. */
typedef void hashing_done_fn(void *ctx, bool fits);
struct hashing_task *hashing_start(struct hashing *hashing, const char *hash, struct span password,
                                   hashing_done_fn *done, void *ctx);
void hashing_cancel(struct hashing_task **task);

#endif
