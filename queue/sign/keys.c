#include "queue/sign/keys.h"

#include "lib/base/memory.h"

#include <stdlib.h>

struct keys {
    unsigned users;
    struct settings *settings; /* copied: the role's change before its keys have come */
    int64_t lifetime_s;
    unsigned count;
    struct keys_entry entries[];
};

/* Some mail may wait longer than all other, by its route. */
static int64_t lifetime_of(const struct settings *s)
{
    int64_t longest = s->queue_lifetime_s;

    for (unsigned i = 0; i < s->route_count; i++)
        if (s->routes[i].queue_lifetime_s > longest)
            longest = s->routes[i].queue_lifetime_s;
    longest += KEYS_LIFETIME_MORE_S;
    return longest > KEYS_LIFETIME_LEAST_S ? longest : KEYS_LIFETIME_LEAST_S;
}

/* A key that cannot do what it is for must not be found out by receivers. */
static struct error *open_entry(struct keys_entry *entry, struct span pem)
{
    struct error *err;

    if (!pem.data)
        return error_new(ERROR_LOCAL, "it was not handed over");
    err = signing_key_load(pem, entry->settings->allow_short_key == SWITCH_ON, &entry->key);
    if (!err)
        err = signing_key_test(entry->key);
    if (err)
        signing_key_free(&entry->key);
    return err;
}

struct keys *keys_new(const struct settings *settings, keys_pem_fn *pem, keys_fault_fn *on_fault,
                      void *ctx)
{
    struct keys *keys = memory_new(sizeof(*keys) + settings->dkim_count * sizeof(keys->entries[0]));

    keys->users = 1;
    keys->settings = settings_new();
    settings_copy(keys->settings, settings);
    keys->lifetime_s = lifetime_of(settings);
    keys->count = settings->dkim_count;
    for (unsigned i = 0; i < keys->count; i++) {
        struct keys_entry *entry = &keys->entries[i];
        entry->settings = &keys->settings->dkim[i];
        struct error *err = open_entry(entry, pem(ctx, i));
        if (err)
            on_fault(ctx, entry->settings, err);
        error_free(&err);
    }
    return keys;
}

struct keys *keys_hold(struct keys *keys)
{
    keys->users++;
    return keys;
}

void keys_release(struct keys **keys)
{
    struct keys *k = *keys;

    *keys = NULL;
    if (!k || --k->users > 0)
        return;
    for (unsigned i = 0; i < k->count; i++)
        signing_key_free(&k->entries[i].key);
    settings_free(&k->settings);
    free(k);
}

unsigned keys_count(const struct keys *keys)
{
    return keys->count;
}

const struct keys_entry *keys_entry(const struct keys *keys, unsigned n)
{
    ensure(n < keys->count);
    return &keys->entries[n];
}

const struct keys_entry *keys_next(const struct keys *keys, struct span from_domain, unsigned *at)
{
    const struct dkim_settings *found;

    if (!settings_dkim_next(keys->settings, from_domain, at, &found))
        return NULL;
    return &keys->entries[*at - 1];
}

int64_t keys_lifetime_s(const struct keys *keys)
{
    return keys->lifetime_s;
}
