/*
 * asks - the queue's side of the role: takes header blocks, has them signed by all keys that are
 * for the author's domain, and answers each ask once, within SIGN_WAIT_MS.  Ed25519 at once, RSA by
 * signers.  Called by sign; owns the channels to the queue.
 * The queue may be in a stranger's hand: what does not decode ends its channel, and it can have
 * signed what it wants anyway, but learns nothing of a key.
 * Rules: RFC 6376 s.5, rfc/dkim.md DKIM-1 to DKIM-7, lib/ipc/sign.proto.
 */
#ifndef WAXSEAL_QUEUE_SIGN_ASKS_H
#define WAXSEAL_QUEUE_SIGN_ASKS_H

#include "lib/base/limits.h"
#include "lib/io/loop.h"
#include "queue/sign/keys.h"

enum {
    SIGN_WAIT_MS = 15 * 1000,                       /* for RSA; the queue waits for 20 s */
    SIGN_HEADER_MAX = HEADER_BYTES_MAX + 16 * 1024, /* as queue/signing reads it */
    SIGN_KEYS_MAX = SETTINGS_DKIM_PER_SENDER_MAX,   /* that sign one message */
    SIGN_FIELDS_MAX = 48 * 1024,                    /* octets of all fields of a message */
    SIGN_OPEN_MAX = 20000,                          /* asks that wait for RSA */
    SIGN_OPEN_BYTES_MAX = 64 * 1024 * 1024,         /* what they hold */
};

/* What came of all asks so far, for the operator. */
struct asks_counts {
    uint64_t signed_messages;
    uint64_t signed_already;
    uint64_t without_key;
    uint64_t unsignable;
    uint64_t trouble;
    int64_t last_trouble_utc_ms; /* 0: never */
    char last_trouble[256];
};

struct asks;

/* `keys` is held; each ask is answered within `wait_ms`. */
struct asks *asks_new(struct loop *loop, struct keys *keys, int64_t wait_ms);
void asks_free(struct asks **asks);
/* From now on; what is being signed goes on with the keys it began with. */
void asks_use(struct asks *asks, struct keys *keys);
/* A channel to the queue, new or restarted; takes the descriptor. */
void asks_attach(struct asks *asks, int fd);
const struct asks_counts *asks_counts(const struct asks *asks);

#endif
