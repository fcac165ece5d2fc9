#include "tlsrpt/counts.h"

#include "lib/base/memory.h"
#include "lib/io/crypto.h"
#include "lib/ipc/channel.h"
#include "lib/mail/dns_message.h"
#include "lib/mail/tls_result.h"

#include <stdlib.h>
#include <string.h>

/* --- what a peer may tell, and what may stand on disk */

static bool type_is_valid(Ipc__PolicyType type)
{
    return type >= IPC__POLICY_TYPE__NO_POLICY_FOUND && type <= IPC__POLICY_TYPE__TLSA;
}

static bool address_is_valid(ProtobufCBinaryData address)
{
    return address.len == 0 || address.len == 4 || address.len == 16;
}

/* Fields that nobody has defined would be packed with the rest, and need not unpack again. */
static bool is_known(const ProtobufCMessage *message)
{
    return message->n_unknown_fields == 0;
}

static bool failure_is_valid(const Ipc__SessionFailure *failure)
{
    return failure && is_known(&failure->base) && failure->result > TLS_RESULT_SUCCESS &&
           failure->result < TLS_RESULT_COUNT && address_is_valid(failure->sending_ip) &&
           address_is_valid(failure->receiving_ip);
}

bool counts_policy_is_valid(const Tlsrpt__PolicyCount *policy)
{
    return type_is_valid(policy->type);
}

bool counts_failure_is_valid(const Tlsrpt__FailureCount *count)
{
    return failure_is_valid(count->failure);
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
    if (!is_known(&event->base) || !dns_name_is_valid(span_of_bytes(event->domain)))
        return false;
    if (event->policy_domain.len > 0 && !dns_name_is_valid(span_of_bytes(event->policy_domain)))
        return false;
    return type_is_valid(event->policy_type) && event->policy_text.len <= STS_POLICY_BYTES_MAX &&
           patterns_are_valid(event) && failures_are_valid(event);
}

/* --- the form in which it is counted */

/* Lent, cut to what is kept of a remote host's words. */
static ProtobufCBinaryData cut_field(ProtobufCBinaryData bytes)
{
    if (bytes.len > COUNTS_TEXT_MAX)
        bytes.len = COUNTS_TEXT_MAX;
    return bytes;
}

static Ipc__SessionFailure cut_failure(const Ipc__SessionFailure *failure)
{
    Ipc__SessionFailure cut = IPC__SESSION_FAILURE__INIT;

    cut.result = failure->result;
    cut.sending_ip = failure->sending_ip;
    cut.mx_host = cut_field(failure->mx_host);
    cut.mx_helo = cut_field(failure->mx_helo);
    cut.receiving_ip = failure->receiving_ip;
    cut.additional = cut_field(failure->additional);
    cut.reason = cut_field(failure->reason);
    return cut;
}

/* In lower case, without the final dot; empty where it is the subject's own. */
static ProtobufCBinaryData policy_domain_of(const Ipc__SessionEvent *event, struct span domain,
                                            char room[DOMAIN_MAX])
{
    struct span name = span_of_bytes(event->policy_domain);

    if (name.len > 0 && name.data[name.len - 1] == '.')
        name.len--;
    if (name.len > DOMAIN_MAX || span_equal_nocase(name, domain))
        name.len = 0;
    for (size_t i = 0; i < name.len; i++)
        room[i] = ascii_lower(name.data[i]);
    return bytes_of_span((struct span){ room, name.len });
}

static void append_packed(const Ipc__SessionEvent *event, struct buf *out)
{
    size_t len = ipc__session_event__get_packed_size(event);
    size_t room;
    char *at;

    if (len == 0) /* a success under no policy has nothing to say besides */
        return;
    at = buf_reserve(out, len, &room);
    ensure(room >= len);
    ipc__session_event__pack(event, (uint8_t *)at);
    buf_commit(out, len);
}

void counts_pack(const Ipc__SessionEvent *event, struct span domain, struct buf *out)
{
    Ipc__SessionFailure failures[COUNTS_FAILURES_MAX];
    Ipc__SessionFailure *pointers[COUNTS_FAILURES_MAX];
    Ipc__SessionEvent counted = *event;
    char room[DOMAIN_MAX];

    counted.domain = bytes_of_span(SPAN("")); /* the subject's */
    counted.policy_domain = policy_domain_of(event, domain, room);
    counted.failures = pointers;
    for (size_t i = 0; i < event->n_failures; i++) {
        failures[i] = cut_failure(event->failures[i]);
        pointers[i] = &failures[i];
    }
    append_packed(&counted, out);
}

static struct counts_digest digest_of(struct span bytes)
{
    unsigned char sha256[CRYPTO_SHA256_SIZE];
    struct counts_digest digest;

    crypto_sha256(bytes, sha256);
    memcpy(digest.bytes, sha256, sizeof(digest.bytes));
    return digest;
}

static struct counts_digest digest_of_message(const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = memory_new(len + 1);
    struct counts_digest digest;

    protobuf_c_message_pack(message, packed);
    digest = digest_of((struct span){ (char *)packed, len });
    free(packed);
    return digest;
}

/*
 * The lines that a report has of it (RFC 8460 s.4.4): another mail system has read the same policy
 * with other line ends, and the hexadecimal digits of TLSA records in the other case.
 */
static struct span lines_of(const Ipc__SessionEvent *event, char *room)
{
    bool is_tlsa = event->policy_type == IPC__POLICY_TYPE__TLSA;
    struct span text = span_of_bytes(event->policy_text);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '\r')
            room[len++] = is_tlsa ? ascii_lower(text.data[i]) : text.data[i];
    while (len > 0 && room[len - 1] == '\n')
        len--;
    return (struct span){ room, len };
}

/* Patterns come from the text; what else the event says is not the policy's. */
struct counts_digest counts_policy_digest(const Ipc__SessionEvent *event)
{
    Tlsrpt__PolicyCount policy = TLSRPT__POLICY_COUNT__INIT;
    char *room = memory_new(event->policy_text.len + 1);
    struct counts_digest digest;

    policy.type = event->policy_type;
    policy.domain = event->policy_domain;
    policy.text = bytes_of_span(lines_of(event, room));
    digest = digest_of_message(&policy.base);
    free(room);
    return digest;
}

struct counts_digest counts_failure_digest(const Ipc__SessionFailure *failure)
{
    return digest_of_message(&failure->base);
}
