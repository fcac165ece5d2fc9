/* fuzz_reply - a server's replies, and what EHLO makes of their lines; cut or whole, the same. */
#include "lib/base/error.h"
#include "lib/mail/ehlo.h"
#include "lib/mail/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_line(void *ctx, unsigned number, struct span text)
{
    ehlo_line(ctx, number, text);
}

static void check_harmless(const struct reply_parser *p)
{
    struct span rest = buf_span(&p->reply.text);
    struct span line;
    struct buf joined;

    ensure(rest.len <= REPLY_TEXT_MAX && p->reply.lines <= SMTP_REPLY_LINES_MAX);
    while (span_cut(&rest, '\n', &line))
        ensure(span_is_printable(line));
    buf_init(&joined, REPLY_TEXT_MAX / 2);
    reply_to_line(&p->reply, &joined);
    ensure(span_is_printable(buf_span(&joined)));
    buf_clear(&joined);
}

/* Parses up to the first end; gives how far it came. */
static enum reply_progress parse(struct span input, size_t step, size_t *out_used, int *out_code)
{
    enum reply_progress progress = REPLY_MORE;
    struct reply_parser p;
    struct ehlo ehlo;
    size_t seen = 0, used;

    reply_parser_init(&p);
    ehlo_clear(&ehlo);
    *out_used = 0;
    while (progress == REPLY_MORE && seen < input.len) {
        seen = seen + step < input.len ? seen + step : input.len;
        progress =
            reply_parse(&p, span_from(span_first(input, seen), *out_used), on_line, &ehlo, &used);
        *out_used += used;
        check_harmless(&p);
    }
    ensure(span_is_printable(span_of(ehlo.name)));
    *out_code = p.reply.code;
    ensure(progress != REPLY_WHOLE || (*out_code >= 200 && *out_code <= 599));
    reply_parser_clear(&p);
    return progress;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input;
    size_t used, again;
    int code, code_again;

    if (size < 1)
        return 0;
    input = (struct span){ (const char *)data + 1, size - 1 };
    enum reply_progress whole = parse(input, input.len ? input.len : 1, &used, &code);
    enum reply_progress parts = parse(input, (size_t)data[0] + 1, &again, &code_again);
    ensure(whole == parts);
    ensure(whole != REPLY_WHOLE || (used == again && code == code_again));
    return 0;
}
