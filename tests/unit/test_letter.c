#include "sendmail/letter.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/test.h"

static const struct letter_author author = { "ada", "Ada L.", "host.example" };

/* What a letter becomes: its commands, an empty line, its content; or the error. */
static const char *write_with(const struct sendmail_options *options, const char *text)
{
    static char result[2048];
    struct letter letter;
    struct error *err = letter_write(span_of(text), false, options, &author, &letter);

    if (err)
        snprintf(result, sizeof(result), "error: %s", error_text(err));
    else
        snprintf(result, sizeof(result), SPAN_FMT "\n" SPAN_FMT,
                 SPAN_ARG(buf_span(&letter.commands)), SPAN_ARG(buf_span(&letter.content)));
    error_free(&err);
    letter_clear(&letter);
    return result;
}

static struct sendmail_options to_bob(void)
{
    static char bob[] = "bob@example.org";
    static char *recipients[] = { bob };

    return (struct sendmail_options){ .recipients = recipients, .recipient_count = 1 };
}

static const char *write_header(const char *text)
{
    const struct sendmail_options options = { .recipients_in_header = true };

    return write_with(&options, text);
}

#define MAIL "MAIL FROM:<ada@host.example>\n"
#define BOB "RCPT TO:<bob@example.org>\n"
#define FROM "From: a@b.test\r\n"

static void a_text_becomes_a_letter(void **state)
{
    struct sendmail_options options = to_bob();

    (void)state;
    assert_string_equal(write_with(&options, FROM "Subject: x\r\n\r\nhi\r\n"),
                        MAIL BOB "\n" FROM "Subject: x\r\n\r\nhi\r\n");
    assert_string_equal(write_with(&options, FROM), MAIL BOB "\n" FROM "\r\n");
}

static void a_missing_from_is_written(void **state)
{
    struct sendmail_options options = to_bob();

    (void)state;
    assert_string_equal(write_with(&options, "Subject: x\r\n\r\nhi\r\n"),
                        MAIL BOB "\nFrom: \"Ada L.\" <ada@host.example>\r\n"
                                 "Subject: x\r\n\r\nhi\r\n");
    assert_string_equal(write_with(&options, "only text\r\n"),
                        MAIL BOB "\nFrom: \"Ada L.\" <ada@host.example>\r\n\r\nonly text\r\n");
    assert_string_equal(write_with(&options, ""),
                        MAIL BOB "\nFrom: \"Ada L.\" <ada@host.example>\r\n\r\n");
}

static void names_are_written_so_that_they_stay_names(void **state)
{
    struct letter_author odd = author;
    struct sendmail_options options = to_bob();
    const struct {
        const char *name;
        const char *from;
    } cases[] = {
        { "", "From: ada@host.example\r\n" },
        { "A \"b\\", "From: \"A \\\"b\\\\\" <ada@host.example>\r\n" },
        { "J\xc3\xb6rg", "From: =?utf-8?B?SsO2cmc=?= <ada@host.example>\r\n" },
        { "x\r\nBcc: y", "From: =?utf-8?B?eA0KQmNjOiB5?= <ada@host.example>\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct letter letter;
        odd.full_name = cases[i].name;
        struct error *err = letter_write(SPAN(""), false, &options, &odd, &letter);
        assert_null(err);
        assert_true(span_starts_with(buf_span(&letter.content), span_of(cases[i].from)));
        letter_clear(&letter);
    }
}

static void long_names_become_several_words(void **state)
{
    struct letter_author odd = author;
    struct sendmail_options options = to_bob();
    char name[100] = "x";
    struct letter letter;

    (void)state;
    for (int i = 0; i < 30; i++)
        strcat(name, "\xc3\xb6"); /* none of them is cut in two */
    odd.full_name = name;
    struct error *err = letter_write(SPAN(""), false, &options, &odd, &letter);
    assert_null(err);
    assert_non_null(strstr(buf_span(&letter.content).data, "?=\r\n =?utf-8?B?"));
    letter_clear(&letter);
}

static void the_header_names_the_recipients_and_the_blind_ones_vanish(void **state)
{
    (void)state;
    assert_string_equal(write_header(FROM "To: Bob <bob@example.org>,\r\n c@d.test\r\nCc: root\r\n"
                                          "Bcc: secret@example.net\r\n\r\nhi\r\n"),
                        MAIL BOB
                        "RCPT TO:<c@d.test>\nRCPT TO:<root@host.example>\n"
                        "RCPT TO:<secret@example.net>\n\n" FROM
                        "To: Bob <bob@example.org>,\r\n c@d.test\r\nCc: root\r\n\r\nhi\r\n");
}

static void what_is_resent_goes_to_the_new_recipients(void **state)
{
    (void)state;
    assert_string_equal(
        write_header(FROM "Resent-To: bob@example.org\r\nTo: old@example.net\r\n\r\n"),
        MAIL BOB "\n" FROM "Resent-To: bob@example.org\r\nTo: old@example.net\r\n\r\n");
}

static void each_recipient_gets_it_once(void **state)
{
    struct sendmail_options options = to_bob();

    (void)state;
    options.recipients_in_header = true;
    assert_string_equal(write_with(&options, FROM "To: bob@example.org, x@y.test\r\n\r\n"), MAIL BOB
                        "RCPT TO:<x@y.test>\n\n" FROM "To: bob@example.org, x@y.test\r\n\r\n");
}

static void the_sender_may_be_said(void **state)
{
    struct sendmail_options options = to_bob();

    (void)state;
    options.sender = "eve";
    assert_string_equal(write_with(&options, FROM "\r\n"),
                        "MAIL FROM:<eve@host.example>\n" BOB "\n" FROM "\r\n");
    options.sender = "Eve <eve@example.net>";
    assert_non_null(strstr(write_with(&options, FROM "\r\n"), "MAIL FROM:<eve@example.net>\n"));
    options.sender = "<>";
    assert_non_null(strstr(write_with(&options, FROM "\r\n"), "MAIL FROM:<>\n"));
    options.sender = "";
    assert_non_null(strstr(write_with(&options, "\r\n"),
                           "MAIL FROM:<>\n" BOB "\nFrom: \"Ada L.\" <ada@host.example>\r\n"));
}

static void parameters_are_handed_on(void **state)
{
    struct sendmail_options options = to_bob();

    (void)state;
    options.body = "8BITMIME";
    options.ret = "hdrs";
    options.envid = "12";
    options.notify = "never";
    assert_string_equal(write_with(&options, FROM "\r\n"),
                        "MAIL FROM:<ada@host.example> BODY=8BITMIME RET=hdrs ENVID=12\n"
                        "RCPT TO:<bob@example.org> NOTIFY=never\n\n" FROM "\r\n");
}

static void many_recipients_come_in_parts(void **state)
{
    const struct sendmail_options options = { .recipients_in_header = true };
    struct letter letter;
    struct buf part;
    size_t at = 0;

    (void)state;
    struct error *err = letter_write(SPAN(FROM "To: a@b.c, d@e.f, g@h.i\r\n\r\n"), false, &options,
                                     &author, &letter);
    assert_null(err);
    buf_init(&part, 200);
    assert_true(letter_part(&letter, 2, &at, &part));
    assert_true(span_equal(buf_span(&part), SPAN(MAIL "RCPT TO:<a@b.c>\nRCPT TO:<d@e.f>\n")));
    buf_reset(&part);
    assert_true(letter_part(&letter, 2, &at, &part));
    assert_true(span_equal(buf_span(&part), SPAN(MAIL "RCPT TO:<g@h.i>\n")));
    buf_reset(&part);
    assert_false(letter_part(&letter, 2, &at, &part));
    at = 0;
    assert_true(letter_part(&letter, 3, &at, &part));
    assert_true(span_equal(buf_span(&part), buf_span(&letter.commands)));
    assert_false(letter_part(&letter, 3, &at, &part));
    buf_clear(&part);
    letter_clear(&letter);
}

static void addresses_that_are_not_ascii_ask_for_smtputf8(void **state)
{
    (void)state;
    assert_non_null(
        strstr(write_header(FROM "To: j\xc3\xb6rg@b.test\r\n\r\n"),
               "MAIL FROM:<ada@host.example> SMTPUTF8\nRCPT TO:<j\xc3\xb6rg@b.test>\n"));
}

static void nothing_smuggles_a_command(void **state)
{
    struct sendmail_options options = to_bob();
    char evil[] = "a\nRCPT TO:<x@y.test>\n@b.test";
    char *recipients[] = { evil };

    (void)state;
    options.sender = "\"a\nDATA\"@b.test";
    assert_true(strncmp(write_with(&options, FROM "\r\n"), "error: ", 7) == 0);
    options.sender = NULL;
    options.notify = "never\nDATA";
    assert_true(strncmp(write_with(&options, FROM "\r\n"), "error: ", 7) == 0);
    options.notify = NULL;
    options.recipients = recipients;
    const char *text = write_with(&options, FROM "\r\n");
    assert_true(strncmp(text, "error: ", 7) == 0 || !strstr(text, "\nRCPT TO:<x@y.test>\n"));
}

static void what_is_no_address_is_an_error_and_so_is_nobody(void **state)
{
    struct sendmail_options options = to_bob();
    char words[] = "bob example";
    char *recipients[] = { words };

    (void)state;
    assert_string_equal(write_header(FROM "\r\n"), "error: there is no recipient");
    assert_string_equal(write_header(FROM "To: undisclosed-recipients:;\r\n\r\n"),
                        "error: there is no recipient");
    options.recipients = recipients;
    assert_string_equal(write_with(&options, FROM "\r\n"),
                        "error: no list of addresses in the command line: bob example");
    options.sender = "@";
    assert_string_equal(write_with(&options, FROM "\r\n"), "error: this is no address: @");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a text becomes a letter", a_text_becomes_a_letter, NULL, NULL, NULL },
        { "a missing From is written", a_missing_from_is_written, NULL, NULL, NULL },
        { "names are written so that they stay names", names_are_written_so_that_they_stay_names,
          NULL, NULL, NULL },
        { "long names become several words", long_names_become_several_words, NULL, NULL, NULL },
        { "the header names the recipients, and the blind ones vanish",
          the_header_names_the_recipients_and_the_blind_ones_vanish, NULL, NULL, NULL },
        { "what is resent goes to the new recipients", what_is_resent_goes_to_the_new_recipients,
          NULL, NULL, NULL },
        { "each recipient gets it once", each_recipient_gets_it_once, NULL, NULL, NULL },
        { "the sender may be said", the_sender_may_be_said, NULL, NULL, NULL },
        { "parameters are handed on", parameters_are_handed_on, NULL, NULL, NULL },
        { "nothing smuggles a command", nothing_smuggles_a_command, NULL, NULL, NULL },
        { "what is no address is an error, and so is nobody",
          what_is_no_address_is_an_error_and_so_is_nobody, NULL, NULL, NULL },
        { "many recipients come in parts", many_recipients_come_in_parts, NULL, NULL, NULL },
        { "addresses that are not ASCII ask for SMTPUTF8",
          addresses_that_are_not_ascii_ask_for_smtputf8, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("letter", tests, NULL, NULL);
}
