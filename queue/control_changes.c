#include "queue/control_changes.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/mail/routing.h"
#include "queue/control_hops.h"
#include "queue/control_lists.h"
#include "queue/delivery_log.h"
#include "queue/waiting.h"
#include "queue/workers.h"

enum {
    STEP_PAUSE_MS = 1,      /* of a walk that changes nothing: mail comes first */
    WORKERS_WAIT_MS = 3000, /* for workers to give back what they have not begun */
    WORKERS_LOOK_MS = 20,   /* ... looked for so often */
    TAKEN_MAX = 10000,      /* recipients that are waited for so */
    PROGRESS_MS = 1000,     /* between two reports */
    REASON_MAX = 300,       /* bytes that an operator may give for a reason */
};

/* A recipient that is ours meanwhile: no worker gets it. */
struct guard {
    struct list others;
    struct row_place at;
    struct lease *lease;
};

/* A request under way. */
struct task {
    struct change change; /* first: the committer hands it back */
    struct list others;
    struct control *control;
    struct role_request *request;
    struct loop_timer *timer;
    struct filter filter;
    struct waiting_walk walk;
    bool is_count;     /* only */
    struct list slice; /* guards of what the committer has, or gets next */
    struct list taken; /* guards of what workers have */
    size_t taken_count;
    int64_t taken_until_ms; /* monotonic; 0: the walk goes on */
    int64_t next_report_ms; /* monotonic */
    bool reports;
    bool is_with_committer;
    char reason[REASON_MAX + 1];
    char hop[HOP_NAME_MAX + 1];
    /* what was found, and what came of it */
    uint64_t last_id;
    int64_t messages;
    int64_t recipients;
    int64_t bytes;
    int64_t delivering;
    int64_t held;
    int64_t suspended;  /* of those that are due now */
    int64_t damaged;    /* some of them or of their message cannot be read ... */
    int64_t unreadable; /* ... so that they can be removed, and nothing else */
    int64_t changed;
};

static void task_step(void *ctx);

/* ---- guards ------------------------------------------------------------------------------- */

static void guard_row(struct task *task, struct list *list, struct row_place at)
{
    struct guard *guard = memory_new(sizeof(*guard));

    guard->at = at;
    guard->lease = lease_begin(task->control->leases, at.id, &at.number, 1);
    list_append(list, &guard->others);
}

static void guard_end(struct task *task, struct guard *guard)
{
    lease_end(task->control->leases, &guard->lease);
    list_remove(&guard->others);
    free(guard);
}

/* Rows that were passed over meanwhile are to be found again. */
static void guards_end(struct task *task, struct list *list)
{
    while (!list_empty(list))
        guard_end(task, LIST_FIRST(list, struct guard, others));
    dispatch_forget_marks(task->control->dispatch);
}

/* ---- its beginning and its end ------------------------------------------------------------ */

static void begin_next(struct control *control)
{
    if (list_empty(&control->changes))
        return;
    struct task *task = LIST_FIRST(&control->changes, struct task, others);
    loop_timer_start(task->timer, 0);
}

static void task_free(struct task *task)
{
    struct control *control = task->control;
    bool is_change = !task->is_count;

    guards_end(task, &task->slice);
    guards_end(task, &task->taken);
    list_remove(&task->others);
    loop_timer_free(&task->timer);
    change_clear(&task->change);
    free(task);
    if (is_change)
        begin_next(control);
}

/* As it was given: "sender=ada@* older=2h"; "all" where nothing was.  The id is named before. */
static void say_filter(struct log_line *line, const struct task *task)
{
    struct buf text;

    buf_init(&text, LOG_LINE_MAX);
    for (unsigned i = 0; i < filter_name_count; i++) {
        struct span value = role_request_argument(task->request, filter_names[i]);
        if (value.data && !span_equal(span_of(filter_names[i]), SPAN("id")) &&
            !buf_printf(&text, "%s%s=" SPAN_FMT, buf_len(&text) > 0 ? " " : "", filter_names[i],
                        SPAN_ARG(value)))
            break; /* the line would be cut there */
    }
    log_text(line, "filter", filter_is_empty(&task->filter) ? SPAN("all") : buf_span(&text));
    buf_clear(&text);
}

static void say_change(const struct task *task)
{
    struct log_line line;

    if (task->is_count)
        return;
    log_begin(&line, LOG_INFO, "queue-change");
    if (task->filter.id != 0)
        log_qid(&line, task->filter.id);
    log_string(&line, "action", change_name(task->change.kind));
    log_number(&line, "uid", task->change.act.uid);
    log_number(&line, "changed", task->changed);
    log_number(&line, "delivering", task->delivering);
    log_string(&line, "to", task->hop);
    log_string(&line, "reason", task->reason);
    say_filter(&line, task);
    log_end(&line);
}

static struct json *answer_of(const struct task *task)
{
    struct json *answer = json_new_object();

    if (!task->is_count)
        json_add_number(answer, "changed", task->changed);
    if (!task->is_count && task->change.kind == CHANGE_RETRY)
        json_add_number(answer, "retried", task->changed); /* what it was called first */
    if (!task->is_count)
        json_add_string(answer, "delivery", control_delivery(task->control));
    json_add_number(answer, "messages", task->messages);
    json_add_number(answer, "recipients", task->recipients);
    json_add_number(answer, "bytes", task->bytes);
    json_add_number(answer, "delivering", task->delivering);
    json_add_number(answer, "held", task->held);
    if (!task->is_count)
        json_add_number(answer, "suspended", task->suspended);
    json_add_number(answer, "damaged", task->damaged);
    json_add_number(answer, "unreadable", task->unreadable);
    return answer;
}

static void on_seen(void *ctx, struct reading *r, const struct waiting *waiting)
{
    (void)r;
    (void)waiting;
    *(bool *)ctx = true;
}

/* Nothing was found of the message that was named: it is gone, or other filters do not match. */
static void reply_none(struct task *task)
{
    const struct filter filter = { .id = task->filter.id };
    struct waiting_walk walk = { .filter = &filter, .most = 1 };
    char id[QID_TEXT_SIZE];
    bool waits = false;
    struct error *err = waiting_walk(task->control->store, &walk, on_seen, &waits);

    qid_format(task->filter.id, id);
    if (!err && waits)
        err = error_new(ERROR_PERMANENT,
                        "message %s waits, but the filters match no recipient of it", id);
    if (err)
        control_reply_error(&task->request, &err);
    else
        control_no_such_message(&task->request,
                                " in the queue; waxseal trace tells of one that has left it");
}

static void task_end(struct task *task)
{
    struct json *answer = answer_of(task);

    say_change(task);
    if (task->filter.id != 0 && task->recipients == 0) {
        json_free(&answer);
        reply_none(task);
    } else {
        control_reply_json(&task->request, &answer, true);
    }
    task_free(task);
}

static void task_fail(struct task *task, struct error **err)
{
    say_change(task);
    control_reply_error(&task->request, err);
    task_free(task);
}

/* ---- walking ------------------------------------------------------------------------------ */

static void count_row(struct task *task, const struct waiting *waiting)
{
    task->recipients++;
    task->held += waiting->state == WAITING_HELD;
    task->delivering += waiting->state == WAITING_DELIVERING;
    task->damaged += waiting->state == WAITING_DAMAGED || !waiting->message;
    task->unreadable += waiting->message == NULL;
    if (waiting->at.id == task->last_id)
        return;
    task->last_id = waiting->at.id;
    task->messages++;
    if (waiting->message)
        task->bytes += (int64_t)waiting->message->size;
}

static void on_counted(void *ctx, struct reading *r, const struct waiting *waiting)
{
    (void)r;
    count_row(ctx, waiting);
}

/* What a worker has not begun it gives back; what it has begun is waited for, for a while. */
static void ask_back(struct task *task, struct row_place at)
{
    struct lease *lease = lease_of_holder(task->control->leases, at.id, at.number);

    if (task->change.kind == CHANGE_RETRY || task->taken_count >= TAKEN_MAX)
        return; /* it is being tried */
    if (lease)
        workers_cancel(lease);
    guard_row(task, &task->taken, at);
    task->taken_count++;
    task->delivering--; /* unless it turns out to be begun */
}

static void on_found(void *ctx, struct reading *r, const struct waiting *waiting)
{
    struct task *task = ctx;

    (void)r;
    count_row(task, waiting);
    if (!waiting->message && task->change.kind != CHANGE_REMOVE)
        return; /* what cannot be read can only be removed */
    if (waiting->state == WAITING_DELIVERING)
        ask_back(task, waiting->at);
    else
        guard_row(task, &task->slice, waiting->at);
}

/* ---- changing ----------------------------------------------------------------------------- */

static void report(struct task *task)
{
    int64_t now_ms = clock_monotonic_ms();

    if (!task->reports || now_ms < task->next_report_ms)
        return;
    task->next_report_ms = now_ms + PROGRESS_MS;
    struct json *answer = answer_of(task);
    json_add_bool(answer, "progress", true);
    control_reply_json(&task->request, &answer, false);
    role_reply(&task->request, SPAN("\n"), false);
}

static void commit_slice(struct task *task)
{
    struct guard *guard;

    task->change.count = 0;
    LIST_EACH(guard, &task->slice, struct guard, others)
    {
        task->change.places[task->change.count++] = guard->at;
    }
    change_prepare(&task->change);
    task->is_with_committer = true;
    committer_add(task->control->committer, &task->change.operation);
}

static void on_changed(struct operation *operation, enum operation_outcome outcome)
{
    struct task *task = (struct task *)operation;

    task->is_with_committer = false;
    guards_end(task, &task->slice);
    if (outcome != OPERATION_COMMITTED) {
        struct error *err =
            error_new(ERROR_LOCAL, "the change could not be written; the log says why");
        task_fail(task, &err);
        return;
    }
    task->changed += (int64_t)task->change.changed;
    task->suspended += (int64_t)task->change.suspended;
    for (size_t i = 0; i < task->change.settle_count; i++)
        delivery_log(&task->change.settles[i]);
    delivery_log_removals(&task->change.removals, task->change.act.words);
    report(task);
    task_step(task);
}

/* What workers gave back is changed, too; the slice has room for CHANGE_SLICE of them. */
static void take_what_is_back(struct task *task)
{
    struct guard *guard;
    size_t room = CHANGE_SLICE;

    LIST_EACH(guard, &task->taken, struct guard, others)
    {
        bool is_back = !lease_covers_besides(task->control->leases, guard->at.id, guard->at.number,
                                             guard->lease);
        if (!is_back || room == 0)
            continue;
        list_remove(&guard->others);
        list_append(&task->slice, &guard->others);
        task->taken_count--;
        room--;
    }
}

/* All rows were walked over: now for those that were with workers. */
static void finish_taken(struct task *task)
{
    int64_t now_ms = clock_monotonic_ms();

    if (task->taken_until_ms == 0)
        task->taken_until_ms = now_ms + WORKERS_WAIT_MS;
    take_what_is_back(task);
    if (!list_empty(&task->slice)) {
        commit_slice(task);
    } else if (task->taken_count > 0 && now_ms < task->taken_until_ms) {
        loop_timer_start(task->timer, WORKERS_LOOK_MS);
    } else {
        task->delivering += (int64_t)task->taken_count;
        task_end(task);
    }
}

static struct error *walk(struct task *task)
{
    task->walk.most = CHANGE_SLICE;
    return waiting_walk(task->control->store, &task->walk, task->is_count ? on_counted : on_found,
                        task);
}

static void task_go_on(struct task *task)
{
    struct error *err = NULL;

    if (role_request_is_gone(task->request))
        err = error_new(ERROR_TRANSIENT, "the asker is gone");
    if (!err)
        err = walk(task);
    if (err)
        task_fail(task, &err);
    else if (!list_empty(&task->slice))
        commit_slice(task);
    else if (task->walk.more)
        loop_timer_start(task->timer, STEP_PAUSE_MS);
    else
        task_step(task);
}

static void task_step(void *ctx)
{
    struct task *task = ctx;

    if (task->walk.more)
        task_go_on(task);
    else if (task->is_count)
        task_end(task);
    else
        finish_taken(task);
}

/* ---- from outside ------------------------------------------------------------------------- */

static struct task *task_new(struct control *control, struct role_request *request)
{
    struct task *task = memory_new(sizeof(*task));

    task->control = control;
    task->request = request;
    task->walk.filter = &task->filter;
    task->walk.leases = control->leases;
    task->walk.more = true;
    task->reports = role_request_argument(request, "progress").data != NULL;
    task->next_report_ms = clock_monotonic_ms() + PROGRESS_MS;
    task->timer = loop_timer_new(control->loop, task_step, task);
    list_init(&task->others);
    list_init(&task->slice);
    list_init(&task->taken);
    return task;
}

/* The next hop that a request names, or "back" for what the routes say. */
static struct error *read_hop(struct task *task)
{
    struct span to = role_request_argument(task->request, "to");
    const struct settings *settings = role_settings(task->control->role);
    struct next_hop hop;

    if (role_request_argument(task->request, "back").data)
        return NULL;
    struct error *err = control_hop_to_go_to(settings, to, task->hop);
    if (err)
        return err;
    ensure(next_hop_parse(span_of(task->hop), &hop));
    const struct route_settings *route = routing_route(settings, hop.route);
    task->change.hop_has_domain = route && route->to == ROUTE_TO_MX;
    return NULL;
}

static struct error *read_request(struct task *task)
{
    struct span reason = role_request_argument(task->request, "reason");
    bool all = role_request_argument(task->request, "all").data != NULL;
    struct error *err = control_filter(task->request, &task->filter);

    if (!err && filter_is_empty(&task->filter) && !all)
        err = error_new(ERROR_PERMANENT, "which? Name a queue id, a filter, or --all");
    if (!err && (!span_to_string(reason, task->reason, sizeof(task->reason)) ||
                 span_find(reason, '\n') < reason.len || span_find(reason, '\r') < reason.len))
        err = error_new(ERROR_PERMANENT, "a reason is one line of at most %d bytes", REASON_MAX);
    if (!err && task->change.kind == CHANGE_BOUNCE && reason.len == 0 && !task->is_count)
        err = error_new(ERROR_PERMANENT, "say why: --reason goes to the senders");
    if (!err && task->change.kind == CHANGE_REROUTE)
        err = read_hop(task);
    return err;
}

void control_change(struct control *control, struct role_request *request, enum change_kind kind)
{
    struct task *task = task_new(control, request);

    task->change.kind = kind;
    task->change.operation.done = on_changed;
    task->change.notify = control->notify;
    struct error *err = read_request(task);
    if (err) {
        control_reply_error(&task->request, &err);
        task->is_count = true; /* it never was a change */
        task_free(task);
        return;
    }
    task->change.hop = span_of(task->hop);
    task->change.act =
        (struct history_act){ .action = change_name(kind), .uid = role_request_uid(request) };
    if (kind == CHANGE_REROUTE) {
        task->change.act.words = span_of(task->hop);
        task->change.act.reason = span_of(task->reason);
    } else {
        task->change.act.words = span_of(task->reason);
    }
    bool is_first = list_empty(&control->changes);
    list_append(&control->changes, &task->others);
    if (is_first)
        begin_next(control);
}

/* What is counted may be an order, which is looked at as if it were to be done. */
static struct error *read_count(struct task *task)
{
    struct span change = role_request_argument(task->request, "change");

    if (!change.data)
        return control_filter(task->request, &task->filter);
    for (unsigned kind = 0; kind < CHANGE_KINDS; kind++) {
        task->change.kind = (enum change_kind)kind;
        if (span_equal(change, span_of(change_name(task->change.kind))))
            return read_request(task);
    }
    return error_new(ERROR_PERMANENT, "there is no such change");
}

void control_count(struct control *control, struct role_request *request)
{
    struct task *task = task_new(control, request);

    task->is_count = true;
    struct error *err = read_count(task);
    list_append(&control->counts, &task->others);
    if (!err) {
        loop_timer_start(task->timer, 0);
        return;
    }
    control_reply_error(&task->request, &err);
    task_free(task);
}

static void let_go(struct list *tasks)
{
    while (!list_empty(tasks)) {
        struct task *task = LIST_FIRST(tasks, struct task, others);
        task->is_count = true; /* nothing is begun behind it */
        task_free(task);
    }
}

void control_changes_end(struct control *control)
{
    let_go(&control->changes);
    let_go(&control->counts);
}
