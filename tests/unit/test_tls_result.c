#include "tests/support/test.h"

#include "lib/mail/tls_result.h"

static void every_name_is_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < TLS_RESULT_COUNT; i++) {
        enum tls_result result;
        assert_true(tls_result_parse(span_of(tls_result_name((enum tls_result)i)), &result));
        assert_int_equal(result, i);
    }
}

static void names_are_those_of_the_registry(void **state)
{
    enum tls_result result;
    (void)state;
    assert_string_equal(tls_result_name(TLS_RESULT_SUCCESS), "success");
    assert_string_equal(tls_result_name(TLS_RESULT_STS_WEBPKI_INVALID), "sts-webpki-invalid");
    assert_false(tls_result_parse(SPAN("Certificate-Expired"), &result));
    assert_false(tls_result_parse(SPAN(""), &result));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "tls_result: every name is read back", every_name_is_read_back, 0, 0, 0 },
        { "tls_result: names are those of the registry, in their case (RFC 8460 s.6.6)",
          names_are_those_of_the_registry, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
