#include "supervisor/client.h"

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "supervisor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ARGUMENTS_MAX = 40,
    REQUEST_ID = 1,
};

struct client {
    struct loop *loop;
    struct channel *channel;
    struct loop_timer *silence;
    int64_t wait_ms;
    client_piece_fn *on_piece;
    void *ctx;
    struct error *err;
};

static void finish(struct client *client, struct error *err)
{
    client->err = err;
    channel_free(&client->channel);
    loop_timer_cancel(client->silence);
    loop_stop(client->loop);
}

static void on_reply(struct client *client, const Ipc__ControlReply *reply, struct span body)
{
    if (reply->failed) {
        finish(client, error_new(ERROR_PERMANENT, SPAN_FMT, SPAN_ARG(body)));
        return;
    }
    client->on_piece(client->ctx, body);
    if (reply->last)
        finish(client, NULL);
    else
        loop_timer_start(client->silence, client->wait_ms);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct client *client = ctx;
    Ipc__ControlReply *reply = NULL;

    if (frame->type == FRAME_CONTROL_REPLY)
        reply = channel_decode(frame, &ipc__control_reply__descriptor);
    if (!reply) {
        finish(client, error_new(ERROR_TRANSIENT, "the relay's answer does not decode; is it of "
                                                  "the same version?"));
        return;
    }
    on_reply(client, reply, frame->body);
    ipc__control_reply__free_unpacked(reply, NULL);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    finish(ctx, error_new(ERROR_TRANSIENT, "the relay closed the control socket: it is ending, or "
                                           "answers as many commands as it may; try again"));
}

static void on_silence(void *ctx)
{
    finish(ctx, error_new(ERROR_TRANSIENT, "the relay does not answer"));
}

static struct error *unreachable(int errnum, const char *run_dir)
{
    if (errnum == ENOENT || errnum == ECONNREFUSED)
        return error_new(ERROR_TRANSIENT, "no waxseal is running with run-dir %s", run_dir);
    if (errnum == EACCES)
        return error_new(ERROR_PERMANENT,
                         "only root and the user of the relay may ask what runs with run-dir %s",
                         run_dir);
    return error_errno(ERROR_TRANSIENT, errnum, "control socket in run-dir %s", run_dir);
}

static struct error *connect_to(const char *run_dir, int *out_fd)
{
    int folder = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct sockaddr_un address;
    int fd, errnum;

    if (folder < 0)
        return unreachable(errno, run_dir);
    control_address(folder, &address);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    errnum = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
    close(folder);
    if (errnum == 0) {
        *out_fd = fd;
        return NULL;
    }
    if (fd >= 0)
        close(fd);
    return unreachable(errnum, run_dir);
}

static void send_request(struct client *client, const char *verb,
                         const struct client_argument *arguments, size_t count)
{
    Ipc__ControlRequest request = IPC__CONTROL_REQUEST__INIT;
    Ipc__Argument items[ARGUMENTS_MAX];
    Ipc__Argument *pointers[ARGUMENTS_MAX];

    ensure(count <= ARGUMENTS_MAX);
    request.id = REQUEST_ID;
    request.verb = bytes_of_span(span_of(verb));
    request.arguments = pointers;
    for (size_t i = 0; i < count; i++) {
        if (!arguments[i].value)
            continue;
        Ipc__Argument *item = &items[request.n_arguments];
        ipc__argument__init(item);
        item->name = bytes_of_span(span_of(arguments[i].name));
        item->value = bytes_of_span(span_of(arguments[i].value));
        pointers[request.n_arguments++] = item;
    }
    channel_send(client->channel, FRAME_CONTROL_REQUEST, &request.base, SPAN(""));
}

struct error *client_ask(const char *run_dir, const char *verb,
                         const struct client_argument *arguments, size_t argument_count,
                         int64_t wait_ms, client_piece_fn *on_piece, void *ctx)
{
    static const struct channel_events events = { on_frame, on_closed };
    struct client client = { .wait_ms = wait_ms, .on_piece = on_piece, .ctx = ctx };
    struct error *err;
    int fd = -1;

    err = connect_to(run_dir, &fd);
    if (err)
        return err;
    client.loop = loop_new();
    client.channel = channel_open(client.loop, fd, &events, &client);
    client.silence = loop_timer_new(client.loop, on_silence, &client);
    loop_timer_start(client.silence, wait_ms);
    send_request(&client, verb, arguments, argument_count);
    loop_run(client.loop);
    channel_free(&client.channel);
    loop_timer_free(&client.silence);
    loop_free(&client.loop);
    return client.err;
}
