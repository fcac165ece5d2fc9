#include "lib/mail/dkim.h"

#include "lib/mail/domain.h"

static const char *const canon_names[] = {
    [DKIM_SIMPLE] = "simple",
    [DKIM_RELAXED] = "relaxed",
};

static const char *const key_names[] = {
    [DKIM_RSA_SHA256] = "rsa",
    [DKIM_ED25519_SHA256] = "ed25519",
};

const char *dkim_canon_name(enum dkim_canon canon)
{
    return canon_names[canon];
}

const char *dkim_algorithm_name(enum dkim_algorithm algorithm)
{
    return algorithm == DKIM_RSA_SHA256 ? "rsa-sha256" : "ed25519-sha256";
}

const char *dkim_key_name(enum dkim_algorithm algorithm)
{
    return key_names[algorithm];
}

bool dkim_key_parse(struct span name, enum dkim_algorithm *out)
{
    for (int i = DKIM_RSA_SHA256; i <= DKIM_ED25519_SHA256; i++) {
        if (!span_equal_nocase(name, span_of(key_names[i])))
            continue;
        *out = (enum dkim_algorithm)i;
        return true;
    }
    return false;
}

static bool parse_one(struct span name, enum dkim_canon *out)
{
    if (!span_equal_nocase(name, SPAN("simple")) && !span_equal_nocase(name, SPAN("relaxed")))
        return false;
    *out = ascii_lower(name.data[0]) == 's' ? DKIM_SIMPLE : DKIM_RELAXED;
    return true;
}

bool dkim_canon_parse(struct span text, enum dkim_canon *out_header, enum dkim_canon *out_body)
{
    size_t slash = span_find(text, '/');
    enum dkim_canon header = DKIM_SIMPLE;
    enum dkim_canon body = DKIM_SIMPLE;

    if (text.len > 0 && !parse_one(span_first(text, slash), &header))
        return false;
    if (slash < text.len && !parse_one(span_from(text, slash + 1), &body))
        return false;
    *out_header = header;
    *out_body = body;
    return true;
}

bool dkim_selector_is_valid(struct span selector)
{
    return domain_is_host(selector);
}
