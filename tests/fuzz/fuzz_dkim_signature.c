/*
 * fuzz_dkim_signature - a message to its signature's field: the first byte says in what pieces the
 * body comes, the rest is the message.  What must hold: pieces change nothing, the field is one
 * field with short lines that covers From and has no l=, and a signature that is there already
 * changes nothing of what the next one signs.
 */
#include "lib/base/limits.h"
#include "lib/io/body_hash.h"
#include "lib/mail/dkim_signature.h"
#include "lib/mail/dkim_tags.h"
#include "lib/mail/header_fields.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hash_in_pieces(struct span content, size_t size, struct body_hashes *out)
{
    struct body_hash *hash = body_hash_new(true, true);

    for (; content.len > 0; content = span_from(content, size))
        body_hash_add(hash, span_first(content, size));
    body_hash_end(hash, out);
    body_hash_free(&hash);
}

static struct span block_of(struct span content)
{
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, content);
    while (header_fields_next(&fields, &field))
        continue;
    return span_first(content, content.len - fields.rest.len + (fields.rest.len > 0 ? 2 : 0));
}

static void check_field(struct span finished)
{
    struct header_fields fields;
    struct header_field field;
    struct dkim_tags tags;
    struct span value, line;

    header_fields_init(&fields, finished);
    ensure(header_fields_next(&fields, &field) && fields.rest.len == 0);
    ensure(span_equal(field.name, SPAN("DKIM-Signature")));
    ensure(dkim_tags_parse(field.body, &tags) && !dkim_tags_find(&tags, "l", &value));
    ensure(dkim_tags_find(&tags, "h", &value) && span_starts_with(value, SPAN("From:From:")));
    while (span_cut(&finished, '\n', &line))
        ensure(line.len <= DKIM_LINE_MAX + 1);
}

/* The same field, with the finished one on top of the header. */
static void check_independence(struct span header, struct span open, struct span finished,
                               struct span input)
{
    struct buf more, again;

    buf_init(&more, 2 * DKIM_INPUT_MAX);
    buf_init(&again, DKIM_INPUT_MAX);
    ensure(buf_append(&more, finished) && buf_append(&more, header));
    ensure(dkim_signature_is_there(buf_span(&more), SPAN("d.test")));
    ensure(dkim_signature_input(buf_span(&more), open, DKIM_RELAXED, &again));
    ensure(span_equal(buf_span(&again), input));
    buf_clear(&more);
    buf_clear(&again);
}

static void sign(struct span header, const struct body_hashes *hashes)
{
    const struct dkim_signing signing = {
        .header = DKIM_RELAXED,
        .domain = SPAN("d.test"),
        .selector = SPAN("s"),
        .signed_utc_s = 1,
        .expires_utc_s = 2,
        .body_sha256 = { (const char *)hashes->simple, DKIM_SHA256_SIZE },
    };
    struct buf open, input, finished;

    buf_init(&open, DKIM_FIELD_MAX);
    buf_init(&input, DKIM_INPUT_MAX);
    buf_init(&finished, DKIM_FIELD_MAX);
    if (!dkim_signature_open(&signing, header, &open)) {
        ensure(dkim_signature_input(header, buf_span(&open), DKIM_RELAXED, &input));
        ensure(dkim_signature_close(buf_span(&open), signing.body_sha256, &finished));
        check_field(buf_span(&finished));
        check_independence(header, buf_span(&open), buf_span(&finished), buf_span(&input));
    }
    buf_clear(&open);
    buf_clear(&input);
    buf_clear(&finished);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span content = { (const char *)data + 1, size - 1 };
    struct body_hashes whole, pieces;

    if (size == 0 || size > HEADER_BYTES_MAX)
        return 0;
    body_hash_of(content, true, true, &whole);
    hash_in_pieces(content, data[0] + 1u, &pieces);
    ensure(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    sign(block_of(content), &whole);
    return 0;
}
