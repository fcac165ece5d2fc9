#include "smtpd/auth/users.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/saslprep.h"
#include "smtpd/auth/blocks.h"
#include "smtpd/auth/password.h"
#include "tests/support/test.h"

/* Hashes of "secret". */
#define SHA512                                                                                     \
    "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/"      \
    "O6IND4WQhG."
#define BCRYPT "$2b$05$CCCCCCCCCCCCCCCCCCCCC.pIKrLVkBX9/OvQMSygY1pWEVn72t6na"
#define KEYS                                                                                       \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

/* Gives the errors, or "" and the users. */
static const char *parse(const char *text, struct users **out_users)
{
    static char wrong[16384];
    struct settings_errors errors;

    settings_errors_init(&errors);
    *out_users = NULL;
    bool fine = users_parse(span_of(text), "users", &errors, out_users);
    assert_int_equal(fine, errors.count == 0);
    assert_true(span_to_string(buf_span(&errors.text), wrong, sizeof(wrong)));
    settings_errors_clear(&errors);
    return wrong;
}

static void a_line_is_a_user(void **state)
{
    struct users *users;

    (void)state;
    assert_string_equal(
        parse("# ours\n\nada:" BCRYPT "\n  # more\nbob@example.net:" BCRYPT ":" KEYS, &users), "");
    assert_int_equal(users_count(users), 2);
    assert_string_equal(users_find(users, SPAN("ada"))->hash, BCRYPT);
    assert_false(users_find(users, SPAN("ada"))->has_keys);
    assert_true(users_find(users, SPAN("bob@example.net"))->has_keys);
    assert_string_equal(users_at(users, 1)->name, "bob@example.net");
    assert_null(users_find(users, SPAN("Ada")));
    assert_false(users_all_have_keys(users));
    users_free(&users);
    users_free(&users);
    assert_string_equal(parse("bob:" BCRYPT ":" KEYS "\n", &users), "");
    assert_true(users_all_have_keys(users));
    users_free(&users);
    assert_string_equal(parse("", &users), "");
    assert_false(users_all_have_keys(users));
    users_free(&users);
}

static void every_error_has_its_line(void **state)
{
    static const char text[] = "ada\n"
                               "a b:" BCRYPT "\n"
                               ":" BCRYPT "\n"
                               "carl:plain\n"
                               "dora:$1$abcdefgh$0123456789012345678901\n"
                               "eve:" BCRYPT "x\n"
                               "fred:" BCRYPT ":x\n"
                               "gina:" BCRYPT "\n"
                               "gina:" BCRYPT "\n"
                               "hans:\n"
                               "ina:" BCRYPT "\r\n";
    static const int lines[] = { 1, 2, 3, 4, 5, 6, 7, 9, 10, 11 };
    struct users *users;
    const char *wrong = parse(text, &users);

    (void)state;
    assert_null(users);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char start[32];
        snprintf(start, sizeof(start), "users:%d: ", lines[i]);
        if (!strstr(wrong, start))
            fail_msg("no error for line %d in:\n%s", lines[i], wrong);
    }
    assert_null(strstr(wrong, "users:8:"));
}

static void a_rewrite_keeps_the_rest(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1024);
    assert_true(users_rewrite(SPAN("# c\nada:x\n\nbob:y"), SPAN("ada"), "ada:z", &out));
    assert_true(span_equal(buf_span(&out), SPAN("# c\nada:z\n\nbob:y\n")));
    buf_reset(&out);
    assert_true(users_rewrite(SPAN("# c\nada:x\nbob:y\n"), SPAN("ada"), NULL, &out));
    assert_true(span_equal(buf_span(&out), SPAN("# c\nbob:y\n")));
    buf_reset(&out);
    assert_true(users_rewrite(SPAN("#ada:x\nbob:y\n"), SPAN("ada"), "ada:z", &out));
    assert_true(span_equal(buf_span(&out), SPAN("#ada:x\nbob:y\nada:z\n")));
    buf_reset(&out);
    assert_true(users_rewrite(SPAN(""), SPAN("ada"), "ada:z", &out));
    assert_true(span_equal(buf_span(&out), SPAN("ada:z\n")));
    buf_clear(&out);
    buf_init(&out, 4);
    assert_false(users_rewrite(SPAN("ada:xyz\n"), SPAN("bob"), NULL, &out));
    assert_false(users_rewrite(SPAN("ada:xyz\n"), SPAN("ada"), "ada:x", &out));
    buf_clear(&out);
}

static void a_password_fits_its_hash_only(void **state)
{
    char hash[PASSWORD_HASH_SIZE];

    (void)state;
    assert_null(password_hash_new(SPAN("secret"), hash));
    assert_true(password_hash_is_sound(span_of(hash)));
    assert_true(strncmp(hash, "$y$", 3) == 0);
    assert_true(password_fits(hash, SPAN("secret")));
    assert_false(password_fits(hash, SPAN("Secret")));
    assert_false(password_fits(hash, SPAN("")));
    assert_false(password_fits(hash, SPAN("sec\0ret")));
    hash[strlen(hash) - 1] ^= 2;
    assert_false(password_fits(hash, SPAN("secret")));
    assert_true(password_hash_is_sound(SPAN(SHA512)));
    assert_true(password_hash_is_sound(SPAN(BCRYPT)));
    assert_true(password_fits(BCRYPT, SPAN("secret")));
    assert_true(password_fits(SHA512, SPAN("secret")));
}

static const char *prepared(struct span text)
{
    static char room[PASSWORD_MAX + 1];

    return saslprep(text, room, sizeof(room)) ? room : "(none)";
}

/* RFC 4013 s.3, and what could do harm. */
static void a_password_has_one_form(void **state)
{
    char text[300];

    (void)state;
    assert_string_equal(prepared(SPAN("I\xc2\xadX")), "IX");
    assert_string_equal(prepared(SPAN("user")), "user");
    assert_string_equal(prepared(SPAN("USER")), "USER");
    assert_string_equal(prepared(SPAN("\xc2\xaa")), "a");
    assert_string_equal(prepared(SPAN("\xe2\x85\xa8")), "IX");
    assert_string_equal(prepared(SPAN("\x07")), "(none)");
    assert_string_equal(prepared(SPAN("\xd8\xa7\x31")), "(none)");
    assert_string_equal(prepared(SPAN("corre\xcc\x88"
                                      "ct horse")),
                        "corr\xc3\xab"
                        "ct horse");
    assert_string_equal(prepared(SPAN("a\xc2\xa0"
                                      "b")),
                        "a b");
    assert_string_equal(prepared(SPAN("\xf0\x9f\x90\x8e")), "(none)"); /* a horse, too young */
    assert_string_equal(prepared(SPAN("\xc2\xad")), "(none)");
    assert_string_equal(prepared(SPAN("\xff")), "(none)");
    assert_string_equal(prepared(SPAN("a\0b")), "(none)");
    memset(text, 'x', sizeof(text));
    assert_int_equal(strlen(prepared((struct span){ text, PASSWORD_MAX })), PASSWORD_MAX);
    assert_string_equal(prepared((struct span){ text, PASSWORD_MAX + 1 }), "(none)");
    for (size_t i = 0; i + 3 <= 252; i += 3) /* each becomes 33 octets */
        memcpy(text + i, "\xef\xb7\xba", 3);
    assert_string_equal(prepared((struct span){ text, 252 }), "(none)");
}

static void a_password_fits_in_each_of_its_forms(void **state)
{
    char hash[PASSWORD_HASH_SIZE];

    (void)state;
    assert_null(password_hash_new(SPAN("corr\xc3\xab"
                                       "ct"),
                                  hash));
    assert_true(password_fits(hash, SPAN("corre\xcc\x88"
                                         "ct")));
    assert_true(password_fits(hash, SPAN("corr\xc3\xab"
                                         "ct")));
    assert_false(password_fits(hash, SPAN("correct")));
    assert_null(password_hash_new(SPAN("corre\xcc\x88"
                                       "ct"),
                                  hash)); /* by another program */
    assert_true(password_fits(hash, SPAN("corre\xcc\x88"
                                         "ct")));
    assert_null(password_hash_new(SPAN("\xf0\x9f\x90\x8e"), hash));
    assert_true(password_fits(hash, SPAN("\xf0\x9f\x90\x8e")));
}

/* --- blocks */

static bool blocked(struct blocks *blocks, const char *client, const char *user, int64_t now_ms)
{
    return blocks_is_blocked(blocks, span_of(client), span_of(user), now_ms);
}

static void an_address_that_fails_too_often_is_blocked(void **state)
{
    struct blocks *blocks = blocks_new();

    (void)state;
    for (int i = 0; i < BLOCK_ADDRESS_FAILURES; i++) {
        assert_false(blocked(blocks, "192.0.2.1", "ada", 0));
        blocks_failed(blocks, SPAN("192.0.2.1"), SPAN(""), 0);
    }
    assert_true(blocked(blocks, "192.0.2.1", "bob", BLOCK_FIRST_MS - 1));
    assert_false(blocked(blocks, "192.0.2.2", "bob", 0));
    assert_false(blocked(blocks, "192.0.2.1", "bob", BLOCK_FIRST_MS));
    blocks_failed(blocks, SPAN("192.0.2.1"), SPAN("ada"), BLOCK_FIRST_MS);
    assert_true(blocked(blocks, "192.0.2.1", "", 3 * BLOCK_FIRST_MS - 1));
    assert_false(blocked(blocks, "192.0.2.1", "", 3 * BLOCK_FIRST_MS));
    for (int i = 0; i < 50; i++)
        blocks_failed(blocks, SPAN("192.0.2.1"), SPAN(""), 0);
    assert_true(blocked(blocks, "192.0.2.1", "", BLOCK_MOST_MS - 1));
    assert_false(blocked(blocks, "192.0.2.1", "", BLOCK_MOST_MS));
    assert_false(blocked(blocks, "192.0.2.1", "", BLOCK_MOST_MS + BLOCK_FORGET_MS));
    blocks_failed(blocks, SPAN("192.0.2.1"), SPAN(""), BLOCK_MOST_MS + BLOCK_FORGET_MS);
    assert_false(blocked(blocks, "192.0.2.1", "", BLOCK_MOST_MS + BLOCK_FORGET_MS));
    blocks_free(&blocks);
    blocks_free(&blocks);
}

static void a_user_is_blocked_from_everywhere(void **state)
{
    struct blocks *blocks = blocks_new();
    char client[64];

    (void)state;
    for (int i = 0; i < BLOCK_USER_FAILURES; i++) {
        snprintf(client, sizeof(client), "192.0.2.%d", i);
        assert_false(blocked(blocks, client, "ada", 0));
        blocks_failed(blocks, span_of(client), SPAN("ada"), 0);
    }
    assert_true(blocked(blocks, "198.51.100.1", "ada", 0));
    assert_false(blocked(blocks, "198.51.100.1", "bob", 0));
    blocks_free(&blocks);
}

static void a_v6_network_is_one_client_and_success_forgives(void **state)
{
    struct blocks *blocks = blocks_new();
    char client[64];

    (void)state;
    for (int i = 0; i < BLOCK_ADDRESS_FAILURES; i++) {
        snprintf(client, sizeof(client), "2001:db8::%d", i);
        blocks_failed(blocks, span_of(client), SPAN("ada"), 0);
    }
    assert_true(blocked(blocks, "2001:db8::ffff", "", 0));
    assert_false(blocked(blocks, "2001:db8:0:1::1", "", 0));
    blocks_succeeded(blocks, SPAN("2001:db8::1"), SPAN("ada"));
    assert_false(blocked(blocks, "2001:db8::ffff", "ada", 0));
    blocks_failed(blocks, SPAN("no address"), SPAN(""), 0);
    blocks_free(&blocks);
}

static void a_user_is_not_locked_out_where_he_is_known(void **state)
{
    struct blocks *blocks = blocks_new();
    char client[64];

    (void)state;
    blocks_succeeded(blocks, SPAN("192.0.2.1"), SPAN("ada"));
    for (int i = 0; i < 2 * BLOCK_USER_FAILURES; i++) {
        snprintf(client, sizeof(client), "198.51.100.%d", i);
        blocks_failed(blocks, span_of(client), SPAN("ada"), 0);
    }
    assert_true(blocked(blocks, "203.0.113.1", "ada", 0));
    assert_false(blocked(blocks, "192.0.2.1", "ada", 0));
    for (int i = 0; i < BLOCK_ADDRESS_FAILURES; i++)
        blocks_failed(blocks, SPAN("192.0.2.1"), SPAN("bob"), 0);
    assert_true(blocked(blocks, "192.0.2.1", "bob", 0));
    assert_false(blocked(blocks, "192.0.2.1", "ada", 0));
    for (int i = 0; i < BLOCK_ADDRESS_FAILURES; i++) /* but its password cannot be guessed there */
        blocks_failed(blocks, SPAN("192.0.2.1"), SPAN("ada"), 0);
    assert_true(blocked(blocks, "192.0.2.1", "ada", BLOCK_FIRST_MS - 1));
    assert_false(blocked(blocks, "192.0.2.1", "ada", BLOCK_FIRST_MS));
    blocks_failed(blocks, SPAN("192.0.2.1"), SPAN("ada"), BLOCK_FIRST_MS);
    assert_true(blocked(blocks, "192.0.2.1", "ada", 3 * BLOCK_FIRST_MS - 1));
    blocks_free(&blocks);
}

static void one_good_password_buys_no_guesses(void **state)
{
    struct blocks *blocks = blocks_new();
    char user[64];

    (void)state;
    for (int i = 0; i < BLOCK_ADDRESS_FAILURES + 1; i++) {
        snprintf(user, sizeof(user), "victim%d", i);
        blocks_succeeded(blocks, SPAN("192.0.2.1"), SPAN("mallory"));
        blocks_failed(blocks, SPAN("192.0.2.1"), span_of(user), 0);
    }
    assert_true(blocked(blocks, "192.0.2.1", "another", 0));
    blocks_free(&blocks);
}

static void the_table_is_bounded(void **state)
{
    struct blocks *blocks = blocks_new();
    char client[64];

    (void)state;
    for (int i = 0; i < BLOCK_ADDRESS_FAILURES; i++)
        blocks_failed(blocks, SPAN("192.0.2.1"), SPAN(""), 0);
    for (int i = 0; i < BLOCKS_MAX; i++) {
        snprintf(client, sizeof(client), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        blocks_failed(blocks, span_of(client), SPAN(""), 0);
    }
    assert_false(blocked(blocks, "192.0.2.1", "", 0));
    blocks_free(&blocks);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "a line is a user", a_line_is_a_user, NULL, NULL, NULL },
        { "every error has its line", every_error_has_its_line, NULL, NULL, NULL },
        { "a rewrite keeps comments and all others", a_rewrite_keeps_the_rest, NULL, NULL, NULL },
        { "a password fits its own hash only", a_password_fits_its_hash_only, NULL, NULL, NULL },
        { "a password has one form (RFC 4013)", a_password_has_one_form, NULL, NULL, NULL },
        { "a password fits in each of its forms", a_password_fits_in_each_of_its_forms, NULL, NULL,
          NULL },
        { "an address that fails too often is blocked, longer each time",
          an_address_that_fails_too_often_is_blocked, NULL, NULL, NULL },
        { "a user whom many fail to be is blocked from everywhere",
          a_user_is_blocked_from_everywhere, NULL, NULL, NULL },
        { "an IPv6 /64 is one client; success forgives",
          a_v6_network_is_one_client_and_success_forgives, NULL, NULL, NULL },
        { "a user is not locked out where he is known, by anybody but himself",
          a_user_is_not_locked_out_where_he_is_known, NULL, NULL, NULL },
        { "one good password buys no guesses at others", one_good_password_buys_no_guesses, NULL,
          NULL, NULL },
        { "the table of blocks is bounded", the_table_is_bounded, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
