/*
 * fake_queue_client - stands in for lib/ipc/queue_client: keeps the one message under way in
 * memory, and answers as the test says.  Linked in front of the library, so that its functions win.
 */
#ifndef WAXSEAL_TESTS_FAKE_QUEUE_CLIENT_H
#define WAXSEAL_TESTS_FAKE_QUEUE_CLIENT_H

#include "lib/base/buf.h"
#include "lib/ipc/queue_client.h"

struct fake_queue {
    /* Set by the test. */
    size_t window;     /* credit at the begin of a message */
    bool gives_credit; /* gives back at once, from the loop, what was taken */
    bool answers;      /* at once, from the loop, with: */
    enum accept_outcome outcome;
    enum probe_verdict probed; /* what probes come to, at once, from the loop, ... */
    bool ignores_probes;       /* ... unless there is no answer */

    /* Seen by the test. */
    unsigned begun, ended, aborted, probes;
    struct buf content; /* of the last message, with its trace field in front */
    char reverse_path[ADDRESS_MAX + 1];
    char recipients[1024]; /* separated by blanks */
    struct queue_content facts;
    uint64_t next_id;
};

extern struct fake_queue fake_queue;

/* As at the start: up, takes everything, answers ACCEPT_DONE. */
void fake_queue_reset(void);
void fake_queue_set_state(bool up, bool full); /* tells the client */
void fake_queue_credit(size_t bytes);
/* Ends the message under way, whole or not. */
void fake_queue_answer(enum accept_outcome outcome);
bool fake_queue_is_busy(void);

#endif
