/*
 * grants - the slots that one worker was granted in this turn of the loop, sent in one frame at its
 * end.  Embedded in the worker; called by workers.
 */
#ifndef WAXSEAL_QUEUE_GRANTS_H
#define WAXSEAL_QUEUE_GRANTS_H

#include "lib/io/loop.h"
#include "lib/ipc/channel.h"
#include "queue/hosts.h"

struct grants {
    struct slot_holder holder; /* first: hosts hands it back */
    struct loop *loop;
    struct channel *channel; /* lent */
    struct loop_task task;
    Ipc__SlotGrant *list;
    size_t count;
    size_t room;
};

void grants_init(struct grants *grants, struct loop *loop, struct channel *channel);
void grants_clear(struct grants *grants);

/* A hosts_granted_fn. */
void grants_add(void *ctx, struct slot_holder *holder, uint64_t number, unsigned host,
                unsigned others, Ipc__HostTls tls);

#endif
