#include "tests/support/test.h"

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/queue.pb-c.h"
#include "lib/ipc/supervisor.pb-c.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two ends of a channel in one loop, and what the second one heard. */
struct ends {
    struct loop *loop;
    struct channel *a;
    struct channel *b;
    int raw_a; /* instead of a, for a hostile peer */
    unsigned frames;
    uint64_t body_bytes;
    uint64_t last_stream;
    int fd;
    bool closed;
    bool closed_with_error;
    bool free_in_frame;
    struct loop_timer *stop;
    struct channel_overseer overseer;
    unsigned overseen;
    int overseen_fd;
    bool overseen_fault;
};

static void on_stop(void *ctx)
{
    loop_stop(((struct ends *)ctx)->loop);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct ends *ends = ctx;

    ends->frames++;
    ends->body_bytes += frame->body.len;
    if (frame->type == FRAME_ACCEPT_CONTENT) {
        Ipc__AcceptContent *m = channel_decode(frame, &ipc__accept_content__descriptor);
        if (!m) {
            channel_refuse(ends->b, "does not decode");
            return;
        }
        ends->last_stream = m->stream;
        ipc__accept_content__free_unpacked(m, NULL);
    }
    if (frame->fd >= 0 && frame->type == FRAME_PEER) {
        ends->fd = frame->fd;
        frame->fd = -1;
    }
    if (ends->free_in_frame)
        channel_free(&ends->b);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct ends *ends = ctx;

    ends->closed = true;
    ends->closed_with_error = err != NULL;
}

static const struct channel_events events = { on_frame, on_closed };

static void ends_open(struct ends *ends, bool hostile)
{
    int fds[2];

    *ends = (struct ends){ .fd = -1, .raw_a = -1 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ends->loop = loop_new();
    ends->stop = loop_timer_new(ends->loop, on_stop, ends);
    if (hostile)
        ends->raw_a = fds[0];
    else
        ends->a = channel_open(ends->loop, fds[0], &events, ends);
    ends->b = channel_open(ends->loop, fds[1], &events, ends);
}

static void ends_run(struct ends *ends, int64_t ms)
{
    loop_timer_start(ends->stop, ms);
    loop_run(ends->loop);
}

static void ends_close(struct ends *ends)
{
    channel_free(&ends->a);
    channel_free(&ends->b);
    if (ends->raw_a >= 0)
        close(ends->raw_a);
    if (ends->fd >= 0)
        close(ends->fd);
    loop_timer_free(&ends->stop);
    loop_free(&ends->loop);
}

static void send_content(struct channel *c, uint64_t stream, size_t len)
{
    static char body[FRAME_BODY_MAX];
    Ipc__AcceptContent m = IPC__ACCEPT_CONTENT__INIT;

    m.stream = stream;
    channel_send(c, FRAME_ACCEPT_CONTENT, &m.base, (struct span){ body, len });
}

static void frames_arrive_whole_and_in_order(void **state)
{
    struct ends ends;
    (void)state;
    ends_open(&ends, false);
    for (uint64_t i = 1; i <= 200; i++)
        send_content(ends.a, i, FRAME_BODY_MAX); /* far more than a socket holds */
    assert_true(channel_pending(ends.a) > 0);
    ends_run(&ends, 300);
    assert_int_equal(ends.frames, 200);
    assert_int_equal(ends.body_bytes, 200 * FRAME_BODY_MAX);
    assert_int_equal(ends.last_stream, 200);
    assert_int_equal(channel_pending(ends.a), 0);
    ends_close(&ends);
}

static void a_descriptor_comes_with_its_frame(void **state)
{
    struct ends ends;
    Ipc__Peer peer = IPC__PEER__INIT;
    int pipe_fds[2];
    (void)state;
    ends_open(&ends, false);
    assert_int_equal(pipe(pipe_fds), 0);
    send_content(ends.a, 1, 50000);
    channel_send_fd(ends.a, FRAME_PEER, &peer.base, pipe_fds[1]);
    send_content(ends.a, 2, 50000);
    ends_run(&ends, 100);
    assert_int_equal(ends.frames, 3);
    assert_true(ends.fd >= 0);
    assert_int_equal(write(ends.fd, "x", 1), 1);
    char byte = 0;
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(pipe_fds[0]);
    ends_close(&ends);
}

static void a_descriptor_nobody_takes_is_closed(void **state)
{
    struct ends ends;
    Ipc__Start start = IPC__START__INIT;
    int pipe_fds[2];
    char byte;
    (void)state;
    ends_open(&ends, false);
    assert_int_equal(pipe2(pipe_fds, O_NONBLOCK), 0);
    channel_send_fd(ends.a, FRAME_START, &start.base, pipe_fds[1]);
    ends_run(&ends, 100);
    assert_int_equal(ends.frames, 1);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 0); /* no writer is left */
    close(pipe_fds[0]);
    ends_close(&ends);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/fd");

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* Bytes with three copies of a descriptor beside them, as a captured role could send them. */
static void send_with_fds(int to, struct span bytes, int fd)
{
    char control[CMSG_SPACE(3 * sizeof(int))] = { 0 };
    const int fds[3] = { fd, fd, fd };
    struct iovec io = { (void *)(uintptr_t)bytes.data, bytes.len };
    struct msghdr msg = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
    assert_int_equal(sendmsg(to, &msg, 0), bytes.len);
}

static void descriptors_that_nobody_announced_are_few_and_closed(void **state)
{
    static const char frame[12] = { 0, 0, 0, 0, 0, 0, 0, 0, FRAME_START };
    struct ends ends;
    int pipe_fds[2];
    char byte;
    (void)state;
    ends_open(&ends, true);
    assert_int_equal(pipe(pipe_fds), 0);
    unsigned before = open_descriptors();
    for (int i = 0; i < 100; i++)
        send_with_fds(ends.raw_a, (struct span){ frame, sizeof(frame) }, pipe_fds[1]);
    ends_run(&ends, 100);
    assert_int_equal(ends.frames, 100);
    assert_in_range(open_descriptors(), before, before + 64);
    close(pipe_fds[1]);
    ends_close(&ends);
    assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
    close(pipe_fds[0]);
}

static void the_end_of_the_peer_is_told_once(void **state)
{
    struct ends ends;
    (void)state;
    ends_open(&ends, false);
    channel_free(&ends.a);
    ends_run(&ends, 50);
    assert_true(ends.closed);
    assert_false(ends.closed_with_error);
    ends_close(&ends);
}

/* Says how long a frame will be, without sending it; did that alone end the channel? */
static bool header_ends_channel(uint32_t message_len, uint32_t body_len)
{
    struct ends ends;
    uint32_t header[3] = { message_len, body_len, FRAME_ACCEPT_CONTENT };
    ends_open(&ends, true);
    assert_int_equal(write(ends.raw_a, header, sizeof(header)), sizeof(header));
    ends_run(&ends, 50);
    assert_int_equal(ends.frames, 0);
    assert_int_equal(ends.closed, ends.closed_with_error);
    bool ended = ends.closed;
    ends_close(&ends);
    return ended;
}

static void a_frame_too_large_ends_the_channel_before_anything_is_kept(void **state)
{
    (void)state;
    assert_false(header_ends_channel(FRAME_MESSAGE_MAX, FRAME_BODY_MAX));
    assert_true(header_ends_channel(FRAME_MESSAGE_MAX + 1, 0));
    assert_true(header_ends_channel(0, FRAME_BODY_MAX + 1));
    assert_true(header_ends_channel(UINT32_MAX, UINT32_MAX));
}

static void a_message_that_does_not_decode_ends_the_channel(void **state)
{
    struct ends ends;
    uint32_t header[3] = { 4, 0, FRAME_ACCEPT_CONTENT };
    (void)state;
    ends_open(&ends, true);
    assert_int_equal(write(ends.raw_a, header, sizeof(header)), sizeof(header));
    assert_int_equal(write(ends.raw_a, "\xff\xff\xff\xff", 4), 4);
    ends_run(&ends, 50);
    assert_int_equal(ends.frames, 1);
    assert_true(ends.closed && ends.closed_with_error);
    ends_close(&ends);
}

static void half_a_frame_waits_for_the_rest(void **state)
{
    struct ends ends;
    uint32_t header[3] = { 2, 3, FRAME_ACCEPT_CONTENT };
    (void)state;
    ends_open(&ends, true);
    assert_int_equal(write(ends.raw_a, header, 7), 7);
    ends_run(&ends, 20);
    assert_int_equal(ends.frames, 0);
    assert_int_equal(write(ends.raw_a, (char *)header + 7, 5), 5);
    assert_int_equal(write(ends.raw_a,
                           "\x08\x05"
                           "ab",
                           4),
                     4);
    ends_run(&ends, 20);
    assert_int_equal(ends.frames, 0);
    assert_int_equal(write(ends.raw_a, "c", 1), 1);
    ends_run(&ends, 20);
    assert_int_equal(ends.frames, 1);
    assert_int_equal(ends.last_stream, 5);
    assert_int_equal(ends.body_bytes, 3);
    ends_close(&ends);
}

static void the_channel_may_be_freed_in_a_frame(void **state)
{
    struct ends ends;
    (void)state;
    ends_open(&ends, false);
    ends.free_in_frame = true;
    send_content(ends.a, 1, 10);
    send_content(ends.a, 2, 10);
    ends_run(&ends, 50);
    assert_int_equal(ends.frames, 1);
    ends_close(&ends);
}

static void on_overseen(void *ctx, int fd, const struct error *fault)
{
    struct ends *ends = ctx;

    ends->overseen++;
    ends->overseen_fd = fd;
    ends->overseen_fault = fault != NULL;
}

static void oversee(struct ends *ends)
{
    ends->overseer = (struct channel_overseer){ on_overseen, ends };
    channel_oversee(ends->loop, &ends->overseer);
}

static void who_oversees_hears_of_a_channel_that_was_refused_once(void **state)
{
    struct ends ends;
    (void)state;
    ends_open(&ends, true);
    oversee(&ends);
    assert_int_equal(write(ends.raw_a, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12), 12);
    ends_run(&ends, 20);
    channel_refuse(ends.b, "once more");
    ends_run(&ends, 20);
    assert_int_equal(ends.overseen, 1);
    assert_true(ends.overseen_fault);
    assert_true(ends.overseen_fd > 2 && ends.overseen_fd != ends.raw_a);
    ends_close(&ends);
}

static void who_oversees_hears_of_a_peer_that_closed(void **state)
{
    struct ends ends;
    (void)state;
    ends_open(&ends, true);
    oversee(&ends);
    close(ends.raw_a);
    ends.raw_a = -1;
    ends_run(&ends, 20);
    assert_int_equal(ends.overseen, 1);
    assert_false(ends.overseen_fault);
    assert_true(ends.closed);
    ends_close(&ends);
}

static void who_oversees_hears_nothing_of_a_channel_that_its_owner_frees(void **state)
{
    struct ends ends;
    (void)state;
    ends_open(&ends, true);
    oversee(&ends);
    channel_free(&ends.b);
    ends_run(&ends, 20);
    assert_int_equal(ends.overseen, 0);
    ends_close(&ends);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "channel: frames arrive whole and in order", frames_arrive_whole_and_in_order, 0, 0, 0 },
        { "channel: a descriptor comes with its frame", a_descriptor_comes_with_its_frame, 0, 0,
          0 },
        { "channel: a descriptor nobody takes is closed", a_descriptor_nobody_takes_is_closed, 0, 0,
          0 },
        { "channel: descriptors that nobody announced are few, and closed in the end",
          descriptors_that_nobody_announced_are_few_and_closed, 0, 0, 0 },
        { "channel: the end of the peer is told once", the_end_of_the_peer_is_told_once, 0, 0, 0 },
        { "channel: a frame too large ends the channel before anything is kept",
          a_frame_too_large_ends_the_channel_before_anything_is_kept, 0, 0, 0 },
        { "channel: a message that does not decode ends the channel",
          a_message_that_does_not_decode_ends_the_channel, 0, 0, 0 },
        { "channel: half a frame waits for the rest", half_a_frame_waits_for_the_rest, 0, 0, 0 },
        { "channel: the channel may be freed in a frame", the_channel_may_be_freed_in_a_frame, 0, 0,
          0 },
        { "channel: who oversees hears of a channel that was refused, once",
          who_oversees_hears_of_a_channel_that_was_refused_once, 0, 0, 0 },
        { "channel: who oversees hears of a peer that closed",
          who_oversees_hears_of_a_peer_that_closed, 0, 0, 0 },
        { "channel: who oversees hears nothing of a channel that its owner frees",
          who_oversees_hears_nothing_of_a_channel_that_its_owner_frees, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
