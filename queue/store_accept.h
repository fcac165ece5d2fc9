/*
 * store_accept - taking a message in: whole in one operation, or in parts of which only the last
 * makes it a message.  Called by streams.  What is unfinished has a row in `receiving`.
 */
#ifndef WAXSEAL_QUEUE_STORE_ACCEPT_H
#define WAXSEAL_QUEUE_STORE_ACCEPT_H

#include "lib/base/buf.h"
#include "lib/io/body_hash.h"
#include "lib/mail/envelope.h"
#include "queue/committer.h"
#include "queue/store_notify.h"
#include "queue/store_once.h"

/* The caller embeds it, fills it in and sets operation.done; content and envelope stay the
 * caller's. */
struct accept {
    struct operation operation;
    uint64_t id;
    uint32_t first_chunk; /* of this part; 0: the message begins */
    struct span content;  /* whole chunks, unless it is the last part */
    bool last;
    /* with `last`: */
    const struct envelope *envelope;
    uint64_t size; /* of all parts */
    bool eight_bit;
    struct body_hashes body;
    struct notices notices; /* of aliases that were expanded */
    struct once once;
    uint64_t taken_as; /* once applied: its id, or that of the same one taken in before */
};
void accept_prepare(struct accept *accept);

/* Removes what came of a message that never became whole. */
struct discard {
    struct operation operation;
    uint64_t id;
};
void discard_prepare(struct discard *discard);

/* The ids a crash left unfinished, for a discard each; the caller frees them. */
struct error *store_unfinished(struct store *store, uint64_t **out_ids,
                               size_t *out_count) MUST_CHECK;

#endif
