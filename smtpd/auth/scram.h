/*
 * scram - the server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 9266),
 * message by message.  Called by smtpd/auth/sasl.  Pure: nonces, keys and bindings come in.
 * Keys are what the users file holds; with them nobody can log in, but a password can be guessed.
 */
#ifndef WAXSEAL_SMTPD_AUTH_SCRAM_H
#define WAXSEAL_SMTPD_AUTH_SCRAM_H

#include "lib/io/scram_keys.h"

enum {
    SCRAM_ITERATIONS_MAX = 10000000, /* more is a slip of the pen, and minutes for the client */
    SCRAM_ITERATIONS = 15000,        /* of new keys; RFC 7677 s.4 */
    SCRAM_SALT_SIZE = 16,            /* of new keys */
    SCRAM_KEYS_TEXT_SIZE = 320,
    SCRAM_NONCE_TEXT_SIZE = 24,
};

struct scram_keys {
    unsigned iterations;
    unsigned char salt[SCRAM_SALT_MAX];
    size_t salt_len;
    unsigned char stored[CRYPTO_SHA256_SIZE];
    unsigned char server[CRYPTO_SHA256_SIZE];
};

/* RFC 5802 s.3.  The password is in its SASLprep form (lib/base/saslprep). */
struct scram_keys scram_derive(struct span password, struct span salt, unsigned iterations);

/* "SCRAM-SHA-256$15000:SALT$STORED:SERVER", as others store it, too. */
bool scram_keys_parse(struct span text, struct scram_keys *out);
void scram_keys_format(const struct scram_keys *keys, char text[SCRAM_KEYS_TEXT_SIZE]);

enum scram_result {
    SCRAM_FINE,
    SCRAM_REFUSED,   /* well-formed, and wrong */
    SCRAM_MALFORMED, /* not SCRAM */
};

struct scram {
    bool is_plus;
    const struct scram_bindings *bindings; /* lent */
    char user[SCRAM_USER_MAX + 1];
    struct buf binding; /* what "c=" has to be: GS2 header and channel binding */
    struct buf said;    /* the AuthMessage, as far as it has come */
    struct buf nonce;   /* the client's, then both */
    struct scram_keys keys;
};

void scram_init(struct scram *scram, bool is_plus, const struct scram_bindings *bindings);
void scram_clear(struct scram *scram);

/* client-first-message: names the user. */
enum scram_result scram_take_first(struct scram *scram, struct span message);
/* server-first-message, with the user's keys and our part of the nonce (printable, no comma). */
void scram_say_first(struct scram *scram, const struct scram_keys *keys, struct span nonce,
                     struct buf *out);
/* client-final-message: the proof; when FINE, `out` is the server-final-message. */
enum scram_result scram_take_final(struct scram *scram, struct span message, struct buf *out);

#endif
