#include "tlsrpt/counts.h"

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/mail/dns_message.h"
#include "lib/mail/tls_result.h"

#include <stdlib.h>
#include <string.h>

static struct span span_of_field(ProtobufCBinaryData bytes)
{
    return (struct span){ (const char *)bytes.data, bytes.len };
}

static bool same_field(ProtobufCBinaryData a, ProtobufCBinaryData b)
{
    return span_equal(span_of_field(a), span_of_field(b));
}

static ProtobufCBinaryData copy_field(ProtobufCBinaryData bytes)
{
    ProtobufCBinaryData copy = { bytes.len, NULL };

    if (bytes.len > 0) {
        copy.data = memory_new(bytes.len);
        memcpy(copy.data, bytes.data, bytes.len);
    }
    return copy;
}

/* Lent, cut to what is kept of a remote host's words. */
static ProtobufCBinaryData cut_field(ProtobufCBinaryData bytes)
{
    if (bytes.len > COUNTS_TEXT_MAX)
        bytes.len = COUNTS_TEXT_MAX;
    return bytes;
}

Tlsrpt__DayRecord *counts_new(void)
{
    Tlsrpt__DayRecord *day = memory_new(sizeof(*day));

    tlsrpt__day_record__init(day);
    return day;
}

void counts_free(Tlsrpt__DayRecord **day)
{
    tlsrpt__day_record__free_unpacked(*day, NULL);
    *day = NULL;
}

/* --- what a peer may tell, and what may stand on disk */

static bool type_is_valid(Ipc__PolicyType type)
{
    return type >= IPC__POLICY_TYPE__NO_POLICY_FOUND && type <= IPC__POLICY_TYPE__TLSA;
}

static bool address_is_valid(ProtobufCBinaryData address)
{
    return address.len == 0 || address.len == 4 || address.len == 16;
}

static bool failure_is_valid(const Ipc__SessionFailure *failure)
{
    return failure && failure->result > TLS_RESULT_SUCCESS && failure->result < TLS_RESULT_COUNT &&
           address_is_valid(failure->sending_ip) && address_is_valid(failure->receiving_ip);
}

bool counts_record_is_valid(const Tlsrpt__DayRecord *day)
{
    for (size_t i = 0; i < day->n_policies; i++) {
        const Tlsrpt__PolicyCount *policy = day->policies[i];
        if (!type_is_valid(policy->type))
            return false;
        for (size_t j = 0; j < policy->n_failures; j++)
            if (!failure_is_valid(policy->failures[j]->failure))
                return false;
    }
    return true;
}

static bool patterns_are_valid(const Ipc__SessionEvent *event)
{
    if (event->n_mx_patterns > COUNTS_PATTERNS_MAX)
        return false;
    for (size_t i = 0; i < event->n_mx_patterns; i++)
        if (event->mx_patterns[i].len > DOMAIN_MAX + 2)
            return false;
    return true;
}

static bool failures_are_valid(const Ipc__SessionEvent *event)
{
    if (event->n_failures > COUNTS_FAILURES_MAX)
        return false;
    for (size_t i = 0; i < event->n_failures; i++)
        if (!failure_is_valid(event->failures[i]))
            return false;
    return true;
}

bool counts_is_valid(const Ipc__SessionEvent *event)
{
    if (!dns_name_is_valid(span_of_field(event->domain)))
        return false;
    if (event->policy_domain.len > 0 && !dns_name_is_valid(span_of_field(event->policy_domain)))
        return false;
    return type_is_valid(event->policy_type) && event->policy_text.len <= STS_POLICY_BYTES_MAX &&
           patterns_are_valid(event) && failures_are_valid(event);
}

/* --- policies */

static ProtobufCBinaryData policy_domain_of(const Ipc__SessionEvent *event)
{
    return event->policy_domain.len > 0 ? event->policy_domain : event->domain;
}

static bool is_policy_of(const Tlsrpt__PolicyCount *policy, const Ipc__SessionEvent *event)
{
    return policy->type == event->policy_type && same_field(policy->text, event->policy_text) &&
           span_equal_nocase(span_of_field(policy->domain), span_of_field(policy_domain_of(event)));
}

/* Room for one more pointer at the end of an array that grows seldom. */
static void *grown(void *array, size_t count)
{
    return memory_resize(array, (count + 1) * sizeof(void *));
}

/* With `nameless` its text and patterns are left out: there are too many of them. */
static Tlsrpt__PolicyCount *add_policy(Tlsrpt__DayRecord *day, const Ipc__SessionEvent *event,
                                       bool nameless)
{
    Tlsrpt__PolicyCount *policy = memory_new(sizeof(*policy));

    tlsrpt__policy_count__init(policy);
    policy->type = event->policy_type;
    policy->domain = copy_field(policy_domain_of(event));
    if (!nameless) {
        policy->text = copy_field(event->policy_text);
        policy->n_mx_patterns = event->n_mx_patterns;
        policy->mx_patterns =
            memory_new_array(event->n_mx_patterns + 1, sizeof(*policy->mx_patterns));
        for (size_t i = 0; i < event->n_mx_patterns; i++)
            policy->mx_patterns[i] = copy_field(event->mx_patterns[i]);
    }
    day->policies = grown(day->policies, day->n_policies);
    day->policies[day->n_policies++] = policy;
    return policy;
}

/* The one without a text of this type, for what is beyond the cap. */
static Tlsrpt__PolicyCount *overflow_policy(Tlsrpt__DayRecord *day, const Ipc__SessionEvent *event)
{
    for (size_t i = COUNTS_POLICIES_MAX; i < day->n_policies; i++)
        if (day->policies[i]->type == event->policy_type)
            return day->policies[i];
    return add_policy(day, event, true);
}

static Tlsrpt__PolicyCount *policy_of(Tlsrpt__DayRecord *day, const Ipc__SessionEvent *event)
{
    for (size_t i = 0; i < day->n_policies; i++)
        if (is_policy_of(day->policies[i], event))
            return day->policies[i];
    if (day->n_policies >= COUNTS_POLICIES_MAX)
        return overflow_policy(day, event);
    return add_policy(day, event, false);
}

/* --- failures */

/* Lent: what is kept of a failure; `bare` leaves its result type alone. */
static Ipc__SessionFailure kept_of(const Ipc__SessionFailure *failure, bool bare)
{
    Ipc__SessionFailure kept = IPC__SESSION_FAILURE__INIT;

    kept.result = failure->result;
    if (bare)
        return kept;
    kept.sending_ip = cut_field(failure->sending_ip);
    kept.mx_host = cut_field(failure->mx_host);
    kept.mx_helo = cut_field(failure->mx_helo);
    kept.receiving_ip = cut_field(failure->receiving_ip);
    kept.additional = cut_field(failure->additional);
    kept.reason = cut_field(failure->reason);
    return kept;
}

static bool same_failure(const Ipc__SessionFailure *a, const Ipc__SessionFailure *b)
{
    return a->result == b->result && same_field(a->sending_ip, b->sending_ip) &&
           same_field(a->mx_host, b->mx_host) && same_field(a->mx_helo, b->mx_helo) &&
           same_field(a->receiving_ip, b->receiving_ip) &&
           same_field(a->additional, b->additional) && same_field(a->reason, b->reason);
}

static size_t details_of(const Tlsrpt__DayRecord *day)
{
    size_t details = 0;

    for (size_t i = 0; i < day->n_policies; i++)
        details += day->policies[i]->n_failures;
    return details;
}

static Tlsrpt__FailureCount *find_failure(const Tlsrpt__PolicyCount *policy,
                                          const Ipc__SessionFailure *kept)
{
    for (size_t i = 0; i < policy->n_failures; i++)
        if (same_failure(policy->failures[i]->failure, kept))
            return policy->failures[i];
    return NULL;
}

static Tlsrpt__FailureCount *add_failure(Tlsrpt__PolicyCount *policy,
                                         const Ipc__SessionFailure *kept)
{
    Tlsrpt__FailureCount *count = memory_new(sizeof(*count));
    Ipc__SessionFailure *failure = memory_new(sizeof(*failure));

    tlsrpt__failure_count__init(count);
    ipc__session_failure__init(failure);
    failure->result = kept->result;
    failure->sending_ip = copy_field(kept->sending_ip);
    failure->mx_host = copy_field(kept->mx_host);
    failure->mx_helo = copy_field(kept->mx_helo);
    failure->receiving_ip = copy_field(kept->receiving_ip);
    failure->additional = copy_field(kept->additional);
    failure->reason = copy_field(kept->reason);
    count->failure = failure;
    policy->failures = grown(policy->failures, policy->n_failures);
    policy->failures[policy->n_failures++] = count;
    return count;
}

static void count_failure(Tlsrpt__DayRecord *day, Tlsrpt__PolicyCount *policy,
                          const Ipc__SessionFailure *failure, uint64_t sessions)
{
    Ipc__SessionFailure kept = kept_of(failure, false);
    Tlsrpt__FailureCount *count = find_failure(policy, &kept);

    if (!count && details_of(day) >= COUNTS_DETAILS_MAX) {
        kept = kept_of(failure, true);
        count = find_failure(policy, &kept);
    }
    if (!count)
        count = add_failure(policy, &kept);
    count->sessions += sessions;
}

void counts_add(Tlsrpt__DayRecord *day, const Ipc__SessionEvent *event, uint64_t sessions)
{
    Tlsrpt__PolicyCount *policy = policy_of(day, event);

    if (event->failed)
        policy->failed += sessions;
    else
        policy->succeeded += sessions;
    for (size_t i = 0; i < event->n_failures; i++)
        count_failure(day, policy, event->failures[i], sessions);
}
