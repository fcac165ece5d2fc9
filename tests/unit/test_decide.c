#include "policy/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The rows of docs/policy.md, by their numbers. */
#define NO_POLICY .source = POLICY_SOURCE_NONE
#define STS(m, listed) .source = POLICY_SOURCE_STS, .mode = (m), .mx_listed = (listed)
#define DANE .tlsa = TLSA_USABLE

static const struct candidate_row {
    const char *row;
    struct sts_facts facts;
    bool deliver, use_tls, must_verify, lower_allowed, clear_allowed;
    enum tls_floor floor;
    enum policy_source counted_under;
    enum tls_result result;
} candidate_rows[] = {
    { "C1",
      { NO_POLICY },
      true,
      true,
      false,
      true,
      true,
      TLS_FLOOR_OPPORTUNISTIC,
      POLICY_SOURCE_NONE,
      TLS_RESULT_SUCCESS },
    { "C2",
      { STS(STS_NONE, false) },
      true,
      true,
      false,
      true,
      true,
      TLS_FLOOR_OPPORTUNISTIC,
      POLICY_SOURCE_NONE,
      TLS_RESULT_SUCCESS },
    { "C3",
      { STS(STS_TESTING, true) },
      true,
      true,
      false,
      true,
      true,
      TLS_FLOOR_STRICT,
      POLICY_SOURCE_STS,
      TLS_RESULT_SUCCESS },
    { "C4",
      { STS(STS_TESTING, false) },
      true,
      true,
      false,
      true,
      true,
      TLS_FLOOR_STRICT,
      POLICY_SOURCE_STS,
      TLS_RESULT_VALIDATION_FAILURE },
    { "C5",
      { STS(STS_ENFORCE, true) },
      true,
      true,
      true,
      false,
      false,
      TLS_FLOOR_STRICT,
      POLICY_SOURCE_STS,
      TLS_RESULT_SUCCESS },
    { "C6",
      { STS(STS_ENFORCE, false) },
      false,
      true,
      true,
      false,
      false,
      TLS_FLOOR_STRICT,
      POLICY_SOURCE_STS,
      TLS_RESULT_VALIDATION_FAILURE },
    { "C7",
      { NO_POLICY, .route = ROUTE_TLS_ENCRYPT },
      true,
      true,
      false,
      true,
      false,
      TLS_FLOOR_OPPORTUNISTIC,
      POLICY_SOURCE_NONE,
      TLS_RESULT_SUCCESS },
    { "C8",
      { NO_POLICY, .route = ROUTE_TLS_NONE },
      true,
      false,
      false,
      true,
      true,
      TLS_FLOOR_OPPORTUNISTIC,
      POLICY_SOURCE_NONE,
      TLS_RESULT_SUCCESS },
    { "C9",
      { STS(STS_ENFORCE, true), .route = ROUTE_TLS_NONE },
      true,
      true,
      true,
      false,
      false,
      TLS_FLOOR_STRICT,
      POLICY_SOURCE_STS,
      TLS_RESULT_SUCCESS },
};

static void every_candidate_row_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(candidate_rows) / sizeof(candidate_rows[0]); i++) {
        const struct candidate_row *row = &candidate_rows[i];
        struct sts_decision d = sts_decide_candidate(row->facts);
        if (d.deliver != row->deliver || d.use_tls != row->use_tls ||
            d.must_verify != row->must_verify || d.lower_allowed != row->lower_allowed ||
            d.clear_allowed != row->clear_allowed || d.floor != row->floor ||
            d.counted_under != row->counted_under || d.result != row->result || !d.report)
            fail_msg("row %s", row->row);
    }
}

#define SECURE(c) .tls = SESSION_TLS_ON, .floor = TLS_FLOOR_STRICT, .cert = (c)
#define SECURE_AT(f) .tls = SESSION_TLS_ON, .floor = (f), .cert = CERT_OK

static const struct session_row {
    const char *row;
    struct sts_facts facts;
    bool deliver, report;
    enum tls_result result;
    const char *reason;
} session_rows[] = {
    { "N1", { NO_POLICY, SECURE(CERT_NOT_TRUSTED) }, true, true, TLS_RESULT_SUCCESS, "" },
    { "N1", { NO_POLICY, SECURE_AT(TLS_FLOOR_LEGACY) }, true, true, TLS_RESULT_SUCCESS, "" },
    { "N2",
      { NO_POLICY, .tls = SESSION_TLS_NOT_OFFERED },
      true,
      true,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "no STARTTLS offered" },
    { "N3",
      { NO_POLICY, .tls = SESSION_TLS_REFUSED },
      true,
      true,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "STARTTLS refused" },
    { "N4",
      { NO_POLICY, .tls = SESSION_TLS_FAILED },
      false,
      true,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS handshake failed" },
    { "N5",
      { NO_POLICY, SECURE_AT(TLS_FLOOR_LEGACY), .failed_before = true },
      true,
      false,
      TLS_RESULT_SUCCESS,
      "" },
    { "N6",
      { NO_POLICY, .tls = SESSION_TLS_NOT_TRIED, .failed_before = true },
      true,
      false,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS not tried" },
    { "N7",
      { NO_POLICY, .tls = SESSION_TLS_NOT_TRIED, .route = ROUTE_TLS_NONE },
      true,
      false,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS not tried" },
    { "N8",
      { NO_POLICY, .tls = SESSION_TLS_NOT_OFFERED, .route = ROUTE_TLS_ENCRYPT },
      false,
      true,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "no STARTTLS offered" },
    { "N9",
      { NO_POLICY, SECURE(CERT_EXPIRED), .route = ROUTE_TLS_ENCRYPT },
      true,
      true,
      TLS_RESULT_SUCCESS,
      "" },
    { "O1",
      { STS(STS_NONE, false), SECURE(CERT_NOT_TRUSTED) },
      true,
      true,
      TLS_RESULT_SUCCESS,
      "" },
    { "O2",
      { STS(STS_NONE, false), .tls = SESSION_TLS_NOT_OFFERED },
      true,
      false,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "no STARTTLS offered" },
    { "T1", { STS(STS_TESTING, true), SECURE(CERT_OK) }, true, true, TLS_RESULT_SUCCESS, "" },
    { "T2",
      { STS(STS_TESTING, true), SECURE(CERT_EXPIRED) },
      true,
      true,
      TLS_RESULT_CERTIFICATE_EXPIRED,
      "certificate expired" },
    { "T3",
      { STS(STS_TESTING, true), .tls = SESSION_TLS_NOT_OFFERED },
      true,
      true,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "no STARTTLS offered" },
    { "T4",
      { STS(STS_TESTING, true), .tls = SESSION_TLS_REFUSED },
      true,
      true,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "STARTTLS refused" },
    { "T5",
      { STS(STS_TESTING, true), .tls = SESSION_TLS_FAILED },
      false,
      true,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS handshake failed" },
    { "T6",
      { STS(STS_TESTING, true), SECURE_AT(TLS_FLOOR_LEGACY), .failed_before = true },
      true,
      false,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS too weak" },
    { "T7",
      { STS(STS_TESTING, true), .tls = SESSION_TLS_NOT_TRIED, .failed_before = true },
      true,
      false,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS not tried" },
    { "T8",
      { STS(STS_TESTING, false), SECURE(CERT_OK) },
      true,
      true,
      TLS_RESULT_VALIDATION_FAILURE,
      "not in policy" },
    { "E1", { STS(STS_ENFORCE, true), SECURE(CERT_OK) }, true, true, TLS_RESULT_SUCCESS, "" },
    { "E2",
      { STS(STS_ENFORCE, true), SECURE(CERT_EXPIRED) },
      false,
      true,
      TLS_RESULT_CERTIFICATE_EXPIRED,
      "certificate expired" },
    { "E3",
      { STS(STS_ENFORCE, true), SECURE(CERT_HOST_MISMATCH) },
      false,
      true,
      TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
      "certificate for another name" },
    { "E4",
      { STS(STS_ENFORCE, true), SECURE(CERT_NOT_TRUSTED) },
      false,
      true,
      TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
      "certificate not trusted" },
    { "E5",
      { STS(STS_ENFORCE, true), SECURE(CERT_OTHER) },
      false,
      true,
      TLS_RESULT_VALIDATION_FAILURE,
      "certificate not valid" },
    { "E5",
      { STS(STS_ENFORCE, true), SECURE(CERT_NONE) },
      false,
      true,
      TLS_RESULT_VALIDATION_FAILURE,
      "no certificate" },
    { "E6",
      { STS(STS_ENFORCE, true), .tls = SESSION_TLS_NOT_OFFERED },
      false,
      true,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "no STARTTLS offered" },
    { "E7",
      { STS(STS_ENFORCE, true), .tls = SESSION_TLS_REFUSED },
      false,
      true,
      TLS_RESULT_STARTTLS_NOT_SUPPORTED,
      "STARTTLS refused" },
    { "E8",
      { STS(STS_ENFORCE, true), .tls = SESSION_TLS_FAILED },
      false,
      true,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS handshake failed" },
    { "E9",
      { STS(STS_ENFORCE, true), SECURE_AT(TLS_FLOOR_OPPORTUNISTIC) },
      false,
      true,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS too weak" },
    { "E10",
      { STS(STS_ENFORCE, false), SECURE(CERT_OK) },
      false,
      true,
      TLS_RESULT_VALIDATION_FAILURE,
      "not in policy" },
    { "E11",
      { STS(STS_ENFORCE, true), .tls = SESSION_TLS_NOT_TRIED },
      false,
      false,
      TLS_RESULT_VALIDATION_FAILURE,
      "TLS not tried" },
};

static void every_session_row_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(session_rows) / sizeof(session_rows[0]); i++) {
        const struct session_row *row = &session_rows[i];
        struct sts_decision d = sts_decide_session(row->facts);
        if (d.deliver != row->deliver || d.report != row->report || d.result != row->result ||
            strcmp(d.reason, row->reason) != 0)
            fail_msg("row %s: %s", row->row, d.reason);
    }
}

/* Whatever a session comes to: an enforced policy has no fact that opens a way round it. */
static void enforce_delivers_over_nothing_but_a_verified_session(void **state)
{
    (void)state;
    for (int tls = SESSION_TLS_NOT_OFFERED; tls <= SESSION_TLS_ON; tls++)
        for (int floor = TLS_FLOOR_STRICT; floor <= TLS_FLOOR_LEGACY; floor++)
            for (int cert = CERT_OK; cert <= CERT_OTHER; cert++)
                for (int listed = 0; listed < 2; listed++)
                    for (int route = ROUTE_TLS_MAY; route <= ROUTE_TLS_VERIFY; route++) {
                        struct sts_facts f = { STS(STS_ENFORCE, listed),
                                               .route = (enum route_tls)route,
                                               .tls = (enum session_tls)tls,
                                               .floor = (enum tls_floor)floor,
                                               .cert = (enum cert_verdict)cert };
                        bool flawless = listed && tls == SESSION_TLS_ON &&
                                        floor == TLS_FLOOR_STRICT && cert == CERT_OK;
                        struct sts_decision d = sts_decide_session(f);
                        assert_int_equal(d.deliver, flawless);
                        assert_false(d.clear_allowed || d.lower_allowed);
                    }
}

/* What the route asks for: a floor, whatever the policy of the domain says. */
static const struct route_row {
    const char *row;
    struct sts_facts facts;
    const char *reason; /* NULL: mail goes */
    bool by_route;
} route_candidates[] = {
    { "C10", { NO_POLICY, .route = ROUTE_TLS_VERIFY }, NULL, false },
    { "C10", { NO_POLICY, .route = ROUTE_TLS_FINGERPRINT }, NULL, false },
    { "C11", { NO_POLICY, .route = ROUTE_TLS_DANE }, "no usable TLSA records", true },
    { "C11", { STS(STS_ENFORCE, true), .route = ROUTE_TLS_DANE }, "no usable TLSA records", true },
    { "C12", { DANE, .route = ROUTE_TLS_DANE }, NULL, false },
    { "C6", { STS(STS_ENFORCE, false), .route = ROUTE_TLS_VERIFY }, "not in policy", false },
}, route_sessions[] = {
    { "V1", { NO_POLICY, SECURE(CERT_OK), .route = ROUTE_TLS_VERIFY }, NULL, false },
    { "V2", { NO_POLICY, SECURE(CERT_HOST_MISMATCH), .route = ROUTE_TLS_VERIFY },
      "certificate for another name", true },
    { "V2", { STS(STS_TESTING, true), SECURE(CERT_EXPIRED), .route = ROUTE_TLS_VERIFY },
      "certificate expired", true },
    { "V3", { NO_POLICY, .tls = SESSION_TLS_NOT_OFFERED, .route = ROUTE_TLS_VERIFY },
      "no STARTTLS offered", true },
    { "V3", { NO_POLICY, .tls = SESSION_TLS_FAILED, .route = ROUTE_TLS_VERIFY },
      "TLS handshake failed", true },
    { "V3", { NO_POLICY, SECURE_AT(TLS_FLOOR_LEGACY), .route = ROUTE_TLS_VERIFY }, "TLS too weak",
      true },
    { "V4", { STS(STS_ENFORCE, true), SECURE(CERT_EXPIRED), .route = ROUTE_TLS_VERIFY },
      "certificate expired", false },
    { "F1", { NO_POLICY, SECURE(CERT_NOT_TRUSTED), .route = ROUTE_TLS_FINGERPRINT,
              .is_listed = true },
      NULL, false },
    { "F2", { NO_POLICY, SECURE(CERT_OK), .route = ROUTE_TLS_FINGERPRINT },
      "certificate not listed", true },
    { "F3", { NO_POLICY, .tls = SESSION_TLS_REFUSED, .route = ROUTE_TLS_FINGERPRINT },
      "STARTTLS refused", true },
    { "F3", { NO_POLICY, SECURE_AT(TLS_FLOOR_OPPORTUNISTIC), .route = ROUTE_TLS_FINGERPRINT,
              .is_listed = true },
      "TLS too weak", true },
    { "F4", { STS(STS_ENFORCE, true), SECURE(CERT_NOT_TRUSTED), .route = ROUTE_TLS_FINGERPRINT,
              .is_listed = true },
      "certificate not trusted", false },
    { "F4", { STS(STS_ENFORCE, true), SECURE(CERT_OK), .route = ROUTE_TLS_FINGERPRINT },
      "certificate not listed", true },
    { "D1", { DANE, SECURE(CERT_OK), .route = ROUTE_TLS_DANE }, NULL, false },
    { "D2", { DANE, SECURE(CERT_NOT_TRUSTED), .route = ROUTE_TLS_DANE },
      "certificate not trusted", true },
    { "D3", { NO_POLICY, SECURE(CERT_OK), .route = ROUTE_TLS_DANE }, "no usable TLSA records",
      true },
    { "N8", { NO_POLICY, .tls = SESSION_TLS_NOT_OFFERED, .route = ROUTE_TLS_ENCRYPT },
      "no STARTTLS offered", true },
};

static void check_route_row(const struct route_row *row, struct sts_decision d)
{
    if (d.deliver != !row->reason || (row->reason && strcmp(d.reason, row->reason) != 0) ||
        d.by_route != row->by_route)
        fail_msg("row %s: %s", row->row, d.reason);
    if (row->facts.route != ROUTE_TLS_ENCRYPT)
        assert_true(!d.clear_allowed && !d.lower_allowed && d.floor == TLS_FLOOR_STRICT);
}

static void what_the_route_asks_for_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(route_candidates) / sizeof(route_candidates[0]); i++)
        check_route_row(&route_candidates[i], sts_decide_candidate(route_candidates[i].facts));
    for (size_t i = 0; i < sizeof(route_sessions) / sizeof(route_sessions[0]); i++)
        check_route_row(&route_sessions[i], sts_decide_session(route_sessions[i].facts));
}

/* The domain's reports say what its policy came to, not what our administrator wants besides. */
static void what_the_route_asks_for_is_not_reported(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(route_sessions) / sizeof(route_sessions[0]); i++) {
        struct sts_facts f = route_sessions[i].facts;
        struct sts_decision with = sts_decide_session(f), without;
        f.route = ROUTE_TLS_MAY;
        without = sts_decide_session(f);
        assert_int_equal(with.result, without.result);
        assert_int_equal(with.report, without.report);
    }
}

/* But that a route demands DANE in vain has a result of its own (RFC 8460 s.4.3.2.1). */
static void dane_demanded_in_vain_is_reported(void **state)
{
    (void)state;
    struct sts_facts f = { NO_POLICY, .route = ROUTE_TLS_DANE };
    struct sts_decision d = sts_decide_candidate(f);
    assert_true(d.report && !d.deliver);
    assert_int_equal(d.result, TLS_RESULT_DANE_REQUIRED);
    assert_int_equal(d.counted_under, POLICY_SOURCE_DANE);
    f = (struct sts_facts){ STS(STS_TESTING, false), .route = ROUTE_TLS_DANE };
    assert_int_equal(sts_decide_candidate(f).result, TLS_RESULT_VALIDATION_FAILURE);
}

static void a_policy_by_dane_never_yields_to_clear_text(void **state)
{
    struct sts_facts f = { DANE, .tls = SESSION_TLS_NOT_OFFERED };
    (void)state;
    assert_false(sts_decide_session(f).deliver);
    f = (struct sts_facts){ DANE, SECURE(CERT_NOT_TRUSTED) };
    assert_false(sts_decide_session(f).deliver);
    f.cert = CERT_OK;
    assert_true(sts_decide_session(f).deliver);
    assert_int_equal(sts_decide_session(f).counted_under, POLICY_SOURCE_DANE);
}

static unsigned ways_to_connect(struct sts_facts f, bool *out_clear)
{
    struct sts_decision d = sts_decide_candidate(f);
    enum tls_floor floor = d.floor;
    bool use_tls = d.use_tls;
    unsigned ways = 1;
    while (sts_decide_again(&d, &floor, &use_tls))
        ways++;
    *out_clear = !use_tls;
    return ways;
}

static void a_failed_handshake_lowers_the_floor_only_where_nothing_binds(void **state)
{
    bool clear;
    (void)state;
    assert_int_equal(ways_to_connect((struct sts_facts){ NO_POLICY }, &clear), 3);
    assert_true(clear);
    assert_int_equal(ways_to_connect((struct sts_facts){ STS(STS_TESTING, true) }, &clear), 4);
    assert_true(clear);
    assert_int_equal(ways_to_connect((struct sts_facts){ STS(STS_ENFORCE, true) }, &clear), 1);
    assert_false(clear);
    assert_int_equal(
        ways_to_connect((struct sts_facts){ NO_POLICY, .route = ROUTE_TLS_ENCRYPT }, &clear), 2);
    assert_false(clear);
    struct sts_facts login = { NO_POLICY, .route = ROUTE_TLS_ENCRYPT, .has_login = true };
    assert_int_equal(ways_to_connect(login, &clear), 1); /* no password by TLS 1.0 */
    assert_false(clear);
    assert_int_equal(
        ways_to_connect((struct sts_facts){ NO_POLICY, .route = ROUTE_TLS_NONE }, &clear), 1);
    assert_true(clear);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

/* REQUIRETLS (RFC 8689 s.4.2.1): what is known of the name, and what the session came to. */
static const struct required_row {
    const char *row;
    struct sts_facts facts;
    const char *reason; /* NULL: mail goes */
} required_rows[] = {
    { "Q1", { NO_POLICY }, "MX name not validated" },
    { "Q2", { STS(STS_NONE, true) }, "MX name not validated" },
    { "Q3", { STS(STS_TESTING, false) }, "MX name not validated" },
    { "Q4", { STS(STS_ENFORCE, false) }, "not in policy" },
    { "Q5", { NO_POLICY, .mx_is_sure = true, .route = ROUTE_TLS_NONE }, "TLS not tried" },
    { "Q6", { STS(STS_TESTING, true) }, NULL },
    { "Q6", { STS(STS_ENFORCE, true) }, NULL },
    { "Q6", { NO_POLICY, .mx_is_sure = true }, NULL },
    { "Q6", { DANE }, NULL },
}, required_sessions[] = {
    { "R1", { STS(STS_ENFORCE, true), SECURE(CERT_OK) }, NULL },
    { "R1", { STS(STS_TESTING, true), SECURE(CERT_OK) }, NULL },
    { "R1", { NO_POLICY, .mx_is_sure = true, SECURE(CERT_OK) }, NULL },
    { "R2", { STS(STS_TESTING, true), SECURE(CERT_EXPIRED) }, "certificate expired" },
    { "R2", { NO_POLICY, .mx_is_sure = true, SECURE(CERT_NOT_TRUSTED) }, "certificate not trusted" },
    { "R3", { NO_POLICY, .mx_is_sure = true, .tls = SESSION_TLS_NOT_OFFERED },
      "no STARTTLS offered" },
    { "R3", { STS(STS_TESTING, true), .tls = SESSION_TLS_REFUSED }, "STARTTLS refused" },
    { "R4", { STS(STS_TESTING, true), .tls = SESSION_TLS_FAILED }, "TLS handshake failed" },
    { "R5", { STS(STS_TESTING, true), SECURE_AT(TLS_FLOOR_LEGACY) }, "TLS too weak" },
};

static void required_tls_fails_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(required_rows) / sizeof(required_rows[0]); i++) {
        struct sts_facts f = required_rows[i].facts;
        f.require_tls = true;
        struct sts_decision d = sts_decide_candidate(f);
        const char *reason = required_rows[i].reason;
        if (d.deliver != !reason || (reason && strcmp(d.reason, reason) != 0))
            fail_msg("row %s: %s", required_rows[i].row, d.reason);
        assert_true(d.must_verify && !d.lower_allowed && !d.clear_allowed);
        assert_int_equal(d.floor, TLS_FLOOR_STRICT);
    }
    for (size_t i = 0; i < sizeof(required_sessions) / sizeof(required_sessions[0]); i++) {
        struct sts_facts f = required_sessions[i].facts;
        f.require_tls = true;
        struct sts_decision d = sts_decide_session(f);
        const char *reason = required_sessions[i].reason;
        if (d.deliver != !reason || (reason && strcmp(d.reason, reason) != 0))
            fail_msg("row %s: %s", required_sessions[i].row, d.reason);
        f.require_tls = false; /* the domain is told what it would be told of any mail */
        struct sts_decision plain = sts_decide_session(f);
        assert_int_equal(d.report, plain.report);
        assert_int_equal(d.result, plain.result);
        assert_int_equal(d.counted_under, plain.counted_under);
    }
}

/* A session that was never made counts only for what the policy says of it (RFC 8460 s.4.3). */
static void what_a_message_asks_for_is_not_reported(void **state)
{
    struct sts_facts f = { NO_POLICY, .require_tls = true };
    (void)state;
    assert_false(sts_decide_candidate(f).report);
    f = (struct sts_facts){ STS(STS_TESTING, false), .require_tls = true };
    assert_true(sts_decide_candidate(f).report);
    f = (struct sts_facts){ STS(STS_ENFORCE, false), .require_tls = true };
    assert_true(sts_decide_candidate(f).report);
}

/* RFC 8689 s.2: what a notification needs to know before it says REQUIRETLS. */
static void a_valid_name_is_told(void **state)
{
    struct sts_facts f = { NO_POLICY };
    (void)state;
    assert_false(sts_decide_candidate(f).mx_is_valid);
    f.mx_is_sure = true;
    assert_true(sts_decide_candidate(f).mx_is_valid);
    f = (struct sts_facts){ STS(STS_TESTING, true) };
    assert_true(sts_decide_session(f).mx_is_valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("every row about a candidate holds (docs/policy.md)", every_candidate_row_holds),
        STORY("every row about a session holds (docs/policy.md)", every_session_row_holds),
        STORY("enforce: mail goes over nothing but a verified session with a listed MX "
              "(RFC 8461 s.5)",
              enforce_delivers_over_nothing_but_a_verified_session),
        STORY("what the route asks for holds, and takes nothing from a policy (docs/policy.md)",
              what_the_route_asks_for_holds),
        STORY("what the route asks for is not reported", what_the_route_asks_for_is_not_reported),
        STORY("DANE that a route demands in vain is reported as such (RFC 8460 s.4.3.2.1)",
              dane_demanded_in_vain_is_reported),
        STORY("a policy by DANE never yields to clear text",
              a_policy_by_dane_never_yields_to_clear_text),
        STORY("a failed handshake lowers the floor only where nothing binds",
              a_failed_handshake_lowers_the_floor_only_where_nothing_binds),
        { "REQUIRETLS: no name that is not validated, no session that is not protected",
          required_tls_fails_closed, NULL, NULL, NULL },
        { "REQUIRETLS: what only the message asks for is not reported",
          what_a_message_asks_for_is_not_reported, NULL, NULL, NULL },
        { "REQUIRETLS: a name is validated by DNSSEC, the administrator or a policy",
          a_valid_name_is_told, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
