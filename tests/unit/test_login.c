#include "queue/deliver/login.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/mail/ehlo.h"
#include "smtpd/auth/sasl.h"
#include "tests/support/test.h"

#define BINDING "0123456789abcdef0123456789abcdef"
#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define FIRST "r=" NONCE SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define ALL (EHLO_AUTH_PLAIN | EHLO_AUTH_LOGIN | EHLO_AUTH_SCRAM | EHLO_AUTH_SCRAM_PLUS)

static const struct span none = { NULL, 0 };

static struct login *client_of(unsigned offered, struct span user, struct span password,
                               struct span binding)
{
    struct login_identity identity = { user, password };

    return login_new(offered, &identity, binding, SPAN(NONCE));
}

static struct login *client_for(unsigned offered, struct span binding)
{
    return client_of(offered, SPAN("user"), SPAN("pencil"), binding);
}

/* A challenge in base64; work is done to its end. */
static enum login_step challenge(struct login *c, const char *text)
{
    struct buf coded;
    enum login_step step;

    buf_init(&coded, 8192);
    assert_true(base64_encode(span_of(text), &coded));
    step = login_challenge(c, buf_span(&coded));
    while (step == LOGIN_STEP_WORK)
        step = login_work(c);
    buf_clear(&coded);
    return step;
}

static void assert_says(const struct login *c, const char *line)
{
    struct span said = login_line(c);

    assert_int_equal(said.len, strlen(line));
    assert_memory_equal(said.data, line, said.len);
}

static void assert_says_coded(const struct login *c, struct span text)
{
    struct buf coded;

    buf_init(&coded, 4096);
    assert_true(base64_encode(text, &coded));
    assert_true(span_equal(login_line(c), buf_span(&coded)));
    buf_clear(&coded);
}

static void the_strongest_mechanism_is_chosen(void **state)
{
    static const struct {
        unsigned offered;
        struct span binding;
        const char *mechanism;
    } cases[] = {
        { ALL, { BINDING, 32 }, "SCRAM-SHA-256-PLUS" },
        { ALL, { NULL, 0 }, "SCRAM-SHA-256" },
        { EHLO_AUTH_PLAIN | EHLO_AUTH_LOGIN, { BINDING, 32 }, "PLAIN" },
        { EHLO_AUTH_LOGIN, { NULL, 0 }, "LOGIN" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct login *c = client_for(cases[i].offered, cases[i].binding);
        assert_string_equal(login_mechanism(c), cases[i].mechanism);
        login_free(&c);
    }
}

static void nothing_in_common_is_no_login(void **state)
{
    (void)state;
    assert_null(client_for(0, none));
    assert_null(client_for(EHLO_AUTH_SCRAM_PLUS, none));
    assert_null(client_of(ALL, SPAN(""), SPAN("x"), none));
    assert_null(client_of(ALL, SPAN("ada"), SPAN(""), none));
    assert_null(client_of(EHLO_AUTH_PLAIN, SPAN("a\0da"), SPAN("x"), none));
    assert_null(client_of(EHLO_AUTH_SCRAM, SPAN("ada"), SPAN("\x07"), none));
}

static void plain_is_said_at_once(void **state)
{
    struct login *c = client_for(EHLO_AUTH_PLAIN, none);

    (void)state;
    assert_says(c, "AUTH PLAIN AHVzZXIAcGVuY2ls");
    assert_int_equal(login_accepted(c), LOGIN_STEP_DONE);
    login_free(&c);
    login_free(&c);
}

static void a_long_response_waits_for_its_challenge(void **state)
{
    static char password[500];
    struct login *c;

    (void)state;
    memset(password, 'x', sizeof(password));
    c = client_of(EHLO_AUTH_PLAIN, SPAN("ada"), (struct span){ password, 372 - 5 }, none);
    assert_int_equal(login_line(c).len, 11 + 496);
    login_free(&c);
    c = client_of(EHLO_AUTH_PLAIN, SPAN("ada"), (struct span){ password, 373 - 5 }, none);
    assert_says(c, "AUTH PLAIN"); /* 511 octets, without CRLF */
    login_free(&c);
    c = client_of(EHLO_AUTH_PLAIN, SPAN("ada"), (struct span){ password, sizeof(password) }, none);
    assert_says(c, "AUTH PLAIN");
    assert_int_equal(login_challenge(c, none), LOGIN_STEP_SAY);
    assert_int_equal(login_line(c).len, BASE64_SIZE(5 + sizeof(password)));
    assert_int_equal(login_accepted(c), LOGIN_STEP_DONE);
    login_free(&c);
}

static void login_says_name_then_password(void **state)
{
    struct login *c = client_for(EHLO_AUTH_LOGIN, none);

    (void)state;
    assert_says(c, "AUTH LOGIN");
    assert_int_equal(login_challenge(c, SPAN("not even base64")), LOGIN_STEP_SAY);
    assert_says_coded(c, SPAN("user"));
    assert_int_equal(challenge(c, "Password:"), LOGIN_STEP_SAY);
    assert_says_coded(c, SPAN("pencil"));
    assert_int_equal(challenge(c, "More:"), LOGIN_STEP_BROKEN);
    assert_string_equal(login_fault(c), "it asks for more than there is to say");
    login_free(&c);
}

static void a_login_that_is_taken_too_early_is_none(void **state)
{
    struct login *c = client_for(EHLO_AUTH_LOGIN, none);

    (void)state;
    assert_int_equal(login_accepted(c), LOGIN_STEP_BROKEN);
    assert_string_equal(login_fault(c), "it takes the login before its end");
    login_free(&c);
}

/* --- SCRAM: the exchange of RFC 7677 s.3 */

static void scram_is_that_of_the_rfc(void **state)
{
    struct login *c = client_for(EHLO_AUTH_SCRAM, none);

    (void)state;
    assert_says(c, "AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=");
    assert_int_equal(challenge(c, FIRST), LOGIN_STEP_SAY);
    assert_says_coded(
        c, SPAN("c=biws,r=" NONCE SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
    assert_int_equal(challenge(c, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="),
                     LOGIN_STEP_SAY);
    assert_says(c, "");
    assert_int_equal(login_accepted(c), LOGIN_STEP_DONE);
    login_free(&c);
}

static void a_server_that_does_not_know_the_password_is_refused(void **state)
{
    static const struct {
        const char *last;
        const char *fault;
    } cases[] = {
        { "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "it does not know the password" },
        { "v=AA==", "its last SCRAM message is none" },
        { "x", "its last SCRAM message is none" },
        { "e=invalid-proof", "it says e=invalid-proof" },
        { "e=\x1b[2J", "its last SCRAM message is none" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct login *c = client_for(EHLO_AUTH_SCRAM, none);
        assert_int_equal(challenge(c, FIRST), LOGIN_STEP_SAY);
        assert_int_equal(challenge(c, cases[i].last), LOGIN_STEP_BROKEN);
        if (i != 3)
            assert_string_equal(login_fault(c), cases[i].fault);
        assert_int_equal(login_accepted(c), LOGIN_STEP_BROKEN);
        login_free(&c);
    }
}

static void a_server_that_skips_its_signature_is_refused(void **state)
{
    struct login *c = client_for(EHLO_AUTH_SCRAM, none);

    (void)state;
    assert_int_equal(challenge(c, FIRST), LOGIN_STEP_SAY);
    assert_int_equal(login_accepted(c), LOGIN_STEP_BROKEN);
    assert_string_equal(login_fault(c), "it did not show that it knows the password");
    login_free(&c);
}

static void hostile_first_messages_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "r=" NONCE "x",
        "r=" NONCE "x,s=AAAA",
        "r=" NONCE ",s=AAAA,i=4096",      /* adds nothing of its own */
        "r=somebodyelse,s=AAAA,i=4096",   /* not ours */
        "x=" NONCE "x,s=AAAA,i=4096",     /* no nonce */
        "m=x,r=" NONCE "x,s=AAAA,i=4096", /* an extension that must be known */
        "r=" NONCE "x,t=AAAA,i=4096",     /* no salt */
        "r=" NONCE "x,s=,i=4096",         /* an empty one */
        "r=" NONCE "x,s=?,i=4096",        /* none at all */
        "r=" NONCE "x,s=AAAA,j=4096",     /* no count */
        "r=" NONCE "x,s=AAAA,i=4095",     /* too easy to guess */
        "r=" NONCE "x,s=AAAA,i=600001",   /* too much work */
        "r=" NONCE "x,s=AAAA,i=99999999999999999999",
        "r=" NONCE "x,s=AAAA,i=-1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct login *c = client_for(EHLO_AUTH_SCRAM, none);
        if (challenge(c, wrong[i]) != LOGIN_STEP_BROKEN)
            fail_msg("taken: \"%s\"", wrong[i]);
        assert_true(login_fault(c)[0] != '\0');
        login_free(&c);
    }
}

static void a_challenge_that_is_no_base64_or_too_long_is_refused(void **state)
{
    static char text[SCRAM_MESSAGE_MAX * 2];
    struct login *c = client_for(EHLO_AUTH_SCRAM, none);

    (void)state;
    assert_int_equal(login_challenge(c, SPAN("?")), LOGIN_STEP_BROKEN);
    login_free(&c);
    c = client_for(EHLO_AUTH_SCRAM, none);
    memset(text, 'A', sizeof(text));
    assert_int_equal(login_challenge(c, (struct span){ text, sizeof(text) }), LOGIN_STEP_BROKEN);
    login_free(&c);
}

/* --- against our own server, whose keys are of the same password */

/* Plays a whole exchange. */
static enum sasl_result play(enum auth_mechanism mechanism, struct login *c,
                             const struct scram_bindings *bindings)
{
    struct sasl *sasl = sasl_new(mechanism, bindings);
    struct scram_keys keys = scram_derive(SPAN("p\xc3\xa4ncil"), SPAN("salt"), 15000);
    struct span initial = span_from(login_line(c), sizeof("AUTH ") - 1);
    struct buf bytes;
    char text[2 * SCRAM_MESSAGE_MAX];
    enum sasl_result result;

    buf_init(&bytes, 4096);
    initial = span_from(initial, span_find(initial, ' ') + 1);
    assert_true(base64_decode(initial, &bytes));
    initial = buf_span(&bytes);
    result = sasl_begin(sasl, &initial);
    assert_true(result != SASL_KEYS || strcmp(sasl_user(sasl), "us,e=r") == 0);
    for (;;) {
        if (result == SASL_KEYS)
            result = sasl_give_keys(sasl, &keys, SPAN("more"));
        if (result != SASL_CHALLENGE)
            break;
        assert_true(span_to_string(sasl_challenge(sasl), text, sizeof(text)));
        assert_int_equal(challenge(c, text), LOGIN_STEP_SAY);
        buf_reset(&bytes);
        assert_true(base64_decode(login_line(c), &bytes));
        result = sasl_respond(sasl, buf_span(&bytes));
    }
    buf_clear(&bytes);
    sasl_free(&sasl);
    return result;
}

static enum sasl_result play_scram(unsigned offered, struct span binding, bool is_same_channel)
{
    static struct scram_bindings bindings = { .exporter_len = 32 };
    struct login *c = client_of(offered, SPAN("us,e=r"), SPAN("p\x61\xcc\x88ncil"), binding);
    bool is_plus = strcmp(login_mechanism(c), "SCRAM-SHA-256-PLUS") == 0;
    enum sasl_result result;

    memcpy(bindings.exporter, is_same_channel ? BINDING : "another channel, another binding", 32);
    result = play(is_plus ? AUTH_SCRAM_SHA_256_PLUS : AUTH_SCRAM_SHA_256, c, &bindings);
    if (result == SASL_PROVEN)
        assert_int_equal(login_accepted(c), LOGIN_STEP_DONE);
    login_free(&c);
    return result;
}

static void our_own_server_takes_what_we_say(void **state)
{
    (void)state;
    assert_int_equal(play_scram(EHLO_AUTH_SCRAM, none, true), SASL_PROVEN);
    assert_int_equal(play_scram(ALL, SPAN(BINDING), true), SASL_PROVEN);
    assert_int_equal(play_scram(ALL, none, true), SASL_PROVEN);
}

static void a_login_is_bound_to_its_channel(void **state)
{
    (void)state;
    assert_int_equal(play_scram(ALL, SPAN(BINDING), false), SASL_REFUSED);
}

/* Our server offers the binding, but somebody between us took it out of what it offers. */
static void a_downgrade_is_noticed_by_the_server(void **state)
{
    (void)state;
    assert_int_equal(play_scram(ALL & ~EHLO_AUTH_SCRAM_PLUS, SPAN(BINDING), true), SASL_REFUSED);
}

static void stretching_in_steps_comes_to_the_same(void **state)
{
    static const struct span passwords[] = { { "pencil", 6 }, { "", 0 } };
    static char long_one[200];
    unsigned char once[CRYPTO_SHA256_SIZE], steps[CRYPTO_SHA256_SIZE];
    (void)state;
    memset(long_one, 'y', sizeof(long_one));
    for (size_t i = 0; i < 3; i++) {
        struct span password = i < 2 ? passwords[i] : (struct span){ long_one, sizeof(long_one) };
        struct crypto_stretch *s = crypto_stretch_new(password, SPAN("salt"), 4099);
        unsigned turns = 0;
        crypto_pbkdf2_sha256(password, SPAN("salt"), 4099, once);
        while (!crypto_stretch_step(s, 1000))
            turns++;
        assert_int_equal(turns, 4);
        crypto_stretch_take(s, steps);
        assert_memory_equal(once, steps, sizeof(once));
        crypto_stretch_free(&s);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "login: the strongest mechanism that both have is chosen",
          the_strongest_mechanism_is_chosen, 0, 0, 0 },
        { "login: with nothing in common, or nothing that can be said, there is no login",
          nothing_in_common_is_no_login, 0, 0, 0 },
        { "login: PLAIN is said at once", plain_is_said_at_once, 0, 0, 0 },
        { "login: a response that makes the line too long waits for its challenge (RFC 4954 "
          "s.4)",
          a_long_response_waits_for_its_challenge, 0, 0, 0 },
        { "login: LOGIN says the name, then the password, and nothing more",
          login_says_name_then_password, 0, 0, 0 },
        { "login: a login that is taken before its end is none",
          a_login_that_is_taken_too_early_is_none, 0, 0, 0 },
        { "login: SCRAM is that of the RFC (RFC 7677 s.3)", scram_is_that_of_the_rfc, 0, 0, 0 },
        { "login: a server that does not know the password is refused",
          a_server_that_does_not_know_the_password_is_refused, 0, 0, 0 },
        { "login: a server that leaves out its signature is refused",
          a_server_that_skips_its_signature_is_refused, 0, 0, 0 },
        { "login: hostile first messages are refused", hostile_first_messages_are_refused, 0, 0,
          0 },
        { "login: a challenge that is no base64, or too long, is refused",
          a_challenge_that_is_no_base64_or_too_long_is_refused, 0, 0, 0 },
        { "login: our own server takes what we say, name escaped and password prepared",
          our_own_server_takes_what_we_say, 0, 0, 0 },
        { "login: a login is bound to its channel (RFC 9266)", a_login_is_bound_to_its_channel, 0,
          0, 0 },
        { "login: a downgrade to a mechanism without binding is noticed (RFC 5802 s.6)",
          a_downgrade_is_noticed_by_the_server, 0, 0, 0 },
        { "crypto: a password stretched in small steps comes to the same",
          stretching_in_steps_comes_to_the_same, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
