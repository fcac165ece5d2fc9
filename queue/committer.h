/*
 * committer - the one thread that writes the queue's database.  The loop adds operations; as soon
 * as the last commit ended, all that gathered meanwhile goes into one transaction: settlements
 * first, then accepts, bounded by BATCH_BYTES_MAX and BATCH_OPERATIONS_MAX.  Settlements alone wait
 * up to 10 ms for company.  Called by queue and its parts; owns the operations until `done`.
 */
#ifndef WAXSEAL_QUEUE_COMMITTER_H
#define WAXSEAL_QUEUE_COMMITTER_H

#include "lib/base/list.h"
#include "lib/io/loop.h"
#include "queue/store.h"

enum operation_lane {
    LANE_SETTLEMENT, /* may use the reserve; rides along with accepts */
    LANE_ACCEPT,     /* somebody waits for it */
    LANE_COUNT,
};

enum operation_outcome {
    OPERATION_COMMITTED,
    OPERATION_FULL,    /* no room in map or disk; nothing of it was written */
    OPERATION_TROUBLE, /* refused, or the store failed: then it may or may not be on disk */
};

/*
 * The head of an operation; embed it first.  `apply` runs in the committer's thread and may run
 * again, from the start, when a transaction was given up.  An error of its own (a damaged record)
 * ends this operation alone.  `done` runs in the loop and frees the operation.
 */
struct operation {
    struct list others;
    enum operation_lane lane;
    size_t bytes; /* what it adds to a batch */
    struct error *(*apply)(struct operation *operation, struct store_txn *txn);
    void (*done)(struct operation *operation, enum operation_outcome outcome);
    enum operation_outcome outcome; /* the committer's */
    struct error *why;              /* the committer's: why it was refused */
};

struct committer;

/* `on_broken` is called in the loop, after all operations got their `done`, when the store failed:
 * the role must end with that status.  `why` is lent. */
typedef void committer_broken_fn(void *ctx, int exit_status, const struct error *why);
struct committer *committer_new(struct loop *loop, struct store *store,
                                committer_broken_fn *on_broken, void *ctx);
/* Commits what was added, waits for it, and ends the thread; no `done` comes any more. */
void committer_free(struct committer **committer);

/* Called in the loop before operations are handed to the thread: what has time may be added then,
 * to cost no transaction of its own.  One caller, which outlives the committer. */
typedef void committer_company_fn(void *ctx);
void committer_set_company(struct committer *committer, committer_company_fn *company, void *ctx);

void committer_add(struct committer *committer, struct operation *operation);
/* Operations added whose `done` has not come. */
size_t committer_pending(const struct committer *committer);

/* Applies operations in the caller's thread at once; for the command line and for tests. */
enum kv_trouble commit_now(struct store *store, struct list *operations);

#endif
