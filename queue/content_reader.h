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

/* Gives chunks of a message in order, now or later; a lease's pulls are answered in order. */
void content_reader_pull(struct content_reader *reader, uint64_t lease, uint64_t id,
                         uint32_t first_chunk, uint32_t count);
/* The same of one that was written a moment ago: it is in memory, and nobody need look. */
void content_reader_pull_fresh(struct content_reader *reader, uint64_t lease, uint64_t id,
                               uint32_t first_chunk, uint32_t count);

#endif
