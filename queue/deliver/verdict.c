#include "queue/deliver/verdict.h"

#include <stdio.h>

void verdict_of_policy(const struct plan *plan, const char *mx, const char *reason,
                       const char *detail, char words[VERDICT_WORDS_SIZE])
{
    const char *domain = plan->target.name;
    const char *open = detail[0] ? " (" : "";
    const char *close = detail[0] ? ")" : "";

    if (plan_policy(plan))
        snprintf(words, VERDICT_WORDS_SIZE,
                 "the MTA-STS policy of %s asks for verified TLS, but MX host %s does not meet it: "
                 "%s%s%s%s; the postmaster of %s must mend the host or the policy",
                 domain, mx, reason, open, detail, close, domain);
    else
        snprintf(
            words, VERDICT_WORDS_SIZE,
            "tls-level encrypt asks for TLS, but relayhost %s does not offer it: %s%s%s%s; the "
            "administrator of this relay must mend the relayhost or the setting",
            mx, reason, open, detail, close);
}

void verdict_of_unprotected(const char *mx, const char *reason, const char *detail,
                            char words[VERDICT_WORDS_SIZE])
{
    snprintf(words, VERDICT_WORDS_SIZE,
             "the message asks for REQUIRETLS, but the session with MX host %s is not protected: "
             "%s%s%s%s",
             mx, reason, detail[0] ? " (" : "", detail, detail[0] ? ")" : "");
}

void verdict_of_addresses(enum address_verdict verdict, const char *mx, const char *reason,
                          char words[VERDICT_WORDS_SIZE])
{
    if (verdict == ADDRESSES_REFUSED)
        snprintf(words, VERDICT_WORDS_SIZE,
                 "MX host %s has none but internal addresses, which mx-allow does not let through",
                 mx);
    else if (verdict == ADDRESSES_OWN)
        snprintf(words, VERDICT_WORDS_SIZE,
                 "an address of MX host %s is this relay's own: mail for the domain loops back",
                 mx);
    else if (verdict == ADDRESSES_NONE)
        snprintf(words, VERDICT_WORDS_SIZE, "MX host %s has no address", mx);
    else
        snprintf(words, VERDICT_WORDS_SIZE, "the addresses of MX host %s are not known: %s", mx,
                 reason);
}

const char *verdict_of_no_address(enum address_verdict verdict)
{
    if (verdict == ADDRESSES_REFUSED)
        return "internal address";
    if (verdict == ADDRESSES_OWN)
        return "this relay itself";
    return verdict == ADDRESSES_NONE ? "no address" : "DNS failure";
}

const char *verdict_of_end(enum stage stage, enum outcome_kind kind)
{
    if (kind == OUTCOME_DELIVERED)
        return "delivered";
    if (kind == OUTCOME_UNKNOWN)
        return "no reply to the message";
    if (stage == STAGE_CONNECT)
        return "no connection";
    if (stage == STAGE_HANDSHAKE)
        return "TLS handshake failed";
    if (stage < STAGE_MAIL)
        return "no session";
    return kind == OUTCOME_FAILED ? "refused" : "deferred";
}
