#include "smtpd/auth/sasl.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/base64.h"
#include "tests/support/test.h"

static const struct scram_bindings no_bindings;
static const struct scram_bindings bindings = {
    .exporter = "0123456789abcdef0123456789abcdef",
    .exporter_len = 32,
    .end_point = "fedcba9876543210fedcba9876543210",
    .end_point_len = 32,
};

/* --- PLAIN and LOGIN */

#define PLAIN(literal) try_plain(SPAN(literal))

static enum sasl_result try_plain(struct span response)
{
    struct sasl *sasl = sasl_new(AUTH_PLAIN, &no_bindings);
    enum sasl_result result = sasl_begin(sasl, &response);

    if (result == SASL_PASSWORD) {
        assert_string_equal(sasl_user(sasl), "ada");
        assert_true(span_equal(sasl_password(sasl), SPAN("secret")));
    }
    assert_int_equal(sasl_respond(sasl, SPAN("more")), SASL_MALFORMED);
    sasl_free(&sasl);
    return result;
}

static void plain_names_user_and_password(void **state)
{
    (void)state;
    assert_int_equal(PLAIN("\0ada\0secret"), SASL_PASSWORD);
    assert_int_equal(PLAIN("ada\0ada\0secret"), SASL_PASSWORD);
}

static void plain_for_another_is_refused(void **state)
{
    (void)state;
    assert_int_equal(PLAIN("root\0ada\0secret"), SASL_REFUSED);
}

static void plain_that_is_none_is_malformed(void **state)
{
    char text[1024];

    (void)state;
    assert_int_equal(PLAIN(""), SASL_MALFORMED);
    assert_int_equal(PLAIN("ada"), SASL_MALFORMED);
    assert_int_equal(PLAIN("\0ada"), SASL_MALFORMED);
    assert_int_equal(PLAIN("\0\0secret"), SASL_MALFORMED);
    assert_int_equal(PLAIN("\0ada\0"), SASL_MALFORMED);
    assert_int_equal(PLAIN("\0ada\0sec\0ret"), SASL_MALFORMED);
    assert_int_equal(PLAIN("\0\xff\0secret"), SASL_MALFORMED);
    memset(text, 'x', sizeof(text));
    text[0] = text[255] = '\0';
    assert_int_equal(try_plain((struct span){ text, 256 + 256 }), SASL_MALFORMED);
    text[255] = 'x';
    text[256] = '\0';
    assert_int_equal(try_plain((struct span){ text, 300 }), SASL_MALFORMED);
}

static void without_initial_response_a_challenge_comes(void **state)
{
    struct sasl *sasl = sasl_new(AUTH_PLAIN, &no_bindings);

    (void)state;
    assert_int_equal(sasl_begin(sasl, NULL), SASL_CHALLENGE);
    assert_int_equal(sasl_challenge(sasl).len, 0);
    assert_int_equal(sasl_respond(sasl, SPAN("\0ada\0secret")), SASL_PASSWORD);
    sasl_free(&sasl);
    sasl_free(&sasl);
}

static void login_asks_for_both(void **state)
{
    struct sasl *sasl = sasl_new(AUTH_LOGIN, &no_bindings);

    (void)state;
    assert_int_equal(sasl_begin(sasl, NULL), SASL_CHALLENGE);
    assert_true(span_equal(sasl_challenge(sasl), SPAN("Username:")));
    assert_int_equal(sasl_respond(sasl, SPAN("ada")), SASL_CHALLENGE);
    assert_true(span_equal(sasl_challenge(sasl), SPAN("Password:")));
    assert_int_equal(sasl_respond(sasl, SPAN("secret")), SASL_PASSWORD);
    assert_string_equal(sasl_user(sasl), "ada");
    sasl_free(&sasl);
}

static void login_may_begin_with_the_name(void **state)
{
    struct sasl *sasl = sasl_new(AUTH_LOGIN, &no_bindings);
    struct span name = SPAN("ada");
    struct span nothing = SPAN("");

    (void)state;
    assert_int_equal(sasl_begin(sasl, &name), SASL_CHALLENGE);
    assert_true(span_equal(sasl_challenge(sasl), SPAN("Password:")));
    assert_int_equal(sasl_respond(sasl, nothing), SASL_MALFORMED);
    sasl_free(&sasl);
    sasl = sasl_new(AUTH_LOGIN, &no_bindings);
    assert_int_equal(sasl_begin(sasl, &nothing), SASL_MALFORMED);
    sasl_free(&sasl);
}

/* --- SCRAM: the exchange of RFC 7677 s.3 */

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define BOTH CLIENT_NONCE SERVER_NONCE
#define FIRST "n,,n=user,r=" CLIENT_NONCE
#define FINAL "c=biws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static struct scram_keys keys_of_pencil(void)
{
    struct buf salt;

    buf_init(&salt, 64);
    assert_true(base64_decode(SPAN("W22ZaJ0SNY7soEsUEjb6gQ=="), &salt));
    struct scram_keys keys = scram_derive(SPAN("pencil"), buf_span(&salt), 4096);
    buf_clear(&salt);
    return keys;
}

static enum sasl_result first(enum auth_mechanism mechanism, struct span message)
{
    struct sasl *sasl = sasl_new(mechanism, &bindings);
    enum sasl_result result = sasl_begin(sasl, &message);

    sasl_free(&sasl);
    return result;
}

static struct sasl *after_first(void)
{
    struct sasl *sasl = sasl_new(AUTH_SCRAM_SHA_256, &no_bindings);
    struct scram_keys keys = keys_of_pencil();
    struct span message = SPAN(FIRST);

    assert_int_equal(sasl_begin(sasl, &message), SASL_KEYS);
    assert_string_equal(sasl_user(sasl), "user");
    assert_int_equal(sasl_give_keys(sasl, &keys, SPAN(SERVER_NONCE)), SASL_CHALLENGE);
    return sasl;
}

static enum sasl_result final(struct span message)
{
    struct sasl *sasl = after_first();
    enum sasl_result result = sasl_respond(sasl, message);

    sasl_free(&sasl);
    return result;
}

static void scram_is_that_of_the_rfc(void **state)
{
    struct sasl *sasl = after_first();

    (void)state;
    assert_true(
        span_equal(sasl_challenge(sasl), SPAN("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")));
    assert_int_equal(sasl_respond(sasl, SPAN(FINAL)), SASL_CHALLENGE);
    assert_true(
        span_equal(sasl_challenge(sasl), SPAN("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    assert_int_equal(sasl_respond(sasl, SPAN("")), SASL_PROVEN);
    sasl_free(&sasl);
}

static void scram_ends_with_silence(void **state)
{
    struct sasl *sasl = after_first();

    (void)state;
    assert_int_equal(sasl_respond(sasl, SPAN(FINAL)), SASL_CHALLENGE);
    assert_int_equal(sasl_respond(sasl, SPAN("x")), SASL_MALFORMED);
    sasl_free(&sasl);
}

static void a_wrong_proof_nonce_or_binding_is_refused(void **state)
{
    (void)state;
    assert_int_equal(
        final(SPAN("c=biws,r=" BOTH ",p=aHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
        SASL_REFUSED);
    assert_int_equal(
        final(SPAN("c=biws,r=" BOTH "x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
        SASL_REFUSED);
    assert_int_equal(
        final(SPAN("c=eSws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
        SASL_REFUSED);
    assert_int_equal(final(SPAN("c=?,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
                     SASL_REFUSED);
}

static void a_last_message_that_is_none_is_malformed(void **state)
{
    static char text[SCRAM_MESSAGE_MAX + 1];

    (void)state;
    assert_int_equal(final(SPAN("")), SASL_MALFORMED);
    assert_int_equal(final(SPAN("c=biws")), SASL_MALFORMED);
    assert_int_equal(final(SPAN("c=biws,r=" BOTH)), SASL_MALFORMED);
    assert_int_equal(final(SPAN("x=biws,r=" BOTH ",p=AA==")), SASL_MALFORMED);
    assert_int_equal(final(SPAN("c=biws,x=" BOTH ",p=AA==")), SASL_MALFORMED);
    assert_int_equal(final(SPAN("c=biws,r=" BOTH ",p=AA==")), SASL_MALFORMED);
    assert_int_equal(final(SPAN("c=biws,r=" BOTH ",p=?")), SASL_MALFORMED);
    memset(text, 'x', sizeof(text));
    assert_int_equal(final((struct span){ text, sizeof(text) }), SASL_MALFORMED);
}

static void a_first_message_that_is_none_is_malformed(void **state)
{
    static const char *const wrong[] = {
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=abc,n=user",
        "n,,m=x,n=user,r=abc",
        "n,,n=,r=abc",
        "n,,n=us=er,r=abc",
        "n,,n=us=2,r=abc",
        "n,,n=user,r=",
        "n,,n=user,r=\x7f",
        "n,x=a,n=user,r=abc",
        "n,a=,n=user,r=abc",
        "n,,n=\xff,r=abc",
        "p=tls-exporter,,n=user,r=abc",
    };
    static char text[SCRAM_MESSAGE_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (first(AUTH_SCRAM_SHA_256, span_of(wrong[i])) != SASL_MALFORMED)
            fail_msg("taken: \"%s\"", wrong[i]);
    memset(text, 'x', sizeof(text));
    assert_int_equal(first(AUTH_SCRAM_SHA_256, (struct span){ text, sizeof(text) }),
                     SASL_MALFORMED);
    assert_int_equal(first(AUTH_SCRAM_SHA_256, SPAN("n,,n=us\0er,r=abc")), SASL_MALFORMED);
    memcpy(text, "n,,n=", 5);
    assert_int_equal(first(AUTH_SCRAM_SHA_256, (struct span){ text, 300 }), SASL_MALFORMED);
}

static void names_are_unescaped_and_nobody_acts_for_another(void **state)
{
    struct sasl *sasl = sasl_new(AUTH_SCRAM_SHA_256, &no_bindings);
    struct span message = SPAN("n,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=abc");

    (void)state;
    assert_int_equal(sasl_begin(sasl, &message), SASL_KEYS);
    assert_string_equal(sasl_user(sasl), "a,b=c");
    assert_int_equal(sasl_respond(sasl, SPAN("too early")), SASL_MALFORMED);
    sasl_free(&sasl);
    assert_int_equal(first(AUTH_SCRAM_SHA_256, SPAN("n,a=root,n=ada,r=abc")), SASL_REFUSED);
}

static void a_downgrade_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(first(AUTH_SCRAM_SHA_256, SPAN("y,,n=user,r=abc")), SASL_REFUSED);
    assert_int_equal(first(AUTH_SCRAM_SHA_256_PLUS, SPAN("y,,n=user,r=abc")), SASL_MALFORMED);
    assert_int_equal(first(AUTH_SCRAM_SHA_256_PLUS, SPAN("n,,n=user,r=abc")), SASL_MALFORMED);
}

static void plus_wants_a_binding_that_there_is(void **state)
{
    struct sasl *sasl = sasl_new(AUTH_SCRAM_SHA_256_PLUS, &no_bindings);
    struct span message = SPAN("p=tls-exporter,,n=user,r=abc");

    (void)state;
    assert_int_equal(sasl_begin(sasl, &message), SASL_REFUSED);
    sasl_free(&sasl);
    assert_int_equal(first(AUTH_SCRAM_SHA_256_PLUS, message), SASL_KEYS);
    assert_int_equal(first(AUTH_SCRAM_SHA_256_PLUS, SPAN("p=tls-server-end-point,,n=user,r=abc")),
                     SASL_KEYS);
    assert_int_equal(first(AUTH_SCRAM_SHA_256_PLUS, SPAN("p=tls-unique,,n=user,r=abc")),
                     SASL_REFUSED);
}

static void plus_binds_to_the_session(void **state)
{
    struct scram_keys keys = keys_of_pencil();

    (void)state;
    for (int same = 0; same < 2; same++) {
        struct sasl *sasl = sasl_new(AUTH_SCRAM_SHA_256_PLUS, &bindings);
        struct span message = SPAN("p=tls-exporter,,n=user,r=abc");
        assert_int_equal(sasl_begin(sasl, &message), SASL_KEYS);
        assert_int_equal(sasl_give_keys(sasl, &keys, SPAN("def")), SASL_CHALLENGE);
        struct buf answer;
        buf_init(&answer, 512);
        assert_true(buf_append(&answer, SPAN("c=")));
        assert_true(base64_encode(same ? SPAN("p=tls-exporter,,0123456789abcdef0123456789abcdef")
                                       : SPAN("p=tls-exporter,,x123456789abcdef0123456789abcdef"),
                                  &answer));
        assert_true(buf_append(&answer, SPAN(",r=abcdef")));
        /* the proof, as RFC 5802 s.3 has the client make it */
        char said[1024];
        snprintf(said, sizeof(said), "n=user,r=abc," SPAN_FMT "," SPAN_FMT,
                 SPAN_ARG(sasl_challenge(sasl)), SPAN_ARG(buf_span(&answer)));
        unsigned char salted[32], client[32], signature[32];
        crypto_pbkdf2_sha256(SPAN("pencil"), (struct span){ (char *)keys.salt, keys.salt_len },
                             4096, salted);
        crypto_hmac_sha256((struct span){ (char *)salted, 32 }, SPAN("Client Key"), client);
        crypto_hmac_sha256((struct span){ (char *)keys.stored, 32 }, span_of(said), signature);
        for (int i = 0; i < 32; i++)
            client[i] ^= signature[i];
        assert_true(buf_append(&answer, SPAN(",p=")));
        assert_true(base64_encode((struct span){ (char *)client, 32 }, &answer));
        assert_int_equal(sasl_respond(sasl, buf_span(&answer)),
                         same ? SASL_CHALLENGE : SASL_REFUSED);
        buf_clear(&answer);
        sasl_free(&sasl);
    }
}

static void keys_are_read_as_they_are_written(void **state)
{
    static const char *const wrong[] = {
        "",
        "SCRAM-SHA-1$4096:AA==$AA==:AA==",
        "SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$%s:%s",
        "SCRAM-SHA-256$4096:$%s:%s",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:%s",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$%s",
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$%s:%s:",
        "SCRAM-SHA-256$x:W22ZaJ0SNY7soEsUEjb6gQ==$%s:%s",
        "SCRAM-SHA-256$4096",
    };
    const char *const key = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=";
    struct scram_keys keys = keys_of_pencil(), again;
    char text[SCRAM_KEYS_TEXT_SIZE], other[SCRAM_KEYS_TEXT_SIZE];

    (void)state;
    scram_keys_format(&keys, text);
    assert_string_equal(text, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
                              "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
                              "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    assert_true(scram_keys_parse(span_of(text), &again));
    scram_keys_format(&again, other);
    assert_string_equal(text, other);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf line;
        buf_init(&line, 1024);
        struct span rest = span_of(wrong[i]);
        while (rest.len > 0) {
            bool is_key = span_starts_with(rest, SPAN("%s"));
            assert_true(buf_append(&line, is_key ? span_of(key) : span_first(rest, 1)));
            rest = span_from(rest, is_key ? 2 : 1);
        }
        if (scram_keys_parse(buf_span(&line), &again))
            fail_msg("taken: \"%s\"", wrong[i]);
        buf_clear(&line);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "PLAIN names a user and a password (RFC 4616 s.2)", plain_names_user_and_password, NULL,
          NULL, NULL },
        { "PLAIN for another than oneself is refused", plain_for_another_is_refused, NULL, NULL,
          NULL },
        { "PLAIN with missing, long or foreign parts is malformed", plain_that_is_none_is_malformed,
          NULL, NULL, NULL },
        { "without an initial response an empty challenge comes",
          without_initial_response_a_challenge_comes, NULL, NULL, NULL },
        { "LOGIN asks for the name, then for the password", login_asks_for_both, NULL, NULL, NULL },
        { "LOGIN may begin with the name", login_may_begin_with_the_name, NULL, NULL, NULL },
        { "SCRAM-SHA-256 is that of RFC 7677 s.3", scram_is_that_of_the_rfc, NULL, NULL, NULL },
        { "SCRAM ends with an empty response", scram_ends_with_silence, NULL, NULL, NULL },
        { "a wrong proof, nonce or binding is refused", a_wrong_proof_nonce_or_binding_is_refused,
          NULL, NULL, NULL },
        { "a client-final-message that is none is malformed",
          a_last_message_that_is_none_is_malformed, NULL, NULL, NULL },
        { "a client-first-message that is none is malformed",
          a_first_message_that_is_none_is_malformed, NULL, NULL, NULL },
        { "names are unescaped, and nobody acts for another",
          names_are_unescaped_and_nobody_acts_for_another, NULL, NULL, NULL },
        { "a client that was told of no -PLUS is refused (RFC 5802 s.6)", a_downgrade_is_noticed,
          NULL, NULL, NULL },
        { "-PLUS wants a binding that this session has", plus_wants_a_binding_that_there_is, NULL,
          NULL, NULL },
        { "-PLUS is bound to this session (RFC 9266)", plus_binds_to_the_session, NULL, NULL,
          NULL },
        { "keys are read as they are written, and nothing else", keys_are_read_as_they_are_written,
          NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("sasl", tests, NULL, NULL);
}
