/*
 * dkim_keys - what the administrator has to hear about the entries of `dkim` and their keys. Called
 * by supervisor/handover, which reads the files, and by `waxseal check`.  Pure but for the parsing
 * and trying of keys.  Rules: RFC 8301 s.3.2, RFC 8463 s.5, RFC 7489 s.3.1.1 (alignment).
 */
#ifndef WAXSEAL_SUPERVISOR_DKIM_KEYS_H
#define WAXSEAL_SUPERVISOR_DKIM_KEYS_H

#include "lib/base/settings.h"

/* Can the key of an entry sign?  It is tried, too. */
struct error *dkim_key_check(const struct dkim_settings *entry, struct span pem) MUST_CHECK;

/* What is not as it should be with one that can; NULL: nothing. */
struct error *dkim_key_examine(const struct dkim_settings *entry, struct span pem) MUST_CHECK;

/* The content of an entry's file; data NULL when it cannot be used. */
typedef struct span dkim_keys_pem_fn(void *ctx, unsigned entry);
typedef void dkim_keys_warning_fn(void *ctx, unsigned entry, struct error **taken);
/* The same of all keys, and how they go together. */
void dkim_keys_examine(const struct settings *settings, dkim_keys_pem_fn *pem,
                       dkim_keys_warning_fn *warn, void *ctx);

/* Entries whose signatures DMARC does not count; `member` is what to look at. */
typedef void dkim_keys_fn(void *ctx, unsigned entry, const char *member, const char *sentence);
void dkim_keys_judge(const struct settings *settings, dkim_keys_fn *visit, void *ctx);

#endif
