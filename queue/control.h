/*
 * control - the operator's requests to the queue: list, summary, show, retry, counts.  Called by
 * queue; answers JSON (docs/storage.md names the members).  Reading happens in short transactions,
 * a page at a time.
 */
#ifndef WAXSEAL_QUEUE_CONTROL_H
#define WAXSEAL_QUEUE_CONTROL_H

#include "lib/ipc/role.h"
#include "queue/committer.h"
#include "queue/dispatch.h"

struct control {
    struct loop *loop;
    struct store *store;
    struct committer *committer;
    struct dispatch *dispatch;
};

/* Answers a request, now or later. */
void control_answer(struct control *control, struct role_request *request);

#endif
