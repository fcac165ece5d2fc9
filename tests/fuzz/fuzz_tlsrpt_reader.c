/*
 * fuzz_tlsrpt_reader - whatever somebody sends as a TLS report, as JSON, packed or in a mail: what
 * is shown of it holds no control, and the report that was put in order is in order: read again, it
 * is the same.
 */
#include "lib/base/error.h"
#include "lib/base/utf8.h"
#include "supervisor/tlsrpt_read_text.h"
#include "tlsrpt/reader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 256 * 1024 * 1024 };

static struct buf written(const struct json *told)
{
    struct buf text;

    buf_init(&text, TEXT_MAX);
    ensure(json_write(json_get(told, "report"), JSON_ON_ONE_LINE, &text));
    return text;
}

static void check_order(const struct json *told)
{
    struct buf once = written(told), twice;
    struct json *again = NULL;

    ensure(reader_read(buf_span(&once), &again) == NULL);
    twice = written(again);
    ensure(span_equal(buf_span(&once), buf_span(&twice)));
    ensure(json_number(json_get(told, "failed")) == json_number(json_get(again, "failed")));
    json_free(&again);
    buf_clear(&once);
    buf_clear(&twice);
}

static void check_text(const struct json *told)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    tlsrpt_read_tell(told, out);
    fclose(out);
    ensure(utf8_is_valid((struct span){ text, len }));
    for (size_t i = 0; i < len; i++)
        ensure((unsigned char)text[i] >= ' ' || text[i] == '\n');
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *told = NULL;
    struct error *err = reader_read((struct span){ (const char *)data, size }, &told);

    if (!err) {
        check_order(told);
        check_text(told);
        json_free(&told);
    }
    error_free(&err);
    return 0;
}
