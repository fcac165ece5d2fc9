#include "supervisor/dkim_keys.h"

#include "lib/io/signing_key.h"

#include <stdio.h>
#include <string.h>

/* --- keys ------------------------------------------------------------------------------------ */

static struct error *load(const struct dkim_settings *entry, struct span pem,
                          struct signing_key **out_key)
{
    struct error *err = signing_key_load(pem, entry->allow_short_key == SWITCH_ON, out_key);

    return err ? error_wrap(err, "dkim key %s", entry->key) : NULL;
}

struct error *dkim_key_check(const struct dkim_settings *entry, struct span pem)
{
    struct signing_key *key = NULL;
    struct error *err = load(entry, pem, &key);

    if (err)
        return err;
    err = signing_key_test(key);
    signing_key_free(&key);
    return err ? error_wrap(err, "dkim key %s", entry->key) : NULL;
}

/* Bits of an RSA key; 0: it is none, or cannot be used, which is said as a fault. */
static unsigned rsa_bits(const struct dkim_settings *entry, struct span pem)
{
    struct signing_key *key = NULL;
    struct error *err = pem.data ? load(entry, pem, &key) : NULL;
    unsigned bits = 0;

    if (key && signing_key_algorithm(key) == DKIM_RSA_SHA256)
        bits = signing_key_bits(key);
    signing_key_free(&key);
    error_free(&err);
    return bits;
}

static struct error *judge_bits(const struct dkim_settings *entry, unsigned bits)
{
    if (bits > 0 && bits < SIGNING_KEY_BITS)
        return error_new(ERROR_LOCAL,
                         "dkim key %s has %u bits, and many receivers do not count its signatures;"
                         " make a new one with waxseal dkim new",
                         entry->key, bits);
    if (bits > SIGNING_KEY_COMMON_BITS)
        return error_new(ERROR_LOCAL,
                         "dkim key %s has %u bits, more than all receivers can read; %d are enough",
                         entry->key, bits, SIGNING_KEY_BITS);
    return NULL;
}

struct error *dkim_key_examine(const struct dkim_settings *entry, struct span pem)
{
    return judge_bits(entry, rsa_bits(entry, pem));
}

/* The first sender of an entry whose mail no RSA key signs; NULL: there is none. */
static const char *sender_without_rsa(const struct settings *s, const unsigned *bits,
                                      const struct dkim_settings *entry)
{
    for (unsigned n = 0; n < entry->senders.count; n++) {
        const char *sender = name_list_item(&entry->senders, n);
        bool has_rsa = false;
        for (unsigned i = 0; i < s->dkim_count; i++)
            has_rsa = has_rsa ||
                      (bits[i] > 0 && name_list_contains(&s->dkim[i].senders, span_of(sender)));
        if (!has_rsa)
            return sender;
    }
    return NULL;
}

void dkim_keys_examine(const struct settings *settings, dkim_keys_pem_fn *pem,
                       dkim_keys_warning_fn *warn, void *ctx)
{
    unsigned bits[SETTINGS_DKIM_MAX] = { 0 };

    for (unsigned i = 0; i < settings->dkim_count; i++)
        bits[i] = rsa_bits(&settings->dkim[i], pem(ctx, i));
    for (unsigned i = 0; i < settings->dkim_count; i++) {
        struct error *err = judge_bits(&settings->dkim[i], bits[i]);
        const char *sender = sender_without_rsa(settings, bits, &settings->dkim[i]);
        if (!err && sender && pem(ctx, i).data)
            err = error_new(ERROR_LOCAL,
                            "dkim signs mail from %s with Ed25519 alone, which many receivers "
                            "cannot judge; add an RSA key, with a selector of its own",
                            strcmp(sender, "*") == 0 ? "any domain" : sender);
        if (err)
            warn(ctx, i, &err);
    }
}

/* --- alignment ------------------------------------------------------------------------------- */

/* Is the signing domain the sender's, or above it? */
static bool is_aligned(const char *domain, const char *sender)
{
    char below[SETTINGS_NAME_SIZE + 1];

    if (sender[0] == '.') /* all below: aligned when what they are below is, too */
        sender++;
    snprintf(below, sizeof(below), ".%s", domain);
    return span_equal_nocase(span_of(domain), span_of(sender)) ||
           domain_is_covered(span_of(below), span_of(sender));
}

static void judge_sender(unsigned n, const struct dkim_settings *entry, const char *sender,
                         dkim_keys_fn *visit, void *ctx)
{
    char sentence[512];

    if (strcmp(sender, "*") == 0)
        snprintf(sentence, sizeof(sentence),
                 "warning: mail of any domain is signed as %.100s: that helps DMARC only for mail "
                 "from there; leave domain out to sign as the domain of the From field",
                 entry->domain);
    else if (!is_aligned(entry->domain, sender))
        snprintf(sentence, sizeof(sentence),
                 "warning: mail from %.100s is signed as %.100s, which DMARC does not count; leave "
                 "domain out, or name %.100s or what is above it",
                 sender, entry->domain, sender[0] == '.' ? sender + 1 : sender);
    else
        return;
    visit(ctx, n, "domain", sentence);
}

void dkim_keys_judge(const struct settings *settings, dkim_keys_fn *visit, void *ctx)
{
    for (unsigned n = 0; n < settings->dkim_count; n++) {
        const struct dkim_settings *entry = &settings->dkim[n];
        for (unsigned i = 0; entry->domain[0] != '\0' && i < entry->senders.count; i++)
            judge_sender(n, entry, name_list_item(&entry->senders, i), visit, ctx);
    }
}
