#include "policy/sts_policy.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/base/utf8.h"
#include "lib/mail/domain.h"
#include "policy/sts_txt.h"

enum { MAX_AGE_DIGITS = 10 };

static const char *const mode_names[] = { "none", "testing", "enforce" };

static const char *const fault_names[] = {
    [STS_POLICY_FINE] = "",
    [STS_POLICY_HTTP_STATUS] = "http_status",
    [STS_POLICY_CONTENT_TYPE] = "content_type",
    [STS_POLICY_TOO_LARGE] = "too_large",
    [STS_POLICY_BAD_LINE] = "bad_line",
    [STS_POLICY_MISSING_VERSION] = "missing_version",
    [STS_POLICY_BAD_VERSION] = "bad_version",
    [STS_POLICY_MISSING_MODE] = "missing_mode",
    [STS_POLICY_BAD_MODE] = "bad_mode",
    [STS_POLICY_MISSING_MAX_AGE] = "missing_max_age",
    [STS_POLICY_BAD_MAX_AGE] = "bad_max_age",
    [STS_POLICY_MISSING_MX] = "missing_mx",
    [STS_POLICY_BAD_MX] = "bad_mx",
};

const char *sts_policy_fault_name(enum sts_policy_fault fault)
{
    return fault_names[fault];
}

const char *sts_mode_name(enum sts_mode mode)
{
    return mode_names[mode];
}

bool sts_mode_parse(struct span name, enum sts_mode *out)
{
    for (unsigned i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
        if (!span_equal(name, span_of(mode_names[i])))
            continue;
        *out = (enum sts_mode)i;
        return true;
    }
    return false;
}

enum sts_policy_fault sts_policy_check_http(int status, struct span content_type)
{
    if (status != 200)
        return STS_POLICY_HTTP_STATUS;
    struct span type = span_trim(span_first(content_type, span_find(content_type, ';')));
    return span_equal_nocase(type, SPAN("text/plain")) ? STS_POLICY_FINE : STS_POLICY_CONTENT_TYPE;
}

/* ---- lines -------------------------------------------------------------------------------- */

/* What a body has said so far. */
struct reading {
    struct sts_policy *policy;
    bool version;
    bool mode;
    bool max_age;
    bool bad_line;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the blanks in front, and those behind: neither belongs to the value. */
static struct span value_of(struct span rest)
{
    while (rest.len > 0 && is_blank(rest.data[0]))
        rest = span_from(rest, 1);
    while (rest.len > 0 && is_blank(rest.data[rest.len - 1]))
        rest.len--;
    return rest;
}

/* A value of a field we do not know: visible UTF-8 with single or more spaces in it. */
static bool value_is_valid(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.data[i] < ' ' || value.data[i] == 0x7f)
            return false;
    return value.len > 0 && utf8_is_valid(value);
}

static enum sts_policy_fault take_version(struct reading *r, struct span value)
{
    if (!r->version && !span_equal(value, SPAN("STSv1")))
        return STS_POLICY_BAD_VERSION;
    r->version = true;
    return STS_POLICY_FINE;
}

static enum sts_policy_fault take_mode(struct reading *r, struct span value)
{
    if (!r->mode && !sts_mode_parse(value, &r->policy->mode))
        return STS_POLICY_BAD_MODE;
    r->mode = true;
    return STS_POLICY_FINE;
}

/* More than the maximum is taken for the maximum: the policy stays usable (rfc/mta-sts.md STS-66).
 */
static enum sts_policy_fault take_max_age(struct reading *r, struct span value)
{
    uint64_t seconds;
    if (r->max_age)
        return STS_POLICY_FINE;
    if (value.len > MAX_AGE_DIGITS || !span_to_number(value, UINT64_MAX, &seconds))
        return STS_POLICY_BAD_MAX_AGE;
    r->policy->max_age_s = seconds > STS_MAX_AGE_MAX ? STS_MAX_AGE_MAX : (uint32_t)seconds;
    r->max_age = true;
    return STS_POLICY_FINE;
}

/* ["*."] and a domain of A-labels, nothing else. */
static enum sts_policy_fault take_mx(struct reading *r, struct span value)
{
    struct sts_policy *policy = r->policy;
    struct span domain = span_starts_with(value, SPAN("*.")) ? span_from(value, 2) : value;
    if (!domain_is_host(domain))
        return STS_POLICY_BAD_MX;
    if (policy->mx_count == STS_MX_MAX) {
        policy->mx_cut++; /* fewer hosts than the domain means to list: never more */
        return STS_POLICY_FINE;
    }
    if ((policy->mx_count & (policy->mx_count - 1)) == 0) {
        size_t room = policy->mx_count ? 2 * (size_t)policy->mx_count : 1;
        policy->mx = memory_resize(policy->mx, room * sizeof(policy->mx[0]));
    }
    char *pattern = memory_copy_span(value);
    for (char *c = pattern; *c; c++)
        *c = ascii_lower(*c);
    policy->mx[policy->mx_count++] = pattern;
    return STS_POLICY_FINE;
}

static enum sts_policy_fault take_line(struct reading *r, struct span line)
{
    size_t colon = span_find(line, ':');
    if (colon == line.len)
        return STS_POLICY_BAD_LINE;
    struct span name = span_first(line, colon);
    struct span value = value_of(span_from(line, colon + 1));
    if (span_equal(name, SPAN("version")))
        return take_version(r, value);
    if (span_equal(name, SPAN("mode")))
        return take_mode(r, value);
    if (span_equal(name, SPAN("max_age")))
        return take_max_age(r, value);
    if (span_equal(name, SPAN("mx")))
        return take_mx(r, value);
    return sts_extension_name_is_valid(name) && value_is_valid(value) ? STS_POLICY_FINE
                                                                      : STS_POLICY_BAD_LINE;
}

/* ---- the body ----------------------------------------------------------------------------- */

/* Blank lines at the end are no part of the grammar and harm nobody (rfc/mta-sts.md STS-69). */
static struct span without_last_line_ends(struct span body)
{
    while (body.len > 0 && body.data[body.len - 1] == '\n') {
        body.len--;
        if (body.len > 0 && body.data[body.len - 1] == '\r')
            body.len--;
    }
    return body;
}

static enum sts_policy_fault take_lines(struct reading *r, struct span body)
{
    struct span line;
    body = without_last_line_ends(body);
    while (span_cut(&body, '\n', &line)) {
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        enum sts_policy_fault fault = take_line(r, line);
        if (fault == STS_POLICY_BAD_LINE)
            r->bad_line = true; /* "no version" says more of an HTML page */
        else if (fault != STS_POLICY_FINE)
            return fault;
    }
    return STS_POLICY_FINE;
}

static enum sts_policy_fault check_whole(const struct reading *r)
{
    if (!r->version)
        return STS_POLICY_MISSING_VERSION;
    if (r->bad_line)
        return STS_POLICY_BAD_LINE;
    if (!r->mode)
        return STS_POLICY_MISSING_MODE;
    if (!r->max_age)
        return STS_POLICY_MISSING_MAX_AGE;
    if (r->policy->mx_count == 0 && r->policy->mode != STS_NONE)
        return STS_POLICY_MISSING_MX;
    return STS_POLICY_FINE;
}

enum sts_policy_fault sts_policy_parse(struct span body, struct sts_policy **out_policy)
{
    if (body.len > STS_POLICY_BYTES_MAX)
        return STS_POLICY_TOO_LARGE;
    struct reading reading = { .policy = memory_new(sizeof(*reading.policy)) };
    enum sts_policy_fault fault = take_lines(&reading, body);
    if (fault == STS_POLICY_FINE)
        fault = check_whole(&reading);
    if (fault != STS_POLICY_FINE) {
        sts_policy_free(&reading.policy);
        return fault;
    }
    reading.policy->text = memory_copy_span(body);
    reading.policy->text_len = body.len;
    *out_policy = reading.policy;
    return STS_POLICY_FINE;
}

struct sts_policy *sts_policy_copy(const struct sts_policy *policy)
{
    struct sts_policy *copy = memory_new(sizeof(*copy));
    *copy = *policy;
    copy->mx = memory_new_array(policy->mx_count + 1, sizeof(copy->mx[0]));
    for (unsigned i = 0; i < policy->mx_count; i++)
        copy->mx[i] = memory_copy_text(policy->mx[i]);
    copy->text = memory_copy_span((struct span){ policy->text, policy->text_len });
    return copy;
}

void sts_policy_free(struct sts_policy **policy)
{
    struct sts_policy *p = *policy;
    *policy = NULL;
    if (!p)
        return;
    for (unsigned i = 0; i < p->mx_count; i++)
        free(p->mx[i]);
    free(p->mx);
    free(p->text);
    free(p);
}

static bool has_pattern(const struct sts_policy *policy, const char *pattern)
{
    for (unsigned i = 0; i < policy->mx_count; i++)
        if (strcmp(policy->mx[i], pattern) == 0)
            return true;
    return false;
}

const char *sts_policy_added_mx(const struct sts_policy *newer, const struct sts_policy *older)
{
    bool counts = newer->mode != STS_NONE && older->mode != STS_NONE;
    for (unsigned i = 0; counts && i < newer->mx_count; i++)
        if (!has_pattern(older, newer->mx[i]))
            return newer->mx[i];
    return "";
}

unsigned sts_policy_weakening(const struct sts_policy *newer, const struct sts_policy *older)
{
    unsigned how = 0;
    if (newer->mode < older->mode)
        how |= STS_WEAKER_MODE;
    if (newer->max_age_s < older->max_age_s)
        how |= STS_WEAKER_MAX_AGE;
    if (sts_policy_added_mx(newer, older)[0] != '\0')
        how |= STS_WEAKER_MX;
    return how;
}
