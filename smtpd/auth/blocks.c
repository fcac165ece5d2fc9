#include "smtpd/auth/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/io/crypto.h"

/* What an entry is about, as a digest: of one size, whatever the names are. */
struct key {
    unsigned char bytes[CRYPTO_SHA256_SIZE];
};

struct entry {
    struct list by_age;
    struct key key;
    unsigned failures;
    int64_t until_ms; /* blocked until; and then remembered for BLOCK_FORGET_MS */
};

struct table {
    struct map *entries;
    struct list by_age; /* the one touched longest ago in front */
};

struct blocks {
    struct table failed; /* addresses, and names */
    struct table known;  /* pairs of both that have logged in */
};

/* --- tables */

static struct span span_of_key(const struct key *key)
{
    return (struct span){ (const char *)key->bytes, sizeof(key->bytes) };
}

static void table_init(struct table *table)
{
    table->entries = map_new();
    list_init(&table->by_age);
}

static void table_remove(struct table *table, struct entry *entry)
{
    map_remove(table->entries, span_of_key(&entry->key));
    list_remove(&entry->by_age);
    free(entry);
}

static void table_clear(struct table *table)
{
    while (!list_empty(&table->by_age))
        table_remove(table, LIST_FIRST(&table->by_age, struct entry, by_age));
    map_free(&table->entries);
}

static struct entry *table_find(const struct table *table, const struct key *key)
{
    return map_get(table->entries, span_of_key(key));
}

/* The entry of a key, a new one if need be, as the one touched last. */
static struct entry *table_touch(struct table *table, const struct key *key)
{
    struct entry *entry = table_find(table, key);

    if (!entry) {
        if (map_count(table->entries) >= BLOCKS_MAX)
            table_remove(table, LIST_FIRST(&table->by_age, struct entry, by_age));
        entry = memory_new(sizeof(*entry));
        entry->key = *key;
        list_init(&entry->by_age);
        map_put(table->entries, span_of_key(key), entry);
    }
    list_remove(&entry->by_age);
    list_append(&table->by_age, &entry->by_age);
    return entry;
}

static void table_forget(struct table *table, const struct key *key)
{
    struct entry *entry = table_find(table, key);

    if (entry)
        table_remove(table, entry);
}

/* --- keys */

/* An address stands for itself, an IPv6 one for its /64; what is none stands as it is. */
static void put_home(struct buf *text, struct span client)
{
    struct ip_address home;
    char room[NETWORK_TEXT_SIZE];

    if (ip_address_parse(client, &home)) {
        for (size_t i = 8; home.family == ADDRESS_V6 && i < sizeof(home.bytes); i++)
            home.bytes[i] = 0;
        ip_address_format(&home, room);
        client = span_of(room);
    }
    ensure(buf_append(text, client));
}

/* NULL stands for any. */
static struct key key_of(const struct span *client, const struct span *user)
{
    struct key key;
    struct buf text;

    buf_init(&text, 4096);
    ensure(buf_append(&text, client ? SPAN("@") : SPAN("*")));
    if (client)
        put_home(&text, *client);
    ensure(buf_append(&text, user ? SPAN(" ") : SPAN("*"))); /* no address has a blank */
    if (user)
        ensure(buf_append(&text, *user));
    crypto_sha256(buf_span(&text), key.bytes);
    buf_clear(&text);
    return key;
}

/* --- counting */

static bool is_blocked(const struct table *table, const struct key *key, int64_t now_ms)
{
    const struct entry *entry = table_find(table, key);

    return entry && now_ms < entry->until_ms;
}

static int64_t block_ms(unsigned beyond, int64_t most_ms)
{
    int64_t ms = BLOCK_FIRST_MS;

    while (beyond-- > 0 && ms < most_ms)
        ms *= 2;
    return ms < most_ms ? ms : most_ms;
}

static void count(struct table *table, const struct key *key, unsigned free_failures,
                  int64_t most_ms, int64_t now_ms)
{
    struct entry *entry = table_touch(table, key);

    if (now_ms >= entry->until_ms + BLOCK_FORGET_MS)
        entry->failures = 0;
    entry->failures++;
    entry->until_ms = now_ms;
    if (entry->failures >= free_failures)
        entry->until_ms = now_ms + block_ms(entry->failures - free_failures, most_ms);
}

/* --- what exchanges asks and tells */

struct blocks *blocks_new(void)
{
    struct blocks *blocks = memory_new(sizeof(*blocks));

    table_init(&blocks->failed);
    table_init(&blocks->known);
    return blocks;
}

void blocks_free(struct blocks **blocks)
{
    if (!*blocks)
        return;
    table_clear(&(*blocks)->failed);
    table_clear(&(*blocks)->known);
    free(*blocks);
    *blocks = NULL;
}

bool blocks_is_blocked(struct blocks *blocks, struct span client, struct span user, int64_t now_ms)
{
    struct key pair = key_of(&client, &user);
    struct key address = key_of(&client, NULL);
    struct key name = key_of(NULL, &user);

    if (table_find(&blocks->known, &pair))
        return is_blocked(&blocks->known, &pair, now_ms);
    return is_blocked(&blocks->failed, &address, now_ms) ||
           (user.len > 0 && is_blocked(&blocks->failed, &name, now_ms));
}

bool blocks_knows(const struct blocks *blocks, struct span client, struct span user)
{
    struct key pair = key_of(&client, &user);

    return table_find(&blocks->known, &pair) != NULL;
}

void blocks_failed(struct blocks *blocks, struct span client, struct span user, int64_t now_ms)
{
    struct key pair = key_of(&client, &user);
    struct key address = key_of(&client, NULL);
    struct key name = key_of(NULL, &user);

    if (table_find(&blocks->known, &pair)) {
        count(&blocks->known, &pair, BLOCK_ADDRESS_FAILURES, BLOCK_MOST_MS, now_ms);
        return;
    }
    count(&blocks->failed, &address, BLOCK_ADDRESS_FAILURES, BLOCK_MOST_MS, now_ms);
    if (user.len > 0)
        count(&blocks->failed, &name, BLOCK_USER_FAILURES, BLOCK_USER_MOST_MS, now_ms);
}

void blocks_succeeded(struct blocks *blocks, struct span client, struct span user)
{
    struct key pair = key_of(&client, &user);
    struct key address = key_of(&client, NULL);
    struct key name = key_of(NULL, &user);

    if (!table_find(&blocks->known, &pair))
        table_forget(&blocks->failed, &address);
    table_forget(&blocks->failed, &name);
    table_touch(&blocks->known, &pair)->failures = 0;
}
