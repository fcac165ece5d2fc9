/*
 * control - the operator's requests to the queue.  Called by queue; answers JSON (docs/storage.md
 * names the members).  Lists are in control_lists, changes of what waits in control_changes; all of
 * it happens in short transactions.  What comes in was written by whoever reached the socket.
 */
#ifndef WAXSEAL_QUEUE_CONTROL_H
#define WAXSEAL_QUEUE_CONTROL_H

#include "lib/ipc/role.h"
#include "queue/committer.h"
#include "queue/dispatch.h"
#include "queue/hosts.h"
#include "queue/notify.h"
#include "queue/streams.h"

struct control {
    struct loop *loop;
    struct store *store;
    struct committer *committer;
    struct dispatch *dispatch;
    struct leases *leases;
    struct hosts *hosts;
    const struct exceptions *exceptions;
    const struct streams *streams;
    const struct role *role; /* whose settings are asked */
    const struct notify_settings *notify;
    struct list changes; /* the first is under way */
    struct list counts;
};
void control_init(struct control *control);
/* After the committer has ended, before what is pointed to is freed. */
void control_end(struct control *control);

/* The setting `delivery`: "on", or "hold" while nothing is sent. */
const char *control_delivery(const struct control *control);

/* Answers a request, now or later. */
void control_answer(struct control *control, struct role_request *request);

#endif
