/* fuzz_sts_txt - TXT records, one a line, as they may stand at _mta-sts.<domain>. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "policy/sts_txt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size };
    struct span records[16];
    struct sts_txt txt;
    unsigned count = 0;
    while (count < 16 && span_cut(&rest, '\n', &records[count]))
        count++;
    sts_txt_parse(records, count, &txt);
    ensure((txt.verdict == STS_TXT_VALID) == (txt.id[0] != '\0'));
    ensure(strlen(txt.id) <= STS_ID_MAX);
    for (const char *c = txt.id; *c; c++)
        ensure(ascii_is_alnum(*c));
    return 0;
}
