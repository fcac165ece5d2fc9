#include "lib/ipc/auth_client.h"

#include "lib/base/list.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

#include <stdlib.h>

struct auth_client {
    struct loop *loop;
    struct channel *channel; /* NULL while the role is away */
    struct list exchanges;
    uint64_t last_id;
    unsigned mechanisms;
};

struct auth_exchange {
    struct list others;
    struct auth_client *client;
    uint64_t id;
    bool is_lost;                /* the role that knew of it is gone */
    struct loop_timer *deadline; /* runs while the role is to answer */
    auth_answer_fn *on_answer;
    void *ctx;
};

static const char *const names[AUTH_MECHANISM_COUNT] = {
    [AUTH_PLAIN] = "PLAIN",
    [AUTH_LOGIN] = "LOGIN",
    [AUTH_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [AUTH_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
    [AUTH_EXTERNAL] = "EXTERNAL",
};

_Static_assert((int)AUTH_PLAIN == (int)IPC__AUTH_MECHANISM__PLAIN &&
                   (int)AUTH_SCRAM_SHA_256_PLUS == (int)IPC__AUTH_MECHANISM__SCRAM_SHA_256_PLUS,
               "mechanisms cross as they are");

const char *auth_mechanism_name(enum auth_mechanism mechanism)
{
    ensure((unsigned)mechanism < AUTH_MECHANISM_COUNT);
    return names[mechanism];
}

enum auth_mechanism auth_mechanism_of(struct span name)
{
    int mechanism = 0;

    while (mechanism < AUTH_MECHANISM_COUNT && !span_equal_nocase(name, span_of(names[mechanism])))
        mechanism++;
    return (enum auth_mechanism)mechanism;
}

static void exchange_free(struct auth_exchange *exchange)
{
    list_remove(&exchange->others);
    loop_timer_free(&exchange->deadline);
    free(exchange);
}

static void exchange_answer(struct auth_exchange *exchange, const Ipc__AuthAnswer *answer)
{
    auth_answer_fn *on_answer = exchange->on_answer;
    void *ctx = exchange->ctx;

    if (answer->verdict == IPC__AUTH_VERDICT__CHALLENGE)
        loop_timer_cancel(exchange->deadline); /* now the session counts the time */
    else
        exchange_free(exchange);
    on_answer(ctx, answer);
}

static void exchange_fail(struct auth_exchange *exchange)
{
    Ipc__AuthAnswer answer = IPC__AUTH_ANSWER__INIT;

    answer.verdict = IPC__AUTH_VERDICT__TROUBLE;
    exchange_answer(exchange, &answer);
}

static void on_deadline(void *ctx)
{
    struct auth_exchange *exchange = ctx;
    Ipc__AuthCancel cancel = IPC__AUTH_CANCEL__INIT;

    cancel.id = exchange->id;
    if (exchange->client->channel)
        channel_send(exchange->client->channel, FRAME_AUTH_CANCEL, &cancel.base,
                     (struct span){ NULL, 0 });
    exchange_fail(exchange);
}

static struct auth_exchange *exchange_of(struct auth_client *client, uint64_t id)
{
    struct auth_exchange *exchange;

    LIST_EACH(exchange, &client->exchanges, struct auth_exchange, others)
    if (exchange->id == id && loop_timer_running(exchange->deadline))
        return exchange;
    return NULL;
}

static bool take_answer(struct auth_client *client, const struct channel_frame *frame)
{
    Ipc__AuthAnswer *answer = channel_decode(frame, &ipc__auth_answer__descriptor);
    struct auth_exchange *exchange;

    if (!answer)
        return false;
    exchange = exchange_of(client, answer->id);
    if (exchange)
        exchange_answer(exchange, answer);
    ipc__auth_answer__free_unpacked(answer, NULL);
    return true;
}

static bool take_state(struct auth_client *client, const struct channel_frame *frame)
{
    Ipc__AuthState *state = channel_decode(frame, &ipc__auth_state__descriptor);

    if (!state)
        return false;
    client->mechanisms = state->mechanisms & ((1U << AUTH_EXTERNAL) - 1);
    ipc__auth_state__free_unpacked(state, NULL);
    return true;
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct auth_client *client = ctx;
    bool fine = false;

    if (frame->type == FRAME_AUTH_ANSWER)
        fine = take_answer(client, frame);
    else if (frame->type == FRAME_AUTH_STATE)
        fine = take_state(client, frame);
    if (!fine)
        channel_refuse(client->channel, "what the auth role says does not decode");
}

/*
 * The role is gone.  A session that waits for it is told now; one that waits for its client is told
 * when that has spoken, for a reply that nobody asked for would be taken as that to the next line.
 */
static void lose_all(struct auth_client *client)
{
    struct list all;

    list_init(&all);
    list_splice(&all, &client->exchanges);
    while (!list_empty(&all)) {
        struct auth_exchange *exchange = LIST_FIRST(&all, struct auth_exchange, others);
        list_remove(&exchange->others);
        list_append(&client->exchanges, &exchange->others);
        exchange->is_lost = true;
        if (loop_timer_running(exchange->deadline))
            exchange_fail(exchange);
    }
}

static void on_closed(void *ctx, const struct error *err)
{
    struct auth_client *client = ctx;

    (void)err;
    channel_free(&client->channel); /* what was offered is offered on: it will be back */
    lose_all(client);
}

static const struct channel_events channel_events = { on_frame, on_closed };

struct auth_client *auth_client_new(struct loop *loop)
{
    struct auth_client *client = memory_new(sizeof(*client));

    client->loop = loop;
    client->mechanisms = 1U << AUTH_PLAIN | 1U << AUTH_LOGIN;
    list_init(&client->exchanges);
    return client;
}

void auth_client_free(struct auth_client **client)
{
    if (!*client)
        return;
    while (!list_empty(&(*client)->exchanges))
        exchange_free(LIST_FIRST(&(*client)->exchanges, struct auth_exchange, others));
    channel_free(&(*client)->channel);
    free(*client);
    *client = NULL;
}

void auth_client_attach(struct auth_client *client, int fd)
{
    channel_free(&client->channel);
    lose_all(client);
    client->channel = channel_open(client->loop, fd, &channel_events, client);
    channel_forgets(client->channel);
}

unsigned auth_client_mechanisms(const struct auth_client *client)
{
    return client->mechanisms;
}

static void send_begin(const struct auth_exchange *exchange, const struct auth_start *start)
{
    Ipc__AuthBegin begin = IPC__AUTH_BEGIN__INIT;

    begin.id = exchange->id;
    begin.mechanism = (Ipc__AuthMechanism)start->mechanism;
    begin.client = bytes_of_span(span_of(start->client));
    begin.has_response = start->has_response;
    begin.response = bytes_of_span(start->response);
    begin.exporter = bytes_of_span(start->exporter);
    begin.end_point = bytes_of_span(start->end_point);
    channel_send(exchange->client->channel, FRAME_AUTH_BEGIN, &begin.base,
                 (struct span){ NULL, 0 });
}

struct auth_exchange *auth_begin(struct auth_client *client, const struct auth_start *start,
                                 auth_answer_fn *on_answer, void *ctx)
{
    struct auth_exchange *exchange = memory_new(sizeof(*exchange));

    exchange->client = client;
    exchange->id = ++client->last_id;
    exchange->on_answer = on_answer;
    exchange->ctx = ctx;
    exchange->deadline = loop_timer_new(client->loop, on_deadline, exchange);
    list_append(&client->exchanges, &exchange->others);
    loop_timer_start(exchange->deadline, client->channel ? AUTH_CLIENT_WAIT_MS : 0);
    if (client->channel)
        send_begin(exchange, start);
    return exchange;
}

void auth_respond(struct auth_exchange *exchange, struct span response)
{
    Ipc__AuthStep step = IPC__AUTH_STEP__INIT;
    bool is_heard = exchange->client->channel && !exchange->is_lost;

    step.id = exchange->id;
    step.response = bytes_of_span(response);
    loop_timer_start(exchange->deadline, is_heard ? AUTH_CLIENT_WAIT_MS : 0);
    if (is_heard)
        channel_send(exchange->client->channel, FRAME_AUTH_STEP, &step.base,
                     (struct span){ NULL, 0 });
}

void auth_cancel(struct auth_exchange **exchange)
{
    struct auth_exchange *e = *exchange;
    Ipc__AuthCancel cancel = IPC__AUTH_CANCEL__INIT;

    *exchange = NULL;
    if (!e)
        return;
    cancel.id = e->id;
    if (e->client->channel)
        channel_send(e->client->channel, FRAME_AUTH_CANCEL, &cancel.base, (struct span){ NULL, 0 });
    exchange_free(e);
}
