#include "tlsrpt/reader_fields.h"

#define FIELDS(keys)                                                                               \
    {                                                                                              \
        keys, sizeof(keys) / sizeof((keys)[0])                                                     \
    }

static const struct reader_key report_keys[] = {
    [REPORT_ORGANIZATION] = { "organization-name", "organisation-name" },
    [REPORT_RANGE] = { "date-range", NULL },
    [REPORT_CONTACT] = { "contact-info", "email-address" },
    [REPORT_ID] = { "report-id", NULL },
    [REPORT_POLICIES] = { "policies", "policy" },
};
static const struct reader_key range_keys[] = {
    [RANGE_START] = { "start-datetime", "begin" },
    [RANGE_END] = { "end-datetime", "end" },
};
static const struct reader_key policy_keys[] = {
    [POLICY_TYPE] = { "policy-type", NULL },
    [POLICY_STRING] = { "policy-string", NULL },
    [POLICY_DOMAIN] = { "policy-domain", NULL },
    [POLICY_MX_HOST] = { "mx-host", "mx-host-pattern" },
};
static const struct reader_key entry_keys[] = {
    [ENTRY_POLICY] = { "policy", NULL },
    [ENTRY_SUMMARY] = { "summary", NULL },
    [ENTRY_DETAILS] = { "failure-details", "failure-detail" },
    [ENTRY_FLAT_POLICY + POLICY_TYPE] = { "policy-type", NULL },
    [ENTRY_FLAT_POLICY + POLICY_STRING] = { "policy-string", NULL },
    [ENTRY_FLAT_POLICY + POLICY_DOMAIN] = { "policy-domain", NULL },
    [ENTRY_FLAT_POLICY + POLICY_MX_HOST] = { "mx-host", "mx-host-pattern" },
};
static const struct reader_key summary_keys[] = {
    [SUMMARY_SUCCEEDED] = { "total-successful-session-count", "total-success-session-count" },
    [SUMMARY_FAILED] = { "total-failure-session-count", "total-failed-session-count" },
};
static const struct reader_key failure_keys[] = {
    [FAILURE_RESULT] = { "result-type", NULL },
    [FAILURE_SENDING_IP] = { "sending-mta-ip", "sending-ip" },
    [FAILURE_MX_HOST] = { "receiving-mx-hostname", "receiving-mx-host" },
    [FAILURE_MX_HELO] = { "receiving-mx-helo", "receiving-helo" },
    [FAILURE_RECEIVING_IP] = { "receiving-ip", "receiving-mx-ip" },
    [FAILURE_SESSIONS] = { "failed-session-count", "failure-session-count" },
    [FAILURE_ADDITIONAL] = { "additional-information", "additional-info-uri" },
    [FAILURE_REASON] = { "failure-reason-code", "failure-error-code" },
};

const struct reader_fields reader_report_fields = FIELDS(report_keys);
const struct reader_fields reader_range_fields = FIELDS(range_keys);
const struct reader_fields reader_entry_fields = FIELDS(entry_keys);
const struct reader_fields reader_policy_fields = FIELDS(policy_keys);
const struct reader_fields reader_summary_fields = FIELDS(summary_keys);
const struct reader_fields reader_failure_fields = FIELDS(failure_keys);

struct span reader_plain_word(struct span word, char room[READER_KEY_SIZE])
{
    word = span_first(span_trim(word), READER_KEY_SIZE);
    for (size_t i = 0; i < word.len; i++)
        room[i] = word.data[i] == '_' ? '-' : ascii_lower(word.data[i]);
    return (struct span){ room, word.len };
}

/* The place of a key that is spelled as it should be; `count` for none. */
static size_t place_of(const struct reader_fields *fields, struct span key)
{
    size_t at = 0;

    while (at < fields->count && !span_equal(key, span_of(fields->keys[at].name)))
        at++;
    return at;
}

static size_t place_of_other(const struct reader_fields *fields, struct span key)
{
    char room[READER_KEY_SIZE];
    struct span plain = reader_plain_word(key, room);

    for (size_t i = 0; i < fields->count; i++)
        if (span_equal(plain, span_of(fields->keys[i].name)) ||
            (fields->keys[i].other && span_equal(plain, span_of(fields->keys[i].other))))
            return i;
    return fields->count;
}

/* Takes a member under another name, unless the right one is there. */
static void take_other(const struct reader_fields *fields, struct span key,
                       const struct json *value, struct reader_notes *notes,
                       const struct json **found)
{
    size_t at = place_of_other(fields, key);

    reader_note(notes, at < fields->count ? NOTE_KEY_SPELLING : NOTE_KEY_UNKNOWN);
    if (at < fields->count && !found[at])
        found[at] = value;
}

void reader_fields_pick(const struct reader_fields *fields, const struct json *object,
                        struct reader_notes *notes, const struct json **out_found)
{
    const struct json *value;
    void *cursor = NULL;
    const char *key;

    for (size_t i = 0; i < fields->count; i++)
        out_found[i] = object ? json_get(object, fields->keys[i].name) : NULL;
    if (!object)
        return;
    while ((value = json_next(object, &cursor, &key)))
        if (place_of(fields, span_of(key)) == fields->count)
            take_other(fields, span_of(key), value, notes, out_found);
}
