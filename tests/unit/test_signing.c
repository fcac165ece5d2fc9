/* How long queue/signing waits for the role that signs; what is asked and answered is the matter of
 * test_queue_signing. */
#include "queue/signing.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/sign.pb-c.h"
#include "tests/support/store_rig.h"
#include "tests/support/test.h"

enum { WAIT_MS = 400, DOWN_MS = 100 };

static struct store_rig rig;
static struct signing *signing;
static struct channel *role; /* the other end */
static uint64_t asked;       /* the last ask's id */
static uint64_t ready;       /* the ask that is answered when it comes */
static unsigned ask_count;
static unsigned outcomes[SIGNING_WAITS + 1];
static struct loop *loop;
static uint64_t id; /* of a message */

static void answer(void)
{
    Ipc__SignAnswer message = IPC__SIGN_ANSWER__INIT;

    message.id = asked;
    message.verdict = IPC__SIGN_VERDICT__NO_KEY;
    channel_send(role, FRAME_SIGN_ANSWER, &message.base, SPAN(""));
}

static void on_ask(void *ctx, struct channel_frame *frame)
{
    Ipc__SignAsk *ask = channel_decode(frame, &ipc__sign_ask__descriptor);

    (void)ctx;
    assert_non_null(ask);
    asked = ask->id;
    ask_count++;
    ipc__sign_ask__free_unpacked(ask, NULL);
    if (asked == ready)
        answer();
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)ctx, (void)err;
    channel_free(&role);
}

static void on_done(void *ctx, const struct signing_result *result)
{
    (void)ctx;
    outcomes[result->outcome]++;
}

static void on_time(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

static void run_for(int64_t ms)
{
    struct loop_timer *timer = loop_timer_new(loop, on_time, NULL);

    loop_timer_start(timer, ms);
    loop_run(loop);
    loop_timer_free(&timer);
}

static void attach(void)
{
    static const struct channel_events events = { on_ask, on_closed };
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    role = channel_open(loop, pair[0], &events, NULL);
    signing_attach(signing, pair[1]);
}

static int open_rig(void **state)
{
    (void)state;
    store_rig_open(&rig);
    id = store_rig_accept(&rig, "ada@example.net", "bob@example.com", SPAN("From: a@b.c\r\n\r\n"));
    loop = loop_new();
    signing = signing_new(loop, rig.store, WAIT_MS, DOWN_MS, on_done, NULL);
    signing_set(signing, true);
    ask_count = 0;
    ready = 0;
    for (unsigned i = 0; i <= SIGNING_WAITS; i++)
        outcomes[i] = 0;
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    signing_free(&signing);
    channel_free(&role);
    loop_free(&loop);
    store_rig_close(&rig);
    return 0;
}

static void begin(uint64_t lease)
{
    Ipc__Envelope envelope = IPC__ENVELOPE__INIT;
    Queue__MessageRecord message = QUEUE__MESSAGE_RECORD__INIT;
    struct signing_wish wish = { .lease = lease, .id = id, .message = &message };

    message.envelope = &envelope;
    message.chunks = 1;
    buf_init(&wish.job, 100);
    signing_begin(signing, &wish);
}

/* How long an ask that begins now is waited for. */
static int64_t time_of_wait(uint64_t lease)
{
    unsigned before = outcomes[SIGNING_WAITS];
    int64_t began_ms = clock_monotonic_ms();

    begin(lease);
    while (outcomes[SIGNING_WAITS] == before)
        run_for(10);
    return clock_monotonic_ms() - began_ms;
}

static void one_that_waited_in_vain_speaks_for_all(void **state)
{
    (void)state;
    attach();
    begin(1);
    run_for(WAIT_MS / 2);
    begin(2);
    begin(3);
    assert_int_equal(outcomes[SIGNING_WAITS], 0);
    run_for(WAIT_MS);
    assert_int_equal(outcomes[SIGNING_WAITS], 3);
}

/* What it is asked would gather for as long as it is stuck; the supervisor ends who was refused. */
static void a_role_that_says_nothing_at_all_is_refused(void **state)
{
    (void)state;
    attach();
    begin(1);
    run_for(WAIT_MS / 2);
    assert_non_null(role);
    run_for(WAIT_MS);
    assert_null(role);
    assert_int_equal(outcomes[SIGNING_WAITS], 1);
}

/* The supervisor's part: the next one, when the end of the one that was refused was seen. */
static void replace_role(void)
{
    for (int i = 0; role && i < 100; i++)
        run_for(10);
    assert_null(role);
    attach();
}

/* Slow, not stuck; and it may have been asked a moment ago only. */
static void one_that_says_something_is_not(void **state)
{
    (void)state;
    attach();
    begin(1);
    begin(2);
    run_for(WAIT_MS / 2);
    answer();
    run_for(WAIT_MS);
    assert_int_equal(outcomes[SIGNING_UNSIGNED], 1);
    assert_int_equal(outcomes[SIGNING_WAITS], 1);
    assert_non_null(role);
}

/* Else what waits behind a slow key would be let go by again, and never signed. */
static void what_waits_when_it_answers_again_has_time(void **state)
{
    (void)state;
    attach();
    (void)time_of_wait(1);
    replace_role();
    ready = 3;
    begin(2);
    begin(3);
    run_for(WAIT_MS / 2);
    assert_int_equal(outcomes[SIGNING_UNSIGNED], 1);
    assert_int_equal(outcomes[SIGNING_WAITS], 1);
    run_for(WAIT_MS);
    assert_int_equal(outcomes[SIGNING_WAITS], 2);
}

static void a_role_that_is_away_is_waited_for(void **state)
{
    (void)state;
    begin(1);
    run_for(WAIT_MS / 4);
    assert_int_equal(outcomes[SIGNING_WAITS], 0);
    attach();
    run_for(WAIT_MS / 4);
    assert_int_equal(ask_count, 1);
    answer();
    run_for(WAIT_MS);
    assert_int_equal(outcomes[SIGNING_UNSIGNED], 1);
    assert_int_equal(outcomes[SIGNING_WAITS], 0);
}

static void what_was_let_go_by_has_another_wait_until_an_answer(void **state)
{
    (void)state;
    attach();
    assert_true(time_of_wait(1) > WAIT_MS / 2);
    replace_role();
    assert_true(time_of_wait(2) < WAIT_MS / 2);
    answer(); /* late */
    run_for(20);
    assert_true(time_of_wait(3) > WAIT_MS / 2);
}

static void what_is_forgotten_ends_without_a_word(void **state)
{
    (void)state;
    attach();
    begin(1);
    run_for(20);
    signing_forget(signing, 1);
    signing_forget(signing, 1);
    answer();
    run_for(2 * WAIT_MS);
    assert_int_equal(outcomes[SIGNING_UNSIGNED] + outcomes[SIGNING_WAITS], 0);
}

#define RIG_TEST(title, function)                                                                  \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST("one ask that waited in vain speaks for all",
                 one_that_waited_in_vain_speaks_for_all),
        RIG_TEST("a role that is away is waited for", a_role_that_is_away_is_waited_for),
        RIG_TEST("a role that says nothing at all is refused",
                 a_role_that_says_nothing_at_all_is_refused),
        RIG_TEST("one that says something is not", one_that_says_something_is_not),
        RIG_TEST("what waits when it answers again has as long as others",
                 what_waits_when_it_answers_again_has_time),
        RIG_TEST("a role that let an ask go by has another time, until it answers",
                 what_was_let_go_by_has_another_wait_until_an_answer),
        RIG_TEST("what is forgotten ends without a word", what_is_forgotten_ends_without_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
