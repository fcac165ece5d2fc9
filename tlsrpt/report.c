#include "tlsrpt/report.h"

#include "lib/base/network.h"
#include "lib/mail/tls_result.h"
#include "tlsrpt/day.h"

#include <stdio.h>
#include <string.h>

/* RFC 8460 s.4.4 */
static const char *const type_names[] = {
    [IPC__POLICY_TYPE__NO_POLICY_FOUND] = "no-policy-found",
    [IPC__POLICY_TYPE__STS] = "sts",
    [IPC__POLICY_TYPE__TLSA] = "tlsa",
};

static struct span span_of_field(ProtobufCBinaryData bytes)
{
    return (struct span){ (const char *)bytes.data, bytes.len };
}

/* JSON numbers are exact up to 2^53 (RFC 7493 s.2.2). */
static int64_t number_of(uint64_t count)
{
    const uint64_t most = UINT64_C(1) << 53;

    return (int64_t)(count < most ? count : most);
}

static void add_filled(struct json *object, const char *key, ProtobufCBinaryData value)
{
    if (value.len > 0)
        json_add_text(object, key, span_of_field(value));
}

/* As RFC 5952 writes it, without brackets. */
static void add_address(struct json *object, const char *key, ProtobufCBinaryData bytes)
{
    struct ip_address address = { .family = bytes.len == 4 ? ADDRESS_V4 : ADDRESS_V6 };
    char text[NETWORK_TEXT_SIZE];

    if (bytes.len != 4 && bytes.len != 16)
        return;
    memcpy(address.bytes, bytes.data, bytes.len);
    ip_address_format(&address, text);
    json_add_string(object, key, text);
}

/* One string a line of the policy, as published (RFC 8460 s.4.5). */
static void add_policy_string(struct json *policy, struct span text)
{
    struct json *lines = json_add_array(policy, "policy-string");
    struct span line;

    while (span_cut(&text, '\n', &line)) {
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        if (line.len > 0 || text.len > 0) /* nothing stands behind the last line's end */
            json_append_text(lines, line);
    }
}

static void add_policy(struct json *entry, const Tlsrpt__PolicyCount *count)
{
    struct json *policy = json_add_object(entry, "policy");
    struct json *patterns;

    json_add_string(policy, "policy-type", type_names[count->type]);
    if (count->text.len > 0)
        add_policy_string(policy, span_of_field(count->text));
    json_add_text(policy, "policy-domain", span_of_field(count->domain));
    if (count->n_mx_patterns == 0)
        return;
    patterns = json_add_array(policy, "mx-host"); /* an array: erratum 6241 */
    for (size_t i = 0; i < count->n_mx_patterns; i++)
        json_append_text(patterns, span_of_field(count->mx_patterns[i]));
}

static void add_summary(struct json *entry, const Tlsrpt__PolicyCount *count)
{
    struct json *summary = json_add_object(entry, "summary");

    json_add_number(summary, "total-successful-session-count", number_of(count->succeeded));
    json_add_number(summary, "total-failure-session-count", number_of(count->failed));
}

static void append_failure(struct json *details, const Tlsrpt__FailureCount *count)
{
    const Ipc__SessionFailure *failure = count->failure;
    struct json *detail = json_append_object(details);

    json_add_string(detail, "result-type", tls_result_name((enum tls_result)failure->result));
    add_address(detail, "sending-mta-ip", failure->sending_ip);
    add_filled(detail, "receiving-mx-hostname", failure->mx_host);
    add_filled(detail, "receiving-mx-helo", failure->mx_helo);
    add_address(detail, "receiving-ip", failure->receiving_ip);
    json_add_number(detail, "failed-session-count", number_of(count->sessions));
    add_filled(detail, "additional-information", failure->additional);
    add_filled(detail, "failure-reason-code", failure->reason);
}

static void append_policy(struct json *policies, const Tlsrpt__PolicyCount *count)
{
    struct json *entry = json_append_object(policies);
    struct json *details;

    add_policy(entry, count);
    add_summary(entry, count);
    if (count->n_failures == 0)
        return;
    details = json_add_array(entry, "failure-details");
    for (size_t i = 0; i < count->n_failures; i++)
        append_failure(details, count->failures[i]);
}

static void add_date_range(struct json *report, uint32_t day)
{
    struct json *range = json_add_object(report, "date-range");
    char text[CLOCK_TEXT_SIZE];

    clock_format_rfc3339(day_begins(day), text);
    json_add_string(range, "start-datetime", text);
    clock_format_rfc3339(day_begins(day + 1) - SECOND_MS, text);
    json_add_string(range, "end-datetime", text);
}

/* "2026-01-30.example.net@relay.example" */
static void add_report_id(struct json *report, const struct report_facts *facts)
{
    struct span submitter = span_from(facts->contact, span_find(facts->contact, '@') + 1);
    char day[CLOCK_TEXT_SIZE];
    char id[640];

    day_format(facts->day, day);
    snprintf(id, sizeof(id), "%s." SPAN_FMT "@" SPAN_FMT, day, SPAN_ARG(facts->domain),
             SPAN_ARG(submitter));
    json_add_string(report, "report-id", id);
}

struct json *report_build(const struct report_facts *facts, const Tlsrpt__DayRecord *day)
{
    struct json *report = json_new_object();
    struct json *policies;

    json_add_text(report, "organization-name", facts->organization);
    add_date_range(report, facts->day);
    json_add_text(report, "contact-info", facts->contact);
    add_report_id(report, facts);
    policies = json_add_array(report, "policies");
    for (size_t i = 0; i < day->n_policies; i++)
        append_policy(policies, day->policies[i]);
    return report;
}
