#include "queue/signatures.h"

#include <string.h>

#include "tests/support/test.h"

#define FIELD(domain, selector)                                                                    \
    "DKIM-Signature: v=1; a=ed25519-sha256; d=" domain ";\r\n s=" selector ";\r\n\tb=eA==\r\n"

static const char *names_of(struct span fields)
{
    static char text[SIGNATURES_NAMES_MAX + 1];
    struct buf names;

    buf_init(&names, SIGNATURES_NAMES_MAX);
    bool are_fit = signatures_read(fields, &names);
    if (are_fit)
        assert_true(span_to_string(buf_span(&names), text, sizeof(text)));
    buf_clear(&names);
    return are_fit ? text : NULL;
}

static void assert_unfit(struct span fields)
{
    assert_null(names_of(fields));
}

static void who_signed_is_told(void **state)
{
    (void)state;
    assert_string_equal(names_of(SPAN(FIELD("example.net", "2026a"))), "example.net:2026a");
    assert_string_equal(names_of(SPAN(FIELD("example.net", "r") FIELD("example.org", "e"))),
                        "example.net:r,example.org:e");
    assert_string_equal(names_of(SPAN("dkim-signature: d=a.b; s=c\r\n")), "a.b:c");
}

static void what_is_no_signature_is_refused(void **state)
{
    (void)state;
    assert_unfit(SPAN(""));
    assert_unfit(SPAN("\r\n"));
    assert_unfit(SPAN("Subject: x\r\n"));
    assert_unfit(SPAN(FIELD("a.b", "c") "Bcc: d=a.b; s=c\r\n"));
    assert_unfit(SPAN(FIELD("a.b", "c") "\r\n"));
    assert_unfit(SPAN(FIELD("a.b", "c") "\r\nbody\r\n"));
    assert_unfit(SPAN("From mallory\r\n" FIELD("a.b", "c")));
    assert_unfit(SPAN(" " FIELD("a.b", "c")));
    assert_unfit(SPAN(FIELD("a.b", "c") "nonsense\r\n"));
}

static void without_a_domain_or_a_selector_it_is_none(void **state)
{
    (void)state;
    assert_unfit(SPAN("DKIM-Signature: s=c\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=; s=c\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a b; s=c\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c,d\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c; s=c\r\n"));
    assert_unfit(SPAN("DKIM-Signature: no tags\r\n"));
}

static void lines_are_clean_and_end_with_crlf(void **state)
{
    (void)state;
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c\r"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c; x=\r1\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c; x=\n 1\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c; x=\0001\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c; x=\377\r\n"));
    assert_unfit(SPAN("DKIM-Signature: d=a.b; s=c; x=\177\r\n"));
}

static void what_is_too_long_is_refused(void **state)
{
    static char fields[SIGNATURES_MAX + 2];
    const struct span field = SPAN("DKIM-Signature: d=a.b; s=c; b=");

    (void)state;
    memset(fields, 'x', sizeof(fields));
    memcpy(fields, field.data, field.len);
    memcpy(fields + SIGNATURES_MAX - 2, "\r\n", 2);
    assert_non_null(names_of((struct span){ fields, SIGNATURES_MAX }));
    memcpy(fields + SIGNATURES_MAX - 2, "xx\r\n", 4);
    assert_unfit((struct span){ fields, SIGNATURES_MAX + 2 });
}

static void names_beyond_the_bound_are_left_out(void **state)
{
    static char fields[SIGNATURES_MAX];
    static const char field[] =
        "DKIM-Signature: d=a.long.name.of.a.domain.example.net; s=selector\r\n";
    size_t len = 0;

    (void)state;
    while (len + sizeof(field) <= sizeof(fields)) {
        memcpy(fields + len, field, sizeof(field) - 1);
        len += sizeof(field) - 1;
    }
    const char *names = names_of((struct span){ fields, len });
    assert_non_null(names);
    assert_true(strlen(names) <= SIGNATURES_NAMES_MAX);
    assert_true(strlen(names) > SIGNATURES_NAMES_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "who signed is told, as domain and selector", who_signed_is_told, NULL, NULL, NULL },
        { "what is no DKIM-Signature field is refused", what_is_no_signature_is_refused, NULL, NULL,
          NULL },
        { "without a domain or a selector it is none", without_a_domain_or_a_selector_it_is_none,
          NULL, NULL, NULL },
        { "lines are printable ASCII and end with CRLF", lines_are_clean_and_end_with_crlf, NULL,
          NULL, NULL },
        { "what is too long is refused", what_is_too_long_is_refused, NULL, NULL, NULL },
        { "names beyond the bound are left out", names_beyond_the_bound_are_left_out, NULL, NULL,
          NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
