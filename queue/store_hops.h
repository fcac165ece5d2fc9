/*
 * store_hops - the rows by which mail waits: `due`, and per next hop one row in `hop` and one in
 * `wake`.  Called by the store's operations.  Counts and wake times of a batch are gathered here
 * and written once, at its end.
 *
 * The row in `wake` is never later than the earliest row in `due`, or the end of the hop's rest or
 * suspension; it may be earlier: dispatch then finds nothing and asks for hops_correct.
 */
#ifndef WAXSEAL_QUEUE_STORE_HOPS_H
#define WAXSEAL_QUEUE_STORE_HOPS_H

#include "queue/store.h"

struct hops;

struct hops *hops_new(void);
void hops_free(struct hops **hops);
/* Forgets what was gathered. */
void hops_reset(struct hops *hops);
/* Writes what was gathered. */
struct error *hops_flush(struct store_txn *txn) MUST_CHECK;

/* Adds or removes a row of `due` that is not there, or is.  The message's arrival is the same in
 * both calls, 0 when it is not known (ages.h). */
struct error *hops_add_due(struct store_txn *txn, const struct due *due,
                           int64_t arrived_utc_ms) MUST_CHECK;
struct error *hops_remove_due(struct store_txn *txn, const struct due *due,
                              int64_t arrived_utc_ms) MUST_CHECK;

/* Removes the row of a recipient that cannot be read, wherever it waits at that hop. */
struct error *hops_drop(struct store_txn *txn, struct span hop, uint64_t id,
                        uint32_t number) MUST_CHECK;

/*
 * An attempt found no candidate usable: the hop rests, unless it does so already.  Where it was DNS
 * that gave no answer, new mail makes the rest a short one: DNS may be back, for all hops at once.
 */
struct error *hops_fail(struct store_txn *txn, struct span hop, bool dns_was_silent,
                        uint32_t dice) MUST_CHECK;
/* The hop took mail, or an operator says so: it rests no more.  *out_after_rest: it had failed, and
 * its rest was over. */
struct error *hops_revive(struct store_txn *txn, struct span hop, bool *out_after_rest) MUST_CHECK;
/*
 * An operator wants nothing tried at a hop until then (INT64_MAX: until it is resumed), whether or
 * not anything waits there; `by` is the uid + 1.  It ends by itself, or is resumed.
 */
struct error *hops_suspend(struct store_txn *txn, struct span hop, int64_t until_ms,
                           struct span reason, uint32_t by) MUST_CHECK;
struct error *hops_resume(struct store_txn *txn, struct span hop,
                          bool *out_was_suspended) MUST_CHECK;
struct error *hops_is_suspended(struct store_txn *txn, struct span hop, bool *out) MUST_CHECK;
/* Finds the true earliest time of a hop; no rest ends behind the horizon. */
struct error *hops_correct(struct store_txn *txn, struct span hop) MUST_CHECK;

#endif
