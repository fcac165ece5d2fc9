#include "lib/ipc/channel.h"

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FRAME_HEADER_SIZE = 12,
    FRAME_SIZE_MAX = FRAME_HEADER_SIZE + FRAME_MESSAGE_MAX + FRAME_BODY_MAX,
    CHANNEL_READ_SIZE = 256 * 1024, /* at a time */
    CHANNEL_READS_PER_TURN = 4,     /* then the others get their turn */
    CHANNEL_FDS_MAX = 64,           /* descriptors that came and wait for their frame */
};

/* In front of each frame; both ends are the same binary, so the machine's byte order will do. */
struct frame_header {
    uint32_t message_len;
    uint32_t body_len;
    uint16_t type;
    uint16_t with_fd;
};
_Static_assert(sizeof(struct frame_header) == FRAME_HEADER_SIZE, "the header has no padding");

/* A descriptor to be sent, at the byte of the output where its frame begins. */
struct outgoing_fd {
    struct list others;
    uint64_t at; /* counted from the first byte ever sent */
    int fd;
};

struct channel {
    struct loop *loop;
    int fd;
    struct loop_watch *watch;
    struct loop_task flush;
    struct loop_task end; /* calls closed */
    const struct channel_events *events;
    void *ctx;
    struct buf in;
    struct buf out;
    uint64_t sent; /* bytes ever sent */
    struct list out_fds;
    int in_fds[CHANNEL_FDS_MAX];
    unsigned in_fd_count;
    struct error *fault; /* why it ends; NULL with `ended`: the peer closed */
    bool ended;          /* no more frames, `end` is under way or done */
    bool *freed;         /* set when the channel is freed inside a callback */
    bool forgets;        /* overwrites what it is done with */
};

static void on_ready(void *ctx, bool readable, bool writable);

static void on_flush(void *ctx);

/* Reports the end to the owner, outside of any call of his. */
static void on_end(void *ctx)
{
    struct channel *c = ctx;

    c->events->closed(c->ctx, c->fault);
}

void channel_oversee(struct loop *loop, struct channel_overseer *overseer)
{
    loop_attach(loop, overseer);
}

static void tell_overseer(const struct channel *c)
{
    const struct channel_overseer *overseer = loop_attached(c->loop);

    if (overseer)
        overseer->ended(overseer->ctx, c->fd, c->fault);
}

static void channel_stop(struct channel *c, struct error *fault)
{
    if (c->ended) {
        error_free(&fault);
        return;
    }
    c->ended = true;
    c->fault = fault;
    loop_watch_want(c->watch, false, false);
    loop_task_cancel(&c->flush);
    loop_defer(c->loop, &c->end);
    tell_overseer(c);
}

struct channel *channel_open(struct loop *loop, int fd, const struct channel_events *events,
                             void *ctx)
{
    struct channel *c = memory_new(sizeof(*c));

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    c->loop = loop;
    c->fd = fd;
    c->events = events;
    c->ctx = ctx;
    buf_init(&c->in, FRAME_SIZE_MAX + CHANNEL_READ_SIZE);
    buf_init(&c->out, SIZE_MAX / 2);
    list_init(&c->out_fds);
    loop_task_init(&c->flush, on_flush, c);
    loop_task_init(&c->end, on_end, c);
    c->watch = loop_watch_new(loop, fd, on_ready, c);
    loop_watch_want(c->watch, true, false);
    return c;
}

void channel_free(struct channel **channel)
{
    struct channel *c = *channel;
    struct outgoing_fd *out;

    if (!c)
        return;
    if (c->freed)
        *c->freed = true;
    loop_task_cancel(&c->flush);
    loop_task_cancel(&c->end);
    loop_watch_free(&c->watch);
    close(c->fd);
    LIST_EACH(out, &c->out_fds, struct outgoing_fd, others)
    {
        close(out->fd);
        free(out);
    }
    for (unsigned i = 0; i < c->in_fd_count; i++)
        close(c->in_fds[i]);
    buf_clear(&c->in);
    buf_clear(&c->out);
    error_free(&c->fault);
    free(c);
    *channel = NULL;
}

/* --- sending */

ProtobufCBinaryData bytes_of_span(struct span s)
{
    /* protobuf-c has no const here; packing only reads. */
    return (ProtobufCBinaryData){ s.len, (uint8_t *)(uintptr_t)s.data };
}

/* A frame's room in the output, its header written; gives where the message goes, then the body. */
static char *begin_frame(struct channel *c, enum frame_type type, size_t message_len,
                         size_t body_len, bool with_fd)
{
    struct frame_header header = { (uint32_t)message_len, (uint32_t)body_len, (uint16_t)type,
                                   with_fd };
    size_t size = sizeof(header) + message_len + body_len;
    size_t room;
    char *at;

    ensure(message_len <= FRAME_MESSAGE_MAX && body_len <= FRAME_BODY_MAX);
    at = buf_reserve(&c->out, size, &room);
    ensure(at != NULL);
    memcpy(at, &header, sizeof(header));
    buf_commit(&c->out, size);
    loop_defer(c->loop, &c->flush);
    return at + sizeof(header);
}

static void put_frame(struct channel *c, enum frame_type type, const ProtobufCMessage *message,
                      struct span body, bool with_fd)
{
    size_t message_len = protobuf_c_message_get_packed_size(message);
    char *at = begin_frame(c, type, message_len, body.len, with_fd);

    protobuf_c_message_pack(message, (uint8_t *)at);
    if (body.len > 0)
        memcpy(at + message_len, body.data, body.len);
}

void channel_send_packed(struct channel *channel, enum frame_type type, struct span message)
{
    if (!channel->ended && message.len > 0)
        memcpy(begin_frame(channel, type, message.len, 0, false), message.data, message.len);
}

void channel_send(struct channel *channel, enum frame_type type, const ProtobufCMessage *message,
                  struct span body)
{
    if (!channel->ended)
        put_frame(channel, type, message, body, false);
}

void channel_send_fd(struct channel *channel, enum frame_type type, const ProtobufCMessage *message,
                     int fd)
{
    struct outgoing_fd *out;

    if (channel->ended) {
        close(fd);
        return;
    }
    out = memory_new(sizeof(*out));
    out->at = channel->sent + buf_len(&channel->out);
    out->fd = fd;
    list_append(&channel->out_fds, &out->others);
    put_frame(channel, type, message, (struct span){ NULL, 0 }, true);
}

void channel_forgets(struct channel *channel)
{
    channel->forgets = true;
}

/* Uses up the front of a buffer. */
static void use_up(const struct channel *c, struct buf *b, size_t len)
{
    if (c->forgets)
        crypto_cleanse(b->base + b->start, len);
    buf_consume(b, len);
}

size_t channel_pending(const struct channel *channel)
{
    return buf_len(&channel->out);
}

/* One sendmsg: up to the next frame that has a descriptor, or beginning with it. */
static ssize_t send_some(struct channel *c)
{
    struct span bytes = buf_span(&c->out);
    struct iovec io = { (void *)(uintptr_t)bytes.data, bytes.len };
    struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1 };
    char control[CMSG_SPACE(sizeof(int))] = { 0 };

    if (!list_empty(&c->out_fds)) {
        const struct outgoing_fd *out = LIST_FIRST(&c->out_fds, struct outgoing_fd, others);
        if (out->at > c->sent) {
            io.iov_len = out->at - c->sent < bytes.len ? out->at - c->sent : bytes.len;
        } else {
            msg.msg_control = control;
            msg.msg_controllen = sizeof(control);
            struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
            cmsg->cmsg_level = SOL_SOCKET;
            cmsg->cmsg_type = SCM_RIGHTS;
            cmsg->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(cmsg), &out->fd, sizeof(int));
            io.iov_len = 1; /* the descriptor travels with the first byte of its frame */
        }
    }
    return sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void forget_sent_fd(struct channel *c)
{
    if (list_empty(&c->out_fds))
        return;
    struct outgoing_fd *out = LIST_FIRST(&c->out_fds, struct outgoing_fd, others);
    if (out->at < c->sent) {
        list_remove(&out->others);
        close(out->fd);
        free(out);
    }
}

/* Sends what the kernel takes; false when it takes no more for now, or the peer is gone. */
static bool flush_some(struct channel *c)
{
    ssize_t put = send_some(c);

    if (put < 0 && errno == EINTR)
        return true;
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (put < 0) {
        buf_reset(&c->out); /* the end is seen, and told, by reading */
        return false;
    }
    c->sent += (uint64_t)put;
    use_up(c, &c->out, (size_t)put);
    forget_sent_fd(c);
    return true;
}

static void on_flush(void *ctx)
{
    struct channel *c = ctx;

    while (buf_len(&c->out) > 0 && flush_some(c))
        ;
    loop_watch_want(c->watch, true, buf_len(&c->out) > 0);
}

void channel_drain(struct channel *channel, int64_t wait_ms)
{
    while (!channel->ended && buf_len(&channel->out) > 0) {
        struct pollfd ready = { channel->fd, POLLOUT, 0 };
        if (!flush_some(channel) && poll(&ready, 1, (int)wait_ms) <= 0)
            return;
    }
}

/* --- receiving */

static void keep_fds(struct channel *c, struct msghdr *msg)
{
    for (struct cmsghdr *at = CMSG_FIRSTHDR(msg); at; at = CMSG_NXTHDR(msg, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
            if (c->in_fd_count < CHANNEL_FDS_MAX)
                c->in_fds[c->in_fd_count++] = fd;
            else
                close(fd);
        }
    }
}

static ssize_t receive_some(struct channel *c)
{
    char control[CMSG_SPACE(sizeof(int) * 8)];
    size_t room;
    char *end = buf_reserve(&c->in, CHANNEL_READ_SIZE, &room);
    struct iovec io = { end, room };
    struct msghdr msg = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    ensure(end != NULL);
    ssize_t got = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (got > 0) {
        buf_commit(&c->in, (size_t)got);
        keep_fds(c, &msg);
    }
    return got;
}

static int take_fd(struct channel *c)
{
    if (c->in_fd_count == 0)
        return -1;
    int fd = c->in_fds[0];
    memmove(c->in_fds, c->in_fds + 1, --c->in_fd_count * sizeof(int));
    return fd;
}

enum gift { GIFT_GIVEN, GIFT_NONE, GIFT_FREED };

/* Gives one whole frame to the owner, if there is one; he may free the channel. */
static enum gift give_frame(struct channel *c)
{
    struct span in = buf_span(&c->in);
    struct frame_header header;
    bool freed = false;

    if (c->ended || in.len < sizeof(header))
        return GIFT_NONE;
    memcpy(&header, in.data, sizeof(header));
    if (header.message_len > FRAME_MESSAGE_MAX || header.body_len > FRAME_BODY_MAX) {
        channel_refuse(c, "frame too large");
        return GIFT_NONE;
    }
    size_t size = sizeof(header) + header.message_len + header.body_len;
    if (in.len < size)
        return GIFT_NONE;
    struct channel_frame frame = {
        .type = (enum frame_type)header.type,
        .message = { in.data + sizeof(header), header.message_len },
        .body = { in.data + sizeof(header) + header.message_len, header.body_len },
        .fd = header.with_fd ? take_fd(c) : -1,
    };
    c->freed = &freed; // cppcheck-suppress autoVariables ; reset below unless the channel is gone
    c->events->frame(c->ctx, &frame);
    if (frame.fd >= 0)
        close(frame.fd);
    if (freed)
        return GIFT_FREED;
    c->freed = NULL;
    use_up(c, &c->in, size);
    return GIFT_GIVEN;
}

/* Gives all whole frames; false when the channel was freed meanwhile. */
static bool give_frames(struct channel *c)
{
    enum gift gift;

    do
        gift = give_frame(c);
    while (gift == GIFT_GIVEN);
    return gift != GIFT_FREED;
}

static void on_ready(void *ctx, bool readable, bool writable)
{
    struct channel *c = ctx;

    if (writable)
        loop_defer(c->loop, &c->flush);
    if (!readable || c->ended)
        return;
    for (int i = 0; i < CHANNEL_READS_PER_TURN; i++) {
        ssize_t got = receive_some(c);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            channel_stop(c, NULL);
            return;
        }
        if (!give_frames(c) || c->ended || got < CHANNEL_READ_SIZE)
            return;
    }
}

void *channel_decode(const struct channel_frame *frame, const ProtobufCMessageDescriptor *as)
{
    return protobuf_c_message_unpack(as, NULL, frame->message.len,
                                     (const uint8_t *)frame->message.data);
}

void channel_refuse(struct channel *channel, const char *why)
{
    struct log_line line;

    log_begin(&line, LOG_ERROR, "channel-refused");
    log_string(&line, "why", why);
    log_end(&line);
    channel_stop(channel, error_new(ERROR_LOCAL, "%s", why));
}
