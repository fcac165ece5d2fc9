/*
 * buf - bytes that grow at the end and are used up at the front, never beyond the cap the buffer
 * was born with.  A plain value: embed it, buf_init before use, buf_clear at the end.
 */
#ifndef WAXSEAL_BASE_BUF_H
#define WAXSEAL_BASE_BUF_H

#include "lib/base/error.h"
#include "lib/base/span.h"

struct buf {
    char *base;
    size_t start; /* first byte not used up */
    size_t end;   /* behind the last byte */
    size_t size;  /* bytes allocated */
    size_t cap;   /* most bytes it may ever hold */
};

/* An empty buffer that never holds more than `cap` bytes.  Allocates nothing yet. */
void buf_init(struct buf *b, size_t cap);

/* Frees what it holds; the buffer is empty and usable again with the same cap. */
void buf_clear(struct buf *b);

/* Empties it and keeps the memory. */
void buf_reset(struct buf *b);

size_t buf_len(const struct buf *b);

/* What it holds, lent until the next change. */
struct span buf_span(const struct buf *b);

/* Appends.  Gives false, and changes nothing, when that would go beyond the cap. */
bool buf_append(struct buf *b, struct span s) MUST_CHECK;
bool buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

/*
 * Room for at least `want` more bytes at the end, or NULL when that would go beyond the cap.
 * *out_room is what there really is, within the cap.  buf_commit says how much was written there.
 */
char *buf_reserve(struct buf *b, size_t want, size_t *out_room);
void buf_commit(struct buf *b, size_t written);

/* Uses up `len` bytes at the front. */
void buf_consume(struct buf *b, size_t len);

#endif
