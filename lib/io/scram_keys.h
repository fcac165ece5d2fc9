/*
 * scram_keys - what both sides of SCRAM-SHA-256 know alike (RFC 5802 s.3, RFC 7677): the keys that
 * come of a password, the mask that hides one of them in the proof, and the pieces of a message.
 * Called by smtpd/auth/scram (the server) and queue/deliver/login (the client).  Pure.
 */
#ifndef WAXSEAL_IO_SCRAM_KEYS_H
#define WAXSEAL_IO_SCRAM_KEYS_H

#include "lib/base/buf.h"
#include "lib/io/crypto.h"

enum {
    SCRAM_ITERATIONS_MIN = 4096, /* RFC 7677 s.4 */
    SCRAM_SALT_MAX = 64,
    SCRAM_USER_MAX = 254,
    SCRAM_MESSAGE_MAX = 2048, /* of one message */
    SCRAM_BINDING_MAX = 64,
};

/* The TLS session's bindings; a length of 0: there is none. */
struct scram_bindings {
    unsigned char exporter[SCRAM_BINDING_MAX];
    size_t exporter_len;
    unsigned char end_point[SCRAM_BINDING_MAX];
    size_t end_point_len;
};

/* With `client` one can log in, with `stored` see that somebody has it, with `server` be it. */
struct scram_secrets {
    unsigned char client[CRYPTO_SHA256_SIZE];
    unsigned char stored[CRYPTO_SHA256_SIZE];
    unsigned char server[CRYPTO_SHA256_SIZE];
};

/* `salted`: the password in its SASLprep form, stretched with PBKDF2.  To be cleansed after use. */
struct scram_secrets scram_secrets_of(const unsigned char salted[CRYPTO_SHA256_SIZE]);

/* ClientKey to ClientProof, or back. */
void scram_mask(const unsigned char stored[CRYPTO_SHA256_SIZE], struct span said,
                unsigned char key[CRYPTO_SHA256_SIZE]);

/* Base64 up to `end`, or to the end of the text; cut off *rest with it. */
bool scram_cut_bytes(struct span *rest, char end, unsigned char *out, size_t least, size_t most,
                     size_t *out_len);
void scram_put_bytes(struct buf *out, const unsigned char *bytes, size_t len);

/* "r=...": printable without comma; appended to `out`. */
bool scram_take_nonce(struct span piece, struct buf *out);

#endif
