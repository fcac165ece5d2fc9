#include "smtpd/lines.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "tests/support/test.h"

static enum line_found take(struct lines *lines, struct span input, struct span *out_line,
                            size_t *out_used)
{
    return lines_take(lines, input, out_line, out_used);
}

static void only_crlf_ends_a_line(void **state)
{
    struct lines lines = { 0 };
    struct span line;
    size_t used;

    (void)state;
    assert_int_equal(take(&lines, SPAN("NOOP\r\nQUIT\r\n"), &line, &used), LINE_WHOLE);
    assert_true(span_equal(line, SPAN("NOOP")));
    assert_int_equal(used, 6);
    assert_int_equal(take(&lines, SPAN("NO\nOP\rX\r\n"), &line, &used), LINE_WHOLE);
    assert_true(span_equal(line, SPAN("NO\nOP\rX")));
    assert_int_equal(take(&lines, SPAN("NOOP\n"), &line, &used), LINE_NONE);
    assert_int_equal(used, 0);
}

static void a_line_may_come_in_any_pieces(void **state)
{
    static const char text[] = "MAIL FROM:<a@example.net>\r\n";
    struct lines lines = { 0 };
    struct span line;
    size_t used;

    (void)state;
    for (size_t len = 1; len < sizeof(text) - 1; len++) {
        assert_int_equal(take(&lines, (struct span){ text, len }, &line, &used), LINE_NONE);
        assert_int_equal(used, 0);
    }
    assert_int_equal(take(&lines, (struct span){ text, sizeof(text) - 1 }, &line, &used),
                     LINE_WHOLE);
    assert_int_equal(line.len, sizeof(text) - 3);
}

static void a_line_left_unused_is_found_again(void **state)
{
    struct lines lines = { 0 };
    struct span line;
    size_t used;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(take(&lines, SPAN("NOOP\r\nQ"), &line, &used), LINE_WHOLE);
        assert_int_equal(used, 6);
    }
}

/* A line of `len` octets with its CRLF, handed in at pieces of `piece`. */
static enum line_found feed_to(struct lines lines, size_t len, size_t piece)
{
    char *text = memory_new(len);
    struct span line;
    enum line_found found = LINE_NONE;
    size_t used, have = 0, begin = 0;

    memset(text, 'x', len);
    memcpy(text + len - 2, "\r\n", 2);
    while (found == LINE_NONE && have < len) {
        have = have + piece < len ? have + piece : len;
        found = take(&lines, (struct span){ text + begin, have - begin }, &line, &used);
        begin += used;
    }
    assert_true(found == LINE_NONE || found == LINE_ENDLESS || begin == len);
    free(text);
    return found;
}

static enum line_found feed(size_t len, size_t piece)
{
    return feed_to((struct lines){ 0 }, len, piece);
}

static void an_answer_to_auth_may_be_longer(void **state)
{
    const struct lines auth = { .is_response = true };

    (void)state;
    assert_int_equal(feed_to(auth, SMTP_AUTH_LINE_MAX, 1000), LINE_WHOLE);
    assert_int_equal(feed_to(auth, SMTP_AUTH_LINE_MAX + 1, 1000), LINE_TOO_LONG);
}

static void the_longest_line_is_taken_and_one_more_is_not(void **state)
{
    static const size_t pieces[] = { 1, 2, 1000, SMTP_COMMAND_MAX - 1, SMTP_COMMAND_MAX, 100000 };

    (void)state;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        assert_int_equal(feed(SMTP_COMMAND_MAX, pieces[i]), LINE_WHOLE);
        assert_int_equal(feed(SMTP_COMMAND_MAX + 1, pieces[i]), LINE_TOO_LONG);
        assert_int_equal(feed(10 * SMTP_COMMAND_MAX, pieces[i]), LINE_TOO_LONG);
        assert_int_equal(feed(SMTPD_COMMAND_DISCARD_MAX + 2, pieces[i]), LINE_TOO_LONG);
        assert_int_equal(feed(SMTPD_COMMAND_DISCARD_MAX + 3, pieces[i]), LINE_ENDLESS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "only CRLF ends a line", only_crlf_ends_a_line, NULL, NULL, NULL },
        { "a line may come in any pieces", a_line_may_come_in_any_pieces, NULL, NULL, NULL },
        { "a line left unused is found again", a_line_left_unused_is_found_again, NULL, NULL,
          NULL },
        { "a line of 4096 octets is taken, one of 4097 discarded, one of 64 KiB ends all",
          the_longest_line_is_taken_and_one_more_is_not, NULL, NULL, NULL },
        { "a line within AUTH has 12288 octets at most (RFC 4954 s.4)",
          an_answer_to_auth_may_be_longer, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
