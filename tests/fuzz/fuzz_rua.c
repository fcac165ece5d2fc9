/* fuzz_rua - the TXT records at _smtp._tls.<domain>, one a line; a URI is one harmless word. */
#include "lib/base/error.h"
#include "tlsrpt/rua.h"
#include "tlsrpt/wishes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 8 };

/* What is kept of a record is bounded, and a record that is as good. */
static void check_wish(struct span record)
{
    char room[TALLY_RECORD_MAX], again[TALLY_RECORD_MAX];
    struct wish wish = wish_of_record(record, room);

    if (wish.state != TALLY_WISH_SEEN)
        return;
    ensure(wish.record.len > 0 && wish.record.len <= TALLY_RECORD_MAX);
    ensure(wish_of_record(wish.record, again).state == TALLY_WISH_SEEN);
    (void)wish_overlaps(wish.record, record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size };
    struct span records[RECORDS];
    unsigned count = 0;
    struct rua rua;

    while (count < RECORDS && span_cut(&rest, '\n', &records[count]))
        count++;
    rua_parse(records, count, &rua);
    check_wish((struct span){ (const char *)data, size });
    ensure((rua.verdict == RUA_VALID) == (rua.count > 0) && rua.count <= RUA_MAX);
    for (unsigned i = 0; i < rua.count; i++) {
        ensure(span_is_printable(rua.uris[i]) && rua.uris[i].len > 0);
        ensure(span_find(rua.uris[i], ' ') == rua.uris[i].len);
        ensure(span_find(rua.uris[i], ',') == rua.uris[i].len);
    }
    return 0;
}
