/* fuzz_address - a mailbox: what is taken is printable, bounded, and is taken again the same. */
#include "lib/base/error.h"
#include "lib/base/utf8.h"
#include "lib/mail/address.h"
#include "lib/mail/domain.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same holds for UTF-8; what it is for hosts without SMTPUTF8 is the same mailbox. */
static void check_utf8(const struct address *first)
{
    struct address second, ascii;
    char room[ADDRESS_ASCII_SIZE];

    ensure(utf8_is_valid(span_of(first->text)));
    for (const char *c = first->text; *c; c++)
        ensure((unsigned char)*c >= ' ' && *c != 0x7f);
    ensure(address_parse_utf8(span_of(first->text), &second) == ADDRESS_FINE);
    ensure(strcmp(first->text, second.text) == 0 && strcmp(first->domain, second.domain) == 0);
    if (!address_to_ascii(first, room))
        return;
    ensure(span_is_printable(span_of(room)));
    if (address_parse(span_of(room), &ascii) == ADDRESS_FINE)
        ensure(span_equal_nocase(span_of(ascii.domain), span_of(first->domain)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = { (const char *)data, size };
    char name[DOMAIN_MAX + 1], again[DOMAIN_MAX + 1];
    struct address first, second;

    if (address_parse(text, &first) == ADDRESS_FINE) {
        ensure(span_is_printable(span_of(first.text)) && first.local_len <= ADDRESS_MAX);
        ensure(address_parse(span_of(first.text), &second) == ADDRESS_FINE);
        ensure(strcmp(first.text, second.text) == 0 && strcmp(first.domain, second.domain) == 0);
    }
    if (address_parse_utf8(text, &first) == ADDRESS_FINE)
        check_utf8(&first);
    if (address_parse_reverse(text, &first) == ADDRESS_FINE)
        ensure((first.text[0] == '\0') == (first.domain[0] == '\0'));
    if (domain_normalize(text, name)) {
        ensure(domain_is_host(span_of(name)));
        ensure(domain_normalize(span_of(name), again) && strcmp(name, again) == 0);
    }
    return 0;
}
