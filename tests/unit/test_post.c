#include "tests/support/test.h"

#include "lib/base/memory.h"
#include "lib/io/own_address.h"
#include "tlsrpt/post.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fakes: a resolver and an HTTPS client that a test answers for -------------------------- */

struct resolver_query {
    resolver_done_fn *done;
    void *ctx;
    enum dns_type type;
};
struct http_request {
    http_done_fn *done;
    void *ctx;
};

static struct resolver_query *queries[2];
static struct http_request *request;
static struct http_post asked;
static unsigned requests;

struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx)
{
    struct resolver_query *query = memory_new(sizeof(*query));
    (void)resolver;
    assert_true(span_equal(name, SPAN("reports.a.test")));
    *query = (struct resolver_query){ done, ctx, type };
    queries[type == DNS_AAAA] = query;
    return query;
}

void resolver_cancel(struct resolver_query **query)
{
    for (unsigned i = 0; *query && i < 2; i++)
        if (queries[i] == *query)
            queries[i] = NULL;
    free(*query);
    *query = NULL;
}

struct http_request *http_post_start(struct http *http, const struct http_post *post,
                                     http_done_fn *done, void *ctx)
{
    (void)http;
    assert_null(request);
    request = memory_new(sizeof(*request));
    *request = (struct http_request){ done, ctx };
    asked = *post;
    requests++;
    return request;
}

void http_cancel(struct http_request **r)
{
    if (*r)
        request = NULL;
    free(*r);
    *r = NULL;
}

/* The machine of these tests. */
bool own_address(const struct ip_address *address)
{
    static const uint8_t v4[] = { 192, 1, 2, 99 };
    return address->family == ADDRESS_V4 && memcmp(address->bytes, v4, sizeof(v4)) == 0;
}

/* ---- the world ------------------------------------------------------------------------------ */

struct world {
    struct loop *loop;
    struct loop_timer *timer;
    struct network_list allow;
    struct post_tools tools;
    struct destination to;
    struct post *post;
    unsigned ended;
    struct post_result result;
};

static void on_done(void *ctx, const struct post_result *result)
{
    struct world *world = ctx;
    world->post = NULL;
    world->ended++;
    world->result = *result;
}

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
    struct destinations list = { .count = 0 };
    requests = 0;
    world->loop = loop_new();
    world->timer = loop_timer_new(world->loop, on_turned, world->loop);
    world->tools = (struct post_tools){ .loop = world->loop, .allow = &world->allow };
    assert_int_equal(destinations_add(&list, SPAN("https://reports.a.test:8443/v1?k=1")),
                     DESTINATION_FINE);
    world->to = list.items[0];
    world->post =
        post_start(&world->tools, &world->to, REPORT_PACKED, SPAN("packed"), on_done, world);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;
    post_cancel(&world->post);
    assert_null(queries[0]);
    assert_null(queries[1]);
    assert_null(request);
    loop_timer_free(&world->timer);
    loop_free(&world->loop);
    free(world);
    return 0;
}

static void answer_dns(unsigned which, enum dns_outcome outcome, const char *address)
{
    struct resolver_query *query = queries[which];
    struct dns_record record = { .address.family = ADDRESS_NONE };
    struct dns_answer answer;
    dns_answer_none(&answer, outcome, outcome == DNS_TEMPFAIL ? "no server answers" : "");
    if (address) {
        assert_true(ip_address_parse(span_of(address), &record.address));
        answer.records = &record;
        answer.count = 1;
    }
    queries[which] = NULL;
    query->done(query->ctx, &answer);
    free(query);
}

static void resolve_to(const char *v4, const char *v6)
{
    answer_dns(0, v4 ? DNS_ANSWER : DNS_NODATA, v4);
    answer_dns(1, v6 ? DNS_ANSWER : DNS_NODATA, v6);
}

static void answer_post(struct world *world, struct http_answer answer)
{
    struct http_request *r = request;
    assert_non_null(r);
    request = NULL;
    r->done(r->ctx, &answer);
    free(r);
    assert_int_equal(world->ended, 0); /* never from inside */
    turn(world);
    assert_int_equal(world->ended, 1);
}

static void assert_failed(struct world *world, const char *reason)
{
    turn(world);
    assert_int_equal(world->ended, 1);
    assert_false(world->result.taken);
    assert_string_equal(world->result.reason, reason);
}

/* ---- stories -------------------------------------------------------------------------------- */

static void a_report_goes_to_the_uri_as_what_it_is(void **state)
{
    struct world *world = *state;
    resolve_to("192.1.2.3", "2a00::1");
    assert_string_equal(asked.host, "reports.a.test");
    assert_int_equal(asked.port, 8443);
    assert_string_equal(asked.path, "/v1?k=1");
    assert_int_equal(asked.address_count, 2);
    assert_string_equal(asked.content_type, "application/tlsrpt+gzip");
    assert_true(span_equal(asked.body, SPAN("packed")));
    assert_int_equal(asked.limit_bytes, 16 * 1024);
    assert_in_range(asked.wait_ms, 59000, 60000);
    answer_post(world, (struct http_answer){ .outcome = HTTP_GOT, .status = 200 });
    assert_true(world->result.taken);
    assert_int_equal(world->result.status, 200);
    assert_string_equal(world->result.reason, "status 200");
    assert_string_equal(world->result.certificate, "");
}

static void a_plain_report_is_json(void **state)
{
    struct world *world = *state;
    post_cancel(&world->post);
    assert_null(queries[0]);
    world->post = post_start(&world->tools, &world->to, REPORT_PLAIN, SPAN("{}"), on_done, world);
    resolve_to("192.1.2.3", NULL);
    assert_string_equal(asked.content_type, "application/tlsrpt+json");
    answer_post(world, (struct http_answer){ .outcome = HTTP_GOT, .status = 204 });
    assert_true(world->result.taken);
}

static void anything_but_2xx_is_no_yes_and_is_quoted(void **state)
{
    struct world *world = *state;
    resolve_to("192.1.2.3", NULL);
    answer_post(world, (struct http_answer){ .outcome = HTTP_GOT,
                                             .status = 400,
                                             .body = SPAN("\r\n  Not \x1b[2J\xff here\nmore") });
    assert_false(world->result.taken);
    assert_int_equal(world->result.status, 400);
    assert_string_equal(world->result.reason, "status 400: Not [2J? here");
    assert_false(post_is_taken(100));
    assert_false(post_is_taken(199));
    assert_true(post_is_taken(201));
    assert_true(post_is_taken(299));
    assert_false(post_is_taken(301));
    assert_false(post_is_taken(500));
}

static void endless_words_are_cut(void **state)
{
    struct world *world = *state;
    static char words[1000];
    memset(words, 'x', sizeof(words));
    resolve_to("192.1.2.3", NULL);
    answer_post(world, (struct http_answer){
                           .outcome = HTTP_GOT, .status = 500, .body = { words, sizeof(words) } });
    assert_int_equal(strlen(world->result.reason), strlen("status 500: ") + 100);
}

static void a_certificate_that_does_not_hold_is_told(void **state)
{
    struct world *world = *state;
    resolve_to("192.1.2.3", NULL);
    answer_post(world, (struct http_answer){ .outcome = HTTP_GOT,
                                             .status = 200,
                                             .cert = CERT_EXPIRED,
                                             .reason = "X509_V_ERR_CERT_HAS_EXPIRED" });
    assert_true(world->result.taken);
    assert_string_equal(world->result.certificate, "X509_V_ERR_CERT_HAS_EXPIRED");
}

static void no_answer_is_told_with_its_reason(void **state)
{
    struct world *world = *state;
    resolve_to("192.1.2.3", NULL);
    answer_post(world, (struct http_answer){ .outcome = HTTP_UNREACHABLE, .reason = "refused" });
    assert_failed(world, "refused");
    assert_int_equal(world->result.status, 0);
}

static void internal_addresses_are_never_asked(void **state)
{
    struct world *world = *state;
    resolve_to("10.0.0.1", "::1");
    assert_int_equal(requests, 0);
    assert_failed(world, "the host has an internal address");
}

static void internal_ones_among_others_are_left_out(void **state)
{
    struct world *world = *state;
    resolve_to("192.1.2.3", "fd00::1");
    assert_int_equal(asked.address_count, 1);
    assert_int_equal(asked.addresses[0].family, ADDRESS_V4);
    answer_post(world, (struct http_answer){ .outcome = HTTP_GOT, .status = 200 });
}

static void an_allowed_network_is_not_internal(void **state)
{
    struct world *world = *state;
    post_cancel(&world->post);
    assert_true(network_parse(SPAN("10.0.0.0/8"), &world->allow.items[0]));
    world->allow.count = 1;
    world->post = post_start(&world->tools, &world->to, REPORT_PACKED, SPAN("x"), on_done, world);
    resolve_to("10.0.0.1", NULL);
    answer_post(world, (struct http_answer){ .outcome = HTTP_GOT, .status = 200 });
    assert_true(world->result.taken);
}

static void the_machines_own_addresses_are_never_asked(void **state)
{
    struct world *world = *state;
    resolve_to("192.1.2.99", NULL);
    assert_int_equal(requests, 0);
    assert_failed(world, "the host has an address of this machine");
}

static void own_ones_among_others_are_left_out_unless_allowed(void **state)
{
    struct world *world = *state;
    resolve_to("192.1.2.99", "2a00::1");
    assert_int_equal(asked.address_count, 1);
    assert_int_equal(asked.addresses[0].family, ADDRESS_V6);
    post_cancel(&world->post);
    assert_true(network_parse(SPAN("192.1.2.0/24"), &world->allow.items[0]));
    world->allow.count = 1;
    world->post = post_start(&world->tools, &world->to, REPORT_PACKED, SPAN("x"), on_done, world);
    resolve_to("192.1.2.99", "2a00::1");
    assert_int_equal(asked.address_count, 2);
    answer_post(world, (struct http_answer){ .outcome = HTTP_GOT, .status = 200 });
}

static void a_host_without_address_gets_nothing(void **state)
{
    struct world *world = *state;
    resolve_to(NULL, NULL);
    assert_failed(world, "the host has no address");
}

static void dns_trouble_is_told(void **state)
{
    struct world *world = *state;
    answer_dns(0, DNS_TEMPFAIL, NULL);
    answer_dns(1, DNS_TEMPFAIL, NULL);
    assert_failed(world, "no server answers");
}

static void a_cancelled_post_is_never_answered(void **state)
{
    struct world *world = *state;
    resolve_to("192.1.2.3", NULL);
    assert_non_null(request);
    post_cancel(&world->post);
    assert_null(world->post);
    assert_null(request);
    post_cancel(&world->post);
    turn(world);
    assert_int_equal(world->ended, 0);
}

#define STORY(title, test)                                                                         \
    {                                                                                              \
        "post: " title, test, world_open, world_close, NULL                                        \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STORY("a report goes to the URI as what it is (RFC 8460 s.5.4)",
              a_report_goes_to_the_uri_as_what_it_is),
        STORY("a plain report is JSON", a_plain_report_is_json),
        STORY("anything but 2xx is no yes, and its first words are told",
              anything_but_2xx_is_no_yes_and_is_quoted),
        STORY("endless words are cut", endless_words_are_cut),
        STORY("a certificate that does not hold is told", a_certificate_that_does_not_hold_is_told),
        STORY("no answer is told with its reason", no_answer_is_told_with_its_reason),
        STORY("internal addresses are never asked", internal_addresses_are_never_asked),
        STORY("internal addresses among others are left out",
              internal_ones_among_others_are_left_out),
        STORY("a network of mx-allow is not internal", an_allowed_network_is_not_internal),
        STORY("addresses of this machine are never asked",
              the_machines_own_addresses_are_never_asked),
        STORY("addresses of this machine among others are left out, unless mx-allow names them",
              own_ones_among_others_are_left_out_unless_allowed),
        STORY("a host without address gets nothing", a_host_without_address_gets_nothing),
        STORY("DNS trouble is told", dns_trouble_is_told),
        STORY("a cancelled post is never answered", a_cancelled_post_is_never_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
