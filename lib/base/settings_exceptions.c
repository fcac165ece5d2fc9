/* Types of settings that exceptions are made of: policies that need not be met, why, until when. */
#include "lib/base/settings_table.h"

#include "lib/base/clock.h"

#include <string.h>

/* 2026-01-01: a clock that says less is wrong, and must not revive what has ended. */
#define CLOCK_LEAST_MS INT64_C(1767225600000)

int64_t exception_end_ms(const struct exception_settings *e)
{
    return e->last_day_utc_ms + DAY_MS;
}

bool exception_is_in_force(const struct exception_settings *e, int64_t now_utc_ms)
{
    return now_utc_ms >= CLOCK_LEAST_MS && now_utc_ms < exception_end_ms(e);
}

int64_t exception_days_left(const struct exception_settings *e, int64_t now_utc_ms)
{
    int64_t left_ms = exception_end_ms(e) - now_utc_ms;

    return left_ms > 0 ? (left_ms + DAY_MS - 1) / DAY_MS : 0;
}

const struct exception_settings *settings_exception(const struct settings *s, struct span domain)
{
    for (unsigned i = 0; i < s->exception_count; i++)
        if (span_equal_nocase(span_of(s->exceptions[i].domain), domain))
            return &s->exceptions[i];
    return NULL;
}

const char *exception_allow_name(enum exception_allow allow)
{
    return allow == EXCEPTION_CLEAR ? "clear" : "unverified";
}

/* --- days ------------------------------------------------------------------------------------ */

static bool day_read(const struct settings_reading *reading, const struct setting *setting,
                     const struct tree_node *node, void *group)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t utc_ms;

    if (node->kind != TREE_TEXT || !span_to_string(node->text, text, sizeof(text)) ||
        !clock_parse_day(text, &utc_ms))
        return setting_refuse_value(reading, setting, node);
    memcpy((char *)group + setting->offset, &utc_ms, sizeof(utc_ms));
    return true;
}

static void day_write(const struct setting *setting, const void *group, struct buf *out)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t utc_ms;

    memcpy(&utc_ms, (const char *)group + setting->offset, sizeof(utc_ms));
    clock_format_day(utc_ms, text);
    setting_write_text(text, out);
}

/* --- exceptions ------------------------------------------------------------------------------ */

/* No reason or no end, no exception. */
static bool exception_is_whole(const struct settings_reading *reading,
                               const struct setting *setting, const struct tree_node *node,
                               const struct exception_settings *e)
{
    bool is_blank = e->reason[0] != '\0' && span_trim(span_of(e->reason)).len == 0;
    const struct setting_fault faults[] = {
        { !setting_is_given(node, "domain"), "lacks a domain in this entry",
          "domain = \"example.net\"" },
        { !setting_is_given(node, "allow"), "lacks an allow in this entry",
          "allow = \"unverified\", or \"clear\"" },
        { !setting_is_given(node, "reason") || is_blank, "lacks a reason in this entry",
          "reason = \"why its policy need not be met\"" },
        { !setting_is_given(node, "until"), "lacks an end in this entry",
          "until = \"2026-12-31\"" },
    };

    return setting_faults_absent(reading, setting, node, faults,
                                 sizeof(faults) / sizeof(faults[0]));
}

static bool exception_read(const struct settings_reading *reading, const struct setting *setting,
                           const struct tree_node *node, struct settings *s)
{
    struct exception_settings e = { .domain = "" };
    bool fine;

    if (node->kind != TREE_GROUP)
        return setting_refuse_value(reading, setting, node);
    fine = settings_read_group(reading, "exception", node, &e);
    if (!exception_is_whole(reading, setting, node, &e) || !fine)
        return false;
    if (settings_exception(s, span_of(e.domain)))
        return setting_refuse_for(reading, setting, node->line, "has two entries for this domain",
                                  "one entry for each");
    s->exceptions[s->exception_count++] = e;
    return true;
}

static bool exceptions_read(const struct settings_reading *reading, const struct setting *setting,
                            const struct tree_node *node, void *group)
{
    struct settings *s = group;
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    if (node->count > SETTINGS_EXCEPTIONS_MAX)
        return setting_has_too_many(reading, setting, node, SETTINGS_EXCEPTIONS_MAX);
    s->exception_count = 0;
    for (size_t i = 0; i < node->count; i++)
        fine = exception_read(reading, setting, &node->children[i], s) && fine;
    return fine;
}

static void exceptions_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct settings *s = group;

    (void)setting;
    ensure(buf_append(out, SPAN("(")));
    for (unsigned i = 0; i < s->exception_count; i++) {
        ensure(buf_printf(out, "%s { ", i > 0 ? "," : ""));
        settings_write_group("exception", &s->exceptions[i], " ", out);
        ensure(buf_append(out, SPAN("}")));
    }
    ensure(buf_append(out, SPAN(" )")));
}

/* --- the types ------------------------------------------------------------------------------- */

const struct setting_type setting_day = {
    "day", "a day such as \"2026-12-31\"", day_read, day_write, NULL, NULL,
};
const struct setting_type setting_exceptions = {
    "exceptions",
    "( { domain = \"example.net\"; allow = \"unverified\"; reason = \"...\"; "
    "until = \"2026-12-31\"; } )",
    exceptions_read,
    exceptions_write,
    NULL,
    NULL,
};
