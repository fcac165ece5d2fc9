/*
 * fuzz_destination - the URIs of a TLSRPT record, one a line: what is used of them ends no line and
 * no URL, has a host's name, and is the same when it is read again.
 */
#include "lib/base/error.h"
#include "lib/mail/domain.h"
#include "tlsrpt/destination.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct destination *to)
{
    struct destinations again = { .count = 0 };

    ensure(span_is_printable(span_of(to->text)) && domain_is_host(span_of(to->host)));
    ensure(destinations_add(&again, span_of(to->text)) == DESTINATION_FINE);
    ensure(again.count == 1 && strcmp(again.items[0].text, to->text) == 0);
    ensure(strcmp(again.items[0].address, to->address) == 0);
    if (to->kind == DESTINATION_MAIL) {
        ensure(strlen(to->address) > strlen(to->host) + 1);
        return;
    }
    ensure(to->path[0] == '/' && to->port > 0);
    ensure(!strpbrk(to->path, " #\"\\<>"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size };
    struct destinations list = { .count = 0 };
    struct span uri;

    while (span_cut(&rest, '\n', &uri))
        ensure(strlen(destination_fault_text(destinations_add(&list, uri))) > 0);
    ensure(list.count <= RUA_MAX);
    for (unsigned i = 0; i < list.count; i++) {
        unsigned of_host = 0;
        for (unsigned j = 0; j < list.count; j++)
            of_host += strcmp(list.items[i].host, list.items[j].host) == 0;
        ensure(of_host <= RUA_PER_HOST_MAX);
        check(&list.items[i]);
    }
    return 0;
}
