#include "lib/io/scram_keys.h"

#include <string.h>

#include "lib/base/base64.h"

static struct span span_of_key(const unsigned char key[CRYPTO_SHA256_SIZE])
{
    return (struct span){ (const char *)key, CRYPTO_SHA256_SIZE };
}

struct scram_secrets scram_secrets_of(const unsigned char salted[CRYPTO_SHA256_SIZE])
{
    struct scram_secrets secrets;

    crypto_hmac_sha256(span_of_key(salted), SPAN("Client Key"), secrets.client);
    crypto_sha256(span_of_key(secrets.client), secrets.stored);
    crypto_hmac_sha256(span_of_key(salted), SPAN("Server Key"), secrets.server);
    return secrets;
}

void scram_mask(const unsigned char stored[CRYPTO_SHA256_SIZE], struct span said,
                unsigned char key[CRYPTO_SHA256_SIZE])
{
    unsigned char signature[CRYPTO_SHA256_SIZE];

    crypto_hmac_sha256(span_of_key(stored), said, signature);
    for (size_t i = 0; i < sizeof(signature); i++)
        key[i] ^= signature[i];
    crypto_cleanse(signature, sizeof(signature));
}

bool scram_cut_bytes(struct span *rest, char end, unsigned char *out, size_t least, size_t most,
                     size_t *out_len)
{
    struct span piece;
    struct buf bytes;
    bool fine;

    buf_init(&bytes, SCRAM_MESSAGE_MAX);
    fine = span_cut(rest, end, &piece) && base64_decode(piece, &bytes) &&
           buf_len(&bytes) >= least && buf_len(&bytes) <= most;
    if (fine) {
        *out_len = buf_len(&bytes);
        memcpy(out, buf_span(&bytes).data, *out_len);
    }
    buf_clear(&bytes);
    return fine;
}

void scram_put_bytes(struct buf *out, const unsigned char *bytes, size_t len)
{
    ensure(base64_encode((struct span){ (const char *)bytes, len }, out));
}

bool scram_take_nonce(struct span piece, struct buf *out)
{
    struct span nonce = span_from(piece, 2);

    return span_starts_with(piece, SPAN("r=")) && nonce.len > 0 && span_is_printable(nonce) &&
           buf_append(out, nonce);
}
