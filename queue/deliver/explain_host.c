#include "queue/deliver/explain_host.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "queue/deliver/level.h"
#include "queue/deliver/race.h"
#include "queue/deliver/relief.h"

enum { SLOT_MS = 10 * SECOND_MS, SESSION_MS = MINUTE_MS, CONNECTS_MAX = 6 };

/* Somebody waits at a terminal: shorter than for mail. */
static const struct dialogue_waits waits = { .ms = {
                                                 [WAIT_CONNECT] = 10 * SECOND_MS,
                                                 [WAIT_COMMAND] = 20 * SECOND_MS,
                                                 [WAIT_DATA] = 20 * SECOND_MS,
                                                 [WAIT_BLOCK] = 20 * SECOND_MS,
                                                 [WAIT_END] = 20 * SECOND_MS,
                                                 [WAIT_MESSAGE] = 20 * SECOND_MS,
                                                 [WAIT_HANDSHAKE] = 20 * SECOND_MS,
                                                 [WAIT_QUIT] = 5 * SECOND_MS,
                                                 [WAIT_NONE] = -1,
                                             } };

struct explain_host {
    struct worker *worker;
    const char *hop;
    bool is_offline;
    struct explain_facts f;
    struct host_lookup *lookup;
    struct host_slot *slot;
    struct loop_timer *slot_wait;
    struct race *race;
    struct dialogue *dialogue;
    struct loop_task end;
    struct rung rung;
    unsigned connects;
    void (*done)(void *ctx);
    void *ctx;
};

/* --- the end */

void explain_host_stop(struct explain_host *host)
{
    host_lookup_cancel(&host->lookup);
    race_cancel(&host->race);
    dialogue_free(&host->dialogue);
    host_slot_free(&host->slot);
    loop_timer_free(&host->slot_wait);
    loop_task_cancel(&host->end);
}

void explain_host_free(struct explain_host **host)
{
    struct explain_host *h = *host;

    *host = NULL;
    if (!h)
        return;
    explain_host_stop(h);
    tlsa_set_free(&h->f.tlsa);
    free(h);
}

static void on_end(void *ctx)
{
    struct explain_host *host = ctx;

    explain_host_stop(host);
    host->done(host->ctx);
}

/* At the end of the turn: whoever calls from below wants to return first. */
static void finish(struct explain_host *host)
{
    loop_defer(host->worker->loop, &host->end);
}

static void fail(struct explain_host *host, struct span words)
{
    host->f.contact = CONTACT_FAILED;
    snprintf(host->f.said, sizeof(host->f.said), SPAN_FMT, SPAN_ARG(words));
    finish(host);
}

/* --- the session */

static void begin(struct explain_host *host, const struct ip_address *addresses, unsigned count);

static struct sts_decision judge(struct explain_host *host, const struct dialogue_facts *facts)
{
    struct explain_facts *f = &host->f;

    f->facts.tls = facts->tls;
    f->facts.floor = host->rung.floor;
    f->facts.cert = facts->session.cert;
    f->facts.is_listed = target_lists(&f->plan->target, &facts->session);
    struct sts_decision decision = sts_decide_session(f->facts);
    if (f->contact != CONTACT_JUDGED)
        f->judged = decision;
    f->contact = CONTACT_JUDGED;
    f->may_go = decision.deliver;
    f->session = facts->session;
    f->level = level_reached(&decision, &f->facts);
    ip_address_format(&facts->remote.address, f->address);
    return decision;
}

static bool on_judge(void *ctx, struct dialogue *d)
{
    return judge(ctx, dialogue_facts(d)).deliver;
}

static void on_ready(void *ctx, struct dialogue *d)
{
    struct explain_host *host = ctx;

    (void)d;
    host_slot_stands(host->slot);
    dialogue_quit(&host->dialogue);
    finish(host);
}

/* As mail would go on after a handshake that failed, on a new connection. */
static bool goes_lower(struct explain_host *host, const struct sts_decision *decision)
{
    if (host->f.facts.tls == SESSION_TLS_REFUSED && decision->clear_allowed)
        host->rung.use_tls = false;
    else if (host->f.facts.tls == SESSION_TLS_REFUSED || !ladder_lower(&host->rung, decision))
        return false;
    host->f.facts.failed_before = true;
    return host->connects < CONNECTS_MAX;
}

static void without_tls(struct explain_host *host, const struct dialogue_facts *facts,
                        const struct dialogue_end *end)
{
    struct ip_address address = facts->remote.address;
    struct sts_decision decision;

    if (facts->tls == SESSION_TLS_FAILED && host->connects < CONNECTS_MAX &&
        ladder_say_less(&host->rung, host->worker->hellos_differ)) {
        begin(host, &address, 1);
        return;
    }
    decision = judge(host, facts);
    host->f.may_go = false;
    snprintf(host->f.said, sizeof(host->f.said), SPAN_FMT, SPAN_ARG(end->words));
    if (goes_lower(host, &decision))
        begin(host, &address, 1);
    else
        finish(host);
}

static void on_ended(void *ctx, struct dialogue *d, const struct dialogue_end *end)
{
    struct explain_host *host = ctx;

    host->dialogue = NULL; /* it frees itself */
    if (end->stage == STAGE_HANDSHAKE)
        without_tls(host, dialogue_facts(d), end);
    else if (end->refused)
        finish(host);
    else
        fail(host, end->words);
}

static const struct dialogue_events session_events = {
    .judge = on_judge,
    .ready = on_ready,
    .ended = on_ended,
};

/* --- connecting */

static void on_lost(void *ctx, const struct endpoint *remote, const struct dialogue_end *end)
{
    struct explain_host *host = ctx;

    (void)remote;
    snprintf(host->f.said, sizeof(host->f.said), SPAN_FMT, SPAN_ARG(end->words));
}

static void on_outrun(void *ctx, const struct endpoint *remote)
{
    (void)ctx;
    (void)remote;
}

static void on_won(void *ctx, struct dialogue *winner)
{
    struct explain_host *host = ctx;

    host->race = NULL;
    host->dialogue = winner;
    dialogue_bind(winner, &session_events, host);
}

static void on_used_up(void *ctx)
{
    struct explain_host *host = ctx;

    host->race = NULL;
    host->f.contact = host->f.contact == CONTACT_JUDGED ? CONTACT_JUDGED : CONTACT_FAILED;
    host->f.may_go = false;
    finish(host);
}

static const struct race_events race_events = { NULL, on_lost, on_outrun, on_won, on_used_up };

static void begin(struct explain_host *host, const struct ip_address *addresses, unsigned count)
{
    struct worker *worker = host->worker;
    const struct target *target = &host->f.plan->target;
    bool by_tlsa = host->f.decision.by_tlsa;
    struct dialogue_plan plan = { .helo = worker->settings->hostname,
                                  .mx = explain_mx(&host->f),
                                  .tlsa = by_tlsa ? host->f.tlsa : NULL,
                                  .tlsa_names =
                                      tlsa_names_of(target->name, host->f.plan->route.expanded,
                                                    host->f.facts.mx_is_sure),
                                  .context = worker_context(worker, &host->rung),
                                  .filter = worker_filter(worker, target),
                                  .waits = &waits,
                                  .messages_max = 1,
                                  .life_ms = SESSION_MS };

    host->connects++;
    worker_plan_route(worker, target, &plan);
    plan.identity = NULL; /* nobody logs in for this */
    host->race =
        race_start(worker->loop, addresses, count, target->port, &plan, &race_events, host);
}

/* --- leave to connect */

static void on_slot(void *ctx)
{
    struct explain_host *host = ctx;

    loop_timer_free(&host->slot_wait);
    host->rung = ladder_begin(&host->f.decision, host_slot_lesson(host->slot));
    begin(host, host->f.addresses.list, host->f.addresses.count);
}

static void on_slot_late(void *ctx)
{
    fail(ctx, SPAN("as many connections to the host as it bears are open already"));
}

static void ask_for_slot(struct explain_host *host)
{
    struct slot_hosts hosts = { .count = 0 };

    slot_hosts_add(&hosts, explain_mx(&host->f));
    host->slot = host_slot_ask(host->worker->slots, host->hop, &hosts, on_slot, host);
    host->slot_wait = loop_timer_new(host->worker->loop, on_slot_late, host);
    loop_timer_start(host->slot_wait, SLOT_MS);
}

/* --- what DNS says of it */

static void on_known(struct explain_host *host)
{
    struct explain_facts *f = &host->f;

    f->is_known = true;
    f->facts = plan_facts(f->plan, f->candidate);
    f->facts.tlsa = f->worth;
    f->facts.relief = relief_of_target(&f->plan->target, clock_utc_ms()).kind;
    f->decision = sts_decide_candidate(f->facts);
    if (explain_is_open(f) && !host->is_offline)
        ask_for_slot(host);
    else
        finish(host);
}

static void on_lookup(void *ctx, const struct host_answer *answer)
{
    struct explain_host *host = ctx;
    struct explain_facts *f = &host->f;

    host->lookup = NULL;
    f->addresses = *answer->addresses;
    f->tlsa_failed = answer->tlsa_failed;
    f->worth = answer->worth;
    f->tlsa = tlsa_set_keep(answer->tlsa);
    snprintf(f->tlsa_reason, sizeof(f->tlsa_reason), "%s", answer->reason);
    on_known(host);
}

/* The address stands in the route itself, or in the forward-path. */
static void take_address(struct explain_host *host, const struct address_filter *filter)
{
    struct addresses *addresses = &host->f.addresses;

    addresses->verdict = address_judge(&host->f.plan->target.address, filter);
    if (addresses->verdict == ADDRESSES_FOUND)
        addresses->list[addresses->count++] = host->f.plan->target.address;
    snprintf(host->f.tlsa_reason, sizeof(host->f.tlsa_reason), "an address has none");
    on_known(host);
}

struct explain_host *explain_host_new(struct worker *worker, const struct explain_order *order,
                                      void (*done)(void *ctx), void *ctx)
{
    struct explain_host *host = memory_new(sizeof(*host));
    const struct target *target = &order->plan->target;
    struct address_filter filter = worker_filter(worker, target);

    host->worker = worker;
    host->hop = order->hop;
    host->is_offline = order->is_offline;
    host->f.plan = order->plan;
    host->f.candidate = order->candidate;
    host->f.level = "";
    host->done = done;
    host->ctx = ctx;
    loop_task_init(&host->end, on_end, host);
    if (target->kind == TARGET_ADDRESS) {
        take_address(host, &filter);
        return host;
    }
    struct host_question question = { .host = explain_mx(&host->f),
                                      .port = target->port,
                                      .name_is_sure =
                                          plan_facts(order->plan, order->candidate).mx_is_sure,
                                      .name_in_doubt = order->plan->route.in_doubt,
                                      .filter = &filter };
    host->lookup = host_lookup_start(worker->loop, worker->resolver, &question, on_lookup, host);
    return host;
}

struct explain_facts *explain_host_facts(struct explain_host *host)
{
    return &host->f;
}
