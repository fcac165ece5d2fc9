/*
 * streams_private - what the parts of streams share: streams.c has the instances of smtpd and what
 * they say, streams_parts.c one message on its way to disk, part by part, and its end.
 */
#ifndef WAXSEAL_QUEUE_STREAMS_PRIVATE_H
#define WAXSEAL_QUEUE_STREAMS_PRIVATE_H

#include "lib/base/map.h"
#include "lib/ipc/channel.h"
#include "queue/streams.h"

enum { TRACE_MAX = 8 * 1024 }; /* a Received field */

struct streams {
    struct loop *loop;
    struct store *store;
    struct committer *committer;
    const struct streams_events *events;
    void *ctx;
    struct list inlets;
    uint64_t in_flight;    /* content bytes received and not committed */
    uint64_t open;         /* messages on their way in */
    uint64_t messages_max; /* queue-messages-max */
    const struct notify_settings *notify;
    int64_t full_until_ms; /* the disk was full */
    bool full;
};

/* One smtpd instance.  A captured one cannot make us hold more than its share. */
struct inlet {
    struct list others;
    struct streams *streams;
    struct channel *channel;
    struct map *by_number;
    struct list charged; /* streams, also those that it is not interested in any more */
    unsigned charged_count;
    uint64_t held; /* bytes: envelopes, and windows beyond the first credit */
    struct probe_asker asker;
    bool is_tlsrpt;
};

/* One message on its way in.  At most one operation is under way for it at a time. */
struct stream {
    struct inlet *inlet;      /* NULL: nobody waits for it any more */
    struct inlet *charged_to; /* NULL: that one is gone */
    struct list of_charged;
    size_t envelope_bytes; /* these count for its inlet */
    bool is_wide;          /* has all of a window, which counts, too */
    uint64_t number;
    uint64_t id;
    struct envelope envelope;
    struct buf content;  /* not yet handed to the committer */
    size_t credit;       /* bytes that smtpd may still send */
    uint64_t received;   /* content bytes, trace field included */
    uint32_t next_chunk; /* the first that is not handed to the committer */
    struct once once;
    bool committing;
    bool ended;
    bool eight_bit;
    struct body_hashes body;
};

/* --- streams_parts.c */
/* The stream counts for the inlet's share from here on, until its end or the inlet's. */
void streams_charge(struct inlet *inlet, struct stream *stream);
void streams_discharge(struct stream *stream);
/* smtpd may send what the window has room for. */
void streams_grant_credit(struct stream *stream);
/* Hands the next part to the committer, if there is one and none is under way. */
void streams_commit_more(struct streams *s, struct stream *stream);
/* Tells smtpd, and lets go of it. */
void streams_refuse(struct streams *s, struct stream *stream, Ipc__AcceptOutcome outcome);
/* smtpd is not interested any more; what is under way comes to its end first. */
void streams_abandon(struct streams *s, struct stream *stream);
/* One of which nothing is on disk or on its way there. */
void streams_forget(struct streams *s, struct stream *stream);

#endif
