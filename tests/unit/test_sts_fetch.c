#include "policy/sts_fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"

#define BODY "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n"

/* ---- a resolver and an HTTPS client that do as they are told ----------------------------------
 */

enum { MANY = 256 };

struct resolver_query {
    resolver_done_fn *done;
    void *ctx;
    enum dns_type type;
    char name[300];
};
struct http_request {
    http_done_fn *done;
    void *ctx;
    char host[300];
    char address[NETWORK_TEXT_SIZE];
    unsigned address_count;
};

static struct resolver_query *queries[2 * MANY];
static unsigned query_count;
static struct http_request *gets[MANY];
static unsigned get_count;

struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx)
{
    struct resolver_query *query = memory_new(sizeof(*query));
    (void)resolver;
    query->done = done;
    query->ctx = ctx;
    query->type = type;
    span_to_string(name, query->name, sizeof(query->name));
    queries[query_count++] = query;
    return query;
}

void resolver_cancel(struct resolver_query **query)
{
    for (unsigned i = 0; *query && i < query_count; i++)
        if (queries[i] == *query)
            queries[i] = NULL;
    free(*query);
    *query = NULL;
}

struct http_request *http_get_start(struct http *http, const char *host, const char *path,
                                    const struct ip_address *addresses, unsigned address_count,
                                    size_t limit_bytes, int64_t wait_ms, http_done_fn *done,
                                    void *ctx)
{
    struct http_request *get = memory_new(sizeof(*get));
    (void)http;
    assert_string_equal(path, "/.well-known/mta-sts.txt");
    assert_int_equal(limit_bytes, STS_POLICY_BYTES_MAX);
    assert_in_range(wait_ms, 1, STS_FETCH_MS);
    get->done = done;
    get->ctx = ctx;
    snprintf(get->host, sizeof(get->host), "%s", host);
    ip_address_format(&addresses[0], get->address);
    get->address_count = address_count;
    gets[get_count++] = get;
    return get;
}

void http_cancel(struct http_request **get)
{
    for (unsigned i = 0; *get && i < get_count; i++)
        if (gets[i] == *get)
            gets[i] = NULL;
    free(*get);
    *get = NULL;
}

/* ---- the world --------------------------------------------------------------------------------
 */

struct world {
    struct loop *loop;
    struct loop_timer *timer;
    struct sts_fetcher *fetcher;
    struct network_list allow;
    unsigned ended;
    bool got;
    struct sts_fetched fetched;
};

static void on_turned(void *ctx)
{
    loop_stop(ctx);
}

static void turn(struct world *world)
{
    loop_timer_start(world->timer, 0);
    loop_run(world->loop);
}

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    query_count = get_count = 0;
    world->loop = loop_new();
    world->timer = loop_timer_new(world->loop, on_turned, world->loop);
    world->fetcher = sts_fetcher_new(world->loop, NULL, NULL);
    sts_fetcher_allow(world->fetcher, &world->allow);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;
    sts_fetcher_free(&world->fetcher);
    loop_timer_free(&world->timer);
    loop_free(&world->loop);
    free(world);
    return 0;
}

static void on_done(void *ctx, struct sts_fetched *fetched)
{
    struct world *world = ctx;
    world->ended++;
    world->got = fetched->policy != NULL;
    world->fetched = *fetched;
    world->fetched.policy = NULL;
}

static struct sts_fetch *start(struct world *world)
{
    struct sts_fetch *fetch = sts_fetch_start(world->fetcher, "example.com", on_done, world);
    turn(world);
    return fetch;
}

/* Answers a query: an address, "" for no data, NULL for a failing lookup. */
static void answer(unsigned which, const char *address)
{
    struct resolver_query *query = queries[which];
    struct dns_record record = { 0 };
    struct dns_answer a = { .outcome = address ? DNS_NODATA : DNS_TEMPFAIL, .reason = "SERVFAIL" };
    assert_non_null(query);
    assert_string_equal(query->name, "mta-sts.example.com");
    if (address && ip_address_parse(span_of(address), &record.address))
        a = (struct dns_answer){ .outcome = DNS_ANSWER, .records = &record, .count = 1 };
    queries[which] = NULL;
    query->done(query->ctx, &a);
    free(query);
}

static void addresses_are(const char *v4, const char *v6)
{
    for (unsigned i = query_count - 2; i < query_count; i++)
        answer(i, queries[i]->type == DNS_A ? v4 : v6);
}

static void get_ends(struct world *world, unsigned which, const struct http_answer *with)
{
    struct http_request *get = gets[which];
    assert_non_null(get);
    gets[which] = NULL;
    get->done(get->ctx, with);
    free(get);
    turn(world);
}

static struct http_answer answer_of(int status, const char *type, const char *body)
{
    return (struct http_answer){
        .outcome = HTTP_GOT, .status = status, .content_type = span_of(type), .body = span_of(body)
    };
}

static void fetched_by(struct world *world, struct http_answer with)
{
    unsigned before = world->ended;
    start(world);
    addresses_are("192.0.2.1", "");
    get_ends(world, get_count - 1, &with);
    assert_int_equal(world->ended, before + 1);
}

/* ---- the stories ------------------------------------------------------------------------------
 */

static void a_policy_is_fetched_from_the_policy_host(void **state)
{
    struct world *world = *state;
    start(world);
    addresses_are("192.0.2.1", "2001:db8::1");
    assert_int_equal(get_count, 1);
    assert_string_equal(gets[0]->host, "mta-sts.example.com");
    assert_string_equal(gets[0]->address, "2001:db8::1");
    assert_int_equal(gets[0]->address_count, 2);
    struct http_answer with = answer_of(200, "text/plain", BODY);
    get_ends(world, 0, &with);
    assert_true(world->got);
}

static void assert_failed(struct world *world, struct http_answer with, enum tls_result result)
{
    fetched_by(world, with);
    assert_false(world->got);
    assert_false(world->fetched.local);
    assert_int_equal(world->fetched.result, result);
    assert_string_not_equal(world->fetched.reason, "");
}

static void each_failure_has_its_result_type(void **state)
{
    struct world *world = *state;
    struct http_answer broken = { .outcome = HTTP_UNREACHABLE, .reason = "connect refused" };
    assert_failed(world, broken, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    broken.outcome = HTTP_TOO_LARGE;
    assert_failed(world, broken, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    broken.outcome = HTTP_BAD_TLS;
    assert_failed(world, broken, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    broken.outcome = HTTP_TRUNCATED;
    assert_failed(world, broken, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    broken.outcome = HTTP_BAD_CERTIFICATE;
    assert_failed(world, broken, TLS_RESULT_STS_WEBPKI_INVALID);
    assert_failed(world, answer_of(404, "text/plain", BODY), TLS_RESULT_STS_POLICY_FETCH_ERROR);
    assert_failed(world, answer_of(301, "text/plain", BODY), TLS_RESULT_STS_POLICY_FETCH_ERROR);
    assert_failed(world, answer_of(200, "text/html", BODY), TLS_RESULT_STS_POLICY_INVALID);
    assert_failed(world, answer_of(200, "text/plain", "mode: x"), TLS_RESULT_STS_POLICY_INVALID);
    broken.outcome = HTTP_LOCAL;
    fetched_by(world, broken);
    assert_true(world->fetched.local);
}

static void no_internal_address_is_connected_to(void **state)
{
    struct world *world = *state;
    static const char *const internal[] = { "127.0.0.1", "10.1.2.3", "169.254.169.254",
                                            "192.168.0.1" };
    for (unsigned i = 0; i < 4; i++) {
        start(world);
        addresses_are(internal[i], "");
        turn(world);
        assert_non_null(strstr(world->fetched.reason, "internal"));
        assert_int_equal(world->fetched.result, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    }
    assert_int_equal(get_count, 0);
    assert_true(network_parse(SPAN("10.0.0.0/8"), &world->allow.items[0]));
    world->allow.count = 1;
    start(world);
    addresses_are("10.1.2.3", "");
    assert_int_equal(get_count, 1);
}

static void one_family_is_enough(void **state)
{
    struct world *world = *state;
    start(world);
    addresses_are("192.0.2.1", NULL);
    assert_int_equal(get_count, 1);
    start(world);
    addresses_are("", NULL);
    turn(world);
    assert_non_null(strstr(world->fetched.reason, "SERVFAIL"));
    start(world);
    addresses_are("", "");
    turn(world);
    assert_non_null(strstr(world->fetched.reason, "no address"));
}

static void four_fetches_at_a_time_go_to_one_address(void **state)
{
    struct world *world = *state;
    struct http_answer with = answer_of(200, "text/plain", BODY);
    for (unsigned i = 0; i < STS_FETCHES_PER_ADDRESS + 2; i++) {
        start(world);
        addresses_are("192.0.2.1", "");
    }
    assert_int_equal(get_count, STS_FETCHES_PER_ADDRESS);
    start(world);
    addresses_are("192.0.2.2", "");
    assert_int_equal(get_count, STS_FETCHES_PER_ADDRESS + 1);
    get_ends(world, 0, &with);
    assert_int_equal(get_count, STS_FETCHES_PER_ADDRESS + 2);
    get_ends(world, 1, &with);
    assert_int_equal(get_count, STS_FETCHES_PER_ADDRESS + 3);
    assert_int_equal(world->ended, 2);
}

static void two_hundred_fetches_are_under_way_at_most(void **state)
{
    struct world *world = *state;
    struct sts_fetch *first = start(world);
    for (unsigned i = 0; i < STS_FETCHES_MAX + 9; i++)
        sts_fetch_start(world->fetcher, "example.com", on_done, world);
    turn(world);
    assert_int_equal(query_count, 2 * STS_FETCHES_MAX);
    sts_fetch_cancel(&first);
    assert_null(first);
    turn(world);
    assert_int_equal(query_count, 2 * STS_FETCHES_MAX + 2);
    assert_int_equal(world->ended, 0);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, world_open, world_close, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("a policy is fetched from the policy host", a_policy_is_fetched_from_the_policy_host),
        STORY("each failure has its result type (RFC 8460 s.4.3)",
              each_failure_has_its_result_type),
        STORY("no internal address is connected to, unless mx-allow says so",
              no_internal_address_is_connected_to),
        STORY("one address family is enough", one_family_is_enough),
        STORY("four fetches at a time go to one address, the others wait",
              four_fetches_at_a_time_go_to_one_address),
        STORY("two hundred fetches are under way at most",
              two_hundred_fetches_are_under_way_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
