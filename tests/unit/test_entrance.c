/* Who of those that connect gets a session, and what the others hear. */
#include "smtpd/entrance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "smtpd/session_private.h"
#include "tests/support/smtpd/session_rig.h"
#include "tests/support/test.h"

enum { CLIENTS_MAX = 64 };

struct gate {
    struct rig rig;
    struct entrance entrance;
    int clients[CLIENTS_MAX];
    unsigned client_count;
};

static void on_ended(void *ctx, const struct ip_address *client)
{
    struct gate *gate = ctx;

    entrance_left(&gate->entrance, client);
}

static int open_gate(void **state)
{
    static struct gate gate;

    rig_init(&gate.rig);
    gate.rig.host.on_ended = on_ended;
    gate.rig.host.ctx = &gate;
    gate.client_count = 0;
    *state = &gate;
    return 0;
}

static int close_gate(void **state)
{
    struct gate *gate = *state;

    for (unsigned i = 0; i < gate->client_count; i++)
        close(gate->clients[i]); /* first: streams that linger see the end */
    rig_close(&gate->rig);
    entrance_close(&gate->entrance);
    return 0;
}

static void open_entrance(struct gate *gate, int shared)
{
    struct error *err = entrance_open(&gate->entrance, &gate->rig.host, shared);

    assert_null(err);
}

static struct sockaddr_storage sockaddr_of(const char *address)
{
    struct endpoint client = { .port = 4711 };
    struct sockaddr_storage out;

    assert_true(ip_address_parse(span_of(address), &client.address));
    (void)endpoint_to_sockaddr(&client, &out);
    return out;
}

/* A client comes; gives its number. */
static unsigned arrive(struct gate *gate, const char *address)
{
    struct sockaddr_storage from = sockaddr_of(address);
    int fds[2];

    assert_true(gate->client_count < CLIENTS_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    gate->clients[gate->client_count] = fds[1];
    entrance_welcome(&gate->entrance, &gate->rig.place, fds[0], (struct sockaddr *)&from);
    rig_settle(&gate->rig);
    return gate->client_count++;
}

static void leave(struct gate *gate, unsigned number)
{
    close(gate->clients[number]);
    gate->clients[number] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    rig_settle(&gate->rig);
}

static void assert_hears(const struct gate *gate, unsigned number, const char *start)
{
    char heard[256] = "";

    assert_true(read(gate->clients[number], heard, sizeof(heard) - 1) > 0);
    if (strncmp(heard, start, strlen(start)) != 0)
        fail_msg("expected \"%s\", heard \"%s\"", start, heard);
}

static void assert_closed(const struct gate *gate, unsigned number)
{
    char room[16];

    assert_int_equal(read(gate->clients[number], room, sizeof(room)), 0);
}

static void who_comes_through_a_unix_socket_is_known_by_number(void **state)
{
    struct gate *gate = *state;
    const struct sockaddr_storage from = { .ss_family = AF_UNIX };
    char said[64];
    int fds[2];

    open_entrance(gate, -1);
    snprintf(said, sizeof(said), "refuse client=local:%u ", getuid());
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    gate->clients[gate->client_count++] = fds[1];
    entrance_welcome(&gate->entrance, &gate->rig.place, fds[0], (const struct sockaddr *)&from);
    rig_settle(&gate->rig);
    assert_hears(gate, 0, "220 ");
    assert_int_equal(write(fds[1], "NONSENSE\r\n", 10), 10);
    rig_settle(&gate->rig);
    assert_hears(gate, 0, "500 ");
    assert_true(rig_has_logged(&gate->rig, said));
}

static void a_client_has_its_share_and_no_more(void **state)
{
    struct gate *gate = *state;

    gate->rig.settings.max_connections_per_client = 2;
    open_entrance(gate, -1);
    unsigned first = arrive(gate, "192.0.2.1");
    assert_hears(gate, first, "220 ");
    assert_hears(gate, arrive(gate, "192.0.2.1"), "220 ");
    unsigned third = arrive(gate, "192.0.2.1");
    assert_hears(gate, third, "421 4.7.0 relay.example has too many connections from you\r\n");
    assert_closed(gate, third);
    assert_true(rig_has_logged(&gate->rig, " turn-away client=192.0.2.1:4711 reply=\"421 4.7.0"));
    assert_hears(gate, arrive(gate, "192.0.2.2"), "220 ");
    leave(gate, first);
    assert_hears(gate, arrive(gate, "192.0.2.1"), "220 ");
    assert_int_equal(counters_total(gate->entrance.counters), 3);
}

/* A client has handed in mail not long ago. */
static void praise(struct gate *gate, const char *address)
{
    struct ip_address client;

    assert_true(ip_address_parse(span_of(address), &client));
    rates_praise(gate->rig.host.rates, &client, loop_now(gate->rig.loop));
}

static void assert_silent(const struct gate *gate, unsigned number)
{
    char room[16];

    assert_int_equal(read(gate->clients[number], room, sizeof(room)), -1);
    assert_int_equal(errno, EAGAIN);
}

static void overload_is_borne_by_strangers(void **state)
{
    struct gate *gate = *state;
    unsigned clients[10], known, late;

    gate->rig.settings.max_connections = 10;
    open_entrance(gate, -1);
    praise(gate, "192.0.2.9");
    for (int i = 0; i < 7; i++) {
        clients[i] = arrive(gate, "192.0.2.1");
        assert_hears(gate, clients[i], "220 ");
    }
    late = arrive(gate, "192.0.2.1"); /* first: slow down */
    assert_silent(gate, late);
    assert_hears(gate, arrive(gate, "192.0.2.1"), "421 4.3.2 "); /* then: nobody new */
    known = arrive(gate, "192.0.2.9");
    assert_hears(gate, known, "220 ");
    assert_int_equal(gate->rig.host.pressure, PRESSURE_HIGH);
    for (int i = 0; i < 20 && gate->rig.host.session_count == 9; i++) {
        struct pollfd heard = { gate->clients[late], POLLIN, 0 };
        rig_settle(&gate->rig);
        if (poll(&heard, 1, 100) == 1)
            break;
    }
    assert_hears(gate, late, "220 ");
    for (int i = 0; i < 7; i++)
        leave(gate, clients[i]);
    assert_int_equal(gate->rig.host.pressure, PRESSURE_NONE);
    assert_hears(gate, arrive(gate, "192.0.2.1"), "220 ");
}

static struct session *session_of(struct gate *gate, unsigned number)
{
    struct session *s;

    LIST_EACH(s, &gate->rig.host.sessions, struct session, in_host)
    {
        if (number-- == 0)
            return s;
    }
    fail();
    return NULL;
}

static int64_t left_ms(struct gate *gate, unsigned number)
{
    return session_of(gate, number)->deadline_ms - loop_now(gate->rig.loop);
}

static void says_hello(struct gate *gate, unsigned number)
{
    assert_int_equal(write(gate->clients[number], "HELO x\r\n", 8), 8);
    rig_settle(&gate->rig);
    assert_hears(gate, number, "250 ");
}

static void under_pressure_strangers_have_less_time(void **state)
{
    struct gate *gate = *state;

    gate->rig.settings.max_connections = 10;
    open_entrance(gate, -1);
    praise(gate, "192.0.2.9");
    for (int i = 0; i < 7; i++)
        assert_hears(gate, arrive(gate, i == 1 ? "192.0.2.9" : "192.0.2.1"), "220 ");
    assert_true(left_ms(gate, 0) > MINUTE_MS && left_ms(gate, 1) > MINUTE_MS);
    (void)arrive(gate, "192.0.2.1");
    (void)arrive(gate, "192.0.2.1");
    assert_in_range(left_ms(gate, 0), 1, SMTPD_HURRY_MS);
    assert_true(left_ms(gate, 1) > MINUTE_MS);
    session_of(gate, 0)->deadline_ms -= 5000;
    session_host_press(&gate->rig.host, PRESSURE_HIGH);
    assert_in_range(left_ms(gate, 0), 1, SMTPD_HURRY_MS - 4000); /* nothing is given back */
    says_hello(gate, 0);
    says_hello(gate, 1);
    assert_in_range(left_ms(gate, 0), SMTPD_HURRY_MS - 1000, SMTPD_HURRY_MS);
    assert_true(left_ms(gate, 1) > MINUTE_MS);
}

static void says_line(struct gate *gate, unsigned number, const char *line, const char *hears)
{
    size_t len = strlen(line);

    assert_int_equal(write(gate->clients[number], line, len), len);
    rig_settle(&gate->rig);
    assert_hears(gate, number, hears);
}

static void recipients_of_all_clients_together_take_so_much_memory(void **state)
{
    struct gate *gate = *state;
    unsigned first, second;

    open_entrance(gate, -1);
    gate->rig.settings.max_envelope_bytes = 64 * sizeof(struct envelope_recipient) - 1;
    first = arrive(gate, "192.0.2.1");
    second = arrive(gate, "192.0.2.2");
    assert_hears(gate, first, "220 ");
    assert_hears(gate, second, "220 ");
    says_line(gate, first, "HELO x\r\n", "250 ");
    says_line(gate, second, "HELO x\r\n", "250 ");
    says_line(gate, first, "MAIL FROM:<a@example.net>\r\n", "250 ");
    says_line(gate, second, "MAIL FROM:<a@example.net>\r\n", "250 ");
    for (int i = 0; i < 33; i++) /* room for 64 of them */
        says_line(gate, first, "RCPT TO:<b@example.com>\r\n", "250 ");
    says_line(gate, second, "RCPT TO:<b@example.com>\r\n", "452 4.3.1 ");
    says_line(gate, first, "RCPT TO:<b@example.com>\r\n", "452 4.3.1 ");
    says_line(gate, first, "RSET\r\n", "250 ");
    says_line(gate, second, "RCPT TO:<b@example.com>\r\n", "250 ");
    leave(gate, first);
    leave(gate, second);
    assert_int_equal(gate->rig.host.envelope_bytes, 0);
}

static void all_clients_together_have_a_limit(void **state)
{
    struct gate *gate = *state;

    gate->rig.settings.max_connections = 10;
    gate->rig.settings.max_connections_per_client = 100;
    open_entrance(gate, -1);
    praise(gate, "192.0.2.1");
    praise(gate, "192.0.2.2");
    for (int i = 0; i < 9; i++)
        assert_hears(gate, arrive(gate, "192.0.2.1"), "220 ");
    assert_hears(gate, arrive(gate, "192.0.2.2"), "421 4.3.2 ");
    assert_hears(gate, arrive(gate, "127.0.0.1"), "220 ");
    assert_hears(gate, arrive(gate, "127.0.0.1"), "421 4.3.2 ");
}

static void whoever_is_not_taken_is_counted_nowhere(void **state)
{
    struct gate *gate = *state;

    gate->rig.settings.max_connections_per_client = 1;
    open_entrance(gate, -1);
    assert_hears(gate, arrive(gate, "192.0.2.1"), "220 ");
    for (int i = 0; i < 5; i++)
        assert_hears(gate, arrive(gate, "192.0.2.1"), "421 4.7.0 ");
    assert_int_equal(counters_total(gate->entrance.counters), 1);
    assert_int_equal(gate->rig.host.session_count, 1);
}

static void a_table_that_cannot_be_shared_is_no_reason_to_be_closed(void **state)
{
    struct gate *gate = *state;
    int too_small = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    gate->rig.settings.max_connections_per_client = 1;
    open_entrance(gate, too_small);
    assert_true(rig_has_logged(&gate->rig, " warning smtpd["));
    assert_true(rig_has_logged(&gate->rig, " counting-alone error="));
    assert_hears(gate, arrive(gate, "192.0.2.1"), "220 ");
    assert_hears(gate, arrive(gate, "192.0.2.1"), "421 4.7.0 ");
    close(too_small);
}

static void descriptors_bound_the_connections(void **state)
{
    struct gate *gate = *state;
    struct rlimit before, few;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 3 * SMTPD_FILES_RESERVE;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    gate->rig.settings.max_connections = 2 * SMTPD_FILES_RESERVE;
    open_entrance(gate, -1);
    assert_int_equal(gate->entrance.connections_max, 2 * SMTPD_FILES_RESERVE);
    assert_false(rig_has_logged(&gate->rig, "few-descriptors"));
    entrance_close(&gate->entrance);
    gate->rig.settings.max_connections = 2 * SMTPD_FILES_RESERVE + 1;
    open_entrance(gate, -1);
    assert_int_equal(gate->entrance.connections_max, 2 * SMTPD_FILES_RESERVE);
    assert_true(rig_has_logged(&gate->rig, " few-descriptors limit=192 max-connections=129"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_gate, close_gate, NULL                                               \
    }

/* --- proxies */

static void expect_proxies(struct gate *gate)
{
    struct listener_settings *listener = &gate->rig.settings.listeners[0];

    assert_true(network_parse(SPAN("198.51.100.1/32"), &listener->proxy_from.items[0]));
    listener->proxy_from.count = 1;
    open_entrance(gate, -1);
}

static void says(struct gate *gate, unsigned number, struct span bytes)
{
    assert_int_equal(write(gate->clients[number], bytes.data, bytes.len), bytes.len);
    rig_settle(&gate->rig);
}

static void a_proxy_names_the_client_before_the_greeting(void **state)
{
    struct gate *gate = *state;
    const char *line = "PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\n";

    expect_proxies(gate);
    unsigned client = arrive(gate, "198.51.100.1");
    for (size_t i = 0; line[i] != '\0'; i++) {
        assert_silent(gate, client);
        says(gate, client, (struct span){ line + i, 1 });
    }
    assert_hears(gate, client, "220 ");
    assert_true(rig_has_logged(&gate->rig, " connect client=192.0.2.7:4000"));
    says(gate, client, SPAN("HELO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n"));
    assert_hears(gate, client, "250 relay.example\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
    assert_int_equal(gate->entrance.proxies.count, 0);
}

static void not_a_byte_behind_the_header_is_lost(void **state)
{
    struct gate *gate = *state;

    expect_proxies(gate);
    unsigned client = arrive(gate, "198.51.100.1");
    says(
        gate, client,
        SPAN(
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x07\xc6\x33\x64\x01\x0f\xa0\0\x19\x04\0\0"
            "EHLO early"));
    assert_hears(gate, client, "554 5.5.1 You spoke before the greeting\r\n"); /* it was seen */
}

static void a_proxy_that_speaks_for_itself_does_not_relay(void **state)
{
    struct gate *gate = *state;

    gate->rig.settings.listeners[0].relay_from.count = 2;
    assert_true(network_parse(SPAN("198.51.100.0/24"),
                              &gate->rig.settings.listeners[0].relay_from.items[1]));
    expect_proxies(gate);
    unsigned client = arrive(gate, "198.51.100.1");
    says(gate, client, SPAN("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"));
    assert_hears(gate, client, "220 ");
    says(gate, client, SPAN("HELO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n"));
    assert_hears(gate, client,
                 "250 relay.example\r\n250 2.1.0 Ok\r\n550 5.7.1 Relaying denied: you are a proxy");
}

static void whoever_is_no_proxy_is_not_served_there(void **state)
{
    struct gate *gate = *state;

    expect_proxies(gate);
    unsigned stranger = arrive(gate, "198.51.100.2");
    assert_closed(gate, stranger);
    assert_true(rig_has_logged(
        &gate->rig, " proxy-refused client=198.51.100.2:4711 reason=\"not in proxy-from\""));
    unsigned silent = arrive(gate, "198.51.100.1");
    unsigned plain = arrive(gate, "198.51.100.1");
    says(gate, plain, SPAN("EHLO client.test\r\n"));
    assert_int_equal(read(gate->clients[plain], (char[16]){ 0 }, 16), -1); /* reset: unread input */
    assert_true(rig_has_logged(&gate->rig, "reason=\"no valid PROXY header\""));
    unsigned short_lived = arrive(gate, "198.51.100.1");
    leave(gate, short_lived);
    assert_true(rig_has_logged(&gate->rig, "reason=\"closed before its PROXY header\""));
    assert_int_equal(gate->entrance.proxies.count, 1);
    assert_silent(gate, silent);
    assert_int_equal(counters_total(gate->entrance.counters), 0);
}

static void those_without_a_header_are_bounded_in_number_and_time(void **state)
{
    struct gate *gate = *state;

    gate->rig.settings.max_connections = 1;
    expect_proxies(gate);
    gate->entrance.proxies.patience_ms = 300;
    unsigned silent = arrive(gate, "198.51.100.1");
    assert_hears(gate, arrive(gate, "198.51.100.1"), "421 4.3.2 ");
    while (gate->entrance.proxies.count > 0)
        rig_settle(&gate->rig);
    assert_closed(gate, silent);
    assert_true(rig_has_logged(&gate->rig, "reason=\"no PROXY header in time\""));
}

static void a_header_that_comes_while_we_drain_gets_a_421(void **state)
{
    struct gate *gate = *state;

    expect_proxies(gate);
    unsigned client = arrive(gate, "198.51.100.1");
    session_host_drain(&gate->rig.host);
    rig_settle(&gate->rig);
    assert_silent(gate, client);
    assert_int_equal(gate->entrance.proxies.count, 1);
    says(gate, client, SPAN("PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\n"));
    assert_hears(gate, client, "421 4.3.2 relay.example restarts, please connect again\r\n");
    assert_closed(gate, client);
    assert_int_equal(gate->entrance.proxies.count, 0);
    assert_int_equal(counters_total(gate->entrance.counters), 0);
    assert_true(rig_has_logged(&gate->rig, " turn-away client=192.0.2.7:4000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("who comes through a Unix socket is known by number",
             who_comes_through_a_unix_socket_is_known_by_number),
        TEST("a client has its share of connections and no more",
             a_client_has_its_share_and_no_more),
        TEST("overload is borne by strangers: late, then turned away; who is known goes on",
             overload_is_borne_by_strangers),
        TEST("under pressure strangers have less time", under_pressure_strangers_have_less_time),
        TEST("recipients of all clients together take so much memory",
             recipients_of_all_clients_together_take_so_much_memory),
        TEST("all clients together have a limit, the last tenth is for loopback",
             all_clients_together_have_a_limit),
        TEST("whoever is not taken is counted nowhere", whoever_is_not_taken_is_counted_nowhere),
        TEST("a table that cannot be shared is no reason to stay closed",
             a_table_that_cannot_be_shared_is_no_reason_to_be_closed),
        TEST("a proxy names the client before the greeting (PROXY version 1)",
             a_proxy_names_the_client_before_the_greeting),
        TEST("not a byte behind a proxy's header is lost (PROXY version 2)",
             not_a_byte_behind_the_header_is_lost),
        TEST("a proxy that speaks for itself does not relay",
             a_proxy_that_speaks_for_itself_does_not_relay),
        TEST("where proxies are expected nobody else is served",
             whoever_is_no_proxy_is_not_served_there),
        TEST("connections without a header are bounded in number and time",
             those_without_a_header_are_bounded_in_number_and_time),
        TEST("descriptors bound the connections", descriptors_bound_the_connections),
        TEST("a header that comes while we drain gets a 421",
             a_header_that_comes_while_we_drain_gets_a_421),
    };
    return cmocka_run_group_tests_name("entrance", tests, NULL, NULL);
}
