#include "tlsrpt/submit.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct submit {
    struct loop *loop;
    struct loop_timer *patience;
    struct loop_task fail; /* of what could not even be begun */
    struct queue_accept *accept;
    struct span rest; /* content that is not handed in yet */
    struct queue_content content;
    const char *reason; /* with `fail` */
    submit_done_fn *done;
    void *ctx;
};

enum { TRACE_SIZE = SETTINGS_NAME_SIZE + 128 };

static void submit_end(struct submit *submit, bool taken, uint64_t id, const char *reason)
{
    submit_done_fn *done = submit->done;
    void *ctx = submit->ctx;

    submit_cancel(&submit);
    done(ctx, taken, id, reason);
}

/* --- the content on its way */

static void hand_in(struct submit *submit)
{
    while (submit->rest.len > 0 && queue_accept_room(submit->accept) > 0) {
        struct span piece = span_first(submit->rest, queue_accept_room(submit->accept));
        queue_accept_content(submit->accept, piece);
        submit->rest = span_from(submit->rest, piece.len);
    }
    if (submit->rest.len == 0)
        queue_accept_end(submit->accept, submit->content);
}

static void on_room(void *ctx)
{
    struct submit *submit = ctx;

    if (submit->rest.len > 0)
        hand_in(submit);
}

static void on_done(void *ctx, enum accept_outcome outcome, uint64_t id)
{
    static const char *const reasons[] = {
        [ACCEPT_DONE] = "in the queue",
        [ACCEPT_FULL] = "the queue is full",
        [ACCEPT_TROUBLE] = "the queue had trouble",
        [ACCEPT_LOST] = "the queue went away",
    };
    struct submit *submit = ctx;

    submit->accept = NULL; /* it has ended: no longer ours to abort */
    submit_end(submit, outcome == ACCEPT_DONE, id, reasons[outcome]);
}

static void on_patience_ended(void *ctx)
{
    submit_end(ctx, false, 0, "the queue did not answer");
}

static void on_fail(void *ctx)
{
    struct submit *submit = ctx;

    submit_end(submit, false, 0, submit->reason);
}

/* --- beginning */

static bool address_set(struct address *room, struct span text)
{
    return address_parse(text, room) == ADDRESS_FINE && room->domain[0] != '\0';
}

/* Nobody is told what becomes of a report (rfc/tls-rpt.md RPT-78). */
static bool envelope_fill(struct envelope *envelope, const struct submit_facts *facts)
{
    struct address to;

    envelope->tls_report = true;
    envelope->tls_required_no = true;
    envelope->received_utc_ms = facts->now_utc_ms;
    if (!address_set(&envelope->reverse_path, span_of(facts->settings->tlsrpt_sender)) ||
        !address_set(&to, facts->to))
        return false;
    envelope_add(envelope, &to)->notify = NOTIFY_NEVER;
    return true;
}

static void accept_begin(struct submit *submit, struct queue_client *queue,
                         const struct envelope *envelope, const struct submit_facts *facts)
{
    static const struct queue_accept_events events = { on_room, on_done };
    char head[TRACE_SIZE], tail[TRACE_SIZE], date[CLOCK_TEXT_SIZE];

    clock_format_mail(facts->now_utc_ms, date);
    snprintf(head, sizeof(head), "Received: by %s id ", facts->settings->hostname);
    snprintf(tail, sizeof(tail), ";\r\n\t%s\r\n", date);
    submit->accept = queue_accept_begin_once(queue, envelope, facts->once, span_of(head),
                                             span_of(tail), &events, submit);
    hand_in(submit);
}

struct submit *submit_start(struct loop *loop, struct queue_client *queue,
                            const struct submit_facts *facts, submit_done_fn *done, void *ctx)
{
    struct settings_dkim_bodies bodies = settings_dkim_bodies(facts->settings);
    struct submit *submit = memory_new(sizeof(*submit));
    struct envelope envelope;

    submit->loop = loop;
    submit->done = done;
    submit->ctx = ctx;
    submit->rest = facts->content;
    submit->content = (struct queue_content){ .size = facts->content.len, .tls_required_no = true };
    body_hash_of(facts->content, bodies.relaxed, bodies.simple, &submit->content.body);
    submit->patience = loop_timer_new(loop, on_patience_ended, submit);
    loop_task_init(&submit->fail, on_fail, submit);
    envelope_init(&envelope);
    if (!queue_client_is_up(queue))
        submit->reason = "the queue is away";
    else if (facts->content.len == 0)
        submit->reason = "it is too large";
    else if (!envelope_fill(&envelope, facts))
        submit->reason = "an address of it is none";
    if (submit->reason)
        loop_defer(loop, &submit->fail);
    else
        accept_begin(submit, queue, &envelope, facts);
    loop_timer_start(submit->patience, SUBMIT_WAIT_MS);
    envelope_clear(&envelope);
    return submit;
}

void submit_cancel(struct submit **submit)
{
    struct submit *s = *submit;

    *submit = NULL;
    if (!s)
        return;
    loop_task_cancel(&s->fail);
    queue_accept_abort(&s->accept);
    loop_timer_free(&s->patience);
    free(s);
}
