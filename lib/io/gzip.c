#include "lib/io/gzip.h"

#include "lib/base/memory.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    GZIP_FORMAT = 16, /* added to the window's bits: gzip, not zlib's own frame */
    MEMORY_LEVEL = 8,
    ROOM_WANTED = 16 * 1024,
};

static const unsigned char magic[2] = { 0x1f, 0x8b };

struct gzip {
    z_stream stream;
    struct buf *out;
    bool full; /* `out` has no more room */
};

/* zlib takes what it reads as not const; it never writes there. */
static void set_input(z_stream *stream, struct span bytes)
{
    union {
        const char *lent;
        unsigned char *data;
    } input = { bytes.data };

    stream->next_in = input.data;
    stream->avail_in = (unsigned)bytes.len;
}

/* Somewhere to write; false when `out` is full. */
static bool set_output(z_stream *stream, struct buf *out)
{
    size_t room = 0;
    char *place = buf_reserve(out, 1, &room);

    if (place && room < ROOM_WANTED && buf_len(out) + ROOM_WANTED <= out->cap)
        place = buf_reserve(out, ROOM_WANTED, &room);
    if (!place)
        return false;
    stream->next_out = (unsigned char *)place;
    stream->avail_out = room < INT_MAX ? (unsigned)room : INT_MAX;
    return true;
}

/* ---- packing -------------------------------------------------------------------------------- */

struct gzip *gzip_new(struct buf *out)
{
    struct gzip *gzip = memory_new(sizeof(*gzip));

    gzip->out = out;
    ensure(deflateInit2(&gzip->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP_FORMAT,
                        MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK);
    return gzip;
}

/* Runs until all input is taken or, at the end, all output is out. */
static bool run(struct gzip *gzip, int flush)
{
    int status = Z_OK;

    while (!gzip->full && status == Z_OK && (gzip->stream.avail_in > 0 || flush == Z_FINISH)) {
        gzip->full = !set_output(&gzip->stream, gzip->out);
        if (gzip->full)
            break;
        unsigned before = gzip->stream.avail_out;
        status = deflate(&gzip->stream, flush);
        buf_commit(gzip->out, before - gzip->stream.avail_out);
    }
    ensure(status == Z_OK || status == Z_STREAM_END);
    return !gzip->full;
}

bool gzip_write(struct gzip *gzip, struct span bytes)
{
    bool ok = true;

    while (bytes.len > 0 && ok) {
        struct span piece = span_first(bytes, INT_MAX);
        set_input(&gzip->stream, piece);
        ok = run(gzip, Z_NO_FLUSH);
        bytes = span_from(bytes, piece.len);
    }
    return ok;
}

bool gzip_end(struct gzip **gzip)
{
    bool whole;

    set_input(&(*gzip)->stream, SPAN(""));
    whole = run(*gzip, Z_FINISH);
    gzip_free(gzip);
    return whole;
}

void gzip_free(struct gzip **gzip)
{
    struct gzip *g = *gzip;

    *gzip = NULL;
    if (!g)
        return;
    deflateEnd(&g->stream);
    free(g);
}

/* ---- unpacking ------------------------------------------------------------------------------ */

bool gzip_is_packed(struct span bytes)
{
    return bytes.len >= sizeof(magic) && (unsigned char)bytes.data[0] == magic[0] &&
           (unsigned char)bytes.data[1] == magic[1];
}

/* `out` is full: is there really more to come, or does only the end mark stand behind? */
static enum gzip_verdict judge_full(z_stream *stream, unsigned char *one)
{
    int status;

    stream->next_out = one;
    stream->avail_out = 1;
    status = inflate(stream, Z_NO_FLUSH);
    if (stream->avail_out == 0)
        return GZIP_TOO_LARGE;
    if (status == Z_STREAM_END)
        return GZIP_WHOLE;
    return status == Z_OK || status == Z_BUF_ERROR ? GZIP_CUT_OFF : GZIP_DAMAGED;
}

static enum gzip_verdict unpack_member(z_stream *stream, struct buf *out, unsigned char *one)
{
    for (;;) {
        if (!set_output(stream, out))
            return judge_full(stream, one);
        unsigned before = stream->avail_out;
        int status = inflate(stream, Z_NO_FLUSH);
        buf_commit(out, before - stream->avail_out);
        if (status == Z_STREAM_END)
            return GZIP_WHOLE;
        if (status == Z_BUF_ERROR ||
            (status == Z_OK && stream->avail_in == 0 && stream->avail_out > 0))
            return GZIP_CUT_OFF;
        if (status != Z_OK)
            return GZIP_DAMAGED;
    }
}

enum gzip_verdict gzip_unpack(struct span packed, struct buf *out, size_t *out_used)
{
    enum gzip_verdict verdict = GZIP_DAMAGED;
    z_stream stream = { 0 };
    unsigned char one; /* written where `out` has no more room */

    *out_used = 0;
    packed = span_first(packed, INT_MAX);
    ensure(inflateInit2(&stream, MAX_WBITS + GZIP_FORMAT) == Z_OK);
    set_input(&stream, packed);
    do {
        verdict = unpack_member(&stream, out, &one);
        *out_used = packed.len - stream.avail_in;
        inflateReset(&stream);
    } while (verdict == GZIP_WHOLE && gzip_is_packed(span_from(packed, *out_used)));
    inflateEnd(&stream);
    return verdict;
}
