#include "lib/base/buf.h"

#include "lib/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST_SIZE = 256 };

void buf_init(struct buf *b, size_t cap)
{
    *b = (struct buf){ .cap = cap };
}

void buf_clear(struct buf *b)
{
    free(b->base);
    buf_init(b, b->cap);
}

void buf_reset(struct buf *b)
{
    b->start = 0;
    b->end = 0;
}

size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

struct span buf_span(const struct buf *b)
{
    return (struct span){ b->base ? b->base + b->start : "", buf_len(b) };
}

/* Moves what is held to the front of its memory. */
static void buf_pack(struct buf *b)
{
    if (b->start == 0)
        return;
    memmove(b->base, b->base + b->start, buf_len(b));
    b->end -= b->start;
    b->start = 0;
}

static void buf_grow(struct buf *b, size_t needed)
{
    size_t size = b->size ? b->size : BUF_FIRST_SIZE;

    while (size < needed)
        size *= 2;
    if (size > b->cap)
        size = b->cap;
    b->base = memory_resize(b->base, size);
    b->size = size;
}

char *buf_reserve(struct buf *b, size_t want, size_t *out_room)
{
    size_t len = buf_len(b);

    if (len > b->cap || want > b->cap - len)
        return NULL;
    if (b->size - b->end < want && (b->start >= len || want > b->cap - b->end))
        buf_pack(b); /* no more is moved than was consumed: else much would be, often */
    if (b->size - b->end < want)
        buf_grow(b, b->end + want);
    *out_room = b->size - b->end;
    return b->base + b->end;
}

void buf_commit(struct buf *b, size_t written)
{
    ensure(written <= b->size - b->end);
    b->end += written;
}

bool buf_append(struct buf *b, struct span s)
{
    size_t room;
    char *end;

    if (s.len == 0)
        return true;
    end = buf_reserve(b, s.len, &room);
    if (!end)
        return false;
    memcpy(end, s.data, s.len);
    buf_commit(b, s.len);
    return true;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    size_t room;
    char *end;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ensure(len >= 0);
    end = buf_reserve(b, (size_t)len + 1, &room); /* vsnprintf wants room for its NUL */
    if (!end)
        return false;
    va_start(args, format);
    vsnprintf(end, room, format, args);
    va_end(args);
    buf_commit(b, (size_t)len);
    return true;
}

void buf_consume(struct buf *b, size_t len)
{
    ensure(len <= buf_len(b));
    b->start += len;
    if (b->start == b->end)
        buf_reset(b);
}
