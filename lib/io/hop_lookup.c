#include "lib/io/hop_lookup.h"

#include "lib/base/error.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"

#include <stdlib.h>
#include <string.h>

struct hop_lookup {
    struct loop *loop;
    struct resolver *resolver;
    struct resolver_query *mx;
    struct address_query *addresses;
    char name[DOMAIN_MAX + 1];
    const char *own_name;
    enum route_families families;
    struct route route;
    unsigned next; /* candidate */
    bool in_doubt; /* a host whose addresses DNS did not tell */
    hop_lookup_done_fn *done;
    void *ctx;
};

static void finish(struct hop_lookup *lookup, enum address_verdict addresses,
                   const struct addresses *found)
{
    struct hop_answer answer = { .route = lookup->route.verdict,
                                 .addresses = addresses,
                                 .in_doubt = lookup->in_doubt,
                                 .is_implicit = lookup->route.candidates[0].implicit,
                                 .found = found };
    hop_lookup_done_fn *done = lookup->done;
    void *ctx = lookup->ctx;

    free(lookup);
    done(ctx, &answer);
}

static void ask_next(struct hop_lookup *lookup);

static void on_addresses(void *ctx, const struct addresses *found)
{
    struct hop_lookup *lookup = ctx;

    lookup->addresses = NULL;
    if (found->verdict == ADDRESSES_TEMPFAIL)
        lookup->in_doubt = true;
    if (found->verdict == ADDRESSES_FOUND)
        finish(lookup, ADDRESSES_FOUND, found);
    else if (lookup->next < lookup->route.count)
        ask_next(lookup);
    else
        finish(lookup, lookup->in_doubt ? ADDRESSES_TEMPFAIL : ADDRESSES_NONE, NULL);
}

/* The administrator's own choice may be anywhere, as in a delivery. */
static void ask_next(struct hop_lookup *lookup)
{
    static const struct network everything[] = {
        { { .family = ADDRESS_V4 }, 0 },
        { { .family = ADDRESS_V6 }, 0 },
    };
    const struct address_filter filter = { .allow = everything,
                                           .allow_count = 2,
                                           .families = lookup->families };

    lookup->addresses =
        addresses_ask(lookup->loop, lookup->resolver, lookup->route.candidates[lookup->next++].name,
                      &filter, on_addresses, lookup);
}

static void on_mx(void *ctx, const struct dns_answer *answer)
{
    struct hop_lookup *lookup = ctx;

    lookup->mx = NULL;
    route_from_mx(answer, span_of(lookup->name), &lookup->own_name, 1, random_below,
                  &lookup->route);
    if (lookup->route.verdict == ROUTE_FOUND)
        ask_next(lookup);
    else
        finish(lookup, ADDRESSES_NONE, NULL);
}

/* A host without an MX lookup is its own one candidate. */
static void take_host(struct hop_lookup *lookup)
{
    struct mx_candidate *candidate = &lookup->route.candidates[0];

    lookup->route.verdict = ROUTE_FOUND;
    lookup->route.count = 1;
    memcpy(candidate->name, lookup->name, sizeof(candidate->name));
    candidate->implicit = true;
    ask_next(lookup);
}

struct hop_lookup *hop_lookup_start(struct loop *loop, struct resolver *resolver,
                                    const struct hop_question *question, hop_lookup_done_fn *done,
                                    void *ctx)
{
    struct hop_lookup *lookup = memory_new(sizeof(*lookup));
    bool fits = span_to_string(question->name, lookup->name, sizeof(lookup->name));

    ensure(fits);
    lookup->loop = loop;
    lookup->resolver = resolver;
    lookup->own_name = question->own_name;
    lookup->families = question->families;
    lookup->done = done;
    lookup->ctx = ctx;
    if (question->by_mx)
        lookup->mx = resolver_ask(resolver, question->name, DNS_MX, on_mx, lookup);
    else
        take_host(lookup);
    return lookup;
}

void hop_lookup_cancel(struct hop_lookup **lookup)
{
    if (!*lookup)
        return;
    if ((*lookup)->mx)
        resolver_cancel(&(*lookup)->mx);
    if ((*lookup)->addresses)
        addresses_cancel(&(*lookup)->addresses);
    free(*lookup);
    *lookup = NULL;
}
