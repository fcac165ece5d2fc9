#include "tlsrpt/compose.h"

#include "tlsrpt/report_mail.h"

static struct report_facts facts_of(const struct compose_facts *facts)
{
    const struct settings *s = facts->settings;

    return (struct report_facts){
        .organization = span_of(s->tlsrpt_organization[0] ? s->tlsrpt_organization : s->hostname),
        .contact = span_of(s->tlsrpt_contact),
        .domain = span_of(facts->subject->domain),
        .of_host = facts->subject->of_host,
        .day = facts->subject->day,
        .id = facts->id,
    };
}

static void on_policy(void *ctx, const Tlsrpt__PolicyCount *policy)
{
    report_policy(ctx, policy);
}

static void on_failure(void *ctx, const Ipc__SessionFailure *failure, uint64_t sessions)
{
    report_failure(ctx, failure, sessions);
}

struct error *compose_report(struct tally *tally, const struct compose_facts *facts,
                             enum report_form form, struct buf *out, struct report_sum *out_sum,
                             bool *out_whole)
{
    static const struct tally_reader reader = { on_policy, on_failure };
    struct report_facts report_facts = facts_of(facts);
    struct report *report = report_begin(&report_facts, form, out);
    struct error *err = tally_read(tally, facts->subject, &reader, report);

    *out_whole = report_end(&report, out_sum) && !err;
    return err;
}

bool compose_mail(const struct compose_facts *facts, const struct report_sum *sum,
                  struct span report, struct span to, int64_t now_utc_ms, struct buf *out)
{
    struct report_facts report_facts = facts_of(facts);
    struct report_mail mail = {
        .facts = &report_facts,
        .sum = sum,
        .form = REPORT_PACKED,
        .report = report,
        .from = span_of(facts->settings->tlsrpt_sender),
        .to = to,
        .hostname = span_of(facts->settings->hostname),
        .now_ms = now_utc_ms,
    };

    return report_mail_write(&mail, out);
}
