#include "policy/sts_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/mail/route.h"

static const char path[] = "/.well-known/mta-sts.txt";

struct sts_fetcher {
    struct loop *loop;
    struct resolver *resolver;
    struct http *http;
    const struct network_list *allow;
    struct list begun;       /* all fetches under way */
    struct list waiting;     /* for one of the STS_FETCHES_MAX places */
    struct list crowded;     /* for others at the same address to end */
    unsigned count;          /* of those that hold a place */
    struct map *addresses;   /* text: struct crowd */
    struct loop_task places; /* somebody went: give the places away */
};

/* The fetches from one address. */
struct crowd {
    unsigned count;
};

enum stage { STAGE_WAITING, STAGE_RESOLVING, STAGE_CROWDED, STAGE_GETTING, STAGE_DONE };

struct sts_fetch {
    struct list in_begun;
    struct list in_queue; /* of `waiting` or `crowded` */
    struct sts_fetcher *fetcher;
    enum stage stage;
    sts_fetch_done_fn *done;
    void *ctx;
    struct loop_timer *deadline;
    struct loop_task ending;
    int64_t ends_ms;
    char host[DOMAIN_MAX + 16];
    struct resolver_query *queries[2];
    struct dns_answer *answers[2];
    struct ip_address addresses[MX_ADDRESSES_MAX];
    unsigned address_count;
    char crowd[NETWORK_TEXT_SIZE]; /* the address it is counted at, or "" */
    struct http_request *get;
    struct sts_fetched fetched;
};

/* ---- places ------------------------------------------------------------------------------- */

static bool address_enter(struct sts_fetcher *fetcher, const char *address)
{
    struct crowd *crowd = map_get(fetcher->addresses, span_of(address));
    if (crowd && crowd->count >= STS_FETCHES_PER_ADDRESS)
        return false;
    if (!crowd) {
        crowd = memory_new(sizeof(*crowd));
        map_put(fetcher->addresses, span_of(address), crowd);
    }
    crowd->count++;
    return true;
}

static void address_leave(struct sts_fetcher *fetcher, const char *address)
{
    struct crowd *crowd = map_get(fetcher->addresses, span_of(address));
    if (--crowd->count > 0)
        return;
    map_remove(fetcher->addresses, span_of(address));
    free(crowd);
}

/* Gives back whatever the fetch holds of the common limits. */
static void leave(struct sts_fetch *fetch)
{
    struct sts_fetcher *fetcher = fetch->fetcher;
    if (fetch->stage == STAGE_DONE)
        return; /* the fetcher may be gone by now */
    list_remove(&fetch->in_queue);
    if (fetch->crowd[0] != '\0')
        address_leave(fetcher, fetch->crowd);
    fetch->crowd[0] = '\0';
    if (fetch->stage != STAGE_WAITING)
        fetcher->count--;
    fetch->stage = STAGE_DONE;
    loop_defer(fetcher->loop, &fetcher->places);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void drop_answers(struct sts_fetch *fetch)
{
    for (unsigned i = 0; i < 2; i++) {
        resolver_cancel(&fetch->queries[i]);
        if (!fetch->answers[i])
            continue;
        dns_answer_clear(fetch->answers[i]);
        free(fetch->answers[i]);
        fetch->answers[i] = NULL;
    }
}

static void fetch_free(struct sts_fetch *fetch)
{
    leave(fetch);
    drop_answers(fetch);
    http_cancel(&fetch->get);
    loop_timer_free(&fetch->deadline);
    loop_task_cancel(&fetch->ending);
    list_remove(&fetch->in_begun);
    sts_policy_free(&fetch->fetched.policy);
    free(fetch);
}

static void on_ending(void *ctx)
{
    struct sts_fetch *fetch = ctx;
    list_remove(&fetch->in_begun); /* no longer to be cancelled */
    fetch->done(fetch->ctx, &fetch->fetched);
    fetch_free(fetch);
}

static void end(struct sts_fetch *fetch)
{
    leave(fetch);
    drop_answers(fetch);
    loop_timer_cancel(fetch->deadline);
    loop_defer(fetch->fetcher->loop, &fetch->ending);
}

static void fail(struct sts_fetch *fetch, enum tls_result result, const char *doing,
                 const char *why)
{
    fetch->fetched.result = result;
    snprintf(fetch->fetched.reason, sizeof(fetch->fetched.reason), "%s: %s", doing, why);
    end(fetch);
}

static void fail_of_ours(struct sts_fetch *fetch, const char *doing, const char *why)
{
    fetch->fetched.local = true;
    fail(fetch, TLS_RESULT_STS_POLICY_FETCH_ERROR, doing, why);
}

static void on_deadline(void *ctx)
{
    struct sts_fetch *fetch = ctx;
    if (fetch->stage == STAGE_WAITING || fetch->stage == STAGE_CROWDED)
        fail_of_ours(fetch, "fetch", "too many at a time");
    else if (fetch->stage == STAGE_RESOLVING)
        fail(fetch, TLS_RESULT_STS_POLICY_FETCH_ERROR, "addresses", "timed out");
}

/* ---- the answer --------------------------------------------------------------------------- */

static void judge_body(struct sts_fetch *fetch, const struct http_answer *answer)
{
    enum sts_policy_fault fault = sts_policy_check_http(answer->status, answer->content_type);
    char status[32];
    if (fault == STS_POLICY_HTTP_STATUS) {
        snprintf(status, sizeof(status), "status %d", answer->status);
        fail(fetch, TLS_RESULT_STS_POLICY_FETCH_ERROR, "HTTPS", status);
        return;
    }
    if (fault == STS_POLICY_FINE)
        fault = sts_policy_parse(answer->body, &fetch->fetched.policy);
    if (fault == STS_POLICY_FINE)
        end(fetch);
    else
        fail(fetch, TLS_RESULT_STS_POLICY_INVALID, "policy file", sts_policy_fault_name(fault));
}

static void on_got(void *ctx, const struct http_answer *answer)
{
    struct sts_fetch *fetch = ctx;
    fetch->get = NULL;
    switch (answer->outcome) {
    case HTTP_GOT:
        judge_body(fetch, answer);
        return;
    case HTTP_BAD_CERTIFICATE:
        fail(fetch, TLS_RESULT_STS_WEBPKI_INVALID, fetch->host, answer->reason);
        return;
    case HTTP_LOCAL:
        fail_of_ours(fetch, "HTTPS", answer->reason);
        return;
    case HTTP_UNREACHABLE:
    case HTTP_BAD_TLS:
    case HTTP_TOO_LARGE:
    case HTTP_TRUNCATED:
        break;
    }
    fail(fetch, TLS_RESULT_STS_POLICY_FETCH_ERROR, "HTTPS", answer->reason);
}

static void get(struct sts_fetch *fetch)
{
    struct sts_fetcher *fetcher = fetch->fetcher;
    ip_address_format(&fetch->addresses[0], fetch->crowd);
    if (!address_enter(fetcher, fetch->crowd)) {
        fetch->crowd[0] = '\0';
        fetch->stage = STAGE_CROWDED;
        list_append(&fetcher->crowded, &fetch->in_queue);
        return;
    }
    int64_t left = fetch->ends_ms - loop_now(fetcher->loop);
    fetch->stage = STAGE_GETTING;
    fetch->get =
        http_get_start(fetcher->http, fetch->host, path, fetch->addresses, fetch->address_count,
                       STS_POLICY_BYTES_MAX, left > 0 ? left : 1, on_got, fetch);
}

/* ---- addresses ---------------------------------------------------------------------------- */

static void on_addresses(struct sts_fetch *fetch)
{
    const struct network_list *allow = fetch->fetcher->allow;
    enum address_verdict verdict =
        route_addresses(fetch->answers[0], fetch->answers[1], allow ? allow->items : NULL,
                        allow ? allow->count : 0, fetch->addresses, &fetch->address_count);
    switch (verdict) {
    case ADDRESSES_FOUND:
        get(fetch);
        return;
    case ADDRESSES_NONE:
        fail(fetch, TLS_RESULT_STS_POLICY_FETCH_ERROR, fetch->host, "has no address");
        return;
    case ADDRESSES_REFUSED:
        fail(fetch, TLS_RESULT_STS_POLICY_FETCH_ERROR, fetch->host, "has an internal address");
        return;
    case ADDRESSES_OWN: /* none are named as ours: a policy host on this machine is fine */
    case ADDRESSES_TEMPFAIL:
        break;
    }
    fail(fetch, TLS_RESULT_STS_POLICY_FETCH_ERROR, "addresses",
         fetch->answers[0]->outcome == DNS_TEMPFAIL ? fetch->answers[0]->reason
                                                    : fetch->answers[1]->reason);
}

/* What we need of an answer that is lent: outcome, reason, addresses. */
static struct dns_answer *keep_answer(const struct dns_answer *answer)
{
    struct dns_answer *kept = memory_new(sizeof(*kept));
    dns_answer_none(kept, answer->outcome, answer->reason);
    kept->records = memory_new_array(answer->count + 1, sizeof(kept->records[0]));
    kept->count = answer->count;
    for (unsigned i = 0; i < answer->count; i++)
        kept->records[i].address = answer->records[i].address;
    return kept;
}

static void on_answer(struct sts_fetch *fetch, unsigned which, const struct dns_answer *answer)
{
    fetch->queries[which] = NULL;
    fetch->answers[which] = keep_answer(answer);
    if (fetch->answers[0] && fetch->answers[1])
        on_addresses(fetch);
}

static void on_a(void *ctx, const struct dns_answer *answer)
{
    on_answer(ctx, 0, answer);
}

static void on_aaaa(void *ctx, const struct dns_answer *answer)
{
    on_answer(ctx, 1, answer);
}

static void resolve(struct sts_fetch *fetch)
{
    struct resolver *resolver = fetch->fetcher->resolver;
    fetch->fetcher->count++;
    fetch->stage = STAGE_RESOLVING;
    fetch->queries[0] = resolver_ask(resolver, span_of(fetch->host), DNS_A, on_a, fetch);
    fetch->queries[1] = resolver_ask(resolver, span_of(fetch->host), DNS_AAAA, on_aaaa, fetch);
}

/* ---- beginning ---------------------------------------------------------------------------- */

/* Lets those go on for whom there is room now. */
static void on_places(void *ctx)
{
    struct sts_fetcher *fetcher = ctx;
    struct sts_fetch *fetch;
    struct list again;
    list_init(&again);
    list_splice(&again, &fetcher->crowded);
    LIST_EACH(fetch, &again, struct sts_fetch, in_queue)
    {
        list_remove(&fetch->in_queue);
        get(fetch);
    }
    while (fetcher->count < STS_FETCHES_MAX && !list_empty(&fetcher->waiting)) {
        fetch = LIST_FIRST(&fetcher->waiting, struct sts_fetch, in_queue);
        list_remove(&fetch->in_queue);
        resolve(fetch);
    }
}

struct sts_fetch *sts_fetch_start(struct sts_fetcher *fetcher, const char *domain,
                                  sts_fetch_done_fn *done, void *ctx)
{
    struct sts_fetch *fetch = memory_new(sizeof(*fetch));
    fetch->fetcher = fetcher;
    fetch->done = done;
    fetch->ctx = ctx;
    fetch->ends_ms = loop_now(fetcher->loop) + STS_FETCH_MS;
    fetch->deadline = loop_timer_new(fetcher->loop, on_deadline, fetch);
    loop_timer_start(fetch->deadline, STS_FETCH_MS);
    loop_task_init(&fetch->ending, on_ending, fetch);
    snprintf(fetch->host, sizeof(fetch->host), "mta-sts.%s", domain);
    list_append(&fetcher->begun, &fetch->in_begun);
    list_append(&fetcher->waiting, &fetch->in_queue);
    loop_defer(fetcher->loop, &fetcher->places);
    return fetch;
}

void sts_fetch_cancel(struct sts_fetch **fetch)
{
    struct sts_fetch *f = *fetch;
    *fetch = NULL;
    if (f)
        fetch_free(f);
}

struct sts_fetcher *sts_fetcher_new(struct loop *loop, struct resolver *resolver, struct http *http)
{
    struct sts_fetcher *fetcher = memory_new(sizeof(*fetcher));
    fetcher->loop = loop;
    fetcher->resolver = resolver;
    fetcher->http = http;
    fetcher->addresses = map_new();
    list_init(&fetcher->begun);
    list_init(&fetcher->waiting);
    list_init(&fetcher->crowded);
    loop_task_init(&fetcher->places, on_places, fetcher);
    return fetcher;
}

void sts_fetcher_free(struct sts_fetcher **fetcher)
{
    struct sts_fetcher *f = *fetcher;
    *fetcher = NULL;
    if (!f)
        return;
    while (!list_empty(&f->begun))
        fetch_free(LIST_FIRST(&f->begun, struct sts_fetch, in_begun));
    loop_task_cancel(&f->places);
    map_free(&f->addresses);
    free(f);
}

void sts_fetcher_allow(struct sts_fetcher *fetcher, const struct network_list *allow)
{
    fetcher->allow = allow;
}

void sts_fetch_url(const char *domain, char url[STS_URL_SIZE])
{
    snprintf(url, STS_URL_SIZE, "https://mta-sts.%s%s", domain, path);
}
