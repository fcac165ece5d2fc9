#include "lib/io/resolver.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"

/* ---- a small DNS server in a process of its own: the first label says what it does ---------- */

enum { HEADER = 12 };

struct fake {
    int udp;
    int tcp;
    pid_t pid;
    struct endpoint endpoint;
};

static bool starts(const unsigned char *query, const char *label)
{
    size_t len = strlen(label);
    return query[HEADER] == len && strncasecmp((const char *)query + HEADER + 1, label, len) == 0;
}

static size_t question_end(const unsigned char *query)
{
    size_t at = HEADER;
    while (query[at] != 0)
        at += query[at] + 1U;
    return at + 5;
}

/* An A record with 30 seconds to live. */
static size_t add_answer(unsigned char *reply, size_t at)
{
    static const unsigned char a_record[] = {
        0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 7
    };
    memcpy(reply + at, a_record, sizeof(a_record));
    reply[7] = 1;
    return at + sizeof(a_record);
}

static size_t add_opt(unsigned char *reply, size_t at)
{
    static const unsigned char opt[] = { 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0 };
    memcpy(reply + at, opt, sizeof(opt));
    reply[11] = 1;
    return at + sizeof(opt);
}

/* 0: no reply. */
static size_t fake_reply(const unsigned char *query, bool tcp, unsigned char *reply)
{
    size_t at = question_end(query);
    memcpy(reply, query, at);
    memset(reply + 6, 0, 6);
    reply[2] = 0x81;
    reply[3] = 0xa0 & (query[3] | 0x80); /* AD only if it was wanted */
    if (starts(query, "silent"))
        return 0;
    if (starts(query, "old") && query[11] == 1) { /* knows no EDNS: FORMERR, without OPT */
        reply[3] |= 1;
        return at;
    }
    if (starts(query, "servfail"))
        reply[3] |= 2;
    else if (starts(query, "refused"))
        reply[3] |= 5;
    else if (starts(query, "nxdomain"))
        reply[3] |= 3;
    else if (starts(query, "long") && !tcp)
        reply[2] |= 2;
    else
        at = add_answer(reply, at);
    if (starts(query, "forged") && !tcp)
        for (size_t i = HEADER + 1; i < HEADER + 7; i++)
            reply[i] ^= 0x20;
    return starts(query, "old") ? at : add_opt(reply, at);
}

static void serve_udp(int fd)
{
    unsigned char query[2048];
    unsigned char reply[2048];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    ssize_t len = recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);
    if (len < HEADER)
        return;
    size_t size = fake_reply(query, false, reply);
    if (size > 0)
        sendto(fd, reply, size, 0, (struct sockaddr *)&from, from_len);
}

static void serve_tcp(int listener)
{
    unsigned char query[2050];
    unsigned char reply[2050];
    int fd = accept(listener, NULL, NULL);
    if (recv(fd, query, sizeof(query), 0) > HEADER + 2) {
        size_t size = fake_reply(query + 2, true, reply + 2);
        reply[0] = (unsigned char)(size >> 8);
        reply[1] = (unsigned char)size;
        if (size > 0)
            send(fd, reply, size + 2, 0);
    }
    poll(NULL, 0, 20);
    close(fd);
}

static void fake_run(const struct fake *fake)
{
    struct pollfd fds[2] = { { fake->udp, POLLIN, 0 }, { fake->tcp, POLLIN, 0 } };
    for (;;) {
        poll(fds, 2, -1);
        if (fds[0].revents)
            serve_udp(fake->udp);
        if (fds[1].revents)
            serve_tcp(fake->tcp);
    }
}

static void fake_open(struct fake *fake)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(sa);
    fake->udp = socket(AF_INET, SOCK_DGRAM, 0);
    fake->tcp = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fake->udp, (struct sockaddr *)&sa, sizeof(sa)), 0);
    getsockname(fake->udp, (struct sockaddr *)&sa, &len);
    assert_int_equal(bind(fake->tcp, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fake->tcp, 8), 0);
    assert_true(endpoint_from_sockaddr((struct sockaddr *)&sa, &fake->endpoint));
}

static void fake_start(struct fake *fake)
{
    fake_open(fake);
    fake->pid = fork();
    if (fake->pid == 0)
        fake_run(fake);
}

static void fake_stop(struct fake *fake)
{
    if (fake->pid > 0) {
        kill(fake->pid, SIGKILL);
        waitpid(fake->pid, NULL, 0);
    }
    close(fake->udp);
    close(fake->tcp);
}

/* ---- asking it ------------------------------------------------------------------------------ */

struct world {
    struct loop *loop;
    struct fake good;
    struct fake dead; /* bound, and nobody reads it */
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
    fake_start(&world->good);
    fake_open(&world->dead);
    world->loop = loop_new();
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;
    loop_free(&world->loop);
    fake_stop(&world->good);
    fake_stop(&world->dead);
    free(world);
    return 0;
}

static struct resolver *resolver_of(struct world *world, bool dead_first, bool trusted)
{
    struct endpoint servers[2] = { world->dead.endpoint, world->good.endpoint };
    struct resolver *resolver = NULL;
    unsigned first = dead_first ? 0 : 1;
    assert_null(resolver_new(world->loop, servers + first, 2 - first, trusted, &resolver));
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
