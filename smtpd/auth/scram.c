#include "smtpd/auth/scram.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/base64.h"

#define PREFIX "SCRAM-SHA-256$"

static struct span span_of_key(const unsigned char key[CRYPTO_SHA256_SIZE])
{
    return (struct span){ (const char *)key, CRYPTO_SHA256_SIZE };
}

/* --- keys */

struct scram_keys scram_derive(struct span password, struct span salt, unsigned iterations)
{
    struct scram_keys keys = { .iterations = iterations, .salt_len = salt.len };
    unsigned char salted[CRYPTO_SHA256_SIZE];
    struct scram_secrets secrets;

    ensure(salt.len > 0 && salt.len <= SCRAM_SALT_MAX);
    memcpy(keys.salt, salt.data, salt.len);
    crypto_pbkdf2_sha256(password, salt, iterations, salted);
    secrets = scram_secrets_of(salted);
    memcpy(keys.stored, secrets.stored, sizeof(keys.stored));
    memcpy(keys.server, secrets.server, sizeof(keys.server));
    crypto_cleanse(salted, sizeof(salted));
    crypto_cleanse(&secrets, sizeof(secrets));
    return keys;
}

bool scram_keys_parse(struct span text, struct scram_keys *out)
{
    struct scram_keys keys = { .iterations = 0 };
    struct span rest = span_from(text, sizeof(PREFIX) - 1);
    struct span number;
    uint64_t iterations;
    size_t len;

    if (!span_starts_with(text, SPAN(PREFIX)) || text.len >= SCRAM_KEYS_TEXT_SIZE ||
        !span_cut(&rest, ':', &number) ||
        !span_to_number(number, SCRAM_ITERATIONS_MAX, &iterations) ||
        iterations < SCRAM_ITERATIONS_MIN)
        return false;
    keys.iterations = (unsigned)iterations;
    if (!scram_cut_bytes(&rest, '$', keys.salt, 1, SCRAM_SALT_MAX, &keys.salt_len) ||
        !scram_cut_bytes(&rest, ':', keys.stored, CRYPTO_SHA256_SIZE, CRYPTO_SHA256_SIZE, &len) ||
        !scram_cut_bytes(&rest, ':', keys.server, CRYPTO_SHA256_SIZE, CRYPTO_SHA256_SIZE, &len))
        return false;
    if (rest.data)
        return false;
    *out = keys;
    return true;
}

void scram_keys_format(const struct scram_keys *keys, char text[SCRAM_KEYS_TEXT_SIZE])
{
    struct buf out;

    buf_init(&out, SCRAM_KEYS_TEXT_SIZE);
    ensure(buf_printf(&out, PREFIX "%u:", keys->iterations));
    scram_put_bytes(&out, keys->salt, keys->salt_len);
    ensure(buf_append(&out, SPAN("$")));
    scram_put_bytes(&out, keys->stored, sizeof(keys->stored));
    ensure(buf_append(&out, SPAN(":")));
    scram_put_bytes(&out, keys->server, sizeof(keys->server));
    ensure(span_to_string(buf_span(&out), text, SCRAM_KEYS_TEXT_SIZE));
    buf_clear(&out);
}

/* --- the exchange */

void scram_init(struct scram *scram, bool is_plus, const struct scram_bindings *bindings)
{
    *scram = (struct scram){ .is_plus = is_plus, .bindings = bindings };
    buf_init(&scram->binding, SCRAM_MESSAGE_MAX + SCRAM_BINDING_MAX);
    buf_init(&scram->said, 4 * SCRAM_MESSAGE_MAX);
    buf_init(&scram->nonce, 2 * SCRAM_MESSAGE_MAX);
}

void scram_clear(struct scram *scram)
{
    buf_clear(&scram->binding);
    buf_clear(&scram->said);
    buf_clear(&scram->nonce);
    crypto_cleanse(&scram->keys, sizeof(scram->keys));
}

/* RFC 5802 s.5.1: "=2C" is a comma, "=3D" an equals sign, no other "=" may be. */
static bool take_name(struct span text, char out[SCRAM_USER_MAX + 1])
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++, len++) {
        if (len == SCRAM_USER_MAX || text.data[i] == '\0')
            return false;
        out[len] = text.data[i];
        if (text.data[i] != '=')
            continue;
        struct span code = span_first(span_from(text, i + 1), 2);
        if (span_equal(code, SPAN("2C")))
            out[len] = ',';
        else if (!span_equal(code, SPAN("3D")))
            return false;
        i += 2;
    }
    out[len] = '\0';
    return len > 0;
}

/* RFC 5802 s.6: the binding that the client asks for, behind the GS2 header. */
static enum scram_result take_binding(struct scram *scram, struct span flag)
{
    const struct scram_bindings *b = scram->bindings;
    struct span data = { NULL, 0 };

    if (span_equal(flag, SPAN("n")))
        return scram->is_plus ? SCRAM_MALFORMED : SCRAM_FINE;
    if (span_equal(flag,
                   SPAN("y"))) /* it thinks that we have no -PLUS: somebody between us says so */
        return scram->is_plus ? SCRAM_MALFORMED : SCRAM_REFUSED;
    if (!scram->is_plus)
        return SCRAM_MALFORMED;
    if (span_equal(flag, SPAN("p=tls-exporter")))
        data = (struct span){ (const char *)b->exporter, b->exporter_len };
    else if (span_equal(flag, SPAN("p=tls-server-end-point")))
        data = (struct span){ (const char *)b->end_point, b->end_point_len };
    if (data.len == 0)
        return SCRAM_REFUSED;
    ensure(buf_append(&scram->binding, data));
    return SCRAM_FINE;
}

enum scram_result scram_take_first(struct scram *scram, struct span message)
{
    char authzid[SCRAM_USER_MAX + 1] = "";
    struct span rest = message, flag, other, bare, name, nonce;

    if (message.len > SCRAM_MESSAGE_MAX || !span_cut(&rest, ',', &flag) ||
        !span_cut(&rest, ',', &other) || !rest.data)
        return SCRAM_MALFORMED;
    bare = rest;
    if (!span_cut(&rest, ',', &name) || !span_cut(&rest, ',', &nonce))
        return SCRAM_MALFORMED;
    if (!span_starts_with(name, SPAN("n=")) || !take_name(span_from(name, 2), scram->user) ||
        !scram_take_nonce(nonce, &scram->nonce))
        return SCRAM_MALFORMED; /* "m=", an extension that must be known, among them */
    if (other.len > 0 &&
        (!span_starts_with(other, SPAN("a=")) || !take_name(span_from(other, 2), authzid)))
        return SCRAM_MALFORMED;
    ensure(buf_append(&scram->binding, span_first(message, (size_t)(bare.data - message.data))));
    ensure(buf_append(&scram->said, bare));
    enum scram_result result = take_binding(scram, flag);
    if (result == SCRAM_FINE && other.len > 0 && strcmp(authzid, scram->user) != 0)
        return SCRAM_REFUSED; /* nobody may act for another */
    return result;
}

void scram_say_first(struct scram *scram, const struct scram_keys *keys, struct span nonce,
                     struct buf *out)
{
    scram->keys = *keys;
    ensure(buf_append(&scram->nonce, nonce));
    ensure(buf_printf(out, "r=" SPAN_FMT ",s=", SPAN_ARG(buf_span(&scram->nonce))));
    scram_put_bytes(out, keys->salt, keys->salt_len);
    ensure(buf_printf(out, ",i=%u", keys->iterations));
    ensure(buf_append(&scram->said, SPAN(",")) && buf_append(&scram->said, buf_span(out)) &&
           buf_append(&scram->said, SPAN(",")));
}

/* RFC 5802 s.3: the proof hides the client's key, which has to hash to the stored one. */
static bool proof_holds(const struct scram *scram, const unsigned char proof[CRYPTO_SHA256_SIZE])
{
    unsigned char client[CRYPTO_SHA256_SIZE], stored[CRYPTO_SHA256_SIZE];
    bool holds;

    memcpy(client, proof, sizeof(client));
    scram_mask(scram->keys.stored, buf_span(&scram->said), client);
    crypto_sha256(span_of_key(client), stored);
    holds = crypto_equal(stored, scram->keys.stored, sizeof(stored));
    crypto_cleanse(client, sizeof(client));
    return holds;
}

/* "c=": the GS2 header and the binding, once more and bound by the proof. */
static bool binding_holds(const struct scram *scram, struct span piece)
{
    struct buf bytes;
    bool holds;

    buf_init(&bytes, SCRAM_MESSAGE_MAX);
    holds = base64_decode(span_from(piece, 2), &bytes) &&
            span_equal(buf_span(&bytes), buf_span(&scram->binding));
    buf_clear(&bytes);
    return holds;
}

enum scram_result scram_take_final(struct scram *scram, struct span message, struct buf *out)
{
    unsigned char proof[CRYPTO_SHA256_SIZE], signature[CRYPTO_SHA256_SIZE];
    struct span rest = message, binding, nonce, last = { NULL, 0 }, text;
    size_t len;

    if (message.len > SCRAM_MESSAGE_MAX || !span_cut(&rest, ',', &binding) ||
        !span_cut(&rest, ',', &nonce) || !span_starts_with(binding, SPAN("c=")) ||
        !span_starts_with(nonce, SPAN("r=")))
        return SCRAM_MALFORMED;
    while (span_cut(&rest, ',', &last)) /* extensions, then the proof */
        ;
    text = span_from(last, 2);
    if (!span_starts_with(last, SPAN("p=")) ||
        !scram_cut_bytes(&text, ',', proof, sizeof(proof), sizeof(proof), &len))
        return SCRAM_MALFORMED;
    if (!binding_holds(scram, binding) || !span_equal(span_from(nonce, 2), buf_span(&scram->nonce)))
        return SCRAM_REFUSED;
    ensure(buf_append(&scram->said, span_first(message, (size_t)(last.data - message.data) - 1)));
    if (!proof_holds(scram, proof))
        return SCRAM_REFUSED;
    crypto_hmac_sha256(span_of_key(scram->keys.server), buf_span(&scram->said), signature);
    ensure(buf_append(out, SPAN("v=")));
    scram_put_bytes(out, signature, sizeof(signature));
    return SCRAM_FINE;
}
