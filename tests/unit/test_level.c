#include "tests/support/test.h"

#include "queue/deliver/level.h"

#include <string.h>

static void what_is_wanted_follows_from_what_may_not_be(void **state)
{
    static const struct {
        struct sts_facts facts;
        const char *wanted;
    } rows[] = {
        { { .source = POLICY_SOURCE_NONE }, "clear" },
        { { .source = POLICY_SOURCE_STS, .mode = STS_TESTING, .mx_listed = true }, "clear" },
        { { .source = POLICY_SOURCE_STS, .mode = STS_ENFORCE, .mx_listed = true }, "verified" },
        { { .tlsa = TLSA_USABLE }, "dane" },
        { { .tlsa = TLSA_UNUSABLE }, "encrypted" },
        { { .tlsa = TLSA_USABLE, .relief = RELIEF_FULL }, "clear" },
        { { .tlsa = TLSA_USABLE, .relief = RELIEF_UNVERIFIED }, "encrypted" },
        { { .route = ROUTE_TLS_ENCRYPT }, "encrypted" },
        { { .route = ROUTE_TLS_VERIFY }, "verified" },
        { { .route = ROUTE_TLS_FINGERPRINT }, "verified" },
        { { .require_tls = true, .mx_is_sure = true }, "verified" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sts_decision d = sts_decide_candidate(rows[i].facts);
        assert_string_equal(level_wanted(&d), rows[i].wanted);
    }
}

static void what_is_reached_follows_from_the_session(void **state)
{
    static const struct {
        struct sts_facts facts;
        const char *level;
    } rows[] = {
        { { .tls = SESSION_TLS_NOT_OFFERED }, "clear" },
        { { .tls = SESSION_TLS_REFUSED }, "clear" },
        { { .tls = SESSION_TLS_NOT_TRIED }, "clear" },
        { { .tls = SESSION_TLS_FAILED }, "" },
        { { .tls = SESSION_TLS_ON, .cert = CERT_OK }, "verified" },
        { { .tls = SESSION_TLS_ON, .cert = CERT_OK, .floor = TLS_FLOOR_LEGACY }, "encrypted" },
        { { .tls = SESSION_TLS_ON, .cert = CERT_OK, .floor = TLS_FLOOR_OPPORTUNISTIC },
          "encrypted" },
        { { .tls = SESSION_TLS_ON, .cert = CERT_EXPIRED }, "encrypted" },
        { { .tls = SESSION_TLS_ON, .cert = CERT_OK, .tlsa = TLSA_USABLE }, "dane" },
        { { .tls = SESSION_TLS_ON, .cert = CERT_OTHER, .tlsa = TLSA_USABLE }, "encrypted" },
        { { .tls = SESSION_TLS_ON,
            .cert = CERT_NOT_TRUSTED,
            .route = ROUTE_TLS_FINGERPRINT,
            .is_listed = true },
          "verified" },
        { { .tls = SESSION_TLS_ON, .cert = CERT_NOT_TRUSTED, .is_listed = true }, "encrypted" },
        { { .tls = SESSION_TLS_ON, .cert = CERT_NOT_TRUSTED, .route = ROUTE_TLS_FINGERPRINT },
          "encrypted" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sts_decision d = sts_decide_session(rows[i].facts);
        assert_string_equal(level_reached(&d, &rows[i].facts), rows[i].level);
    }
}

static void certificate_is_ok_or_what_is_wrong_with_it(void **state)
{
    struct tls_session tls = { .cert = CERT_NONE };

    (void)state;
    assert_string_equal(level_verify_word(&tls), "");
    tls.cert = CERT_OK;
    assert_string_equal(level_verify_word(&tls), "ok");
    tls.cert = CERT_OTHER;
    assert_string_equal(level_verify_word(&tls), "not valid");
    strcpy(tls.cert_reason, "X509_V_ERR_CERT_REVOKED");
    assert_string_equal(level_verify_word(&tls), "X509_V_ERR_CERT_REVOKED");
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("what is wanted follows from what may not be",
          what_is_wanted_follows_from_what_may_not_be),
        T("what is reached follows from the session", what_is_reached_follows_from_the_session),
        T("a certificate is ok, or there is a word for what is wrong with it",
          certificate_is_ok_or_what_is_wrong_with_it),
    };

    return cmocka_run_group_tests_name("level", tests, NULL, NULL);
}
