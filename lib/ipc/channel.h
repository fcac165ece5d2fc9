/*
 * channel - frames over a socket pair: a protobuf message, raw body bytes behind it, perhaps one
 * descriptor.  Every channel between two processes is one of these.  The peer is taken as hostile:
 * lengths are checked before anything is allocated, a frame that does not decode ends the channel.
 *
 * Nobody ever stops reading a channel (design.md section 2): what a peer may send is bounded by
 * credit and leases, so output that meets a full socket is kept here and sent when there is room.
 */
#ifndef WAXSEAL_IPC_CHANNEL_H
#define WAXSEAL_IPC_CHANNEL_H

#include "lib/base/error.h"
#include "lib/base/span.h"
#include "lib/io/loop.h"
#include "lib/ipc/frames.h"

#include <protobuf-c/protobuf-c.h>

struct channel;

/* A frame as it came; all of it lent for the call. */
struct channel_frame {
    enum frame_type type;
    struct span message; /* protobuf bytes */
    struct span body;
    int fd; /* -1: none.  Who wants it takes it and sets -1; else it is closed. */
};

struct channel_events {
    void (*frame)(void *ctx, struct channel_frame *frame);
    /* The peer is gone (err NULL) or sent nonsense; only channel_free may follow. */
    void (*closed)(void *ctx, const struct error *err);
};

/*
 * Who hears, of all channels of a loop, of each that ends by itself; in a role that is
 * lib/ipc/role, which tells the supervisor.  `fd` is the number that channel_open was given, not
 * closed yet.
 */
struct channel_overseer {
    void (*ended)(void *ctx, int fd, const struct error *fault); /* NULL: the peer closed it */
    void *ctx;
};
void channel_oversee(struct loop *loop, struct channel_overseer *overseer); /* lent */

/* Takes the socket.  Callbacks come from the loop only; the channel may be freed in them. */
struct channel *channel_open(struct loop *loop, int fd, const struct channel_events *events,
                             void *ctx);
void channel_free(struct channel **channel);

/* Sends a frame at the end of the turn.  `message` and `body` are copied. */
void channel_send(struct channel *channel, enum frame_type type, const ProtobufCMessage *message,
                  struct span body);
/* The same of a message that was packed before; not an empty one. */
void channel_send_packed(struct channel *channel, enum frame_type type, struct span message);
/* The same with a descriptor, which is taken. */
void channel_send_fd(struct channel *channel, enum frame_type type, const ProtobufCMessage *message,
                     int fd);
/* Tries to send all that is kept, waiting at most `wait_ms`; for the end of a role. */
void channel_drain(struct channel *channel, int64_t wait_ms);
/* What crosses here may be a password: it is overwritten as soon as it is used. */
void channel_forgets(struct channel *channel);

size_t channel_pending(const struct channel *channel);

/*
 * Decodes a frame's message; NULL when it does not decode, on which the caller ends the channel by
 * channel_refuse.  The result is freed with protobuf_c_message_free_unpacked.
 */
void *channel_decode(const struct channel_frame *frame, const ProtobufCMessageDescriptor *as);

/* The peer broke the protocol: logs why and calls closed from the loop. */
void channel_refuse(struct channel *channel, const char *why);

/* Bytes fields and spans. */
static inline struct span span_of_bytes(ProtobufCBinaryData bytes)
{
    return (struct span){ (const char *)bytes.data, bytes.len };
}
ProtobufCBinaryData bytes_of_span(struct span s); /* lent: lives as long as the span */

#endif
