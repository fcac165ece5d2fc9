#include "tlsrpt/datagram.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/base/network.h"
#include "lib/ipc/channel.h"
#include "lib/mail/domain.h"
#include "lib/mail/tls_result.h"
#include "tlsrpt/counts.h"

/* Numbers on the wire (RPT-102, RPT-104). */
enum { WIRE_TLSA = 1, WIRE_STS = 2, WIRE_NO_POLICY = 9 };
enum { WIRE_SUCCESS = 0, WIRE_FAILURE = 1, WIRE_UNFINISHED = 901 };
enum { WIRE_STARTTLS_FIRST = 201, WIRE_POLICY_FIRST = 301 };

static const enum tls_result starttls_results[] = {
    TLS_RESULT_STARTTLS_NOT_SUPPORTED,  TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
    TLS_RESULT_CERTIFICATE_NOT_TRUSTED, TLS_RESULT_CERTIFICATE_EXPIRED,
    TLS_RESULT_VALIDATION_FAILURE,
};
static const enum tls_result policy_results[] = {
    TLS_RESULT_STS_POLICY_FETCH_ERROR, TLS_RESULT_STS_POLICY_INVALID, TLS_RESULT_STS_WEBPKI_INVALID,
    TLS_RESULT_TLSA_INVALID,           TLS_RESULT_DNSSEC_INVALID,     TLS_RESULT_DANE_REQUIRED,
};

#define COUNT(array) ((int64_t)(sizeof(array) / sizeof((array)[0])))

struct failure {
    Ipc__SessionFailure message;
    struct ip_address sending, receiving;
};

struct policy {
    Ipc__SessionEvent event;
    char domain[DOMAIN_MAX + 1];
    struct buf text;
    ProtobufCBinaryData *patterns;
    struct failure failures[COUNTS_FAILURES_MAX];
    Ipc__SessionFailure *failure_at[COUNTS_FAILURES_MAX];
    bool is_unfinished;
};

struct datagram {
    struct json *json; /* texts point into it */
    char domain[DOMAIN_MAX + 1];
    struct span record;
    size_t count;
    unsigned unfinished;
    struct policy *policies;
};

/* --- members.  NULL: all is well; else what is wrong. */

static const char wrong_kind[] = "a member is not of the kind that it should be";

/* One that need not be there; "" then. */
static const char *text_of(const struct json *object, const char *key, ProtobufCBinaryData *out)
{
    const struct json *member = json_get(object, key);

    if (member && json_kind_of(member) != JSON_KIND_TEXT)
        return wrong_kind;
    *out = bytes_of_span(json_text(member));
    return NULL;
}

static const char *array_of(const struct json *object, const char *key, const struct json **out)
{
    *out = json_get(object, key);
    return *out && json_kind_of(*out) != JSON_KIND_ARRAY ? wrong_kind : NULL;
}

static const char *number_of(const struct json *object, const char *key, int64_t *out)
{
    const struct json *member = json_get(object, key);

    if (!member || json_kind_of(member) != JSON_KIND_NUMBER)
        return wrong_kind;
    *out = json_number(member);
    return NULL;
}

/* --- a failure */

static bool result_of(int64_t code, uint32_t *out)
{
    int64_t of_starttls = code - WIRE_STARTTLS_FIRST, of_policy = code - WIRE_POLICY_FIRST;

    if (of_starttls >= 0 && of_starttls < COUNT(starttls_results))
        *out = starttls_results[of_starttls];
    else if (of_policy >= 0 && of_policy < COUNT(policy_results))
        *out = policy_results[of_policy];
    else
        return false;
    return true;
}

/* What is no address, such as the name of a Unix socket, is left out. */
static const char *address_of(const struct json *object, const char *key, struct ip_address *room,
                              ProtobufCBinaryData *out)
{
    ProtobufCBinaryData text;
    const char *wrong = text_of(object, key, &text);

    *out = bytes_of_span(SPAN(""));
    if (!wrong && ip_address_parse(span_of_bytes(text), room))
        *out = bytes_of_span(
            (struct span){ (const char *)room->bytes, room->family == ADDRESS_V4 ? 4 : 16 });
    return wrong;
}

static const char *read_words(struct failure *failure, const struct json *object)
{
    Ipc__SessionFailure *m = &failure->message;
    const char *wrong = address_of(object, "s", &failure->sending, &m->sending_ip);

    if (!wrong)
        wrong = address_of(object, "r", &failure->receiving, &m->receiving_ip);
    if (!wrong)
        wrong = text_of(object, "n", &m->mx_host);
    if (!wrong)
        wrong = text_of(object, "h", &m->mx_helo);
    if (!wrong)
        wrong = text_of(object, "a", &m->additional);
    return wrong ? wrong : text_of(object, "f", &m->reason);
}

/* Of more than a session can well have the first ones are kept. */
static const char *read_failure(struct policy *policy, const struct json *object)
{
    size_t at = policy->event.n_failures;
    struct failure spare = { .message = IPC__SESSION_FAILURE__INIT };
    struct failure *failure = at < COUNTS_FAILURES_MAX ? &policy->failures[at] : &spare;
    int64_t code;
    const char *wrong = number_of(object, "c", &code);

    if (wrong)
        return wrong;
    ipc__session_failure__init(&failure->message);
    if (code == WIRE_UNFINISHED)
        policy->is_unfinished = true;
    else if (!result_of(code, &failure->message.result))
        return "a failure of a kind that there is not";
    wrong = read_words(failure, object);
    if (wrong || failure == &spare || policy->is_unfinished)
        return wrong;
    policy->failure_at[at] = &failure->message;
    policy->event.n_failures++;
    return NULL;
}

static const char *read_failures(struct policy *policy, const struct json *object)
{
    const struct json *failures;
    const char *wrong = array_of(object, "failure-details", &failures);

    policy->event.failures = policy->failure_at;
    for (size_t i = 0; i < json_count(failures) && !wrong; i++)
        wrong = read_failure(policy, json_item(failures, i));
    return wrong;
}

/* --- a policy */

static const char *read_type(struct policy *policy, const struct json *object)
{
    int64_t type;
    const char *wrong = number_of(object, "policy-type", &type);

    if (wrong)
        return wrong;
    if (type == WIRE_TLSA)
        policy->event.policy_type = IPC__POLICY_TYPE__TLSA;
    else if (type == WIRE_STS)
        policy->event.policy_type = IPC__POLICY_TYPE__STS;
    else if (type == WIRE_NO_POLICY)
        policy->event.policy_type = IPC__POLICY_TYPE__NO_POLICY_FOUND;
    else
        return "a policy of a type that there is not";
    return NULL;
}

static const char *read_result(struct policy *policy, const struct json *object)
{
    int64_t result;
    const char *wrong = number_of(object, "f", &result);

    if (wrong)
        return wrong;
    if (result == WIRE_UNFINISHED)
        policy->is_unfinished = true;
    else if (result != WIRE_SUCCESS && result != WIRE_FAILURE)
        return "a result that is neither success nor failure";
    policy->event.failed = result == WIRE_FAILURE;
    return NULL;
}

static const char *read_domain(struct policy *policy, const struct json *object)
{
    ProtobufCBinaryData text;
    const char *wrong = text_of(object, "policy-domain", &text);

    if (wrong || text.len == 0)
        return wrong;
    if (!domain_normalize(span_of_bytes(text), policy->domain))
        return "a policy of what is no domain";
    policy->event.policy_domain = bytes_of_span(span_of(policy->domain));
    return NULL;
}

/* Whatever ends a line of the policy may still be at the end of the text. */
static struct span without_line_end(struct span line)
{
    while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    return line;
}

static const char *read_line(struct policy *policy, const struct json *text)
{
    struct span line = without_line_end(json_text(text));

    if (!text || json_kind_of(text) != JSON_KIND_TEXT)
        return wrong_kind;
    if (span_find(line, '\n') < line.len)
        return "a line of a policy that is several";
    if (!buf_append(&policy->text, line) || !buf_append(&policy->text, SPAN("\n")))
        return "a policy that is too long";
    return NULL;
}

static const char *read_lines(struct policy *policy, const struct json *object)
{
    const struct json *lines;
    const char *wrong = array_of(object, "policy-string", &lines);

    for (size_t i = 0; i < json_count(lines) && !wrong; i++)
        wrong = read_line(policy, json_item(lines, i));
    policy->event.policy_text = bytes_of_span(buf_span(&policy->text));
    return wrong;
}

static const char *read_patterns(struct policy *policy, const struct json *object)
{
    const struct json *patterns;
    const char *wrong = array_of(object, "mx-host", &patterns);
    size_t count = json_count(patterns);

    if (wrong || count > COUNTS_PATTERNS_MAX)
        return wrong ? wrong : "a policy with too many hosts";
    policy->patterns = memory_new_array(count + 1, sizeof(*policy->patterns));
    for (size_t i = 0; i < count; i++) {
        const struct json *pattern = json_item(patterns, i);
        if (json_kind_of(pattern) != JSON_KIND_TEXT)
            return wrong_kind;
        policy->patterns[i] = bytes_of_span(json_text(pattern));
    }
    policy->event.mx_patterns = policy->patterns;
    policy->event.n_mx_patterns = count;
    return NULL;
}

/* RFC 8460 s.4.4: only MTA-STS has patterns, and what is no policy has no text. */
static void keep_what_its_type_has(struct policy *policy)
{
    if (policy->event.policy_type != IPC__POLICY_TYPE__STS)
        policy->event.n_mx_patterns = 0;
    if (policy->event.policy_type == IPC__POLICY_TYPE__NO_POLICY_FOUND)
        policy->event.policy_text.len = 0;
}

static const char *read_policy(struct policy *policy, const struct json *object)
{
    static const char *(*const read[])(struct policy *, const struct json *) = {
        read_type, read_result, read_domain, read_lines, read_patterns, read_failures,
    };
    const char *wrong = NULL;

    for (size_t i = 0; i < sizeof(read) / sizeof(read[0]) && !wrong; i++)
        wrong = read[i](policy, object);
    keep_what_its_type_has(policy);
    if (!wrong && !counts_is_valid(&policy->event))
        wrong = "a member that is too long";
    return wrong;
}

/* --- the whole */

static void policy_begin(struct policy *policy, const char *domain)
{
    ipc__session_event__init(&policy->event);
    policy->event.domain = bytes_of_span(span_of(domain));
    buf_init(&policy->text, STS_POLICY_BYTES_MAX);
}

static void policy_clear(struct policy *policy)
{
    buf_clear(&policy->text);
    free(policy->patterns);
    *policy = (struct policy){ .is_unfinished = false };
}

static const char *read_policies(struct datagram *d)
{
    const struct json *policies;
    const char *wrong = array_of(d->json, "policies", &policies);

    if (!wrong && (json_count(policies) == 0 || json_count(policies) > DATAGRAM_POLICIES_MAX))
        wrong = "no policies, or too many";
    if (!wrong)
        d->policies = memory_new_array(json_count(policies), sizeof(*d->policies));
    for (size_t i = 0; i < json_count(policies) && !wrong; i++) {
        struct policy *policy = &d->policies[d->count];
        policy_begin(policy, d->domain);
        d->count++;
        wrong = read_policy(policy, json_item(policies, i));
        if (!wrong && policy->is_unfinished) {
            policy_clear(policy);
            d->count--;
            d->unfinished++;
        }
    }
    return wrong;
}

static const char *read_head(struct datagram *d)
{
    ProtobufCBinaryData domain, record;
    const char *wrong = text_of(d->json, "d", &domain);

    if (!wrong)
        wrong = text_of(d->json, "pr", &record);
    if (wrong)
        return wrong;
    if (!domain_normalize(span_of_bytes(domain), d->domain))
        return "it is about what is no domain";
    if (record.len > 0)
        d->record = span_of_bytes(record);
    return NULL;
}

static bool is_of_version_1(const struct json *json)
{
    return json_member_is(json, "dpv", "1");
}

/* A C string may come with its end. */
static bool parse(struct span text, struct json **out)
{
    static const struct json_bounds bounds = { DATAGRAM_MAX, DATAGRAM_VALUES_MAX };
    struct json_found found;
    struct error *err = json_parse_front(text, &bounds, out, &found);

    if (err) {
        error_free(&err);
        return false;
    }
    for (size_t i = found.len; i < text.len; i++)
        if (text.data[i] != '\0' && text.data[i] != '\n' && text.data[i] != ' ')
            return false;
    return !found.has_duplicates && json_kind_of(*out) == JSON_KIND_OBJECT;
}

static enum datagram_verdict read_all(struct datagram *d, struct span text, const char **out_why)
{
    *out_why = "it is no JSON object, or too large a one";
    if (!parse(text, &d->json))
        return DATAGRAM_MALFORMED;
    *out_why = "it is of another version of the protocol";
    if (!is_of_version_1(d->json))
        return DATAGRAM_OTHER_VERSION;
    *out_why = read_head(d);
    if (!*out_why)
        *out_why = read_policies(d);
    return *out_why ? DATAGRAM_MALFORMED : DATAGRAM_FINE;
}

enum datagram_verdict datagram_read(struct span text, struct datagram **out_datagram,
                                    const char **out_why)
{
    struct datagram *d = memory_new(sizeof(*d));
    enum datagram_verdict verdict = read_all(d, text, out_why);

    if (verdict == DATAGRAM_FINE)
        *out_datagram = d;
    else
        datagram_free(&d);
    return verdict;
}

void datagram_free(struct datagram **datagram)
{
    struct datagram *d = *datagram;

    *datagram = NULL;
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++)
        policy_clear(&d->policies[i]);
    free(d->policies);
    json_free(&d->json);
    free(d);
}

size_t datagram_count(const struct datagram *datagram)
{
    return datagram->count;
}

const Ipc__SessionEvent *datagram_event(const struct datagram *datagram, size_t index)
{
    return &datagram->policies[index].event;
}

unsigned datagram_unfinished(const struct datagram *datagram)
{
    return datagram->unfinished;
}

struct span datagram_record(const struct datagram *datagram)
{
    return datagram->record;
}
