/* fuzz_xclient - what a proxy says of its client: what passes is harmless in a log and a header. */
#include "lib/base/error.h"
#include "lib/mail/xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span argument = { (const char *)data, size };
    struct xclient x, merged = { .given = 0 };

    if (!xclient_parse(argument, &x)) {
        ensure(x.given == 0);
        return 0;
    }
    ensure(x.given != 0 && x.given < 1U << XCLIENT_ATTRIBUTES);
    ensure(span_is_printable(span_of(x.name)) && span_is_printable(span_of(x.helo)) &&
           span_is_printable(span_of(x.login)));
    ensure(x.address.family == ADDRESS_NONE || (x.given & 1U << XCLIENT_ADDR));
    xclient_merge(&merged, &x);
    ensure(span_equal(span_of(merged.login), span_of(x.login)) && merged.given == x.given);
    return 0;
}
