#include "lib/ipc/tlsrpt_client.h"

#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

#include <stdlib.h>

/* An event that waits for the role, packed. */
struct kept_event {
    struct list others;
    size_t len;
    uint8_t packed[];
};

struct tlsrpt_client {
    struct loop *loop;
    struct channel *channel; /* NULL while the role is away */
    struct list kept;
    unsigned kept_count;
    uint64_t dropped;
};

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct tlsrpt_client *client = ctx;

    (void)frame;
    channel_refuse(client->channel, "the tlsrpt role has nothing to say here");
}

static void on_closed(void *ctx, const struct error *err)
{
    struct tlsrpt_client *client = ctx;

    (void)err;
    channel_free(&client->channel);
}

static const struct channel_events channel_events = { on_frame, on_closed };

struct tlsrpt_client *tlsrpt_client_new(struct loop *loop)
{
    struct tlsrpt_client *client = memory_new(sizeof(*client));

    client->loop = loop;
    list_init(&client->kept);
    return client;
}

static struct kept_event *take_first(struct tlsrpt_client *client)
{
    struct kept_event *kept = LIST_FIRST(&client->kept, struct kept_event, others);

    list_remove(&kept->others);
    client->kept_count--;
    return kept;
}

void tlsrpt_client_free(struct tlsrpt_client **client)
{
    if (!*client)
        return;
    while (!list_empty(&(*client)->kept))
        free(take_first(*client));
    channel_free(&(*client)->channel);
    free(*client);
    *client = NULL;
}

static void say_dropped(struct tlsrpt_client *client)
{
    struct log_line line;

    if (client->dropped == 0)
        return;
    log_begin(&line, LOG_WARNING, "tlsrpt-events-dropped");
    log_number(&line, "count", (int64_t)client->dropped);
    log_end(&line);
    client->dropped = 0;
}

static void send_event(struct tlsrpt_client *client, const Ipc__SessionEvent *event)
{
    channel_send(client->channel, FRAME_SESSION_EVENT, &event->base, (struct span){ NULL, 0 });
}

void tlsrpt_client_attach(struct tlsrpt_client *client, int fd)
{
    channel_free(&client->channel);
    client->channel = channel_open(client->loop, fd, &channel_events, client);
    while (!list_empty(&client->kept)) {
        struct kept_event *kept = take_first(client);
        Ipc__SessionEvent *event = ipc__session_event__unpack(NULL, kept->len, kept->packed);
        ensure(event != NULL); /* we packed it */
        send_event(client, event);
        ipc__session_event__free_unpacked(event, NULL);
        free(kept);
    }
    say_dropped(client);
}

void tlsrpt_tell(struct tlsrpt_client *client, const Ipc__SessionEvent *event)
{
    if (client->channel) {
        send_event(client, event);
        return;
    }
    if (client->kept_count == TLSRPT_KEPT_MAX) {
        client->dropped++;
        return;
    }
    size_t len = ipc__session_event__get_packed_size(event);
    struct kept_event *kept = memory_new(sizeof(*kept) + len);
    kept->len = len;
    ipc__session_event__pack(event, kept->packed);
    list_init(&kept->others);
    list_append(&client->kept, &kept->others);
    client->kept_count++;
}
