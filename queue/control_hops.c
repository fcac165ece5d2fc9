#include "queue/control_hops.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/settings_table.h"
#include "lib/mail/routing.h"
#include "queue/control_lists.h"
#include "queue/store_change.h"
#include "queue/store_summary.h"

enum {
    REASON_MAX = 300,
    SUSPENDED_MAX_S = 366 * 24 * 3600,
};

struct suspending {
    struct suspend suspend; /* first: the committer hands it back */
    struct control *control;
    struct role_request *request;
    char reason[REASON_MAX + 1];
    char as_written[HOP_NAME_MAX + 1]; /* where that is another name; else empty */
};

static void say_suspend(const struct suspending *s)
{
    struct log_line line;
    char until[CLOCK_TEXT_SIZE] = "";

    if (s->suspend.until_ms != 0 && s->suspend.until_ms != INT64_MAX)
        clock_format_rfc3339(s->suspend.until_ms, until);
    log_begin(&line, LOG_INFO, "hop-suspension");
    log_string(&line, "hop", s->suspend.hop);
    log_string(&line, "action", s->suspend.until_ms != 0 ? "suspend" : "resume");
    log_number(&line, "uid", s->suspend.uid);
    log_string(&line, "until", until);
    log_string(&line, "reason", s->reason);
    log_end(&line);
}

static void commit(struct suspending *s)
{
    suspend_prepare(&s->suspend);
    committer_add(s->control->committer, &s->suspend.operation);
}

/* Under the name as it was written; false: that is no other one, or it was tried. */
static bool resume_as_written(struct suspending *s)
{
    if (s->as_written[0] == '\0')
        return false;
    ensure(span_to_string(span_of(s->as_written), s->suspend.hop, sizeof(s->suspend.hop)));
    s->as_written[0] = '\0';
    commit(s);
    return true;
}

static void on_suspended(struct operation *operation, enum operation_outcome outcome)
{
    struct suspending *s = (struct suspending *)operation;

    if (outcome != OPERATION_COMMITTED) {
        role_reply_failed(&s->request, "the store has no room at the moment; the log says why");
    } else if (s->suspend.until_ms == 0 && !s->suspend.was_suspended) {
        if (resume_as_written(s))
            return;
        role_reply_failed(&s->request, "it is not suspended");
    } else {
        struct json *answer = json_new_object();
        say_suspend(s);
        json_add_string(answer, s->suspend.until_ms != 0 ? "suspended" : "resumed", s->suspend.hop);
        control_reply_json(&s->request, &answer, true);
        dispatch_look(s->control->dispatch);
    }
    free(s);
}

/* Names are kept byte by byte: what no name has would never match one. */
static bool is_name_like(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] <= ' ' || name.data[i] == 0x7f)
            return false;
    return true;
}

static struct error *no_next_hop(void)
{
    return error_new(ERROR_PERMANENT,
                     "that is no next hop; \"waxseal queue summary\" shows their names");
}

/* The hop that is meant, however it is written.  Resuming is for those, too, which are suspended
 * under another spelling since an earlier version. */
static struct error *read_hop(struct suspending *s)
{
    struct span name = role_request_argument(s->request, "hop");
    struct next_hop as_written;

    if (!is_name_like(name) || !next_hop_read(name, s->suspend.hop))
        return no_next_hop();
    if (!next_hop_parse(name, &as_written) || span_equal(name, span_of(s->suspend.hop)) ||
        !span_to_string(name, s->as_written, sizeof(s->as_written)))
        s->as_written[0] = '\0';
    return NULL;
}

/* Under its own name, unless some route or the relayhost has all mail for it. */
static struct error *check_domain(const struct settings *settings, struct span domain)
{
    struct routing routing;

    routing_of_most(settings, domain, &routing);
    if (span_equal(span_of(routing.hop), domain))
        return NULL;
    return error_new(ERROR_PERMANENT,
                     "mail for " SPAN_FMT " waits under another name: it goes by %s; that is what "
                     "to suspend",
                     SPAN_ARG(domain), routing.hop);
}

/* Could mail wait under this name?  What is suspended in vain would go on unnoticed. */
static struct error *check_in_use(const struct settings *settings, const struct next_hop *hop)
{
    const struct route_settings *route = routing_route(settings, hop->route);
    bool is_there = true;

    if (hop->kind == NEXT_HOP_DOMAIN)
        return check_domain(settings, hop->target);
    if (hop->kind == NEXT_HOP_RELAYHOST)
        is_there = settings->relayhost[0] != '\0';
    else if (hop->kind == NEXT_HOP_ROUTE)
        is_there = route && route->to != ROUTE_TO_MX;
    else if (hop->kind == NEXT_HOP_ROUTE_DOMAIN)
        is_there = route && route->to == ROUTE_TO_MX;
    return is_there ? NULL : no_next_hop();
}

/* "for" 2h, "until" a number of UTC milliseconds; neither: until it is resumed. */
static struct error *read_until(const struct role_request *request, int64_t *out_ms)
{
    struct span wait = role_request_argument(request, "for");
    struct span until = role_request_argument(request, "until");
    int64_t now_ms = clock_utc_ms();
    uint64_t value = 0;

    *out_ms = INT64_MAX;
    if (wait.data && until.data)
        return error_new(ERROR_PERMANENT, "either --for or --until");
    if (wait.data) {
        if (!setting_duration_parse(wait, &value) || value == 0 || value > SUSPENDED_MAX_S)
            return error_new(ERROR_PERMANENT, "--for is a time such as 30m, 2h or 3d, a year at "
                                              "most");
        *out_ms = now_ms + (int64_t)value * SECOND_MS;
    }
    if (until.data) {
        if (!span_to_number(until, INT64_MAX - 1, &value) || (int64_t)value <= now_ms)
            return error_new(ERROR_PERMANENT, "--until is a time to come");
        *out_ms = (int64_t)value;
    }
    return NULL;
}

static struct error *read_suspend(struct suspending *s)
{
    struct span reason = role_request_argument(s->request, "reason");
    struct next_hop hop;

    ensure(next_hop_parse(span_of(s->suspend.hop), &hop));
    struct error *err = check_in_use(role_settings(s->control->role), &hop);
    if (!err)
        err = read_until(s->request, &s->suspend.until_ms);
    if (!err && (reason.len == 0 || span_find(reason, '\n') < reason.len ||
                 !span_to_string(reason, s->reason, sizeof(s->reason))))
        err = error_new(ERROR_PERMANENT, "say why: --reason is one line of at most %d bytes",
                        REASON_MAX);
    s->suspend.reason = span_of(s->reason);
    return err;
}

static void change_suspension(struct control *control, struct role_request *request, bool suspend)
{
    struct suspending *s = memory_new(sizeof(*s));

    s->control = control;
    s->request = request;
    struct error *err = read_hop(s);
    if (!err && suspend)
        err = read_suspend(s);
    if (err) {
        control_reply_error(&s->request, &err);
        free(s);
        return;
    }
    s->suspend.uid = role_request_uid(request);
    s->suspend.operation.done = on_suspended;
    commit(s);
}

void control_suspend(struct control *control, struct role_request *request)
{
    change_suspension(control, request, true);
}

void control_resume(struct control *control, struct role_request *request)
{
    change_suspension(control, request, false);
}

/* ---- what keeps its mail waiting ------------------------------------------------------------ */

void control_hop(struct control *control, struct role_request *request)
{
    struct span name = role_request_argument(request, "hop");
    struct json *answer = json_new_object();
    struct next_hop hop;

    struct error *err = name.len > HOP_NAME_MAX || !next_hop_parse(name, &hop)
                            ? no_next_hop()
                            : store_add_hop(control->store, name, answer);
    if (err) {
        json_free(&answer);
        control_reply_error(&request, &err);
        return;
    }
    json_add_string(answer, "delivery", control_delivery(control));
    control_reply_json(&request, &answer, true);
}

/* ---- a hop to send mail to ------------------------------------------------------------------ */

static struct error *no_place(void)
{
    return error_new(ERROR_PERMANENT, "that is no place to send mail to: --to takes a host as in "
                                      "the setting relayhost, --to-route the name of a route");
}

/* What a route says in its next-hop would be taken for a host that is called so. */
static struct error *check_host(struct span spec)
{
    if (!span_equal(spec, SPAN("mx")) && !span_equal(spec, SPAN("discard")))
        return NULL;
    return error_new(ERROR_PERMANENT,
                     SPAN_FMT " is no host: name a route with that next-hop by --to-route; a host "
                              "of that name is [" SPAN_FMT "]",
                     SPAN_ARG(spec), SPAN_ARG(spec));
}

static struct error *check_route(const struct settings *settings, struct span name)
{
    if (routing_route(settings, name))
        return NULL;
    return error_new(ERROR_PERMANENT, "there is no route " SPAN_FMT, SPAN_ARG(name));
}

struct error *control_hop_to_go_to(const struct settings *settings, struct span to,
                                   char name[HOP_NAME_MAX + 1])
{
    struct next_hop hop;

    if (!is_name_like(to) || !next_hop_read(to, name) || !next_hop_parse(span_of(name), &hop))
        return no_place();
    switch (hop.kind) {
    case NEXT_HOP_SPEC:
        return check_host(hop.target);
    case NEXT_HOP_ROUTE:
        return check_route(settings, hop.route);
    case NEXT_HOP_RELAYHOST:
        return settings->relayhost[0] != '\0'
                   ? NULL
                   : error_new(ERROR_PERMANENT, "there is no relayhost in the configuration; a "
                                                "host of that name is [relayhost]");
    case NEXT_HOP_ROUTE_DOMAIN:
        return error_new(
            ERROR_PERMANENT,
            "mail goes by that route to each recipient's own domain: --to-route " SPAN_FMT,
            SPAN_ARG(hop.route));
    case NEXT_HOP_DOMAIN:
        break;
    }
    return no_place();
}
