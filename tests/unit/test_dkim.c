#include "tests/support/test.h"

#include "lib/mail/dkim.h"

#include <string.h>

static void check_canon(const char *text, enum dkim_canon header, enum dkim_canon body)
{
    enum dkim_canon got_header, got_body;

    assert_true(dkim_canon_parse(span_of(text), &got_header, &got_body));
    assert_int_equal(got_header, header);
    assert_int_equal(got_body, body);
}

static void canonical_forms_have_names_for_header_and_body(void **state)
{
    (void)state;
    check_canon("relaxed/relaxed", DKIM_RELAXED, DKIM_RELAXED);
    check_canon("relaxed/simple", DKIM_RELAXED, DKIM_SIMPLE);
    check_canon("simple/relaxed", DKIM_SIMPLE, DKIM_RELAXED);
    check_canon("Simple/RELAXED", DKIM_SIMPLE, DKIM_RELAXED);
    assert_string_equal(dkim_canon_name(DKIM_SIMPLE), "simple");
    assert_string_equal(dkim_canon_name(DKIM_RELAXED), "relaxed");
}

static void what_is_left_out_is_simple(void **state)
{
    (void)state;
    check_canon("", DKIM_SIMPLE, DKIM_SIMPLE);
    check_canon("relaxed", DKIM_RELAXED, DKIM_SIMPLE);
    check_canon("simple", DKIM_SIMPLE, DKIM_SIMPLE);
}

static void other_words_are_no_canonical_forms(void **state)
{
    static const char *const wrong[] = {
        "nowsp",    "relaxed/", "/relaxed", "relaxed/nowsp", "relaxed/simple/simple",
        " relaxed", "relax"
    };
    enum dkim_canon header = DKIM_RELAXED, body = DKIM_RELAXED;
    (void)state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(dkim_canon_parse(span_of(wrong[i]), &header, &body));
    assert_int_equal(header, DKIM_RELAXED);
    assert_int_equal(body, DKIM_RELAXED);
}

static void algorithms_have_a_name_in_the_field_and_one_in_the_record(void **state)
{
    enum dkim_algorithm algorithm = DKIM_RSA_SHA256;
    (void)state;

    assert_string_equal(dkim_algorithm_name(DKIM_RSA_SHA256), "rsa-sha256");
    assert_string_equal(dkim_algorithm_name(DKIM_ED25519_SHA256), "ed25519-sha256");
    assert_string_equal(dkim_key_name(DKIM_RSA_SHA256), "rsa");
    assert_true(dkim_key_parse(span_of("Ed25519"), &algorithm));
    assert_int_equal(algorithm, DKIM_ED25519_SHA256);
    assert_true(dkim_key_parse(span_of("rsa"), &algorithm));
    assert_int_equal(algorithm, DKIM_RSA_SHA256);
    assert_false(dkim_key_parse(span_of("dsa"), &algorithm));
    assert_false(dkim_key_parse(span_of(""), &algorithm));
}

static void a_selector_is_one_or_more_labels(void **state)
{
    static const char *const wrong[] = { "", "a b", "a_b", ".a", "a.", "a..b", "-a", "a-", "a;b" };
    (void)state;

    assert_true(dkim_selector_is_valid(span_of("2026a")));
    assert_true(dkim_selector_is_valid(span_of("2026a.mail")));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(dkim_selector_is_valid(span_of(wrong[i])));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim: canonical forms have names for header and body (RFC 6376 s.3.5)",
          canonical_forms_have_names_for_header_and_body, 0, 0, 0 },
        { "dkim: what is left out of c= is simple", what_is_left_out_is_simple, 0, 0, 0 },
        { "dkim: other words are no canonical forms", other_words_are_no_canonical_forms, 0, 0, 0 },
        { "dkim: algorithms have a name in the field and one in the record",
          algorithms_have_a_name_in_the_field_and_one_in_the_record, 0, 0, 0 },
        { "dkim: a selector is one or more labels", a_selector_is_one_or_more_labels, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
