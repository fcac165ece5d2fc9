/*
 * database - the report database: one LMDB store with the tables of tally (what was counted) and
 * of outbox (what is sent).  Called by the tlsrpt role, which alone opens it, and by tally.  Reads
 * what earlier versions wrote.
 */
#ifndef WAXSEAL_TLSRPT_DATABASE_H
#define WAXSEAL_TLSRPT_DATABASE_H

#include "lib/base/error.h"
#include "lib/io/kv.h"

#include <protobuf-c/protobuf-c.h>

struct database;

enum {
    DATABASE_META,
    DATABASE_DAY,     /* whole days' records of version 1; empty since version 2 */
    DATABASE_SUBJECT, /* totals of a subject */
    DATABASE_POLICY,  /* its policies, as published */
    DATABASE_DETAIL,  /* its failures, told apart */
    DATABASE_WISH,    /* the TLSRPT record that was seen */
    DATABASE_OUTBOX,
    DATABASE_DUE,
    DATABASE_SENT,
    DATABASE_TABLES,
};

/*
 * Opens or makes the database in `folder`.  A damaged one is set aside beside it, with an alarm,
 * and a new one begun: reports are a service to others, and mail does not hang on them.  On failure
 * *out_exit_status says what the supervisor should do.
 */
struct error *database_open(const char *folder, struct database **out_database,
                            int *out_exit_status) MUST_CHECK;
void database_close(struct database **database);

struct kv *database_kv(const struct database *database);

/*
 * Ends a write transaction with what came of it so far: commits, or aborts after an error.  Takes
 * both; `txn` may be NULL inside after an error.  *out_full: the disk is full, nothing was
 * written, and one may go on.  After any other error the role must end and open the database anew;
 * one that is damaged has been set aside by then.
 */
struct error *database_end(struct database *database, struct kv_txn **txn, struct error *err,
                           bool *out_full) MUST_CHECK;

/* Numbers and records behind their CRC-32C, as they stand in it. */
enum { DATABASE_SUM_SIZE = 4 };
void database_put_number(char *room, uint32_t number); /* 4 bytes, little-endian */
uint32_t database_get_number(const char *bytes);

/* A message behind its sum, and back; NULL for bytes that are no such record. */
struct error *database_put(struct kv_txn *txn, kv_table table, struct span key,
                           const ProtobufCMessage *message) MUST_CHECK;
ProtobufCMessage *database_unpack(struct span key, struct span value,
                                  const ProtobufCMessageDescriptor *descriptor);

#endif
