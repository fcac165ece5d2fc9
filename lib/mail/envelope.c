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
    free(e->expanded);
    envelope_init(e);
}

/* The room doubles: it is full whenever the count is a power of two. */
static struct envelope_recipient *make_room(struct envelope_recipient *list, size_t count)
{
    size_t room = count == 0 ? RECIPIENTS_FIRST : 2 * count;

    if ((count & (count - 1)) != 0)
        return list;
    return memory_resize(list, room * sizeof(*list));
}

static size_t room_of(size_t count)
{
    size_t room = RECIPIENTS_FIRST;

    if (count == 0)
        return 0;
    while (room < count)
        room *= 2;
    return room;
}

size_t envelope_memory(const struct envelope *e)
{
    return (room_of(e->recipient_count) + room_of(e->expanded_count)) * sizeof(*e->recipients);
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

static struct envelope_recipient *add_to(struct envelope *e, struct envelope_recipient **list,
                                         unsigned *count, const struct address *forward_path)
{
    *list = make_room(*list, *count);
    struct envelope_recipient *added = &(*list)[*count];
    *added = (struct envelope_recipient){
        .forward_path = *forward_path,
        .number = *count,
    };
    *count += 1;
    e->recipient_octets += octets_of(forward_path);
    return added;
}

struct envelope_recipient *envelope_add(struct envelope *e, const struct address *forward_path)
{
    return add_to(e, &e->recipients, &e->recipient_count, forward_path);
}

struct envelope_recipient *envelope_add_expanded(struct envelope *e,
                                                 const struct address *forward_path)
{
    return add_to(e, &e->expanded, &e->expanded_count, forward_path);
}

bool envelope_set_orcpt(struct envelope *e, struct envelope_recipient *recipient, struct span orcpt)
{
    if (!span_to_string(orcpt, recipient->orcpt, sizeof(recipient->orcpt)))
        return false;
    e->recipient_octets += orcpt.len;
    return true;
}
