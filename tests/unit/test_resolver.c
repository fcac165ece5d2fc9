#include "lib/io/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "tests/support/fake_dns.h"

/* ---- what the server says: the first label tells it ---------------------------------------- */

static size_t fake_reply(const unsigned char *query, bool tcp, unsigned char *reply)
{
    static const unsigned char address[] = { 192, 0, 2, 7 };
    size_t at = fake_dns_begin(query, reply);
    if (fake_dns_starts(query, "silent"))
        return 0;
    if (fake_dns_starts(query, "old") && query[11] == 1) { /* knows no EDNS: FORMERR, without OPT */
        reply[3] |= 1;
        return at;
    }
    if (fake_dns_starts(query, "servfail"))
        reply[3] |= 2;
    else if (fake_dns_starts(query, "refused"))
        reply[3] |= 5;
    else if (fake_dns_starts(query, "nxdomain"))
        reply[3] |= 3;
    else if (fake_dns_starts(query, "long") && !tcp)
        reply[2] |= 2;
    else
        at = fake_dns_add_answer(reply, at, DNS_A, address, sizeof(address));
    if (fake_dns_starts(query, "forged") && !tcp)
        for (size_t i = FAKE_DNS_HEADER + 1; i < FAKE_DNS_HEADER + 7; i++)
            reply[i] ^= 0x20;
    return fake_dns_starts(query, "old") ? at : fake_dns_add_opt(reply, at);
}

/* ---- asking it ------------------------------------------------------------------------------ */

struct world {
    struct loop *loop;
    struct fake_dns good;
    struct fake_dns dead; /* bound, and nobody reads it */
    unsigned answers;
    enum dns_outcome outcome;
    bool secure;
    char address[NETWORK_TEXT_SIZE];
    char reason[80];
    int64_t took_ms;
};

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    fake_dns_start(&world->good, fake_reply);
    fake_dns_open(&world->dead);
    world->loop = loop_new();
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;
    loop_free(&world->loop);
    fake_dns_stop(&world->good);
    fake_dns_stop(&world->dead);
    free(world);
    return 0;
}

static struct resolver *resolver_of(struct world *world, bool dead_first, bool trusted)
{
    struct endpoint servers[2] = { world->dead.endpoint, world->good.endpoint };
    struct resolver *resolver = NULL;
    unsigned first = dead_first ? 0 : 1;
    assert_null(resolver_new(world->loop, servers + first, 2 - first, trusted, &resolver));
    resolver_set_standing(resolver, RESOLVER_PROVEN);
    return resolver;
}

static void on_answer(void *ctx, const struct dns_answer *answer)
{
    struct world *world = ctx;
    world->answers++;
    world->outcome = answer->outcome;
    world->secure = answer->secure;
    world->address[0] = '\0';
    if (answer->count > 0)
        ip_address_format(&answer->records[0].address, world->address);
    memcpy(world->reason, answer->reason, sizeof(world->reason));
    loop_stop(world->loop);
}

static void ask(struct world *world, struct resolver *resolver, const char *name)
{
    int64_t before = clock_monotonic_ms();
    resolver_ask(resolver, span_of(name), DNS_A, on_answer, world);
    loop_run(world->loop);
    world->took_ms = clock_monotonic_ms() - before;
}

static void an_answer_comes_with_its_security(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    ask(world, resolver, "www.example.com.");
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_string_equal(world->address, "192.0.2.7");
    assert_true(world->secure);
    resolver_free(&resolver);
    resolver = resolver_of(world, false, false);
    ask(world, resolver, "www.example.com");
    assert_false(world->secure);
    assert_int_equal(world->answers, 2);
    resolver_free(&resolver);
}

static void an_answer_is_not_secure_unless_the_resolver_has_shown_that_it_validates(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = NULL;
    assert_null(resolver_new(world->loop, &world->good.endpoint, 1, true, &resolver));
    ask(world, resolver, "www.example.com");
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_false(world->secure);
    resolver_set_standing(resolver, RESOLVER_PROVEN);
    ask(world, resolver, "www.example.com");
    assert_true(world->secure);
    assert_null(resolver_servers(resolver, &world->good.endpoint, 1, true));
    ask(world, resolver, "www.example.com");
    assert_false(world->secure);
    resolver_free(&resolver);
}

static void questions_wait_for_a_proof_that_is_under_way(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    resolver_set_standing(resolver, RESOLVER_ON_PROOF);
    struct resolver_query *waits =
        resolver_ask(resolver, SPAN("www.example.com"), DNS_A, on_answer, world);
    resolver_ask_for_proof(resolver, 0, SPAN("nxdomain"), DNS_A, on_answer, world);
    loop_run(world->loop);
    assert_int_equal(world->answers, 1);
    assert_int_equal(world->outcome, DNS_NXDOMAIN);
    assert_true(world->secure);
    assert_non_null(waits);
    resolver_set_standing(resolver, RESOLVER_PROVEN);
    loop_run(world->loop);
    assert_int_equal(world->answers, 2);
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_true(world->secure);
    resolver_free(&resolver);
}

struct wish {
    struct resolver *resolver;
    unsigned times;
    bool is_shown; /* by the proof that is wished for */
};

static void on_proof_wanted(void *ctx)
{
    struct wish *wish = ctx;
    wish->times++;
    resolver_set_doubted(wish->resolver, 0, !wish->is_shown);
    resolver_set_standing(wish->resolver, RESOLVER_PROVEN);
}

static void the_ad_of_a_server_that_is_doubted_calls_for_a_proof(void **state)
{
    struct world *world = *state;
    struct wish wish = { .resolver = resolver_of(world, false, true) };
    resolver_on_proof_wanted(wish.resolver, on_proof_wanted, &wish);
    resolver_set_doubted(wish.resolver, 0, true);
    ask(world, wish.resolver, "www.example.com");
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_false(world->secure);
    assert_int_equal(wish.times, 1); /* once for a question */
    wish.is_shown = true;
    ask(world, wish.resolver, "www.example.com");
    assert_true(world->secure);
    assert_int_equal(wish.times, 2);
    ask(world, wish.resolver, "www.example.com");
    assert_true(world->secure);
    assert_int_equal(wish.times, 2);
    resolver_free(&wish.resolver);
}

static void only_a_proof_asks_for_the_root(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    ask(world, resolver, ".");
    assert_int_equal(world->outcome, DNS_NXDOMAIN);
    resolver_ask_for_proof(resolver, 0, SPAN("."), DNS_A, on_answer, world);
    loop_run(world->loop);
    assert_int_equal(world->outcome, DNS_ANSWER);
    resolver_free(&resolver);
}

static void absence_is_told_from_trouble(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    ask(world, resolver, "nxdomain.example.com");
    assert_int_equal(world->outcome, DNS_NXDOMAIN);
    ask(world, resolver, "servfail.example.com");
    assert_int_equal(world->outcome, DNS_TEMPFAIL);
    assert_non_null(strstr(world->reason, "SERVFAIL"));
    ask(world, resolver, "refused.example.com");
    assert_int_equal(world->outcome, DNS_TEMPFAIL);
    assert_non_null(strstr(world->reason, "rcode 5"));
    ask(world, resolver, "www..example.com");
    assert_int_equal(world->outcome, DNS_NXDOMAIN);
    resolver_free(&resolver);
}

static void a_truncated_answer_is_fetched_over_tcp(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    ask(world, resolver, "long.example.com");
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_string_equal(world->address, "192.0.2.7");
    resolver_free(&resolver);
}

/* And the next question is asked with it again: c-ares alone would never (pitfalls.md section 3).
 */
static void a_server_without_edns_is_asked_without_it(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    for (int i = 0; i < 3; i++) {
        ask(world, resolver, "old.example.com");
        assert_int_equal(world->outcome, DNS_ANSWER);
        assert_string_equal(world->address, "192.0.2.7");
    }
    ask(world, resolver, "www.example.com");
    assert_int_equal(world->outcome, DNS_ANSWER);
    resolver_free(&resolver);
}

static void an_answer_spelt_otherwise_is_asked_for_again_over_tcp(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    ask(world, resolver, "forged.example.com");
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_string_equal(world->address, "192.0.2.7");
    resolver_free(&resolver);
}

static void only_the_first_question_waits_for_a_dead_server(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, true, true);
    ask(world, resolver, "www.example.com");
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_in_range(world->took_ms, 1000, 8000);
    ask(world, resolver, "www.example.com");
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_in_range(world->took_ms, 0, 500);
    resolver_free(&resolver);
}

static void on_nothing(void *ctx, const struct dns_answer *answer)
{
    (void)ctx;
    (void)answer;
    fail();
}

static void a_cancelled_question_is_never_answered(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    struct resolver_query *early =
        resolver_ask(resolver, SPAN("www.example.com"), DNS_A, on_nothing, NULL);
    struct resolver_query *sent =
        resolver_ask(resolver, SPAN("silent.example.com"), DNS_A, on_nothing, NULL);
    resolver_cancel(&early); /* not even sent */
    assert_null(early);
    ask(world, resolver, "nxdomain.example.com");
    resolver_cancel(&sent); /* under way */
    ask(world, resolver, "www.example.com");
    assert_int_equal(world->answers, 2);
    resolver_free(&resolver);
}

static void questions_may_be_many_and_end_each_once(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = resolver_of(world, false, true);
    enum { MANY = 200 };
    for (unsigned i = 0; i < MANY; i++)
        resolver_ask(resolver, SPAN("www.example.com"), DNS_A, on_answer, world);
    while (world->answers < MANY)
        loop_run(world->loop);
    assert_int_equal(world->answers, MANY);
    resolver_free(&resolver);
}

static void other_servers_are_taken_in_place(void **state)
{
    struct world *world = *state;
    struct resolver *resolver = NULL;
    assert_null(resolver_new(world->loop, &world->dead.endpoint, 1, true, &resolver));
    assert_null(resolver_servers(resolver, &world->good.endpoint, 1, false));
    ask(world, resolver, "www.example.com");
    assert_int_equal(world->outcome, DNS_ANSWER);
    assert_false(world->secure);
    struct error *err = resolver_servers(resolver, NULL, 0, false);
    assert_non_null(err);
    error_free(&err);
    resolver_free(&resolver);
}

static void resolv_conf_names_the_servers(void **state)
{
    static const char text[] = "# nameserver 192.0.2.9\nsearch example.com\n"
                               "nameserver 192.0.2.1\r\n nameserver\t2001:db8::1 # second\n"
                               "nameserver fe80::1%eth0\nnameserver\nnameserver 192.0.2.3";
    struct endpoint servers[3];
    char address[NETWORK_TEXT_SIZE];
    (void)state;
    assert_int_equal(resolver_servers_of(span_of(text), servers, 3), 3);
    endpoint_format(&servers[0], address);
    assert_string_equal(address, "192.0.2.1:53");
    endpoint_format(&servers[1], address);
    assert_string_equal(address, "[2001:db8::1]:53");
    assert_int_equal(resolver_servers_of(span_of(text), servers, 1), 1);
    assert_int_equal(resolver_servers_of(SPAN(""), servers, 3), 0);
}

static void servers_on_this_machine_alone_are_trusted(void **state)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    struct endpoint servers[SETTINGS_RESOLVERS_MAX];
    char address[NETWORK_TEXT_SIZE];
    bool trusted = false;
    (void)state;
    assert_int_equal(resolver_servers_for(settings, SPAN(""), servers, &trusted), 1);
    endpoint_format(&servers[0], address);
    assert_string_equal(address, "127.0.0.1:53");
    assert_true(trusted);
    struct span both = SPAN("nameserver 127.0.0.53\nnameserver 192.0.2.1\n");
    assert_int_equal(resolver_servers_for(settings, both, servers, &trusted), 2);
    assert_false(trusted);
    settings->resolver_count = 1;
    assert_true(endpoint_parse(SPAN("[::1]:5353"), 53, &settings->resolvers[0]));
    assert_int_equal(resolver_servers_for(settings, both, servers, &trusted), 1);
    assert_true(trusted);
    assert_int_equal(servers[0].port, 5353);
    free(settings);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, world_open, world_close, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("an answer comes with its security, where the resolver is trusted",
              an_answer_comes_with_its_security),
        STORY("an answer is not secure unless the resolver has shown that it validates",
              an_answer_is_not_secure_unless_the_resolver_has_shown_that_it_validates),
        STORY("questions wait for a proof that is under way",
              questions_wait_for_a_proof_that_is_under_way),
        STORY("the AD of a server that is doubted calls for a proof",
              the_ad_of_a_server_that_is_doubted_calls_for_a_proof),
        STORY("only a proof asks for the root", only_a_proof_asks_for_the_root),
        STORY("absence is told from trouble", absence_is_told_from_trouble),
        STORY("a truncated answer is fetched over TCP", a_truncated_answer_is_fetched_over_tcp),
        STORY("a server without EDNS is asked without it (RFC 6891 s.7)",
              a_server_without_edns_is_asked_without_it),
        STORY("an answer whose question is spelt otherwise is asked for again over TCP",
              an_answer_spelt_otherwise_is_asked_for_again_over_tcp),
        STORY("only the first question waits for a dead server",
              only_the_first_question_waits_for_a_dead_server),
        STORY("a cancelled question is never answered", a_cancelled_question_is_never_answered),
        STORY("questions may be many and end each once", questions_may_be_many_and_end_each_once),
        STORY("other servers are taken in place", other_servers_are_taken_in_place),
        STORY("resolv.conf names the servers", resolv_conf_names_the_servers),
        STORY("servers on this machine alone are trusted",
              servers_on_this_machine_alone_are_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
