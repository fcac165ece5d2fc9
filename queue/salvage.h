/*
 * salvage - collects from a damaged queue's file what its checksums allow, and puts the messages
 * that are whole into a store.  Called by tools.
 */
#ifndef WAXSEAL_QUEUE_SALVAGE_H
#define WAXSEAL_QUEUE_SALVAGE_H

#include "queue/store.h"
#include "queue/tools.h"

struct error *salvage_into(struct store *store, const char *damaged,
                           struct queue_report *report) MUST_CHECK;

#endif
