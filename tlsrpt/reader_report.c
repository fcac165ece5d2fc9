#include "tlsrpt/reader_report.h"

#include "lib/base/clock.h"
#include "lib/base/network.h"
#include "lib/mail/tls_result.h"
#include "tlsrpt/reader_dates.h"
#include "tlsrpt/reader_fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- one value ------------------------------------------------------------------------------- */

/* Its beginning, where it ends between two characters. */
static struct span cut_text(struct span text, struct reader_notes *notes)
{
    size_t len = READER_TEXT_MAX;

    if (text.len <= READER_TEXT_MAX)
        return text;
    reader_note(notes, NOTE_TEXT_CUT);
    while (len > 0 && ((unsigned char)text.data[len] & 0xc0) == 0x80)
        len--;
    return span_first(text, len);
}

enum { NUMBER_SIZE = 24 };

/* The text of a value; a number's stands in `room`.  False for none, which was noted. */
static bool text_of(const struct json *value, struct reader_notes *notes, char room[NUMBER_SIZE],
                    struct span *out)
{
    int64_t number;

    if (json_kind_of(value) == JSON_KIND_TEXT) {
        *out = cut_text(json_text(value), notes);
        return true;
    }
    if (json_to_number(value, &number)) {
        reader_note(notes, NOTE_NUMBER_FOR_TEXT);
        snprintf(room, NUMBER_SIZE, "%" PRId64, number);
        *out = span_of(room);
        return true;
    }
    if (json_kind_of(value) != JSON_KIND_NULL)
        reader_note(notes, NOTE_KIND);
    return false;
}

/* Adds a text, if there is one; gives whether there was. */
static bool add_text(struct json *to, const char *key, const struct json *value,
                     struct reader_notes *notes)
{
    char room[NUMBER_SIZE];
    struct span text;

    if (!value || !text_of(value, notes, room, &text))
        return false;
    json_add_text(to, key, text);
    return true;
}

static void add_required(struct json *to, const char *key, const struct json *value,
                         struct reader_notes *notes)
{
    if (add_text(to, key, value, notes))
        return;
    reader_note(notes, NOTE_KEY_MISSING);
    json_add_string(to, key, "");
}

static int64_t count_in_text(struct span text, struct reader_notes *notes)
{
    uint64_t count;

    if (!span_to_number(span_trim(text), UINT64_C(1) << 53, &count)) {
        reader_note(notes, NOTE_COUNT_WRONG);
        return 0;
    }
    reader_note(notes, NOTE_COUNT_AS_TEXT);
    return (int64_t)count;
}

/* At most 2^53, so that sums of a report's worth of them stay numbers. */
static int64_t count_of(const struct json *value, struct reader_notes *notes)
{
    int64_t count;

    if (!value) {
        reader_note(notes, NOTE_KEY_MISSING);
        return 0;
    }
    if (json_kind_of(value) == JSON_KIND_TEXT)
        return count_in_text(json_text(value), notes);
    if (json_to_number(value, &count) && count >= 0 && count <= INT64_C(1) << 53)
        return count;
    reader_note(notes, NOTE_COUNT_WRONG);
    return 0;
}

/* --- lists ----------------------------------------------------------------------------------- */

static size_t list_count(const struct json *value, struct reader_notes *notes)
{
    if (!value || json_kind_of(value) == JSON_KIND_NULL)
        return 0;
    if (json_kind_of(value) == JSON_KIND_ARRAY)
        return json_count(value);
    if (json_kind_of(value) == JSON_KIND_OBJECT) {
        reader_note(notes, NOTE_OBJECT_FOR_LIST);
        return 1;
    }
    reader_note(notes, NOTE_KIND);
    return 0;
}

static const struct json *list_item(const struct json *value, size_t at)
{
    return json_kind_of(value) == JSON_KIND_ARRAY ? json_item(value, at) : value;
}

/* The lines of a text, each as its own; nothing stands behind the last one's end. */
static void append_lines(struct json *list, struct span text, struct reader_notes *notes)
{
    size_t room = notes->times[NOTE_LINES_IN_ONE_TEXT] < READER_SPLIT_MAX ? READER_LINES_MAX : 0;
    struct span line;

    reader_note(notes, NOTE_LINES_IN_ONE_TEXT);
    for (; room > 0 && span_cut(&text, '\n', &line); room--) {
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (line.len > 0 || text.len > 0)
            json_append_text(list, cut_text(line, notes));
    }
    if (text.len > 0)
        reader_note(notes, NOTE_LINES_LEFT_OUT);
}

static void append_text(struct json *list, const struct json *value, struct reader_notes *notes)
{
    char room[NUMBER_SIZE];
    struct span text;

    if (json_kind_of(value) == JSON_KIND_TEXT &&
        span_find(json_text(value), '\n') < json_text(value).len)
        append_lines(list, json_text(value), notes);
    else if (text_of(value, notes, room, &text))
        json_append_text(list, text);
}

static void add_texts(struct json *to, const char *key, const struct json *value,
                      struct reader_notes *notes)
{
    struct json *list;

    if (!value || json_kind_of(value) == JSON_KIND_NULL)
        return;
    list = json_add_array(to, key);
    if (json_kind_of(value) != JSON_KIND_ARRAY) {
        reader_note(notes, NOTE_TEXT_FOR_LIST);
        append_text(list, value, notes);
        return;
    }
    for (size_t i = 0; i < json_count(value); i++)
        append_text(list, json_item(value, i), notes);
}

/* --- words and addresses --------------------------------------------------------------------- */

static bool is_policy_type(struct span word)
{
    return span_equal(word, SPAN("sts")) || span_equal(word, SPAN("tlsa")) ||
           span_equal(word, SPAN("no-policy-found"));
}

static bool is_result_type(struct span word)
{
    enum tls_result result;

    return tls_result_parse(word, &result) && result != TLS_RESULT_SUCCESS;
}

/* A word of RFC 8460 as that spells it; any other one as it is. */
static void add_word(struct json *to, const char *key, const struct json *value,
                     bool is_known(struct span word), enum reader_note if_unknown,
                     struct reader_notes *notes)
{
    char number[NUMBER_SIZE], room[READER_KEY_SIZE];
    struct span word = SPAN("");
    struct span plain;

    if (!value || !text_of(value, notes, number, &word))
        reader_note(notes, NOTE_KEY_MISSING);
    plain = reader_plain_word(word, room);
    if (is_known(plain) && !span_equal(plain, word))
        reader_note(notes, NOTE_WORD_SPELLING);
    if (!is_known(plain) && word.len > 0)
        reader_note(notes, if_unknown);
    json_add_text(to, key, is_known(plain) ? plain : word);
}

/* Without brackets and "IPv6:", which SMTP has around it. */
static struct span bare_address(struct span text)
{
    text = span_trim(text);
    if (text.len > 1 && text.data[0] == '[' && text.data[text.len - 1] == ']')
        text = span_first(span_from(text, 1), text.len - 2);
    return span_starts_with_nocase(text, SPAN("IPv6:")) ? span_from(text, 5) : text;
}

static void add_address(struct json *to, const char *key, const struct json *value,
                        struct reader_notes *notes)
{
    char number[NUMBER_SIZE], text[NETWORK_TEXT_SIZE];
    struct ip_address address;
    struct span written;

    if (!value || !text_of(value, notes, number, &written) || written.len == 0)
        return;
    if (!ip_address_parse(bare_address(written), &address)) {
        reader_note(notes, NOTE_NO_ADDRESS);
        json_add_text(to, key, written);
        return;
    }
    ip_address_format(&address, text);
    if (!span_equal_nocase(span_of(text), written))
        reader_note(notes, NOTE_ADDRESS_FORM);
    json_add_string(to, key, text);
}

/* --- the period ------------------------------------------------------------------------------ */

static bool add_date(struct json *range, const char *key, const struct json *value,
                     struct reader_notes *notes, int64_t *out_utc_ms)
{
    static const enum reader_note note_of[] = { [READER_DATE_WITHOUT_ZONE] = NOTE_DATE_WITHOUT_ZONE,
                                                [READER_DATE_FORM] = NOTE_DATE_FORM,
                                                [READER_DATE_UNKNOWN] = NOTE_DATE_UNKNOWN };
    char room[NUMBER_SIZE], text[CLOCK_TEXT_SIZE];
    struct span written = SPAN("");
    enum reader_date verdict;

    if (!value || !text_of(value, notes, room, &written)) {
        reader_note(notes, NOTE_KEY_MISSING);
        return false;
    }
    verdict = reader_date_read(written, out_utc_ms);
    if (verdict != READER_DATE_FINE)
        reader_note(notes, note_of[verdict]);
    if (verdict == READER_DATE_UNKNOWN) {
        json_add_text(range, key, written);
        return false;
    }
    clock_format_rfc3339(*out_utc_ms, text);
    json_add_string(range, key, text);
    return true;
}

/* Its end is the last second, or the next day's first moment (RPT-54). */
static bool is_a_day(int64_t begin_ms, int64_t end_ms)
{
    return begin_ms % DAY_MS == 0 &&
           (end_ms == begin_ms + DAY_MS || end_ms == begin_ms + DAY_MS - SECOND_MS);
}

static void add_range(struct json *report, const struct json *value, struct reader_notes *notes)
{
    const struct json *found[RANGE_KEYS];
    struct json *range = json_add_object(report, "date-range");
    int64_t begin_ms, end_ms;
    bool has_begin, has_end;

    reader_fields_pick(&reader_range_fields, value, notes, found);
    has_begin = add_date(range, "start-datetime", found[RANGE_START], notes, &begin_ms);
    has_end = add_date(range, "end-datetime", found[RANGE_END], notes, &end_ms);
    if (has_begin && has_end && !is_a_day(begin_ms, end_ms))
        reader_note(notes, NOTE_NOT_A_DAY);
}

/* --- policies -------------------------------------------------------------------------------- */

/* What was found of a policy. */
static void add_policy(struct json *entry, const struct json *const found[POLICY_KEYS],
                       struct reader_notes *notes)
{
    struct json *policy = json_add_object(entry, "policy");

    add_word(policy, "policy-type", found[POLICY_TYPE], is_policy_type, NOTE_TYPE_UNKNOWN, notes);
    add_texts(policy, "policy-string", found[POLICY_STRING], notes);
    add_required(policy, "policy-domain", found[POLICY_DOMAIN], notes);
    add_texts(policy, "mx-host", found[POLICY_MX_HOST], notes);
}

static void find_policy(struct json *entry, const struct json *const found[ENTRY_KEYS],
                        struct reader_notes *notes)
{
    const struct json *within[POLICY_KEYS];
    bool is_flat = !found[ENTRY_POLICY] && found[ENTRY_FLAT_POLICY + POLICY_TYPE];

    if (is_flat) {
        reader_note(notes, NOTE_POLICY_FLAT);
        add_policy(entry, found + ENTRY_FLAT_POLICY, notes);
        return;
    }
    reader_fields_pick(&reader_policy_fields, found[ENTRY_POLICY], notes, within);
    add_policy(entry, within, notes);
}

static int64_t add_summary(struct json *entry, const struct json *value, struct reader_notes *notes)
{
    const struct json *found[SUMMARY_KEYS];
    struct json *summary = json_add_object(entry, "summary");
    int64_t failed;

    reader_fields_pick(&reader_summary_fields, value, notes, found);
    json_add_number(summary, "total-successful-session-count",
                    count_of(found[SUMMARY_SUCCEEDED], notes));
    failed = count_of(found[SUMMARY_FAILED], notes);
    json_add_number(summary, "total-failure-session-count", failed);
    return failed;
}

static void append_failure(struct json *details, const struct json *value,
                           struct reader_notes *notes)
{
    const struct json *found[FAILURE_KEYS];
    struct json *failure;

    if (json_kind_of(value) != JSON_KIND_OBJECT) {
        reader_note(notes, NOTE_KIND);
        return;
    }
    failure = json_append_object(details);
    reader_fields_pick(&reader_failure_fields, value, notes, found);
    add_word(failure, "result-type", found[FAILURE_RESULT], is_result_type, NOTE_RESULT_UNKNOWN,
             notes);
    add_address(failure, "sending-mta-ip", found[FAILURE_SENDING_IP], notes);
    add_text(failure, "receiving-mx-hostname", found[FAILURE_MX_HOST], notes);
    add_text(failure, "receiving-mx-helo", found[FAILURE_MX_HELO], notes);
    add_address(failure, "receiving-ip", found[FAILURE_RECEIVING_IP], notes);
    json_add_number(failure, "failed-session-count", count_of(found[FAILURE_SESSIONS], notes));
    add_text(failure, "additional-information", found[FAILURE_ADDITIONAL], notes);
    add_text(failure, "failure-reason-code", found[FAILURE_REASON], notes);
}

/* As many of `count` as there is room for. */
static size_t bounded(size_t count, size_t room, enum reader_note if_more,
                      struct reader_notes *notes)
{
    if (count <= room)
        return count;
    reader_note(notes, if_more);
    return room;
}

static void add_details(struct json *entry, const struct json *value, int64_t failed, size_t *room,
                        struct reader_notes *notes)
{
    struct json *details = json_add_array(entry, "failure-details");
    size_t count = bounded(list_count(value, notes), *room, NOTE_FAILURES_LEFT_OUT, notes);

    *room -= count;
    for (size_t i = 0; i < count; i++)
        append_failure(details, list_item(value, i), notes);
    if ((failed > 0) != (json_count(details) > 0))
        reader_note(notes, NOTE_SUM);
}

/* `failures`: how many more details there is room for. */
static void append_policy(struct json *policies, const struct json *value, size_t *failures,
                          struct reader_notes *notes)
{
    const struct json *found[ENTRY_KEYS];
    struct json *entry;
    int64_t failed;

    if (json_kind_of(value) != JSON_KIND_OBJECT) {
        reader_note(notes, NOTE_KIND);
        return;
    }
    entry = json_append_object(policies);
    reader_fields_pick(&reader_entry_fields, value, notes, found);
    find_policy(entry, found, notes);
    failed = add_summary(entry, found[ENTRY_SUMMARY], notes);
    add_details(entry, found[ENTRY_DETAILS], failed, failures, notes);
}

static void add_policies(struct json *report, const struct json *value, struct reader_notes *notes)
{
    struct json *policies = json_add_array(report, "policies");
    size_t failures = READER_FAILURES_MAX;
    size_t count =
        bounded(list_count(value, notes), READER_POLICIES_MAX, NOTE_POLICIES_LEFT_OUT, notes);

    for (size_t i = 0; i < count; i++)
        append_policy(policies, list_item(value, i), &failures, notes);
    if (json_count(policies) == 0)
        reader_note(notes, NOTE_NO_POLICIES);
}

/* --- all of it ------------------------------------------------------------------------------- */

static bool says_anything(const struct json *found[REPORT_KEYS])
{
    for (size_t i = 0; i < REPORT_KEYS; i++)
        if (found[i])
            return true;
    return false;
}

struct error *reader_report_normalise(const struct json *raw, struct reader_notes *notes,
                                      struct json **out)
{
    const struct json *found[REPORT_KEYS];

    if (json_kind_of(raw) == JSON_KIND_ARRAY && json_count(raw) > 0) {
        reader_note(notes, NOTE_LIST_AROUND);
        raw = json_item(raw, 0);
    }
    reader_fields_pick(&reader_report_fields, raw, notes, found);
    if (!says_anything(found))
        return error_new(ERROR_PERMANENT, "this is JSON, but no TLS report");
    *out = json_new_object();
    add_required(*out, "organization-name", found[REPORT_ORGANIZATION], notes);
    add_range(*out, found[REPORT_RANGE], notes);
    add_required(*out, "contact-info", found[REPORT_CONTACT], notes);
    add_required(*out, "report-id", found[REPORT_ID], notes);
    add_policies(*out, found[REPORT_POLICIES], notes);
    return NULL;
}
