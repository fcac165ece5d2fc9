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

/* Where messages go. */
struct transfer_target {
    struct store *store;
    bool keeps_ids;
};
/*
 * A message keeps its id where nothing else has it and no mail waits yet: a row of `due` that
 * outlived its message would be one of the new message's, be that held or not.
 */
struct error *transfer_open(struct store *store, struct transfer_target *out_target) MUST_CHECK;

/* The ids of a message: where it comes from (0: it is not known), and here. */
struct transfer_ids {
    uint64_t there;
    uint64_t here;
};

/* Puts a message from elsewhere; all of it or nothing. */
struct error *transfer_put(const struct transfer_target *target, Queue__ExportRecord *record,
                           transfer_read_fn *read, void *ctx,
                           struct transfer_ids *out_ids) MUST_CHECK;

/* Writes a file of this name, which is not there yet; the caller syncs. */
struct error *transfer_write(const char *path, const Queue__ExportRecord *record,
                             transfer_read_fn *read, void *ctx) MUST_CHECK;

/* Reads a file and puts its message. */
struct error *transfer_load(const struct transfer_target *target, const char *path,
                            struct transfer_ids *out_ids) MUST_CHECK;

#endif
