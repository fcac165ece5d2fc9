/* fuzz_dns_message - a DNS message as the answer to a question; the first byte chooses the type. */
#include "lib/base/error.h"
#include "lib/mail/dns_message.h"
#include "lib/mail/route.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t middle(uint64_t bound)
{
    return bound / 2;
}

static void check_records(const struct dns_answer *answer, enum dns_type type)
{
    for (unsigned i = 0; i < answer->count; i++) {
        const struct dns_record *record = &answer->records[i];
        ensure((record->name != NULL) == (type == DNS_MX || type == DNS_CNAME));
        if (record->name)
            ensure(span_is_printable(span_of(record->name)) && record->name[0] != '\0');
        ensure(answer->ttl <= record->ttl);
    }
}

static void check_route(const struct dns_answer *answer)
{
    static const char *const own[] = { "relay.test" };
    struct route route;

    route_from_mx(answer, SPAN("example.test"), own, 1, middle, &route);
    ensure((route.verdict == ROUTE_FOUND) == (route.count > 0));
    ensure(route.count <= MX_NAMES_MAX);
    for (unsigned i = 1; i < route.count; i++)
        ensure(route.candidates[i - 1].preference <= route.candidates[i].preference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = { DNS_A,   DNS_CNAME, DNS_SOA, DNS_MX,
                                           DNS_TXT, DNS_AAAA,  DNS_TLSA };
    struct dns_answer answer;
    enum dns_type type;

    if (size < 1)
        return 0;
    type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
    dns_message_parse((struct span){ (const char *)data + 1, size - 1 }, SPAN("example.test"), type,
                      true, &answer);
    ensure((answer.outcome == DNS_ANSWER) == (answer.count > 0));
    ensure((answer.outcome == DNS_TEMPFAIL) == (answer.reason[0] != '\0'));
    ensure(answer.cname_steps <= CNAME_STEPS_MAX && answer.count <= DNS_RECORDS_MAX);
    check_records(&answer, type);
    if (type == DNS_MX)
        check_route(&answer);
    dns_answer_clear(&answer);
    return 0;
}
