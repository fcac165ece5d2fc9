#include "lib/mail/tlsa_walk.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"

/* --- how the addresses came */

static void take_answer(const struct dns_answer *answer, struct host_security *out)
{
    if (answer->count == 0)
        return;
    out->secure = out->secure && answer->secure;
    out->in_doubt = out->in_doubt && (answer->secure || answer->in_doubt);
    if (out->expanded[0] == '\0' || (!out->is_alias && answer->cname_steps > 0))
        snprintf(out->expanded, sizeof(out->expanded), "%s", answer->canonical);
    out->is_alias = out->is_alias || answer->cname_steps > 0;
}

void host_security_of(const struct dns_answer *a, const struct dns_answer *aaaa,
                      struct host_security *out)
{
    bool is_found = a->count > 0 || aaaa->count > 0;

    *out = (struct host_security){ .secure = is_found, .in_doubt = is_found };
    take_answer(a, out);
    take_answer(aaaa, out);
    out->in_doubt = out->in_doubt && !out->secure;
}

/* --- the walk */

static void conclude(struct tlsa_walk *walk, const char *reason)
{
    walk->question = TLSA_ASK_NOTHING;
    walk->reason = reason;
}

static void fail(struct tlsa_walk *walk, const char *reason)
{
    conclude(walk, reason);
    walk->failed = true;
}

static void add_candidate(struct tlsa_walk *walk, const char *name)
{
    ensure(walk->count < 2);
    snprintf(walk->candidates[walk->count++], sizeof(walk->candidates[0]), "%s", name);
}

/* On to the first candidate from here on below which a name fits; `reason` when there is none. */
static void go_on(struct tlsa_walk *walk, const char *reason)
{
    char room[TLSA_NAME_SIZE];

    for (; walk->at < walk->count; walk->at++) {
        if (tlsa_name(walk->candidates[walk->at], walk->port, room)) {
            walk->question = TLSA_ASK_RECORDS;
            return;
        }
    }
    conclude(walk, reason);
}

void tlsa_walk_start(struct tlsa_walk *walk, const char *host, uint16_t port, bool name_is_sure,
                     const struct host_security *security)
{
    *walk = (struct tlsa_walk){ .host = host, .port = port, .reason = "" };
    if (!name_is_sure) {
        conclude(walk, "the MX records of the next hop are not secured by DNSSEC");
    } else if (security->secure) { /* DANE-34: the expanded name, then the host's own */
        if (security->is_alias)
            add_candidate(walk, security->expanded);
        add_candidate(walk, host);
        go_on(walk, "its name is too long for TLSA records");
    } else if (security->is_alias) {
        walk->question = TLSA_ASK_ALIAS;
    } else { /* DANE-32: those that serve unsigned zones may not know what TLSA is */
        conclude(walk, "the addresses of the host are not secured by DNSSEC");
    }
}

const char *tlsa_walk_name(const struct tlsa_walk *walk, char room[TLSA_NAME_SIZE])
{
    if (walk->question == TLSA_ASK_ALIAS) {
        snprintf(room, TLSA_NAME_SIZE, "%s", walk->host);
        return room;
    }
    ensure(walk->question == TLSA_ASK_RECORDS &&
           tlsa_name(walk->candidates[walk->at], walk->port, room));
    return room;
}

static void take_alias(struct tlsa_walk *walk, const struct dns_answer *answer)
{
    if (answer->outcome == DNS_TEMPFAIL) { /* DANE-13 */
        fail(walk, "CNAME records");
    } else if (answer->outcome != DNS_ANSWER || !answer->secure) {
        conclude(walk, "the host is an alias that is not secured by DNSSEC");
    } else {
        add_candidate(walk, walk->host);
        go_on(walk, "its name is too long for TLSA records");
    }
}

static void take_records(struct tlsa_walk *walk, const struct dns_answer *answer)
{
    if (answer->outcome == DNS_TEMPFAIL) { /* DANE-12 */
        fail(walk, "TLSA records");
    } else if (answer->outcome == DNS_ANSWER && answer->secure) {
        walk->base = walk->candidates[walk->at];
        conclude(walk, "");
    } else { /* DANE-42 */
        walk->at++;
        go_on(walk, answer->outcome == DNS_ANSWER
                        ? "the TLSA records of the host are not secured by DNSSEC"
                        : "the host has no TLSA records");
    }
}

void tlsa_walk_take(struct tlsa_walk *walk, const struct dns_answer *answer)
{
    ensure(walk->question != TLSA_ASK_NOTHING);
    if (walk->question == TLSA_ASK_ALIAS)
        take_alias(walk, answer);
    else
        take_records(walk, answer);
}
