#include "queue/grants.h"

#include <stdlib.h>

#include "lib/base/memory.h"

static const struct span nothing = { NULL, 0 };

static void on_turn(void *ctx)
{
    struct grants *grants = ctx;
    Ipc__SlotGrants message = IPC__SLOT_GRANTS__INIT;

    message.grants = memory_new_array(grants->count + 1, sizeof(Ipc__SlotGrant *));
    message.n_grants = grants->count;
    for (size_t i = 0; i < grants->count; i++)
        message.grants[i] = &grants->list[i];
    channel_send(grants->channel, FRAME_SLOT_GRANTS, &message.base, nothing);
    free(message.grants);
    grants->count = 0;
}

void grants_init(struct grants *grants, struct loop *loop, struct channel *channel)
{
    slot_holder_init(&grants->holder);
    grants->loop = loop;
    grants->channel = channel;
    loop_task_init(&grants->task, on_turn, grants);
}

void grants_clear(struct grants *grants)
{
    loop_task_cancel(&grants->task);
    free(grants->list);
    grants->list = NULL;
    grants->count = grants->room = 0;
}

void grants_add(void *ctx, struct slot_holder *holder, uint64_t number, unsigned host,
                unsigned others, Ipc__HostTls tls)
{
    struct grants *grants = (struct grants *)holder;

    (void)ctx;
    if (grants->count == grants->room) {
        grants->room = grants->room > 0 ? 2 * grants->room : 16;
        grants->list = memory_resize(grants->list, grants->room * sizeof(grants->list[0]));
    }
    Ipc__SlotGrant *grant = &grants->list[grants->count++];
    ipc__slot_grant__init(grant);
    grant->number = number;
    grant->host = host;
    grant->others = others;
    grant->tls = tls;
    loop_defer(grants->loop, &grants->task);
}
