#include "queue/deliver/pool_key.h"

#include "lib/base/error.h"

#include <stdio.h>
#include <string.h>

struct pool_key pool_key_needed(const struct sts_decision *decision, const char *mx, uint16_t port,
                                uint64_t trust_generation)
{
    struct pool_key key = { .remote.port = port, .trust_generation = trust_generation };

    snprintf(key.mx, sizeof(key.mx), "%s", mx);
    if (decision->must_verify) {
        key.assurance = ASSURANCE_VERIFIED;
        snprintf(key.identity, sizeof(key.identity), "%s", mx);
    } else if (!decision->clear_allowed) {
        key.assurance = decision->legacy_allowed ? ASSURANCE_ENCRYPTED : ASSURANCE_MODERN;
    }
    return key;
}

struct pool_key pool_key_had(const struct endpoint *remote, const char *mx, enum session_tls tls,
                             enum tls_floor floor, enum cert_verdict cert,
                             uint64_t trust_generation)
{
    struct pool_key key = { .remote = *remote, .trust_generation = trust_generation };

    snprintf(key.mx, sizeof(key.mx), "%s", mx);
    if (tls != SESSION_TLS_ON)
        return key;
    key.assurance = floor == TLS_FLOOR_LEGACY ? ASSURANCE_ENCRYPTED : ASSURANCE_MODERN;
    if (floor == TLS_FLOOR_STRICT && cert == CERT_OK) {
        key.assurance = ASSURANCE_VERIFIED;
        snprintf(key.identity, sizeof(key.identity), "%s", mx);
    }
    return key;
}

static bool is_same_address(const struct endpoint *has, const struct endpoint *needs)
{
    return has->port == needs->port && (needs->address.family == ADDRESS_NONE ||
                                        ip_address_equal(&has->address, &needs->address));
}

/* RFC 8461 s.2: where TLSA records could be used, they alone have judged. */
static bool serves_by_tlsa(const struct pool_key *has, const struct pool_key *needs)
{
    return has->assurance == ASSURANCE_VERIFIED &&
           (has->domain[0] == '\0' ||
            span_equal_nocase(span_of(has->domain), span_of(needs->domain)));
}

static bool serves_by_authorities(const struct pool_key *has, const struct pool_key *needs)
{
    if (needs->only_by_tlsa || has->assurance < needs->assurance)
        return false;
    if (has->worth == TLSA_UNUSABLE && has->assurance < ASSURANCE_MODERN)
        return false; /* such records ask for TLS (RFC 7672 s.2.2) */
    return needs->assurance != ASSURANCE_VERIFIED ||
           (needs->identity[0] != '\0' &&
            span_equal_nocase(span_of(has->identity), span_of(needs->identity)));
}

bool pool_key_serves(const struct pool_key *has, const struct pool_key *needs)
{
    if (!is_same_address(&has->remote, &needs->remote))
        return false;
    if (!span_equal_nocase(span_of(has->mx), span_of(needs->mx)))
        return false;
    if (has->trust_generation != needs->trust_generation)
        return false;
    if (strcmp(has->chooser, needs->chooser) != 0)
        return false;
    if (has->is_sure != needs->is_sure)
        return false;
    if (has->for_reports != needs->for_reports)
        return false;
    return has->worth == TLSA_USABLE ? serves_by_tlsa(has, needs)
                                     : serves_by_authorities(has, needs);
}

struct span pool_key_text(const struct pool_key *key, char room[POOL_KEY_TEXT_SIZE])
{
    char remote[NETWORK_TEXT_SIZE];
    int len;

    endpoint_format(&key->remote, remote);
    len = snprintf(room, POOL_KEY_TEXT_SIZE, "%s %s %d %s %llu %d%d%d%d %s %s", remote, key->mx,
                   (int)key->assurance, key->identity, (unsigned long long)key->trust_generation,
                   key->is_sure, (int)key->worth, key->only_by_tlsa, key->for_reports, key->domain,
                   key->chooser);
    ensure(len > 0 && len < POOL_KEY_TEXT_SIZE);
    for (int i = 0; i < len; i++)
        room[i] = ascii_lower(room[i]);
    return (struct span){ room, (size_t)len };
}
