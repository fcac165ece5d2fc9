/* The filters of an operator's request: lines of "name value" as the control socket's arguments. */
#include "lib/base/error.h"
#include "queue/filter.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size };
    struct span line;
    struct span name;
    struct filter filter;
    struct filter_facts facts = { .id = 1, .status = SPAN("4.7.1"), .state = WAITING_HELD };

    filter_init(&filter);
    while (span_cut(&rest, '\n', &line)) {
        if (!span_cut(&line, ' ', &name))
            continue;
        struct error *err = filter_take(&filter, name, line);
        if (!err)
            ensure(!filter_is_empty(&filter));
        error_free(&err);
        for (unsigned i = 0; i < FILTER_TEXTS; i++)
            facts.texts[i] = span_first(line, 200);
        facts.size = size;
        facts.age_ms = (int64_t)size * 1000;
        (void)filter_matches(&filter, &facts);
    }
    return 0;
}
