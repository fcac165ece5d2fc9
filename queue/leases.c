#include "queue/leases.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"

/* A lease's number: the message's id, then a serial number that starts anywhere. */
enum { SERIAL_BITS = 20, SERIAL_MASK = (1 << SERIAL_BITS) - 1 };

struct leased_message {
    uint64_t id;
    struct list leases;
};

struct leases {
    struct map *by_number;
    struct map *messages; /* by id */
    uint32_t serial;
};

struct leases *leases_new(void)
{
    struct leases *leases = memory_new(sizeof(*leases));

    leases->by_number = map_new();
    leases->messages = map_new();
    leases->serial = (uint32_t)random_below(SERIAL_MASK);
    return leases;
}

void leases_free(struct leases **leases)
{
    struct leases *l = *leases;
    struct lease *lease;

    *leases = NULL;
    if (!l)
        return;
    for (;;) {
        size_t cursor = 0;
        lease = map_next(l->by_number, &cursor, NULL);
        if (!lease)
            break;
        lease_end(l, &lease);
    }
    map_free(&l->by_number);
    map_free(&l->messages);
    free(l);
}

static struct leased_message *message_of(struct leases *leases, uint64_t id)
{
    struct leased_message *message = map_get_number(leases->messages, id);

    if (message)
        return message;
    message = memory_new(sizeof(*message));
    message->id = id;
    list_init(&message->leases);
    map_put_number(leases->messages, id, message);
    return message;
}

static struct lease *lease_add(struct leases *leases, uint64_t number, unsigned count)
{
    struct lease *lease = memory_new(sizeof(*lease) + count * sizeof(lease->numbers[0]));

    lease->number = number;
    lease->id = number >> SERIAL_BITS;
    lease->count = count;
    lease->message = message_of(leases, lease->id);
    list_init(&lease->of_worker);
    list_init(&lease->of_trials);
    list_append(&lease->message->leases, &lease->of_message);
    map_put_number(leases->by_number, number, lease);
    return lease;
}

struct lease *lease_begin(struct leases *leases, uint64_t id, const uint32_t *numbers,
                          unsigned count)
{
    uint64_t number;

    do {
        number = id << SERIAL_BITS | (leases->serial++ & SERIAL_MASK);
    } while (map_get_number(leases->by_number, number));
    struct lease *lease = lease_add(leases, number, count);
    memcpy(lease->numbers, numbers, count * sizeof(*numbers));
    return lease;
}

struct lease *lease_take_over(struct leases *leases, uint64_t number)
{
    if (map_get_number(leases->by_number, number))
        return NULL;
    struct lease *lease = lease_add(leases, number, 0);
    lease->covers_all = true;
    return lease;
}

void lease_end(struct leases *leases, struct lease **lease)
{
    struct lease *l = *lease;
    struct leased_message *message = l->message;

    *lease = NULL;
    map_remove_number(leases->by_number, l->number);
    list_remove(&l->of_worker);
    list_remove(&l->of_trials);
    list_remove(&l->of_message);
    if (list_empty(&message->leases)) {
        map_remove_number(leases->messages, message->id);
        free(message);
    }
    free(l);
}

struct lease *lease_find(const struct leases *leases, uint64_t number)
{
    return map_get_number(leases->by_number, number);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

bool lease_has(const struct lease *lease, uint32_t number)
{
    return lease->covers_all || bsearch(&number, lease->numbers, lease->count,
                                        sizeof(lease->numbers[0]), by_number) != NULL;
}

bool lease_covers(const struct leases *leases, uint64_t id, uint32_t number)
{
    return lease_covers_besides(leases, id, number, NULL);
}

bool lease_covers_besides(const struct leases *leases, uint64_t id, uint32_t number,
                          const struct lease *besides)
{
    const struct leased_message *message = map_get_number(leases->messages, id);
    struct lease *lease;

    if (!message)
        return false;
    LIST_EACH(lease, &message->leases, struct lease, of_message)
    {
        if (lease != besides && lease_has(lease, number))
            return true;
    }
    return false;
}

struct lease *lease_of_holder(const struct leases *leases, uint64_t id, uint32_t number)
{
    const struct leased_message *message = map_get_number(leases->messages, id);
    struct lease *lease;

    if (!message)
        return NULL;
    LIST_EACH(lease, &message->leases, struct lease, of_message)
    {
        if (lease->holder && lease_has(lease, number))
            return lease;
    }
    return NULL;
}

size_t lease_count(const struct leases *leases)
{
    return map_count(leases->by_number);
}
