/* A day's sessions counted and reported as the tlsrpt role does it, and compared as JSON content.
 */
#include "lib/base/network.h"
#include "lib/mail/tls_result.h"
#include "tests/support/counted.h"
#include "tests/vectors/vectors.h"
#include "tlsrpt/day.h"
#include "tlsrpt/report.h"

#include <stdlib.h>
#include <string.h>

enum { PATTERNS = 64, RESULTS = 16 };

/* A session of a vector as an event; what it points to is lent or its own. */
struct told {
    Ipc__SessionEvent event;
    ProtobufCBinaryData patterns[PATTERNS];
    Ipc__SessionFailure failures[RESULTS];
    Ipc__SessionFailure *pointers[RESULTS];
    struct ip_address sending;
    struct ip_address receiving;
    char *policy_text;
    size_t policy_text_len;
};

static ProtobufCBinaryData bytes_of_text(const json_t *value)
{
    union {
        const char *text;
        uint8_t *data;
    } lent = { text_of(value).data };

    return (ProtobufCBinaryData){ text_of(value).len, lent.data };
}

static ProtobufCBinaryData field_of(const json_t *object, const char *key)
{
    return bytes_of_text(json_object_get(object, key));
}

static ProtobufCBinaryData address_of(const json_t *session, const char *key,
                                      struct ip_address *room)
{
    if (!ip_address_parse(text_of(json_object_get(session, key)), room))
        return (ProtobufCBinaryData){ 0, NULL };
    return (ProtobufCBinaryData){ room->family == ADDRESS_V4 ? 4 : 16, room->bytes };
}

static void tell_policy(struct told *told, const json_t *policy)
{
    static const struct {
        const char *name;
        Ipc__PolicyType type;
    } types[] = { { "no-policy-found", IPC__POLICY_TYPE__NO_POLICY_FOUND },
                  { "sts", IPC__POLICY_TYPE__STS },
                  { "tlsa", IPC__POLICY_TYPE__TLSA } };
    FILE *text = open_memstream(&told->policy_text, &told->policy_text_len);
    json_t *item;
    size_t i;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (span_equal(text_of(json_object_get(policy, "type")), span_of(types[i].name)))
            told->event.policy_type = types[i].type;
    json_array_foreach(json_object_get(policy, "strings"), i, item)
        fprintf(text, "%s\n", json_string_value(item));
    fclose(text);
    told->event.policy_text.data = (uint8_t *)told->policy_text;
    told->event.policy_text.len = told->policy_text_len;
    told->event.policy_domain = field_of(policy, "domain");
    json_array_foreach(json_object_get(policy, "mx_hosts"), i, item) if (i < PATTERNS)
        told->patterns[told->event.n_mx_patterns++] = bytes_of_text(item);
    told->event.mx_patterns = told->patterns;
}

static void tell_results(struct told *told, const json_t *session)
{
    json_t *name;
    size_t i;

    json_array_foreach(json_object_get(session, "result"), i, name)
    {
        Ipc__SessionFailure *failure = &told->failures[i];
        enum tls_result result;
        if (i >= RESULTS || !tls_result_parse(text_of(name), &result))
            continue;
        ipc__session_failure__init(failure);
        failure->result = (uint32_t)result;
        failure->sending_ip = address_of(session, "sending_mta_ip", &told->sending);
        failure->mx_host = field_of(session, "receiving_mx_hostname");
        failure->mx_helo = field_of(session, "receiving_mx_helo");
        failure->receiving_ip = address_of(session, "receiving_ip", &told->receiving);
        failure->additional = field_of(session, "additional_information");
        failure->reason = field_of(session, "failure_reason_code");
        told->pointers[told->event.n_failures++] = failure;
        told->event.failed = true;
    }
    told->event.failures = told->pointers;
}

/* The day of "2026-03-09T10:00:00Z". */
static uint32_t day_in(const json_t *time)
{
    uint32_t day = 0;

    if (!day_parse(span_first(text_of(time), 10), &day))
        fprintf(stderr, "no day in %s\n", json_string_value(time));
    return day;
}

static void count_session(struct counted *counted, const json_t *given, const json_t *session)
{
    struct told told = { .policy_text = NULL };

    ipc__session_event__init(&told.event);
    told.event.domain = field_of(given, "policy_domain");
    tell_policy(&told, json_object_get(session, "policy"));
    tell_results(&told, session);
    if (counts_is_valid(&told.event))
        counted_add(counted, day_in(json_object_get(session, "at")), &told.event,
                    (uint64_t)json_integer_value(json_object_get(session, "count")));
    free(told.policy_text);
}

/* The report as it is written, read back. */
static json_t *report_of(const struct report_facts *facts, const Tlsrpt__DayRecord *record)
{
    struct report_sum sum;
    struct report *report;
    json_t *value = NULL;
    struct buf text;

    buf_init(&text, 1 << 24);
    report = report_begin(facts, REPORT_PLAIN, &text);
    for (size_t i = 0; i < record->n_policies; i++) {
        const Tlsrpt__PolicyCount *policy = record->policies[i];
        report_policy(report, policy);
        for (size_t j = 0; j < policy->n_failures; j++)
            report_failure(report, policy->failures[j]->failure, policy->failures[j]->sessions);
    }
    if (report_end(&report, &sum))
        value = json_loadb(buf_span(&text).data, buf_len(&text), JSON_REJECT_DUPLICATES, NULL);
    buf_clear(&text);
    return value ? value : json_null();
}

json_t *judge_aggregate(const json_t *given)
{
    const json_t *submitter = json_object_get(given, "submitter");
    Tlsrpt__DayRecord *record;
    struct subject subject;
    struct counted counted;
    struct report_facts facts = {
        .organization = text_of(json_object_get(submitter, "organization")),
        .contact = text_of(json_object_get(submitter, "contact")),
        .domain = text_of(json_object_get(given, "policy_domain")),
        .day = day_in(json_object_get(json_object_get(given, "range"), "start")),
        .id = text_of(json_object_get(submitter, "report_id")),
    };
    json_t *session;
    json_t *got;
    size_t i;

    counted_open(&counted);
    json_array_foreach(json_object_get(given, "sessions"), i, session)
        count_session(&counted, given, session);
    subject = subject_of_domain(facts.day, facts.domain);
    record = counted_read(&counted, &subject);
    got = report_of(&facts, record);
    counted_free(&record);
    counted_close(&counted);
    return got;
}

/* --- comparing */

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

static bool same_content(const char *key, const json_t *a, const json_t *b);

static bool same_members(json_t *a, json_t *b)
{
    const char *key;
    json_t *value;

    json_object_foreach(a, key,
                        value) if (!same_content(key, value, json_object_get(b, key))) return false;
    json_object_foreach(b, key,
                        value) if (!same_content(key, value, json_object_get(a, key))) return false;
    return true;
}

/* In any order: each item of one finds one of the other that is not taken. */
static bool same_items(const json_t *a, const json_t *b)
{
    json_t *left = json_copy((json_t *)(uintptr_t)b);
    json_t *item, *other;
    size_t i, j;
    bool same = json_array_size(a) == json_array_size(b);

    json_array_foreach(a, i, item)
    {
        bool found = false;
        json_array_foreach(left, j, other) if (!found && same_content("", item, other))
        {
            json_array_remove(left, j);
            found = true;
            break;
        }
        same = same && found;
    }
    json_decref(left);
    return same;
}

static bool same_content(const char *key, const json_t *a, const json_t *b)
{
    if (is_empty(a) || is_empty(b))
        return is_empty(a) && is_empty(b);
    if (json_is_object(a) && json_is_object(b))
        return same_members((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
    if (json_is_array(a) && json_is_array(b) && strcmp(key, "policy-string") != 0)
        return same_items(a, b);
    return json_equal(a, b);
}

typedef bool visit_fn(const void *ctx, const char *key, const json_t *value);

/* Visits every member of every object; ends with false when a visit does. */
static bool visit(const json_t *value, visit_fn *fn, const void *ctx)
{
    json_t *object = (json_t *)(uintptr_t)value;
    const char *key;
    json_t *inner;
    size_t i;

    json_array_foreach(value, i, inner) if (!visit(inner, fn, ctx)) return false;
    json_object_foreach(object, key,
                        inner) if (!fn(ctx, key, inner) || !visit(inner, fn, ctx)) return false;
    return true;
}

static bool has_its_type(const void *types, const char *key, const json_t *value)
{
    struct span type = text_of(json_object_get(types, key));

    if (span_equal(type, SPAN("number")))
        return json_is_number(value);
    if (span_equal(type, SPAN("string")))
        return json_is_string(value);
    if (span_equal(type, SPAN("array")))
        return json_is_array(value);
    return !span_equal(type, SPAN("object")) || json_is_object(value);
}

static bool is_count(const void *ctx, const char *key, const json_t *value)
{
    (void)ctx;
    (void)key;
    return !json_is_number(value) || (json_is_integer(value) && json_integer_value(value) >= 0);
}

static bool is_not_named(const void *names, const char *key, const json_t *value)
{
    json_t *name;
    size_t i;

    (void)value;
    json_array_foreach(names, i, name) if (strcmp(json_string_value(name), key) == 0) return false;
    return true;
}

static bool is_accepted(const json_t *accepted, const json_t *value)
{
    json_t *item;
    size_t i;

    if (!json_is_array(accepted))
        return json_equal(accepted, value);
    json_array_foreach(accepted, i, item) if (json_equal(item, value)) return true;
    return false;
}

static bool members_are_accepted(const json_t *wanted, const json_t *got)
{
    json_t *object = (json_t *)(uintptr_t)wanted;
    const char *key;
    json_t *accepted;

    json_object_foreach(
        object, key, accepted) if (!is_accepted(accepted, json_object_get(got, key))) return false;
    return true;
}

/* What of `report` is mentioned. */
static bool report_is(const json_t *wanted, const json_t *got)
{
    json_t *object = (json_t *)(uintptr_t)wanted;
    const char *key;
    json_t *value;

    json_object_foreach(
        object, key, value) if (!same_content(key, value, json_object_get(got, key))) return false;
    return true;
}

bool report_agrees(const json_t *expect, const json_t *got)
{
    const json_t *policies = json_object_get(got, "policies");
    const json_t *first = json_array_get(policies, 0);
    const json_t *policy = json_object_get(first, "policy");
    const json_t *wanted;

    if ((wanted = json_object_get(expect, "report")) && !report_is(wanted, got))
        return false;
    if (json_object_get(expect, "policies_is_array") && !json_is_array(policies))
        return false;
    if (json_object_get(expect, "mx_host_is_array") &&
        !json_is_array(json_object_get(policy, "mx-host")))
        return false;
    if ((wanted = json_object_get(expect, "policy_string")) &&
        !json_equal(wanted, json_object_get(policy, "policy-string")))
        return false;
    if ((wanted = json_object_get(expect, "summary")) &&
        !members_are_accepted(wanted, json_object_get(first, "summary")))
        return false;
    if ((wanted = json_object_get(expect, "date_range")) &&
        !members_are_accepted(wanted, json_object_get(got, "date-range")))
        return false;
    if ((wanted = json_object_get(expect, "json_types")) && !visit(got, has_its_type, wanted))
        return false;
    if ((wanted = json_object_get(expect, "absent_fields")) && !visit(got, is_not_named, wanted))
        return false;
    return json_is_object(got) && visit(got, is_count, NULL);
}
