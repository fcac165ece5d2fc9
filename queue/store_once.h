/*
 * store_once - mail that is taken in once, however often it is handed in: under a key of the
 * sender's choice, of which the digest is kept for ONCE_KEPT_MS with the id of the message.  Called
 * by store_accept, in the transaction that makes the message whole: so either both are on disk or
 * neither is, and a sender that saw no answer hands it in again (design.md section 6).
 */
#ifndef WAXSEAL_QUEUE_STORE_ONCE_H
#define WAXSEAL_QUEUE_STORE_ONCE_H

#include "queue/store.h"

/* A key of one or more octets, made short; `is_given` false: the message has none. */
struct once {
    bool is_given;
    unsigned char digest[ONCE_DIGEST_SIZE];
};
struct once once_of(struct span key);

/*
 * *out_id is that of the message which was taken in under the key, or `id`, which has it from now
 * on.  Removes some keys that were kept long enough.  An error when there are ONCE_KEYS_MAX.
 */
struct error *once_claim(struct store_txn *txn, const struct once *once, uint64_t id,
                         uint64_t *out_id) MUST_CHECK;

#endif
