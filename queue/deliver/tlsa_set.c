#include "queue/deliver/tlsa_set.h"

#include "lib/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

bool tlsa_name(const char *host, uint16_t port, char name[TLSA_NAME_SIZE])
{
    int len = snprintf(name, TLSA_NAME_SIZE, "_%u._tcp.%s", port, host);

    return len > 0 && len < TLSA_NAME_SIZE;
}

static void take_record(struct tlsa_set *set, const struct dns_record *record)
{
    struct span rdata = { record->data, record->data_len };

    if (set->count == TLSA_RECORDS_MAX || !tlsa_is_usable(rdata))
        return;
    set->records[set->count++] = (struct span){ memory_copy_span(rdata), rdata.len };
}

const char *tlsa_set_take(struct tlsa_set *set, const struct dns_answer *answer)
{
    tlsa_set_clear(set);
    if (answer->outcome != DNS_ANSWER)
        return "there are none";
    if (!answer->secure) /* DANE-42: an answer that anybody may have made up */
        return "they are not secured by DNSSEC, or the resolver is not on this machine";
    for (unsigned i = 0; i < answer->count; i++)
        take_record(set, &answer->records[i]);
    return set->count == 0 ? "none of them can be used for SMTP" : NULL;
}

void tlsa_set_clear(struct tlsa_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        free((char *)(uintptr_t)set->records[i].data);
    set->count = 0;
}
