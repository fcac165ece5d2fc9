#include "lib/io/addresses.h"

#include "lib/base/memory.h"
#include "lib/io/own_listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LATE_FAMILY_MS = 300
}; /* how long the second answer may take when the first has addresses */

/* One family's part. */
struct half {
    struct resolver_query *query; /* NULL: answered */
    struct dns_answer answer;     /* its records are a copy of ours: names are not kept */
    bool has_answer;
};

struct address_query {
    struct half a;
    struct half aaaa;
    struct loop_timer *late;
    struct address_filter filter;
    addresses_done_fn *done;
    void *ctx;
};

static void half_clear(struct half *half)
{
    if (half->query)
        resolver_cancel(&half->query);
    free(half->answer.records);
}

static void query_free(struct address_query *query)
{
    half_clear(&query->a);
    half_clear(&query->aaaa);
    loop_timer_free(&query->late);
    free(query);
}

static bool leads_to_us(const struct ip_address *address, const struct address_filter *filter)
{
    const struct endpoint to = { *address, filter->port };

    return filter->listeners && own_listener(filter->listeners, &to);
}

/* One that is refused anyway says nothing of us. */
static bool has_own(const struct half *half, const struct address_filter *filter)
{
    for (unsigned i = 0; i < half->answer.count; i++) {
        const struct ip_address *address = &half->answer.records[i].address;
        if (route_lets_through(address, filter->allow, filter->allow_count) &&
            leads_to_us(address, filter))
            return true;
    }
    return false;
}

static void query_finish(struct address_query *query)
{
    struct addresses found = { .count = 0 };
    addresses_done_fn *done = query->done;
    void *ctx = query->ctx;

    found.verdict = route_addresses(&query->a.answer, &query->aaaa.answer, query->filter.allow,
                                    query->filter.allow_count, found.list, &found.count);
    if (has_own(&query->a, &query->filter) || has_own(&query->aaaa, &query->filter))
        found.verdict = ADDRESSES_OWN;
    if (found.verdict != ADDRESSES_FOUND)
        found.count = 0;
    host_security_of(&query->a.answer, &query->aaaa.answer, &found.security);
    snprintf(found.reason, sizeof(found.reason), "%s",
             query->a.answer.reason[0] ? query->a.answer.reason : query->aaaa.answer.reason);
    query_free(query);
    done(ctx, &found);
}

static void half_take(struct half *half, const struct dns_answer *answer)
{
    half->query = NULL;
    half->has_answer = true;
    half->answer = *answer;
    half->answer.records = NULL;
    if (answer->count == 0)
        return;
    half->answer.records = memory_new_array(answer->count, sizeof(*answer->records));
    for (unsigned i = 0; i < answer->count; i++)
        half->answer.records[i].address = answer->records[i].address;
}

static void query_step(struct address_query *query)
{
    if (query->a.has_answer && query->aaaa.has_answer)
        query_finish(query);
    else if (query->a.answer.count > 0 || query->aaaa.answer.count > 0)
        loop_timer_start(query->late, LATE_FAMILY_MS);
}

static void on_a(void *ctx, const struct dns_answer *answer)
{
    struct address_query *query = ctx;

    half_take(&query->a, answer);
    query_step(query);
}

static void on_aaaa(void *ctx, const struct dns_answer *answer)
{
    struct address_query *query = ctx;

    half_take(&query->aaaa, answer);
    query_step(query);
}

static void half_give_up(struct half *half)
{
    if (half->has_answer)
        return;
    resolver_cancel(&half->query);
    half->answer.outcome = DNS_NODATA;
}

static void on_late(void *ctx)
{
    struct address_query *query = ctx;

    half_give_up(&query->a);
    half_give_up(&query->aaaa);
    query_finish(query);
}

/* A family that the route leaves out is as if the host had none of it. */
static void half_leave(struct half *half, bool is_left_out)
{
    half->has_answer = is_left_out;
    half->answer.outcome = DNS_NODATA;
}

struct address_query *addresses_ask(struct loop *loop, struct resolver *resolver, const char *host,
                                    const struct address_filter *filter, addresses_done_fn *done,
                                    void *ctx)
{
    struct address_query *query = memory_new(sizeof(*query));

    query->filter = *filter;
    query->done = done;
    query->ctx = ctx;
    query->late = loop_timer_new(loop, on_late, query);
    half_leave(&query->a, filter->families == FAMILIES_IPV6);
    half_leave(&query->aaaa, filter->families == FAMILIES_IPV4);
    if (!query->a.has_answer)
        query->a.query = resolver_ask(resolver, span_of(host), DNS_A, on_a, query);
    if (!query->aaaa.has_answer)
        query->aaaa.query = resolver_ask(resolver, span_of(host), DNS_AAAA, on_aaaa, query);
    return query;
}

void addresses_cancel(struct address_query **query)
{
    if (*query)
        query_free(*query);
    *query = NULL;
}

enum address_verdict address_judge(const struct ip_address *address,
                                   const struct address_filter *filter)
{
    if ((filter->families == FAMILIES_IPV4 && address->family != ADDRESS_V4) ||
        (filter->families == FAMILIES_IPV6 && address->family != ADDRESS_V6))
        return ADDRESSES_NONE;
    if (!route_lets_through(address, filter->allow, filter->allow_count))
        return ADDRESSES_REFUSED;
    return leads_to_us(address, filter) ? ADDRESSES_OWN : ADDRESSES_FOUND;
}
