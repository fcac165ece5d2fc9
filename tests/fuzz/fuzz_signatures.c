/* fuzz_signatures - what the role sign says stands in front of a message: what is taken is lines of
 * DKIM-Signature fields and nothing else, whatever reads them, and names that fit a list. */
#include "queue/signatures.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(struct span fields)
{
    bool begins = true;

    ensure(fields.len > 2 && fields.data[fields.len - 1] == '\n');
    for (size_t i = 0; i < fields.len; i++) {
        unsigned char c = (unsigned char)fields.data[i];
        ensure(c == '\t' || c == '\r' || c == '\n' || (c >= ' ' && c <= '~'));
        ensure(c != '\n' || fields.data[i - 1] == '\r');
        ensure(c != '\r' || fields.data[i + 1] == '\n');
        if (begins && c != ' ' && c != '\t')
            ensure(span_starts_with_nocase(span_from(fields, i), SPAN("DKIM-Signature")));
        begins = c == '\n';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span fields = { (const char *)data, size };
    struct buf names;

    buf_init(&names, SIGNATURES_NAMES_MAX);
    if (signatures_read(fields, &names)) {
        check_lines(fields);
        ensure(buf_len(&names) > 0 || size > SIGNATURES_NAMES_MAX);
    }
    buf_clear(&names);
    return 0;
}
