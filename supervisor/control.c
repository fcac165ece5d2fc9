#include "supervisor/control.h"

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 16,
    UNREAD_MAX = 64 * 1024 * 1024, /* of an answer that its reader does not read */
    STATUS_MAX = 4 * 1024 * 1024,
    PATIENCE_MS = 5000, /* for a role that is being started */
};

static const char socket_name[] = "control.sock";

/* A connection; one request at a time. */
struct connection {
    struct list others;
    struct control *control;
    struct channel *channel;
    Ipc__ControlRequest *waiting; /* for its role to be ready */
    struct loop_timer *patience;
    struct process *asked; /* NULL: no role was asked */
    uint64_t asked_as;     /* our number of the request */
    uint64_t client_id;    /* the client's */
    uid_t uid;             /* of the client */
};

struct control {
    struct loop *loop;
    int run_dir;
    int fd;
    struct loop_watch *watch;
    struct sandbox_user user;
    const struct control_events *events;
    void *ctx;
    struct list connections;
    unsigned connection_count;
    uint64_t last_id;
};

/* --- a connection ---------------------------------------------------------------------------- */

static void waiting_clear(struct connection *c)
{
    loop_timer_cancel(c->patience);
    if (c->waiting)
        ipc__control_request__free_unpacked(c->waiting, NULL);
    c->waiting = NULL;
}

static void connection_free(struct connection *c)
{
    if (c->asked)
        process_ask_no_more(c->asked, c->asked_as);
    list_remove(&c->others);
    c->control->connection_count--;
    waiting_clear(c);
    loop_timer_free(&c->patience);
    channel_free(&c->channel);
    free(c);
}

static void answer(struct connection *c, bool failed, bool last, struct span body)
{
    Ipc__ControlReply reply = IPC__CONTROL_REPLY__INIT;

    reply.id = c->client_id;
    reply.failed = failed;
    reply.last = last;
    channel_send(c->channel, FRAME_CONTROL_REPLY, &reply.base, body);
    if (last)
        c->asked = NULL;
}

static void refuse(struct connection *c, const char *sentence)
{
    answer(c, true, true, span_of(sentence));
}

/* The role that a verb begins with: "queue list" is for queue; it also knows the hosts. */
static enum role_id role_of_verb(struct span verb)
{
    struct span word = span_first(verb, span_find(verb, ' '));

    if (span_equal(word, SPAN("hosts")))
        return ROLE_QUEUE;
    for (enum role_id id = ROLE_SUPERVISOR + 1; id < ROLE_COUNT; id++)
        if (span_equal(word, span_of(role_name(id))))
            return id;
    return ROLE_COUNT;
}

/* Asks the role when it is ready; else the request goes on waiting. */
static void ask_when_ready(struct connection *c)
{
    enum role_id role = role_of_verb(span_of_bytes(c->waiting->verb));

    c->asked = c->control->events->find(c->control->ctx, role);
    if (!c->asked)
        return;
    c->asked_as = ++c->control->last_id;
    c->waiting->id = c->asked_as;
    c->waiting->uid = c->uid;
    process_ask(c->asked, c->waiting);
    waiting_clear(c);
}

static void on_patience_ended(void *ctx)
{
    struct connection *c = ctx;

    waiting_clear(c);
    refuse(c, "the role that answers this does not run at the moment; the log says why");
}

/* The supervisor's own answer: it has it whatever the roles do. */
static void answer_status(struct connection *c)
{
    struct json *status = c->control->events->status(c->control->ctx);
    struct span rest;
    struct buf text;

    buf_init(&text, STATUS_MAX);
    ensure(json_write(status, JSON_INDENTED, &text));
    rest = buf_span(&text);
    for (; rest.len > FRAME_BODY_MAX; rest = span_from(rest, FRAME_BODY_MAX))
        answer(c, false, false, span_first(rest, FRAME_BODY_MAX));
    answer(c, false, true, rest);
    buf_clear(&text);
    json_free(&status);
}

/* Takes the request. */
static void on_request(struct connection *c, Ipc__ControlRequest *request)
{
    c->client_id = request->id;
    c->waiting = request;
    if (span_equal(span_of_bytes(request->verb), SPAN("status"))) {
        waiting_clear(c);
        answer_status(c);
        return;
    }
    if (role_of_verb(span_of_bytes(request->verb)) == ROLE_COUNT) {
        waiting_clear(c);
        refuse(c, "no role answers this request");
        return;
    }
    loop_timer_start(c->patience, PATIENCE_MS);
    ask_when_ready(c);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct connection *c = ctx;
    Ipc__ControlRequest *request;

    if (frame->type != FRAME_CONTROL_REQUEST || c->asked || c->waiting) {
        channel_refuse(c->channel, "one control request at a time");
        return;
    }
    request = channel_decode(frame, &ipc__control_request__descriptor);
    if (!request) {
        channel_refuse(c->channel, "control request does not decode");
        return;
    }
    on_request(c, request);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err; /* the channel has logged it */
    connection_free(ctx);
}

static const struct channel_events connection_events = { on_frame, on_closed };

/* --- accepting ------------------------------------------------------------------------------- */

static bool is_welcome(const struct control *control, int fd, uid_t *out_uid)
{
    struct ucred peer = { .uid = (uid_t)-1 };
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    *out_uid = peer.uid;
    return peer.uid == 0 || peer.uid == geteuid() || peer.uid == control->user.uid;
}

static void on_connect(void *ctx, bool readable, bool writable)
{
    struct control *control = ctx;
    struct connection *c;
    uid_t uid;
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)readable;
    (void)writable;
    if (fd < 0)
        return;
    if (control->connection_count >= CONNECTIONS_MAX || !is_welcome(control, fd, &uid)) {
        close(fd);
        return;
    }
    c = memory_new(sizeof(*c));
    c->control = control;
    c->uid = uid;
    c->patience = loop_timer_new(control->loop, on_patience_ended, c);
    c->channel = channel_open(control->loop, fd, &connection_events, c);
    list_append(&control->connections, &c->others);
    control->connection_count++;
}

/* --- the socket ------------------------------------------------------------------------------ */

void control_address(int run_dir, struct sockaddr_un *out_address)
{
    *out_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(out_address->sun_path, sizeof(out_address->sun_path), "/proc/self/fd/%d/%s", run_dir,
             socket_name);
}

/* Removes a socket that nobody listens on any more; anything else stays. */
static struct error *remove_stale(const struct control *control, const char *run_dir)
{
    struct sockaddr_un address;
    struct stat st;
    int fd, errnum;

    if (fstatat(control->run_dir, socket_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return NULL;
    if (!S_ISSOCK(st.st_mode))
        return error_new(ERROR_LOCAL, "%s/%s is there and no socket", run_dir, socket_name);
    control_address(control->run_dir, &address);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(ERROR_LOCAL, errno, "control socket");
    errnum = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
    close(fd);
    if (errnum != ECONNREFUSED)
        return error_new(ERROR_LOCAL, "another waxseal runs with run-dir %s", run_dir);
    unlinkat(control->run_dir, socket_name, 0);
    return NULL;
}

static struct error *listen_there(struct control *control, const char *run_dir)
{
    struct sockaddr_un address;
    mode_t mask;
    int bound;

    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->fd < 0)
        return error_errno(ERROR_LOCAL, errno, "control socket");
    control_address(control->run_dir, &address);
    mask = umask(0177);
    bound = bind(control->fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (bound != 0)
        return error_errno(ERROR_LOCAL, errno, "control socket in run-dir %s", run_dir);
    if ((control->user.drop && fchownat(control->run_dir, socket_name, control->user.uid,
                                        control->user.gid, AT_SYMLINK_NOFOLLOW) != 0) ||
        listen(control->fd, CONNECTIONS_MAX) != 0)
        return error_errno(ERROR_LOCAL, errno, "control socket in run-dir %s", run_dir);
    return NULL;
}

struct error *control_open(struct loop *loop, const char *run_dir, const struct sandbox_user *user,
                           const struct control_events *events, void *ctx,
                           struct control **out_control)
{
    struct control *control = memory_new(sizeof(*control));
    struct error *err = NULL;

    *control =
        (struct control){ .loop = loop, .fd = -1, .user = *user, .events = events, .ctx = ctx };
    list_init(&control->connections);
    control->run_dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (control->run_dir < 0)
        err = error_errno(ERROR_LOCAL, errno, "run-dir %s", run_dir);
    if (!err)
        err = remove_stale(control, run_dir);
    if (!err)
        err = listen_there(control, run_dir);
    if (err) {
        control_close(&control);
        return err;
    }
    control->watch = loop_watch_new(loop, control->fd, on_connect, control);
    loop_watch_want(control->watch, true, false);
    *out_control = control;
    return NULL;
}

void control_close(struct control **control)
{
    struct control *c = *control;

    if (!c)
        return;
    while (!list_empty(&c->connections))
        connection_free(LIST_FIRST(&c->connections, struct connection, others));
    if (c->watch)
        unlinkat(c->run_dir, socket_name, 0);
    loop_watch_free(&c->watch);
    if (c->fd >= 0)
        close(c->fd);
    if (c->run_dir >= 0)
        close(c->run_dir);
    free(c);
    *control = NULL;
}

/* --- answers --------------------------------------------------------------------------------- */

void control_on_reply(struct control *control, struct process *process,
                      const Ipc__ControlReply *reply, struct span body)
{
    struct connection *c;

    LIST_EACH(c, &control->connections, struct connection, others)
    {
        if (c->asked != process || c->asked_as != reply->id)
            continue;
        answer(c, reply->failed, reply->last, body);
        if (channel_pending(c->channel) > UNREAD_MAX)
            connection_free(c);
        return;
    }
}

void control_on_ready(struct control *control)
{
    struct connection *c;

    LIST_EACH(c, &control->connections, struct connection, others)
    if (c->waiting)
        ask_when_ready(c);
}

void control_on_death(struct control *control, const struct process *process)
{
    struct connection *c;

    LIST_EACH(c, &control->connections, struct connection, others)
    if (c->asked == process)
        refuse(c, "the role that was to answer ended meanwhile; try again");
}
