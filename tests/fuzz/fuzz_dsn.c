/* fuzz_dsn - RET, ENVID, NOTIFY, ORCPT: what passes is harmless in a command, and stays the same.
 */
#include "lib/base/error.h"
#include "lib/mail/dsn.h"
#include "lib/mail/xtext.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_kept(struct span value, const char *kept)
{
    ensure(span_equal(value, span_of(kept)) && span_is_printable(value));
    ensure(span_find(value, ' ') == value.len && span_find(value, '=') == value.len);
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
        check_kept(value, orcpt);
    if (size <= ORCPT_MAX && xtext_decode(value, room, &len))
        ensure(len <= size && span_is_printable((struct span){ room, len }));
    if (dsn_parse_notify(value, &notify)) {
        dsn_format_notify(notify, words);
        ensure(dsn_parse_notify(span_of(words), &again) && again == notify);
    }
    return 0;
}
