#include "queue/deliver/verdict.h"

#include <stdio.h>
#include <string.h>

/* " (detail)" or nothing. */
struct brackets {
    const char *open;
    const char *close;
};

static struct brackets brackets_of(const char *detail)
{
    return detail[0] ? (struct brackets){ " (", ")" } : (struct brackets){ "", "" };
}

void verdict_of_policy(const struct plan *plan, const char *mx, const char *reason,
                       const char *detail, char words[VERDICT_WORDS_SIZE])
{
    const char *domain = plan->target.name;
    struct brackets b = brackets_of(detail);

    snprintf(words, VERDICT_WORDS_SIZE,
             "the MTA-STS policy of %s asks for verified TLS, but MX host %s does not meet it: "
             "%s%s%s%s; the postmaster of %s must mend the host or the policy",
             domain, mx, reason, b.open, detail, b.close, domain);
}

void verdict_of_tlsa(const char *base, const char *mx, const char *reason, const char *detail,
                     char words[VERDICT_WORDS_SIZE])
{
    struct brackets b = brackets_of(detail);

    snprintf(words, VERDICT_WORDS_SIZE,
             "the TLSA records of %s (DANE) ask for TLS that meets them, but MX host %s does not: "
             "%s%s%s%s; the postmaster of %s must mend the host or the records",
             base, mx, reason, b.open, detail, b.close, mx);
}

void verdict_of_tlsa_failure(const char *reason, char words[VERDICT_WORDS_SIZE])
{
    snprintf(words, VERDICT_WORDS_SIZE,
             "%s; DANE (RFC 7672) lets no mail go to a host whose name is signed before they are: "
             "whoever runs its DNS must mend that",
             reason);
}

static const char *level_words(enum route_tls level)
{
    switch (level) {
    case ROUTE_TLS_VERIFY:
        return "a certificate for the host's name";
    case ROUTE_TLS_FINGERPRINT:
        return "a certificate that it lists";
    case ROUTE_TLS_DANE:
        return "DANE";
    case ROUTE_TLS_ENCRYPT:
    case ROUTE_TLS_MAY:
    case ROUTE_TLS_NONE:
        break;
    }
    return "TLS";
}

void verdict_of_level(const struct target *target, const char *mx, const char *reason,
                      const char *detail, char words[VERDICT_WORDS_SIZE])
{
    char chooser[TARGET_CHOOSER_SIZE];
    struct brackets b = brackets_of(detail);

    target_chooser(target, chooser);
    if (target->is_floor)
        snprintf(words, VERDICT_WORDS_SIZE,
                 "tls-floor of this relay asks for %s for all mail, but %s does not give it: "
                 "%s%s%s%s; whoever runs that host must mend it, or the administrator of this "
                 "relay let such mail go by a route with tls = \"none\"",
                 level_words(target->tls), mx, reason, b.open, detail, b.close);
    else if (target->route)
        snprintf(words, VERDICT_WORDS_SIZE,
                 "%s asks for %s, but %s does not give it: %s%s%s%s; the administrator of this "
                 "relay must mend the host or the route",
                 chooser, level_words(target->tls), mx, reason, b.open, detail, b.close);
    else
        snprintf(words, VERDICT_WORDS_SIZE,
                 "tls-level encrypt asks for TLS, but relayhost %s does not offer it: %s%s%s%s; "
                 "the administrator of this relay must mend the relayhost or the setting",
                 mx, reason, b.open, detail, b.close);
}

void verdict_of_login(const struct target *target, const char *mx, struct span said,
                      char words[VERDICT_WORDS_SIZE])
{
    snprintf(words, VERDICT_WORDS_SIZE,
             "logging in at %s for route %s with the credentials in %s came to nothing: " SPAN_FMT
             "; the administrator of this relay must mend them",
             mx, target->route ? target->route->name : "",
             target->route ? target->route->credentials : "", (int)span_first(said, 300).len,
             said.data ? said.data : "");
}

void verdict_of_unprotected(const char *mx, const char *reason, const char *detail,
                            char words[VERDICT_WORDS_SIZE])
{
    snprintf(words, VERDICT_WORDS_SIZE,
             "the message asks for REQUIRETLS, but the session with MX host %s is not protected: "
             "%s%s%s%s",
             mx, reason, detail[0] ? " (" : "", detail, detail[0] ? ")" : "");
}

/* "IPv6 " where the route leaves the other family out. */
static const char *family_words(const struct route_settings *route)
{
    if (!route || route->families == FAMILIES_BOTH)
        return "";
    return route->families == FAMILIES_IPV4 ? "IPv4 " : "IPv6 ";
}

/* Of a next hop that was named: which one, and how to mend it. */
static void describe_ourselves(const struct target *target, const char *mx,
                               char words[VERDICT_WORDS_SIZE])
{
    snprintf(words, VERDICT_WORDS_SIZE,
             "next hop %s, port %u, is a listener of this relay itself: mail for it would come "
             "back; the administrator of this relay must name another host or port%s%s",
             mx, target->port, target->route ? " in route " : "",
             target->route ? target->route->name : "");
}

static void describe_addresses(enum address_verdict verdict, const struct target *target,
                               const char *mx, const char *reason, char words[VERDICT_WORDS_SIZE])
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
        snprintf(words, VERDICT_WORDS_SIZE, "MX host %s has no %saddress", mx,
                 family_words(target->route));
    else
        snprintf(words, VERDICT_WORDS_SIZE, "the addresses of MX host %s are not known: %s", mx,
                 reason);
}

void verdict_of_addresses(enum address_verdict verdict, const struct target *target, const char *mx,
                          const char *reason, char words[VERDICT_WORDS_SIZE])
{
    const struct route_settings *route = target->route;
    bool is_ours =
        target->is_chosen || (verdict == ADDRESSES_NONE && family_words(route)[0] != '\0');

    if (verdict == ADDRESSES_OWN && target->is_chosen) {
        describe_ourselves(target, mx, words);
        return;
    }
    describe_addresses(verdict, target, mx, reason, words);
    if (!route || !is_ours)
        return;
    size_t len = strlen(words);
    snprintf(words + len, VERDICT_WORDS_SIZE - len,
             "; the administrator of this relay must mend route %s", route->name);
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
    if (stage == STAGE_LOGIN)
        return "login failed";
    if (stage < STAGE_MAIL)
        return "no session";
    return kind == OUTCOME_FAILED ? "refused" : "deferred";
}
