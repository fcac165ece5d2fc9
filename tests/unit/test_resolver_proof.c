#include "lib/io/resolver_proof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "tests/support/fake_dns.h"

/* ---- what the answers say ------------------------------------------------------------------- */

static struct proof_facts flawless(void)
{
    return (struct proof_facts){ .root = { true, DNS_ANSWER, true },
                                 .denial = { true, DNS_NXDOMAIN, true },
                                 .bogus = { true, DNS_TEMPFAIL, false } };
}

static void expect(struct proof_facts facts, enum proof_verdict verdict, const char *words)
{
    const char *reason = NULL;
    assert_int_equal(resolver_proof_judge(&facts, &reason), verdict);
    assert_non_null(strstr(reason, words));
    assert_int_equal(reason[0] == '\0', verdict == PROOF_HOLDS);
}

static void a_proof_holds_with_all_of_it(void **state)
{
    (void)state;
    struct proof_facts facts = flawless();
    expect(facts, PROOF_HOLDS, "");
    facts.bogus = (struct proof_fact){ .is_asked = false };
    expect(facts, PROOF_HOLDS, "");
}

static void a_proof_fails_without_ad(void **state)
{
    (void)state;
    struct proof_facts facts = flawless();
    facts.root.secure = false;
    expect(facts, PROOF_FAILS, "DNSKEY comes without AD");
    facts = flawless();
    facts.denial.secure = false;
    expect(facts, PROOF_FAILS, "denies a top-level name without AD");
}

static void a_proof_fails_when_the_answers_are_made_up(void **state)
{
    (void)state;
    struct proof_facts facts = flawless();
    facts.root.outcome = DNS_NODATA;
    expect(facts, PROOF_FAILS, "knows no DNSKEY of the root");
    facts = flawless();
    facts.denial.outcome = DNS_ANSWER;
    expect(facts, PROOF_FAILS, "answers for a top-level name that nobody has");
    facts.denial.outcome = DNS_NODATA;
    expect(facts, PROOF_FAILS, "answers for a top-level name that nobody has");
}

static void a_proof_fails_when_the_bogus_name_resolves(void **state)
{
    (void)state;
    struct proof_facts facts = flawless();
    facts.bogus.outcome = DNS_ANSWER;
    expect(facts, PROOF_FAILS, "dnssec-bogus-name resolves");
    facts.bogus.outcome = DNS_NODATA;
    expect(facts, PROOF_FAILS, "dnssec-bogus-name resolves");
    facts.bogus.outcome = DNS_NXDOMAIN;
    expect(facts, PROOF_FAILS, "there is no name dnssec-bogus-name");
}

static void trouble_shows_nothing(void **state)
{
    (void)state;
    struct proof_facts facts = flawless();
    facts.root.outcome = DNS_TEMPFAIL;
    expect(facts, PROOF_IS_OPEN, "the root's DNSKEY cannot be looked up");
    facts = flawless();
    facts.denial.outcome = DNS_TEMPFAIL;
    expect(facts, PROOF_IS_OPEN, "nobody has cannot be looked up");
    facts.root.secure = false; /* but what is shown is shown */
    expect(facts, PROOF_FAILS, "DNSKEY comes without AD");
}

static void what_was_shown_stays_until_the_contrary_is(void **state)
{
    (void)state;
    assert_int_equal(resolver_proof_standing(RESOLVER_PROVEN, PROOF_IS_OPEN), RESOLVER_PROVEN);
    assert_int_equal(resolver_proof_standing(RESOLVER_UNPROVEN, PROOF_IS_OPEN), RESOLVER_IN_DOUBT);
    assert_int_equal(resolver_proof_standing(RESOLVER_PROVEN, PROOF_FAILS), RESOLVER_UNPROVEN);
    assert_int_equal(resolver_proof_standing(RESOLVER_UNPROVEN, PROOF_HOLDS), RESOLVER_PROVEN);
}

/* ---- with a resolver ------------------------------------------------------------------------ */

enum {
    VALIDATES,
    IS_BLIND,
    BREAKS,
    HIDES_ROOT
}; /* what the server does just now, in memory it shares */
static int *mood;

static size_t reply_by_mood(const unsigned char *query, bool tcp, unsigned char *reply)
{
    static const unsigned char data[] = { 1, 0, 3, 8 };
    size_t end = fake_dns_question_end(query);
    size_t at = fake_dns_begin(query, reply);
    (void)tcp;
    if (*mood == BREAKS || fake_dns_starts(query, "bogus") ||
        (*mood == HIDES_ROOT && query[FAKE_DNS_HEADER] == 0))
        reply[3] |= 2;
    else if (query[FAKE_DNS_HEADER] == 0 || fake_dns_starts(query, "www"))
        at = fake_dns_add_answer(reply, at, query[end - 3], data, sizeof(data));
    else
        reply[3] |= 3;
    if (*mood == IS_BLIND)
        reply[3] &= (unsigned char)~0x20U;
    return fake_dns_add_opt(reply, at);
}

static size_t reply_without_ad(const unsigned char *query, bool tcp, unsigned char *reply)
{
    size_t len = reply_by_mood(query, tcp, reply);
    reply[3] &= (unsigned char)~0x20U;
    return len;
}

struct world {
    struct loop *loop;
    struct fake_dns server;
    struct resolver *resolver;
    struct resolver_proof *proof;
    unsigned answers;
    bool secure;
    int64_t took_ms;
};

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    mood = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fake_dns_start(&world->server, reply_by_mood);
    world->loop = loop_new();
    assert_null(resolver_new(world->loop, &world->server.endpoint, 1, true, &world->resolver));
    world->proof = resolver_proof_new(world->loop, world->resolver);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;
    resolver_proof_free(&world->proof);
    resolver_free(&world->resolver);
    loop_free(&world->loop);
    fake_dns_stop(&world->server);
    munmap(mood, sizeof(int));
    free(world);
    return 0;
}

static void on_answer(void *ctx, const struct dns_answer *answer)
{
    struct world *world = ctx;
    assert_int_equal(answer->outcome == DNS_ANSWER, *mood != BREAKS);
    world->answers++;
    world->secure = answer->secure;
    loop_stop(world->loop);
}

/* Whether an answer that is asked for right now is secure. */
static bool is_secure(struct world *world)
{
    int64_t before = clock_monotonic_ms();
    resolver_ask(world->resolver, SPAN("www.example"), DNS_A, on_answer, world);
    loop_run(world->loop);
    world->took_ms = clock_monotonic_ms() - before;
    return world->secure;
}

static void expect_state(const struct world *world, const char *state, const char *reason)
{
    struct json *shown = resolver_proof_json(world->proof);
    assert_true(span_equal(json_text(json_get(shown, "state")), span_of(state)));
    assert_int_equal(json_kind_of(json_get(shown, "reason")) == JSON_KIND_NULL, !reason);
    struct span said = json_text(json_get(shown, "reason"));
    if (reason)
        assert_non_null(memmem(said.data, said.len, reason, strlen(reason)));
    assert_string_equal(resolver_proof_trouble(world->proof)[0] == '\0' ? "on" : "off",
                        strcmp(state, "on") == 0 ? "on" : "off");
    json_free(&shown);
}

static void the_first_question_waits_for_the_proof_and_is_answered_securely(void **state)
{
    struct world *world = *state;
    *mood = VALIDATES;
    expect_state(world, "starting", "not shown yet");
    resolver_proof_start(world->proof, "");
    expect_state(world, "starting", "not shown yet");
    assert_true(is_secure(world));
    assert_in_range(world->took_ms, 0, 1000);
    expect_state(world, "on", NULL);
}

static void a_resolver_that_does_not_validate_makes_nothing_secure(void **state)
{
    struct world *world = *state;
    *mood = IS_BLIND;
    resolver_proof_start(world->proof, "");
    assert_false(is_secure(world));
    expect_state(world, "off", "comes without AD");
    *mood = VALIDATES; /* its AD does not count before the next proof */
    assert_false(is_secure(world));
    resolver_proof_start(world->proof, "bogus.example");
    assert_true(is_secure(world));
}

static void a_bogus_name_that_resolves_turns_it_off(void **state)
{
    struct world *world = *state;
    *mood = VALIDATES;
    resolver_proof_start(world->proof, "www.example");
    assert_false(is_secure(world));
    expect_state(world, "off", "dnssec-bogus-name resolves");
    resolver_proof_start(world->proof, "bogus.example");
    assert_true(is_secure(world));
    expect_state(world, "on", NULL);
}

static void on_waited(void *ctx)
{
    loop_stop(ctx);
}

static void after_trouble_it_is_tried_again_soon(void **state)
{
    struct world *world = *state;
    struct loop_timer *wait = loop_timer_new(world->loop, on_waited, world->loop);
    *mood = BREAKS;
    resolver_proof_start(world->proof, "");
    assert_false(is_secure(world));
    expect_state(world, "off", "cannot be looked up");
    *mood = VALIDATES;
    loop_timer_start(wait, 2 * SECOND_MS);
    loop_run(world->loop);
    expect_state(world, "on", NULL);
    loop_timer_free(&wait);
}

static void an_answer_with_ad_calls_for_a_proof_that_could_not_be_had_before(void **state)
{
    struct world *world = *state;
    *mood = BREAKS;
    resolver_proof_start(world->proof, "");
    assert_false(is_secure(world));
    *mood = VALIDATES;
    assert_true(is_secure(world)); /* the first one, already */
    expect_state(world, "on", NULL);
}

static void what_was_shown_holds_through_trouble(void **state)
{
    struct world *world = *state;
    *mood = VALIDATES;
    resolver_proof_start(world->proof, "");
    assert_true(is_secure(world));
    *mood = HIDES_ROOT;
    resolver_set_standing(world->resolver, RESOLVER_IN_DOUBT); /* so that it is proven anew */
    assert_true(is_secure(world));
    expect_state(world, "on", "the root's DNSKEY cannot be looked up");
}

static void an_answer_with_ad_is_not_believed_when_the_proof_cannot_be_had(void **state)
{
    struct world *world = *state;
    *mood = HIDES_ROOT;
    resolver_proof_start(world->proof, "");
    assert_false(is_secure(world));
    assert_false(is_secure(world));
    assert_in_range(world->took_ms, 0, 1000);
    expect_state(world, "off", "the root's DNSKEY cannot be looked up");
}

static void what_is_not_on_this_machine_is_never_believed(void **state)
{
    struct world *world = *state;
    *mood = VALIDATES;
    assert_null(resolver_servers(world->resolver, &world->server.endpoint, 1, false));
    resolver_proof_start(world->proof, "");
    expect_state(world, "off", "not on this machine");
    assert_false(is_secure(world));
}

/* The others may be asked at any time, in its place. */
static void all_servers_have_to_show_it(void **state)
{
    struct world *world = *state;
    struct fake_dns blind;
    fake_dns_start(&blind, reply_without_ad);
    struct endpoint servers[] = { world->server.endpoint, blind.endpoint };
    *mood = VALIDATES;
    assert_null(resolver_servers(world->resolver, servers, 2, true));
    resolver_proof_start(world->proof, "");
    assert_false(is_secure(world));
    char address[NETWORK_TEXT_SIZE];
    endpoint_format(&blind.endpoint, address);
    expect_state(world, "off", address);
    fake_dns_stop(&blind);
}

static void a_server_that_does_not_answer_leaves_it_to_the_others(void **state)
{
    struct world *world = *state;
    struct fake_dns dead;
    fake_dns_open(&dead);
    fake_dns_stop(&dead); /* its port is closed */
    struct endpoint servers[] = { dead.endpoint, world->server.endpoint };
    *mood = VALIDATES;
    assert_null(resolver_servers(world->resolver, servers, 2, true));
    resolver_proof_start(world->proof, "");
    assert_true(is_secure(world));
    expect_state(world, "on", NULL);
}

static void it_may_end_while_a_proof_is_under_way(void **state)
{
    struct world *world = *state;
    *mood = VALIDATES;
    resolver_proof_start(world->proof, "bogus.example");
    resolver_proof_free(&world->proof);
    assert_null(world->proof);
    resolver_set_standing(world->resolver, RESOLVER_UNPROVEN);
    assert_false(is_secure(world));
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }
#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, world_open, world_close, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a proof holds with the root's keys, a denial, and a bogus name that fails",
          a_proof_holds_with_all_of_it),
        T("a proof fails without AD", a_proof_fails_without_ad),
        T("a proof fails when the answers are made up", a_proof_fails_when_the_answers_are_made_up),
        T("a proof fails when the bogus name resolves", a_proof_fails_when_the_bogus_name_resolves),
        T("trouble shows nothing", trouble_shows_nothing),
        T("what was shown stays until the contrary is shown",
          what_was_shown_stays_until_the_contrary_is),
        STORY("the first question waits for the proof, and is answered securely",
              the_first_question_waits_for_the_proof_and_is_answered_securely),
        STORY("a resolver that does not validate makes nothing secure",
              a_resolver_that_does_not_validate_makes_nothing_secure),
        STORY("a bogus name that resolves turns it off", a_bogus_name_that_resolves_turns_it_off),
        STORY("after trouble it is tried again soon", after_trouble_it_is_tried_again_soon),
        STORY("an answer with AD calls for a proof that could not be had before",
              an_answer_with_ad_calls_for_a_proof_that_could_not_be_had_before),
        STORY("what was shown holds through trouble", what_was_shown_holds_through_trouble),
        STORY("an answer with AD is not believed when the proof cannot be had",
              an_answer_with_ad_is_not_believed_when_the_proof_cannot_be_had),
        STORY("what is not on this machine is never believed",
              what_is_not_on_this_machine_is_never_believed),
        STORY("all servers have to show it", all_servers_have_to_show_it),
        STORY("a server that does not answer leaves it to the others",
              a_server_that_does_not_answer_leaves_it_to_the_others),
        STORY("it may end while a proof is under way", it_may_end_while_a_proof_is_under_way),
    };
    log_open(2, LOG_ERROR, "test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
