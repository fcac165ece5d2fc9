/* Is what came of it what is expected?  In `expect` each value is a list of acceptable ones. */
#include "tests/vectors/decisions.h"

#include <string.h>

/* A list of acceptable values, or the one. */
static bool accepts(const json_t *wanted, const json_t *got)
{
    json_t *item;
    size_t i;

    if (json_is_string(wanted) && json_is_string(got))
        return span_equal_nocase(text_of(wanted), text_of(got));
    if (!json_is_array(wanted))
        return json_equal(wanted, got);
    json_array_foreach(wanted, i, item) if (accepts(item, got)) return true;
    return false;
}

static bool member_is_accepted(const json_t *expect, const json_t *got, const char *key)
{
    const json_t *wanted = json_object_get(expect, key);

    return !wanted || accepts(wanted, json_object_get(got, key));
}

/* One entry a host. */
static bool attempts_agree(const json_t *wanted, const json_t *got)
{
    json_t *item;
    size_t i;

    json_array_foreach(wanted, i, item)
    {
        const json_t *host = json_array_get(got, i);
        if (!member_is_accepted(item, host, "host") || !member_is_accepted(item, host, "action"))
            return false;
    }
    return true;
}

static bool cache_agrees(const json_t *wanted, const json_t *got)
{
    static const char *const keys[] = { "state", "id", "mode", "fetched_at" };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!member_is_accepted(wanted, got, keys[i]))
            return false;
    return true;
}

/* One of each group is there. */
static bool has_results(const json_t *groups, const json_t *types)
{
    json_t *group, *type;
    size_t i, j;

    json_array_foreach(groups, i, group)
    {
        bool found = false;
        json_array_foreach(types, j, type) found = found || accepts(group, type);
        if (!found)
            return false;
    }
    return true;
}

static bool entry_agrees(const json_t *wanted, const json_t *got)
{
    static const char *const keys[] = { "policy_type", "policy_domain", "success", "failure" };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!member_is_accepted(wanted, got, keys[i]))
            return false;
    return has_results(json_object_get(wanted, "result_types"),
                       json_object_get(got, "result_types"));
}

/* Each entry that is wanted is there; where none is wanted, none is. */
static bool reports_agree(const json_t *wanted, const json_t *got)
{
    json_t *item, *entry;
    size_t i, j;

    if (json_is_array(wanted) && json_array_size(wanted) == 0)
        return json_array_size(got) == 0;
    json_array_foreach(wanted, i, item)
    {
        bool found = false;
        json_array_foreach(got, j, entry) found = found || entry_agrees(item, entry);
        if (!found)
            return false;
    }
    return true;
}

static bool has_none_of(const json_t *barred, const json_t *reports)
{
    json_t *report, *type;
    size_t i, j;

    json_array_foreach(reports, i, report) json_array_foreach(
        json_object_get(report, "result_types"), j, type) if (accepts(barred, type)) return false;
    return true;
}

bool decision_agrees(const json_t *expect, const json_t *got)
{
    static const char *const keys[] = { "message",
                                        "https_fetch",
                                        "txt_query",
                                        "policy_domain",
                                        "txt_lookup_before_giving_up",
                                        "alert_administrator",
                                        "enhanced_status",
                                        "mail_from_parameter" };
    const json_t *barred = json_object_get(expect, "report_must_not_include");

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!member_is_accepted(expect, got, keys[i]))
            return false;
    return attempts_agree(json_object_get(expect, "attempts"), json_object_get(got, "attempts")) &&
           cache_agrees(json_object_get(expect, "cache_after"),
                        json_object_get(got, "cache_after")) &&
           reports_agree(json_object_get(expect, "report"), json_object_get(got, "report")) &&
           (!barred || has_none_of(barred, json_object_get(got, "report")));
}
