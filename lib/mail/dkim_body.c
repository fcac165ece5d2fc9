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

static bool ends_with_line_end(const char *bytes, size_t len)
{
    return len >= 2 && bytes[len - 2] == '\r' && bytes[len - 1] == '\n';
}

/* Octets that are canonical as they are; CRLFs behind the last of them wait for what follows. */
static void add_octets(struct dkim_body *body, const char *bytes, size_t len)
{
    uint64_t line_ends = 0;

    for (; ends_with_line_end(bytes, len); len -= 2)
        line_ends++;
    if (len > 0) {
        release(body);
        emit(body, bytes, len);
    }
    body->line_ends += line_ends;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* With relaxed: is this octet of a run of blanks that has to change, or may it be? */
static bool is_doubtful(const char *at, const char *end)
{
    if (*at == '\t')
        return true;
    return *at == ' ' && (at + 1 == end || at[1] == '\r' || is_blank(at[1]));
}

/* Are there none among sixteen?  The octet behind them is looked at, too. */
static bool has_no_doubtful(const char *at)
{
    typedef unsigned char vector __attribute__((vector_size(16)));
    typedef uint64_t halves __attribute__((vector_size(16)));
    vector here, next, found;
    halves sum;

    memcpy(&here, at, sizeof(here));
    memcpy(&next, at + 1, sizeof(next));
    found = (vector)(here == '\t') |
            ((vector)(here == ' ') &
             ((vector)(next == ' ') | (vector)(next == '\t') | (vector)(next == '\r')));
    memcpy(&sum, &found, sizeof(sum));
    return (sum[0] | sum[1]) == 0;
}

/* Octets from `at` on that are canonical as they are, whatever comes behind `end`. */
static size_t canonical_length(const struct dkim_body *body, const char *at, const char *end)
{
    const char *from = at;

    if (end[-1] == '\r')
        end--; /* what it is its next octet says */
    if (body->canon == DKIM_SIMPLE)
        return (size_t)(end - at);
    while (end - at > 16 && has_no_doubtful(at))
        at += 16;
    while (at < end && !is_doubtful(at, end))
        at++;
    return (size_t)(at - from);
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

/* One octet that stands for itself only if the right one follows. */
static void hold_back(struct dkim_body *body, char octet)
{
    if (octet == '\r')
        body->has_cr = true;
    else
        body->has_blank = true;
}

void dkim_body_add(struct dkim_body *body, struct span piece)
{
    const char *at = piece.data;
    const char *end = span_from(piece, piece.len).data;

    while (at < end) {
        size_t len = 0;
        if (body->has_cr && ends_line(body, *at)) {
            at++;
            continue;
        }
        if (!body->has_blank || (*at != '\r' && !is_blank(*at)))
            len = canonical_length(body, at, end);
        add_octets(body, at, len);
        at += len;
        if (len == 0)
            hold_back(body, *at++);
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
