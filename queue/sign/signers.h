/*
 * signers - threads that sign with RSA, which takes a processor for a millisecond and more, while
 * the loop serves on (design.md section 10).  Called by asks, which bounds how much waits here.
 */
#ifndef WAXSEAL_QUEUE_SIGN_SIGNERS_H
#define WAXSEAL_QUEUE_SIGN_SIGNERS_H

#include "lib/base/buf.h"
#include "lib/io/loop.h"
#include "queue/sign/keys.h"

struct signers;
struct signers_task;

struct signers *signers_new(struct loop *loop);
/* Waits for what is being signed; no `done` is called any more. */
void signers_free(struct signers **signers);

/*
 * Signs a text, which is taken, with a key of a set, which is held meanwhile.  `done` is called
 * once, from the loop, with the signature or an error, both lent, unless cancelled.
 */
typedef void signers_done_fn(void *ctx, struct span signature, const struct error *err);
struct signers_task *signers_start(struct signers *signers, struct keys *keys,
                                   const struct signing_key *key, struct buf *input,
                                   signers_done_fn *done, void *ctx);
/* What nobody waits for any more does not keep the threads from what others wait for. */
void signers_cancel(struct signers *signers, struct signers_task **task);

#endif
