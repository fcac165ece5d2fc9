#include "queue/deliver/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/io/resolver_proof.h"
#include "lib/ipc/role.h"
#include "lib/mail/rewrite.h"
#include "lib/mail/routing.h"
#include "queue/deliver/explain_host.h"
#include "queue/deliver/explain_json.h"

enum {
    EXPLAINS_MAX = 4,              /* at a time */
    EXPLAIN_HOSTS_MAX = 20,        /* as many as a domain's mail uses (design.md section 11) */
    EXPLAIN_MS = 100 * SECOND_MS,  /* the command waits a little longer */
    REPORT_RECORDS_MAX = 4,        /* TXT records shown */
    REPORT_RECORD_SHOWN_MAX = 500, /* octets of one */
};

struct explains {
    struct worker *worker;
    struct list all;
    unsigned count;
};

/* Where reports about a policy domain go. */
struct reports {
    struct explain *explain;
    struct resolver_query *query;
    struct json *records; /* NULL: not known */
    char reason[80];
};

struct explain {
    struct list others;
    struct explains *explains;
    struct role_request *request;
    bool is_offline;
    struct address address; /* of a domain that of its postmaster */
    struct address written; /* before the table `rewrite` */
    bool is_domain;
    struct address sender;
    struct routing routing;
    enum target_verdict leads;
    struct plan_query *asking;
    struct plans *plans;
    struct reports reports[TARGETS_MAX];
    struct explain_host *hosts[EXPLAIN_HOSTS_MAX];
    unsigned host_count;
    unsigned under_way; /* of hosts and reports */
    bool is_cut;        /* there are more hosts */
    bool is_late;       /* not all was known in time */
    struct loop_timer *deadline;
    struct loop_task end;
};

/* --- birth and death */

static void explain_free(struct explain *e)
{
    list_remove(&e->others);
    e->explains->count--;
    if (e->asking)
        plan_cancel(&e->asking);
    for (unsigned i = 0; i < e->host_count; i++)
        explain_host_free(&e->hosts[i]);
    for (unsigned i = 0; i < TARGETS_MAX; i++) {
        if (e->reports[i].query)
            resolver_cancel(&e->reports[i].query);
        json_free(&e->reports[i].records);
    }
    plans_free(&e->plans);
    loop_timer_free(&e->deadline);
    loop_task_cancel(&e->end);
    free(e);
}

/* --- the answer */

static void add_reports(struct json *object, struct reports *reports)
{
    if (reports->records)
        json_add(object, "report_records", &reports->records);
    else
        json_add_string(object, "report_records_unknown", reports->reason);
}

static void add_hops(struct json *answer, struct explain *e)
{
    struct json *hops = json_add_array(answer, "hops");

    for (unsigned p = 0; p < e->plans->count; p++) {
        const struct plan *plan = &e->plans->items[p];
        struct json *hop = json_append_object(hops);
        explain_json_hop(hop, plan);
        if (target_has_policy(&plan->target))
            add_reports(hop, &e->reports[p]);
        struct json *hosts = json_add_array(hop, "hosts");
        for (unsigned i = 0; i < e->host_count; i++)
            if (explain_host_facts(e->hosts[i])->plan == plan)
                explain_json_host(hosts, explain_host_facts(e->hosts[i]));
    }
}

static void cut_own(const struct explain *e)
{
    struct explain_facts *facts[EXPLAIN_HOSTS_MAX];

    for (unsigned i = 0; i < e->host_count; i++)
        facts[i] = explain_host_facts(e->hosts[i]);
    explain_cut_own(facts, e->host_count);
}

static enum explain_verdict verdict_of(const struct explain *e)
{
    const struct explain_facts *facts[EXPLAIN_HOSTS_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < e->host_count; i++)
        if (plan_is_open(explain_host_facts(e->hosts[i])->plan, false))
            facts[count++] = explain_host_facts(e->hosts[i]);
    return explain_verdict_of(facts, count);
}

static struct routing_facts facts_of(const struct explain *e)
{
    return (struct routing_facts){ .domain = span_of(e->address.domain),
                                   .sender_domain = span_of(e->sender.domain) };
}

/* By which listener mail comes in, and from whom, was not asked. */
static void add_other_routes(struct json *answer, const struct explain *e)
{
    struct json *others = json_add_array(answer, "other_routes");
    const struct routing_facts facts = facts_of(e);
    const struct route_settings *route;
    unsigned at = 0;

    while ((route = routing_next_other(e->explains->worker->settings, &facts, &at)))
        explain_json_other(others, route);
}

static struct json *begin_answer(const struct explain *e)
{
    struct json *dnssec = resolver_proof_json(e->explains->worker->proof);
    struct json *answer = json_new_object();

    json_add_string(answer, "address", e->is_domain ? e->written.domain : e->written.text);
    if (strcmp(e->written.text, e->address.text) != 0)
        json_add_string(answer, "rewritten", e->address.text);
    json_add_string(answer, "domain", e->address.domain);
    json_add_string(answer, "next_hop", e->routing.hop);
    json_add_string(answer, "route", e->routing.route ? e->routing.route->name : NULL);
    add_other_routes(answer, e);
    json_add_bool(answer, "offline", e->is_offline);
    json_add(answer, "dnssec", &dnssec);
    return answer;
}

static void reply(struct explain *e)
{
    struct json *answer = begin_answer(e);

    json_add_bool(answer, "cut", e->is_cut);
    json_add_bool(answer, "late", e->is_late);
    cut_own(e);
    add_hops(answer, e);
    json_add_string(answer, "deliverable", explain_verdict_name(verdict_of(e)));
    role_reply_json(&e->request, &answer);
    explain_free(e);
}

/* A route may end mail by itself. */
static void reply_ended(struct explain *e)
{
    const struct route_settings *route = e->routing.route;
    struct json *answer = begin_answer(e);

    json_add_string(answer, "ends", route->to == ROUTE_TO_ERROR ? "error" : "discard");
    if (route->to == ROUTE_TO_ERROR)
        json_add_string(answer, "text", route->error_text);
    json_add_string(answer, "deliverable", explain_verdict_name(EXPLAIN_NOWHERE));
    role_reply_json(&e->request, &answer);
    explain_free(e);
}

static void refuse(struct explain *e, const char *sentence)
{
    role_reply_failed(&e->request, sentence);
    explain_free(e);
}

static void on_end(void *ctx)
{
    reply(ctx);
}

static void one_is_done(struct explain *e)
{
    if (--e->under_way == 0)
        loop_defer(e->explains->worker->loop, &e->end);
}

static void on_late(void *ctx)
{
    struct explain *e = ctx;

    if (!e->plans) {
        refuse(e, "neither DNS nor the role policy answered in time; the log may say why");
        return;
    }
    e->is_late = true;
    for (unsigned i = 0; i < e->host_count; i++)
        explain_host_stop(e->hosts[i]);
    reply(e);
}

/* --- hosts, and where reports go */

static void on_host_done(void *ctx)
{
    one_is_done(ctx);
}

static void on_report_record(void *ctx, const struct dns_answer *answer)
{
    struct reports *reports = ctx;
    unsigned shown = 0;

    reports->query = NULL;
    snprintf(reports->reason, sizeof(reports->reason), "%s", answer->reason);
    if (answer->outcome != DNS_TEMPFAIL)
        reports->records = json_new_array();
    for (unsigned i = 0; i < answer->count && shown < REPORT_RECORDS_MAX; i++) {
        struct span text = { answer->records[i].data, answer->records[i].data_len };
        if (!span_starts_with(text, SPAN("v=TLSRPTv1")))
            continue;
        json_append_text(reports->records, span_first(text, REPORT_RECORD_SHOWN_MAX));
        shown++;
    }
    one_is_done(reports->explain);
}

static void ask_reports(struct explain *e, unsigned p)
{
    const struct target *target = &e->plans->items[p].target;
    struct reports *reports = &e->reports[p];
    char name[DOMAIN_MAX + 16];

    if (!target_has_policy(target))
        return;
    reports->explain = e;
    snprintf(name, sizeof(name), "_smtp._tls.%s", target->name);
    e->under_way++;
    reports->query = resolver_ask(e->explains->worker->resolver, span_of(name), DNS_TXT,
                                  on_report_record, reports);
}

static void look_at_hosts(struct explain *e, const struct plan *plan)
{
    struct explain_order order = { .hop = e->routing.hop,
                                   .plan = plan,
                                   .is_offline = e->is_offline };

    for (unsigned i = 0; plan->route.verdict == ROUTE_FOUND && i < plan->route.count; i++) {
        if (e->host_count == EXPLAIN_HOSTS_MAX) {
            e->is_cut = true;
            return;
        }
        order.candidate = i;
        e->under_way++;
        e->hosts[e->host_count++] = explain_host_new(e->explains->worker, &order, on_host_done, e);
    }
}

static void on_plans(void *ctx, struct plans *plans)
{
    struct explain *e = ctx;

    e->asking = NULL;
    e->plans = plans;
    e->under_way = 1; /* nothing ends before all has begun */
    for (unsigned p = 0; p < plans->count; p++) {
        ask_reports(e, p);
        look_at_hosts(e, &plans->items[p]);
    }
    one_is_done(e);
}

/* --- the question */

/* A domain, a mailbox, or an address literal in brackets. */
static bool take_address(struct span text, struct address *out)
{
    char mailbox[ADDRESS_MAX + 16];

    if (text.len == 0 || text.len > ADDRESS_MAX)
        return false;
    if (span_find(text, '@') == text.len)
        snprintf(mailbox, sizeof(mailbox), "postmaster@" SPAN_FMT, SPAN_ARG(text));
    else
        snprintf(mailbox, sizeof(mailbox), SPAN_FMT, SPAN_ARG(text));
    return address_parse_utf8(span_of(mailbox), out) == ADDRESS_FINE && out->domain[0] != '\0';
}

static bool take_sender(struct span text, const struct settings *settings, struct address *out)
{
    if (!text.data)
        return take_address(span_of(settings->hostname), out);
    if (span_equal(text, SPAN("<>"))) {
        out->domain[0] = '\0';
        return true;
    }
    return take_address(text, out);
}

/* As where it came in would have it. */
static void rewrite(struct explain *e)
{
    const struct rewrite_list *rewrites = &e->explains->worker->settings->rewrites;

    e->written = e->address;
    rewrite_path(rewrites, &e->address);
    rewrite_path(rewrites, &e->sender);
}

static void choose_route(struct explain *e)
{
    const struct routing_facts facts = facts_of(e);

    routing_choose(e->explains->worker->settings, &facts, &e->routing);
}

static bool is_ended(const struct explain *e)
{
    const struct route_settings *route = e->routing.route;

    return route && (route->to == ROUTE_TO_ERROR || route->to == ROUTE_TO_DISCARD);
}

static void begin(struct explain *e)
{
    struct worker *worker = e->explains->worker;
    struct target targets[TARGETS_MAX];
    unsigned count;

    if (is_ended(e)) {
        reply_ended(e);
        return;
    }
    e->leads = targets_of_hop(worker->settings, span_of(e->routing.hop), targets, &count);
    if (e->leads != TARGETS_FOUND) {
        refuse(e, "that is no domain that mail can go to");
        return;
    }
    loop_timer_start(e->deadline, EXPLAIN_MS);
    e->asking = plan_ask(worker->loop, worker->resolver, worker->policies, targets, count,
                         worker->settings->hostname, false, on_plans, e);
}

static struct explain *explain_new(struct explains *explains, struct role_request **request)
{
    struct explain *e = memory_new(sizeof(*e));

    e->explains = explains;
    e->request = *request;
    *request = NULL;
    e->is_offline = span_equal(role_request_argument(e->request, "offline"), SPAN("yes"));
    e->deadline = loop_timer_new(explains->worker->loop, on_late, e);
    loop_task_init(&e->end, on_end, e);
    list_append(&explains->all, &e->others);
    explains->count++;
    return e;
}

void explain_control(struct explains *explains, struct role_request **request)
{
    struct explain *e;

    if (explains->count == EXPLAINS_MAX) {
        role_reply_failed(request, "enough is being explained already; try again");
        return;
    }
    e = explain_new(explains, request);
    struct span address = role_request_argument(e->request, "address");
    e->is_domain = span_find(address, '@') == address.len;
    if (!take_address(address, &e->address)) {
        refuse(e, "that is neither a mailbox nor a domain");
        return;
    }
    if (!take_sender(role_request_argument(e->request, "sender"), explains->worker->settings,
                     &e->sender)) {
        refuse(e, "the sender is neither a mailbox, nor a domain, nor <>");
        return;
    }
    rewrite(e);
    choose_route(e);
    begin(e);
}

struct explains *explains_new(struct worker *worker)
{
    struct explains *explains = memory_new(sizeof(*explains));

    explains->worker = worker;
    list_init(&explains->all);
    return explains;
}
