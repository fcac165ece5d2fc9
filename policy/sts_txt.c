#include "policy/sts_txt.h"

#include <string.h>

static const struct span version = { "v=STSv1", 7 };

enum { EXTENSION_NAME_MAX = 32 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct span *rest)
{
    while (rest->len > 0 && is_blank(rest->data[0]))
        *rest = span_from(*rest, 1);
}

/* Does the record begin as RFC 8461 s.3.1 wants it of those that count? */
static bool counts(struct span record)
{
    if (!span_starts_with(record, version))
        return false;
    struct span rest = span_from(record, version.len);
    skip_blanks(&rest);
    return rest.len > 0 && rest.data[0] == ';';
}

/* Meant to be a record of this version, without the delimiter that makes it count. */
static bool is_stump(struct span record)
{
    if (!span_starts_with(record, version))
        return false;
    return record.len == version.len || is_blank(record.data[version.len]);
}

static bool is_name_byte(char c)
{
    return ascii_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

bool sts_extension_name_is_valid(struct span name)
{
    if (name.len == 0 || name.len > EXTENSION_NAME_MAX || !ascii_is_alnum(name.data[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_byte(name.data[i]))
            return false;
    return true;
}

/* %x21-3A / %x3C / %x3E-7E */
static bool value_is_valid(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] <= ' ' || value.data[i] > '~' || value.data[i] == '=')
            return false;
    return value.len > 0;
}

bool sts_id_is_valid(struct span id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!ascii_is_alnum(id.data[i]))
            return false;
    return id.len > 0 && id.len <= STS_ID_MAX;
}

/* Cuts a field up to a blank or semicolon off the front. */
static struct span cut_field(struct span *rest)
{
    size_t len = 0;
    while (len < rest->len && rest->data[len] != ';' && !is_blank(rest->data[len]))
        len++;
    struct span field = span_first(*rest, len);
    *rest = span_from(*rest, len);
    return field;
}

/* Takes one field in; of several ids the first counts (RFC 8461 s.3.2, end). */
static bool take_field(struct span field, struct sts_txt *out)
{
    size_t equals = span_find(field, '=');
    if (equals == field.len)
        return false;
    struct span name = span_first(field, equals);
    struct span value = span_from(field, equals + 1);
    if (!sts_extension_name_is_valid(name) || !value_is_valid(value))
        return false;
    if (!span_equal(name, SPAN("id")) || out->id[0] != '\0')
        return true;
    return sts_id_is_valid(value) && span_to_string(value, out->id, sizeof(out->id));
}

/* version 1*(delimiter field) [delimiter]; the delimiter is *WSP ";" *WSP. */
static bool parse_record(struct span record, struct sts_txt *out)
{
    struct span rest = span_from(record, version.len);
    while (rest.len > 0) {
        skip_blanks(&rest);
        if (rest.len == 0 || rest.data[0] != ';')
            return false;
        rest = span_from(rest, 1);
        skip_blanks(&rest);
        if (rest.len > 0 && !take_field(cut_field(&rest), out))
            return false;
    }
    return out->id[0] != '\0';
}

static void settle(enum sts_txt_verdict verdict, struct sts_txt *out)
{
    out->verdict = verdict;
    if (verdict != STS_TXT_VALID)
        out->id[0] = '\0';
}

void sts_txt_parse(const struct span *records, unsigned count, struct sts_txt *out)
{
    unsigned found = 0;
    unsigned at = 0;
    bool stump = false;
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < count; i++) {
        stump = stump || is_stump(records[i]);
        if (!counts(records[i]))
            continue;
        found++;
        at = i;
    }
    if (found == 0)
        settle(stump ? STS_TXT_INVALID : STS_TXT_NO_RECORD, out);
    else if (found > 1)
        settle(STS_TXT_MULTIPLE, out);
    else
        settle(parse_record(records[at], out) ? STS_TXT_VALID : STS_TXT_INVALID, out);
}

void sts_txt_judge(const struct dns_answer *answer, struct sts_txt *out)
{
    struct span records[DNS_RECORDS_MAX];
    unsigned count = answer->count < DNS_RECORDS_MAX ? answer->count : DNS_RECORDS_MAX;
    for (unsigned i = 0; i < count; i++)
        records[i] = (struct span){ answer->records[i].data, answer->records[i].data_len };
    if (answer->outcome == DNS_TEMPFAIL) {
        memset(out, 0, sizeof(*out));
        settle(STS_TXT_DNS_ERROR, out);
    } else {
        sts_txt_parse(records, answer->outcome == DNS_ANSWER ? count : 0, out);
    }
}

const char *sts_txt_verdict_name(enum sts_txt_verdict verdict)
{
    static const char *const names[] = { "valid", "no_record", "multiple", "invalid", "dns_error" };
    return names[verdict];
}
