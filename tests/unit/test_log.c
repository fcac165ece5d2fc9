#include "tests/support/test.h"

#include "lib/base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the log wrote since the last call, without time and process number. */
static char written[8192];
static int pipe_fds[2];

static const char *what_was_written(void)
{
    log_flush();
    ssize_t got = read(pipe_fds[0], written, sizeof(written) - 1);
    written[got > 0 ? got : 0] = '\0';
    char *role = strchr(written, ']');
    return role ? role + 2 : written;
}

static int open_log(void **state)
{
    (void)state;
    if (pipe2(pipe_fds, O_NONBLOCK) != 0)
        return -1;
    log_open(pipe_fds[1], LOG_INFO, "test");
    return 0;
}

static void keys_come_in_the_order_they_were_said(void **state)
{
    struct log_line line;
    (void)state;
    log_begin(&line, LOG_INFO, "delivery");
    log_qid(&line, 0x3f9c21);
    log_path(&line, "rcpt", SPAN("ada@example.net"));
    log_string(&line, "mx", "mx1.example.net");
    log_seconds(&line, "delay", 1850);
    log_number(&line, "size", -3);
    log_end(&line);
    assert_string_equal(what_was_written(), "delivery qid=3f9c21 rcpt=<ada@example.net> "
                                            "mx=mx1.example.net delay=1.8s size=-3\n");
}

static void bytes_from_outside_cannot_forge_a_line_or_a_key(void **state)
{
    struct log_line line;
    (void)state;
    log_begin(&line, LOG_INFO, "x");
    log_text(&line, "reply", SPAN("no\r\nerror forged=1 \"q\" \\ \xff"));
    log_path(&line, "from", SPAN("a b@c>\n"));
    log_string(&line, "empty", "");
    log_end(&line);
    assert_string_equal(what_was_written(),
                        "x reply=\"no\\x0d\\x0aerror forged=1 \\\"q\\\" \\\\ \\xff\" "
                        "from=<a\\x20b@c\\x3e\\x0a> empty=\"\"\n");
    log_begin(&line, LOG_INFO, "x");
    log_path(&line, "rcpt", SPAN("\"a> outcome=<x y=\\\"\"@c.test"));
    log_end(&line);
    assert_string_equal(what_was_written(),
                        "x rcpt=<\\x22a\\x3e\\x20outcome=\\x3cx\\x20y=\\x5c\\x22\\x22@c.test>\n");
    log_begin(&line, LOG_INFO, "x");
    log_path(&line, "from", SPAN("list+ada=example.net@verp.test"));
    log_end(&line);
    assert_string_equal(what_was_written(), "x from=<list+ada=example.net@verp.test>\n");
}

static void a_long_value_is_cut_and_the_line_still_ends(void **state)
{
    struct log_line line;
    char *long_value = malloc(5000);
    (void)state;
    memset(long_value, 'x', 5000);
    log_begin(&line, LOG_WARNING, "x");
    log_text(&line, "v", (struct span){ long_value, 5000 });
    log_number(&line, "behind", 1);
    log_end(&line);
    const char *out = what_was_written();
    assert_int_equal(out[strlen(out) - 1], '\n');
    assert_true(strlen(out) < LOG_LINE_MAX);
    free(long_value);
}

static void lines_below_the_least_level_are_not_written(void **state)
{
    struct error *err = error_new(ERROR_LOCAL, "disk");
    (void)state;
    log_event(LOG_DEBUG, "quiet");
    assert_string_equal(what_was_written(), "");
    log_failure(LOG_ERROR, "loud", err);
    assert_string_equal(what_was_written(), "loud error=disk\n");
    error_free(&err);
}

static void a_queue_id_reads_back_as_written(void **state)
{
    char text[QID_TEXT_SIZE];
    uint64_t id;
    (void)state;
    qid_format(UINT64_MAX, text);
    assert_true(qid_parse(span_of(text), &id));
    assert_true(id == UINT64_MAX);
    assert_false(qid_parse(SPAN(""), &id));
    assert_false(qid_parse(SPAN("3F"), &id));
    assert_false(qid_parse(SPAN("11111111111111111"), &id));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "log: keys come in the order they were said", keys_come_in_the_order_they_were_said, 0, 0,
          0 },
        { "log: bytes from outside cannot forge a line or a key",
          bytes_from_outside_cannot_forge_a_line_or_a_key, 0, 0, 0 },
        { "log: a long value is cut and the line still ends",
          a_long_value_is_cut_and_the_line_still_ends, 0, 0, 0 },
        { "log: lines below the least level are not written",
          lines_below_the_least_level_are_not_written, 0, 0, 0 },
        { "log: a queue id reads back as written", a_queue_id_reads_back_as_written, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, open_log, NULL);
}
