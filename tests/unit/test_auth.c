/* The auth role's exchanges and smtpd's stub for them, joined as they are in service. */
#include "smtpd/auth/exchanges.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/auth_client.h"
#include "lib/ipc/channel.h"
#include "smtpd/auth/blocks.h"
#include "smtpd/auth/hashing.h"
#include "tests/support/test.h"

/* Of "secret", and quickly compared. */
#define HASH                                                                                       \
    "$6$rounds=1000$saltsaltsalt$eX3bxJXT3.ujpABOqZ7ph4r9D9Fn0.qoDqJgZU6cTq8xPfk2."                \
    "Fmq2bf1GgjAlb6X1QXE7sMOtwZRTxjI1OZvT1"

static struct loop *loop;
static struct loop_timer *patience;
static struct exchanges *role;
static struct auth_client *client;

static void on_patience(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

/* Lets the loop run for a moment, or until something stops it. */
static void run(int64_t ms)
{
    loop_timer_start(patience, ms);
    loop_run(loop);
    loop_timer_cancel(patience);
}

static void join(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    exchanges_attach(role, fds[0]);
    auth_client_attach(client, fds[1]);
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_new();
    patience = loop_timer_new(loop, on_patience, NULL);
    role = exchanges_new(loop);
    client = auth_client_new(loop);
    join();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    auth_client_free(&client);
    exchanges_free(&role);
    loop_timer_free(&patience);
    loop_free(&loop);
    return 0;
}

/* --- users */

static void use(const char *text)
{
    struct settings_errors errors;
    struct users *users = NULL;

    settings_errors_init(&errors);
    assert_true(users_parse(span_of(text), "users", &errors, &users));
    exchanges_use(role, &users);
    settings_errors_clear(&errors);
    run(20);
}

/* A user whose password is "secret", with SCRAM keys of these iterations and this salt. */
static const char *line_of(const char *name, struct span salt, unsigned iterations)
{
    static char line[1024];
    char text[SCRAM_KEYS_TEXT_SIZE];
    struct scram_keys keys = scram_derive(SPAN("secret"), salt, iterations);

    scram_keys_format(&keys, text);
    snprintf(line, sizeof(line), "%s:" HASH ":%s\n", name, text);
    return line;
}

/* --- exchanges */

struct heard {
    unsigned answers;
    Ipc__AuthVerdict verdict;
    char user[256];
    char challenge[2048];
};

static void on_answer(void *ctx, const Ipc__AuthAnswer *answer)
{
    struct heard *heard = ctx;

    heard->answers++;
    heard->verdict = answer->verdict;
    span_to_string(span_of_bytes(answer->user), heard->user, sizeof(heard->user));
    span_to_string(span_of_bytes(answer->challenge), heard->challenge, sizeof(heard->challenge));
    loop_stop(loop);
}

static struct auth_exchange *begin(enum auth_mechanism mechanism, const char *address,
                                   struct span response, struct heard *heard)
{
    struct auth_start start = { .mechanism = mechanism,
                                .client = address,
                                .has_response = response.data != NULL,
                                .response = response };

    *heard = (struct heard){ 0 };
    return auth_begin(client, &start, on_answer, heard);
}

static void await(struct heard *heard)
{
    unsigned before = heard->answers;

    run(5000);
    assert_int_equal(heard->answers, before + 1);
}

static Ipc__AuthVerdict plain(const char *address, const char *user, const char *password)
{
    char text[512];
    struct heard heard;
    int len = snprintf(text, sizeof(text), "%c%s%c%s", 0, user, 0, password);

    begin(AUTH_PLAIN, address, (struct span){ text, (size_t)len }, &heard);
    await(&heard);
    assert_string_equal(heard.user, user);
    return heard.verdict;
}

static void what_is_offered_follows_the_users(void **state)
{
    char both[2048];

    (void)state;
    assert_int_equal(auth_client_mechanisms(client), 1U << AUTH_PLAIN | 1U << AUTH_LOGIN);
    run(20); /* the role has said that it has none */
    assert_int_equal(auth_client_mechanisms(client), 0);
    use("ada:" HASH "\n");
    assert_int_equal(auth_client_mechanisms(client), 1U << AUTH_PLAIN | 1U << AUTH_LOGIN);
    use(line_of("ada", SPAN("salt"), 4096));
    assert_int_equal(auth_client_mechanisms(client), 1U << AUTH_PLAIN | 1U << AUTH_LOGIN |
                                                         1U << AUTH_SCRAM_SHA_256 |
                                                         1U << AUTH_SCRAM_SHA_256_PLUS);
    snprintf(both, sizeof(both), "%sbob:" HASH "\n", line_of("ada", SPAN("salt"), 4096));
    use(both);
    assert_int_equal(auth_client_mechanisms(client), 1U << AUTH_PLAIN | 1U << AUTH_LOGIN);
}

static void passwords_are_judged(void **state)
{
    (void)state;
    assert_int_equal(plain("192.0.2.1", "ada", "secret"), IPC__AUTH_VERDICT__NO);
    use("# staff\nada:" HASH "\n");
    assert_int_equal(plain("192.0.2.1", "ada", "secret"), IPC__AUTH_VERDICT__YES);
    assert_int_equal(plain("192.0.2.1", "ada", "Secret"), IPC__AUTH_VERDICT__NO);
    assert_int_equal(plain("192.0.2.1", "bob", "secret"), IPC__AUTH_VERDICT__NO);
    assert_int_equal(plain("192.0.2.1", "ada", ""), IPC__AUTH_VERDICT__MALFORMED);
}

static void too_many_failures_block(void **state)
{
    (void)state;
    use("ada:" HASH "\n");
    for (int i = 0; i < BLOCK_ADDRESS_FAILURES; i++)
        assert_int_equal(plain("192.0.2.1", "bob", "wrong"), IPC__AUTH_VERDICT__NO);
    assert_int_equal(plain("192.0.2.1", "ada", "secret"), IPC__AUTH_VERDICT__BLOCKED);
    assert_int_equal(plain("192.0.2.2", "ada", "secret"), IPC__AUTH_VERDICT__YES);
}

/* What SCRAM tells of the keys of a user: "s=...,i=...". */
static void ask_keys(const char *user, char keys[256])
{
    char first[300];
    struct heard heard;

    snprintf(first, sizeof(first), "n,,n=%s,r=abc", user);
    struct auth_exchange *exchange = begin(AUTH_SCRAM_SHA_256, "192.0.2.1", span_of(first), &heard);
    await(&heard);
    assert_int_equal(heard.verdict, IPC__AUTH_VERDICT__CHALLENGE);
    const char *salt = strstr(heard.challenge, ",s=");
    assert_non_null(salt);
    snprintf(keys, 256, "%s", salt);
    auth_cancel(&exchange);
}

/* Salts of 8 octets and 5000 iterations, as another program may have made them. */
static void a_made_up_user_looks_like_the_others(void **state)
{
    char first[256], again[256], other[256], real[256];
    const char *line;

    (void)state;
    line = line_of("ada", SPAN("saltsalt"), 5000);
    use(line);
    ask_keys("ada", real);
    ask_keys("nobody", first);
    ask_keys("nobody", again);
    ask_keys("somebody", other);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    assert_string_not_equal(first, real);
    assert_int_equal(strlen(first), strlen(real));
    assert_non_null(strstr(first, "=,i=5000"));
    exchanges_free(&role); /* it dies; nobody learns from the next one who was made up */
    role = exchanges_new(loop);
    join();
    use(line);
    ask_keys("nobody", again);
    assert_string_equal(first, again);
}

static void scram_asks_for_the_proof(void **state)
{
    struct heard heard;
    char last[1024];

    (void)state;
    use(line_of("ada", SPAN("salt"), 4096));
    for (int i = 0; i < 2; i++) { /* of one who is there, and of one who is not */
        struct auth_exchange *exchange =
            begin(AUTH_SCRAM_SHA_256, "192.0.2.1",
                  i == 0 ? SPAN("n,,n=ada,r=abc") : SPAN("n,,n=bob,r=abc"), &heard);
        await(&heard);
        snprintf(last, sizeof(last), "c=biws,%.*s,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                 (int)strcspn(heard.challenge, ","), heard.challenge);
        auth_respond(exchange, span_of(last));
        await(&heard);
        assert_int_equal(heard.verdict, IPC__AUTH_VERDICT__NO);
        assert_string_equal(heard.user, i == 0 ? "ada" : "bob");
    }
}

/* --- when things go wrong */

static void a_role_that_dies_is_told_of_when_it_is_the_sessions_turn(void **state)
{
    struct heard thinks, waits;
    struct auth_exchange *exchange;

    (void)state;
    use("ada:" HASH "\n");
    exchange = begin(AUTH_LOGIN, "192.0.2.1", (struct span){ NULL, 0 }, &thinks);
    await(&thinks);
    assert_int_equal(thinks.verdict, IPC__AUTH_VERDICT__CHALLENGE);
    begin(AUTH_PLAIN, "192.0.2.1", SPAN("\0ada\0secret"), &waits);
    exchanges_free(&role);
    run(5000);
    assert_int_equal(waits.answers, 1);
    assert_int_equal(waits.verdict, IPC__AUTH_VERDICT__TROUBLE);
    assert_int_equal(thinks.answers, 1); /* its client has not spoken */
    role = exchanges_new(loop);
    join();
    run(20);
    assert_int_equal(thinks.answers, 1);
    auth_respond(exchange, SPAN("ada"));
    run(500); /* at once: the new role knows nothing of it */
    assert_int_equal(thinks.answers, 2);
    assert_int_equal(thinks.verdict, IPC__AUTH_VERDICT__TROUBLE);
    use("ada:" HASH "\n");
    assert_int_equal(plain("192.0.2.1", "ada", "secret"), IPC__AUTH_VERDICT__YES);
}

static void a_role_that_is_away_is_trouble_and_what_was_lost_can_be_given_up(void **state)
{
    struct heard heard;
    struct auth_exchange *exchange;

    (void)state;
    exchange = begin(AUTH_LOGIN, "192.0.2.1", (struct span){ NULL, 0 }, &heard);
    await(&heard);
    exchanges_free(&role);
    run(20);
    auth_cancel(&exchange);
    assert_null(exchange);
    begin(AUTH_PLAIN, "192.0.2.1", SPAN("\0ada\0secret"), &heard);
    await(&heard);
    assert_int_equal(heard.verdict, IPC__AUTH_VERDICT__TROUBLE);
    exchange = begin(AUTH_LOGIN, "192.0.2.1", (struct span){ NULL, 0 }, &heard);
    auth_client_free(&client); /* with one under way, and nothing is told */
    run(20);
    assert_int_equal(heard.answers, 0);
}

enum { MANY = 16384 };

static void more_exchanges_than_there_is_room_for_are_refused_alone(void **state)
{
    static struct heard heard[MANY + 1];
    static struct auth_exchange *exchanges[MANY + 1];
    unsigned trouble = 0;

    (void)state;
    use("ada:" HASH "\n");
    for (unsigned i = 0; i < MANY + 1; i++)
        exchanges[i] = begin(AUTH_LOGIN, "192.0.2.1", (struct span){ NULL, 0 }, &heard[i]);
    for (int i = 0; i < MANY + 10 && heard[MANY].answers == 0; i++)
        run(5000);
    for (unsigned i = 0; i < MANY + 1; i++)
        trouble += heard[i].verdict == IPC__AUTH_VERDICT__TROUBLE;
    assert_int_equal(trouble, 1);
    assert_int_equal(heard[MANY].verdict, IPC__AUTH_VERDICT__TROUBLE);
    auth_cancel(&exchanges[0]);
    assert_int_equal(plain("192.0.2.2", "ada", "secret"), IPC__AUTH_VERDICT__YES);
}

static void strangers_leave_room_for_those_who_are_known(void **state)
{
    static struct heard heard[HASHING_QUEUE_MAX + 1];
    unsigned trouble = 0, yes = 0;

    (void)state;
    use("ada:" HASH "\n");
    assert_int_equal(plain("192.0.2.1", "ada", "secret"), IPC__AUTH_VERDICT__YES);
    for (unsigned i = 0; i < HASHING_QUEUE_MAX; i++) /* all come in one turn */
        begin(AUTH_PLAIN, "203.0.113.1", SPAN("\0ada\0wrong"), &heard[i]);
    begin(AUTH_PLAIN, "192.0.2.1", SPAN("\0ada\0secret"), &heard[HASHING_QUEUE_MAX]);
    for (unsigned i = 0; i <= HASHING_QUEUE_MAX; i++) {
        for (int patience_left = 100; heard[i].answers == 0 && patience_left > 0; patience_left--)
            run(100);
        assert_int_equal(heard[i].answers, 1);
        trouble += heard[i].verdict == IPC__AUTH_VERDICT__TROUBLE;
        yes += heard[i].verdict == IPC__AUTH_VERDICT__YES;
    }
    assert_int_equal(trouble, HASHING_QUEUE_MAX / 2);
    assert_int_equal(yes, 1);
}

static void an_exchange_may_be_given_up_while_its_password_is_compared(void **state)
{
    struct heard heard;

    (void)state;
    use("ada:" HASH "\n");
    struct auth_exchange *exchange = begin(AUTH_PLAIN, "192.0.2.1", SPAN("\0ada\0secret"), &heard);
    auth_cancel(&exchange);
    assert_int_equal(plain("192.0.2.1", "ada", "secret"), IPC__AUTH_VERDICT__YES);
    assert_int_equal(heard.answers, 0);
}

static void another_judge_begins_anew(void **state)
{
    struct heard heard;
    struct auth_exchange *exchange;

    (void)state;
    log_open(STDERR_FILENO, LOG_ERROR + 1, "test"); /* that Dovecot is away */
    use(line_of("ada", SPAN("salt"), 4096));
    exchange = begin(AUTH_LOGIN, "192.0.2.1", SPAN("ada"), &heard);
    await(&heard);
    exchanges_ask_dovecot(role, "/nonexistent/auth");
    run(20);
    assert_int_equal(auth_client_mechanisms(client), 1U << AUTH_PLAIN | 1U << AUTH_LOGIN);
    assert_int_equal(heard.answers, 1); /* its client has the turn */
    auth_respond(exchange, SPAN("secret"));
    await(&heard);
    assert_int_equal(heard.verdict, IPC__AUTH_VERDICT__TROUBLE);
    begin(AUTH_PLAIN, "192.0.2.1", SPAN("\0ada\0secret"), &heard);
    await(&heard);
    assert_int_equal(heard.verdict, IPC__AUTH_VERDICT__TROUBLE);
    exchange = begin(AUTH_PLAIN, "192.0.2.1", SPAN("\0ada\0secret"), &heard);
    exchanges_ask_dovecot(role, "/nonexistent/other");
    exchanges_ask_dovecot(role, "/nonexistent/other");
    await(&heard);
    assert_int_equal(heard.verdict, IPC__AUTH_VERDICT__TROUBLE);
    exchanges_ask_dovecot(role, "");
    assert_int_equal(plain("192.0.2.1", "ada", "secret"), IPC__AUTH_VERDICT__YES);
    log_open(STDERR_FILENO, LOG_INFO, "test");
}

/* --- an smtpd that is captured */

static void on_frame(void *ctx, struct channel_frame *frame)
{
    (void)ctx;
    (void)frame;
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    *(bool *)ctx = true;
    loop_stop(loop);
}

static const struct channel_events smtpd_events = { on_frame, on_closed };

/* Does the role end the channel on which this is said? */
static bool is_refused(enum frame_type type, const ProtobufCMessage *first,
                       enum frame_type second_type, const ProtobufCMessage *second)
{
    const struct span nothing = { NULL, 0 };
    bool closed = false;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    exchanges_attach(role, fds[0]);
    struct channel *channel = channel_open(loop, fds[1], &smtpd_events, &closed);
    channel_send(channel, type, first, nothing);
    if (second)
        channel_send(channel, second_type, second, nothing);
    run(50);
    channel_free(&channel);
    run(5);
    return closed;
}

static void a_captured_smtpd_loses_its_channel(void **state)
{
    Ipc__AuthBegin begin = IPC__AUTH_BEGIN__INIT;
    Ipc__AuthStep step = IPC__AUTH_STEP__INIT;
    Ipc__AuthCancel cancel = IPC__AUTH_CANCEL__INIT;

    (void)state;
    use("ada:" HASH "\n");
    begin.mechanism = IPC__AUTH_MECHANISM__LOGIN;
    assert_false(is_refused(FRAME_AUTH_BEGIN, &begin.base, 0, NULL));
    assert_true(is_refused(FRAME_AUTH_BEGIN, &begin.base, FRAME_AUTH_BEGIN, &begin.base));
    assert_false(is_refused(FRAME_AUTH_STEP, &step.base, FRAME_AUTH_CANCEL, &cancel.base));
    assert_true(is_refused(FRAME_READY, &cancel.base, 0, NULL));
    begin.mechanism = IPC__AUTH_MECHANISM__PLAIN;
    begin.has_response = true;
    begin.response = bytes_of_span(SPAN("\0ada\0secret"));
    assert_true(is_refused(FRAME_AUTH_BEGIN, &begin.base, FRAME_AUTH_STEP, &step.base));
    begin.mechanism = (Ipc__AuthMechanism)99;
    assert_true(is_refused(FRAME_AUTH_BEGIN, &begin.base, 0, NULL));
    assert_int_equal(plain("192.0.2.1", "ada", "secret"), IPC__AUTH_VERDICT__YES);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, set_up, tear_down, NULL                                                   \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("what is offered follows the users; before the role has spoken, what all can do",
             what_is_offered_follows_the_users),
        TEST("a password is right or wrong, and nobody's is wrong", passwords_are_judged),
        TEST("too many failures block an address", too_many_failures_block),
        TEST("SCRAM tells of a made-up user what it tells of others, after a restart, too",
             a_made_up_user_looks_like_the_others),
        TEST("SCRAM without the proof is refused, known or unknown", scram_asks_for_the_proof),
        TEST("a role that dies is told of when it is the session's turn to speak",
             a_role_that_dies_is_told_of_when_it_is_the_sessions_turn),
        TEST("a role that is away is trouble; what was lost can be given up",
             a_role_that_is_away_is_trouble_and_what_was_lost_can_be_given_up),
        TEST("more exchanges than there is room for are refused, and nobody else",
             more_exchanges_than_there_is_room_for_are_refused_alone),
        TEST("strangers leave room for those who are known",
             strangers_leave_room_for_those_who_are_known),
        TEST("an exchange may be given up while its password is compared",
             an_exchange_may_be_given_up_while_its_password_is_compared),
        TEST("another judge begins anew, and what was begun is trouble", another_judge_begins_anew),
        TEST("an smtpd that says what makes no sense loses its channel, others go on",
             a_captured_smtpd_loses_its_channel),
    };

    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
