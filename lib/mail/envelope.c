#include "lib/mail/envelope.h"

#include "lib/base/memory.h"

#include <stdlib.h>

enum { RECIPIENTS_FIRST = 1 };

void envelope_init(struct envelope *e)
{
    *e = (struct envelope){ .body = BODY_7BIT };
}

void envelope_clear(struct envelope *e)
{
    free(e->recipients);
    envelope_init(e);
}

/* The room doubles: it is full whenever the count is a power of two. */
static void make_room(struct envelope *e)
{
    size_t count = e->recipient_count;
    size_t room = count == 0 ? RECIPIENTS_FIRST : 2 * count;

    if ((count & (count - 1)) == 0)
        e->recipients = memory_resize(e->recipients, room * sizeof(*e->recipients));
}

struct envelope_recipient *envelope_add(struct envelope *e, const struct address *forward_path)
{
    struct envelope_recipient *added;

    make_room(e);
    added = &e->recipients[e->recipient_count];
    *added = (struct envelope_recipient){
        .forward_path = *forward_path,
        .number = e->recipient_count,
    };
    e->recipient_count++;
    return added;
}
