#include "queue/delivery_log.h"

#include "lib/base/log.h"
#include "lib/ipc/channel.h"

static const char *const outcomes[] = {
    [SETTLED_DELIVERED] = "delivered",
    [SETTLED_DEFERRED] = "deferred",
    [SETTLED_FAILED] = "failed",
    [SETTLED_EXPIRED] = "failed",
    [SETTLED_WAITS_FOR_POLICY] = "deferred",
    [SETTLED_WAITS_FOR_SIGNATURES] = "deferred",
};

/* Whether the message arrived is known of all but those whose answer never came (RFC 5321 s.6.1).
 */
static const char *outcome_of(const struct settled *settled)
{
    bool unknown = settled->as == SETTLED_DEFERRED &&
                   settled->result->kind == IPC__RESULT_KIND__UNKNOWN_RESULT;

    return unknown ? "unknown" : outcomes[settled->as];
}

/* The candidate that took the message, or else the last that was tried. */
static const Ipc__Candidate *candidate_of(const Ipc__Decision *decision)
{
    if (!decision || decision->n_candidates == 0)
        return NULL;
    for (size_t i = 0; i < decision->n_candidates; i++)
        if (span_starts_with(span_of_bytes(decision->candidates[i]->verdict), SPAN("delivered")))
            return decision->candidates[i];
    return decision->candidates[decision->n_candidates - 1];
}

/* "sts enforce" is "enforce" in a log line. */
static struct span sts_of(const Ipc__Decision *decision)
{
    struct span policy = decision ? span_of_bytes(decision->policy) : SPAN("");

    return span_starts_with(policy, SPAN("sts ")) ? span_from(policy, 4) : policy;
}

/* Only where there is one: an exception, with its reason, or the message's own word. */
static void say_relief(struct log_line *line, const Ipc__Decision *decision)
{
    log_text(line, "relief", span_of_bytes(decision->relief));
    log_string(line, "needed", decision->relief_needed ? "yes" : "no");
    if (decision->relief_reason.len > 0)
        log_text(line, "reason", span_of_bytes(decision->relief_reason));
}

/* Who signed it (DKIM), or why nobody did; where neither is known nothing was to be signed. */
static void say_signed(struct log_line *line, const Ipc__Decision *decision)
{
    if (decision->signed_by.len > 0)
        log_text(line, "signed", span_of_bytes(decision->signed_by));
    else if (decision->unsigned_because.len > 0)
        log_text(line, "unsigned", span_of_bytes(decision->unsigned_because));
}

/* What a line is about; texts are lent. */
struct told {
    uint64_t id;
    const char *recipient;
    const char *outcome;
    int64_t delay_ms; /* below 0: it is not known */
    struct span status;
    struct span reply;
    const Ipc__Decision *decision; /* or NULL */
};

static void say(const struct told *told)
{
    const Ipc__Decision *decision = told->decision;
    const Ipc__Candidate *candidate = candidate_of(decision);
    struct log_line line;

    log_begin(&line, LOG_INFO, "delivery");
    log_qid(&line, told->id);
    log_path(&line, "rcpt", span_of(told->recipient));
    log_text(&line, "mx", candidate ? span_of_bytes(candidate->mx) : SPAN(""));
    log_text(&line, "tls", candidate ? span_of_bytes(candidate->tls) : SPAN(""));
    log_text(&line, "wanted", candidate ? span_of_bytes(candidate->level_wanted) : SPAN(""));
    log_text(&line, "level", candidate ? span_of_bytes(candidate->level) : SPAN(""));
    log_text(&line, "sts", sts_of(decision));
    log_string(&line, "outcome", told->outcome);
    if (told->delay_ms < 0)
        log_string(&line, "delay", "");
    else
        log_seconds(&line, "delay", told->delay_ms);
    log_text(&line, "status", told->status);
    log_text(&line, "reply", told->reply);
    log_text(&line, "route", decision ? span_of_bytes(decision->route) : SPAN(""));
    if (decision && decision->relief.len > 0)
        say_relief(&line, decision);
    if (decision)
        say_signed(&line, decision);
    log_end(&line);
}

static void say_settled(const struct settle *settle, const struct settled *settled)
{
    say(&(struct told){
        .id = settle->outcome->id,
        .recipient = settled->recipient,
        .outcome = outcome_of(settled),
        .delay_ms = settled->delay_ms,
        .status = span_of_bytes(settled->result->status),
        .reply = span_of_bytes(settled->result->reply),
        .decision = settle->outcome->decision,
    });
}

static void say_expired(const struct settle *settle, const struct settled *settled)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "expired");
    log_qid(&line, settle->outcome->id);
    log_path(&line, "rcpt", span_of(settled->recipient));
    log_seconds(&line, "delay", settled->delay_ms);
    log_end(&line);
}

void delivery_log(const struct settle *settle)
{
    for (size_t i = 0; i < settle->count; i++) {
        say_settled(settle, &settle->settled[i]);
        if (settle->settled[i].as == SETTLED_EXPIRED)
            say_expired(settle, &settle->settled[i]);
    }
    notices_log(&settle->notices, settle->outcome->id);
}

void delivery_log_removals(const struct removals *removals, struct span why)
{
    for (size_t i = 0; i < removals->count; i++) {
        const struct removal *removal = &removals->all[i];
        say(&(struct told){
            .id = removal->id,
            .recipient = removal->recipient,
            .outcome = "removed",
            .delay_ms = removal->delay_ms,
            .status = SPAN(""),
            .reply = why,
        });
    }
}
