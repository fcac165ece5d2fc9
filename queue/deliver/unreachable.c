#include "queue/deliver/unreachable.h"

#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_SIZE = 1 + 16 + 2 };

struct note {
    struct list others;
    char key[KEY_SIZE];
    int64_t until_ms;
};

struct unreachable {
    struct map *notes; /* by endpoint */
    struct list all;   /* the first to end first */
    unsigned count;
};

struct unreachable *unreachable_new(void)
{
    struct unreachable *memory = memory_new(sizeof(*memory));

    memory->notes = map_new();
    list_init(&memory->all);
    return memory;
}

static struct span key_of(const struct endpoint *remote, char key[KEY_SIZE])
{
    key[0] = (char)remote->address.family;
    memcpy(key + 1, remote->address.bytes, 16);
    memcpy(key + 17, &remote->port, sizeof(remote->port));
    return (struct span){ key, KEY_SIZE };
}

static void drop(struct unreachable *memory, struct note *note)
{
    map_remove(memory->notes, (struct span){ note->key, KEY_SIZE });
    list_remove(&note->others);
    memory->count--;
    free(note);
}

void unreachable_free(struct unreachable **memory)
{
    if (!*memory)
        return;
    while (!list_empty(&(*memory)->all))
        drop(*memory, LIST_FIRST(&(*memory)->all, struct note, others));
    map_free(&(*memory)->notes);
    free(*memory);
    *memory = NULL;
}

void unreachable_note(struct unreachable *memory, const struct endpoint *remote, int64_t now_ms)
{
    struct note *note;

    unreachable_forget(memory, remote);
    note = memory_new(sizeof(*note));
    note->until_ms = now_ms + UNREACHABLE_MS;
    map_put(memory->notes, key_of(remote, note->key), note);
    list_append(&memory->all, &note->others);
    if (++memory->count > UNREACHABLE_MAX)
        drop(memory, LIST_FIRST(&memory->all, struct note, others));
}

void unreachable_forget(struct unreachable *memory, const struct endpoint *remote)
{
    char key[KEY_SIZE];
    struct note *note = map_get(memory->notes, key_of(remote, key));

    if (note)
        drop(memory, note);
}

static void drop_those_over(struct unreachable *memory, int64_t now_ms)
{
    while (!list_empty(&memory->all)) {
        struct note *note = LIST_FIRST(&memory->all, struct note, others);
        if (note->until_ms > now_ms)
            return;
        drop(memory, note);
    }
}

unsigned unreachable_order(struct unreachable *memory, struct ip_address *addresses, unsigned count,
                           uint16_t port, int64_t now_ms)
{
    struct ip_address noted[MX_ADDRESSES_MAX] = { { .family = ADDRESS_NONE } };
    unsigned noted_count = 0, kept = 0;
    char key[KEY_SIZE];

    drop_those_over(memory, now_ms);
    for (unsigned i = 0; i < count; i++) {
        struct endpoint remote = { addresses[i], port };
        if (noted_count < MX_ADDRESSES_MAX && map_get(memory->notes, key_of(&remote, key)))
            noted[noted_count++] = addresses[i];
        else
            addresses[kept++] = addresses[i];
    }
    for (unsigned i = 0; i < noted_count; i++)
        addresses[kept + i] = noted[i];
    return kept;
}

unsigned unreachable_count(const struct unreachable *memory)
{
    return memory->count;
}
