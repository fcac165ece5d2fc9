/*
 * transfer - messages as files, and messages from elsewhere into a store.  Called by tools and
 * salvage, with the relay stopped.  A file: a line that names the format, the ExportRecord behind
 * its length and checksum, the content, and its checksum.
 */
#ifndef WAXSEAL_QUEUE_TRANSFER_H
#define WAXSEAL_QUEUE_TRANSFER_H

#include "queue/records.pb-c.h"
#include "queue/store.h"

/* Gives the next piece of the content, at most `most` bytes, lent; data NULL when it is damaged. */
typedef struct span transfer_read_fn(void *ctx, size_t most);

/* Puts a message from elsewhere under a new id; all of it or nothing. */
struct error *transfer_put(struct store *store, Queue__ExportRecord *record, transfer_read_fn *read,
                           void *ctx) MUST_CHECK;

/* Writes a file of this name, which is not there yet; the caller syncs. */
struct error *transfer_write(const char *path, const Queue__ExportRecord *record,
                             transfer_read_fn *read, void *ctx) MUST_CHECK;

/* Reads a file and puts its message. */
struct error *transfer_load(struct store *store, const char *path) MUST_CHECK;

#endif
