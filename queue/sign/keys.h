/*
 * keys - the private keys under one set of settings, and whose mail each signs.  Called by sign,
 * which makes a new set at a reload and when a file changes, and by asks.  A set is counted: what
 * is being signed goes on with the keys it began with.  The loop's alone, but for the keys
 * themselves, which may be used by threads.
 */
#ifndef WAXSEAL_QUEUE_SIGN_KEYS_H
#define WAXSEAL_QUEUE_SIGN_KEYS_H

#include "lib/base/settings.h"
#include "lib/io/signing_key.h"

struct keys;

/* One entry of `dkim`. */
struct keys_entry {
    const struct dkim_settings *settings;
    struct signing_key *key; /* NULL: its file cannot be used; the log says why */
};

/* The content of an entry's file; data NULL when there is none. */
typedef struct span keys_pem_fn(void *ctx, unsigned entry);

/* Reads and tries each key; of what is wrong with one, `on_fault` is told. */
typedef void keys_fault_fn(void *ctx, const struct dkim_settings *entry, const struct error *err);
struct keys *keys_new(const struct settings *settings, keys_pem_fn *pem, keys_fault_fn *on_fault,
                      void *ctx);
struct keys *keys_hold(struct keys *keys); /* one more who uses it */
void keys_release(struct keys **keys);

unsigned keys_count(const struct keys *keys);
const struct keys_entry *keys_entry(const struct keys *keys, unsigned n);

/* The next entry that signs mail from a domain; begins with *at = 0.  NULL behind the last. */
const struct keys_entry *keys_next(const struct keys *keys, struct span from_domain, unsigned *at);

/*
 * How long a signature is good: longer than the message may wait, and for a week behind that
 * (RFC 6376 s.3.5, x=), for receivers that judge later.
 */
enum { KEYS_LIFETIME_LEAST_S = 14 * 86400, KEYS_LIFETIME_MORE_S = 7 * 86400 };
int64_t keys_lifetime_s(const struct keys *keys);

#endif
