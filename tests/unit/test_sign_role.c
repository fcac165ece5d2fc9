/* The role sign as a process: its keys under new settings, and what the operator is told. */
#include "queue/sign/sign.h"

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/sign.pb-c.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "lib/mail/dkim.h"
#include "tests/support/signing_keys.h"
#include "tests/support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct span nothing = { "", 0 };

static struct loop *loop;
static struct loop_timer *patience;
static struct channel *supervisor; /* our end of the role's channel to it */
static struct channel *queue;
static pid_t pid;
static bool is_answered, has_failed;
static struct buf told;          /* what the operator was told */
static char selector[64];        /* of the signature that came last; empty: there is none */
static Ipc__SignVerdict verdict; /* that came last */

/* --- as supervisor --------------------------------------------------------------------------- */

static void on_supervisor_frame(void *ctx, struct channel_frame *frame)
{
    (void)ctx;
    if (frame->type != FRAME_CONTROL_REPLY)
        return;
    Ipc__ControlReply *reply = channel_decode(frame, &ipc__control_reply__descriptor);
    assert_non_null(reply);
    assert_true(buf_append(&told, frame->body));
    is_answered = reply->last;
    has_failed = reply->failed;
    ipc__control_reply__free_unpacked(reply, NULL);
    if (is_answered)
        loop_stop(loop);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct channel **channel = ctx;

    (void)err;
    channel_free(channel);
    loop_stop(loop);
}

static const struct channel_events supervisor_events = { on_supervisor_frame, on_closed };

static void on_patience(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

static void wait_for(const bool *fact)
{
    loop_timer_start(patience, 10 * SECOND_MS);
    if (!*fact)
        loop_run(loop);
    loop_timer_cancel(patience);
    assert_true(*fact);
}

/* Asks as an operator; then all that was said before has been taken in, too. */
static void operator_asks(const char *verb)
{
    Ipc__ControlRequest request = IPC__CONTROL_REQUEST__INIT;

    is_answered = false;
    buf_reset(&told);
    request.id = 1;
    request.verb = bytes_of_span(span_of(verb));
    channel_send(supervisor, FRAME_CONTROL_REQUEST, &request.base, nothing);
    wait_for(&is_answered);
}

static void hand_key(unsigned index, const char *pem, uint64_t generation)
{
    Ipc__Content content = IPC__CONTENT__INIT;

    content.kind = CONTENT_DKIM_KEY;
    content.index = index;
    content.last = true;
    content.generation = generation;
    channel_send(supervisor, FRAME_CONTENT, &content.base, span_of(pem));
}

static void give_settings(uint64_t generation, const char *text)
{
    Ipc__NewSettings settings = IPC__NEW_SETTINGS__INIT;

    settings.generation = generation;
    settings.settings = bytes_of_span(span_of(text));
    channel_send(supervisor, FRAME_NEW_SETTINGS, &settings.base, nothing);
}

/* --- as queue -------------------------------------------------------------------------------- */

static void take_selector(struct span fields)
{
    const char *at = fields.len > 0 ? memmem(fields.data, fields.len, " s=", 3) : NULL;
    struct span rest;

    selector[0] = '\0';
    if (!at)
        return;
    rest = span_from(fields, (size_t)(at - fields.data) + 3);
    assert_true(span_to_string(span_first(rest, span_find(rest, ';')), selector, sizeof(selector)));
}

static void on_queue_frame(void *ctx, struct channel_frame *frame)
{
    Ipc__SignAnswer *answer = channel_decode(frame, &ipc__sign_answer__descriptor);

    (void)ctx;
    assert_non_null(answer);
    verdict = answer->verdict;
    take_selector(span_of_bytes(answer->fields));
    is_answered = true;
    ipc__sign_answer__free_unpacked(answer, NULL);
    loop_stop(loop);
}

static const struct channel_events queue_events = { on_queue_frame, on_closed };

static int hand_peer(enum role_id id)
{
    Ipc__Peer peer = IPC__PEER__INIT;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    peer.role = id;
    peer.generation = 1;
    channel_send_fd(supervisor, FRAME_PEER, &peer.base, pair[1]);
    return pair[0];
}

/* With which selector is a message signed now?  Empty: it is not. */
static const char *signed_with(void)
{
    static unsigned char hash[DKIM_SHA256_SIZE];
    Ipc__SignAsk ask = IPC__SIGN_ASK__INIT;

    is_answered = false;
    ask.id = 1;
    ask.body_sha256_relaxed = (ProtobufCBinaryData){ sizeof(hash), hash };
    channel_send(queue, FRAME_SIGN_ASK, &ask.base, SPAN("From: ada@example.net\r\n\r\n"));
    wait_for(&is_answered);
    return selector;
}

/* --- the process ----------------------------------------------------------------------------- */

#define ENTRY(selector) "{ senders = \"example.net\"; selector = \"" selector "\"; key = \"/k\"; }"

static void be_the_role(int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct role *role = role_open(fd);
    int exit_status = sign_main(role);
    log_flush();
    role_free(&role);
    _exit(exit_status);
}

static void say_hello(const char *settings)
{
    Ipc__Hello hello = IPC__HELLO__INIT;

    hello.build_id = bytes_of_span(SPAN(WAXSEAL_VERSION));
    hello.generation = 1;
    hello.role = ROLE_SIGN;
    hello.settings = bytes_of_span(span_of(settings));
    channel_send(supervisor, FRAME_HELLO, &hello.base, nothing);
}

static int set_up(void **state)
{
    Ipc__Start start = IPC__START__INIT;
    int pair[2];

    (void)state;
    loop = loop_new();
    patience = loop_timer_new(loop, on_patience, NULL);
    buf_init(&told, 65536);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid = fork();
    if (pid == 0) {
        close(pair[0]);
        be_the_role(pair[1]);
    }
    close(pair[1]);
    supervisor = channel_open(loop, pair[0], &supervisor_events, &supervisor);
    say_hello("log-level = \"error\"; dkim = ( " ENTRY("one") " );");
    hand_key(0, KEY_ED25519, 1);
    queue = channel_open(loop, hand_peer(ROLE_QUEUE), &queue_events, &queue);
    channel_send(supervisor, FRAME_START, &start.base, nothing);
    return 0;
}

static int tear_down(void **state)
{
    int status;

    (void)state;
    channel_free(&queue);
    channel_free(&supervisor);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0); /* it ends with its supervisor */
    buf_clear(&told);
    loop_timer_free(&patience);
    loop_free(&loop);
    return 0;
}

/* --- the tests ------------------------------------------------------------------------------- */

static void the_old_keys_sign_until_all_new_ones_are_there(void **state)
{
    (void)state;
    assert_string_equal(signed_with(), "one");
    give_settings(2, "log-level = \"error\"; dkim = ( " ENTRY("two") " );");
    operator_asks("sign counts");
    assert_string_equal(signed_with(), "one"); /* the key of that number is another entry's */
    hand_key(0, KEY_RSA_2048, 2);
    operator_asks("sign counts");
    assert_string_equal(signed_with(), "two");
    give_settings(3, "log-level = \"error\"; dkim = ( " ENTRY("three") ", " ENTRY("four") " );");
    hand_key(0, KEY_RSA_2048, 3);
    operator_asks("sign counts");
    assert_string_equal(signed_with(), "two");
    hand_key(1, KEY_ED25519, 3);
    operator_asks("sign counts");
    assert_string_equal(signed_with(), "three");
}

static void a_file_that_changed_is_in_use_at_once(void **state)
{
    struct json *counts = NULL;

    (void)state;
    assert_string_equal(signed_with(), "one");
    hand_key(0, KEY_RSA_2048, 1);
    operator_asks("sign counts");
    assert_string_equal(signed_with(), "one");
    assert_null(json_parse(buf_span(&told), &counts));
    const struct json *key = json_item(json_get(counts, "keys"), 0);
    assert_true(span_equal(json_text(json_get(key, "algorithm")), SPAN("rsa-sha256")));
    assert_int_equal(json_number(json_get(key, "bits")), 2048);
    json_free(&counts);
}

static void without_entries_nothing_is_signed(void **state)
{
    (void)state;
    assert_string_equal(signed_with(), "one");
    give_settings(2, "log-level = \"error\";");
    operator_asks("sign counts");
    assert_string_equal(signed_with(), "");
    assert_int_equal(verdict, IPC__SIGN_VERDICT__NO_KEY);
}

static void the_operator_is_told_of_keys_and_trouble(void **state)
{
    struct json *counts = NULL;

    (void)state;
    assert_string_equal(signed_with(), "one");
    hand_key(0, KEY_RSA_BROKEN, 1);
    operator_asks("sign counts");
    assert_string_equal(signed_with(), "");
    assert_int_equal(verdict, IPC__SIGN_VERDICT__SIGN_TROUBLE);
    operator_asks("sign counts");
    assert_null(json_parse(buf_span(&told), &counts));
    const struct json *messages = json_get(counts, "messages");
    const struct json *key = json_item(json_get(counts, "keys"), 0);
    assert_int_equal(json_number(json_get(messages, "signed")), 1);
    assert_int_equal(json_number(json_get(messages, "trouble")), 1);
    assert_true(json_text(json_get(messages, "last_trouble")).len > 0);
    assert_true(json_text(json_get(messages, "last_trouble_at")).len > 0);
    assert_true(span_equal(json_text(json_get(key, "senders")), SPAN("example.net")));
    assert_true(span_equal(json_text(json_get(key, "selector")), SPAN("one")));
    assert_true(span_equal(json_text(json_get(key, "algorithm")), SPAN("unusable")));
    json_free(&counts);
    operator_asks("sign all");
    assert_true(has_failed);
}

static void nobody_but_the_queue_may_ask(void **state)
{
    char byte;
    int fd;

    (void)state;
    assert_string_equal(signed_with(), "one");
    fd = hand_peer(ROLE_SMTPD);
    operator_asks("sign counts");
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, set_up, tear_down, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("the old keys sign until all new ones are there: none signs for another's entry",
             the_old_keys_sign_until_all_new_ones_are_there),
        TEST("a file that changed is in use at once", a_file_that_changed_is_in_use_at_once),
        TEST("without entries nothing is signed", without_entries_nothing_is_signed),
        TEST("the operator is told of keys and of trouble",
             the_operator_is_told_of_keys_and_trouble),
        TEST("nobody but the queue may ask for signatures", nobody_but_the_queue_may_ask),
    };
    return cmocka_run_group_tests_name("sign_role", tests, NULL, NULL);
}
