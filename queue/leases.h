/*
 * leases - which recipients are with which worker.  A lease has a number that begins with the
 * message's id, so that a new queue process, to which a worker reports the leases it still holds,
 * knows the messages they are about.  Called by workers and dispatch.  In memory only; owns the
 * leases.  Pure otherwise: it sends nothing and writes nothing.
 */
#ifndef WAXSEAL_QUEUE_LEASES_H
#define WAXSEAL_QUEUE_LEASES_H

#include "lib/base/list.h"

#include <stdint.h>

struct leases;
struct leased_message;

struct lease {
    uint64_t number;
    uint64_t id;           /* of the message */
    struct list of_worker; /* the holder's list; who has none: a list of its own */
    struct list of_message;
    struct leased_message *message;
    void *holder; /* the worker; NULL for rows that are being moved, or after its death */
    void *hop;    /* dispatch's */
    int64_t started_ms;
    int64_t accepted_utc_ms; /* when the message was; 0: not known */
    unsigned pulled;         /* chunks that the holder asked for and was not sent yet */
    unsigned standing;       /* dispatch's: that of the hop when the lease began */
    struct list of_trials;   /* slots': while it has a place of those that may turn out silent, */
    int64_t tried_ms;        /* since when, of the loop, */
    bool is_parked;          /* and that it gave it up */
    bool last_attempt;
    bool is_damaged; /* its content cannot be read */
    bool is_unsent;  /* its job waits for signatures: the holder knows nothing of it */
    bool settling;   /* the outcome is on its way to disk */
    bool covers_all; /* taken over from an earlier queue: all recipients of the message */
    unsigned count;
    uint32_t numbers[]; /* ascending */
};

struct leases *leases_new(void);
void leases_free(struct leases **leases);

/* A new lease on recipients of a message; `numbers` ascend. */
struct lease *lease_begin(struct leases *leases, uint64_t id, const uint32_t *numbers,
                          unsigned count);
/* A lease given by an earlier queue process; NULL when the number is taken. */
struct lease *lease_take_over(struct leases *leases, uint64_t number);
void lease_end(struct leases *leases, struct lease **lease);

struct lease *lease_find(const struct leases *leases, uint64_t number);
/* Is that recipient with somebody? */
bool lease_covers(const struct leases *leases, uint64_t id, uint32_t number);
/* ... with somebody else than the holder of this lease? */
bool lease_covers_besides(const struct leases *leases, uint64_t id, uint32_t number,
                          const struct lease *besides);
/* The lease by which a worker has it; NULL: none has. */
struct lease *lease_of_holder(const struct leases *leases, uint64_t id, uint32_t number);
/* Does this lease hold the recipient? */
bool lease_has(const struct lease *lease, uint32_t number);
size_t lease_count(const struct leases *leases);

#endif
