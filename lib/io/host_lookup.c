#include "lib/io/host_lookup.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/io/tls_dane.h"
#include "lib/mail/tlsa_walk.h"

const char host_lookup_off[] = "DNSSEC is off at this relay, waxseal status says why";

struct host_lookup {
    struct resolver *resolver;
    struct address_query *addresses; /* one of the two at a time */
    struct resolver_query *records;
    char host[DOMAIN_MAX + 1];
    uint16_t port;
    bool name_is_sure;
    bool in_doubt; /* something on the way so far (struct dns_answer) */
    struct addresses found;
    struct tlsa_walk walk;
    struct tlsa_set *tlsa;
    char trouble[DOMAIN_MAX + 160];
    host_lookup_done_fn *done;
    void *ctx;
};

static void lookup_free(struct host_lookup *lookup)
{
    addresses_cancel(&lookup->addresses);
    if (lookup->records)
        resolver_cancel(&lookup->records);
    tlsa_set_free(&lookup->tlsa);
    free(lookup);
}

static const char *reason_of(const struct host_lookup *lookup)
{
    if (lookup->walk.failed)
        return lookup->trouble;
    if (tlsa_set_worth(lookup->tlsa) == TLSA_UNUSABLE)
        return "none of the host's TLSA records can be used for SMTP";
    return lookup->walk.reason;
}

static void lookup_finish(struct host_lookup *lookup)
{
    struct host_answer answer = { .addresses = &lookup->found };

    if (lookup->found.verdict == ADDRESSES_FOUND) {
        answer.tlsa_failed = lookup->walk.failed;
        answer.tlsa = lookup->tlsa;
        answer.worth = tlsa_set_worth(lookup->tlsa);
    }
    answer.reason = lookup->found.verdict == ADDRESSES_FOUND ? reason_of(lookup) : "";
    lookup->done(lookup->ctx, &answer);
    lookup_free(lookup);
}

static void on_records(void *ctx, const struct dns_answer *answer);

static void lookup_step(struct host_lookup *lookup)
{
    enum dns_type type = lookup->walk.question == TLSA_ASK_ALIAS ? DNS_CNAME : DNS_TLSA;
    char name[TLSA_NAME_SIZE];

    if (lookup->walk.question == TLSA_ASK_NOTHING) {
        lookup_finish(lookup);
        return;
    }
    lookup->records = resolver_ask(lookup->resolver, span_of(tlsa_walk_name(&lookup->walk, name)),
                                   type, on_records, lookup);
}

/* Nobody knows whether they bind, and who makes that so must not turn DANE off. */
static void doubt_records(struct host_lookup *lookup)
{
    lookup->walk.failed = true;
    snprintf(lookup->trouble, sizeof(lookup->trouble),
             "it is not known whether the TLSA records of %s are secure: the resolver could not "
             "show so far that it validates",
             lookup->host);
}

static void on_records(void *ctx, const struct dns_answer *answer)
{
    struct host_lookup *lookup = ctx;
    struct dns_answer taken = *answer; /* what is in doubt may be secure, until the end */

    lookup->records = NULL;
    taken.secure = answer->secure || answer->in_doubt;
    tlsa_walk_take(&lookup->walk, &taken);
    if (lookup->walk.failed)
        snprintf(lookup->trouble, sizeof(lookup->trouble), "the %s of %s are not known: %s",
                 lookup->walk.reason, lookup->host, answer->reason);
    lookup->in_doubt = lookup->in_doubt || answer->in_doubt;
    if (lookup->walk.base && lookup->in_doubt)
        doubt_records(lookup);
    else if (lookup->walk.base)
        lookup->tlsa = tlsa_set_new(lookup->walk.base, answer, tls_dane_usable);
    lookup_step(lookup);
}

static void on_addresses(void *ctx, const struct addresses *found)
{
    struct host_lookup *lookup = ctx;
    struct host_security security = found->security;

    lookup->addresses = NULL;
    lookup->found = *found;
    lookup->in_doubt = lookup->in_doubt || security.in_doubt;
    security.secure = security.secure || security.in_doubt;
    lookup->walk = (struct tlsa_walk){ .question = TLSA_ASK_NOTHING, .reason = host_lookup_off };
    if (found->verdict == ADDRESSES_FOUND && resolver_has_dnssec(lookup->resolver))
        tlsa_walk_start(&lookup->walk, lookup->host, lookup->port, lookup->name_is_sure, &security);
    lookup_step(lookup);
}

struct host_lookup *host_lookup_start(struct loop *loop, struct resolver *resolver,
                                      const struct host_question *question,
                                      host_lookup_done_fn *done, void *ctx)
{
    struct host_lookup *lookup = memory_new(sizeof(*lookup));

    lookup->resolver = resolver;
    lookup->port = question->port;
    lookup->name_is_sure = question->name_is_sure || question->name_in_doubt;
    lookup->in_doubt = question->name_in_doubt;
    lookup->done = done;
    lookup->ctx = ctx;
    snprintf(lookup->host, sizeof(lookup->host), "%s", question->host);
    lookup->addresses =
        addresses_ask(loop, resolver, lookup->host, question->filter, on_addresses, lookup);
    return lookup;
}

void host_lookup_cancel(struct host_lookup **lookup)
{
    if (*lookup)
        lookup_free(*lookup);
    *lookup = NULL;
}
