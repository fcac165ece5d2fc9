/*
 * ledger_private - what ledger.c (adding) and ledger_read.c (reading and sweeping) share.  Nobody
 * else includes it.
 */
#ifndef WAXSEAL_TLSRPT_LEDGER_PRIVATE_H
#define WAXSEAL_TLSRPT_LEDGER_PRIVATE_H

#include "tlsrpt/ledger.h"

/* A subject, a policy's number, and for details a failure's digest. */
struct ledger_key {
    char bytes[SUBJECT_KEY_MAX + 1 + COUNTS_DIGEST_SIZE];
    size_t len;
};
struct ledger_key ledger_key(const struct subject_key *subject, unsigned number,
                             const struct counts_digest *digest);

/* Of a day's use in the meta table: "used" and the day. */
enum { LEDGER_USED_SIZE = 4 + SUBJECT_DAY_SIZE };
struct span ledger_used_key(uint32_t day, char room[LEDGER_USED_SIZE]);

/* A record; NULL inside when there is none.  One that is damaged is as good as none. */
struct error *ledger_get(struct kv_txn *txn, kv_table table, struct span key,
                         const ProtobufCMessageDescriptor *descriptor,
                         ProtobufCMessage **out) MUST_CHECK;

#endif
