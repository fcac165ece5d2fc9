/*
 * queue_client - smtpd's side of the queue, also pickup's and tlsrpt's: hands in messages as they
 * arrive.  Credit, loss of the queue and its return are handled here; the owner hears of three
 * things.
 */
#ifndef WAXSEAL_IPC_QUEUE_CLIENT_H
#define WAXSEAL_IPC_QUEUE_CLIENT_H

#include "lib/io/body_hash.h"
#include "lib/io/loop.h"
#include "lib/mail/envelope.h"

struct queue_client;
struct queue_accept;

enum accept_outcome {
    ACCEPT_DONE,    /* committed and synced: say 250 */
    ACCEPT_FULL,    /* 452 4.3.1 */
    ACCEPT_TROUBLE, /* 451 4.3.0 */
    ACCEPT_LOST,    /* the queue went away; not known whether it was committed: 451 4.3.0 */
};

struct queue_accept_events {
    /* More content may be handed in, after queue_accept_room had become 0. */
    void (*room)(void *ctx);
    /* How it ended; the accept is freed afterwards. */
    void (*done)(void *ctx, enum accept_outcome outcome, uint64_t id);
};

/* `on_state` (or NULL) is called when the queue comes, goes, fills or empties. */
struct queue_client *queue_client_new(struct loop *loop, void (*on_state)(void *ctx), void *ctx);
void queue_client_free(struct queue_client **client);
/* A channel to a queue, new or restarted; takes the descriptor. */
void queue_client_attach(struct queue_client *client, int fd);
bool queue_client_is_up(const struct queue_client *client);
bool queue_client_is_full(const struct queue_client *client);

/*
 * Asks whether the next hop takes mail for a mailbox, in the transaction of `envelope`.  `done` is
 * called once, later, and the probe is freed; the queue must be up.
 */
enum probe_verdict { PROBE_UNDECIDED, PROBE_TAKEN, PROBE_REFUSED };
struct queue_probe;
typedef void queue_probe_fn(void *ctx, enum probe_verdict verdict);
struct queue_probe *queue_probe_begin(struct queue_client *client, const struct address *mailbox,
                                      const struct envelope *envelope, queue_probe_fn *done,
                                      void *ctx);
/* No `done` comes any more.  Accepts NULL inside. */
void queue_probe_cancel(struct queue_probe **probe);

/* Begins a message.  The queue must be up.  The trace field is head + queue id + tail. */
struct queue_accept *queue_accept_begin(struct queue_client *client,
                                        const struct envelope *envelope, struct span trace_head,
                                        struct span trace_tail,
                                        const struct queue_accept_events *events, void *ctx);
/*
 * The same under a key of 1 to ONCE_KEY_MAX octets, which only tlsrpt may give: of all that are
 * begun under it within ONCE_KEPT_MS the first that is committed goes into the queue, once; the
 * others end with ACCEPT_DONE and its id.  After ACCEPT_LOST or any trouble: begin it anew.
 */
struct queue_accept *queue_accept_begin_once(struct queue_client *client,
                                             const struct envelope *envelope, struct span once,
                                             struct span trace_head, struct span trace_tail,
                                             const struct queue_accept_events *events, void *ctx);
/* Bytes that may be handed in now. */
size_t queue_accept_room(const struct queue_accept *accept);
/* Hands in content, at most the room. */
void queue_accept_content(struct queue_accept *accept, struct span bytes);
/* What is known of content that has come. */
struct queue_content {
    uint64_t size;           /* without the trace field */
    bool eight_bit;          /* bytes above 127 ... */
    bool utf8_header;        /* ... in its header */
    bool tls_required_no;    /* its header says so (lib/mail/tls_required) */
    struct body_hashes body; /* for its DKIM signatures, where it may get some */
};
/* The content is whole; `done` comes after the commit. */
void queue_accept_end(struct queue_accept *accept, struct queue_content content);
/* Throws it away; `done` does not come.  Accepts NULL inside. */
void queue_accept_abort(struct queue_accept **accept);

#endif
