#include "tests/support/tlsrpt_rig.h"

#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include "lib/ipc/queue.pb-c.h"
#include "lib/ipc/role.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "tlsrpt/tlsrpt.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the supervisor's channel */

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct tlsrpt_rig *rig = ctx;

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
    struct tlsrpt_rig *rig = ctx;

    (void)err;
    rig->closed = true;
    loop_stop(rig->loop);
}

static const struct channel_events supervisor_events = { on_frame, on_closed };

static void on_patience_ended(void *ctx)
{
    (void)ctx;
    fail_msg("the role does not answer");
}

void reporter_wait(struct tlsrpt_rig *rig, const bool *fact)
{
    loop_timer_start(rig->patience, RIG_WAIT_MS);
    while (!*fact)
        loop_run(rig->loop);
    loop_timer_cancel(rig->patience);
}

/* --- the queue */

static void kill_at(struct tlsrpt_rig *rig, enum rig_step step)
{
    if (rig->kill_at == step)
        kill(rig->pid, SIGKILL);
}

static void on_begin(struct tlsrpt_rig *rig, const struct channel_frame *frame)
{
    Ipc__AcceptBegin *begin = channel_decode(frame, &ipc__accept_begin__descriptor);

    assert_true(begin->envelope->tls_report);
    assert_true(span_to_string(span_of_bytes(begin->once), rig->arriving_key, RIG_KEY_SIZE));
    buf_reset(&rig->arriving);
    ipc__accept_begin__free_unpacked(begin, NULL);
    kill_at(rig, STEP_BEGUN);
}

static void on_content(struct tlsrpt_rig *rig, const struct channel_frame *frame)
{
    Ipc__AcceptContent *content = channel_decode(frame, &ipc__accept_content__descriptor);
    Ipc__AcceptCredit credit = IPC__ACCEPT_CREDIT__INIT;

    assert_true(buf_append(&rig->arriving, frame->body));
    credit.stream = content->stream;
    credit.bytes = (uint32_t)frame->body.len;
    ipc__accept_content__free_unpacked(content, NULL);
    kill_at(rig, STEP_CONTENT);
    channel_send(rig->queue, FRAME_ACCEPT_CREDIT, &credit.base, SPAN(""));
}

/* Gives its number. */
static unsigned commit(struct tlsrpt_rig *rig)
{
    struct rig_mail *mail;
    unsigned i = 0;

    while (i < rig->mail_count && strcmp(rig->mails[i].key, rig->arriving_key) != 0)
        i++;
    assert_true(i < RIG_MAILS_MAX);
    mail = &rig->mails[i];
    mail->handed_in++;
    if (i == rig->mail_count) {
        rig->mail_count++;
        strcpy(mail->key, rig->arriving_key);
        buf_init(&mail->content, 16 << 20);
        assert_true(buf_append(&mail->content, buf_span(&rig->arriving)));
    }
    return i + 1;
}

static void on_end(struct tlsrpt_rig *rig, const struct channel_frame *frame)
{
    Ipc__AcceptEnd *end = channel_decode(frame, &ipc__accept_end__descriptor);
    Ipc__AcceptDone done = IPC__ACCEPT_DONE__INIT;

    assert_int_equal(end->size, buf_len(&rig->arriving));
    done.stream = end->stream;
    ipc__accept_end__free_unpacked(end, NULL);
    kill_at(rig, STEP_WHOLE);
    if (rig->kill_at == STEP_WHOLE)
        return; /* nothing of it is left after the death */
    if (rig->is_full)
        done.outcome = IPC__ACCEPT_OUTCOME__FULL;
    else
        done.id = commit(rig);
    kill_at(rig, STEP_COMMITTED);
    channel_send(rig->queue, FRAME_ACCEPT_DONE, &done.base, SPAN(""));
}

static void on_queue_frame(void *ctx, struct channel_frame *frame)
{
    struct tlsrpt_rig *rig = ctx;

    if (frame->type == FRAME_ACCEPT_BEGIN)
        on_begin(rig, frame);
    else if (frame->type == FRAME_ACCEPT_CONTENT)
        on_content(rig, frame);
    else if (frame->type == FRAME_ACCEPT_END)
        on_end(rig, frame);
    loop_stop(rig->loop);
}

static void on_queue_closed(void *ctx, const struct error *err)
{
    struct tlsrpt_rig *rig = ctx;

    (void)err;
    channel_free(&rig->queue);
}

static const struct channel_events queue_events = { on_queue_frame, on_queue_closed };

/* --- life */

static void send_hello(struct tlsrpt_rig *rig)
{
    Ipc__Hello hello = IPC__HELLO__INIT;
    Ipc__Start start = IPC__START__INIT;
    struct settings *settings = settings_of(rig->settings);
    struct buf text;

    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_write(settings, &text);
    free(settings);
    hello.build_id = bytes_of_span(SPAN(WAXSEAL_VERSION));
    hello.role = ROLE_TLSRPT;
    hello.settings = bytes_of_span(buf_span(&text));
    channel_send(rig->supervisor, FRAME_HELLO, &hello.base, SPAN(""));
    channel_send(rig->supervisor, FRAME_START, &start.base, SPAN(""));
    buf_clear(&text);
}

/* In its own folder, as the supervisor starts it. */
static void become_role(const struct tlsrpt_rig *rig, int fd)
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

static int hand_over(struct tlsrpt_rig *rig, enum role_id id)
{
    Ipc__Peer peer = IPC__PEER__INIT;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer.role = id;
    channel_send_fd(rig->supervisor, FRAME_PEER, &peer.base, ends[1]);
    return ends[0];
}

int reporter_hand_over_peer(struct tlsrpt_rig *rig)
{
    return hand_over(rig, ROLE_DELIVER);
}

void reporter_launch(struct tlsrpt_rig *rig)
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
    rig->supervisor = channel_open(rig->loop, ends[0], &supervisor_events, rig);
    send_hello(rig);
    tlsrpt_client_attach(rig->worker, reporter_hand_over_peer(rig));
    rig->queue = channel_open(rig->loop, hand_over(rig, ROLE_QUEUE), &queue_events, rig);
}

void reporter_start(struct tlsrpt_rig *rig)
{
    reporter_launch(rig);
    reporter_wait(rig, &rig->ready);
}

static void on_time_up(void *ctx)
{
    struct tlsrpt_rig *rig = ctx;

    rig->time_is_up = true;
    loop_stop(rig->loop);
}

bool reporter_dies_within(struct tlsrpt_rig *rig, int64_t wait_ms)
{
    struct loop_timer *timer = loop_timer_new(rig->loop, on_time_up, rig);

    rig->time_is_up = false;
    loop_timer_start(timer, wait_ms);
    while (!rig->closed && !rig->time_is_up)
        loop_run(rig->loop);
    loop_timer_free(&timer);
    return rig->closed;
}

static int wait_end(struct tlsrpt_rig *rig)
{
    int status;

    reporter_wait(rig, &rig->closed);
    channel_free(&rig->supervisor);
    channel_free(&rig->queue);
    assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
    return status;
}

int reporter_stop(struct tlsrpt_rig *rig)
{
    Ipc__Drain drain = IPC__DRAIN__INIT;
    int status;

    drain.wait_ms = RIG_WAIT_MS;
    channel_send(rig->supervisor, FRAME_DRAIN, &drain.base, SPAN(""));
    status = wait_end(rig);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void reporter_wait_killed(struct tlsrpt_rig *rig)
{
    assert_true(WIFSIGNALED(wait_end(rig)));
}

void reporter_kill(struct tlsrpt_rig *rig)
{
    kill(rig->pid, SIGKILL);
    reporter_wait_killed(rig);
}

struct tlsrpt_rig *reporter_new(const char *settings)
{
    struct tlsrpt_rig *rig = calloc(1, sizeof(*rig));
    char store[80];

    strcpy(rig->folder, "/var/tmp/waxseal-tlsrpt-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    snprintf(store, sizeof(store), "%s/tlsrpt", rig->folder);
    assert_int_equal(mkdir(store, 0700), 0);
    rig->settings = settings;
    buf_init(&rig->answer, 1 << 20);
    buf_init(&rig->arriving, 16 << 20);
    rig->loop = loop_new();
    rig->patience = loop_timer_new(rig->loop, on_patience_ended, rig);
    rig->worker = tlsrpt_client_new(rig->loop);
    return rig;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void reporter_free(struct tlsrpt_rig *rig)
{
    tlsrpt_client_free(&rig->worker);
    loop_timer_free(&rig->patience);
    loop_free(&rig->loop);
    buf_clear(&rig->answer);
    buf_clear(&rig->arriving);
    for (unsigned i = 0; i < rig->mail_count; i++)
        buf_clear(&rig->mails[i].content);
    nftw(rig->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(rig);
}

/* --- questions */

void reporter_request(struct tlsrpt_rig *rig, const char *verb, const char *domain,
                      const char *name, const char *value)
{
    Ipc__ControlRequest request = IPC__CONTROL_REQUEST__INIT;
    Ipc__Argument arguments[2] = { IPC__ARGUMENT__INIT, IPC__ARGUMENT__INIT };
    Ipc__Argument *pointers[2] = { &arguments[0], &arguments[1] };

    arguments[0].name = bytes_of_span(SPAN("domain"));
    arguments[0].value = bytes_of_span(span_of(domain));
    arguments[1].name = bytes_of_span(span_of(name));
    arguments[1].value = bytes_of_span(span_of(value));
    request.verb = bytes_of_span(span_of(verb));
    request.arguments = pointers;
    request.n_arguments = name ? 2 : 1;
    buf_reset(&rig->answer);
    rig->answered = false;
    channel_send(rig->supervisor, FRAME_CONTROL_REQUEST, &request.base, SPAN(""));
}

void reporter_ask(struct tlsrpt_rig *rig, const char *verb, const char *domain, const char *name,
                  const char *value)
{
    reporter_request(rig, verb, domain, name, value);
    reporter_wait(rig, &rig->answered);
    assert_true(buf_append(&rig->answer, (struct span){ "", 1 }));
}
