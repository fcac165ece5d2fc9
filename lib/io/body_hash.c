#include "lib/io/body_hash.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/memory.h"
#include "lib/mail/dkim_body.h"

struct form {
    EVP_MD_CTX *digest; /* NULL: not wanted */
    struct dkim_body body;
};

struct body_hash {
    struct form relaxed;
    struct form simple;
    bool in_body;
    size_t line;    /* octets of the header's line so far */
    bool begins_cr; /* the first of them is a CR */
};

/* These fail only without memory, or when OpenSSL is broken. */

static void on_canonical(void *ctx, struct span canonical)
{
    ensure(EVP_DigestUpdate(ctx, canonical.data, canonical.len) == 1);
}

static void form_init(struct form *form, enum dkim_canon canon)
{
    form->digest = EVP_MD_CTX_new();
    ensure(form->digest && EVP_DigestInit_ex(form->digest, EVP_sha256(), NULL) == 1);
    dkim_body_init(&form->body, canon, on_canonical, form->digest);
}

struct body_hash *body_hash_new(bool relaxed, bool simple)
{
    struct body_hash *hash;

    if (!relaxed && !simple)
        return NULL;
    hash = memory_new(sizeof(*hash));
    if (relaxed)
        form_init(&hash->relaxed, DKIM_RELAXED);
    if (simple)
        form_init(&hash->simple, DKIM_SIMPLE);
    return hash;
}

/* Octets up to the body's first; the header ends with the first line that is a CRLF alone. */
static size_t header_length(struct body_hash *hash, struct span content)
{
    for (size_t at = 0; at < content.len;) {
        size_t len = span_find(span_from(content, at), '\n');
        bool has_end = at + len < content.len;
        if (hash->line == 0)
            hash->begins_cr = content.data[at] == '\r';
        hash->line += len;
        at += len + (has_end ? 1 : 0);
        hash->in_body = has_end && hash->begins_cr && hash->line == 1;
        if (hash->in_body)
            return at;
        if (has_end)
            hash->line = 0;
    }
    return content.len;
}

void body_hash_add(struct body_hash *hash, struct span content)
{
    if (!hash)
        return;
    if (!hash->in_body)
        content = span_from(content, header_length(hash, content));
    if (hash->relaxed.digest)
        dkim_body_add(&hash->relaxed.body, content);
    if (hash->simple.digest)
        dkim_body_add(&hash->simple.body, content);
}

static bool form_end(struct form *form, unsigned char out[DKIM_SHA256_SIZE])
{
    if (!form->digest)
        return false;
    dkim_body_end(&form->body);
    ensure(EVP_DigestFinal_ex(form->digest, out, NULL) == 1);
    return true;
}

void body_hash_end(struct body_hash *hash, struct body_hashes *out)
{
    memset(out, 0, sizeof(*out));
    if (!hash)
        return;
    out->has_relaxed = form_end(&hash->relaxed, out->relaxed);
    out->has_simple = form_end(&hash->simple, out->simple);
}

void body_hash_free(struct body_hash **hash)
{
    struct body_hash *h = *hash;

    *hash = NULL;
    if (!h)
        return;
    EVP_MD_CTX_free(h->relaxed.digest);
    EVP_MD_CTX_free(h->simple.digest);
    free(h);
}

void body_hash_of(struct span content, bool relaxed, bool simple, struct body_hashes *out)
{
    struct body_hash *hash = body_hash_new(relaxed, simple);

    body_hash_add(hash, content);
    body_hash_end(hash, out);
    body_hash_free(&hash);
}
