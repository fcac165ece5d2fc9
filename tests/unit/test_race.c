#include "tests/support/test.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "queue/deliver/race.h"

/* Hosts on this machine's own network: listeners on 127.0.0.x, all with one port. */
enum { HOSTS = 3 };

static const char *const names[HOSTS] = { "127.0.0.1", "127.0.0.2", "127.0.0.3" };
static const struct network everything[] = { { { .family = ADDRESS_V4 }, 0 } };

struct world {
    struct loop *loop;
    int listeners[HOSTS];  /* -1: nobody listens there */
    int fillers[HOSTS][4]; /* connections that fill a listener's backlog */
    uint16_t port;
    struct race *race;
    struct dialogue *winner;
    struct ip_address won, outrun;
    unsigned begun, lost;
    bool used_up;
    char words[200];
};

static struct endpoint endpoint_of(const struct world *w, int host)
{
    struct endpoint e = { .port = w->port };

    assert_true(ip_address_parse(span_of(names[host]), &e.address));
    return e;
}

static int socket_at(const struct endpoint *e, bool listens)
{
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(e, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    if (!listens) {
        (void)connect(fd, (struct sockaddr *)&sa, len);
        return fd;
    }
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(fd, 0), 0);
    return fd;
}

static void host_open(struct world *w, int host)
{
    struct endpoint e = endpoint_of(w, host);
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    w->listeners[host] = socket_at(&e, true);
    assert_int_equal(getsockname(w->listeners[host], (struct sockaddr *)&sa, &len), 0);
    assert_true(endpoint_from_sockaddr((struct sockaddr *)&sa, &e));
    w->port = e.port;
}

/* Its backlog is full: whoever connects hears nothing. */
static void host_deafen(struct world *w, int host)
{
    struct endpoint e = endpoint_of(w, host);

    for (int i = 0; i < 4; i++)
        w->fillers[host][i] = socket_at(&e, false);
}

static int open_world(void **state)
{
    static struct world w;

    w = (struct world){ .loop = loop_new(), .listeners = { -1, -1, -1 } };
    memset(w.fillers, -1, sizeof(w.fillers));
    *state = &w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    race_cancel(&w->race);
    dialogue_free(&w->winner);
    for (int i = 0; i < HOSTS; i++) {
        if (w->listeners[i] >= 0)
            close(w->listeners[i]);
        for (int j = 0; j < 4; j++)
            if (w->fillers[i][j] >= 0)
                close(w->fillers[i][j]);
    }
    loop_free(&w->loop);
    return 0;
}

static void on_lost(void *ctx, const struct endpoint *remote, const struct dialogue_end *end)
{
    struct world *w = ctx;

    (void)remote;
    assert_int_equal(end->stage, STAGE_CONNECT);
    w->lost++;
    assert_true(span_to_string(end->words, w->words, sizeof(w->words)));
}

static void on_outrun(void *ctx, const struct endpoint *remote)
{
    struct world *w = ctx;

    w->outrun = remote->address;
}

static const struct dialogue_events winner_events = { .connected = NULL };

static void on_won(void *ctx, struct dialogue *winner)
{
    struct world *w = ctx;

    w->race = NULL;
    w->winner = winner;
    w->won = dialogue_facts(winner)->remote.address;
    dialogue_bind(winner, &winner_events, w);
    loop_stop(w->loop);
}

static void on_used_up(void *ctx)
{
    struct world *w = ctx;

    w->race = NULL;
    w->used_up = true;
    loop_stop(w->loop);
}

static void on_begun(void *ctx)
{
    ((struct world *)ctx)->begun++;
}

static const struct race_events events = { on_begun, on_lost, on_outrun, on_won, on_used_up };

/* Gives the time that it took. */
static int64_t run(struct world *w, bool may_go_inside)
{
    static struct settings defaults;
    struct dialogue_waits waits;
    struct dialogue_plan plan = { .helo = "relay.example",
                                  .mx = "mx1.example.net",
                                  .waits = &waits,
                                  .messages_max = 1,
                                  .life_ms = 1000,
                                  .filter = { .allow = everything,
                                              .allow_count = may_go_inside ? 1 : 0 } };
    struct ip_address list[HOSTS];
    int64_t begun = clock_monotonic_ms();

    settings_defaults(&defaults);
    waits = dialogue_waits(&defaults);
    for (int i = 0; i < HOSTS; i++)
        list[i] = endpoint_of(w, i).address;
    w->race = race_start(w->loop, list, HOSTS, w->port, &plan, &events, w);
    loop_run(w->loop);
    return clock_monotonic_ms() - begun;
}

static bool is_host(const struct ip_address *address, int host)
{
    struct ip_address wanted;

    assert_true(ip_address_parse(span_of(names[host]), &wanted));
    return ip_address_equal(address, &wanted);
}

static void the_first_address_is_taken_where_it_answers(void **state)
{
    struct world *w = *state;

    host_open(w, 0);
    host_open(w, 1);
    (void)run(w, true);
    assert_true(is_host(&w->won, 0));
    assert_int_equal(w->outrun.family, ADDRESS_NONE);
    assert_int_equal(w->lost, 0);
    assert_int_equal(w->begun, 1);
}

static void one_that_refuses_gives_way_at_once(void **state)
{
    struct world *w = *state;

    host_open(w, 2);
    assert_true(run(w, true) < RACE_HEAD_START_MS);
    assert_true(is_host(&w->won, 2));
    assert_int_equal(w->lost, 2);
    assert_non_null(strstr(w->words, "refused"));
}

static void one_that_is_silent_has_a_head_start_and_is_outrun(void **state)
{
    struct world *w = *state;
    int64_t took;

    host_open(w, 0);
    host_open(w, 1);
    host_deafen(w, 0);
    took = run(w, true);
    assert_true(is_host(&w->won, 1));
    assert_true(is_host(&w->outrun, 0));
    assert_int_equal(w->begun, 2); /* the one that lost was connected to, too */
    assert_true(took >= RACE_HEAD_START_MS - 5 && took < 4 * RACE_HEAD_START_MS);
}

static void without_any_the_race_is_used_up(void **state)
{
    struct world *w = *state;

    host_open(w, 0);
    close(w->listeners[0]);
    w->listeners[0] = -1;
    (void)run(w, true);
    assert_true(w->used_up);
    assert_int_equal(w->lost, HOSTS);
    assert_int_equal(w->begun, HOSTS);
}

static void an_address_that_must_not_be_is_refused_right_before_the_connect(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < HOSTS; i++)
        host_open(w, i);
    (void)run(w, false);
    assert_true(w->used_up);
    assert_int_equal(w->lost, HOSTS);
    assert_non_null(strstr(w->words, "not an address for mail"));
    for (int i = 0; i < HOSTS; i++)
        assert_true(accept(w->listeners[i], NULL, NULL) < 0); /* nobody knocked */
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, open_world, close_world, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("the first address is taken where it answers",
          the_first_address_is_taken_where_it_answers),
        T("an address that refuses gives way at once", one_that_refuses_gives_way_at_once),
        T("one that is silent has a head start of 250 ms, then is outrun",
          one_that_is_silent_has_a_head_start_and_is_outrun),
        T("without an address that answers the race is used up", without_any_the_race_is_used_up),
        T("an address that mail must not go to is refused right before the connect",
          an_address_that_must_not_be_is_refused_right_before_the_connect),
    };

    return cmocka_run_group_tests_name("race", tests, NULL, NULL);
}
