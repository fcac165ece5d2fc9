#include "lib/mail/envelope.h"

#include "lib/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    RECIPIENTS_FIRST = 1,
    REST_OCTETS = 4096,    /* all but the recipients, at most */
    RECIPIENT_OCTETS = 48, /* tags, lengths, numbers and a literal, at most */
};

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

size_t envelope_memory(const struct envelope *e)
{
    size_t room = RECIPIENTS_FIRST;

    if (e->recipient_count == 0)
        return 0;
    while (room < e->recipient_count)
        room *= 2;
    return room * sizeof(*e->recipients);
}

static size_t octets_of(const struct address *forward_path)
{
    return RECIPIENT_OCTETS + strlen(forward_path->text) + strlen(forward_path->domain);
}

bool envelope_has_room(const struct envelope *e, const struct address *forward_path)
{
    return e->recipient_octets + octets_of(forward_path) + ORCPT_MAX <=
           ENVELOPE_BYTES_MAX - REST_OCTETS;
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
    e->recipient_octets += octets_of(forward_path);
    return added;
}

bool envelope_set_orcpt(struct envelope *e, struct envelope_recipient *recipient, struct span orcpt)
{
    if (!span_to_string(orcpt, recipient->orcpt, sizeof(recipient->orcpt)))
        return false;
    e->recipient_octets += orcpt.len;
    return true;
}
