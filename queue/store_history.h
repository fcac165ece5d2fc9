/*
 * store_history - what became of recipients, kept for `waxseal trace`: one row for each that is
 * final, and beside it what happened before: attempts, operators' doings, notifications.  Of one
 * recipient's attempts the first 2 and the last 14 are kept, the same of everything else.  Called
 * by the store's operations inside their transaction.  The history gives way: beyond its quota the
 * oldest rows go with each that comes, beyond its age in sweeps (history_expire).
 */
#ifndef WAXSEAL_QUEUE_STORE_HISTORY_H
#define WAXSEAL_QUEUE_STORE_HISTORY_H

#include "queue/committer.h"
#include "queue/records.pb-c.h"
#include "queue/store_rows.h"

enum { HISTORY_FIRST = 2, HISTORY_LAST = 14 };

/* What an operator did, and why.  The texts are lent. */
struct history_act {
    const char *action; /* "hold" */
    uint32_t uid;
    struct span words;  /* why; of a reroute where to ... */
    struct span reason; /* ... and why */
};

struct history_facts {
    uint64_t id;
    uint32_t number;                         /* where recipient is NULL */
    const Queue__MessageRecord *message;     /* of history_put these two may be NULL: ... */
    const Queue__RecipientRecord *recipient; /* ... it could not be read */
    Ipc__Result *result;                     /* all lent; protobuf-c has no const */
    Ipc__Decision *decision;                 /* or NULL */
    const struct history_act *act;           /* that ended it; or NULL */
};
/* A recipient is final. */
struct error *history_put(struct store_txn *txn, const struct history_facts *facts) MUST_CHECK;

/* How many outcomes of it have come, those that count as no attempt included. */
uint32_t history_tries(const Queue__RecipientRecord *recipient);

/* An attempt after which it waits on until `next_ms`; the recipient's counts include it. */
struct error *history_note_attempt(struct store_txn *txn, const struct history_facts *facts,
                                   int64_t next_ms) MUST_CHECK;
/* What an operator did; counts it in the recipient, which the caller writes. */
struct error *history_note_act(struct store_txn *txn, uint64_t id,
                               Queue__RecipientRecord *recipient,
                               const struct history_act *act) MUST_CHECK;
/* The sender was told of it ("failed", "delayed" ...), by that message: once of each kind. */
struct error *history_note_notification(struct store_txn *txn, uint64_t id, uint32_t number,
                                        uint64_t notification, unsigned kind,
                                        const char *words) MUST_CHECK;

/* Removes the oldest rows, for there is no room on disk; gives how many. */
struct error *history_yield(struct store_txn *txn, unsigned most, unsigned *out_count) MUST_CHECK;

/*
 * Removes what is older than the limit: a slice of it in each transaction.  While `more` is set
 * after `done`, add it again.
 */
enum { HISTORY_SLICE = 500 };
struct history_expire {
    struct operation operation;
    struct {
        uint64_t id;
        uint32_t number;
        uint32_t serial;
    } next, after; /* where to go on, once the slice is committed */
    bool more;
};
void history_expire_prepare(struct history_expire *expire);
void history_expire_advance(struct history_expire *expire);

#endif
