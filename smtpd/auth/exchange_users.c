#include "smtpd/auth/exchanges_private.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/random.h"

/* Judging by the users file: an unknown user and a wrong password take the same way. */

enum { NONCE_BYTES = 18 };

static const struct user *user_of(const struct exchange *exchange)
{
    const struct exchanges *e = exchange->peer->exchanges;

    return e->users ? users_find(e->users, span_of(sasl_user(exchange->sasl))) : NULL;
}

static struct span span_of_digest(const unsigned char digest[CRYPTO_SHA256_SIZE])
{
    return (struct span){ (const char *)digest, CRYPTO_SHA256_SIZE };
}

/* --- passwords */

static void on_compared(void *ctx, bool fits)
{
    struct exchange *exchange = ctx;

    exchange->task = NULL;
    exchange_finish(exchange,
                    fits && exchange->is_real ? IPC__AUTH_VERDICT__YES : IPC__AUTH_VERDICT__NO);
}

/*
 * What of a real user is shown for a name that nobody has: always the same one's, so that neither
 * the time of a comparison nor what SCRAM tells of its keys says that it is made up.
 */
static const struct user *stand_in(const struct exchanges *e, struct span name,
                                   unsigned char digest[CRYPTO_SHA256_SIZE])
{
    uint64_t number;

    crypto_hmac_sha256(span_of_digest(e->secret), name, digest);
    if (!e->users || users_count(e->users) == 0)
        return NULL;
    memcpy(&number, digest, sizeof(number));
    return users_at(e->users, number % users_count(e->users));
}

/* Strangers that try and try leave room for those who have logged in before. */
static bool has_to_wait(const struct exchange *exchange)
{
    const struct exchanges *e = exchange->peer->exchanges;

    return hashing_is_busy(e->hashing) &&
           !blocks_knows(e->blocks, span_of(exchange->client), span_of(sasl_user(exchange->sasl)));
}

/* One who does not exist is compared, too, with the hash of another. */
static void compare(struct exchange *exchange)
{
    struct exchanges *e = exchange->peer->exchanges;
    const struct user *user = user_of(exchange);
    unsigned char digest[CRYPTO_SHA256_SIZE];

    if (exchange_is_blocked(exchange)) {
        exchange_finish(exchange, IPC__AUTH_VERDICT__BLOCKED);
        return;
    }
    if (has_to_wait(exchange)) {
        exchange_finish(exchange, IPC__AUTH_VERDICT__TROUBLE);
        return;
    }
    exchange->is_real = user != NULL;
    if (!user)
        user = stand_in(e, span_of(sasl_user(exchange->sasl)), digest);
    if (!user) {
        exchange_finish(exchange, IPC__AUTH_VERDICT__NO);
        return;
    }
    exchange->task =
        hashing_start(e->hashing, user->hash, sasl_password(exchange->sasl), on_compared, exchange);
    if (!exchange->task)
        exchange_finish(exchange, IPC__AUTH_VERDICT__TROUBLE);
}

/* --- SCRAM */

/* Keys for one who does not exist: iterations and salt like another's, the same each time; no proof
 * fits. */
static struct scram_keys made_up_keys(const struct exchanges *e, struct span name)
{
    struct scram_keys keys = { .iterations = SCRAM_ITERATIONS, .salt_len = SCRAM_SALT_SIZE };
    unsigned char digest[CRYPTO_SHA256_SIZE], salt[2][CRYPTO_SHA256_SIZE];
    const struct user *other = stand_in(e, name, digest);

    if (other && other->has_keys) {
        keys.iterations = other->keys.iterations;
        keys.salt_len = other->keys.salt_len;
    }
    crypto_hmac_sha256(span_of_digest(digest), SPAN("salt"), salt[0]);
    crypto_hmac_sha256(span_of_digest(digest), SPAN("more salt"), salt[1]);
    memcpy(keys.salt, salt, keys.salt_len);
    random_bytes(keys.stored, sizeof(keys.stored));
    return keys;
}
_Static_assert((int)SCRAM_SALT_MAX <= 2 * (int)CRYPTO_SHA256_SIZE, "two digests make any salt");

static enum sasl_result give_keys(struct exchange *exchange)
{
    const struct exchanges *e = exchange->peer->exchanges;
    const struct user *user = user_of(exchange);
    struct scram_keys keys =
        user && user->has_keys ? user->keys : made_up_keys(e, span_of(sasl_user(exchange->sasl)));
    char bytes[NONCE_BYTES];
    struct buf nonce;
    enum sasl_result result;

    exchange->is_real = user && user->has_keys;
    random_bytes(bytes, sizeof(bytes));
    buf_init(&nonce, BASE64_SIZE(NONCE_BYTES));
    ensure(base64_encode((struct span){ bytes, sizeof(bytes) }, &nonce));
    result = sasl_give_keys(exchange->sasl, &keys, buf_span(&nonce));
    buf_clear(&nonce);
    crypto_cleanse(&keys, sizeof(keys));
    return result;
}

/* --- steps */

/* Acts on what a step came to; the exchange may be gone behind it. */
static void follow(struct exchange *exchange, enum sasl_result result)
{
    if (result == SASL_KEYS && exchange_is_blocked(exchange)) {
        exchange_finish(exchange, IPC__AUTH_VERDICT__BLOCKED);
        return;
    }
    if (result == SASL_KEYS)
        result = give_keys(exchange);
    switch (result) {
    case SASL_CHALLENGE:
        exchange_challenge(exchange, sasl_challenge(exchange->sasl));
        break;
    case SASL_PASSWORD:
        compare(exchange);
        break;
    case SASL_PROVEN:
        exchange_finish(exchange,
                        exchange->is_real ? IPC__AUTH_VERDICT__YES : IPC__AUTH_VERDICT__NO);
        break;
    case SASL_REFUSED:
        exchange_finish(exchange, exchange_is_blocked(exchange) ? IPC__AUTH_VERDICT__BLOCKED
                                                                : IPC__AUTH_VERDICT__NO);
        break;
    case SASL_KEYS:
    case SASL_MALFORMED:
        exchange_finish(exchange, IPC__AUTH_VERDICT__MALFORMED);
        break;
    }
}

static size_t copy_binding(unsigned char room[SCRAM_BINDING_MAX], struct span binding)
{
    if (binding.len == 0 || binding.len > SCRAM_BINDING_MAX)
        return 0;
    memcpy(room, binding.data, binding.len);
    return binding.len;
}

void exchange_begin_users(struct exchange *exchange, const Ipc__AuthBegin *m)
{
    struct scram_bindings bindings = { .exporter_len = 0 };
    struct span response = span_of_bytes(m->response);

    bindings.exporter_len = copy_binding(bindings.exporter, span_of_bytes(m->exporter));
    bindings.end_point_len = copy_binding(bindings.end_point, span_of_bytes(m->end_point));
    exchange->sasl = sasl_new((enum auth_mechanism)m->mechanism, &bindings);
    follow(exchange, sasl_begin(exchange->sasl, m->has_response ? &response : NULL));
}

void exchange_step_users(struct exchange *exchange, struct span response)
{
    follow(exchange, sasl_respond(exchange->sasl, response));
}
