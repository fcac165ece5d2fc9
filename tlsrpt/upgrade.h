/*
 * upgrade - counts as version 1 of the report database kept them: a record a domain and day, now
 * taken apart into the ledger.  Called by database when it opens one.
 */
#ifndef WAXSEAL_TLSRPT_UPGRADE_H
#define WAXSEAL_TLSRPT_UPGRADE_H

#include "tlsrpt/database.h"

/* Moves some records with each transaction, so that a crash neither loses nor doubles any. */
struct error *upgrade_days(struct database *database) MUST_CHECK;

#endif
