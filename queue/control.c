#include "queue/control.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/settings_table.h"
#include "lib/mail/routing.h"
#include "queue/control_changes.h"
#include "queue/control_lists.h"
#include "queue/exceptions.h"
#include "queue/store_read.h"
#include "queue/store_summary.h"
#include "queue/store_trace.h"

enum {
    SUSPENSIONS_TOLD = 20, /* in `waxseal status` */
    REASON_MAX = 300,
    SUSPENDED_MAX_S = 366 * 24 * 3600,
};

static void answer_counts(struct control *control, struct role_request *request)
{
    struct json *counts = json_new_object();
    struct error *err = store_add_counts(control->store, counts);

    json_add_string(counts, "full", streams_full_because(control->streams));
    if (!err)
        err = store_add_suspensions(control->store, SUSPENSIONS_TOLD,
                                    json_add_array(counts, "suspended"));
    if (!err) {
        exceptions_add(control->exceptions, clock_utc_ms(), json_add_array(counts, "exceptions"));
        control_reply_json(&request, &counts, true);
        return;
    }
    json_free(&counts);
    control_reply_error(&request, &err);
}

/* ---- one message -------------------------------------------------------------------------- */

static void answer_with(struct role_request *request, struct json **object, struct error **err)
{
    if (*err)
        control_reply_error(&request, err);
    else if (!*object)
        control_no_such_message(&request, "");
    else
        control_reply_json(&request, object, true);
}

static void answer_show(struct control *control, struct role_request *request)
{
    struct json *shown = NULL;
    struct error *err = NULL;
    uint64_t id;

    if (qid_parse(role_request_argument(request, "id"), &id))
        err = store_show(control->store, id, &shown);
    answer_with(request, &shown, &err);
}

static void answer_trace(struct control *control, struct role_request *request)
{
    struct json *trace = NULL;
    struct error *err = NULL;
    uint64_t id;

    if (qid_parse(role_request_argument(request, "id"), &id))
        err = store_trace(control->store, control->leases, id, &trace);
    answer_with(request, &trace, &err);
}

/* ---- changes ------------------------------------------------------------------------------ */

static void answer_hold(struct control *control, struct role_request *request)
{
    control_change(control, request, CHANGE_HOLD);
}

static void answer_release(struct control *control, struct role_request *request)
{
    control_change(control, request, CHANGE_RELEASE);
}

static void answer_retry(struct control *control, struct role_request *request)
{
    control_change(control, request, CHANGE_RETRY);
}

static void answer_bounce(struct control *control, struct role_request *request)
{
    control_change(control, request, CHANGE_BOUNCE);
}

static void answer_remove(struct control *control, struct role_request *request)
{
    control_change(control, request, CHANGE_REMOVE);
}

static void answer_reroute(struct control *control, struct role_request *request)
{
    control_change(control, request, CHANGE_REROUTE);
}

/* ---- a hop, suspended and resumed ----------------------------------------------------------- */

struct suspending {
    struct suspend suspend; /* first: the committer hands it back */
    struct control *control;
    struct role_request *request;
    char reason[REASON_MAX + 1];
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

static void on_suspended(struct operation *operation, enum operation_outcome outcome)
{
    struct suspending *s = (struct suspending *)operation;

    if (outcome != OPERATION_COMMITTED) {
        role_reply_failed(&s->request, "the store has no room at the moment; the log says why");
    } else if (s->suspend.until_ms == 0 && !s->suspend.was_suspended) {
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

static struct error *read_hop_name(const struct role_request *request, char hop[HOP_NAME_MAX + 1])
{
    struct span name = role_request_argument(request, "hop");
    struct next_hop parts;

    if (name.len > HOP_NAME_MAX || !next_hop_parse(name, &parts) || !is_name_like(name) ||
        !span_to_string(name, hop, HOP_NAME_MAX + 1))
        return no_next_hop();
    return NULL;
}

/* Could mail wait under this name?  What is suspended in vain would go on unnoticed. */
static bool is_in_use(const struct settings *settings, const struct next_hop *hop)
{
    const struct route_settings *route = routing_route(settings, hop->route);

    if (hop->kind == NEXT_HOP_RELAYHOST)
        return settings->relayhost[0] != '\0';
    if (hop->kind == NEXT_HOP_ROUTE)
        return route && route->to != ROUTE_TO_MX;
    return hop->kind != NEXT_HOP_ROUTE_DOMAIN || (route && route->to == ROUTE_TO_MX);
}

static struct error *read_hop_to_suspend(const struct control *control,
                                         const struct role_request *request,
                                         char hop[HOP_NAME_MAX + 1])
{
    struct span name = role_request_argument(request, "hop");
    struct next_hop parts;

    if (!is_name_like(name) || !next_hop_read(name, hop))
        return no_next_hop();
    ensure(next_hop_parse(span_of(hop), &parts));
    return is_in_use(role_settings(control->role), &parts) ? NULL : no_next_hop();
}

/* "for" 2h, "until" a number of UTC milliseconds; neither: until it is resumed. */
static struct error *read_until(const struct role_request *request, int64_t *out_ms)
{
    struct span wait = role_request_argument(request, "for");
    struct span until = role_request_argument(request, "until");
    int64_t now_ms = clock_utc_ms();
    uint64_t value = 0;

    *out_ms = INT64_MAX;
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

static struct error *read_suspend(const struct role_request *request, struct suspending *s)
{
    struct span reason = role_request_argument(request, "reason");
    struct error *err = read_until(request, &s->suspend.until_ms);

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
    struct error *err = suspend ? read_hop_to_suspend(control, request, s->suspend.hop)
                                : read_hop_name(request, s->suspend.hop);

    if (!err && suspend)
        err = read_suspend(request, s);
    if (err) {
        control_reply_error(&request, &err);
        free(s);
        return;
    }
    s->control = control;
    s->request = request;
    s->suspend.uid = role_request_uid(request);
    s->suspend.operation.done = on_suspended;
    suspend_prepare(&s->suspend);
    committer_add(control->committer, &s->suspend.operation);
}

static void answer_suspend(struct control *control, struct role_request *request)
{
    change_suspension(control, request, true);
}

static void answer_resume(struct control *control, struct role_request *request)
{
    change_suspension(control, request, false);
}

/* ---- which one ---------------------------------------------------------------------------- */

static const struct verb {
    const char *name;
    void (*answer)(struct control *control, struct role_request *request);
} verbs[] = {
    { "queue list", control_list },      { "queue summary", control_summary },
    { "queue counts", answer_counts },   { "queue show", answer_show },
    { "queue trace", answer_trace },     { "queue count", control_count },
    { "queue hold", answer_hold },       { "queue release", answer_release },
    { "queue retry", answer_retry },     { "queue bounce", answer_bounce },
    { "queue remove", answer_remove },   { "queue reroute", answer_reroute },
    { "hosts", control_hosts },          { "hosts forget", control_forget_host },
    { "queue suspend", answer_suspend }, { "queue resume", answer_resume },
};

void control_init(struct control *control)
{
    list_init(&control->changes);
    list_init(&control->counts);
}

void control_end(struct control *control)
{
    control_changes_end(control);
}

void control_answer(struct control *control, struct role_request *request)
{
    struct span name = role_request_verb(request);

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (span_equal(name, span_of(verbs[i].name))) {
            verbs[i].answer(control, request);
            return;
        }
    }
    role_reply_failed(&request, "the queue does not know this request");
}
