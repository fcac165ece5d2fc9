/*
 * content - a job's content on its way from the queue: pulled in chunks, never more than a window
 * ahead of what the dialogue has used up (design.md section 2).  Embedded in struct job; started
 * anew for each transaction, frames of an earlier pull are then thrown away as they come.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_CONTENT_H
#define WAXSEAL_QUEUE_DELIVER_CONTENT_H

#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/span.h"

enum { CONTENT_WINDOW_CHUNKS = STREAM_WINDOW / CONTENT_CHUNK_SIZE };

/* Whom to ask for chunks; the answers come by content_arrived. */
struct content_source {
    void (*pull)(void *ctx, uint64_t lease, uint32_t first_chunk, uint32_t count);
    void *ctx;
};

struct content {
    const struct content_source *source;
    uint64_t lease;
    uint32_t chunks;  /* in all */
    uint32_t asked;   /* chunks pulled so far in this run */
    uint32_t arrived; /* the next one due */
    uint32_t used;
    uint32_t stale;   /* answers of earlier runs that are still to come */
    struct list kept; /* arrived, not used up */
    bool running;
    bool damaged;
    void (*on_more)(void *ctx);
    void *ctx;
};

void content_init(struct content *content, const struct content_source *source, uint64_t lease,
                  uint32_t chunks);
void content_clear(struct content *content);

/* From the first chunk on; `on_more` comes from the loop when chunks have come, or damage. */
void content_start(struct content *content, void (*on_more)(void *ctx), void *ctx);
/* No more calls; what is on its way is thrown away. */
void content_stop(struct content *content);

/* The next chunk, lent until content_next; false when it has not come. */
bool content_peek(const struct content *content, struct span *out_chunk);
void content_next(struct content *content);
bool content_at_end(const struct content *content);

/* What of the content is at hand: at most so many chunks of it. */
struct content_block {
    unsigned chunks;
    size_t len;
    char last;   /* octet; '\0' when there is none */
    bool is_end; /* nothing comes behind it */
};
struct content_block content_ready(const struct content *content, unsigned chunks_max);

/* A frame has come: `chunk` is its number.  False: nobody asked for it. */
bool content_arrived(struct content *content, uint32_t chunk, bool damaged, struct span body);

#endif
