#include "queue/control.h"

#include "lib/base/clock.h"
#include "queue/control_changes.h"
#include "queue/control_hops.h"
#include "queue/control_lists.h"
#include "queue/exceptions.h"
#include "queue/store_read.h"
#include "queue/store_summary.h"
#include "queue/store_trace.h"

enum { SUSPENSIONS_TOLD = 20 }; /* in `waxseal status` */

static void answer_counts(struct control *control, struct role_request *request)
{
    struct json *counts = json_new_object();
    int64_t more = 0;

    struct error *err = store_add_counts(control->store, counts);
    json_add_string(counts, "delivery", control_delivery(control));
    json_add_string(counts, "full", streams_full_because(control->streams));
    if (!err)
        err = store_add_suspensions(control->store, SUSPENSIONS_TOLD,
                                    json_add_array(counts, "suspended"), &more);
    if (!err) {
        json_add_number(counts, "suspended_not_shown", more);
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
        err = store_show(control->store, control->leases, id, &shown);
    answer_with(request, &shown, &err);
}

static void answer_trace(struct control *control, struct role_request *request)
{
    struct json *trace = NULL;
    struct error *err = NULL;
    uint64_t id;

    if (qid_parse(role_request_argument(request, "id"), &id))
        err = store_trace(control->store, control->leases, id, &trace);
    if (trace)
        json_add_string(trace, "delivery", control_delivery(control));
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

/* ---- which one ---------------------------------------------------------------------------- */

static const struct verb {
    const char *name;
    void (*answer)(struct control *control, struct role_request *request);
} verbs[] = {
    { "queue list", control_list },       { "queue summary", control_summary },
    { "queue counts", answer_counts },    { "queue show", answer_show },
    { "queue trace", answer_trace },      { "queue count", control_count },
    { "queue hold", answer_hold },        { "queue release", answer_release },
    { "queue retry", answer_retry },      { "queue bounce", answer_bounce },
    { "queue remove", answer_remove },    { "queue reroute", answer_reroute },
    { "hosts", control_hosts },           { "hosts forget", control_forget_host },
    { "queue suspend", control_suspend }, { "queue resume", control_resume },
    { "queue hop", control_hop },
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

const char *control_delivery(const struct control *control)
{
    return role_settings(control->role)->delivery == DELIVERY_HOLD ? "hold" : "on";
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
