#include "smtpd/auth/blocks.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

enum { KEY_SIZE = 272 };

struct entry {
    struct list by_age;
    char key[KEY_SIZE];
    unsigned failures;
    int64_t until_ms; /* blocked until; and then remembered for BLOCK_FORGET_MS */
};

struct blocks {
    struct map *entries;
    struct list by_age; /* the one touched longest ago in front */
};

struct blocks *blocks_new(void)
{
    struct blocks *blocks = memory_new(sizeof(*blocks));

    blocks->entries = map_new();
    list_init(&blocks->by_age);
    return blocks;
}

static void entry_free(struct blocks *blocks, struct entry *entry)
{
    map_remove(blocks->entries, span_of(entry->key));
    list_remove(&entry->by_age);
    free(entry);
}

void blocks_free(struct blocks **blocks)
{
    struct blocks *b = *blocks;

    if (!b)
        return;
    while (!list_empty(&b->by_age))
        entry_free(b, LIST_FIRST(&b->by_age, struct entry, by_age));
    map_free(&b->entries);
    free(b);
    *blocks = NULL;
}

static void key_of_user(struct span user, char key[KEY_SIZE])
{
    snprintf(key, KEY_SIZE, "u" SPAN_FMT, SPAN_ARG(span_first(user, KEY_SIZE - 2)));
}

static void key_of_client(struct span client, char key[KEY_SIZE])
{
    struct network home = { .bits = 128 };
    char text[NETWORK_TEXT_SIZE];

    if (!ip_address_parse(client, &home.address)) {
        key_of_user(client, key);
        key[0] = 'a';
        return;
    }
    if (home.address.family == ADDRESS_V6)
        for (size_t i = 8; i < sizeof(home.address.bytes); i++)
            home.address.bytes[i] = 0;
    ip_address_format(&home.address, text);
    snprintf(key, KEY_SIZE, "a%s", text);
}

/* The entry of a key that still counts, or NULL. */
static struct entry *find(struct blocks *blocks, const char *key, int64_t now_ms)
{
    struct entry *entry = map_get(blocks->entries, span_of(key));

    if (entry && now_ms >= entry->until_ms + BLOCK_FORGET_MS) {
        entry_free(blocks, entry);
        return NULL;
    }
    return entry;
}

static bool is_blocked(struct blocks *blocks, const char *key, int64_t now_ms)
{
    const struct entry *entry = find(blocks, key, now_ms);

    return entry && now_ms < entry->until_ms;
}

bool blocks_is_blocked(struct blocks *blocks, struct span client, struct span user, int64_t now_ms)
{
    char client_key[KEY_SIZE], user_key[KEY_SIZE];

    key_of_client(client, client_key);
    key_of_user(user, user_key);
    return is_blocked(blocks, client_key, now_ms) ||
           (user.len > 0 && is_blocked(blocks, user_key, now_ms));
}

static struct entry *add(struct blocks *blocks, const char *key)
{
    struct entry *entry;

    if (map_count(blocks->entries) >= BLOCKS_MAX)
        entry_free(blocks, LIST_FIRST(&blocks->by_age, struct entry, by_age));
    entry = memory_new(sizeof(*entry));
    snprintf(entry->key, sizeof(entry->key), "%s", key);
    map_put(blocks->entries, span_of(key), entry);
    list_append(&blocks->by_age, &entry->by_age);
    return entry;
}

static int64_t block_ms(unsigned beyond, int64_t most_ms)
{
    int64_t ms = BLOCK_FIRST_MS;

    while (beyond-- > 0 && ms < most_ms)
        ms *= 2;
    return ms < most_ms ? ms : most_ms;
}

static void count(struct blocks *blocks, const char *key, unsigned free_failures, int64_t most_ms,
                  int64_t now_ms)
{
    struct entry *entry = find(blocks, key, now_ms);

    if (!entry)
        entry = add(blocks, key);
    list_remove(&entry->by_age);
    list_append(&blocks->by_age, &entry->by_age);
    entry->failures++;
    entry->until_ms = now_ms;
    if (entry->failures >= free_failures)
        entry->until_ms = now_ms + block_ms(entry->failures - free_failures, most_ms);
}

void blocks_failed(struct blocks *blocks, struct span client, struct span user, int64_t now_ms)
{
    char key[KEY_SIZE];

    key_of_client(client, key);
    count(blocks, key, BLOCK_ADDRESS_FAILURES, BLOCK_MOST_MS, now_ms);
    if (user.len == 0)
        return;
    key_of_user(user, key);
    count(blocks, key, BLOCK_USER_FAILURES, BLOCK_USER_MOST_MS, now_ms);
}

static void forget(struct blocks *blocks, const char *key)
{
    struct entry *entry = map_get(blocks->entries, span_of(key));

    if (entry)
        entry_free(blocks, entry);
}

void blocks_succeeded(struct blocks *blocks, struct span client, struct span user)
{
    char key[KEY_SIZE];

    key_of_client(client, key);
    forget(blocks, key);
    key_of_user(user, key);
    forget(blocks, key);
}
