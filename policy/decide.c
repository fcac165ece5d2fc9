#include "policy/decide.h"

/* RFC 8461 s.2: where TLSA records can be used, MTA-STS neither helps nor hinders. */
static enum policy_source source_of(struct sts_facts f)
{
    return f.tlsa == TLSA_USABLE ? POLICY_SOURCE_DANE : f.source;
}

/* Mode none is a policy that has nothing to say (RFC 8461 s.5). */
static bool policy_speaks(struct sts_facts f)
{
    return source_of(f) == POLICY_SOURCE_DANE ||
           (source_of(f) == POLICY_SOURCE_STS && f.mode != STS_NONE);
}

/* Does the policy say who has to be at the other end? */
static bool policy_identifies(struct sts_facts f)
{
    return source_of(f) == POLICY_SOURCE_DANE ||
           (source_of(f) == POLICY_SOURCE_STS && f.mode == STS_ENFORCE);
}

/* The sender of a message with REQUIRETLS wants no relief (RFC 8689 s.4.1). */
static enum policy_relief relief_of(struct sts_facts f)
{
    return f.require_tls ? RELIEF_NONE : f.relief;
}

static bool policy_binds(struct sts_facts f)
{
    return policy_identifies(f) && relief_of(f) == RELIEF_NONE;
}

/* Has it to be TLS, with whomever (RFC 7672 s.2.2, and where an exception says so)? */
static bool policy_encrypts(struct sts_facts f)
{
    return (f.tlsa == TLSA_UNUSABLE && relief_of(f) != RELIEF_FULL) ||
           (policy_identifies(f) && relief_of(f) == RELIEF_UNVERIFIED);
}

/* Does the route ask who is at the other end?  The administrator's word binds like a policy. */
static bool route_identifies(struct sts_facts f)
{
    return f.route == ROUTE_TLS_VERIFY || f.route == ROUTE_TLS_FINGERPRINT ||
           f.route == ROUTE_TLS_DANE;
}

static bool mx_is_unlisted(struct sts_facts f)
{
    return source_of(f) == POLICY_SOURCE_STS && f.mode != STS_NONE && !f.mx_listed;
}

/* RFC 8689 s.2: by DNSSEC, or by a policy; one under test names its hosts, too (STS-143). */
static bool mx_is_valid(struct sts_facts f)
{
    return f.mx_is_sure || f.tlsa == TLSA_USABLE ||
           (f.source == POLICY_SOURCE_STS && f.mode != STS_NONE && f.mx_listed);
}

static void set_result(struct sts_decision *d, enum tls_result result, const char *reason)
{
    d->result = result;
    d->reason = reason;
}

/* Records that cannot be used are a policy of their own only where no other one speaks. */
static enum policy_source counted_under(struct sts_facts f)
{
    if (policy_speaks(f))
        return source_of(f);
    return f.tlsa == TLSA_UNUSABLE ? POLICY_SOURCE_DANE : POLICY_SOURCE_NONE;
}

/*
 * How to connect.  A policy under test, or with a relief, is tried as if it were enforced, to see
 * what would come of it.
 */
static struct sts_decision decision_of(struct sts_facts f)
{
    bool binds = policy_binds(f) || f.require_tls || route_identifies(f);
    bool is_strict = policy_speaks(f) || f.require_tls || route_identifies(f);
    return (struct sts_decision){
        .deliver = true,
        .use_tls = policy_binds(f) || policy_encrypts(f) || f.route != ROUTE_TLS_NONE,
        .must_verify = policy_binds(f) || f.require_tls || f.route == ROUTE_TLS_VERIFY,
        .by_tlsa = f.tlsa == TLSA_USABLE,
        .mx_is_valid = mx_is_valid(f),
        .floor = is_strict ? TLS_FLOOR_STRICT : TLS_FLOOR_OPPORTUNISTIC,
        .lower_allowed = !binds,
        .legacy_allowed = !binds && !policy_encrypts(f) && !f.has_login,
        .clear_allowed = !binds && !policy_encrypts(f) && f.route != ROUTE_TLS_ENCRYPT,
        .report = true,
        .counted_under = counted_under(f),
        .result = TLS_RESULT_SUCCESS,
        .reason = "",
    };
}

/* Mandatory DANE (rfc/dane-smtp.md DANE-53): reported when nothing else is (RFC 8460 s.4.3.2.1). */
static void demand_tlsa(struct sts_decision *d)
{
    d->deliver = false;
    d->by_route = true;
    if (d->result == TLS_RESULT_SUCCESS) {
        d->counted_under = POLICY_SOURCE_DANE;
        d->result = TLS_RESULT_DANE_REQUIRED;
    }
    d->reason = "no usable TLSA records";
}

struct sts_decision sts_decide_candidate(struct sts_facts f)
{
    struct sts_decision d = decision_of(f);
    if (mx_is_unlisted(f)) { /* RFC 8461 s.4.1 */
        set_result(&d, TLS_RESULT_VALIDATION_FAILURE, "not in policy");
        d.deliver = !policy_binds(f); /* RFC 8461 s.5 */
    }
    if (d.deliver && f.require_tls && !(d.mx_is_valid && d.use_tls)) {
        d.deliver = false;
        d.report = d.result != TLS_RESULT_SUCCESS; /* of the policy's business nothing failed */
        d.reason = d.mx_is_valid ? "TLS not tried" : "MX name not validated";
    }
    if (d.deliver && f.route == ROUTE_TLS_DANE && f.tlsa != TLSA_USABLE)
        demand_tlsa(&d);
    return d;
}

/* RFC 8461 s.4.2, RFC 8460 s.4.3 */
static void judge_certificate(struct sts_decision *d, enum cert_verdict cert)
{
    switch (cert) {
    case CERT_OK:
        return;
    case CERT_EXPIRED:
        set_result(d, TLS_RESULT_CERTIFICATE_EXPIRED, "certificate expired");
        return;
    case CERT_HOST_MISMATCH:
        set_result(d, TLS_RESULT_CERTIFICATE_HOST_MISMATCH, "certificate for another name");
        return;
    case CERT_NOT_TRUSTED:
        set_result(d, TLS_RESULT_CERTIFICATE_NOT_TRUSTED, "certificate not trusted");
        return;
    case CERT_NOT_OF_TLSA:
        set_result(d, TLS_RESULT_TLSA_INVALID, "certificate fits no TLSA record");
        return;
    case CERT_NONE:
        set_result(d, TLS_RESULT_VALIDATION_FAILURE, "no certificate");
        return;
    case CERT_OTHER:
        break;
    }
    set_result(d, TLS_RESULT_VALIDATION_FAILURE, "certificate not valid");
}

static void judge_secured(struct sts_decision *d, struct sts_facts f)
{
    if (f.floor != TLS_FLOOR_STRICT)
        set_result(d, TLS_RESULT_VALIDATION_FAILURE, "TLS too weak");
    else
        judge_certificate(d, f.cert);
}

/* Is it as secure as can be asked for? */
static void judge_protection(struct sts_decision *d, struct sts_facts f)
{
    switch (f.tls) {
    case SESSION_TLS_ON:
        judge_secured(d, f);
        return;
    case SESSION_TLS_NOT_OFFERED:
        set_result(d, TLS_RESULT_STARTTLS_NOT_SUPPORTED, "no STARTTLS offered");
        return;
    case SESSION_TLS_REFUSED:
        set_result(d, TLS_RESULT_STARTTLS_NOT_SUPPORTED, "STARTTLS refused");
        return;
    case SESSION_TLS_FAILED:
        set_result(d, TLS_RESULT_VALIDATION_FAILURE, "TLS handshake failed");
        return;
    case SESSION_TLS_NOT_TRIED:
        break;
    }
    set_result(d, TLS_RESULT_VALIDATION_FAILURE, "TLS not tried");
}

static void judge_session(struct sts_decision *d, struct sts_facts f)
{
    if (mx_is_unlisted(f))
        set_result(d, TLS_RESULT_VALIDATION_FAILURE, "not in policy");
    else if (policy_speaks(f) || f.tls != SESSION_TLS_ON)
        judge_protection(d, f); /* opportunistic TLS asks for no certificate */
    else if (f.tlsa == TLSA_UNUSABLE)
        set_result(d, TLS_RESULT_TLSA_INVALID, "no usable TLSA records");
}

/* What a message with REQUIRETLS wants of a session is nobody else's failure: not reported. */
static void require_tls(struct sts_decision *d, struct sts_facts f)
{
    struct sts_decision wanted = { .result = TLS_RESULT_SUCCESS };

    judge_protection(&wanted, f);
    if (wanted.result == TLS_RESULT_SUCCESS)
        return;
    d->deliver = false;
    d->reason = wanted.reason;
}

/* What the route wants of a session is our own administrator's matter: not reported either. */
static void route_judges(struct sts_decision *d, struct sts_facts f)
{
    struct sts_decision wanted = { .result = TLS_RESULT_SUCCESS };

    if (f.route == ROUTE_TLS_FINGERPRINT && f.tls == SESSION_TLS_ON && f.floor == TLS_FLOOR_STRICT)
        wanted = (struct sts_decision){ .result = f.is_listed ? TLS_RESULT_SUCCESS
                                                              : TLS_RESULT_VALIDATION_FAILURE,
                                        .reason = "certificate not listed" };
    else if (f.route == ROUTE_TLS_DANE && f.tlsa != TLSA_USABLE)
        set_result(&wanted, TLS_RESULT_VALIDATION_FAILURE, "no usable TLSA records");
    else
        judge_protection(&wanted, f);
    if (wanted.result == TLS_RESULT_SUCCESS)
        return;
    d->deliver = false;
    d->by_route = true;
    d->reason = wanted.reason;
}

/* May mail go over a session of which no policy says who has to be at the other end? */
static bool session_carries(const struct sts_decision *d, struct sts_facts f)
{
    if (f.tls == SESSION_TLS_FAILED)
        return false; /* nothing goes over a connection whose handshake broke off */
    if (f.tls == SESSION_TLS_ON)
        return f.floor != TLS_FLOOR_LEGACY || d->legacy_allowed;
    return d->clear_allowed;
}

/* An address counts once an attempt; failures under mode none are nobody's business (s.6). */
static bool session_counts(const struct sts_decision *d, struct sts_facts f)
{
    if (f.failed_before || f.tls == SESSION_TLS_NOT_TRIED)
        return false;
    bool mode_none = f.source == POLICY_SOURCE_STS && f.mode == STS_NONE;
    return !mode_none || f.tlsa != TLSA_NOT_APPLICABLE || d->result == TLS_RESULT_SUCCESS;
}

struct sts_decision sts_decide_session(struct sts_facts f)
{
    struct sts_decision d = decision_of(f);
    judge_session(&d, f);
    d.deliver = policy_binds(f) ? d.result == TLS_RESULT_SUCCESS : session_carries(&d, f); /* s.5 */
    if (!d.deliver && d.reason[0] == '\0')
        d.reason = "TLS too weak";
    d.report = session_counts(&d, f);
    if (d.deliver && f.require_tls)
        require_tls(&d, f);
    if (d.deliver && route_identifies(f))
        route_judges(&d, f);
    bool is_of_policy = policy_binds(f) || policy_encrypts(f);
    if (!d.deliver && (!is_of_policy || f.route == ROUTE_TLS_DANE))
        d.by_route = f.route == ROUTE_TLS_ENCRYPT || route_identifies(f);
    return d;
}

bool sts_decide_again(const struct sts_decision *d, enum tls_floor *floor, bool *use_tls)
{
    if (!*use_tls)
        return false;
    if (d->lower_allowed && *floor == TLS_FLOOR_STRICT) {
        *floor = TLS_FLOOR_OPPORTUNISTIC;
        return true;
    }
    if (d->legacy_allowed && *floor == TLS_FLOOR_OPPORTUNISTIC) {
        *floor = TLS_FLOOR_LEGACY;
        return true;
    }
    if (!d->clear_allowed)
        return false;
    *use_tls = false;
    return true;
}
