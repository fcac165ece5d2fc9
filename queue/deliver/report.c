#include "queue/deliver/report.h"

#include "lib/base/buf.h"
#include "lib/ipc/channel.h"
#include "queue/deliver/failure_words.h"

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

static void fill_failure(Ipc__SessionFailure *m, const struct failure *failure,
                         char words[FAILURE_WORDS_SIZE])
{
    const struct dialogue_facts *facts = failure->facts;

    ipc__session_failure__init(m);
    failure_words(failure, words);
    m->result = failure->decision->result;
    m->mx_host = text_bytes(failure->mx);
    m->reason = text_bytes(words);
    if (!facts)
        return;
    m->mx_helo = text_bytes(facts->helo);
    m->sending_ip = ip_bytes(&facts->local.address);
    m->receiving_ip = ip_bytes(&facts->remote.address);
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

/* Of MTA-STS, where that was applied. */
static const Ipc__Policy *sts_of(const struct plan *plan, const struct sts_decision *decision)
{
    return decision->counted_under == POLICY_SOURCE_STS ? plan_policy(plan) : NULL;
}

void report_session(struct tlsrpt_client *reports, const struct plan *plan,
                    const struct session_facts *facts)
{
    struct failure failure = { .mx = facts->mx,
                               .decision = facts->decision,
                               .facts = facts->session,
                               .policy = sts_of(plan, facts->decision),
                               .trouble = facts->trouble };
    Ipc__SessionEvent event = IPC__SESSION_EVENT__INIT;
    Ipc__SessionFailure told, *failures[] = { &told };
    char words[FAILURE_WORDS_SIZE];
    struct buf text;

    if (plan->for_reports) /* RFC 8460 s.3: no reports about reports */
        return;
    if (!target_has_policy(&plan->target))
        return; /* what a route asks for besides is no domain's policy */
    buf_init(&text, STS_POLICY_BYTES_MAX);
    event.domain = text_bytes(plan->target.name);
    if (facts->decision->counted_under == POLICY_SOURCE_DANE)
        fill_tlsa(&event, facts->mx, facts->tlsa, &text);
    else if (failure.policy)
        fill_sts(&event, failure.policy);
    event.failures = failures;
    if (facts->decision->result != TLS_RESULT_SUCCESS) {
        fill_failure(&told, &failure, words);
        event.n_failures = 1;
        event.failed = true;
    }
    tlsrpt_tell(reports, &event);
    buf_clear(&text);
}
