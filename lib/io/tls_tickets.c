#include "lib/io/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/io/tls_server.h"

enum { TICKET_LIFE_S = 2 * 60 * 60 };

/* As libssl wants them; names are public, they stand in every ticket. */
struct ticket_key {
    unsigned char name[16];
    unsigned char cipher[32];
    unsigned char mac[32];
};
_Static_assert(sizeof(struct ticket_key) == TLS_TICKET_KEY_SIZE, "keys are handed over as bytes");

struct tls_ticket_keys {
    struct ticket_key keys[TLS_TICKET_KEYS_MAX];
    unsigned count;
};

static CRYPTO_ONCE tickets_once = CRYPTO_ONCE_STATIC_INIT;
static int tickets_index;

static void tickets_begin(void)
{
    tickets_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

struct tls_ticket_keys *tls_ticket_keys_new(struct span bytes)
{
    struct tls_ticket_keys *keys;

    if (bytes.len < sizeof(struct ticket_key))
        return NULL;
    keys = memory_new(sizeof(*keys));
    while (keys->count < TLS_TICKET_KEYS_MAX && bytes.len >= sizeof(struct ticket_key)) {
        memcpy(&keys->keys[keys->count++], bytes.data, sizeof(struct ticket_key));
        bytes = span_from(bytes, sizeof(struct ticket_key));
    }
    return keys;
}

void tls_ticket_keys_free(struct tls_ticket_keys **keys)
{
    if (!*keys)
        return;
    OPENSSL_cleanse(*keys, sizeof(**keys));
    free(*keys);
    *keys = NULL;
}

/* --- sealing and opening --------------------------------------------------------------------- */

static bool use_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
    unsigned char secret[sizeof(key->mac)];
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    memcpy(secret, key->mac, sizeof(secret));
    bool fine = EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(secret, sizeof(secret));
    return fine;
}

static int seal(const struct ticket_key *key, unsigned char *name, unsigned char *iv,
                EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    memcpy(name, key->name, sizeof(key->name));
    random_bytes(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
    return EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) == 1 &&
                   use_mac(mac, key)
               ? 1
               : -1;
}

/* 0: a key we do not know (any more), so that it is a whole handshake; 1: opened. */
static int open_sealed(const struct tls_ticket_keys *keys, const unsigned char *name,
                       const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    for (unsigned i = 0; i < keys->count; i++) {
        const struct ticket_key *key = &keys->keys[i];
        if (memcmp(name, key->name, sizeof(key->name)) != 0)
            continue;
        if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) != 1 ||
            !use_mac(mac, key))
            return -1;
        return 1;
    }
    return 0;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_sealing)
{
    const struct tls_ticket_keys *keys = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tickets_index);

    if (is_sealing)
        return seal(&keys->keys[0], name, iv, cipher, mac);
    int result = open_sealed(keys, name, iv, cipher, mac);
    bool is_old = memcmp(name, keys->keys[0].name, sizeof(keys->keys[0].name)) != 0;
    /* 2: a new one is due, too; in TLS 1.3 each is for one use (RFC 8446 appendix C.4) */
    return result == 1 && (is_old || SSL_version(ssl) == TLS1_3_VERSION) ? 2 : result;
}

/* --- what a ticket remembers ----------------------------------------------------------------- */

/* The certificate that was shown in the first handshake, for tickets of all that follow. */
static int remember_end_point(SSL *ssl, void *ctx)
{
    unsigned char binding[TLS_BINDING_MAX];

    (void)ctx;
    if (SSL_session_reused(ssl))
        return 1;
    size_t len = tls_session_binding(ssl, TLS_BINDING_END_POINT, binding);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), binding, len);
}

size_t tls_tickets_end_point(const SSL *ssl, unsigned char room[TLS_BINDING_MAX])
{
    void *data = NULL;
    size_t len = 0;

    if (SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &data, &len) != 1 ||
        len > TLS_BINDING_MAX)
        return 0;
    if (len > 0)
        memcpy(room, data, len);
    return len;
}

/* --- contexts -------------------------------------------------------------------------------- */

void tls_tickets_use(SSL_CTX *ctx, const struct tls_ticket_keys *keys)
{
    union {
        const void *lent;
        void *kept; /* OpenSSL's slot is not const; nobody writes through it */
    } data = { .lent = keys };

    ensure(CRYPTO_THREAD_run_once(&tickets_once, tickets_begin) == 1);
    ensure(SSL_CTX_set_ex_data(ctx, tickets_index, data.kept) == 1);
    ensure(SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1);
    ensure(SSL_CTX_set_session_ticket_cb(ctx, remember_end_point, NULL, NULL) == 1);
    SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
    SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    ensure(SSL_CTX_set_num_tickets(ctx, 1) == 1);
}
