/* session_event - events as deliver tells them, for tests of what tlsrpt makes of them. */
#ifndef WAXSEAL_TESTS_SUPPORT_SESSION_EVENT_H
#define WAXSEAL_TESTS_SUPPORT_SESSION_EVENT_H

#include "lib/ipc/tlsrpt.pb-c.h"
#include "lib/mail/tls_result.h"

#include <string.h>

/* A plain value; what it points to is lent. */
struct session_event {
    Ipc__SessionEvent event;
    Ipc__SessionFailure failure;
    Ipc__SessionFailure *failures[1];
    ProtobufCBinaryData patterns[1];
};

static inline ProtobufCBinaryData event_bytes(const char *text)
{
    union {
        const char *text;
        uint8_t *data;
    } lent = { text };

    return (ProtobufCBinaryData){ strlen(text), lent.data };
}

/* A session under an enforced policy that went well. */
static inline void event_success(struct session_event *e, const char *domain)
{
    memset(e, 0, sizeof(*e));
    ipc__session_event__init(&e->event);
    ipc__session_failure__init(&e->failure);
    e->failures[0] = &e->failure;
    e->patterns[0] = event_bytes("*.mx.test");
    e->event.domain = event_bytes(domain);
    e->event.policy_type = IPC__POLICY_TYPE__STS;
    e->event.policy_text = event_bytes("version: STSv1\r\nmode: enforce\r\nmx: *.mx.test\r\n");
    e->event.mx_patterns = e->patterns;
    e->event.n_mx_patterns = 1;
}

/* One that failed. */
static inline void event_failure(struct session_event *e, const char *domain,
                                 enum tls_result result)
{
    event_success(e, domain);
    e->event.failed = true;
    e->event.failures = e->failures;
    e->event.n_failures = 1;
    e->failure.result = (uint32_t)result;
    e->failure.sending_ip = event_bytes("\xc6\x33\x64\x07");
    e->failure.mx_host = event_bytes("a.mx.test");
    e->failure.receiving_ip = event_bytes("\xc0\x01\x02\x0a");
}

#endif
