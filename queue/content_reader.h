/*
 * content_reader - reads chunks of content for workers: at once when the pages are in memory, after
 * a helper thread has touched them when they are not, for a page fault on the loop would stall
 * everybody (pitfalls.md section 1).  Called by workers.  No transaction outlives a call.
 */
#ifndef WAXSEAL_QUEUE_CONTENT_READER_H
#define WAXSEAL_QUEUE_CONTENT_READER_H

#include "lib/io/loop.h"
#include "queue/store.h"

struct content_reader;

/* One chunk; `bytes` has data NULL when it is damaged or not there.  Lent for the call. */
typedef void content_chunk_fn(void *ctx, uint64_t lease, uint32_t chunk, struct span bytes);

struct content_reader *content_reader_new(struct loop *loop, struct store *store,
                                          content_chunk_fn *on_chunk, void *ctx);
void content_reader_free(struct content_reader **reader);

struct content_pull {
    uint64_t lease;
    uint64_t id;
    int64_t accepted_utc_ms; /* when the message was; 0: not known */
    uint32_t chunk;          /* the first */
    uint32_t count;
};

/* Gives chunks of a message in order, now or later; a lease's pulls are answered in order.  What
 * was accepted a moment ago is taken to be in memory. */
void content_reader_pull(struct content_reader *reader, const struct content_pull *wanted);

#endif
