#include "lib/io/tls_resumption.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/io/crypto.h"
#include "lib/io/tls_openssl.h"

struct tls_resumable {
    bool once;
    bool verified;
    int64_t since_ms;
    int64_t not_after_utc_ms;
    size_t len;
    unsigned char bytes[];
};

/* What the server of one connection gave: hung on the SSL.  The last ones count. */
struct gifts {
    SSL_SESSION *sessions[TLS_GIFTS_MAX];
    unsigned count;
    int64_t since_ms; /* of the session that was offered; 0: none was */
};

static CRYPTO_ONCE gifts_once = CRYPTO_ONCE_STATIC_INIT;
static int gifts_index;

/* --- on the SSL */

static void gifts_free(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                       void *argp)
{
    struct gifts *gifts = ptr;

    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    for (unsigned i = 0; gifts && i < gifts->count; i++)
        SSL_SESSION_free(gifts->sessions[i]);
    free(gifts);
}

static void gifts_begin(void)
{
    gifts_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, gifts_free);
}

static struct gifts *gifts_of(SSL *ssl)
{
    struct gifts *gifts = SSL_get_ex_data(ssl, gifts_index);

    if (gifts)
        return gifts;
    gifts = memory_new(sizeof(*gifts));
    ensure(SSL_set_ex_data(ssl, gifts_index, gifts) == 1);
    return gifts;
}

/* 1: the reference is ours. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct gifts *gifts = gifts_of(ssl);

    if (gifts->count == TLS_GIFTS_MAX) {
        SSL_SESSION_free(gifts->sessions[0]);
        gifts->count--;
        for (unsigned i = 0; i < gifts->count; i++)
            gifts->sessions[i] = gifts->sessions[i + 1];
    }
    gifts->sessions[gifts->count++] = session;
    return 1;
}

void tls_resumption_allow(SSL_CTX *ctx)
{
    ensure(CRYPTO_THREAD_run_once(&gifts_once, gifts_begin) == 1);
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
}

void tls_resumption_offer(SSL *ssl, const struct tls_resumable *resumable)
{
    const unsigned char *at = resumable->bytes;
    SSL_SESSION *session = d2i_SSL_SESSION(NULL, &at, (long)resumable->len);

    if (session && SSL_set_session(ssl, session) == 1)
        gifts_of(ssl)->since_ms = resumable->since_ms;
    SSL_SESSION_free(session);
    ERR_clear_error();
}

/* --- from it */

/* Before TLS 1.3 only with the extended master secret (RFC 7627 s.5.3). */
static bool is_worth_keeping(SSL *ssl, const SSL_SESSION *session)
{
    return SSL_SESSION_is_resumable(session) == 1 &&
           (SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1);
}

static struct tls_resumable *resumable_of(SSL *ssl, SSL_SESSION *session,
                                          const struct tls_session *described)
{
    struct tls_resumable *resumable;
    unsigned char *at;
    int len = is_worth_keeping(ssl, session) ? i2d_SSL_SESSION(session, NULL) : 0;

    if (len <= 0 || len > TLS_RESUMABLE_MAX)
        return NULL;
    resumable = memory_new(sizeof(*resumable) + (size_t)len);
    at = resumable->bytes;
    resumable->len = (size_t)i2d_SSL_SESSION(session, &at);
    resumable->once = SSL_version(ssl) >= TLS1_3_VERSION;
    resumable->verified = described->cert == CERT_OK;
    resumable->not_after_utc_ms = described->not_after_utc_ms;
    resumable->since_ms = SSL_session_reused(ssl) ? gifts_of(ssl)->since_ms : clock_monotonic_ms();
    return resumable;
}

struct tls_resumable *tls_resumption_take(SSL *ssl, const char *name)
{
    struct gifts *gifts = SSL_get_ex_data(ssl, gifts_index);
    struct tls_resumable *resumable = NULL;
    struct tls_session described;

    if (!gifts || gifts->count == 0)
        return NULL;
    tls_session_describe(ssl, name, &described);
    while (!resumable && gifts->count > 0) {
        SSL_SESSION *session = gifts->sessions[--gifts->count];
        resumable = resumable_of(ssl, session, &described);
        SSL_SESSION_free(session);
    }
    ERR_clear_error();
    return resumable;
}

/* --- as a thing */

void tls_resumable_free(struct tls_resumable **resumable)
{
    if (*resumable)
        crypto_cleanse((*resumable)->bytes, (*resumable)->len);
    free(*resumable);
    *resumable = NULL;
}

struct tls_resumable *tls_resumable_copy(const struct tls_resumable *resumable)
{
    struct tls_resumable *copy = memory_new(sizeof(*copy) + resumable->len);

    memcpy(copy, resumable, sizeof(*copy) + resumable->len);
    return copy;
}

bool tls_resumable_once(const struct tls_resumable *resumable)
{
    return resumable->once;
}

bool tls_resumable_verified(const struct tls_resumable *resumable)
{
    return resumable->verified;
}

int64_t tls_resumable_since_ms(const struct tls_resumable *resumable)
{
    return resumable->since_ms;
}

bool tls_resumable_expired(const struct tls_resumable *resumable, int64_t utc_ms)
{
    return resumable->verified && resumable->not_after_utc_ms <= utc_ms;
}
