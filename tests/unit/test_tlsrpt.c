/* The tlsrpt role as a process, with this test as its supervisor and as a worker that tells. */
#include "tests/support/test.h"

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/role.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "lib/ipc/tlsrpt_client.h"
#include "tests/support/session_event.h"
#include "tlsrpt/tlsrpt.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 10 * SECOND_MS };

/* The role, the supervisor's end of its channel, and what it said last. */
struct rig {
    char folder[64];
    struct loop *loop;
    struct channel *supervisor;
    struct tlsrpt_client *worker;
    struct loop_timer *patience;
    pid_t pid;
    bool ready;
    bool closed;
    bool answered;
    bool failed;
    struct buf answer;
};

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct rig *rig = ctx;

    if (frame->type == FRAME_READY)
        rig->ready = true;
    if (frame->type == FRAME_CONTROL_REPLY) {
        Ipc__ControlReply *reply = channel_decode(frame, &ipc__control_reply__descriptor);
        rig->failed = reply->failed;
        rig->answered = reply->last;
        assert_true(buf_append(&rig->answer, frame->body));
        ipc__control_reply__free_unpacked(reply, NULL);
    }
    loop_stop(rig->loop);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct rig *rig = ctx;

    (void)err;
    rig->closed = true;
    loop_stop(rig->loop);
}

static const struct channel_events events = { on_frame, on_closed };

static void on_patience_ended(void *ctx)
{
    (void)ctx;
    fail_msg("the role does not answer");
}

static void wait_for(struct rig *rig, const bool *fact)
{
    loop_timer_start(rig->patience, WAIT_MS);
    while (!*fact)
        loop_run(rig->loop);
    loop_timer_cancel(rig->patience);
}

static void send_hello(struct rig *rig)
{
    Ipc__Hello hello = IPC__HELLO__INIT;
    Ipc__Start start = IPC__START__INIT;
    struct settings settings;
    struct buf text;

    settings_defaults(&settings);
    snprintf(settings.hostname, sizeof(settings.hostname), "relay.test");
    snprintf(settings.tlsrpt_contact, sizeof(settings.tlsrpt_contact), "postmaster@relay.test");
    snprintf(settings.tlsrpt_sender, sizeof(settings.tlsrpt_sender), "postmaster@relay.test");
    buf_init(&text, 1 << 20);
    settings_write(&settings, &text);
    hello.build_id = bytes_of_span(SPAN(WAXSEAL_VERSION));
    hello.role = ROLE_TLSRPT;
    hello.settings = bytes_of_span(buf_span(&text));
    channel_send(rig->supervisor, FRAME_HELLO, &hello.base, SPAN(""));
    channel_send(rig->supervisor, FRAME_START, &start.base, SPAN(""));
    buf_clear(&text);
}

/* In its own folder, as the supervisor starts it. */
static void become_role(const struct rig *rig, int fd)
{
    struct role *role;
    int status;

    if (chdir(rig->folder) != 0 || chdir("tlsrpt") != 0)
        _exit(1);
    role = role_open(fd);
    status = tlsrpt_main(role);
    role_free(&role);
    _exit(status);
}

/* A channel to the role; gives the other end. */
static int hand_over_peer(struct rig *rig)
{
    Ipc__Peer peer = IPC__PEER__INIT;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer.role = ROLE_DELIVER;
    channel_send_fd(rig->supervisor, FRAME_PEER, &peer.base, ends[1]);
    return ends[0];
}

static void start_role(struct rig *rig)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    rig->pid = fork();
    if (rig->pid == 0) {
        close(ends[0]);
        become_role(rig, ends[1]);
    }
    close(ends[1]);
    rig->ready = rig->closed = false;
    rig->supervisor = channel_open(rig->loop, ends[0], &events, rig);
    send_hello(rig);
    tlsrpt_client_attach(rig->worker, hand_over_peer(rig));
    wait_for(rig, &rig->ready);
}

static int stop_role(struct rig *rig)
{
    Ipc__Drain drain = IPC__DRAIN__INIT;
    int status;

    channel_send(rig->supervisor, FRAME_DRAIN, &drain.base, SPAN(""));
    wait_for(rig, &rig->closed);
    channel_free(&rig->supervisor);
    assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    char store[80];

    strcpy(rig->folder, "/var/tmp/waxseal-tlsrpt-XXXXXX");
    if (!mkdtemp(rig->folder))
        return -1;
    snprintf(store, sizeof(store), "%s/tlsrpt", rig->folder);
    if (mkdir(store, 0700))
        return -1;
    buf_init(&rig->answer, 1 << 20);
    rig->loop = loop_new();
    rig->patience = loop_timer_new(rig->loop, on_patience_ended, rig);
    rig->worker = tlsrpt_client_new(rig->loop);
    *state = rig;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    tlsrpt_client_free(&rig->worker);
    loop_timer_free(&rig->patience);
    loop_free(&rig->loop);
    buf_clear(&rig->answer);
    nftw(rig->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(rig);
    return 0;
}

/* Asks as the command line does; the answer stands in rig->answer, ended by a NUL. */
static void ask(struct rig *rig, const char *verb, const char *domain, const char *day)
{
    Ipc__ControlRequest request = IPC__CONTROL_REQUEST__INIT;
    Ipc__Argument arguments[2] = { IPC__ARGUMENT__INIT, IPC__ARGUMENT__INIT };
    Ipc__Argument *pointers[2] = { &arguments[0], &arguments[1] };

    arguments[0].name = bytes_of_span(SPAN("domain"));
    arguments[0].value = bytes_of_span(span_of(domain));
    arguments[1].name = bytes_of_span(SPAN("day"));
    arguments[1].value = bytes_of_span(span_of(day));
    request.verb = bytes_of_span(span_of(verb));
    request.arguments = pointers;
    request.n_arguments = day ? 2 : 1;
    buf_reset(&rig->answer);
    rig->answered = false;
    channel_send(rig->supervisor, FRAME_CONTROL_REQUEST, &request.base, SPAN(""));
    wait_for(rig, &rig->answered);
    assert_true(buf_append(&rig->answer, (struct span){ "", 1 }));
}

/* How many failed sessions today's report of a domain has; 0 without one. */
static int failures_of(struct rig *rig, const char *domain)
{
    struct json *report = NULL;
    int failures;

    ask(rig, "tlsrpt report", domain, NULL);
    if (rig->failed)
        return 0;
    assert_null(json_parse(span_of(buf_span(&rig->answer).data), &report));
    struct json *first = json_item(json_get(report, "policies"), 0);
    failures =
        (int)json_number(json_get(json_get(first, "summary"), "total-failure-session-count"));
    assert_true(
        span_equal(json_text(json_get(report, "contact-info")), SPAN("postmaster@relay.test")));
    json_free(&report);
    return failures;
}

static void tell_failure(struct rig *rig, const char *domain)
{
    struct session_event e;

    event_failure(&e, domain, TLS_RESULT_CERTIFICATE_EXPIRED);
    tlsrpt_tell(rig->worker, &e.event);
}

/* Told over another channel, it may not have come yet. */
static void wait_failures(struct rig *rig, const char *domain, int wanted)
{
    for (int i = 0; i < 100 && failures_of(rig, domain) != wanted; i++)
        usleep(10 * 1000);
    assert_int_equal(failures_of(rig, domain), wanted);
}

static void what_workers_tell_is_in_the_report(void **state)
{
    struct rig *rig = *state;

    start_role(rig);
    tell_failure(rig, "a.test");
    tell_failure(rig, "a.test");
    wait_failures(rig, "a.test", 2);
    assert_int_equal(failures_of(rig, "A.TEST."), 2);
    assert_int_equal(stop_role(rig), ROLE_EXIT_DONE);
}

static void counts_outlive_the_process(void **state)
{
    struct rig *rig = *state;

    start_role(rig);
    tell_failure(rig, "a.test");
    wait_failures(rig, "a.test", 1);
    assert_int_equal(stop_role(rig), ROLE_EXIT_DONE);
    tell_failure(rig, "a.test"); /* kept by the worker while the role is away */
    start_role(rig);
    wait_failures(rig, "a.test", 2);
    assert_int_equal(stop_role(rig), ROLE_EXIT_DONE);
}

static void a_kill_costs_a_second_at_most(void **state)
{
    struct rig *rig = *state;
    int status;

    start_role(rig);
    tell_failure(rig, "a.test");
    wait_failures(rig, "a.test", 1);
    usleep(1500 * 1000);
    kill(rig->pid, SIGKILL);
    wait_for(rig, &rig->closed);
    channel_free(&rig->supervisor);
    assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
    start_role(rig);
    assert_int_equal(failures_of(rig, "a.test"), 1);
    assert_int_equal(stop_role(rig), ROLE_EXIT_DONE);
}

static void questions_without_an_answer_get_a_sentence(void **state)
{
    struct rig *rig = *state;

    start_role(rig);
    ask(rig, "tlsrpt report", "nothing.test", "2020-02-02");
    assert_true(rig->failed);
    assert_string_equal(buf_span(&rig->answer).data,
                        "no session with nothing.test was counted on 2020-02-02");
    ask(rig, "tlsrpt report", "a..b", NULL);
    assert_true(rig->failed);
    ask(rig, "tlsrpt report", "a.test", "yesterday");
    assert_true(rig->failed);
    ask(rig, "tlsrpt mend", "a.test", NULL);
    assert_true(rig->failed);
    assert_int_equal(stop_role(rig), ROLE_EXIT_DONE);
}

static void nonsense_of_a_worker_ends_its_channel_only(void **state)
{
    struct rig *rig = *state;
    char junk[64];
    int fd;

    start_role(rig);
    fd = hand_over_peer(rig);
    memset(junk, 0xff, sizeof(junk));
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    struct session_event e;
    event_failure(&e, "not a domain", TLS_RESULT_CERTIFICATE_EXPIRED);
    tlsrpt_tell(rig->worker, &e.event);
    ask(rig, "tlsrpt report", "a.test", NULL);
    assert_int_equal(read(fd, junk, sizeof(junk)), 0);
    close(fd);
    tlsrpt_client_attach(rig->worker, hand_over_peer(rig));
    tell_failure(rig, "a.test");
    wait_failures(rig, "a.test", 1);
    assert_int_equal(stop_role(rig), ROLE_EXIT_DONE);
}

#define ROLE_TEST(title, function)                                                                 \
    {                                                                                              \
        title, function, setup, teardown, 0                                                        \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        ROLE_TEST("tlsrpt: what workers tell is in the report", what_workers_tell_is_in_the_report),
        ROLE_TEST("tlsrpt: counts outlive the process", counts_outlive_the_process),
        ROLE_TEST("tlsrpt: a kill costs the counts of a second at most",
                  a_kill_costs_a_second_at_most),
        ROLE_TEST("tlsrpt: questions without an answer get a sentence",
                  questions_without_an_answer_get_a_sentence),
        ROLE_TEST("tlsrpt: nonsense of a worker ends its channel only",
                  nonsense_of_a_worker_ends_its_channel_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
