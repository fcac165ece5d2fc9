#include "tlsrpt/rua.h"

#include <string.h>

static const struct span version = { "v=TLSRPTv1", 10 };

enum { EXTENSION_NAME_MAX = 32 };

/* Does the record begin as RFC 8460 s.3 wants it of those that count? */
static bool counts(struct span record)
{
    struct span rest;

    if (!span_starts_with(record, version))
        return false;
    rest = span_trim(span_from(record, version.len));
    return rest.len > 0 && rest.data[0] == ';';
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* ALPHA / DIGIT, then those and "_", "-", "." */
static bool name_is_valid(struct span name)
{
    if (name.len == 0 || name.len > EXTENSION_NAME_MAX || !ascii_is_alnum(name.data[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.data[i]) && !is_one_of(name.data[i], "_-."))
            return false;
    return true;
}

static bool is_one_word(struct span s)
{
    return s.len > 0 && span_is_printable(s) && span_find(s, ' ') == s.len;
}

/* RFC 3986 s.3.1: bytes of the scheme in front of ":"; 0 for none. */
static size_t scheme_length(struct span uri)
{
    size_t len = span_find(uri, ':');

    if (len == uri.len || len == 0 || ascii_is_digit(uri.data[0]))
        return 0;
    for (size_t i = 0; i < len; i++)
        if (!ascii_is_alnum(uri.data[i]) && !is_one_of(uri.data[i], "+-."))
            return 0;
    return len;
}

/* RFC 6068 s.2: an address stands in front of the header fields, which we never use. */
static bool mailto_is_usable(struct span rest)
{
    struct span address = span_first(rest, span_find(rest, '?'));
    size_t at = span_find(address, '@');

    return at > 0 && at + 1 < address.len;
}

static bool https_is_usable(struct span rest)
{
    return span_starts_with(rest, SPAN("//")) && rest.len > 2 && rest.data[2] != '/' &&
           rest.data[2] != ':' && rest.data[2] != '?' && rest.data[2] != '#';
}

bool rua_is_usable(struct span uri)
{
    size_t scheme_len = scheme_length(uri);
    struct span scheme = span_first(uri, scheme_len);
    struct span rest = span_from(uri, scheme_len + 1);

    if (span_find(uri, '!') < uri.len) /* must be percent-encoded */
        return false;
    if (span_equal_nocase(scheme, SPAN("mailto")))
        return mailto_is_usable(rest);
    return span_equal_nocase(scheme, SPAN("https")) && https_is_usable(rest);
}

/* tlsrpt-uri *(*WSP "," *WSP tlsrpt-uri); what has no scheme is passed over later. */
static bool has_form(struct span list)
{
    struct span uri;

    while (span_cut(&list, ',', &uri)) {
        uri = span_trim(uri);
        if (!is_one_word(uri))
            return false;
    }
    return true;
}

bool rua_next(struct span *list, struct span *out)
{
    while (span_cut(list, ',', out)) {
        *out = span_trim(*out);
        if (rua_is_usable(*out))
            return true;
    }
    return false;
}

/* False when the form is broken. */
static bool take_uris(struct span value, struct rua *out)
{
    struct span uri;

    if (!has_form(value))
        return false;
    out->list = value;
    while (out->count < RUA_MAX && rua_next(&value, &uri))
        out->uris[out->count++] = uri;
    return true;
}

/* Takes one field in; of several rua the first counts. */
static bool take_field(struct span field, bool *has_rua, struct rua *out)
{
    size_t equals = span_find(field, '=');
    struct span name = span_first(field, equals);
    struct span value = span_from(field, equals + 1);

    if (equals == field.len || !name_is_valid(name))
        return false;
    if (!span_equal(name, SPAN("rua")))
        return is_one_word(value) && span_find(value, '=') == value.len;
    if (*has_rua)
        return true;
    *has_rua = true;
    return take_uris(value, out);
}

/* version 1*(delimiter field) [delimiter]; the delimiter is *WSP ";" *WSP. */
static bool parse_record(struct span record, struct rua *out)
{
    struct span rest = span_trim(span_from(record, version.len));
    struct span field;
    bool has_rua = false;

    rest = span_from(rest, 1); /* the delimiter behind the version */
    while (span_cut(&rest, ';', &field)) {
        field = span_trim(field);
        if (field.len == 0 && !rest.data) /* behind the delimiter at the end */
            break;
        if (!take_field(field, &has_rua, out))
            return false;
    }
    return out->count > 0;
}

void rua_parse(const struct span *records, unsigned count, struct rua *out)
{
    const struct span *found = NULL;

    *out = (struct rua){ .verdict = RUA_NO_RECORD };
    for (unsigned i = 0; i < count; i++) {
        if (!counts(records[i]))
            continue;
        out->verdict = found ? RUA_MULTIPLE : RUA_VALID;
        found = &records[i];
    }
    if (found && out->verdict == RUA_VALID && !parse_record(*found, out))
        *out = (struct rua){ .verdict = RUA_INVALID };
}

void rua_judge(const struct dns_answer *answer, struct rua *out)
{
    struct span records[DNS_RECORDS_MAX];
    unsigned count = 0;

    if (answer->outcome == DNS_TEMPFAIL) {
        *out = (struct rua){ .verdict = RUA_DNS_ERROR };
        return;
    }
    for (unsigned i = 0; i < answer->count && count < DNS_RECORDS_MAX; i++)
        records[count++] = (struct span){ answer->records[i].data, answer->records[i].data_len };
    rua_parse(records, count, out);
}

const char *rua_verdict_name(enum rua_verdict verdict)
{
    static const char *const names[] = {
        [RUA_VALID] = "valid",     [RUA_NO_RECORD] = "no_record", [RUA_MULTIPLE] = "multiple",
        [RUA_INVALID] = "invalid", [RUA_DNS_ERROR] = "dns_error",
    };

    return names[verdict];
}
