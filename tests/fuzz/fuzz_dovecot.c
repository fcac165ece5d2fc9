/*
 * Whatever a Dovecot says: no name comes out that could end a line of ours, what is lent lies in
 * the line, and no request is longer than what it reads.
 */
#include <stdint.h>
#include <string.h>

#include "smtpd/auth/dovecot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lies_within(struct span piece, struct span line)
{
    ensure(piece.len == 0 ||
           (piece.data >= line.data && piece.data + piece.len <= line.data + line.len));
}

static void read_line(struct span text)
{
    struct dovecot_line line = dovecot_parse(text);

    for (const char *c = line.user; *c; c++)
        ensure((unsigned char)*c >= ' ' && *c != 0x7f);
    lies_within(line.mechanism, text);
    lies_within(line.challenge, text);
}

static void respond(struct span response)
{
    struct buf out;

    buf_init(&out, 2 * DOVECOT_LINE_MAX);
    if (dovecot_put_begin(&out, UINT32_MAX, "PLAIN", "192.0.2.1", &response)) {
        ensure(buf_len(&out) <= DOVECOT_LINE_MAX);
        ensure(span_find(buf_span(&out), '\n') == buf_len(&out) - 1);
    }
    buf_reset(&out);
    if (dovecot_put_continue(&out, UINT32_MAX, response))
        ensure(buf_len(&out) <= DOVECOT_LINE_MAX);
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = { (const char *)data, size }, line;

    respond(input);
    while (span_cut(&input, '\n', &line))
        read_line(line);
    return 0;
}
