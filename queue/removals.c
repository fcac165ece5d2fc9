#include "queue/removals.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

enum { ROOM_FIRST = 16 };

void removals_add(struct removals *removals, const struct store_txn *txn, uint64_t id,
                  const Queue__MessageRecord *message, const Queue__RecipientRecord *recipient)
{
    int64_t delay_ms = message ? txn->now_ms - message->accepted_utc_ms : -1;

    if (message && delay_ms < 0)
        delay_ms = 0; /* the clock was stepped back */
    if (removals->count == removals->room) {
        removals->room = removals->room > 0 ? 2 * removals->room : ROOM_FIRST;
        removals->all = memory_resize(removals->all, removals->room * sizeof(removals->all[0]));
    }
    removals->all[removals->count++] = (struct removal){
        .id = id,
        .recipient = recipient
                         ? memory_copy_span(span_of_bytes(recipient->recipient->forward_path->text))
                         : memory_copy_text(""),
        .delay_ms = delay_ms,
    };
}

void removals_clear(struct removals *removals)
{
    for (size_t i = 0; i < removals->count; i++)
        free(removals->all[i].recipient);
    free(removals->all);
    *removals = (struct removals){ .count = 0 };
}
