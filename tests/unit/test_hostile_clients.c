/* Clients that mean harm: ends of data that are none, cut by packets anywhere, and floods. */
#include "smtpd/session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "tests/support/smtpd/session_rig.h"
#include "tests/support/test.h"

static const char head[] = "Subject: x\r\n\r\nbody";
static const char tail[] = "MAIL FROM:<smuggled@example.net>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
                           "evil\r\n";

#define FORM(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/* What some server takes for the end of data (pitfalls.md section 7.1). */
static const struct span forms[] = {
    FORM("\n.\n"),       FORM("\r.\r"),       FORM("\r\n.\r"),     FORM("\n.\r\n"),
    FORM("\r.\r\n"),     FORM("\r\n.\n"),     FORM("\r\n.\r\r\n"), FORM("\r\r\n.\r\r\n"),
    FORM("\r\n\0.\r\n"), FORM("\r\n.\0\r\n"), FORM("\r\n.\r\0\n"), FORM("\n\n.\n\n"),
    FORM("\n\r.\n\r"),   FORM("\r\n.\r.\n"),
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

static int open_rig(void **state)
{
    static struct rig rig;

    rig_init(&rig);
    rig.settings.max_errors = 1000;
    *state = &rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    return 0;
}

static void hear(struct rig *rig, const char *start)
{
    const char *line;

    do
        line = rig_hear(rig);
    while (line && line[3] == '-');
    if (!line || strncmp(line, start, strlen(start)) != 0)
        fail_msg("expected \"%s\", heard \"%s\"", start, line ? line : "nothing");
}

static void greet(struct rig *rig)
{
    rig_open(rig, "192.0.2.7");
    hear(rig, "220 ");
    rig_say(rig, "EHLO client.test\r\n");
    hear(rig, "250 ");
}

static void turn(struct rig *rig)
{
    loop_timer_start(rig->patience, 0);
    loop_run(rig->loop);
}

static void say_cut(struct rig *rig, struct span bytes, size_t at)
{
    rig_say_bytes(rig, span_first(bytes, at));
    turn(rig);
    rig_say_bytes(rig, span_from(bytes, at));
}

static void begin(struct rig *rig)
{
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n");
    hear(rig, "250 2.1.0");
    hear(rig, "250 2.1.5");
}

/* Nothing was taken, and the next command is what stands behind the true end. */
static void nothing_was_taken(struct rig *rig)
{
    rig_say(rig, "NOOP\r\nRCPT TO:<b@example.com>\r\n");
    hear(rig, "250 2.0.0 Ok");
    hear(rig, "503 5.5.1 Say MAIL first");
    assert_int_equal(fake_queue.ended, 0);
    assert_null(strstr(fake_queue.reverse_path, "smuggled"));
    assert_false(fake_queue_is_busy());
}

static struct span smuggling(unsigned form, char room[1024])
{
    size_t len = sizeof(head) - 1;

    memcpy(room, head, len);
    memcpy(room + len, forms[form].data, forms[form].len);
    len += forms[form].len;
    memcpy(room + len, tail, sizeof(tail) - 1);
    return (struct span){ room, len + sizeof(tail) - 1 };
}

/* Cuts from two bytes before a form to two behind it. */
static size_t first_cut(void)
{
    return sizeof(head) - 1 - 2;
}

static size_t last_cut(unsigned form)
{
    return sizeof(head) - 1 + forms[form].len + 2;
}

static void no_form_ends_data(void **state)
{
    struct rig *rig = *state;
    char room[1024];

    for (unsigned form = 0; form < FORMS; form++) {
        struct span content = smuggling(form, room);
        greet(rig);
        for (size_t cut = first_cut(); cut <= last_cut(form); cut++) {
            begin(rig);
            rig_say(rig, "DATA\r\n");
            hear(rig, "354");
            say_cut(rig, content, cut);
            rig_say(rig, ".\r\n");
            hear(rig, "550 5.6.0");
            nothing_was_taken(rig);
        }
    }
}

static void a_true_end_may_be_cut_anywhere(void **state)
{
    static const char end[] = "Subject: x\r\n\r\nbody\r\n.\r\n";
    struct rig *rig = *state;

    greet(rig);
    for (size_t cut = 1; cut < sizeof(end) - 1; cut++) {
        begin(rig);
        rig_say(rig, "DATA\r\n");
        hear(rig, "354");
        say_cut(rig, span_of(end), cut);
        hear(rig, "250 2.0.0 Ok: queued as");
        assert_int_equal(fake_queue.ended, cut);
    }
}

/* In one chunk, cut by packets. */
static void no_form_is_taken_in_a_chunk(void **state)
{
    struct rig *rig = *state;
    char room[1024], command[64];

    for (unsigned form = 0; form < FORMS; form++) {
        struct span content = smuggling(form, room);
        greet(rig);
        for (size_t cut = first_cut(); cut <= last_cut(form); cut++) {
            begin(rig);
            snprintf(command, sizeof(command), "BDAT %zu LAST\r\n", content.len);
            rig_say(rig, command);
            say_cut(rig, content, cut);
            hear(rig, "550 5.6.0");
            nothing_was_taken(rig);
        }
    }
}

/* In two chunks, cut by their border; the fault may show in the first one already. */
static void no_form_is_taken_over_chunks(void **state)
{
    struct rig *rig = *state;
    char room[1024], command[64];

    for (unsigned form = 0; form < FORMS; form++) {
        struct span content = smuggling(form, room);
        greet(rig);
        for (size_t cut = first_cut(); cut <= last_cut(form); cut++) {
            begin(rig);
            snprintf(command, sizeof(command), "BDAT %zu\r\n", cut);
            rig_say(rig, command);
            rig_say_bytes(rig, span_first(content, cut));
            snprintf(command, sizeof(command), "BDAT %zu LAST\r\n", content.len - cut);
            rig_say(rig, command);
            rig_say_bytes(rig, span_from(content, cut));
            const char *first = rig_hear(rig);
            assert_non_null(first);
            bool early = strncmp(first, "550 5.6.0", 9) == 0;
            assert_true(early || strncmp(first, "250 2.0.0", 9) == 0);
            hear(rig, early ? "503" : "550 5.6.0");
            nothing_was_taken(rig);
        }
    }
}

/* A line ends with CRLF only, also where commands are. */
static void no_form_ends_a_command(void **state)
{
    static const char *const lines[] = { "NOOP\nMAIL FROM:<smuggled@example.net>\r\n",
                                         "NOOP\rMAIL FROM:<smuggled@example.net>\r\n",
                                         "MAIL FROM:<a@example.net>\nRCPT TO:<b@example.com>\r\n" };
    struct rig *rig = *state;

    greet(rig);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        for (size_t cut = 1; cut < strlen(lines[i]); cut++) {
            say_cut(rig, span_of(lines[i]), cut);
            hear(rig, "50");
            rig_say(rig, "RSET\r\n");
            hear(rig, "250 2.0.0");
        }
        greet(rig);
    }
    assert_int_equal(fake_queue.begun, 0);
}

/* --- floods */

/* Says a text again and again until the server has enough; gives the replies heard. */
static unsigned flood(struct rig *rig, const char *text, unsigned most, const char *last_words)
{
    unsigned heard = 0;
    bool told = false;

    for (unsigned i = 0; i < most && !rig->hung_up; i++) {
        rig_say(rig, text);
        if (i % 64 == 0)
            turn(rig);
    }
    for (const char *line; (line = rig_hear(rig)) != NULL; heard++)
        told = told || strncmp(line, last_words, strlen(last_words)) == 0;
    assert_true(rig->hung_up && told);
    return heard;
}

/* `make proof` says a million over the network. */
static void so_many_recipients_end_the_session_and_take_no_memory(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    rig_say(rig, "MAIL FROM:<a@example.net>\r\n");
    hear(rig, "250 2.1.0");
    unsigned heard = flood(rig, "RCPT TO:<b@example.com>\r\n", 20000, "421 4.7.0");
    assert_in_range(heard, rig->settings.max_recipients + SMTPD_DEFERRALS_MAX,
                    rig->settings.max_recipients + SMTPD_DEFERRALS_MAX + 2);
    while (rig->host.session_count > 0)
        turn(rig);
}

static void endless_lines_end_the_session(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    assert_int_equal(flood(rig, "0123456789abcdef0123456789abcdef", 100000, "421 4.7.0"), 1);
}

static void commands_that_do_nothing_end_the_session(void **state)
{
    static const char *const texts[] = { "NOOP\r\n",   "RSET\r\n",
                                         "VRFY b\r\n", "EHLO x\r\n",
                                         "HELP\r\n",   "MAIL FROM:<a@example.net>\r\nRSET\r\n" };
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        greet(rig);
        (void)flood(rig, texts[i], 20000, "421 4.7.0");
    }
}

static void a_tls_hello_and_a_web_client_are_shown_the_door(void **state)
{
    struct rig *rig = *state;

    rig_open(rig, "192.0.2.7");
    hear(rig, "220 ");
    rig_say_bytes(rig, SPAN("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"));
    hear(rig, "421 4.7.0");
    assert_true(rig_is_closed(rig));
    rig_open(rig, "192.0.2.7");
    hear(rig, "220 ");
    rig_say(rig, "POST / HTTP/1.1\r\nHost: relay\r\n\r\nMAIL FROM:<a@example.net>\r\n");
    hear(rig, "421 4.7.0");
    assert_true(rig_is_closed(rig));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("no form but CRLF.CRLF ends data, however packets cut it", no_form_ends_data),
        TEST("a true end may be cut anywhere", a_true_end_may_be_cut_anywhere),
        TEST("no form is taken in a chunk, however packets cut it", no_form_is_taken_in_a_chunk),
        TEST("no form is taken over chunks, wherever they part", no_form_is_taken_over_chunks),
        TEST("no form ends a command", no_form_ends_a_command),
        TEST("so many recipients end the session, and take no memory",
             so_many_recipients_end_the_session_and_take_no_memory),
        TEST("endless lines end the session", endless_lines_end_the_session),
        TEST("commands that do nothing end the session", commands_that_do_nothing_end_the_session),
        TEST("a TLS hello and a web client are shown the door",
             a_tls_hello_and_a_web_client_are_shown_the_door),
    };
    return cmocka_run_group_tests_name("hostile clients", tests, NULL, NULL);
}
