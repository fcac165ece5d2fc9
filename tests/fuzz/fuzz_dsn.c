/* fuzz_dsn - RET, ENVID, NOTIFY, ORCPT: what passes is harmless in a command, and stays the same.
 */
#include "lib/base/error.h"
#include "lib/base/utf8.h"
#include "lib/mail/dsn.h"
#include "lib/mail/xtext.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_kept(struct span value, const char *kept)
{
    ensure(span_equal(value, span_of(kept)) && span_is_printable(value));
    ensure(span_find(value, ' ') == value.len && span_find(value, '=') == value.len);
}

/* With type "utf-8" it may be UTF-8; its ASCII form stands for the same address. */
static void check_orcpt(struct span value, const char *orcpt)
{
    char ascii[ORCPT_MAX + 1];
    struct buf raw, coded;

    ensure(span_equal(value, span_of(orcpt)) && utf8_is_valid(value));
    if (span_is_printable(value))
        check_kept(value, orcpt);
    if (!dsn_orcpt_to_ascii(value, ascii))
        return;
    ensure(dsn_orcpt_is_valid(span_of(ascii)) && span_is_printable(span_of(ascii)));
    if (!span_starts_with_nocase(value, SPAN("utf-8;")))
        return;
    buf_init(&raw, ORCPT_MAX);
    buf_init(&coded, ORCPT_MAX);
    if (xtext_utf8_decode(span_from(value, 6), &raw)) {
        ensure(xtext_utf8_decode(span_from(span_of(ascii), 6), &coded));
        ensure(span_equal(buf_span(&raw), buf_span(&coded)) && utf8_is_valid(buf_span(&raw)));
    }
    buf_clear(&raw);
    buf_clear(&coded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span value = { (const char *)data, size };
    char orcpt[ORCPT_MAX + 1], room[ORCPT_MAX + 1], words[DSN_NOTIFY_SIZE];
    struct dsn_request dsn = { .ret_full = false };
    uint32_t notify, again;
    size_t len;

    if (dsn_parse_ret(value, &dsn))
        ensure(dsn.ret_full != dsn.ret_headers);
    if (dsn_parse_envid(value, &dsn))
        check_kept(value, dsn.envid);
    if (dsn_parse_orcpt(value, orcpt))
        check_orcpt(value, orcpt);
    if (size <= ORCPT_MAX && xtext_decode(value, room, &len))
        ensure(len <= size && span_is_printable((struct span){ room, len }));
    if (size <= ORCPT_MAX && xtext_decode_utf8(value, room, &len))
        ensure(len <= size && utf8_is_valid((struct span){ room, len }));
    if (dsn_parse_notify(value, &notify)) {
        dsn_format_notify(notify, words);
        ensure(dsn_parse_notify(span_of(words), &again) && again == notify);
    }
    return 0;
}
