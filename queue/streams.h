/*
 * streams - the queue's side of smtpd, pickup and tlsrpt: takes messages in as they arrive, in
 * parts when they are large, and answers when they are committed and synced.  Called by queue; owns
 * the channels to the smtpd instances.  A message is never wholly in memory: a stream holds at most
 * STREAM_WINDOW, those of one smtpd at most INLET_BYTES_MAX and a chunk each.
 */
#ifndef WAXSEAL_QUEUE_STREAMS_H
#define WAXSEAL_QUEUE_STREAMS_H

#include "queue/committer.h"
#include "queue/probes.h"
#include "queue/store_accept.h"

struct streams;

struct streams_events {
    /* A message was committed. */
    void (*accepted)(void *ctx, const struct envelope *envelope);
    /* smtpd asks whether there is such a mailbox at its next hop, for which the facts are lent. */
    void (*probe)(void *ctx, struct probe_asker *asker, uint64_t id, const struct address *mailbox,
                  const struct routing_facts *facts);
};

struct streams *streams_new(struct loop *loop, struct store *store, struct committer *committer,
                            const struct streams_events *events, void *ctx);
void streams_free(struct streams **streams);

/*
 * A channel to an smtpd instance, to pickup or to tlsrpt; takes the descriptor.  From tlsrpt come
 * reports alone, and from nobody else any (RFC 8460 s.3).
 */
void streams_attach(struct streams *streams, int fd, bool is_tlsrpt);

/* Who speaks to senders whose aliases were expanded; lives as long as the process. */
void streams_set_notify(struct streams *streams, const struct notify_settings *notify);
/* No more messages than that are taken in, those on their way included. */
void streams_set_messages_max(struct streams *streams, uint64_t messages_max);
/* Tells all smtpd instances when the queue has become full, or has room again. */
void streams_check_room(struct streams *streams);
/* Why smtpd refuses new mail: the setting whose limit is reached, or "disk"; NULL: it does not. */
const char *streams_full_because(const struct streams *streams);

/* Sends what was answered; for the end of the role. */
void streams_flush(struct streams *streams, int64_t wait_ms);

#endif
