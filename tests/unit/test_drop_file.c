#include "smtpd/pickup/drop_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

#define NAME "m00112233445566778899aabbccddeeff"
#define MAIL "MAIL FROM:<ada@example.net>\n"
#define RCPT "RCPT TO:<bob@example.org>\n"

static enum drop_fault parse(const char *text)
{
    struct drop_head head;

    return drop_head_parse(span_of(text), NAME, &head);
}

static void what_is_written_is_read(void **state)
{
    struct drop_head head;
    struct buf text;

    (void)state;
    buf_init(&text, DROP_HEAD_MAX);
    assert_true(drop_head_write(NAME, SPAN(MAIL RCPT RCPT), 7, &text));
    assert_true(buf_append(&text, SPAN("content")));
    assert_int_equal(drop_head_parse(buf_span(&text), NAME, &head), DROP_FINE);
    assert_int_equal(head.content_size, 7);
    assert_true(span_equal(head.commands, SPAN(MAIL RCPT RCPT)));
    assert_true(span_equal(span_from(buf_span(&text), head.len), SPAN("content")));
    buf_clear(&text);
}

static void names_are_new_and_known_by_their_form(void **state)
{
    char one[DROP_NAME_LEN + 1], two[DROP_NAME_LEN + 1];

    (void)state;
    drop_name_new(one);
    drop_name_new(two);
    assert_string_not_equal(one, two);
    assert_true(drop_name_is_whole(span_of(one)));
    assert_false(drop_name_is_unfinished(span_of(one)));
    one[0] = 't';
    assert_true(drop_name_is_unfinished(span_of(one)));
    assert_false(drop_name_is_whole(span_of(one)));
    one[4] = 'F';
    assert_false(drop_name_is_unfinished(span_of(one)));
    assert_false(drop_name_is_whole(SPAN("m")));
    assert_false(drop_name_is_whole(SPAN("../../etc/passwd")));
    assert_false(drop_name_is_whole(SPAN(NAME "0")));
}

static void each_damage_has_its_name(void **state)
{
    const struct {
        const char *text;
        enum drop_fault fault;
    } cases[] = {
        { "", DROP_NOT_OURS },
        { "waxseal-drop 1 " NAME, DROP_NOT_OURS },
        { "waxseal-drop 2 " NAME "\n7\n" MAIL RCPT "\n", DROP_NOT_OURS },
        { "waxseal-drop 1 m0\n7\n" MAIL RCPT "\n", DROP_FOREIGN_NAME },
        { "waxseal-drop 1 " NAME "\n-7\n" MAIL RCPT "\n", DROP_BAD_SIZE },
        { "waxseal-drop 1 " NAME "\n9223372036854775808\n" MAIL RCPT "\n", DROP_BAD_SIZE },
        { "waxseal-drop 1 " NAME "\n7", DROP_BAD_SIZE },
        { "waxseal-drop 1 " NAME "\n7\n", DROP_BAD_COMMAND },
        { "waxseal-drop 1 " NAME "\n7\n" RCPT "\n", DROP_BAD_COMMAND },
        { "waxseal-drop 1 " NAME "\n7\n" MAIL "\n", DROP_NO_RECIPIENT },
        { "waxseal-drop 1 " NAME "\n7\n" MAIL, DROP_CUT },
        { "waxseal-drop 1 " NAME "\n7\n" MAIL RCPT, DROP_CUT },
        { "waxseal-drop 1 " NAME "\n7\n" MAIL MAIL "\n", DROP_BAD_COMMAND },
        { "waxseal-drop 1 " NAME "\n7\n" MAIL "DATA\n\n", DROP_BAD_COMMAND },
        { "waxseal-drop 1 " NAME "\n7\n" MAIL "RCPT TO:<a@b>\rDATA\n\n", DROP_BAD_COMMAND },
        { "waxseal-drop 1 " NAME "\n7\n" MAIL "RCPT TO:<a\x7f@b>\n\n", DROP_BAD_COMMAND },
        { "waxseal-drop 1 " NAME "\n7\n" MAIL "RCPT TO:<\xc3\xa4@b>\n\n", DROP_FINE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (parse(cases[i].text) != cases[i].fault)
            fail_msg("\"%s\" is %s", cases[i].text, drop_fault_name(parse(cases[i].text)));
        assert_true(strlen(drop_fault_name(cases[i].fault)) > 0);
    }
}

static void a_head_has_its_bounds(void **state)
{
    char *line = malloc(DROP_HEAD_MAX + 1);
    struct drop_head head;
    struct buf text;

    (void)state;
    memset(line, 'x', DROP_HEAD_MAX);
    memcpy(line, "RCPT TO:", 8);
    line[DROP_HEAD_MAX] = '\0';
    buf_init(&text, 2 * DROP_HEAD_MAX);
    assert_false(drop_head_write(NAME, span_of(line), 0, &text));
    buf_reset(&text);
    assert_true(drop_head_write(NAME, SPAN(MAIL), 0, &text));
    buf_reset(&text);
    assert_true(
        buf_printf(&text, "waxseal-drop 1 " NAME "\n0\n" MAIL "%.*s\n\n", DROP_COMMAND_MAX, line));
    assert_int_equal(drop_head_parse(buf_span(&text), NAME, &head), DROP_FINE);
    buf_reset(&text);
    assert_true(buf_printf(&text, "waxseal-drop 1 " NAME "\n0\n" MAIL "%.*s\n\n",
                           DROP_COMMAND_MAX + 1, line));
    assert_int_equal(drop_head_parse(buf_span(&text), NAME, &head), DROP_BAD_COMMAND);
    buf_clear(&text);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "what is written is read", what_is_written_is_read, NULL, NULL, NULL },
        { "names are new and known by their form", names_are_new_and_known_by_their_form, NULL,
          NULL, NULL },
        { "each damage has its name", each_damage_has_its_name, NULL, NULL, NULL },
        { "a head has its bounds", a_head_has_its_bounds, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("drop_file", tests, NULL, NULL);
}
