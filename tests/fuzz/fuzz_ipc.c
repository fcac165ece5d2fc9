/*
 * A captured role's bytes on a channel: frames, messages, envelopes.  The client stubs of smtpd and
 * of deliver read them as they would from the queue; what decodes as an envelope must be harmless.
 */
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"
#include "lib/ipc/policy.pb-c.h"
#include "lib/ipc/queue.pb-c.h"
#include "lib/ipc/queue_client.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "lib/ipc/tlsrpt.pb-c.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static int far_end;

static const ProtobufCMessageDescriptor *descriptor_of(enum frame_type type)
{
    switch ((int)type) {
    case FRAME_HELLO:
        return &ipc__hello__descriptor;
    case FRAME_PEER_LOST:
        return &ipc__peer_lost__descriptor;
    case FRAME_CONTROL_REQUEST:
        return &ipc__control_request__descriptor;
    case FRAME_OUTCOME:
        return &ipc__outcome__descriptor;
    case FRAME_JOB:
        return &ipc__job__descriptor;
    case FRAME_POLICY_ANSWER:
        return &ipc__policy_answer__descriptor;
    case FRAME_SESSION_EVENT:
        return &ipc__session_event__descriptor;
    default:
        return &ipc__accept_begin__descriptor;
    }
}

static void check_envelope(const Ipc__AcceptBegin *begin)
{
    struct envelope e;

    envelope_init(&e);
    if (envelope_from_message(begin->envelope, &e))
        for (unsigned i = 0; i < e.recipient_count; i++)
            if (strpbrk(e.recipients[i].forward_path.text, "\r\n"))
                abort();
    envelope_clear(&e);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct channel **channel = ctx;
    const ProtobufCMessageDescriptor *as = descriptor_of(frame->type);
    void *message = channel_decode(frame, as);

    if (!message) {
        channel_refuse(*channel, "does not decode");
        return;
    }
    if (as == &ipc__accept_begin__descriptor)
        check_envelope(message);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    loop_stop(loop);
}

static const struct channel_events events = { on_frame, on_closed };

/* Gives the end of a channel at which all these bytes will be read, then the end. */
static int end_that_says(const uint8_t *data, size_t size)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 ||
        write(fds[0], data, size) != (ssize_t)size || shutdown(fds[0], SHUT_WR) != 0)
        abort();
    far_end = fds[0];
    return fds[1];
}

static void read_frames(const uint8_t *data, size_t size)
{
    struct channel *channel;

    channel = channel_open(loop, end_that_says(data, size), &events, &channel);
    loop_run(loop);
    channel_free(&channel);
    close(far_end);
}

/* A message is under way to a captured queue: it hears of its end once, and has the credit it may
 * have. */
static void on_room(void *ctx)
{
    struct queue_accept **accept = ctx;

    if (!*accept || queue_accept_room(*accept) > STREAM_WINDOW)
        abort();
}

static void on_done(void *ctx, enum accept_outcome outcome, uint64_t id)
{
    struct queue_accept **accept = ctx;

    (void)outcome;
    (void)id;
    if (!*accept)
        abort();
    *accept = NULL;
    loop_stop(loop);
}

static const struct queue_accept_events accept_events = { on_room, on_done };

static void be_told_of_a_message(const uint8_t *data, size_t size)
{
    static const char content[STREAM_FIRST_CREDIT];
    struct queue_client *client = queue_client_new(loop, NULL, NULL);
    struct queue_accept *accept = NULL;
    struct envelope e;

    envelope_init(&e);
    queue_client_attach(client, end_that_says(data, size));
    accept = queue_accept_begin(client, &e, SPAN("head"), SPAN("tail"), &accept_events, &accept);
    queue_accept_content(accept, (struct span){ content, sizeof(content) });
    loop_run(loop);
    if (accept)
        abort();
    queue_client_free(&client);
    close(far_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!loop) {
        loop = loop_new();
        log_open(open("/dev/null", O_WRONLY), LOG_ERROR, "fuzz");
    }
    if (size > 32768)
        return 0;
    read_frames(data, size);
    be_told_of_a_message(data, size);
    return 0;
}
