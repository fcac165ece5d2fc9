#include "tests/support/smtpd/fake_queue_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"

struct queue_client {
    struct loop *loop;
    void (*on_state)(void *ctx);
    void *ctx;
};

struct queue_accept {
    struct loop *loop;
    size_t room;
    size_t taken; /* since the last credit */
    bool waits;   /* for room */
    bool ended;
    const struct queue_accept_events *events;
    void *ctx;
    struct loop_task work;
};

struct fake_queue fake_queue;
static struct queue_client *the_client;
static struct queue_accept *the_accept;
static bool is_up, is_full;

void fake_queue_reset(void)
{
    buf_clear(&fake_queue.content);
    fake_queue = (struct fake_queue){
        .window = STREAM_WINDOW,
        .gives_credit = true,
        .answers = true,
        .outcome = ACCEPT_DONE,
        .next_id = 0x3f9c21,
    };
    buf_init(&fake_queue.content, 1024 * 1024 * 1024);
    is_up = true;
    is_full = false;
}

void fake_queue_set_state(bool up, bool full)
{
    is_up = up;
    is_full = full;
    if (the_client && the_client->on_state)
        the_client->on_state(the_client->ctx);
}

bool fake_queue_is_busy(void)
{
    return the_accept != NULL;
}

void fake_queue_credit(size_t bytes)
{
    struct queue_accept *accept = the_accept;

    if (!accept)
        return;
    accept->room += bytes;
    if (accept->waits && accept->room > 0) {
        accept->waits = false;
        accept->events->room(accept->ctx);
    }
}

void fake_queue_answer(enum accept_outcome outcome)
{
    struct queue_accept *accept = the_accept;

    if (!accept)
        return;
    const struct queue_accept_events *events = accept->events;
    void *ctx = accept->ctx;
    loop_task_cancel(&accept->work);
    free(accept);
    the_accept = NULL;
    events->done(ctx, outcome, fake_queue.next_id);
}

/* At the end of the turn: gives credit, and the answer. */
static void on_work(void *ctx)
{
    struct queue_accept *accept = ctx;
    size_t taken = accept->taken;

    accept->taken = 0;
    if (fake_queue.gives_credit)
        fake_queue_credit(taken);
    if (fake_queue.answers && the_accept == accept && accept->ended)
        fake_queue_answer(fake_queue.outcome);
}

/* --- probes */

struct queue_probe {
    struct loop_task answer;
    queue_probe_fn *done;
    void *ctx;
};

static void on_answer_probe(void *ctx)
{
    struct queue_probe *probe = ctx;
    queue_probe_fn *done = probe->done;
    void *owner = probe->ctx;

    free(probe);
    done(owner, fake_queue.probed);
}

struct queue_probe *queue_probe_begin(struct queue_client *client, const struct address *mailbox,
                                      const struct envelope *envelope, queue_probe_fn *done,
                                      void *ctx)
{
    struct queue_probe *probe = memory_new(sizeof(*probe));

    (void)mailbox, (void)envelope;
    probe->done = done;
    probe->ctx = ctx;
    loop_task_init(&probe->answer, on_answer_probe, probe);
    fake_queue.probes++;
    if (!fake_queue.ignores_probes)
        loop_defer(client->loop, &probe->answer);
    return probe;
}

void queue_probe_cancel(struct queue_probe **probe)
{
    if (*probe)
        loop_task_cancel(&(*probe)->answer);
    free(*probe);
    *probe = NULL;
}

struct queue_client *queue_client_new(struct loop *loop, void (*on_state)(void *ctx), void *ctx)
{
    the_client = memory_new(sizeof(*the_client));
    *the_client = (struct queue_client){ loop, on_state, ctx };
    return the_client;
}

void queue_client_free(struct queue_client **client)
{
    free(*client);
    *client = NULL;
    the_client = NULL;
}

void queue_client_attach(struct queue_client *client, int fd)
{
    (void)client;
    (void)fd;
}

bool queue_client_is_up(const struct queue_client *client)
{
    (void)client;
    return is_up;
}

bool queue_client_is_full(const struct queue_client *client)
{
    (void)client;
    return is_full;
}

static void keep(struct span s)
{
    ensure(buf_append(&fake_queue.content, s));
}

static void keep_envelope(const struct envelope *envelope)
{
    size_t len = 0;

    snprintf(fake_queue.reverse_path, sizeof(fake_queue.reverse_path), "%s",
             envelope->reverse_path.text);
    fake_queue.recipients[0] = '\0';
    for (unsigned i = 0; i < envelope->recipient_count && len < sizeof(fake_queue.recipients); i++)
        len +=
            (size_t)snprintf(fake_queue.recipients + len, sizeof(fake_queue.recipients) - len,
                             "%s%s", i > 0 ? " " : "", envelope->recipients[i].forward_path.text);
}

struct queue_accept *queue_accept_begin(struct queue_client *client,
                                        const struct envelope *envelope, struct span trace_head,
                                        struct span trace_tail,
                                        const struct queue_accept_events *events, void *ctx)
{
    char qid[QID_TEXT_SIZE];

    ensure(is_up && !the_accept);
    the_accept = memory_new(sizeof(*the_accept));
    *the_accept = (struct queue_accept){
        .loop = client->loop, .room = fake_queue.window, .events = events, .ctx = ctx
    };
    loop_task_init(&the_accept->work, on_work, the_accept);
    fake_queue.begun++;
    buf_reset(&fake_queue.content);
    keep_envelope(envelope);
    keep(trace_head);
    qid_format(++fake_queue.next_id, qid);
    keep(span_of(qid));
    keep(trace_tail);
    return the_accept;
}

size_t queue_accept_room(const struct queue_accept *accept)
{
    return accept->room;
}

void queue_accept_content(struct queue_accept *accept, struct span bytes)
{
    ensure(bytes.len <= accept->room && !accept->ended);
    keep(bytes);
    accept->room -= bytes.len;
    accept->taken += bytes.len;
    accept->waits = accept->room == 0;
    loop_defer(accept->loop, &accept->work);
}

void queue_accept_end(struct queue_accept *accept, struct queue_content content)
{
    ensure(!accept->ended);
    accept->ended = true;
    fake_queue.ended++;
    fake_queue.facts = content;
    loop_defer(accept->loop, &accept->work);
}

void queue_accept_abort(struct queue_accept **accept)
{
    if (!*accept)
        return;
    ensure(*accept == the_accept);
    fake_queue.aborted++;
    loop_task_cancel(&the_accept->work);
    free(the_accept);
    the_accept = NULL;
    *accept = NULL;
}
