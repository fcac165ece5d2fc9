#include "tests/support/test.h"

#include "policy/entry_json.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

#define FETCHED ((int64_t)1700000000 * SECOND_MS)
#define NOW (FETCHED + DAY_MS)

static const char file[] = "version: STSv1\r\nmode: enforce\r\nmx: *.example.net\r\n"
                           "note: \xc3\xbc \"quoted\"\r\nmax_age: 864000\r\n";

static struct sts_entry flawless_entry(void)
{
    struct sts_entry entry = { .domain = "example.com", .id = "A1", .fetched_utc_ms = FETCHED };
    assert_int_equal(sts_policy_parse(span_of(file), &entry.policy), STS_POLICY_FINE);
    entry.used_utc_ms = FETCHED + 1;
    entry.refresh_utc_ms = NOW + HOUR_MS;
    return entry;
}

static bool is_text(const struct json *object, const char *key, const char *text)
{
    return span_equal(json_text(json_get(object, key)), span_of(text));
}

static void all_that_is_known_is_shown(void **state)
{
    struct sts_entry entry = flawless_entry();
    (void)state;
    entry.trouble.gone_utc_ms = NOW;
    entry.policy->mx_cut = 7;
    struct json *object = entry_json(&entry, NOW);
    assert_true(is_text(object, "domain", "example.com"));
    assert_true(is_text(object, "mode", "enforce"));
    assert_true(is_text(object, "id", "A1"));
    assert_true(span_equal(json_text(json_item(json_get(object, "mx"), 0)), SPAN("*.example.net")));
    assert_int_equal(json_number(json_get(object, "mx_left_out")), 7);
    assert_int_equal(json_number(json_get(object, "max_age")), 864000);
    assert_true(is_text(object, "fetched", "2023-11-14T22:13:20Z"));
    assert_true(is_text(object, "expires", "2023-11-24T22:13:20Z"));
    assert_true(is_text(object, "next_refresh", "2023-11-15T23:13:20Z"));
    assert_false(json_bool(json_get(object, "expired")));
    assert_true(is_text(json_item(json_get(object, "alarms"), 0), "alarm", "record gone"));
    json_free(&object);
    sts_entry_clear(&entry);
}

static void a_row_names_the_first_thing_that_is_wrong(void **state)
{
    struct sts_entry entry = flawless_entry();
    struct json *rows = json_new_array();
    (void)state;
    entry_json_row(&entry, FETCHED + 11 * DAY_MS, rows);
    entry.trouble.failing_utc_ms = NOW;
    entry_json_row(&entry, NOW, rows);
    assert_true(is_text(json_item(rows, 0), "alarm", ""));
    assert_true(json_bool(json_get(json_item(rows, 0), "expired")));
    assert_true(is_text(json_item(rows, 1), "alarm", "refresh fails"));
    assert_int_equal(json_number(json_get(json_item(rows, 1), "patterns")), 1);
    json_free(&rows);
    sts_entry_clear(&entry);
}

static void what_is_exported_is_imported_to_the_byte(void **state)
{
    struct sts_entry entry = flawless_entry(), again;
    struct json *rows = json_new_array();
    (void)state;
    entry_json_export(&entry, rows);
    assert_null(entry_json_import(json_item(rows, 0), NOW, &again));
    assert_string_equal(again.domain, "example.com");
    assert_string_equal(again.id, "A1");
    assert_int_equal(again.fetched_utc_ms, FETCHED);
    assert_int_equal(again.used_utc_ms, FETCHED + 1);
    assert_int_equal(again.refresh_utc_ms, NOW); /* whether it holds is soon looked at */
    assert_int_equal(again.policy->mode, STS_ENFORCE);
    assert_memory_equal(again.policy->text, file, sizeof(file) - 1);
    sts_entry_clear(&again);
    sts_entry_clear(&entry);
    json_free(&rows);
}

/* One thing of a flawless export is otherwise. */
static const char *import_with(const char *key, const char *text, int64_t fetched, int64_t now)
{
    struct sts_entry out;
    struct json *object = json_new_object();
    json_add_string(object, "domain", "example.com");
    json_add_string(object, "id", "A1");
    json_add_string(object, "policy", file);
    json_add_number(object, "fetched_utc_ms", fetched);
    if (key)
        json_add_string(object, key, text);
    const char *why = entry_json_import(object, now, &out);
    if (!why)
        assert_true(out.fetched_utc_ms <= now && out.used_utc_ms <= now);
    assert_int_equal(out.policy != NULL, why == NULL);
    sts_entry_clear(&out);
    json_free(&object);
    return why;
}

static void nothing_is_imported_that_a_fetch_would_not_give(void **state)
{
    char id[40];
    (void)state;
    memset(id, 'a', sizeof(id));
    id[33] = '\0';
    assert_null(import_with(NULL, NULL, FETCHED, NOW));
    assert_string_equal(import_with("domain", "[192.0.2.1]", FETCHED, NOW), "it names no domain");
    assert_string_equal(import_with("domain", "", FETCHED, NOW), "it names no domain");
    assert_string_equal(import_with("id", "a-b", FETCHED, NOW), "it has no valid id");
    assert_string_equal(import_with("id", "", FETCHED, NOW), "it has no valid id");
    assert_string_equal(import_with("id", id, FETCHED, NOW), "it has no valid id");
    assert_string_equal(import_with("policy", "version: STSv1\n", FETCHED, NOW),
                        "its policy file is not valid");
    assert_string_equal(import_with(NULL, NULL, FETCHED - 10 * DAY_MS, NOW), "it has lapsed");
    assert_string_equal(import_with(NULL, NULL, -1, NOW), "it has lapsed");
    assert_null(import_with(NULL, NULL, NOW + 400 * DAY_MS, NOW)); /* taken for now */
    assert_null(import_with("domain",
                            "b\xc3\xbc"
                            "cher.example",
                            FETCHED, NOW));
}

static void what_is_no_object_is_no_policy(void **state)
{
    struct sts_entry out;
    struct json *array = json_new_array();
    (void)state;
    assert_string_equal(entry_json_import(array, NOW, &out), "it names no domain");
    json_free(&array);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("all that is known of a policy is shown", all_that_is_known_is_shown),
        STORY("a row names the first thing that is wrong",
              a_row_names_the_first_thing_that_is_wrong),
        STORY("what is exported is imported to the byte", what_is_exported_is_imported_to_the_byte),
        STORY("nothing is imported that a fetch would not give",
              nothing_is_imported_that_a_fetch_would_not_give),
        STORY("what is no object is no policy", what_is_no_object_is_no_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
