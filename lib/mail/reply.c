#include "lib/mail/reply.h"

#include <stdio.h>
#include <string.h>

/* A number of one to three digits at the front of *rest, which is moved behind it. */
static bool cut_number(struct span *rest, uint16_t *out)
{
    size_t digits = 0;
    uint64_t value;

    while (digits < 4 && digits < rest->len && ascii_is_digit(rest->data[digits]))
        digits++;
    if (digits > 3 || !span_to_number(span_first(*rest, digits), 999, &value))
        return false;
    *out = (uint16_t)value;
    *rest = span_from(*rest, digits);
    return true;
}

static bool cut_byte(struct span *rest, char byte)
{
    if (rest->len == 0 || rest->data[0] != byte)
        return false;
    *rest = span_from(*rest, 1);
    return true;
}

size_t status_parse(struct span text, struct status *out)
{
    struct status status = { 0, 0, 0 };
    struct span rest = text;

    if (rest.len == 0 || strchr("245", rest.data[0]) == NULL || rest.data[0] == '\0')
        return 0;
    status.class = (uint16_t)(rest.data[0] - '0');
    rest = span_from(rest, 1);
    if (!cut_byte(&rest, '.') || !cut_number(&rest, &status.subject))
        return 0;
    if (!cut_byte(&rest, '.') || !cut_number(&rest, &status.detail))
        return 0;
    if (rest.len > 0 && rest.data[0] != ' ')
        return 0;
    *out = status;
    return text.len - rest.len;
}

void status_format(const struct status *s, char text[STATUS_TEXT_SIZE])
{
    snprintf(text, STATUS_TEXT_SIZE, "%u.%u.%u", s->class % 10u, s->subject % 1000u,
             s->detail % 1000u);
}

bool reply_is(const struct reply *reply, int code)
{
    return reply->code == code;
}

bool reply_is_positive(const struct reply *reply)
{
    return reply->code / 100 == 2;
}

bool reply_is_intermediate(const struct reply *reply)
{
    return reply->code / 100 == 3;
}

bool reply_is_transient(const struct reply *reply)
{
    return reply->code / 100 == 4;
}

bool reply_is_permanent(const struct reply *reply)
{
    return reply->code / 100 == 5;
}

/* Appends as much of s as there is room for. */
static void append_cut(struct buf *b, struct span s)
{
    size_t room = b->cap - buf_len(b);
    bool fits = buf_append(b, span_first(s, room));

    ensure(fits);
}

void reply_to_line(const struct reply *reply, struct buf *out)
{
    struct span rest = buf_span(&reply->text);
    struct span line;

    for (bool first = true; span_cut(&rest, '\n', &line); first = false) {
        if (!first)
            append_cut(out, SPAN("; "));
        append_cut(out, line);
    }
}

static void reply_reset(struct reply *reply)
{
    buf_reset(&reply->text);
    reply->code = 0;
    reply->status = (struct status){ 0, 0, 0 };
    reply->lines = 0;
}

void reply_parser_init(struct reply_parser *p)
{
    *p = (struct reply_parser){ .bytes = 0 };
    buf_init(&p->reply.text, REPLY_TEXT_MAX);
}

void reply_parser_clear(struct reply_parser *p)
{
    buf_clear(&p->reply.text);
    reply_parser_init(p);
}

/* Control bytes and 8-bit must reach no log, no notification and no other command. */
static void append_harmless(struct buf *text, struct span line)
{
    size_t room;
    size_t len = text->cap - buf_len(text);
    char *end;

    if (line.len < len)
        len = line.len;
    end = len > 0 ? buf_reserve(text, len, &room) : NULL;
    if (!end)
        return;
    for (size_t i = 0; i < len; i++)
        end[i] = line.data[i] >= 0x20 && line.data[i] <= 0x7e ? line.data[i] : '?';
    buf_commit(text, len);
}

/* "250-", "250 " or "250" at the front; gives why not, or NULL. */
static const char *parse_code(struct span line, int *out_code, bool *out_last)
{
    uint64_t code;

    if (line.len < 3 || !span_to_number(span_first(line, 3), 999, &code))
        return "no reply code";
    if (code < 200 || code > 599)
        return "reply code out of range";
    if (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')
        return "no blank behind the reply code";
    *out_code = (int)code;
    *out_last = line.len == 3 || line.data[3] == ' ';
    return NULL;
}

static void take_text(struct reply *reply, struct span text)
{
    struct status status;

    if (reply->lines > 0)
        append_cut(&reply->text, SPAN("\n"));
    append_harmless(&reply->text, text);
    if (reply->status.class == 0 && status_parse(text, &status) > 0 &&
        status.class == reply->code / 100)
        reply->status = status;
    reply->lines++;
}

/* Takes one line without its end; gives why it is not SMTP, or NULL. */
static const char *take_line(struct reply_parser *p, struct span line, struct span *out_text)
{
    const char *fault;
    int code;

    fault = parse_code(line, &code, &p->complete);
    if (fault)
        return fault;
    if (span_find(line, '\0') < line.len)
        return "NUL in a reply";
    if (p->reply.lines > 0 && code != p->reply.code)
        return "codes differ within a reply";
    if (p->reply.lines == SMTP_REPLY_LINES_MAX)
        return "too many reply lines";
    p->reply.code = code;
    *out_text = span_from(line, 4);
    take_text(&p->reply, *out_text);
    return NULL;
}

/* Only CRLF ends a line; in replies, and nowhere else, a bare LF is forgiven (CLI-33). */
static struct span without_line_end(struct span line)
{
    line.len--;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* The next whole line of *rest with its end; false when it has none yet or must be refused. */
static bool next_line(struct reply_parser *p, struct span *rest, struct span *out_line)
{
    size_t end = span_find(*rest, '\n');
    size_t len = end < rest->len ? end + 1 : rest->len;

    if (len > SMTP_REPLY_LINE_MAX)
        p->fault = "reply line too long";
    else if (p->bytes + len > SMTP_REPLY_BYTES_MAX)
        p->fault = "reply too long";
    if (p->fault || end == rest->len)
        return false;
    *out_line = span_first(*rest, len);
    *rest = span_from(*rest, len);
    p->bytes += len;
    return true;
}

enum reply_progress reply_parse(struct reply_parser *p, struct span input,
                                void (*on_line)(void *ctx, unsigned number, struct span text),
                                void *ctx, size_t *out_used)
{
    struct span rest = input;
    struct span line, text;

    if (p->complete) {
        reply_reset(&p->reply);
        p->bytes = 0;
        p->complete = false;
    }
    while (!p->complete && !p->fault && next_line(p, &rest, &line)) {
        p->fault = take_line(p, without_line_end(line), &text);
        if (!p->fault && on_line)
            on_line(ctx, p->reply.lines - 1, text);
    }
    *out_used = input.len - rest.len;
    if (p->fault) {
        p->complete = false;
        return REPLY_BROKEN;
    }
    return p->complete ? REPLY_WHOLE : REPLY_MORE;
}
