/* fuzz_netstring - what a client of the socketmap sends: netstrings one behind the other. */
#include <stdlib.h>

#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "lib/mail/netstring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* There is one way to write it: the way it was read. */
static void ensure_same(struct span payload, struct span written)
{
    struct buf again;
    buf_init(&again, SIZE_MAX);
    ensure(netstring_write(payload, &again));
    ensure(span_equal(buf_span(&again), written));
    buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size };
    struct span payload;
    size_t used = 0;
    while (netstring_read(rest, SOCKETMAP_REQUEST_MAX, &payload, &used) == NETSTRING_WHOLE) {
        ensure(payload.len <= SOCKETMAP_REQUEST_MAX && used <= rest.len && used >= 3);
        ensure_same(payload, span_first(rest, used));
        rest = span_from(rest, used);
    }
    return 0;
}
