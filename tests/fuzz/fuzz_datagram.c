/* fuzz_datagram - what another mail system tells of a session: whatever is taken can be counted. */
#include "lib/base/error.h"
#include "tlsrpt/counts.h"
#include "tlsrpt/datagram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(const Ipc__SessionEvent *event)
{
    struct buf packed;

    ensure(counts_is_valid(event));
    buf_init(&packed, 16 << 20);
    counts_pack(event, (struct span){ (const char *)event->domain.data, event->domain.len },
                &packed);
    buf_clear(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct datagram *datagram = NULL;
    const char *why = NULL;
    enum datagram_verdict verdict =
        datagram_read((struct span){ (const char *)data, size }, &datagram, &why);

    ensure((verdict == DATAGRAM_FINE) == (datagram != NULL));
    ensure((verdict == DATAGRAM_FINE) == (why == NULL));
    if (!datagram)
        return 0;
    ensure(datagram_count(datagram) + datagram_unfinished(datagram) <= DATAGRAM_POLICIES_MAX);
    for (size_t i = 0; i < datagram_count(datagram); i++)
        check_event(datagram_event(datagram, i));
    datagram_free(&datagram);
    return 0;
}
