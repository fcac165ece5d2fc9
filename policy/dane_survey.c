#include "policy/dane_survey.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/io/host_lookup.h"
#include "lib/mail/route.h"

struct dane_survey {
    struct loop *loop;
    struct resolver *resolver;
    char domain[DOMAIN_MAX + 1];
    uint16_t port;
    struct resolver_query *query; /* one of the two at a time */
    struct host_lookup *lookup;
    struct route route;
    unsigned at;
    unsigned usable;
    unsigned unreachable;
    uint32_t ttl_s;
    dane_survey_done_fn *done;
    void *ctx;
};

static void survey_free(struct dane_survey *survey)
{
    if (survey->query)
        resolver_cancel(&survey->query);
    host_lookup_cancel(&survey->lookup);
    free(survey);
}

static void finish(struct dane_survey *survey, enum postfix_dane dane)
{
    survey->done(survey->ctx, dane, survey->ttl_s);
    survey_free(survey);
}

static void shorten(struct dane_survey *survey, uint32_t ttl_s)
{
    if (ttl_s < survey->ttl_s)
        survey->ttl_s = ttl_s;
}

/* ---- host by host ------------------------------------------------------------------------- */

static void on_host(void *ctx, const struct host_answer *answer);

/* Whom the asker connects to is its own business: it may be inside its own network, too. */
static void look_at_next(struct dane_survey *survey)
{
    static const struct network everywhere[] = {
        { .address.family = ADDRESS_V4 },
        { .address.family = ADDRESS_V6 },
    };
    static const struct address_filter anybody = { .allow = everywhere, .allow_count = 2 };

    if (survey->at == survey->route.count) {
        finish(survey, survey->usable > 0        ? POSTFIX_DANE_ALL
                       : survey->unreachable > 0 ? POSTFIX_DANE_UNREACHABLE
                                                 : POSTFIX_DANE_NONE);
        return;
    }
    const struct host_question question = {
        .host = survey->route.candidates[survey->at++].name,
        .port = survey->port,
        .name_is_sure = survey->route.secure,
        .name_in_doubt = survey->route.in_doubt,
        .filter = &anybody,
    };
    survey->lookup = host_lookup_start(survey->loop, survey->resolver, &question, on_host, survey);
}

/* A host without an address takes no mail, and one whose records cannot be known gets none. */
static void on_host(void *ctx, const struct host_answer *answer)
{
    struct dane_survey *survey = ctx;
    enum address_verdict addresses = answer->addresses->verdict;

    survey->lookup = NULL;
    if (addresses == ADDRESSES_TEMPFAIL || answer->tlsa_failed) {
        survey->unreachable++;
    } else if (answer->worth == TLSA_USABLE) {
        survey->usable++;
        shorten(survey, answer->tlsa->ttl);
    } else if (addresses != ADDRESSES_NONE) {
        finish(survey, POSTFIX_DANE_NONE);
        return;
    }
    look_at_next(survey);
}

/* ---- the MX records ----------------------------------------------------------------------- */

static void on_mx(void *ctx, const struct dns_answer *mx)
{
    struct dane_survey *survey = ctx;

    survey->query = NULL;
    survey->ttl_s = mx->ttl;
    route_from_mx(mx, span_of(survey->domain), NULL, 0, random_below, &survey->route);
    if (survey->route.verdict == ROUTE_TEMPFAIL)
        finish(survey, POSTFIX_DANE_UNKNOWN);
    else if (survey->route.verdict != ROUTE_FOUND ||
             !(survey->route.secure || survey->route.in_doubt))
        finish(survey, POSTFIX_DANE_NONE);
    else
        look_at_next(survey);
}

struct dane_survey *dane_survey_start(struct loop *loop, struct resolver *resolver,
                                      const char *domain, uint16_t port, dane_survey_done_fn *done,
                                      void *ctx)
{
    struct dane_survey *survey = memory_new(sizeof(*survey));

    survey->loop = loop;
    survey->resolver = resolver;
    survey->port = port;
    survey->done = done;
    survey->ctx = ctx;
    ensure(span_to_string(span_of(domain), survey->domain, sizeof(survey->domain)));
    survey->query = resolver_ask(resolver, span_of(domain), DNS_MX, on_mx, survey);
    return survey;
}

void dane_survey_cancel(struct dane_survey **survey)
{
    if (*survey)
        survey_free(*survey);
    *survey = NULL;
}
