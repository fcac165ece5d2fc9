/* fuzz_dkim_record - what stands in DNS as a public key: what is taken can be written again. */
#include "lib/mail/dkim_record.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dkim_record record, again;
    struct buf text;

    if (dkim_record_parse((struct span){ (const char *)data, size }, &record))
        return 0;
    ensure(record.key_len <= DKIM_KEY_MAX);
    buf_init(&text, DKIM_RECORD_MAX);
    ensure(dkim_record_write(record.algorithm,
                             (struct span){ (const char *)record.key, record.key_len }, &text));
    ensure(!dkim_record_parse(buf_span(&text), &again));
    ensure(again.algorithm == record.algorithm && again.key_len == record.key_len);
    ensure(memcmp(again.key, record.key, record.key_len) == 0);
    ensure(again.takes_sha256 && again.is_for_email && !again.is_testing);
    buf_clear(&text);
    return 0;
}
