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
#include "lib/ipc/supervisor.pb-c.h"
#include "lib/ipc/tlsrpt.pb-c.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;

static const ProtobufCMessageDescriptor *descriptor_of(enum frame_type type)
{
    switch ((int)type) {
    case FRAME_HELLO:
        return &ipc__hello__descriptor;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel *channel;
    int fds[2];

    if (!loop) {
        loop = loop_new();
        log_open(open("/dev/null", O_WRONLY), LOG_ERROR, "fuzz");
    }
    if (size > 32768 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return 0;
    channel = channel_open(loop, fds[1], &events, &channel);
    if (write(fds[0], data, size) != (ssize_t)size)
        abort();
    close(fds[0]);
    loop_run(loop);
    channel_free(&channel);
    return 0;
}
