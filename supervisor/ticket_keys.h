/*
 * ticket_keys - the keys that seal TLS sessions into tickets: one set for all smtpd processes, so
 * that a client may come back to any of them, before and after a reload.  A new key every 12 hours;
 * the one before it still opens, longer than any ticket lives (2 hours).  Called by
 * supervisor/handover.  Pure but for its random bytes.
 */
#ifndef WAXSEAL_SUPERVISOR_TICKET_KEYS_H
#define WAXSEAL_SUPERVISOR_TICKET_KEYS_H

#include "lib/base/span.h"
#include "lib/io/tls_server.h"

#include <stdint.h>

enum { TICKET_KEYS_KEPT = 2 };

/* A plain value; all zero: none yet. */
struct ticket_keys {
    unsigned char bytes[TICKET_KEYS_KEPT * TLS_TICKET_KEY_SIZE]; /* the newest first */
    unsigned count;
    int64_t due_ms; /* monotonic: when the next is made */
};

/* Makes a new key when one is due, or when there is none; true when it has. */
bool ticket_keys_renew(struct ticket_keys *keys, int64_t now_ms);
/* As they are handed over; lent. */
struct span ticket_keys_span(const struct ticket_keys *keys);
void ticket_keys_forget(struct ticket_keys *keys);

#endif
