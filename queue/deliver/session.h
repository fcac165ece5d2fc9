/*
 * session - one connection of this worker, from the decision to connect to its end: the seat it
 * takes, the lane it counts for, the dialogue, and what is known of its security.  Made by attempt,
 * kept by pool between two messages.  Owns the dialogue.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_SESSION_H
#define WAXSEAL_QUEUE_DELIVER_SESSION_H

#include "queue/deliver/dialogue.h"
#include "queue/deliver/pool.h"

struct host_slot;
struct lane;
struct pool_host;

struct session {
    struct list others;  /* in the pool */
    struct list of_host; /* there, among those with the same MX host */
    struct pool_host *host;
    int64_t idle_since_ms;
    struct lane *lane;         /* whose seat it is */
    struct host_slot *slot;    /* leave to connect; NULL while it has none */
    struct dialogue *dialogue; /* NULL: not connected */
    struct pool_key key;       /* valid once the dialogue was judged */
    struct tlsa_set *tlsa;     /* by which it was; NULL: none bind */
    bool waits_for_greeting;   /* counted as such, */
    int64_t waits_since_ms;    /* of the loop */
    struct list of_waiting;    /* among all that wait, or all that are parked, the oldest first */
    bool is_parked;            /* it waits without a seat */

    /* For the decision records of all its messages. */
    char address[NETWORK_TEXT_SIZE];
    const char *tls;   /* "verified", "encrypted", "none", "" */
    const char *level; /* as level_reached has it */
};

/* Takes a seat; the caller has seen that one is free. */
struct session *session_new(struct lane *lane);
/* Gives the seat back, and closes what is open: with QUIT where that is in order. */
void session_free(struct session **session);
/* It counts for another lane from now on. */
void session_move(struct session *session, struct lane *lane);

/* Counts, or no longer counts, among those that wait for a greeting. */
void session_wait(struct session *session, bool waits);
/* It waits, and gives its seat back; it has it again, if need be beyond the number, when it no
 * longer waits. */
void session_park(struct session *session);

/* Writes down what the dialogue's facts say of a session with `mx`, by a context of that floor. */
void session_describe(struct session *session, const char *mx, enum tls_floor floor,
                      uint64_t trust_generation);

#endif
