#include "tests/support/test.h"

#include "lib/mail/tls_required.h"

#include <stdio.h>

/* A header in lines that end with CRLF, each line in pieces of `step` bytes. */
static bool says_no_in_steps(struct span header, size_t step)
{
    struct tls_required t = { .count = 0 };

    while (header.len > 0) {
        size_t end = span_find(header, '\r');
        struct span line = span_first(header, end);
        bool is_whole = end < header.len;
        header = span_from(header, is_whole ? end + 2 : end);
        for (; line.len > 0; line = span_from(line, step))
            tls_required_take(&t, span_first(line, step));
        if (is_whole)
            tls_required_end_line(&t);
    }
    return tls_required_says_no(&t);
}

static bool says_no(const char *header)
{
    bool whole = says_no_in_steps(span_of(header), SIZE_MAX);

    for (size_t step = 1; step < 5; step++)
        if (says_no_in_steps(span_of(header), step) != whole)
            fail_msg("\"%s\" is read otherwise in steps of %zu", header, step);
    return whole;
}

static void assert_all(const char *const headers[], size_t count, bool expected)
{
    for (size_t i = 0; i < count; i++)
        if (says_no(headers[i]) != expected)
            fail_msg("\"%s\" %s", headers[i], expected ? "does not say no" : "says no");
}

static void a_field_that_says_no_counts(void **state)
{
    static const char *const headers[] = {
        "TLS-Required: No\r\n",
        "TLS-Required: No\r\n\r\n",
        "From: a@example.net\r\nTLS-Required: No\r\nSubject: x\r\n\r\nTLS-Required: Yes\r\n",
        "tls-REQUIRED:no\r\n",
        "TLS-Required:NO",
        "TLS-Required \t: nO \t \r\n",
        "TLS-Required:\r\n No\r\n",
        "TLS-Required: No\r\n \r\nTo: b@example.org\r\n",
        "Subject: folded\r\n TLS-Required: Yes\r\nTLS-Required: No\r\n",
        "X-TLS-Required: Yes\r\nTLS-Required-X: Yes\r\nTLS-Require: Yes\r\nTLS-Required: No\r\n",
        "Subject:\r\n\t\r\nTLS-Required: No\r\nno field\r\nTLS-Required: No\r\n",
    };

    (void)state;
    assert_all(headers, sizeof(headers) / sizeof(headers[0]), true);
}

static void nothing_else_counts(void **state)
{
    static const char *const headers[] = {
        "",
        "\r\nTLS-Required: No\r\n",
        "TLS-Required\r\n",
        "TLS-Required: \r\n",
        "TLS-Required: Yes\r\n",
        "TLS-Required: N\r\n",
        "TLS-Required: N\r\n o\r\n",
        "TLS-Required: No o\r\n",
        "TLS-Required: No;\r\n",
        "TLS-Required: None\r\n",
        "TLS-Required: \"No\"\r\n",
        "TLS-Required: No (thanks)\r\n",
        "TLS-Required: No\r\n No\r\n",
        "TLS-Required: n\xc3\xb3\r\n",
        "X-TLS-Required: No\r\n",
        "TLS-Required-: No\r\n",
        "TLS Required: No\r\n",
        "Subject: x\r\n TLS-Required: No\r\n",
        "DKIM-Signature: h=\r\n\tTLS-Required: No\r\n",
    };

    (void)state;
    assert_all(headers, sizeof(headers) / sizeof(headers[0]), false);
}

static void a_field_that_stands_there_twice_does_not_count(void **state)
{
    static const char *const headers[] = {
        "TLS-Required: No\r\nTLS-Required: No\r\n",
        "TLS-Required: No\r\nSubject: x\r\nTLS-Required: Yes\r\n",
        "TLS-Required: Yes\r\nTLS-Required: No\r\n",
        "TLS-Required: No\r\nTLS-Required:",
    };

    (void)state;
    assert_all(headers, sizeof(headers) / sizeof(headers[0]), false);
}

static void behind_a_line_that_is_no_field_there_is_no_header(void **state)
{
    static const char *const headers[] = {
        " TLS-Required: No\r\nTLS-Required: No\r\n",
        "no field\r\nTLS-Required: No\r\n",
        "no field at all: no\r\nTLS-Required: No\r\n",
        ": no name\r\nTLS-Required: No\r\n",
        "\x01: no name\r\nTLS-Required: No\r\n",
        "n\xc3\xa4me: x\r\nTLS-Required: No\r\n",
        "From a@example.net Fri Jan 30 10:00:00 2026\r\nTLS-Required: No\r\n",
    };

    (void)state;
    assert_all(headers, sizeof(headers) / sizeof(headers[0]), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "TLS-Required: No counts in whatever case, with blanks and folds, however it is cut",
          a_field_that_says_no_counts, NULL, NULL, NULL },
        { "no other value, and no other field, says no (RFC 8689 s.3)", nothing_else_counts, NULL,
          NULL, NULL },
        { "a TLS-Required field that stands there twice does not count",
          a_field_that_stands_there_twice_does_not_count, NULL, NULL, NULL },
        { "behind a line that is no field there is no header any more",
          behind_a_line_that_is_no_field_there_is_no_header, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("tls_required", tests, NULL, NULL);
}
