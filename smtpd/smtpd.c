#include "smtpd/smtpd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/queue_client.h"
#include "lib/mail/aliases.h"
#include "smtpd/entrance.h"
#include "smtpd/places.h"
#include "smtpd/session.h"

struct listener {
    struct smtpd *smtpd;
    int fd; /* -1: not handed over */
    struct loop_watch *watch;
    const struct session_place *place;
};

struct smtpd {
    struct role *role;
    struct loop *loop;
    const struct settings *settings;
    struct queue_client *queue;
    struct session_host sessions;
    struct aliases *aliases;
    struct entrance entrance;
    struct places *places;
    struct listener listeners[SETTINGS_SOCKETS_MAX];
    int spare_fd; /* given up to be able to turn a client away when there are no others */
    struct loop_timer *rest;
    int64_t complained_ms; /* about descriptors */
    bool is_draining;
    struct loop_timer *drain;
    struct loop_timer *drain_committing;
    struct loop_timer *leave;
};

/* --- listening */

static void listen_on(struct smtpd *smtpd, bool wanted)
{
    for (unsigned i = 0; i < SETTINGS_SOCKETS_MAX; i++)
        if (smtpd->listeners[i].watch)
            loop_watch_want(smtpd->listeners[i].watch, wanted, false);
}

static void on_rested(void *ctx)
{
    struct smtpd *smtpd = ctx;

    if (!smtpd->is_draining)
        listen_on(smtpd, true);
}

static void complain(struct smtpd *smtpd, int errnum)
{
    if (loop_now(smtpd->loop) < smtpd->complained_ms)
        return;
    smtpd->complained_ms = loop_now(smtpd->loop) + SMTPD_SWEEP_MS;
    struct error *err = error_errno(ERROR_LOCAL, errnum, "accept a client");
    log_failure(LOG_ERROR, "cannot-accept", err);
    error_free(&err);
}

/* With the spare descriptor a client is told, instead of being left to wait. */
static void spend_spare(struct listener *listener)
{
    struct smtpd *smtpd = listener->smtpd;
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    if (smtpd->spare_fd < 0)
        return;
    close(smtpd->spare_fd);
    int fd = accept4(listener->fd, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        entrance_turn_away(&smtpd->entrance, fd, (struct sockaddr *)&address);
    smtpd->spare_fd = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
}

/* Descriptors or memory have run out: the listeners rest, or the loop would turn at full speed. */
static void on_exhausted(struct listener *listener, int errnum)
{
    struct smtpd *smtpd = listener->smtpd;

    complain(smtpd, errnum);
    if (errnum == EMFILE || errnum == ENFILE)
        spend_spare(listener);
    listen_on(smtpd, false);
    loop_timer_start(smtpd->rest, SMTPD_REST_MS);
}

/* Of this connection alone, or nothing there (another process was faster): see accept(2). */
static bool is_passing(int errnum)
{
    return errnum == EAGAIN || errnum == EINTR || errnum == ECONNABORTED || errnum == EPROTO ||
           errnum == EPERM || errnum == ENETDOWN || errnum == ENETUNREACH ||
           errnum == EHOSTUNREACH || errnum == EHOSTDOWN || errnum == EOPNOTSUPP ||
           errnum == ENOPROTOOPT || errnum == ENONET || errnum == ETIMEDOUT;
}

/* Gives false when there is nobody more to take now. */
static bool accept_one(struct listener *listener)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    int fd = accept4(listener->fd, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        entrance_welcome(&listener->smtpd->entrance, listener->place, fd,
                         (struct sockaddr *)&address);
        return true;
    }
    if (!is_passing(errno))
        on_exhausted(listener, errno);
    return false;
}

static void on_client(void *ctx, bool readable, bool writable)
{
    struct listener *listener = ctx;

    (void)readable;
    (void)writable;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(listener); i++)
        ;
}

/* --- what the supervisor hands over */

static void load_aliases(struct smtpd *smtpd)
{
    aliases_free(&smtpd->aliases);
    smtpd->aliases = aliases_parse(role_content(smtpd->role, CONTENT_ALIASES, 0), NULL, NULL);
    smtpd->sessions.aliases = smtpd->aliases;
}

static void on_content(void *ctx, enum role_content kind, unsigned index)
{
    struct smtpd *smtpd = ctx;

    if (kind == CONTENT_ALIASES)
        load_aliases(smtpd);
    places_content(smtpd->places, kind, index);
}

static void on_listener(void *ctx, unsigned index, int fd)
{
    struct smtpd *smtpd = ctx;
    const struct session_place *place = places_find(smtpd->places, index);
    struct listener *listener = &smtpd->listeners[index];

    if (!place || listener->fd >= 0) {
        close(fd);
        return;
    }
    (void)fcntl(fd, F_SETFL, O_NONBLOCK); /* several processes race for each client */
    listener->fd = fd;
    listener->place = place;
    listener->watch = loop_watch_new(smtpd->loop, fd, on_client, listener);
    loop_watch_want(listener->watch, !smtpd->is_draining, false);
    if (smtpd->spare_fd < 0)
        smtpd->spare_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct smtpd *smtpd = ctx;

    (void)instance;
    if (peer == ROLE_QUEUE)
        queue_client_attach(smtpd->queue, fd);
    else if (peer == ROLE_AUTH)
        auth_client_attach(smtpd->sessions.auth, fd);
    else
        close(fd);
}

static void on_queue_state(void *ctx)
{
    struct smtpd *smtpd = ctx;

    session_host_queue_changed(&smtpd->sessions);
}

/* --- the end */

static void on_leave(void *ctx)
{
    struct smtpd *smtpd = ctx;

    if (smtpd->entrance.proxies.count > 0) /* who they speak for hears 421; it takes no long */
        loop_timer_start(smtpd->leave, SMTPD_LEAVE_MS);
    else
        role_end(smtpd->role, ROLE_EXIT_DONE);
}

/* The last replies are given a moment to leave. */
static void leave_when_idle(struct smtpd *smtpd)
{
    if (smtpd->is_draining && smtpd->sessions.session_count == 0)
        loop_timer_start(smtpd->leave, SMTPD_LEAVE_MS);
}

static void on_session_ended(void *ctx, const struct ip_address *client)
{
    struct smtpd *smtpd = ctx;

    entrance_left(&smtpd->entrance, client);
    leave_when_idle(smtpd);
}

static void on_drain_over(void *ctx)
{
    struct smtpd *smtpd = ctx;

    session_host_end(&smtpd->sessions, false);
}

static void on_drain_committing_over(void *ctx)
{
    struct smtpd *smtpd = ctx;

    session_host_end(&smtpd->sessions, true);
}

/* The listeners' queues of waiting clients stay for the successor: it has the same sockets. */
static void on_drain(void *ctx, int64_t wait_ms)
{
    struct smtpd *smtpd = ctx;
    int64_t committing_ms = wait_ms > SMTPD_DRAIN_COMMIT_MS ? wait_ms : SMTPD_DRAIN_COMMIT_MS;

    smtpd->is_draining = true;
    listen_on(smtpd, false);
    session_host_drain(&smtpd->sessions);
    loop_timer_start(smtpd->drain, wait_ms);
    loop_timer_start(smtpd->drain_committing, committing_ms);
    leave_when_idle(smtpd);
}

/* --- the operator's requests */

static const char *queue_state_name(const struct smtpd *smtpd)
{
    if (!queue_client_is_up(smtpd->queue))
        return "away";
    return queue_client_is_full(smtpd->queue) ? "full" : "up";
}

static void answer_status(const struct smtpd *smtpd, struct role_request *request)
{
    char json[256];
    int len = snprintf(json, sizeof(json),
                       "{\"instance\":%u,\"sessions\":%u,\"connections\":%u,\"messages\":%" PRIu64
                       ",\"queue\":\"%s\",\"draining\":%s}",
                       role_instance(smtpd->role), smtpd->sessions.session_count,
                       counters_total(smtpd->entrance.counters), smtpd->sessions.messages,
                       queue_state_name(smtpd), smtpd->is_draining ? "true" : "false");

    role_reply(&request, (struct span){ json, (size_t)len }, true);
}

static void on_control(void *ctx, struct role_request *request)
{
    if (span_equal(role_request_verb(request), SPAN("smtpd status")))
        answer_status(ctx, request);
    else
        role_reply_failed(&request, "smtpd answers \"smtpd status\" only");
}

/* --- the role */

static void smtpd_open(struct smtpd *smtpd, struct role *role)
{
    struct error *err;

    smtpd->role = role;
    smtpd->loop = role_loop(role);
    smtpd->settings = role_settings(role);
    smtpd->spare_fd = -1;
    for (unsigned i = 0; i < SETTINGS_SOCKETS_MAX; i++)
        smtpd->listeners[i] = (struct listener){ .smtpd = smtpd, .fd = -1 };
    smtpd->places = places_new(role);
    smtpd->queue = queue_client_new(smtpd->loop, on_queue_state, smtpd);
    session_host_init(&smtpd->sessions, smtpd->loop, smtpd->queue, smtpd->settings,
                      on_session_ended, smtpd);
    load_aliases(smtpd);
    smtpd->sessions.auth = auth_client_new(smtpd->loop);
    err = entrance_open(&smtpd->entrance, &smtpd->sessions, role_shared(role));
    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    smtpd->rest = loop_timer_new(smtpd->loop, on_rested, smtpd);
    smtpd->drain = loop_timer_new(smtpd->loop, on_drain_over, smtpd);
    smtpd->leave = loop_timer_new(smtpd->loop, on_leave, smtpd);
    smtpd->drain_committing = loop_timer_new(smtpd->loop, on_drain_committing_over, smtpd);
}

static void listener_close(struct listener *listener)
{
    loop_watch_free(&listener->watch);
    if (listener->fd >= 0)
        close(listener->fd);
}

static void smtpd_close(struct smtpd *smtpd)
{
    session_host_clear(&smtpd->sessions);
    aliases_free(&smtpd->aliases);
    auth_client_free(&smtpd->sessions.auth);
    queue_client_free(&smtpd->queue);
    for (unsigned i = 0; i < SETTINGS_SOCKETS_MAX; i++)
        listener_close(&smtpd->listeners[i]);
    if (smtpd->spare_fd >= 0)
        close(smtpd->spare_fd);
    loop_timer_free(&smtpd->rest);
    loop_timer_free(&smtpd->drain);
    loop_timer_free(&smtpd->drain_committing);
    loop_timer_free(&smtpd->leave);
    entrance_close(&smtpd->entrance);
    places_free(&smtpd->places);
}

static const struct role_events events = {
    .listener = on_listener,
    .peer = on_peer,
    .content = on_content,
    .drain = on_drain,
    .control = on_control,
};

int smtpd_main(struct role *role)
{
    struct smtpd *smtpd = memory_new(sizeof(*smtpd));
    int status;

    smtpd_open(smtpd, role);
    status = role_serve(role, &events, smtpd);
    smtpd_close(smtpd);
    free(smtpd);
    return status;
}
