#include "lib/ipc/role.h"

#include "lib/base/limits.h"
#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/supervisor.pb-c.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONTENT_MAX = 8 * 1024 * 1024, /* the largest file handed over */
    KEPT_MEMORY = 4 * 1024 * 1024, /* free, at the end of the heap */
    ANSWER_MAX = 16 * 1024 * 1024, /* to an operator, in one piece */
};

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_SUPERVISOR] = "supervisor",
    [ROLE_SMTPD] = "smtpd",
    [ROLE_QUEUE] = "queue",
    [ROLE_DELIVER] = "deliver",
    [ROLE_POLICY] = "policy",
    [ROLE_TLSRPT] = "tlsrpt",
    [ROLE_AUTH] = "auth",
    [ROLE_PICKUP] = "pickup",
    [ROLE_SIGN] = "sign",
};

struct file_content {
    struct list others;
    enum role_content kind;
    unsigned index;
    struct buf arriving;
    struct buf whole;
    bool is_there;
    uint64_t generation; /* of the settings that it belongs to */
};

/* A descriptor that came before role_serve. */
struct waiting_fd {
    struct list others;
    bool is_listener;
    unsigned index; /* of the listener; else the peer's instance */
    enum role_id peer;
    unsigned pair;
    int fd;
};

struct role {
    enum role_id id;
    unsigned instance;
    uint64_t generation;
    struct loop *loop;
    struct channel *supervisor;
    struct channel_overseer overseer; /* of the channels to our peers */
    struct map *pairs;                /* the number of a peer's socket pair, by its descriptor */
    struct settings settings;
    struct list files;
    int shared;
    struct list waiting;
    struct list requests; /* of operators, not yet answered */
    bool greeted;
    bool started;
    const struct role_events *events; /* NULL before role_serve */
    void *ctx;
    int exit_status;
};

struct role_request {
    struct list others;
    struct role *role;
    Ipc__ControlRequest *message;
    bool is_gone;
};

const char *role_name(enum role_id id)
{
    return (unsigned)id < ROLE_COUNT ? role_names[id] : "unknown";
}

void role_die(int exit_status, struct error *why)
{
    log_failure(LOG_ERROR, "role-ends", why);
    log_flush();
    _exit(exit_status);
}

static void take_settings(struct role *role, struct span text)
{
    struct settings_errors errors;

    settings_errors_init(&errors);
    if (!settings_parse(text, "settings", &role->settings, &errors))
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "handed-over settings: " SPAN_FMT,
                                              SPAN_ARG(buf_span(&errors.text))));
    settings_errors_clear(&errors);
    log_open(STDERR_FILENO, role->settings.log_level, role_name(role->id));
}

static void on_hello(struct role *role, const struct channel_frame *frame)
{
    Ipc__Hello *hello = channel_decode(frame, &ipc__hello__descriptor);

    if (!hello || hello->role >= ROLE_COUNT || role->greeted)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "no hello from the supervisor"));
    if (!span_equal(span_of_bytes(hello->build_id), SPAN(WAXSEAL_VERSION)))
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "supervisor is of another build"));
    role->id = (enum role_id)hello->role;
    role->instance = hello->instance;
    role->generation = hello->generation;
    role->greeted = true;
    take_settings(role, span_of_bytes(hello->settings));
    ipc__hello__free_unpacked(hello, NULL);
}

static struct file_content *find_file(const struct role *role, enum role_content kind,
                                      unsigned index)
{
    struct file_content *file;

    LIST_EACH(file, &role->files, struct file_content, others)
    {
        if (file->kind == kind && file->index == index)
            return file;
    }
    return NULL;
}

static struct file_content *new_file(struct role *role, enum role_content kind, unsigned index)
{
    struct file_content *file = memory_new(sizeof(*file));

    file->kind = kind;
    file->index = index;
    buf_init(&file->arriving, CONTENT_MAX);
    buf_init(&file->whole, CONTENT_MAX);
    list_append(&role->files, &file->others);
    return file;
}

static void on_content(struct role *role, const struct channel_frame *frame)
{
    Ipc__Content *piece = channel_decode(frame, &ipc__content__descriptor);

    if (!piece || piece->kind >= CONTENT_COUNT || piece->index >= CONTENT_INDEX_MAX)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "file content does not decode"));
    enum role_content kind = (enum role_content)piece->kind;
    unsigned index = piece->index;
    bool last = piece->last;
    uint64_t generation = piece->generation;
    ipc__content__free_unpacked(piece, NULL);
    struct file_content *file = find_file(role, kind, index);
    if (!file)
        file = new_file(role, kind, index);
    if (!buf_append(&file->arriving, frame->body))
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "file content is too large"));
    if (!last)
        return;
    buf_clear(&file->whole);
    file->whole = file->arriving;
    file->is_there = true;
    file->generation = generation;
    buf_init(&file->arriving, CONTENT_MAX);
    if (role->events && role->events->content)
        role->events->content(role->ctx, kind, index);
}

/* --- channels to peers --- */

/* The map holds pointers; a number that is not zero makes one. */
static void note_pair(struct role *role, int fd, unsigned pair)
{
    if (pair == 0)
        (void)map_remove_number(role->pairs, (uint64_t)fd);
    else
        (void)map_put_number(role->pairs, (uint64_t)fd, (void *)(uintptr_t)pair);
}

/* The supervisor alone can see to it that there is a new channel. */
static void on_channel_ended(void *ctx, int fd, const struct error *fault)
{
    struct role *role = ctx;
    Ipc__PeerLost lost = IPC__PEER_LOST__INIT;

    lost.pair = (uint32_t)(uintptr_t)map_remove_number(role->pairs, (uint64_t)fd);
    if (lost.pair == 0)
        return;
    if (fault)
        lost.why = bytes_of_span(span_of(error_text(fault)));
    channel_send(role->supervisor, FRAME_PEER_LOST, &lost.base, (struct span){ NULL, 0 });
}

static void give_peer(struct role *role, const struct waiting_fd *w)
{
    note_pair(role, w->fd, w->pair);
    role->events->peer(role->ctx, w->peer, w->index, w->fd);
}

/* Gives a listener or a peer to the role, or closes it when the role has no use for it. */
static void give_fd(struct role *role, const struct waiting_fd *w)
{
    if (w->is_listener && role->events->listener)
        role->events->listener(role->ctx, w->index, w->fd);
    else if (w->is_listener || !role->events->peer)
        close(w->fd);
    else
        give_peer(role, w);
}

static void take_fd(struct role *role, struct channel_frame *frame, struct waiting_fd w)
{
    if (frame->fd < 0)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "a descriptor did not come along"));
    w.fd = frame->fd;
    frame->fd = -1;
    if (role->events) {
        give_fd(role, &w);
        return;
    }
    struct waiting_fd *kept = memory_new(sizeof(*kept));
    *kept = w;
    list_append(&role->waiting, &kept->others);
}

static void on_listener(struct role *role, struct channel_frame *frame)
{
    Ipc__Listener *listener = channel_decode(frame, &ipc__listener__descriptor);

    if (!listener || listener->index >= SETTINGS_SOCKETS_MAX)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "a listener does not decode"));
    struct waiting_fd w = { .is_listener = true, .index = listener->index };
    ipc__listener__free_unpacked(listener, NULL);
    take_fd(role, frame, w);
}

static void on_peer(struct role *role, struct channel_frame *frame)
{
    Ipc__Peer *peer = channel_decode(frame, &ipc__peer__descriptor);

    if (!peer || peer->role >= ROLE_COUNT)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "a peer does not decode"));
    struct waiting_fd w = { .peer = (enum role_id)peer->role, .index = peer->instance };
    w.pair = peer->pair;
    ipc__peer__free_unpacked(peer, NULL);
    take_fd(role, frame, w);
}

static void on_shared(struct role *role, struct channel_frame *frame)
{
    if (role->shared >= 0)
        close(role->shared);
    role->shared = frame->fd;
    frame->fd = -1;
}

static void on_new_settings(struct role *role, const struct channel_frame *frame)
{
    Ipc__NewSettings *fresh = channel_decode(frame, &ipc__new_settings__descriptor);

    if (!fresh)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "new settings do not decode"));
    role->generation = fresh->generation;
    take_settings(role, span_of_bytes(fresh->settings));
    ipc__new_settings__free_unpacked(fresh, NULL);
    if (role->events && role->events->settings)
        role->events->settings(role->ctx);
}

static void on_drain(struct role *role, const struct channel_frame *frame)
{
    Ipc__Drain *drain = channel_decode(frame, &ipc__drain__descriptor);

    if (!drain)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "drain does not decode"));
    int64_t wait_ms = drain->wait_ms;
    ipc__drain__free_unpacked(drain, NULL);
    if (role->events && role->events->drain)
        role->events->drain(role->ctx, wait_ms);
    else
        role_end(role, ROLE_EXIT_DONE);
}

static void on_control(struct role *role, const struct channel_frame *frame)
{
    Ipc__ControlRequest *message = channel_decode(frame, &ipc__control_request__descriptor);

    if (!message)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "a control request does not decode"));
    struct role_request *request = memory_new(sizeof(*request));
    request->role = role;
    request->message = message;
    list_append(&role->requests, &request->others);
    if (role->events && role->events->control)
        role->events->control(role->ctx, request);
    else
        role_reply_failed(&request, "this role answers no requests");
}

static void on_control_gone(struct role *role, const struct channel_frame *frame)
{
    Ipc__ControlGone *gone = channel_decode(frame, &ipc__control_gone__descriptor);
    struct role_request *request;

    if (!gone)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "a control frame does not decode"));
    LIST_EACH(request, &role->requests, struct role_request, others)
    {
        if (request->message->id == gone->id)
            request->is_gone = true;
    }
    ipc__control_gone__free_unpacked(gone, NULL);
}

static void on_start(struct role *role)
{
    role->started = true;
    if (!role->events)
        loop_stop(role->loop); /* role_open waits for it */
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct role *role = ctx;

    if (!role->greeted && frame->type != FRAME_HELLO)
        role_die(ROLE_EXIT_TROUBLE, error_new(ERROR_LOCAL, "the first frame is no hello"));
    if (frame->type == FRAME_HELLO)
        on_hello(role, frame);
    else if (frame->type == FRAME_CONTENT)
        on_content(role, frame);
    else if (frame->type == FRAME_LISTENER)
        on_listener(role, frame);
    else if (frame->type == FRAME_PEER)
        on_peer(role, frame);
    else if (frame->type == FRAME_SHARED)
        on_shared(role, frame);
    else if (frame->type == FRAME_START)
        on_start(role);
    else if (frame->type == FRAME_NEW_SETTINGS)
        on_new_settings(role, frame);
    else if (frame->type == FRAME_DRAIN)
        on_drain(role, frame);
    else if (frame->type == FRAME_CONTROL_REQUEST)
        on_control(role, frame);
    else if (frame->type == FRAME_CONTROL_GONE)
        on_control_gone(role, frame);
}

/* The supervisor is gone: so is this role (design.md section 2). */
static void on_closed(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    log_flush();
    _exit(ROLE_EXIT_DONE);
}

static const struct channel_events supervisor_events = { on_frame, on_closed };

/*
 * Content comes and goes in pieces of some KiB: without this the heap's end is given back to the
 * kernel, and asked for again, all the time.  Costs a few MiB at most.
 */
static void keep_some_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY / 4);
    mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
    mallopt(M_TOP_PAD, KEPT_MEMORY / 16);
}

struct role *role_open(int fd)
{
    struct role *role = memory_new(sizeof(*role));

    keep_some_memory();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* what a terminal, killall or a container's end sends to all of us */
    signal(SIGINT, SIG_IGN); /* is the supervisor's to pass on */
    signal(SIGTERM, SIG_IGN);
    role->shared = -1;
    list_init(&role->waiting);
    list_init(&role->requests);
    list_init(&role->files);
    role->loop = loop_new();
    role->pairs = map_new();
    role->overseer = (struct channel_overseer){ on_channel_ended, role };
    channel_oversee(role->loop, &role->overseer);
    role->supervisor = channel_open(role->loop, fd, &supervisor_events, role);
    loop_run(role->loop);
    ensure(role->started);
    return role;
}

static void forget_files(struct role *role)
{
    struct file_content *file;

    LIST_EACH(file, &role->files, struct file_content, others)
    {
        buf_clear(&file->arriving);
        buf_clear(&file->whole);
        list_remove(&file->others);
        free(file);
    }
}

void role_free(struct role **role)
{
    struct role *r = *role;
    struct waiting_fd *w;

    if (!r)
        return;
    channel_free(&r->supervisor);
    map_free(&r->pairs);
    LIST_EACH(w, &r->waiting, struct waiting_fd, others)
    {
        close(w->fd);
        free(w);
    }
    forget_files(r);
    if (r->shared >= 0)
        close(r->shared);
    loop_free(&r->loop);
    free(r);
    *role = NULL;
}

enum role_id role_id(const struct role *role)
{
    return role->id;
}

unsigned role_instance(const struct role *role)
{
    return role->instance;
}

struct loop *role_loop(const struct role *role)
{
    return role->loop;
}

const struct settings *role_settings(const struct role *role)
{
    return &role->settings;
}

struct span role_content(const struct role *role, enum role_content kind, unsigned index)
{
    const struct file_content *file = find_file(role, kind, index);

    return file && file->is_there ? buf_span(&file->whole) : (struct span){ NULL, 0 };
}

bool role_content_is_current(const struct role *role, enum role_content kind, unsigned index)
{
    const struct file_content *file = find_file(role, kind, index);

    return file && file->is_there && file->generation == role->generation;
}

int role_shared(const struct role *role)
{
    return role->shared;
}

static void give_waiting(struct role *role)
{
    struct waiting_fd *w;

    LIST_EACH(w, &role->waiting, struct waiting_fd, others)
    {
        list_remove(&w->others);
        give_fd(role, w);
        free(w);
    }
}

static void say_ready(struct role *role)
{
    Ipc__Ready ready = IPC__READY__INIT;

    ready.generation = role->generation;
    channel_send(role->supervisor, FRAME_READY, &ready.base, (struct span){ NULL, 0 });
}

int role_serve(struct role *role, const struct role_events *events, void *ctx)
{
    role->events = events;
    role->ctx = ctx;
    give_waiting(role);
    say_ready(role);
    loop_run(role->loop);
    channel_drain(role->supervisor, SECOND_MS);
    return role->exit_status;
}

void role_end(struct role *role, int exit_status)
{
    role->exit_status = exit_status;
    loop_stop(role->loop);
}

/* --- the operator's requests */

struct span role_request_verb(const struct role_request *request)
{
    return span_of_bytes(request->message->verb);
}

struct span role_request_argument(const struct role_request *request, const char *name)
{
    for (size_t i = 0; i < request->message->n_arguments; i++) {
        const Ipc__Argument *argument = request->message->arguments[i];
        if (span_equal(span_of_bytes(argument->name), span_of(name))) /* which may be empty */
            return argument->value.len > 0 ? span_of_bytes(argument->value) : SPAN("");
    }
    return (struct span){ NULL, 0 };
}

uint32_t role_request_uid(const struct role_request *request)
{
    return request->message->uid;
}

bool role_request_is_gone(const struct role_request *request)
{
    return request->is_gone;
}

static void send_reply(const struct role_request *request, struct span body, bool failed, bool last)
{
    Ipc__ControlReply reply = IPC__CONTROL_REPLY__INIT;

    reply.id = request->message->id;
    reply.failed = failed;
    reply.last = last;
    channel_send(request->role->supervisor, FRAME_CONTROL_REPLY, &reply.base, body);
}

static void request_free(struct role_request **request)
{
    list_remove(&(*request)->others);
    ipc__control_request__free_unpacked((*request)->message, NULL);
    free(*request);
    *request = NULL;
}

void role_reply(struct role_request **request, struct span json, bool last)
{
    while (json.len > FRAME_BODY_MAX) {
        send_reply(*request, span_first(json, FRAME_BODY_MAX), false, false);
        json = span_from(json, FRAME_BODY_MAX);
    }
    send_reply(*request, json, false, last);
    if (last)
        request_free(request);
}

void role_reply_json(struct role_request **request, struct json **json)
{
    struct buf text;

    buf_init(&text, ANSWER_MAX);
    if (json_write(*json, JSON_ON_ONE_LINE, &text))
        role_reply(request, buf_span(&text), true);
    else
        role_reply_failed(request, "the answer is too large to be shown");
    buf_clear(&text);
    json_free(json);
}

void role_reply_failed(struct role_request **request, const char *sentence)
{
    send_reply(*request, span_of(sentence), true, true);
    request_free(request);
}
