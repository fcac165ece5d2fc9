/*
 * Canonical forms, signatures with known answers, and the rules of DKIM.  A rule's vector has
 * nothing to feed in: the product signs a sample message, and what it made is looked at.
 */
#include "lib/base/base64.h"
#include "lib/base/limits.h"
#include "lib/io/body_hash.h"
#include "lib/io/crypto.h"
#include "lib/io/signing_key.h"
#include "lib/mail/dkim_body.h"
#include "lib/mail/dkim_header.h"
#include "lib/mail/dkim_record.h"
#include "lib/mail/dkim_select.h"
#include "lib/mail/dkim_signature.h"
#include "lib/mail/dkim_tags.h"
#include "tests/support/signing_keys.h"
#include "tests/vectors/vectors.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 * 1024 };

static json_t *text_value(struct span text)
{
    return json_stringn(text.data, text.len);
}

static json_t *base64_value(const void *bytes, size_t len)
{
    struct buf text;
    json_t *value;

    buf_init(&text, TEXT_MAX);
    ensure(base64_encode((struct span){ bytes, len }, &text));
    value = text_value(buf_span(&text));
    buf_clear(&text);
    return value;
}

static json_t *sha256_hex(struct span text)
{
    unsigned char digest[DKIM_SHA256_SIZE];
    char hex[2 * DKIM_SHA256_SIZE + 1];

    crypto_sha256(text, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return json_string(hex);
}

static struct span member(const json_t *given, const char *key)
{
    return text_of(json_object_get(given, key));
}

static struct span block_of(struct span message)
{
    const char *end = memmem(message.data, message.len, "\r\n\r\n", 4);

    return end ? span_first(message, (size_t)(end - message.data) + 4) : message;
}

/* --- canonical forms */

static json_t *judge_header(const json_t *given)
{
    enum dkim_canon header, body;
    struct buf out;
    json_t *got;

    ensure(dkim_canon_parse(member(given, "canon"), &header, &body));
    buf_init(&out, TEXT_MAX);
    ensure(dkim_header_append(member(given, "header"), header, &out));
    ensure(buf_append(&out, SPAN("\r\n")));
    got = json_pack("{s:o}", "output", text_value(buf_span(&out)));
    buf_clear(&out);
    return got;
}

static void gather(void *ctx, struct span canonical)
{
    ensure(buf_append(ctx, canonical));
}

static json_t *judge_body(const json_t *given)
{
    struct span text = member(given, "body");
    struct buf content;
    struct buf out;
    struct body_hashes hashes;
    struct dkim_body body;
    enum dkim_canon canon, unused;
    json_t *got;

    ensure(dkim_canon_parse(member(given, "canon"), &canon, &unused));
    buf_init(&out, TEXT_MAX);
    buf_init(&content, TEXT_MAX);
    dkim_body_init(&body, canon, gather, &out);
    dkim_body_add(&body, text);
    dkim_body_end(&body);
    ensure(buf_append(&content, SPAN("\r\n")) && buf_append(&content, text));
    body_hash_of(buf_span(&content), canon == DKIM_RELAXED, canon == DKIM_SIMPLE, &hashes);
    got = json_pack(
        "{s:o, s:o}", "output", text_value(buf_span(&out)), "sha256_b64",
        base64_value(canon == DKIM_RELAXED ? hashes.relaxed : hashes.simple, DKIM_SHA256_SIZE));
    buf_clear(&content);
    buf_clear(&out);
    return got;
}

/* --- signatures */

/* The Ed25519 key of the fixtures is a seed: PKCS#8's words in front make a key file of it. */
static struct signing_key *ed25519_key(void)
{
    static const unsigned char words[] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                           0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };
    struct signing_key *key = NULL;
    struct error *err;
    struct buf der;
    struct buf pem;

    buf_init(&der, 64);
    buf_init(&pem, 256);
    ensure(buf_append(&der, (struct span){ (const char *)words, sizeof(words) }));
    ensure(base64_decode(member(vectors_fixtures(), "ed25519_seed_b64"), &der));
    ensure(buf_append(&pem, SPAN("-----BEGIN PRIVATE KEY-----\n")));
    ensure(base64_encode(buf_span(&der), &pem));
    ensure(buf_append(&pem, SPAN("\n-----END PRIVATE KEY-----\n")));
    err = signing_key_load(buf_span(&pem), false, &key);
    ensure(!err);
    buf_clear(&der);
    buf_clear(&pem);
    return key;
}

static struct signing_key *key_for(struct span algorithm)
{
    struct signing_key *key = NULL;
    struct error *err;

    if (!span_equal(algorithm, SPAN("rsa-sha256")))
        return ed25519_key();
    err = signing_key_load(member(vectors_fixtures(), "rsa_private_key_pem"), true, &key);
    ensure(!err);
    return key;
}

static json_t *signature_value(const json_t *given, struct span input)
{
    unsigned char signature[DKIM_SIGNATURE_MAX];
    struct signing_key *key = key_for(member(given, "algorithm"));
    size_t len = 0;
    struct error *err = signing_key_sign(key, input, signature, &len);

    ensure(!err);
    ensure(span_equal(member(given, "algorithm"),
                      span_of(dkim_algorithm_name(signing_key_algorithm(key)))));
    signing_key_free(&key);
    return base64_value(signature, len);
}

/* Does the field's h= hold the vector's names, in their order? */
static bool has_names(struct span field, const json_t *names)
{
    struct dkim_tags tags;
    struct span listed;
    struct span name;
    size_t at = 0;

    ensure(dkim_tags_parse(span_from(field, span_find(field, ':') + 1), &tags));
    ensure(dkim_tags_find(&tags, "h", &listed));
    while (span_cut(&listed, ':', &name))
        if (!span_equal_nocase(dkim_trim(name), text_of(json_array_get(names, at++))))
            return false;
    return at == json_array_size(names);
}

static json_t *judge_sign(const json_t *given)
{
    struct span message = member(given, "message");
    struct span field = member(given, "dkim_signature_without_b");
    enum dkim_canon header, body;
    struct body_hashes hashes;
    struct buf input;
    json_t *got;

    ensure(dkim_canon_parse(member(given, "canon"), &header, &body));
    ensure(has_names(field, json_object_get(given, "h")));
    body_hash_of(message, true, true, &hashes);
    buf_init(&input, TEXT_MAX);
    ensure(dkim_signature_input(block_of(message), field, header, &input));
    got = json_pack(
        "{s:o, s:o, s:o, s:o}", "bh",
        base64_value(body == DKIM_RELAXED ? hashes.relaxed : hashes.simple, DKIM_SHA256_SIZE),
        "signing_input", text_value(buf_span(&input)), "signing_input_sha256_hex",
        sha256_hex(buf_span(&input)), "b", signature_value(given, buf_span(&input)));
    buf_clear(&input);
    return got;
}

static json_t *judge_select(const json_t *given)
{
    struct dkim_selection selection;
    struct buf header, names;
    json_t *got = json_array();
    json_t *item;
    size_t i;

    buf_init(&header, TEXT_MAX);
    buf_init(&names, TEXT_MAX);
    json_array_foreach(json_object_get(given, "fields"), i, item)
        ensure(buf_printf(&header, "%s\r\n", json_string_value(item)));
    json_array_foreach(json_object_get(given, "h"), i, item)
        ensure(buf_printf(&names, "%s%s", i > 0 ? ":" : "", json_string_value(item)));
    ensure(dkim_select_fields(buf_span(&header), buf_span(&names), &selection));
    for (i = 0; i < selection.count; i++)
        json_array_append_new(
            got, text_value(span_first(selection.fields[i], selection.fields[i].len - 2)));
    buf_clear(&header);
    buf_clear(&names);
    return json_pack("{s:o}", "signed_in_order", got);
}

static json_t *judge_key_record(const json_t *given)
{
    struct dkim_record record;
    struct dkim_tags tags;
    struct span key = { "", 0 };

    if (dkim_record_parse(member(given, "record"), &record))
        return json_pack("{s:b}", "valid", 0);
    ensure(dkim_tags_parse(member(given, "record"), &tags) && dkim_tags_find(&tags, "p", &key));
    return json_pack("{s:b, s:I, s:I}", "valid", 1, "key_bytes", (json_int_t)record.key_len,
                     "p_length", (json_int_t)key.len);
}

/* --- rules: a sample, signed as the relay would */

static const char sample[] = "From: TLS reports <tlsrpt@relay.example>\r\n"
                             "DKIM-Signature: v=1; d=other.example; s=a; h=From; bh=x; b=y\r\n"
                             "TLS-Report-Domain: example.net\r\n"
                             "\r\n"
                             "This is an aggregate TLS report.\r\n";

struct signed_sample {
    struct buf field; /* finished */
    struct dkim_tags tags;
    struct span names;
};

static void sign_sample(struct signed_sample *s, struct signing_key *key, const char *selector)
{
    struct span message = span_of(sample);
    unsigned char signature[DKIM_SIGNATURE_MAX];
    struct body_hashes hashes;
    struct buf open, input;
    size_t len = 0;

    body_hash_of(message, true, false, &hashes);
    const struct dkim_signing signing = {
        .algorithm = signing_key_algorithm(key),
        .header = DKIM_RELAXED,
        .body = DKIM_RELAXED,
        .domain = SPAN("relay.example"),
        .selector = span_of(selector),
        .signed_utc_s = 1773104523,
        .expires_utc_s = 1774314123,
        .body_sha256 = { (const char *)hashes.relaxed, DKIM_SHA256_SIZE },
    };
    buf_init(&open, TEXT_MAX);
    buf_init(&input, TEXT_MAX);
    buf_init(&s->field, TEXT_MAX);
    ensure(!dkim_signature_open(&signing, block_of(message), &open));
    ensure(dkim_signature_input(block_of(message), buf_span(&open), DKIM_RELAXED, &input));
    struct error *err = signing_key_sign(key, buf_span(&input), signature, &len);
    ensure(!err);
    ensure(
        dkim_signature_close(buf_span(&open), (struct span){ (char *)signature, len }, &s->field));
    struct span field = buf_span(&s->field);
    ensure(dkim_tags_parse(span_from(field, span_find(field, ':') + 1), &s->tags));
    ensure(dkim_tags_find(&s->tags, "h", &s->names));
    buf_clear(&open);
    buf_clear(&input);
}

static bool sample_lists(const struct signed_sample *s, const char *name)
{
    struct span names = s->names;
    struct span listed;

    while (span_cut(&names, ':', &listed))
        if (span_equal_nocase(dkim_trim(listed), span_of(name)))
            return true;
    return false;
}

/* What bh= and b= cover: another hash is found when the rule is not kept. */
static json_t *rule_order(const struct signed_sample *s)
{
    struct span message = span_of(sample);
    struct span field = buf_span(&s->field);
    struct span bh, b;
    struct body_hashes hashes;
    struct signing_key *key = ed25519_key();
    struct buf input, open, hash, signature;

    body_hash_of(message, true, false, &hashes);
    ensure(dkim_tags_find(&s->tags, "bh", &bh) && dkim_tags_find(&s->tags, "b", &b));
    buf_init(&input, TEXT_MAX);
    buf_init(&open, TEXT_MAX);
    buf_init(&hash, TEXT_MAX);
    buf_init(&signature, TEXT_MAX);
    ensure(base64_decode(bh, &hash));
    for (size_t i = 0; i < b.len; i++)
        if (dkim_trim((struct span){ b.data + i, 1 }).len > 0)
            ensure(buf_append(&open, (struct span){ b.data + i, 1 }));
    ensure(base64_decode(buf_span(&open), &signature));
    buf_reset(&open);
    ensure(buf_append(&open, span_first(field, (size_t)(b.data - field.data))));
    /* h= order by hand: of the sample, From and TLS-Report-Domain are there */
    ensure(buf_append(&input, SPAN("from:TLS reports <tlsrpt@relay.example>\r\n"
                                   "tls-report-domain:example.net\r\n")));
    ensure(dkim_header_append(buf_span(&open), DKIM_RELAXED, &input));
    bool covers_header = signing_key_verify(key, buf_span(&input), buf_span(&signature));
    bool covers_body =
        span_equal(buf_span(&hash), (struct span){ (char *)hashes.relaxed, DKIM_SHA256_SIZE });
    buf_clear(&input);
    buf_clear(&open);
    buf_clear(&hash);
    buf_clear(&signature);
    signing_key_free(&key);
    return json_pack("{s:s, s:s}", "bh_covers", covers_body ? "canonical body" : "something else",
                     "b_covers",
                     covers_header ? "selected header fields in h= order, then DKIM-Signature with "
                                     "empty b= and no final CRLF"
                                   : "something else");
}

static json_t *rule_from(const struct signed_sample *s)
{
    return json_pack("{s:[s]}", "h_must_include", sample_lists(s, "From") ? "From" : "nothing");
}

/* The sample has a DKIM-Signature of another: neither that nor our own is listed. */
static json_t *rule_own_field(const struct signed_sample *s)
{
    return json_pack("{s:b}", "h_must_not_include_own_signature",
                     !sample_lists(s, "DKIM-Signature"));
}

static json_t *rule_default_canon(const struct signed_sample *s)
{
    enum dkim_canon header, body;
    char text[32];
    (void)s;

    ensure(dkim_canon_parse(SPAN(""), &header, &body));
    snprintf(text, sizeof(text), "%s/%s", dkim_canon_name(header), dkim_canon_name(body));
    return json_pack("{s:s}", "canon", text);
}

static json_t *rule_no_length(const struct signed_sample *s)
{
    struct span value;

    return json_pack("{s:s}", "l_tag",
                     dkim_tags_find(&s->tags, "l", &value) ? "is used" : "must not be used");
}

static bool loads(const char *pem, bool weak_allowed)
{
    struct signing_key *key = NULL;
    struct error *err = signing_key_load(span_of(pem), weak_allowed, &key);
    bool is_loaded = !err;

    error_free(&err);
    signing_key_free(&key);
    return is_loaded;
}

/* The least bits that a key may have, by keys on both sides of the bounds. */
static json_t *rule_no_sha1(const struct signed_sample *s)
{
    struct span value;
    bool is_old = dkim_tags_find(&s->tags, "a", &value) && !span_equal(value, SPAN("rsa-sha256")) &&
                  !span_equal(value, SPAN("ed25519-sha256"));

    return json_pack("{s:s, s:i, s:i}", "sign_with", is_old ? "sometimes" : "never",
                     "rsa_key_bits_minimum",
                     loads(KEY_RSA_1024, true) && !loads(KEY_RSA_1023, true) ? 1024 : 0,
                     "rsa_key_bits_should_be_at_least",
                     loads(KEY_RSA_2048, false) && !loads(KEY_RSA_2047, false) ? 2048 : 0);
}

/* Two keys, one message: neither signature knows of the other, and both hold. */
static json_t *rule_dual(const struct signed_sample *s)
{
    struct signing_key *rsa = signing_key_generate(DKIM_RSA_SHA256, SIGNING_KEY_BITS);
    struct signed_sample other;
    struct span d, other_d, selector, other_selector;
    bool same_d, differ;

    sign_sample(&other, rsa, "rsa");
    ensure(dkim_tags_find(&s->tags, "d", &d) && dkim_tags_find(&other.tags, "d", &other_d));
    ensure(dkim_tags_find(&s->tags, "s", &selector) &&
           dkim_tags_find(&other.tags, "s", &other_selector));
    same_d = span_equal(d, other_d);
    differ = !span_equal(selector, other_selector) && span_equal(s->names, other.names);
    buf_clear(&other.field);
    signing_key_free(&rsa);
    return json_pack("{s:s, s:s}", "selectors", differ ? "must differ" : "are equal", "d_and_i",
                     same_d ? "may be equal" : "differ");
}

static json_t *judge_rule(const json_t *given)
{
    static const struct {
        const char *topic;
        json_t *(*look)(const struct signed_sample *s);
    } rules[] = {
        { "body hash and header hash", rule_order },     { "From", rule_from },
        { "DKIM-Signature in h=", rule_own_field },      { "c= absent", rule_default_canon },
        { "l= on TLS reports", rule_no_length },         { "rsa-sha1", rule_no_sha1 },
        { "RSA and Ed25519 on one message", rule_dual },
    };
    struct signing_key *key = ed25519_key();
    struct signed_sample s;
    json_t *got = NULL;

    sign_sample(&s, key, "ed");
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (span_equal(member(given, "topic"), span_of(rules[i].topic)))
            got = rules[i].look(&s);
    buf_clear(&s.field);
    signing_key_free(&key);
    return got ? got : json_object();
}

json_t *judge_dkim(const json_t *given)
{
    static const struct {
        const char *kind;
        json_t *(*judge)(const json_t *given);
    } kinds[] = {
        { "canon_header", judge_header },
        { "canon_body", judge_body },
        { "sign", judge_sign },
        { "select", judge_select },
        { "key_record", judge_key_record },
        { "rule", judge_rule },
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (span_equal(member(given, "kind"), span_of(kinds[i].kind)))
            return kinds[i].judge(given);
    return json_object();
}

/* Every key of `expect` must be there and equal; an `expect` with no key we know agrees with none.
 */
bool dkim_agrees(const json_t *expect, const json_t *got)
{
    const char *key;
    json_t *wanted;
    union {
        const json_t *lent;
        json_t *iterated;
    } object = { expect };

    json_object_foreach(object.iterated, key,
                        wanted) if (!json_equal(wanted, json_object_get(got, key))) return false;
    return json_object_size(expect) > 0;
}
