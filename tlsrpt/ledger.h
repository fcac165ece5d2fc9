/*
 * ledger - the tables of what was counted, within a transaction of the report database: adds to
 * them, reads them, sweeps them.  Called by tally and, with what version 1 wrote, by upgrade.
 * Bounds what strangers can make us keep: policies, details and bytes of a subject, subjects and
 * bytes of a day.  What comes on top is counted without its policy's text, or under its failure's
 * result type alone; of subjects beyond the bound nothing is counted.
 */
#ifndef WAXSEAL_TLSRPT_LEDGER_H
#define WAXSEAL_TLSRPT_LEDGER_H

#include "tlsrpt/tally.h"

enum {
    LEDGER_POLICIES_MAX = 64, /* of a subject: under DANE each MX host has its own */
    LEDGER_DETAILS_MAX = 100000,
    LEDGER_SUBJECT_BYTES = 48 << 20, /* 100,000 details of about 400 bytes, and policies */
    LEDGER_SUBJECTS_MAX = 200000,    /* of a day */
    LEDGER_DAY_BYTES = 256 << 20,
    LEDGER_SWEEP = 1024, /* rows removed with one transaction */
};

/* The additions of one write transaction. */
struct ledger;
struct ledger *ledger_begin(struct kv_txn *txn);

/* How often: the sessions that went well and that failed, and those of each failure. */
struct ledger_times {
    uint64_t succeeded;
    uint64_t failed;
    uint64_t failures;
};
/* `event` as counts_pack packs it. */
struct error *ledger_add(struct ledger *ledger, const struct subject *subject,
                         const Ipc__SessionEvent *event, struct ledger_times times) MUST_CHECK;
struct error *ledger_note_wish(struct ledger *ledger, const struct subject *subject,
                               enum tally_wish wish, struct span record) MUST_CHECK;

/* Writes the totals; *out_dropped: what was told of subjects beyond the bound. */
struct error *ledger_end(struct ledger **ledger, uint64_t *out_dropped) MUST_CHECK;
/* Frees it; what it did is the transaction's to abort. */
void ledger_free(struct ledger **ledger);

/* Removes some rows of days before `day`; *out_all: there are no more of them. */
struct error *ledger_sweep(struct kv_txn *txn, uint32_t day, bool *out_all) MUST_CHECK;

/* --- reading; what visitors get is lent */

struct error *ledger_walk(struct kv_txn *txn, const struct subject *from, uint32_t before,
                          tally_walk_fn *visit, void *ctx) MUST_CHECK;
struct error *ledger_read(struct kv_txn *txn, const struct subject *subject,
                          const struct tally_reader *reader, void *ctx) MUST_CHECK;

#endif
