#include "lib/mail/domain.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 63, UTF8_DOMAIN_MAX = 4 * DOMAIN_MAX };

static bool label_is_host(struct span label)
{
    if (label.len == 0 || label.len > LABEL_MAX)
        return false;
    if (label.data[0] == '-' || label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-')
            return false;
    return true;
}

bool domain_is_host(struct span name)
{
    struct span label;

    if (name.len == 0 || name.len > DOMAIN_MAX)
        return false;
    while (span_cut(&name, '.', &label))
        if (!label_is_host(label))
            return false;
    return true;
}

static bool copy_lower(struct span name, char out[DOMAIN_MAX + 1])
{
    if (!domain_is_host(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        out[i] = ascii_lower(name.data[i]);
    out[name.len] = '\0';
    return true;
}

/* IDNA2008 without the mappings of a user interface (RFC 5891 s.5, rfc/dns.md DNS-60, DNS-63). */
static bool convert(struct span name, char out[DOMAIN_MAX + 1])
{
    char text[UTF8_DOMAIN_MAX + 1];
    uint8_t *ascii = NULL;
    bool converted;

    if (!span_to_string(name, text, sizeof(text)))
        return false;
    if (idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NO_TR46) != IDN2_OK)
        return false;
    converted = copy_lower(span_of((const char *)ascii), out);
    idn2_free(ascii);
    return converted;
}

bool domain_normalize(struct span name, char out[DOMAIN_MAX + 1])
{
    out[0] = '\0';
    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    return span_is_ascii(name) ? copy_lower(name, out) : convert(name, out);
}
