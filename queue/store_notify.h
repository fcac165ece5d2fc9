/*
 * store_notify - what senders and the postmaster are told goes into the queue as mail of its own,
 * in the very transaction that makes it due: no crash loses or doubles it.  Called by store_settle,
 * and by any other operation that ends recipients: an operator's `queue bounce` fills in a result
 * (notices_operator_result), removes the recipient's row, and says so to notices_add, for at most
 * NOTIFY_RECIPIENTS_MAX recipients of one message; then notices_put.  `queue remove` tells nobody.
 * Who is told of what is decided here and in notify_due; the caller only says what happened.
 */
#ifndef WAXSEAL_QUEUE_STORE_NOTIFY_H
#define WAXSEAL_QUEUE_STORE_NOTIFY_H

#include "queue/notice_rates.h"
#include "queue/notify.h"
#include "queue/store.h"

/* Why a sender was not told of what it should have been. */
enum notices_untold {
    TOLD,
    UNTOLD_NO_SENDER, /* the null one, or one that is no address; or a notification of ours */
    UNTOLD_STRANGER,  /* notify_due.h */
    UNTOLD_LIMIT,     /* notices-per-sender */
    UNTOLD_REPORT,    /* it is a TLS report */
};

/* One notification of an operation, kept so that it is the same when applied again. */
struct notice {
    uint64_t id; /* 0: none was made yet */
    bool is_weighed;
    enum notice_verdict verdict;
    int64_t until_ms;
};

struct telling; /* what is gathered while the operation is applied */

/* Part of an operation: all zero but the settings. */
struct notices {
    const struct notify_settings *settings; /* lives as long as the process */
    /* What came of it, once the operation is committed. */
    uint64_t notification;    /* its id; 0: none */
    uint64_t postmaster_copy; /* the same */
    enum notices_untold untold;
    enum notify_action action; /* what it is mainly about: the worst of its recipients */
    /* Its own. */
    struct notice to_sender, to_postmaster;
    struct telling *telling;
};

/* At the beginning of `apply`.  `message` is lent until notices_put, `most` bounds notices_add. */
void notices_begin(struct notices *notices, struct store_txn *txn, uint64_t id,
                   const Queue__MessageRecord *message, size_t most);

/* Something happened to a recipient; what `told` points to is lent until notices_put. */
void notices_add(struct notices *notices, const struct notify_recipient *told);

/* Is anybody told of delays of that message so far? */
bool notices_has_delay(const struct notices *notices);

/* Puts what has to be said into the queue. */
struct error *notices_put(struct notices *notices) MUST_CHECK;

/* Says in the log what was told, and what was not and why; after the commit. */
void notices_log(const struct notices *notices, uint64_t id);

/* The result of a recipient that an operator has sent back; the reason is lent. */
void notices_operator_result(struct span reason, Ipc__Result *out);

#endif
