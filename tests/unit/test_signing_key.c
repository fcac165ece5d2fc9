#include "tests/support/test.h"

#include "lib/base/base64.h"
#include "lib/io/crypto.h"
#include "lib/io/signing_key.h"
#include "tests/support/signing_keys.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct signing_key *loaded(const char *pem)
{
    struct signing_key *key = NULL;
    struct error *err = signing_key_load(span_of(pem), true, &key);

    assert_null(err);
    return key;
}

static void check_refused(struct span pem, bool weak_allowed, const char *wanted)
{
    struct signing_key *key = NULL;
    struct error *err = signing_key_load(pem, weak_allowed, &key);

    assert_non_null(err);
    assert_string_equal(error_text(err), wanted);
    assert_null(key);
    error_free(&err);
}

static void check_public(const struct signing_key *key, const char *wanted)
{
    unsigned char bytes[DKIM_KEY_MAX];
    struct buf text;

    buf_init(&text, 2 * DKIM_KEY_MAX);
    assert_true(
        base64_encode((struct span){ (char *)bytes, signing_key_public(key, bytes) }, &text));
    assert_int_equal(buf_len(&text), strlen(wanted));
    assert_memory_equal(buf_span(&text).data, wanted, strlen(wanted));
    buf_clear(&text);
}

static void keys_of_both_kinds_are_read(void **state)
{
    struct signing_key *key = loaded(KEY_ED25519);
    (void)state;

    assert_int_equal(signing_key_algorithm(key), DKIM_ED25519_SHA256);
    assert_int_equal(signing_key_bits(key), 256);
    check_public(key, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    signing_key_free(&key);
    assert_null(key);
    signing_key_free(&key);
    key = loaded(KEY_RSA_1024);
    assert_int_equal(signing_key_algorithm(key), DKIM_RSA_SHA256);
    assert_int_equal(signing_key_bits(key), 1024);
    check_public(key,
                 "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bd"
                 "OKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4h"
                 "stT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB");
    signing_key_free(&key);
}

static void weak_keys_are_refused_and_the_weakest_always(void **state)
{
    (void)state;
    check_refused(SPAN(KEY_RSA_1024), false, "RSA of 1024 bits is weak; it should have 2048");
    check_refused(SPAN(KEY_RSA_2047), false, "RSA of 2047 bits is weak; it should have 2048");
    check_refused(SPAN(KEY_RSA_1023), true,
                  "RSA of 1023 bits: receivers take no signature of such a key");
    check_refused(SPAN(KEY_RSA_8200), true, "RSA of 8200 bits; at most 8192 will do");
}

static void what_is_no_key_for_mail_is_refused(void **state)
{
    static char much[SIGNING_KEY_PEM_MAX + 1];
    (void)state;

    memset(much, '\n', sizeof(much));
    check_refused(SPAN(KEY_P256), false, "it is neither an RSA nor an Ed25519 key");
    check_refused(SPAN(KEY_ENCRYPTED), false,
                  "no private key in PEM form without a passphrase in it");
    check_refused(SPAN(""), false, "no private key in PEM form without a passphrase in it");
    check_refused(SPAN("hello"), false, "no private key in PEM form without a passphrase in it");
    check_refused((struct span){ much, sizeof(much) }, false, "it is too long for a key");
}

static void a_signature_is_good_for_its_text_alone(void **state)
{
    static const char *const pems[] = { KEY_ED25519, KEY_RSA_2048 };
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct signing_key *key = loaded(pems[i]);
        unsigned char bytes[DKIM_SIGNATURE_MAX];
        size_t len = 0;
        assert_null(signing_key_sign(key, SPAN("text"), bytes, &len));
        struct span signature = { (char *)bytes, len };
        assert_int_equal(len, i == 0 ? 64 : 256);
        assert_true(signing_key_verify(key, SPAN("text"), signature));
        assert_false(signing_key_verify(key, SPAN("texT"), signature));
        assert_false(signing_key_verify(key, SPAN("text"), span_first(signature, len - 1)));
        bytes[0] ^= 1;
        assert_false(signing_key_verify(key, SPAN("text"), signature));
        assert_null(signing_key_test(key));
        signing_key_free(&key);
    }
}

static void a_key_whose_parts_do_not_fit_is_found_out(void **state)
{
    struct signing_key *key = loaded(KEY_RSA_BROKEN);
    struct error *err = signing_key_test(key);
    (void)state;

    assert_non_null(err);
    assert_string_equal(error_text(err), "what the key signs is not good: its parts do not fit");
    error_free(&err);
    signing_key_free(&key);
}

static void a_new_key_is_written_and_read_again(void **state)
{
    static const enum dkim_algorithm algorithms[] = { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct signing_key *key = signing_key_generate(algorithms[i], SIGNING_KEY_BITS);
        struct signing_key *again = NULL;
        unsigned char public_key[DKIM_KEY_MAX], public_again[DKIM_KEY_MAX];
        struct buf pem;
        buf_init(&pem, SIGNING_KEY_PEM_MAX);
        assert_true(signing_key_write(key, &pem));
        assert_true(span_starts_with(buf_span(&pem), SPAN("-----BEGIN PRIVATE KEY-----\n")));
        assert_null(signing_key_load(buf_span(&pem), false, &again));
        assert_int_equal(signing_key_algorithm(again), algorithms[i]);
        size_t len = signing_key_public(key, public_key);
        assert_int_equal(signing_key_public(again, public_again), len);
        assert_memory_equal(public_key, public_again, len);
        buf_clear(&pem);
        buf_init(&pem, 10);
        assert_false(signing_key_write(key, &pem));
        buf_clear(&pem);
        signing_key_free(&key);
        signing_key_free(&again);
    }
}

static void *sign_often(void *key)
{
    for (int i = 0; i < 50; i++) {
        struct error *err = signing_key_test(key);
        if (err) {
            error_free(&err);
            return key;
        }
    }
    return NULL;
}

static void several_threads_sign_with_one_key(void **state)
{
    static const char *const pems[] = { KEY_ED25519, KEY_RSA_2048 };
    pthread_t threads[3];
    void *failed;
    (void)state;

    for (size_t k = 0; k < 2; k++) {
        struct signing_key *key = loaded(pems[k]);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, sign_often, key), 0);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(pthread_join(threads[i], &failed), 0);
            assert_null(failed);
        }
        signing_key_free(&key);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "signing_key: keys of both kinds are read, PKCS#8 and PKCS#1",
          keys_of_both_kinds_are_read, 0, 0, 0 },
        { "signing_key: weak keys are refused, and the weakest always (RFC 8301 s.3.2)",
          weak_keys_are_refused_and_the_weakest_always, 0, 0, 0 },
        { "signing_key: what is no key for mail is refused", what_is_no_key_for_mail_is_refused, 0,
          0, 0 },
        { "signing_key: a signature is good for its text alone",
          a_signature_is_good_for_its_text_alone, 0, 0, 0 },
        { "signing_key: a key whose parts do not fit is found out",
          a_key_whose_parts_do_not_fit_is_found_out, 0, 0, 0 },
        { "signing_key: a new key is written and read again", a_new_key_is_written_and_read_again,
          0, 0, 0 },
        { "signing_key: several threads sign with one key", several_threads_sign_with_one_key, 0, 0,
          0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
