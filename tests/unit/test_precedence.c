/*
 * Which of DANE, MTA-STS, the message and the administrator decides (docs/policy.md, "Precedence"):
 * each row by its number, and properties over all facts.
 */
#include "policy/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NO_POLICY .source = POLICY_SOURCE_NONE
#define STS(m, listed) .source = POLICY_SOURCE_STS, .mode = (m), .mx_listed = (listed)
#define ENFORCE STS(STS_ENFORCE, true)
#define USABLE .tlsa = TLSA_USABLE
#define UNUSABLE .tlsa = TLSA_UNUSABLE
#define SECURE(c) .tls = SESSION_TLS_ON, .floor = TLS_FLOOR_STRICT, .cert = (c)
#define SECURE_AT(f, c) .tls = SESSION_TLS_ON, .floor = (f), .cert = (c)
#define IN_CLEAR .tls = SESSION_TLS_NOT_OFFERED
#define BROKEN .tls = SESSION_TLS_FAILED

static const struct row {
    const char *row;
    struct sts_facts facts;
    bool deliver;
    enum policy_source counted_under;
    enum tls_result result;
    const char *reason;
} candidate_rows[] = {
    { "P1", { USABLE }, true, POLICY_SOURCE_DANE, TLS_RESULT_SUCCESS, "" },
    { "P2", { USABLE, STS(STS_ENFORCE, false) }, true, POLICY_SOURCE_DANE, TLS_RESULT_SUCCESS, "" },
    { "P3", { UNUSABLE, STS(STS_ENFORCE, false) }, false, POLICY_SOURCE_STS,
      TLS_RESULT_VALIDATION_FAILURE, "not in policy" },
    { "P4", { UNUSABLE }, true, POLICY_SOURCE_DANE, TLS_RESULT_SUCCESS, "" },
    { "P5", { UNUSABLE, STS(STS_NONE, false) }, true, POLICY_SOURCE_DANE, TLS_RESULT_SUCCESS, "" },
    { "X1", { STS(STS_ENFORCE, false), .relief = RELIEF_UNVERIFIED }, true, POLICY_SOURCE_STS,
      TLS_RESULT_VALIDATION_FAILURE, "not in policy" },
    { "X2", { STS(STS_ENFORCE, false), .relief = RELIEF_FULL }, true, POLICY_SOURCE_STS,
      TLS_RESULT_VALIDATION_FAILURE, "not in policy" },
    { "X3", { STS(STS_ENFORCE, false), .relief = RELIEF_FULL, .require_tls = true }, false,
      POLICY_SOURCE_STS, TLS_RESULT_VALIDATION_FAILURE, "not in policy" },
    { "X4", { NO_POLICY, .relief = RELIEF_FULL, .route = ROUTE_TLS_DANE }, false,
      POLICY_SOURCE_DANE, TLS_RESULT_DANE_REQUIRED, "no usable TLSA records" },
}, session_rows[] = {
    { "P6", { USABLE, SECURE(CERT_OK) }, true, POLICY_SOURCE_DANE, TLS_RESULT_SUCCESS, "" },
    { "P7", { USABLE, SECURE(CERT_NOT_TRUSTED) }, false, POLICY_SOURCE_DANE,
      TLS_RESULT_CERTIFICATE_NOT_TRUSTED, "certificate not trusted" },
    { "P7", { USABLE, SECURE_AT(TLS_FLOOR_OPPORTUNISTIC, CERT_OK) }, false, POLICY_SOURCE_DANE,
      TLS_RESULT_VALIDATION_FAILURE, "TLS too weak" },
    { "P7", { USABLE, IN_CLEAR }, false, POLICY_SOURCE_DANE, TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "no STARTTLS offered" },
    { "P7", { USABLE, .tls = SESSION_TLS_REFUSED }, false, POLICY_SOURCE_DANE,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED, "STARTTLS refused" },
    { "P7", { USABLE, BROKEN }, false, POLICY_SOURCE_DANE, TLS_RESULT_VALIDATION_FAILURE,
      "TLS handshake failed" },
    { "P8", { USABLE, ENFORCE, SECURE(CERT_NOT_OF_TLSA) }, false, POLICY_SOURCE_DANE,
      TLS_RESULT_TLSA_INVALID, "certificate fits no TLSA record" },
    { "P8", { USABLE, STS(STS_TESTING, true), SECURE(CERT_NOT_TRUSTED) }, false,
      POLICY_SOURCE_DANE, TLS_RESULT_CERTIFICATE_NOT_TRUSTED, "certificate not trusted" },
    { "P9", { USABLE, STS(STS_ENFORCE, false), SECURE(CERT_OK) }, true, POLICY_SOURCE_DANE,
      TLS_RESULT_SUCCESS, "" },
    { "P10", { UNUSABLE, SECURE(CERT_NOT_TRUSTED) }, true, POLICY_SOURCE_DANE,
      TLS_RESULT_TLSA_INVALID, "no usable TLSA records" },
    { "P10", { UNUSABLE, SECURE_AT(TLS_FLOOR_OPPORTUNISTIC, CERT_NOT_TRUSTED) }, true,
      POLICY_SOURCE_DANE, TLS_RESULT_TLSA_INVALID, "no usable TLSA records" },
    { "P11", { UNUSABLE, IN_CLEAR }, false, POLICY_SOURCE_DANE, TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "no STARTTLS offered" },
    { "P11", { UNUSABLE, SECURE_AT(TLS_FLOOR_LEGACY, CERT_OK) }, false, POLICY_SOURCE_DANE,
      TLS_RESULT_TLSA_INVALID, "no usable TLSA records" },
    { "P12", { UNUSABLE, ENFORCE, SECURE(CERT_EXPIRED) }, false, POLICY_SOURCE_STS,
      TLS_RESULT_CERTIFICATE_EXPIRED, "certificate expired" },
    { "P12", { UNUSABLE, ENFORCE, SECURE(CERT_OK) }, true, POLICY_SOURCE_STS, TLS_RESULT_SUCCESS,
      "" },
    { "P13", { UNUSABLE, STS(STS_TESTING, true), SECURE(CERT_EXPIRED) }, true, POLICY_SOURCE_STS,
      TLS_RESULT_CERTIFICATE_EXPIRED, "certificate expired" },
    { "P13", { UNUSABLE, STS(STS_TESTING, true), IN_CLEAR }, false, POLICY_SOURCE_STS,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED, "no STARTTLS offered" },
    { "X5", { ENFORCE, SECURE(CERT_EXPIRED), .relief = RELIEF_UNVERIFIED }, true,
      POLICY_SOURCE_STS, TLS_RESULT_CERTIFICATE_EXPIRED, "certificate expired" },
    { "X5", { USABLE, SECURE(CERT_NOT_TRUSTED), .relief = RELIEF_UNVERIFIED }, true,
      POLICY_SOURCE_DANE, TLS_RESULT_CERTIFICATE_NOT_TRUSTED, "certificate not trusted" },
    { "X6", { ENFORCE, IN_CLEAR, .relief = RELIEF_UNVERIFIED }, false, POLICY_SOURCE_STS,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED, "no STARTTLS offered" },
    { "X6", { ENFORCE, SECURE_AT(TLS_FLOOR_LEGACY, CERT_OK), .relief = RELIEF_UNVERIFIED }, false,
      POLICY_SOURCE_STS, TLS_RESULT_VALIDATION_FAILURE, "TLS too weak" },
    { "X7", { ENFORCE, IN_CLEAR, .relief = RELIEF_FULL }, true, POLICY_SOURCE_STS,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED, "no STARTTLS offered" },
    { "X7", { USABLE, IN_CLEAR, .relief = RELIEF_FULL }, true, POLICY_SOURCE_DANE,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED, "no STARTTLS offered" },
    { "X7", { UNUSABLE, IN_CLEAR, .relief = RELIEF_FULL }, true, POLICY_SOURCE_DANE,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED, "no STARTTLS offered" },
    { "X7", { ENFORCE, BROKEN, .relief = RELIEF_FULL }, false, POLICY_SOURCE_STS,
      TLS_RESULT_VALIDATION_FAILURE, "TLS handshake failed" },
    { "X8", { ENFORCE, IN_CLEAR, .relief = RELIEF_FULL, .require_tls = true }, false,
      POLICY_SOURCE_STS, TLS_RESULT_STARTTLS_NOT_SUPPORTED, "no STARTTLS offered" },
    { "X9", { ENFORCE, SECURE(CERT_EXPIRED), .relief = RELIEF_FULL, .route = ROUTE_TLS_VERIFY },
      false, POLICY_SOURCE_STS, TLS_RESULT_CERTIFICATE_EXPIRED, "certificate expired" },
};

static void check_row(const struct row *row, struct sts_decision d)
{
    if (d.deliver != row->deliver || d.counted_under != row->counted_under ||
        d.result != row->result || !d.report || strcmp(d.reason, row->reason) != 0)
        fail_msg("row %s: %s", row->row, d.reason);
    assert_int_equal(d.by_tlsa, row->facts.tlsa == TLSA_USABLE);
}

static void every_row_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(candidate_rows) / sizeof(candidate_rows[0]); i++)
        check_row(&candidate_rows[i], sts_decide_candidate(candidate_rows[i].facts));
    for (size_t i = 0; i < sizeof(session_rows) / sizeof(session_rows[0]); i++)
        check_row(&session_rows[i], sts_decide_session(session_rows[i].facts));
}

/* All facts but those of the route, one after the other; false behind the last. */
static bool next_facts(unsigned n, struct sts_facts *out)
{
    struct sts_facts f = { .source = n % 2 ? POLICY_SOURCE_STS : POLICY_SOURCE_NONE };

    n /= 2;
    f.mode = (enum sts_mode)(n % 3), n /= 3;
    f.mx_listed = n % 2, n /= 2;
    f.tlsa = (enum tlsa_worth)(n % 3), n /= 3;
    f.relief = (enum policy_relief)(n % 3), n /= 3;
    f.require_tls = n % 2, n /= 2;
    f.mx_is_sure = n % 2, n /= 2;
    f.tls = (enum session_tls)(n % (SESSION_TLS_ON + 1)), n /= SESSION_TLS_ON + 1;
    f.floor = (enum tls_floor)(n % 3), n /= 3;
    f.cert = (enum cert_verdict)(n % (CERT_OTHER + 1)), n /= CERT_OTHER + 1;
    f.failed_before = n % 2, n /= 2;
    *out = f;
    return n == 0;
}

static bool is_flawless(struct sts_facts f)
{
    return f.tls == SESSION_TLS_ON && f.floor == TLS_FLOOR_STRICT && f.cert == CERT_OK;
}

/* RFC 8461 s.2: whatever MTA-STS says, mail goes where the records are met and nowhere else. */
static void usable_records_decide_alone(void **state)
{
    struct sts_facts f;
    (void)state;
    for (unsigned n = 0; next_facts(n, &f); n++) {
        if (f.tlsa != TLSA_USABLE || (f.relief != RELIEF_NONE && !f.require_tls))
            continue;
        assert_true(sts_decide_candidate(f).deliver);
        assert_int_equal(sts_decide_session(f).deliver, is_flawless(f));
    }
}

static void nothing_that_binds_lowers_the_floor(void **state)
{
    struct sts_facts f;
    (void)state;
    for (unsigned n = 0; next_facts(n, &f); n++) {
        bool identifies =
            f.tlsa == TLSA_USABLE || (f.source == POLICY_SOURCE_STS && f.mode == STS_ENFORCE);
        struct sts_decision d = sts_decide_candidate(f);
        if (f.require_tls || (identifies && f.relief == RELIEF_NONE))
            assert_true(d.must_verify && !d.lower_allowed && !d.legacy_allowed && !d.clear_allowed);
        else if (f.relief != RELIEF_FULL && (f.tlsa == TLSA_UNUSABLE || identifies))
            assert_true(d.use_tls && !d.legacy_allowed && !d.clear_allowed);
        else
            assert_true(d.lower_allowed && d.legacy_allowed && d.clear_allowed);
    }
}

/* What mail goes over never depends on how it is counted; a relief only ever adds ways. */
static void a_relief_never_hinders(void **state)
{
    struct sts_facts f;
    (void)state;
    for (unsigned n = 0; next_facts(n, &f); n++) {
        struct sts_facts without = f;
        without.relief = RELIEF_NONE;
        if (sts_decide_session(without).deliver)
            assert_true(sts_decide_session(f).deliver);
        if (sts_decide_candidate(without).deliver)
            assert_true(sts_decide_candidate(f).deliver);
        assert_int_equal(sts_decide_session(without).result, sts_decide_session(f).result);
        assert_int_equal(sts_decide_session(without).report, sts_decide_session(f).report);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "every row about precedence holds (docs/policy.md)", every_row_holds, NULL, NULL, NULL },
        { "usable TLSA records decide alone, whatever MTA-STS says (RFC 8461 s.2)",
          usable_records_decide_alone, NULL, NULL, NULL },
        { "nothing that binds lets TLS go lower, or away", nothing_that_binds_lowers_the_floor,
          NULL, NULL, NULL },
        { "a relief opens ways, closes none, and changes no report", a_relief_never_hinders, NULL,
          NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
