#include "queue/deliver/report.h"

#include "lib/base/buf.h"
#include "lib/ipc/channel.h"

#include <string.h>

enum { TLSA_LINE_SIZE = 8192 }; /* of a record in a report: a certificate in full fits mostly */

static ProtobufCBinaryData text_bytes(const char *text)
{
    return bytes_of_span(span_of(text));
}

/* 4 or 16 bytes. */
static ProtobufCBinaryData ip_bytes(const struct ip_address *a)
{
    return bytes_of_span((struct span){ (const char *)a->bytes, a->family == ADDRESS_V4   ? 4
                                                                : a->family == ADDRESS_V6 ? 16
                                                                                          : 0 });
}

/* The certificate's or the handshake's own name for what was wrong (RPT-30); else our words. */
static const char *reason_code(const struct sts_decision *decision,
                               const struct dialogue_facts *facts)
{
    if (facts && facts->tls == SESSION_TLS_FAILED && facts->tls_reason[0])
        return facts->tls_reason;
    if (facts && facts->tls == SESSION_TLS_ON && facts->session.cert_reason[0])
        return facts->session.cert_reason;
    return decision->reason;
}

static void fill_failure(Ipc__SessionFailure *m, const char *mx,
                         const struct sts_decision *decision, const struct dialogue_facts *facts)
{
    ipc__session_failure__init(m);
    m->result = decision->result;
    m->mx_host = text_bytes(mx);
    m->reason = text_bytes(reason_code(decision, facts));
    if (!facts)
        return;
    m->mx_helo = text_bytes(facts->helo);
    m->sending_ip = ip_bytes(&facts->local.address);
    m->receiving_ip = ip_bytes(&facts->remote.address);
}

/* Happens without an MX contact: no addresses (RPT-33). */
static void fill_fetch_failure(Ipc__SessionFailure *m, const Ipc__PolicyAnswer *answer)
{
    ipc__session_failure__init(m);
    m->result = answer->fetch_result;
    m->reason = answer->fetch_reason;
}

static void fill_sts(Ipc__SessionEvent *event, const Ipc__Policy *policy)
{
    event->policy_type = IPC__POLICY_TYPE__STS;
    event->policy_text = policy->text;
    event->n_mx_patterns = policy->n_mx;
    event->mx_patterns = policy->mx;
}

/* One line a record, as it is written in a zone (rfc/dane-smtp.md DANE-96). */
static void put_records(struct buf *text, const struct tlsa_set *tlsa)
{
    char line[TLSA_LINE_SIZE];

    for (unsigned i = 0; i < tlsa->count; i++) {
        tlsa_text(tlsa->records[i], line, sizeof(line));
        if (!buf_printf(text, "%s\n", line))
            return;
    }
}

static void fill_tlsa(Ipc__SessionEvent *event, const char *mx, const struct tlsa_set *tlsa,
                      struct buf *text)
{
    event->policy_type = IPC__POLICY_TYPE__TLSA;
    event->policy_domain = text_bytes(tlsa ? tlsa->base : mx);
    if (!tlsa)
        return;
    put_records(text, tlsa);
    event->policy_text = bytes_of_span(buf_span(text));
}

void report_session(struct tlsrpt_client *reports, struct plan *plan, const char *mx,
                    const struct tlsa_set *tlsa, const struct sts_decision *decision,
                    const struct dialogue_facts *facts)
{
    Ipc__SessionEvent event = IPC__SESSION_EVENT__INIT;
    Ipc__SessionFailure failures[2];
    Ipc__SessionFailure *failure_at[2] = { &failures[0], &failures[1] };
    const Ipc__Policy *policy = plan_policy(plan);
    struct buf text;

    if (plan->for_reports) /* RFC 8460 s.3: no reports about reports */
        return;
    if (!target_has_policy(&plan->target))
        return; /* what a route asks for besides is no domain's policy */
    buf_init(&text, STS_POLICY_BYTES_MAX);
    event.domain = text_bytes(plan->target.name);
    if (decision->counted_under == POLICY_SOURCE_DANE)
        fill_tlsa(&event, mx, tlsa, &text);
    else if (policy && decision->counted_under == POLICY_SOURCE_STS)
        fill_sts(&event, policy);
    event.failures = failure_at;
    if (decision->result != TLS_RESULT_SUCCESS) {
        fill_failure(&failures[event.n_failures++], mx, decision, facts);
        event.failed = true;
    }
    if (plan->answer && plan->answer->fetch_result != TLS_RESULT_SUCCESS && !plan->fetch_told) {
        fill_fetch_failure(&failures[event.n_failures++], plan->answer);
        plan->fetch_told = true;
    }
    tlsrpt_tell(reports, &event);
    buf_clear(&text);
}
