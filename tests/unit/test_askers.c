#include "policy/askers.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/ipc/channel.h"
#include "lib/ipc/policy.pb-c.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "tests/support/test.h"

enum { QUESTIONS_MAX = 65536 };

/* ---- in place of domains ----------------------------------------------------------------------
 */

static struct {
    unsigned asked;
    unsigned cancelled;
    enum policy_wish wish;
    char name[DOMAIN_MAX + 1];
    domain_done_fn *done; /* of the last question */
    void *ctx;
} domains;

struct domain_asker *domain_ask(struct domains *unused, struct span domain, enum policy_wish wish,
                                domain_done_fn *done, void *ctx)
{
    (void)unused;
    assert_true(span_to_string(domain, domains.name, sizeof(domains.name)));
    domains.asked++;
    domains.wish = wish;
    domains.done = done;
    domains.ctx = ctx;
    return (struct domain_asker *)&domains;
}

void domain_cancel(struct domain_asker **asker)
{
    domains.cancelled += *asker != NULL;
    *asker = NULL;
}

/* ---- a worker ---------------------------------------------------------------------------------
 */

static struct {
    struct loop *loop;
    struct loop_timer *stop;
    struct askers *askers;
    struct channel *channel; /* NULL: its end was told */
    unsigned answers;
    Ipc__PolicyAnswer *answer; /* the last one */
} world;

static void on_frame(void *ctx, struct channel_frame *frame)
{
    (void)ctx;
    assert_int_equal(frame->type, FRAME_POLICY_ANSWER);
    if (world.answer)
        ipc__policy_answer__free_unpacked(world.answer, NULL);
    world.answer = channel_decode(frame, &ipc__policy_answer__descriptor);
    assert_non_null(world.answer);
    world.answers++;
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    channel_free(&world.channel);
}

static void on_stop(void *ctx)
{
    loop_stop(ctx);
}

static int world_open(void **state)
{
    static const struct channel_events events = { on_frame, on_closed };
    int pair[2];
    (void)state;
    memset(&domains, 0, sizeof(domains));
    memset(&world, 0, sizeof(world));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    world.loop = loop_new();
    world.stop = loop_timer_new(world.loop, on_stop, world.loop);
    world.askers = askers_new(world.loop, NULL);
    world.channel = channel_open(world.loop, pair[0], &events, NULL);
    askers_attach(world.askers, pair[1]);
    return 0;
}

static int world_close(void **state)
{
    (void)state;
    askers_free(&world.askers);
    channel_free(&world.channel);
    if (world.answer)
        ipc__policy_answer__free_unpacked(world.answer, NULL);
    loop_timer_free(&world.stop);
    loop_free(&world.loop);
    return 0;
}

static void run(int64_t ms)
{
    loop_timer_start(world.stop, ms);
    loop_run(world.loop);
}

static void ask(uint64_t id, const char *domain, bool fresh)
{
    Ipc__PolicyAsk m = IPC__POLICY_ASK__INIT;
    m.id = id;
    m.domain = bytes_of_span(span_of(domain));
    m.fresh = fresh;
    channel_send(world.channel, FRAME_POLICY_ASK, &m.base, SPAN(""));
}

/* ---- the stories ------------------------------------------------------------------------------
 */

static void assert_state(enum policy_state is, Ipc__PolicyState said)
{
    const struct policy_answer answer = { .state = is, .fetch_reason = "why" };
    unsigned before = world.answers;
    ask(7, "example.net", false);
    run(20);
    domains.done(domains.ctx, &answer);
    run(20);
    assert_int_equal(world.answers, before + 1);
    assert_int_equal(world.answer->id, 7);
    assert_int_equal(world.answer->state, said);
    assert_true(span_equal(span_of_bytes(world.answer->fetch_reason), SPAN("why")));
}

static void what_is_not_known_is_never_told_as_no_policy(void **state)
{
    (void)state;
    assert_state(POLICY_UNKNOWN, IPC__POLICY_STATE__POLICY_NOT_KNOWN);
    assert_state(POLICY_ABSENT, IPC__POLICY_STATE__NO_POLICY);
    assert_int_equal(domains.cancelled, 0);
}

static void a_policy_crosses_as_it_is(void **state)
{
    static char text[] = "version: STSv1";
    static char first[] = "mx.example.net", second[] = "*.example.net";
    static char *patterns[] = { first, second };
    struct sts_policy policy = { .mode = STS_ENFORCE,
                                 .max_age_s = 2,
                                 .mx = patterns,
                                 .mx_count = 2,
                                 .text = text,
                                 .text_len = sizeof(text) - 1 };
    struct sts_entry entry = { .policy = &policy, .id = "A1", .fetched_utc_ms = 1000 };
    const struct policy_answer answer = { POLICY_PRESENT, &entry, TLS_RESULT_SUCCESS, "" };
    (void)state;
    ask(8, "example.net", true);
    run(20);
    assert_int_equal(domains.wish, WISH_FRESH);
    domains.done(domains.ctx, &answer);
    run(20);
    assert_int_equal(world.answer->state, IPC__POLICY_STATE__POLICY_FOUND);
    assert_int_equal(world.answer->policy->mode, IPC__POLICY_MODE__MODE_ENFORCE);
    assert_int_equal(world.answer->policy->expires_utc_ms, 3000);
    assert_true(span_equal(span_of_bytes(world.answer->policy->id), SPAN("A1")));
    assert_true(span_equal(span_of_bytes(world.answer->policy->text), span_of(text)));
    assert_int_equal(world.answer->policy->n_mx, 2);
    assert_true(span_equal(span_of_bytes(world.answer->policy->mx[1]), SPAN("*.example.net")));
}

static void what_is_no_domain_has_no_policy_and_is_not_looked_up(void **state)
{
    (void)state;
    ask(9, "[192.0.2.1]", false);
    run(20);
    assert_int_equal(domains.asked, 0);
    assert_int_equal(world.answer->state, IPC__POLICY_STATE__NO_POLICY);
}

static void a_worker_asks_only_so_much_at_a_time(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < QUESTIONS_MAX; i++)
        ask(i, "example.net", false);
    for (int i = 0; i < 100 && domains.asked < QUESTIONS_MAX; i++)
        run(20);
    run(20);
    assert_int_equal(domains.asked, QUESTIONS_MAX);
    assert_non_null(world.channel);
    ask(QUESTIONS_MAX, "example.net", false);
    run(50);
    assert_null(world.channel);
    assert_int_equal(domains.asked, QUESTIONS_MAX);
    assert_int_equal(domains.cancelled, QUESTIONS_MAX);
}

static void nonsense_ends_the_channel(void **state)
{
    Ipc__Start start = IPC__START__INIT;
    (void)state;
    channel_send(world.channel, FRAME_START, &start.base, SPAN(""));
    run(50);
    assert_null(world.channel);
}

static void what_a_dead_worker_asked_is_cancelled(void **state)
{
    (void)state;
    ask(1, "example.net", false);
    run(20);
    channel_free(&world.channel);
    run(20);
    assert_int_equal(domains.cancelled, 1);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, world_open, world_close, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("askers: what is not known is never told as \"no policy\"",
             what_is_not_known_is_never_told_as_no_policy),
        TEST("askers: a policy crosses as it is", a_policy_crosses_as_it_is),
        TEST("askers: what is no domain has no policy, and is not looked up",
             what_is_no_domain_has_no_policy_and_is_not_looked_up),
        TEST("askers: a worker asks only so much at a time", a_worker_asks_only_so_much_at_a_time),
        TEST("askers: nonsense ends the channel", nonsense_ends_the_channel),
        TEST("askers: what a dead worker asked is cancelled",
             what_a_dead_worker_asked_is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
