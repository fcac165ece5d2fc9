#include "policy/entry_json.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/mail/domain.h"
#include "policy/alarms.h"
#include "policy/sts_txt.h"

static void add_time(struct json *object, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_rfc3339(utc_ms, text);
    json_add_string(object, key, text);
}

static void add_patterns(struct json *object, const struct sts_policy *policy)
{
    struct json *mx = json_add_array(object, "mx");
    for (unsigned i = 0; i < policy->mx_count; i++)
        json_append_text(mx, span_of(policy->mx[i]));
    if (policy->mx_cut > 0)
        json_add_number(object, "mx_left_out", policy->mx_cut);
}

struct json *entry_json(const struct sts_entry *entry, int64_t now)
{
    struct json *object = json_new_object();
    json_add_string(object, "domain", entry->domain);
    json_add_string(object, "mode", sts_mode_name(entry->policy->mode));
    json_add_string(object, "id", entry->id);
    add_patterns(object, entry->policy);
    json_add_number(object, "max_age", entry->policy->max_age_s);
    add_time(object, "fetched", entry->fetched_utc_ms);
    add_time(object, "expires", sts_entry_expires(entry));
    json_add_bool(object, "expired", now > sts_entry_expires(entry));
    add_time(object, "next_refresh", entry->refresh_utc_ms);
    add_time(object, "used", entry->used_utc_ms);
    alarms_of_entry(entry, now, json_add_array(object, "alarms"));
    return object;
}

/* What is wrong, in a word or two; the first of several. */
static void add_alarm(struct json *row, const struct sts_entry *entry, int64_t now)
{
    struct json *alarms = json_new_array();
    alarms_of_entry(entry, now, alarms);
    const struct json *first = json_item(alarms, 0);
    json_add_text(row, "alarm", first ? json_text(json_get(first, "alarm")) : SPAN(""));
    json_free(&alarms);
}

void entry_json_row(const struct sts_entry *entry, int64_t now, struct json *rows)
{
    struct json *row = json_append_object(rows);
    json_add_string(row, "domain", entry->domain);
    json_add_string(row, "mode", sts_mode_name(entry->policy->mode));
    json_add_string(row, "id", entry->id);
    json_add_number(row, "patterns", entry->policy->mx_count);
    add_time(row, "fetched", entry->fetched_utc_ms);
    add_time(row, "expires", sts_entry_expires(entry));
    json_add_bool(row, "expired", now > sts_entry_expires(entry));
    add_alarm(row, entry, now);
}

void entry_json_export(const struct sts_entry *entry, struct json *rows)
{
    struct json *row = json_append_object(rows);
    json_add_string(row, "domain", entry->domain);
    json_add_string(row, "id", entry->id);
    json_add_number(row, "fetched_utc_ms", entry->fetched_utc_ms);
    json_add_number(row, "used_utc_ms", entry->used_utc_ms);
    json_add_text(row, "policy", (struct span){ entry->policy->text, entry->policy->text_len });
}

/* ---- reading back ------------------------------------------------------------------------- */

static int64_t time_of(const struct json *value, const char *key, int64_t now)
{
    int64_t utc_ms = json_number(json_get(value, key));
    if (utc_ms < 0)
        return 0;
    return utc_ms < now ? utc_ms : now;
}

static const char *read_names(const struct json *value, struct sts_entry *out)
{
    if (!domain_normalize(json_text(json_get(value, "domain")), out->domain))
        return "it names no domain";
    if (!sts_id_is_valid(json_text(json_get(value, "id"))))
        return "it has no valid id";
    ensure(span_to_string(json_text(json_get(value, "id")), out->id, sizeof(out->id)));
    return NULL;
}

const char *entry_json_import(const struct json *value, int64_t now, struct sts_entry *out)
{
    memset(out, 0, sizeof(*out));
    const char *fault = read_names(value, out);
    if (fault)
        return fault;
    if (sts_policy_parse(json_text(json_get(value, "policy")), &out->policy) != STS_POLICY_FINE)
        return "its policy file is not valid";
    out->fetched_utc_ms = time_of(value, "fetched_utc_ms", now);
    out->used_utc_ms = time_of(value, "used_utc_ms", now);
    out->refresh_utc_ms = now;
    if (sts_entry_expires(out) >= now)
        return NULL;
    sts_entry_clear(out);
    return "it has lapsed";
}
