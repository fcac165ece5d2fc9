#include "sendmail/options.h"

#include <string.h>

#include "tests/support/test.h"

enum { WORDS_MAX = 16 };

/* Reads a command line with blanks between the words. */
static struct sendmail_options parse(const char *line)
{
    static char room[256];
    static char *words[WORDS_MAX];
    struct sendmail_options options;
    int count = 0;

    strcpy(room, line);
    for (char *word = strtok(room, " "); word; word = strtok(NULL, " "))
        words[count++] = word;
    sendmail_options_parse(count, words, &options);
    return options;
}

static void the_name_says_what_is_wanted(void **state)
{
    (void)state;
    assert_int_equal(parse("sendmail ada").mode, SENDMAIL_SEND);
    assert_int_equal(parse("/usr/bin/mailq").mode, SENDMAIL_QUEUE);
    assert_int_equal(parse("newaliases").mode, SENDMAIL_NEWALIASES);
    assert_int_equal(parse("/usr/sbin/sendmail -bp").mode, SENDMAIL_QUEUE);
    assert_int_equal(parse("sendmail -bs").mode, SENDMAIL_SMTP);
    assert_int_equal(parse("sendmail -bi").mode, SENDMAIL_NEWALIASES);
    assert_int_equal(parse("sendmail -I").mode, SENDMAIL_NEWALIASES);
    assert_int_equal(parse("sendmail -q").mode, SENDMAIL_NEWALIASES);
    assert_int_equal(parse("sendmail -q30m").mode, SENDMAIL_NEWALIASES);
    assert_int_equal(parse("sendmail --help").mode, SENDMAIL_HELP);
}

/* As cron, PHP, mdadm, logwatch, git send-email and mail(1) write them. */
static void what_programs_write_is_understood(void **state)
{
    const char *const lines[] = {
        "sendmail -FCronDaemon -i -B8BITMIME -oem ada",
        "sendmail -t -i",
        "sendmail -t -i -f ada@example.net",
        "sendmail -i ada@example.net",
        "sendmail -t",
        "sendmail -oem -oi ada",
        "sendmail -i -f ada@example.net -- bob@example.net",
        "sendmail -oi -odi -om -oep -v -n -U -G -s -m -E ada",
        "sendmail -O DeliveryMode=b -o DontBlameSendmail=x -Ac -L tag -p smtp:host -h 3 "
        "-X/dev/null "
        "-d0.1 -em ada",
        "sendmail -r ada@example.net -N failure,delay -R hdrs -V id -F Ada bob",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct sendmail_options options = parse(lines[i]);
        if (options.fault || options.mode != SENDMAIL_SEND)
            fail_msg("%s: %s %s", lines[i], options.fault, options.word);
    }
}

static void values_stand_behind_the_letter_or_in_the_next_word(void **state)
{
    struct sendmail_options options = parse("sendmail -tifada@example.net -F Ada -Nnever a b");

    (void)state;
    assert_null(options.fault);
    assert_true(options.recipients_in_header && options.dot_is_text);
    assert_string_equal(options.sender, "ada@example.net");
    assert_string_equal(options.full_name, "Ada");
    assert_string_equal(options.notify, "never");
    assert_int_equal(options.recipient_count, 2);
    assert_string_equal(options.recipients[0], "a");
    options = parse("sendmail -C x.conf -v -R full -V 12 -B 7BIT -oi -");
    assert_string_equal(options.config, "x.conf");
    assert_string_equal(options.ret, "full");
    assert_string_equal(options.envid, "12");
    assert_string_equal(options.body, "7BIT");
    assert_true(options.is_verbose && options.dot_is_text);
    assert_string_equal(options.recipients[0], "-");
    assert_string_equal(parse("sendmail --config y.conf a").config, "y.conf");
}

static void behind_two_dashes_and_the_first_address_nothing_is_an_option(void **state)
{
    struct sendmail_options options = parse("sendmail -i -- -t a");

    (void)state;
    assert_false(options.recipients_in_header);
    assert_string_equal(options.recipients[0], "-t");
    options = parse("sendmail a -t");
    assert_false(options.recipients_in_header);
    assert_int_equal(options.recipient_count, 2);
}

static void what_is_not_understood_is_named(void **state)
{
    const char *const lines[] = {
        "sendmail -Z a",       "sendmail -f",     "sendmail -tZ", "sendmail --nonsense",
        "sendmail --config",   "sendmail -bd",    "sendmail -bD", "sendmail -bv a",
        "sendmail -BBINARY a", "sendmail -R all", "sendmail -bt",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct sendmail_options options = parse(lines[i]);
        if (!options.fault || !options.word)
            fail_msg("%s is understood", lines[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "the name says what is wanted", the_name_says_what_is_wanted, NULL, NULL, NULL },
        { "what programs write is understood", what_programs_write_is_understood, NULL, NULL,
          NULL },
        { "values stand behind the letter or in the next word",
          values_stand_behind_the_letter_or_in_the_next_word, NULL, NULL, NULL },
        { "behind two dashes and the first address nothing is an option",
          behind_two_dashes_and_the_first_address_nothing_is_an_option, NULL, NULL, NULL },
        { "what is not understood is named", what_is_not_understood_is_named, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("sendmail_options", tests, NULL, NULL);
}
