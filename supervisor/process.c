#include "supervisor/process.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    GRACE_MS = 5 * SECOND_MS, /* between the end of the drain, or of the channel, and the kill */
};

struct process {
    const struct process_plan *plan;
    const struct role_row *row;
    unsigned instance;
    uint64_t generation;
    pid_t pid;
    struct channel *channel;
    struct loop_timer *deadline;
    bool ready;
    bool draining;
};

/* --- what it says ---------------------------------------------------------------------------- */

static void on_ready(struct process *p, const struct channel_frame *frame)
{
    Ipc__Ready *ready = channel_decode(frame, &ipc__ready__descriptor);

    if (!ready) {
        channel_refuse(p->channel, "ready does not decode");
        return;
    }
    ipc__ready__free_unpacked(ready, NULL);
    if (p->ready)
        return;
    p->ready = true;
    p->plan->events->ready(p->plan->ctx, p);
}

static void on_reply(struct process *p, const struct channel_frame *frame)
{
    Ipc__ControlReply *reply = channel_decode(frame, &ipc__control_reply__descriptor);

    if (!reply) {
        channel_refuse(p->channel, "control reply does not decode");
        return;
    }
    p->plan->events->reply(p->plan->ctx, p, reply, frame->body);
    ipc__control_reply__free_unpacked(reply, NULL);
}

static void on_peer_lost(struct process *p, const struct channel_frame *frame)
{
    Ipc__PeerLost *lost = channel_decode(frame, &ipc__peer_lost__descriptor);

    if (!lost) {
        channel_refuse(p->channel, "a lost peer does not decode");
        return;
    }
    p->plan->events->peer_lost(p->plan->ctx, p, lost->pair, span_of_bytes(lost->why));
    ipc__peer_lost__free_unpacked(lost, NULL);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct process *p = ctx;

    if (frame->type == FRAME_READY)
        on_ready(p, frame);
    else if (frame->type == FRAME_CONTROL_REPLY)
        on_reply(p, frame);
    else if (frame->type == FRAME_PEER_LOST)
        on_peer_lost(p, frame);
    else
        channel_refuse(p->channel, "a role may not send this frame");
}

/* One that closed its channel is about to end; one that sent nonsense is ended. */
static void on_closed(void *ctx, const struct error *err)
{
    struct process *p = ctx;

    if (err) {
        log_failure(LOG_ERROR, "role-refused", err);
        process_kill(p);
    }
    channel_free(&p->channel);
    loop_timer_start(p->deadline, GRACE_MS);
}

static void on_deadline(void *ctx)
{
    struct process *p = ctx;
    struct log_line line;

    log_begin(&line, LOG_WARNING, "role-killed");
    log_string(&line, "name", role_name(p->row->id));
    log_number(&line, "pid", p->pid);
    log_end(&line);
    process_kill(p);
}

static const struct channel_events process_channel_events = { on_frame, on_closed };

/* --- starting -------------------------------------------------------------------------------- */

/* The child's part: from here on nothing that allocates or locks. */
static void become_role(const struct process_plan *plan, const struct role_row *row, int channel)
    __attribute__((noreturn));
static void become_role(const struct process_plan *plan, const struct role_row *row, int channel)
{
    static const char trouble[] = "waxseal: a role cannot be confined or executed\n";
    char *const argv[] = { (char[]){ "waxseal" }, (char[]){ "role" },
                           (char *)(uintptr_t)role_name(row->id), NULL };
    ssize_t put;

    if (sandbox_enter(&plan->user, plan->state_dir, row->folder, channel) == 0)
        fexecve(plan->binary, argv, environ);
    put = write(STDERR_FILENO, trouble, sizeof(trouble) - 1);
    (void)put;
    _exit(ROLE_EXIT_TROUBLE);
}

static void greet(struct process *p, struct span settings)
{
    Ipc__Hello hello = IPC__HELLO__INIT;

    hello.build_id = bytes_of_span(SPAN(WAXSEAL_VERSION));
    hello.generation = p->generation;
    hello.role = p->row->id;
    hello.instance = p->instance;
    hello.settings = bytes_of_span(settings);
    channel_send(p->channel, FRAME_HELLO, &hello.base, SPAN(""));
}

static struct process *process_of(const struct process_plan *plan, const struct role_row *row,
                                  pid_t pid, int fd)
{
    struct process *p = memory_new(sizeof(*p));

    p->plan = plan;
    p->row = row;
    p->pid = pid;
    p->channel = channel_open(plan->loop, fd, &process_channel_events, p);
    p->deadline = loop_timer_new(plan->loop, on_deadline, p);
    return p;
}

struct error *process_start(const struct process_plan *plan, const struct role_row *row,
                            unsigned instance, uint64_t generation, struct span settings,
                            struct process **out_process)
{
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return error_errno(ERROR_LOCAL, errno, "socket pair for %s", role_name(row->id));
    log_flush(); /* or the child would have a copy of it */
    pid = fork();
    if (pid == 0)
        become_role(plan, row, pair[1]);
    close(pair[1]);
    if (pid < 0) {
        struct error *err = error_errno(ERROR_LOCAL, errno, "fork for %s", role_name(row->id));
        close(pair[0]);
        return err;
    }
    *out_process = process_of(plan, row, pid, pair[0]);
    (*out_process)->instance = instance;
    (*out_process)->generation = generation;
    greet(*out_process, settings);
    return NULL;
}

void process_free(struct process **process)
{
    struct process *p = *process;

    if (!p)
        return;
    channel_free(&p->channel);
    loop_timer_free(&p->deadline);
    free(p);
    *process = NULL;
}

/* --- what it is told ------------------------------------------------------------------------- */

/* To one whose channel has ended nothing is said: it is about to die. */
static void say(struct process *p, enum frame_type type, const ProtobufCMessage *message,
                struct span body)
{
    if (p->channel)
        channel_send(p->channel, type, message, body);
}

static void say_with_fd(struct process *p, enum frame_type type, const ProtobufCMessage *message,
                        int fd)
{
    if (p->channel && fd >= 0)
        channel_send_fd(p->channel, type, message, fd);
    else if (fd >= 0)
        close(fd);
}

static int another_fd(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct error *err;

    if (copy >= 0)
        return copy;
    err = error_errno(ERROR_LOCAL, errno, "copy a descriptor");
    log_failure(LOG_ERROR, "role-lacks-descriptor", err);
    error_free(&err);
    return -1;
}

void process_hand_content(struct process *p, enum role_content kind, unsigned index,
                          struct span content)
{
    Ipc__Content piece = IPC__CONTENT__INIT;

    piece.kind = kind;
    piece.index = index;
    piece.generation = p->generation;
    do {
        struct span body = span_first(content, FRAME_BODY_MAX);
        content = span_from(content, FRAME_BODY_MAX);
        piece.last = content.len == 0;
        say(p, FRAME_CONTENT, &piece.base, body);
    } while (!piece.last);
}

void process_hand_listener(struct process *p, unsigned index, int fd)
{
    Ipc__Listener listener = IPC__LISTENER__INIT;

    listener.index = index;
    say_with_fd(p, FRAME_LISTENER, &listener.base, another_fd(fd));
}

void process_hand_peer(struct process *p, const struct process *peer, unsigned pair, int fd)
{
    Ipc__Peer message = IPC__PEER__INIT;

    message.role = peer->row->id;
    message.instance = peer->instance;
    message.generation = peer->generation;
    message.pair = pair;
    say_with_fd(p, FRAME_PEER, &message.base, fd);
}

void process_hand_shared(struct process *p, int fd, uint32_t size)
{
    Ipc__Shared shared = IPC__SHARED__INIT;

    shared.size = size;
    say_with_fd(p, FRAME_SHARED, &shared.base, another_fd(fd));
}

void process_go(struct process *p)
{
    Ipc__Start start = IPC__START__INIT;

    say(p, FRAME_START, &start.base, SPAN(""));
}

void process_give_settings(struct process *p, uint64_t generation, struct span settings)
{
    Ipc__NewSettings fresh = IPC__NEW_SETTINGS__INIT;

    p->generation = generation;
    fresh.generation = generation;
    fresh.settings = bytes_of_span(settings);
    say(p, FRAME_NEW_SETTINGS, &fresh.base, SPAN(""));
}

void process_drain(struct process *p, int64_t wait_ms)
{
    Ipc__Drain drain = IPC__DRAIN__INIT;

    p->draining = true;
    if (!p->ready) { /* it has begun nothing that could be ended */
        process_kill(p);
        return;
    }
    drain.wait_ms = wait_ms;
    say(p, FRAME_DRAIN, &drain.base, SPAN(""));
    loop_timer_start(p->deadline, wait_ms + GRACE_MS);
}

void process_ask(struct process *p, const Ipc__ControlRequest *request)
{
    say(p, FRAME_CONTROL_REQUEST, &request->base, SPAN(""));
}

void process_ask_no_more(struct process *p, uint64_t id)
{
    Ipc__ControlGone gone = IPC__CONTROL_GONE__INIT;

    gone.id = id;
    say(p, FRAME_CONTROL_GONE, &gone.base, SPAN(""));
}

void process_kill(struct process *p)
{
    kill(p->pid, SIGKILL);
}

/* --- facts ----------------------------------------------------------------------------------- */

const struct role_row *process_row(const struct process *p)
{
    return p->row;
}

unsigned process_instance(const struct process *p)
{
    return p->instance;
}

uint64_t process_generation(const struct process *p)
{
    return p->generation;
}

pid_t process_pid(const struct process *p)
{
    return p->pid;
}

bool process_is_ready(const struct process *p)
{
    return p->ready;
}

bool process_is_draining(const struct process *p)
{
    return p->draining;
}
