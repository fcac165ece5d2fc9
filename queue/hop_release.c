#include "queue/hop_release.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "queue/store_release.h"

struct releasing {
    struct dispatch *dispatch;
    struct committer *committer;
};

static void on_released(struct operation *operation, enum operation_outcome outcome)
{
    struct release *release = (struct release *)operation;
    struct releasing *releasing = release->ctx;

    if (outcome == OPERATION_COMMITTED && release->changed > 0)
        dispatch_look(releasing->dispatch);
    if (outcome == OPERATION_COMMITTED && release->more && !dispatch_holds(releasing->dispatch)) {
        release_advance(release);
        committer_add(releasing->committer, operation);
        return;
    }
    free(releasing);
    free(release);
}

void hop_release(struct dispatch *dispatch, struct committer *committer, struct span hop)
{
    struct releasing *releasing;
    struct release *release;

    if (hop.len == 0)
        return; /* of a lease taken over: where it was tried is not known */
    releasing = memory_new(sizeof(*releasing));
    *releasing = (struct releasing){ dispatch, committer };
    release = release_new(hop);
    release->ctx = releasing;
    release->operation.done = on_released;
    committer_add(committer, &release->operation);
}
