/*
 * store_rows - a message and its recipients as rows: put, found, moved, removed, always together
 * with the rows by which they wait.  Called by the store's operations only, inside their
 * transaction.
 */
#ifndef WAXSEAL_QUEUE_STORE_ROWS_H
#define WAXSEAL_QUEUE_STORE_ROWS_H

#include "lib/io/body_hash.h"
#include "lib/mail/envelope.h"
#include "queue/records.pb-c.h"
#include "queue/store.h"

/* What is known of a message whose content is in the store. */
struct new_message {
    uint64_t id;
    const struct envelope *envelope;
    uint64_t size; /* of the content */
    uint32_t chunks;
    uint64_t content_cost;
    bool eight_bit;
    struct body_hashes body; /* none: it goes unsigned */
    bool notification;
    bool postmaster_copy;
};
/* Puts the message and its recipients, each due now. */
struct error *message_put(struct store_txn *txn, const struct new_message *message) MUST_CHECK;

/*
 * Puts a message that was in a queue before, with the recipients that still wait, whose content was
 * put as that of an unfinished one.  Fields that only this queue can know are set anew.
 * What was held stays so, unless it was for damage alone: it could be read whole.
 */
struct error *message_restore(struct store_txn *txn, uint64_t id,
                              Queue__ExportRecord *record) MUST_CHECK;

/* Puts content from chunk `first_chunk` on; all but the last of a message are whole chunks. */
struct error *content_put(struct store_txn *txn, uint64_t id, uint32_t first_chunk,
                          struct span content) MUST_CHECK;
uint32_t content_chunks(uint64_t len);
uint64_t content_cost(uint64_t len); /* of whole chunks and a last one */
/* Removes the chunks there are, of whatever was never whole or cannot be read. */
struct error *content_drop(struct store_txn *txn, uint64_t id) MUST_CHECK;
uint64_t message_rows_cost(uint64_t recipients); /* of a message's other records */

/* The record, in the arena; NULL when there is none. */
struct error *message_get(struct store_txn *txn, uint64_t id,
                          Queue__MessageRecord **out_message) MUST_CHECK;
struct error *message_update(struct store_txn *txn, uint64_t id,
                             const Queue__MessageRecord *message) MUST_CHECK;
/* Removes a message none of whose recipients is left. */
struct error *message_remove(struct store_txn *txn, uint64_t id,
                             const Queue__MessageRecord *message) MUST_CHECK;

struct error *recipient_get(struct store_txn *txn, uint64_t id, uint32_t number,
                            Queue__RecipientRecord **out_recipient) MUST_CHECK;
struct error *recipient_update(struct store_txn *txn, uint64_t id, uint32_t number,
                               const Queue__RecipientRecord *recipient) MUST_CHECK;
/* Removes it with the row by which it waits. */
struct error *recipient_remove(struct store_txn *txn, uint64_t id, uint32_t number,
                               const Queue__RecipientRecord *recipient) MUST_CHECK;
/* Lets it wait for another time, in another class or at another hop; a held one is held no more. */
struct error *recipient_move(struct store_txn *txn, uint64_t id, uint32_t number,
                             Queue__RecipientRecord *recipient, struct span hop,
                             enum due_class due_class, int64_t utc_ms) MUST_CHECK;
/* Takes away the row by which it waits. */
struct error *recipient_hold(struct store_txn *txn, uint64_t id, uint32_t number,
                             Queue__RecipientRecord *recipient) MUST_CHECK;

/* The numbers of up to `most` recipients not yet final, from (*id, *number) on over all messages
 * or, with `one_message`, of this one.  In the arena. */
struct row_place {
    uint64_t id;
    uint32_t number;
};
struct error *recipient_places(struct store_txn *txn, struct row_place from, bool one_message,
                               size_t most, struct row_place **out_places,
                               size_t *out_count) MUST_CHECK;

#endif
