#include "tlsrpt/report.h"

#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "lib/base/network.h"
#include "lib/io/gzip.h"
#include "lib/ipc/channel.h"
#include "tlsrpt/day.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_MAX = 8 * 1024 * 1024 }; /* one policy with its text, or one failure */

struct report {
    enum report_form form;
    struct buf *out;
    struct gzip *gzip; /* NULL: plain */
    struct buf piece;
    struct report_sum sum;
    size_t written;   /* bytes before packing */
    bool in_failures; /* the array of the policy's failures has been begun */
    bool broken;      /* something did not fit */
};

/* RFC 8460 s.4.4 */
static const char *const type_names[] = {
    [IPC__POLICY_TYPE__NO_POLICY_FOUND] = "no-policy-found",
    [IPC__POLICY_TYPE__STS] = "sts",
    [IPC__POLICY_TYPE__TLSA] = "tlsa",
};

/* JSON numbers are exact below 2^53 (RFC 7493 s.2.2). */
static int64_t number_of(uint64_t count)
{
    const uint64_t most = (UINT64_C(1) << 53) - 1;

    return (int64_t)(count < most ? count : most);
}

static void add_filled(struct json *object, const char *key, ProtobufCBinaryData value)
{
    if (value.len > 0)
        json_add_text(object, key, span_of_bytes(value));
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

/* What of it is as long as a stranger likes stands there where there is room for it. */
static void add_policy(struct json *entry, const Tlsrpt__PolicyCount *count, bool has_room)
{
    struct json *policy = json_add_object(entry, "policy");
    struct json *patterns;

    json_add_string(policy, "policy-type", type_names[count->type]);
    if (count->text.len > 0 && has_room)
        add_policy_string(policy, span_of_bytes(count->text));
    json_add_text(policy, "policy-domain", span_of_bytes(count->domain));
    if (count->n_mx_patterns == 0 || !has_room)
        return;
    patterns = json_add_array(policy, "mx-host"); /* an array: erratum 6241 */
    for (size_t i = 0; i < count->n_mx_patterns; i++)
        json_append_text(patterns, span_of_bytes(count->mx_patterns[i]));
}

static void add_summary(struct json *entry, const Tlsrpt__PolicyCount *count)
{
    struct json *summary = json_add_object(entry, "summary");

    json_add_number(summary, "total-successful-session-count", number_of(count->succeeded));
    json_add_number(summary, "total-failure-session-count", number_of(count->failed));
}

static struct json *failure_object(const Ipc__SessionFailure *failure, uint64_t sessions)
{
    struct json *detail = json_new_object();

    json_add_string(detail, "result-type", tls_result_name((enum tls_result)failure->result));
    add_address(detail, "sending-mta-ip", failure->sending_ip);
    add_filled(detail, "receiving-mx-hostname", failure->mx_host);
    add_filled(detail, "receiving-mx-helo", failure->mx_helo);
    add_address(detail, "receiving-ip", failure->receiving_ip);
    json_add_number(detail, "failed-session-count", number_of(sessions));
    add_filled(detail, "additional-information", failure->additional);
    add_filled(detail, "failure-reason-code", failure->reason);
    return detail;
}

/* ---- writing piece by piece ----------------------------------------------------------------- */

static void emit(struct report *report, struct span bytes)
{
    bool ok = report->gzip ? gzip_write(report->gzip, bytes) : buf_append(report->out, bytes);

    report->written += bytes.len;
    report->broken = report->broken || !ok;
}

/* Writes an object; open: without its last brace, for more to follow. */
static void emit_object(struct report *report, struct json **object, bool open)
{
    buf_reset(&report->piece);
    if (!json_write(*object, JSON_ON_ONE_LINE, &report->piece))
        report->broken = true;
    emit(report, span_first(buf_span(&report->piece), buf_len(&report->piece) - (open ? 1 : 0)));
    json_free(object);
}

static void add_date_range(struct json *head, uint32_t day)
{
    struct json *range = json_add_object(head, "date-range");
    char text[CLOCK_TEXT_SIZE];

    clock_format_rfc3339(day_begins(day), text);
    json_add_string(range, "start-datetime", text);
    clock_format_rfc3339(day_begins(day + 1) - SECOND_MS, text);
    json_add_string(range, "end-datetime", text);
}

static void emit_head(struct report *report, const struct report_facts *facts)
{
    struct json *head = json_new_object();

    json_add_text(head, "organization-name", facts->organization);
    add_date_range(head, facts->day);
    json_add_text(head, "contact-info", facts->contact);
    json_add_text(head, "report-id", facts->id);
    emit_object(report, &head, true);
    emit(report, SPAN(",\"policies\":["));
}

struct report *report_begin(const struct report_facts *facts, enum report_form form,
                            struct buf *out)
{
    struct report *report = memory_new(sizeof(*report));

    report->out = out;
    report->gzip = form == REPORT_PACKED ? gzip_new(out) : NULL;
    buf_init(&report->piece, PIECE_MAX);
    emit_head(report, facts);
    return report;
}

static void end_failures(struct report *report)
{
    if (report->in_failures)
        emit(report, SPAN("\n]"));
    if (report->sum.policies > 0)
        emit(report, SPAN("}"));
    report->in_failures = false;
}

/* The totals say all sessions; policies' texts and details stand there while there is room. */
static bool has_room(const struct report *report)
{
    return buf_len(report->out) + REPORT_RESERVE <= report->out->cap &&
           report->written < REPORT_JSON_MAX;
}

void report_policy(struct report *report, const Tlsrpt__PolicyCount *policy)
{
    struct json *entry = json_new_object();

    end_failures(report);
    emit(report, report->sum.policies > 0 ? SPAN(",\n") : SPAN("\n"));
    add_policy(entry, policy, has_room(report));
    add_summary(entry, policy);
    emit_object(report, &entry, true);
    report->sum.policies++;
    report->sum.succeeded += policy->succeeded;
    report->sum.failed += policy->failed;
}

void report_failure(struct report *report, const Ipc__SessionFailure *failure, uint64_t sessions)
{
    struct json *detail;

    report->sum.details++;
    report->sum.results[failure->result] += sessions;
    if (!has_room(report)) {
        report->sum.left_out++;
        return;
    }
    emit(report, report->in_failures ? SPAN(",\n") : SPAN(",\"failure-details\":[\n"));
    report->in_failures = true;
    detail = failure_object(failure, sessions);
    emit_object(report, &detail, false);
}

bool report_end(struct report **report, struct report_sum *out_sum)
{
    struct report *r = *report;
    bool packed;

    end_failures(r);
    emit(r, SPAN("]}\n"));
    packed = !r->gzip || gzip_end(&r->gzip);
    *out_sum = r->sum;
    bool whole = packed && !r->broken;
    buf_clear(&r->piece);
    free(r);
    *report = NULL;
    return whole;
}

/* ---- names ---------------------------------------------------------------------------------- */

/* No domain begins with a hyphen: the two never meet. */
void report_make_id(uint32_t day, struct span domain, bool of_host, struct span hostname,
                    char id[REPORT_ID_SIZE])
{
    char text[CLOCK_TEXT_SIZE];

    day_format(day, text);
    snprintf(id, REPORT_ID_SIZE, "%s%s" SPAN_FMT "@" SPAN_FMT, text, of_host ? "-host." : ".",
             SPAN_ARG(span_first(domain, DOMAIN_MAX)), SPAN_ARG(span_first(hostname, DOMAIN_MAX)));
}

const char *report_media_type(enum report_form form)
{
    return form == REPORT_PACKED ? "application/tlsrpt+gzip" : "application/tlsrpt+json";
}

struct span report_submitter(const struct report_facts *facts)
{
    size_t start = facts->contact.len;

    while (start > 0 && facts->contact.data[start - 1] != '@')
        start--;
    return span_from(facts->contact, start);
}
