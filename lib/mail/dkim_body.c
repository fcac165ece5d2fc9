#include "lib/mail/dkim_body.h"

#include <string.h>

void dkim_body_init(struct dkim_body *body, enum dkim_canon canon, dkim_body_sink *sink, void *ctx)
{
    body->canon = canon;
    body->sink = sink;
    body->ctx = ctx;
    body->line_ends = 0;
    body->has_blank = false;
    body->has_cr = false;
    body->has_content = false;
    body->gathered = 0;
}

static void pass_on(struct dkim_body *body)
{
    if (body->gathered > 0)
        body->sink(body->ctx, (struct span){ body->block, body->gathered });
    body->gathered = 0;
}

/* Words are short and a sink's call is dear: they are gathered. */
static void emit(struct dkim_body *body, const char *bytes, size_t len)
{
    if (len > sizeof(body->block) - body->gathered)
        pass_on(body);
    if (len > sizeof(body->block)) {
        body->sink(body->ctx, (struct span){ bytes, len });
        return;
    }
    memcpy(body->block + body->gathered, bytes, len);
    body->gathered += len;
}

/* What was held back counts, for something stands behind it. */
static void release(struct dkim_body *body)
{
    for (; body->line_ends > 0; body->line_ends--)
        emit(body, "\r\n", 2);
    if (body->has_blank)
        emit(body, " ", 1); /* a run of them is one; also where a line begins with it */
    body->has_blank = false;
    body->has_content = true;
}

static void add_octets(struct dkim_body *body, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    release(body);
    emit(body, bytes, len);
}

static bool is_blank(const struct dkim_body *body, char c)
{
    return body->canon == DKIM_RELAXED && (c == ' ' || c == '\t');
}

/* Octets up to what means something: a CR, and with relaxed a blank. */
static size_t plain_length(const struct dkim_body *body, const char *at, const char *end)
{
    const char *from = at;
    const char *cr;

    if (body->canon == DKIM_RELAXED) {
        while (at < end && *at != '\r' && *at != ' ' && *at != '\t')
            at++;
        return (size_t)(at - from);
    }
    cr = memchr(at, '\r', (size_t)(end - at));
    return (size_t)((cr ? cr : end) - from);
}

/* The octet behind a CR says what that was. */
static bool ends_line(struct dkim_body *body, char next)
{
    body->has_cr = false;
    if (next == '\n') {
        body->has_blank = false; /* blanks at a line's end go */
        body->line_ends++;
        return true;
    }
    add_octets(body, "\r", 1);
    return false;
}

void dkim_body_add(struct dkim_body *body, struct span piece)
{
    const char *at = piece.data;
    const char *end = span_from(piece, piece.len).data;

    while (at < end) {
        size_t plain;
        if (body->has_cr && ends_line(body, *at)) {
            at++;
            continue;
        }
        plain = plain_length(body, at, end);
        add_octets(body, at, plain);
        at += plain;
        if (at == end)
            break;
        if (is_blank(body, *at))
            body->has_blank = true;
        else
            body->has_cr = true;
        at++;
    }
}

void dkim_body_end(struct dkim_body *body)
{
    if (body->has_cr)
        add_octets(body, "\r", 1);
    body->has_cr = false;
    /* one line end, also where the last line had none; of nothing, relaxed leaves nothing */
    if (body->has_content || body->canon == DKIM_SIMPLE)
        emit(body, "\r\n", 2);
    pass_on(body);
}
