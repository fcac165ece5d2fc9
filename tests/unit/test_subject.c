#include "tlsrpt/subject.h"

#include <string.h>

#include "tests/support/test.h"

static void a_key_says_what_its_subject_is(void **state)
{
    struct subject subjects[] = { subject_of_domain(20521, SPAN("a.test")),
                                  subject_of_host(20521, SPAN("MX.a.TEST.")),
                                  subject_of_domain(UINT32_MAX, SPAN("x")) };
    struct subject got;
    struct span rest;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct subject_key key = subject_key(&subjects[i]);
        assert_true(subject_parse(subject_key_span(&key), &got, &rest));
        assert_true(subject_equal(&got, &subjects[i]));
        assert_int_equal(rest.len, 0);
        memcpy(key.bytes + key.len, "more", 4);
        assert_true(subject_parse((struct span){ key.bytes, key.len + 4 }, &got, &rest));
        assert_true(span_equal(rest, SPAN("more")));
    }
    assert_string_equal(subjects[1].domain, "mx.a.test");
    assert_false(subject_equal(&subjects[0], &subjects[1]));
}

static int order(const struct subject *a, const struct subject *b)
{
    struct subject_key one = subject_key(a), other = subject_key(b);
    size_t len = one.len < other.len ? one.len : other.len;

    return memcmp(one.bytes, other.bytes, len);
}

static void keys_stand_by_day_then_view_then_name(void **state)
{
    struct subject in_order[] = { subject_of_domain(255, SPAN("b.test")),
                                  subject_of_domain(256, SPAN("a.test")),
                                  subject_of_domain(256, SPAN("a.test.more")),
                                  subject_of_domain(256, SPAN("b.test")),
                                  subject_of_host(256, SPAN("a.test")) };
    struct subject_key day = subject_key_of_day(256);
    (void)state;
    for (size_t i = 0; i + 1 < sizeof(in_order) / sizeof(in_order[0]); i++)
        assert_true(order(&in_order[i], &in_order[i + 1]) < 0); /* none begins another */
    struct subject_key key = subject_key(&in_order[1]);
    assert_memory_equal(key.bytes, day.bytes, day.len);
}

static void what_is_no_key_is_seen(void **state)
{
    static const char longest[400] = "\0\0\0\1\0";
    struct subject subject;
    struct span rest;
    char long_name[400];
    (void)state;
    memset(long_name, 'x', sizeof(long_name));
    memcpy(long_name, longest, 5);
    long_name[5 + DOMAIN_MAX + 1] = '\0';
    assert_false(subject_parse(SPAN(""), &subject, &rest));
    assert_false(subject_parse(SPAN("\0\0\0\1"), &subject, &rest));
    assert_false(subject_parse(SPAN("\0\0\0\1\0"), &subject, &rest));
    assert_false(subject_parse(SPAN("\0\0\0\1\0\0"), &subject, &rest));
    assert_false(subject_parse(SPAN("\0\0\0\1\0a.test"), &subject, &rest));
    assert_false(subject_parse((struct span){ long_name, 300 }, &subject, &rest));
    long_name[5 + DOMAIN_MAX] = '\0';
    assert_true(subject_parse((struct span){ long_name, 300 }, &subject, &rest));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "subject: a key says what its subject is", a_key_says_what_its_subject_is, 0, 0, 0 },
        { "subject: keys stand by day, then view, then name", keys_stand_by_day_then_view_then_name,
          0, 0, 0 },
        { "subject: what is no key is seen", what_is_no_key_is_seen, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
