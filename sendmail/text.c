#include "sendmail/text.h"

void text_init(struct text *text, bool dot_is_text, struct buf *out)
{
    *text = (struct text){ .out = out, .dot_is_text = dot_is_text };
}

static void put(struct text *text, struct span bytes)
{
    if (!buf_append(text->out, bytes))
        text->overflown = true;
}

static void end_line(struct text *text)
{
    if (text->after_dot) {
        text->after_dot = false;
        text->ended = true;
        return;
    }
    put(text, SPAN("\r\n"));
    text->in_line = false;
}

static bool is_plain(char c)
{
    return c != '\n' && c != '\r' && c != '\0';
}

/* Bytes of a line, as many as stand together. */
static size_t take_run(struct text *text, struct span input)
{
    size_t len = 0;

    if (text->after_dot)
        put(text, SPAN("."));
    text->after_dot = false;
    while (len < input.len && is_plain(input.data[len])) {
        text->eight_bit = text->eight_bit || (unsigned char)input.data[len] >= 0x80;
        len++;
    }
    put(text, span_first(input, len));
    text->in_line = true;
    return len;
}

static size_t take_some(struct text *text, struct span input)
{
    char c = input.data[0];
    bool after_cr = text->after_cr;

    text->after_cr = c == '\r';
    if (c == '\0') {
        text->after_cr = after_cr;
    } else if (c == '\r' || (c == '\n' && !after_cr)) {
        end_line(text);
    } else if (c == '.' && !text->in_line && !text->after_dot && !text->dot_is_text) {
        text->after_dot = true;
    } else if (c != '\n') {
        return take_run(text, input);
    }
    return 1;
}

void text_take(struct text *text, struct span input)
{
    while (input.len > 0 && !text->ended && !text->overflown)
        input = span_from(input, take_some(text, input));
}

void text_end(struct text *text)
{
    if (!text->ended && (text->in_line || text->after_dot))
        end_line(text);
}
