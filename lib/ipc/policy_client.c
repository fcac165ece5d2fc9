#include "lib/ipc/policy_client.h"

#include "lib/base/list.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

#include <stdlib.h>

struct policy_client {
    struct loop *loop;
    struct channel *channel; /* NULL while the role is away */
    struct list queries;
    uint64_t last_id;
};

struct policy_query {
    struct list others;
    struct policy_client *client;
    uint64_t id;
    char *domain;
    bool fresh;
    struct loop_timer *deadline;
    policy_done_fn *done;
    void *ctx;
};

static void query_free(struct policy_query *query)
{
    list_remove(&query->others);
    loop_timer_free(&query->deadline);
    free(query->domain);
    free(query);
}

static void query_answer(struct policy_query *query, const Ipc__PolicyAnswer *answer)
{
    policy_done_fn *done = query->done;
    void *ctx = query->ctx;

    query_free(query);
    done(ctx, answer);
}

static void query_send(const struct policy_query *query)
{
    Ipc__PolicyAsk ask = IPC__POLICY_ASK__INIT;

    ask.id = query->id;
    ask.domain = bytes_of_span(span_of(query->domain));
    ask.fresh = query->fresh;
    channel_send(query->client->channel, FRAME_POLICY_ASK, &ask.base, (struct span){ NULL, 0 });
}

static void on_deadline(void *ctx)
{
    Ipc__PolicyAnswer answer = IPC__POLICY_ANSWER__INIT;

    answer.state = IPC__POLICY_STATE__POLICY_NOT_ASKED;
    answer.fetch_reason = bytes_of_span(SPAN("the policy role did not answer in time"));
    query_answer(ctx, &answer);
}

static struct policy_query *query_of(struct policy_client *client, uint64_t id)
{
    struct policy_query *query;

    LIST_EACH(query, &client->queries, struct policy_query, others)
    if (query->id == id)
        return query;
    return NULL;
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct policy_client *client = ctx;
    Ipc__PolicyAnswer *answer = NULL;

    if (frame->type == FRAME_POLICY_ANSWER)
        answer = channel_decode(frame, &ipc__policy_answer__descriptor);
    if (!answer || (answer->state == IPC__POLICY_STATE__POLICY_FOUND && !answer->policy)) {
        channel_refuse(client->channel, "answer of the policy role does not decode");
    } else {
        struct policy_query *query = query_of(client, answer->id);
        if (query)
            query_answer(query, answer);
    }
    if (answer)
        ipc__policy_answer__free_unpacked(answer, NULL);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct policy_client *client = ctx;

    (void)err;
    channel_free(&client->channel); /* the questions wait for the successor, or their deadline */
}

static const struct channel_events channel_events = { on_frame, on_closed };

struct policy_client *policy_client_new(struct loop *loop)
{
    struct policy_client *client = memory_new(sizeof(*client));

    client->loop = loop;
    list_init(&client->queries);
    return client;
}

void policy_client_free(struct policy_client **client)
{
    struct policy_query *query;

    if (!*client)
        return;
    LIST_EACH(query, &(*client)->queries, struct policy_query, others)
    query_free(query);
    channel_free(&(*client)->channel);
    free(*client);
    *client = NULL;
}

void policy_client_attach(struct policy_client *client, int fd)
{
    struct policy_query *query;

    channel_free(&client->channel);
    client->channel = channel_open(client->loop, fd, &channel_events, client);
    LIST_EACH(query, &client->queries, struct policy_query, others)
    query_send(query);
}

struct policy_query *policy_ask(struct policy_client *client, struct span domain, bool fresh,
                                policy_done_fn *done, void *ctx)
{
    struct policy_query *query = memory_new(sizeof(*query));

    query->client = client;
    query->id = ++client->last_id;
    query->domain = memory_copy_span(domain);
    query->fresh = fresh;
    query->done = done;
    query->ctx = ctx;
    query->deadline = loop_timer_new(client->loop, on_deadline, query);
    loop_timer_start(query->deadline, POLICY_CLIENT_WAIT_MS);
    list_append(&client->queries, &query->others);
    if (client->channel)
        query_send(query);
    return query;
}

void policy_cancel(struct policy_query **query)
{
    if (*query)
        query_free(*query);
    *query = NULL;
}
