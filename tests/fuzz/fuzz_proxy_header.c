/* fuzz_proxy_header - what a proxy says first; byte by byte and whole, the same. */
#include "lib/base/error.h"
#include "lib/mail/proxy_header.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = { (const char *)data, size };
    struct proxy_header whole, part;
    enum proxy_progress progress = proxy_header_parse(bytes, &whole);
    enum proxy_progress step = PROXY_MORE;
    size_t seen = 0;

    while (step == PROXY_MORE && seen < size && seen < 4096)
        step = proxy_header_parse(span_first(bytes, ++seen), &part);
    if (step != PROXY_MORE)
        ensure(step == progress);
    if (step == PROXY_WHOLE) /* never a byte of what stands behind it */
        ensure(part.length == seen && memcmp(&part, &whole, sizeof(part)) == 0);
    if (progress == PROXY_WHOLE)
        ensure(whole.length <= size && whole.length <= PROXY_HEADER_MAX);
    return 0;
}
