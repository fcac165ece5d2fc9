#include "queue/deliver/level.h"

/* Where somebody says who has to be at the other end, nothing lower is tried. */
const char *level_wanted(const struct sts_decision *decision)
{
    if (!decision->lower_allowed)
        return decision->by_tlsa ? "dane" : "verified";
    return decision->clear_allowed ? "clear" : "encrypted";
}

const char *level_reached(const struct sts_decision *decision, const struct sts_facts *facts)
{
    bool is_listed = facts->route == ROUTE_TLS_FINGERPRINT && facts->is_listed;

    if (facts->tls == SESSION_TLS_FAILED)
        return "";
    if (facts->tls != SESSION_TLS_ON)
        return "clear";
    if (facts->floor != TLS_FLOOR_STRICT || (facts->cert != CERT_OK && !is_listed))
        return "encrypted";
    return decision->by_tlsa && facts->cert == CERT_OK ? "dane" : "verified";
}

const char *level_verify_word(const struct tls_session *tls)
{
    if (tls->cert == CERT_NONE)
        return "";
    if (tls->cert == CERT_OK)
        return "ok";
    return tls->cert_reason[0] != '\0' ? tls->cert_reason : "not valid";
}
