#include "supervisor/supervisor.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "supervisor/control.h"
#include "supervisor/folders.h"
#include "supervisor/handover.h"
#include "lib/io/local_socket.h"
#include "supervisor/posts.h"
#include "supervisor/readiness.h"
#include "supervisor/status.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOOK_MS = 3 * SECOND_MS,       /* between looks at the files that were handed over */
    RELOAD_SPACING_MS = 250,       /* a storm of SIGHUPs is one or two reloads */
    STOP_EDGE_MS = 25 * SECOND_MS, /* for replies to the final dot (design.md section 2) */
    STOP_REST_MS = 5 * SECOND_MS,
};

struct supervisor {
    const char *config_path;
    struct loop *loop;
    struct process_plan plan;
    struct handover *handover;
    struct posts *posts;
    struct control *control;
    uint64_t generation;
    int64_t since_ms; /* UTC: when this relay was started */
    struct loop_timer *look;
    struct loop_timer *reload;
    int64_t reloaded_ms;
    struct loop_signal *signals[4];
    bool stopping;
    int64_t stopping_ms;
    bool rest_stopping;
    int exit_status;
};

/* --- stopping -------------------------------------------------------------------------------- */

static void stop_on(struct supervisor *s)
{
    if (s->stopping && !s->rest_stopping && posts_edge_ended(s->posts)) {
        s->rest_stopping = true;
        posts_stop_rest(s->posts, STOP_REST_MS);
    }
    if (s->stopping && posts_all_ended(s->posts))
        loop_stop(s->loop);
}

static void stop(struct supervisor *s, int exit_status)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->stopping_ms = loop_now(s->loop);
    s->exit_status = exit_status;
    readiness_say("STOPPING=1");
    log_event(LOG_INFO, "stopping");
    loop_timer_cancel(s->look);
    loop_timer_cancel(s->reload);
    posts_stop_edge(s->posts, STOP_EDGE_MS);
    stop_on(s);
}

static void on_stop_signal(void *ctx, int signal_number)
{
    struct supervisor *s = ctx;

    (void)signal_number;
    if (!s->stopping)
        stop(s, 0);
    else if (loop_now(s->loop) - s->stopping_ms >= SECOND_MS) /* timeout(1) signals twice */
        posts_kill(s->posts); /* asked again: at once; nothing accepted is lost by it */
}

/* --- the roles ------------------------------------------------------------------------------- */

static void tell_when_ready(struct supervisor *s)
{
    if (s->stopping || !posts_are_ready(s->posts))
        return;
    log_event(LOG_INFO, "ready");
    readiness_say("READY=1");
}

static void on_role_ready(void *ctx, struct process *process)
{
    struct supervisor *s = ctx;

    posts_on_ready(s->posts, process);
    control_on_ready(s->control);
    tell_when_ready(s);
}

static void on_role_reply(void *ctx, struct process *process, const Ipc__ControlReply *reply,
                          struct span body)
{
    struct supervisor *s = ctx;

    control_on_reply(s->control, process, reply, body);
}

static void on_peer_lost(void *ctx, struct process *process, unsigned pair, struct span why)
{
    struct supervisor *s = ctx;

    posts_on_peer_lost(s->posts, process, pair, why);
}

static const struct process_events role_events = { on_role_ready, on_role_reply, on_peer_lost };

static void on_role_gone(void *ctx, const struct process *process)
{
    struct supervisor *s = ctx;

    control_on_death(s->control, process);
}

static void on_child(void *ctx, int signal_number)
{
    struct supervisor *s = ctx;
    int wait_status;
    pid_t pid;

    (void)signal_number;
    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        enum post_fate fate = posts_on_death(s->posts, pid, wait_status, on_role_gone, s);
        if (fate == POST_REFUSED)
            stop(s, 1);
        else if (fate == POST_STAYS_DOWN) /* it may be the only one that ready still waited for */
            tell_when_ready(s);
    }
    stop_on(s);
}

static struct process *find_role(void *ctx, enum role_id role)
{
    struct supervisor *s = ctx;

    return posts_find(s->posts, role);
}

static struct json *tell_status(void *ctx)
{
    const struct supervisor *s = ctx;
    const struct status_facts facts = {
        .hostname = handover_settings(s->handover)->hostname,
        .generation = s->generation,
        .since_ms = s->since_ms,
        .stopping = s->stopping,
    };

    return status_new(&facts, s->posts);
}

static const struct control_events control_events = { find_role, tell_status };

/* --- changed files --------------------------------------------------------------------------- */

static void on_new_content(void *ctx, enum role_content kind, unsigned index, struct span content)
{
    struct supervisor *s = ctx;

    posts_hand_content(s->posts, kind, index, content);
}

static void on_look(void *ctx)
{
    struct supervisor *s = ctx;

    handover_visit_new(s->handover, on_new_content, s);
    loop_timer_start(s->look, LOOK_MS);
}

/* --- the configuration ----------------------------------------------------------------------- */

static void log_errors(const struct settings_errors *errors)
{
    struct span rest = buf_span(&errors->text);
    struct span one;

    while (span_cut(&rest, '\n', &one)) {
        struct log_line line;
        if (one.len == 0)
            continue;
        log_begin(&line, LOG_ERROR, "reload-refused");
        log_text(&line, "error", one);
        log_end(&line);
    }
}

/* At the start somebody looks: the lines are plain ones, as those of `waxseal check`. */
static void print_errors(const struct settings_errors *errors)
{
    fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_span(&errors->text)));
}

static bool load_settings(const struct supervisor *s, struct settings *out,
                          void (*say)(const struct settings_errors *errors))
{
    struct settings_errors errors;
    bool fine;

    settings_errors_init(&errors);
    fine = settings_load(s->config_path, out, &errors);
    if (!fine)
        say(&errors);
    settings_errors_clear(&errors);
    return fine;
}

/* What is decided once, at the start. */
static struct error *check_unchanged(const struct settings *old, const struct settings *new)
{
    const char *name = NULL;

    if (strcmp(old->state_dir, new->state_dir) != 0)
        name = "state-dir";
    else if (strcmp(old->run_dir, new->run_dir) != 0)
        name = "run-dir";
    else if (strcmp(old->user, new->user) != 0)
        name = "user";
    if (!name)
        return NULL;
    return error_new(ERROR_LOCAL, "%s cannot change at a reload; restart the service for it", name);
}

static bool reload_with(struct supervisor *s, const struct settings *fresh)
{
    struct handover *handover = NULL;
    struct error *err = check_unchanged(handover_settings(s->handover), fresh);
    struct log_line line;

    if (!err)
        err = handover_new(fresh, s->handover, &handover);
    if (!err)
        err = handover_open_unix(handover, s->handover);
    if (!err)
        err = folders_set_modes(fresh, &s->plan.user);
    if (err) {
        handover_free(&handover);
        log_failure(LOG_ERROR, "reload-refused", err);
        error_free(&err);
        return false;
    }
    s->generation++;
    log_open(STDERR_FILENO, fresh->log_level, "supervisor");
    log_begin(&line, LOG_INFO, "reloaded");
    log_number(&line, "generation", (int64_t)s->generation);
    log_end(&line);
    posts_reload(s->posts, handover, s->generation);
    handover_free(&s->handover);
    s->handover = handover;
    return true;
}

static void on_reload(void *ctx)
{
    struct supervisor *s = ctx;
    struct settings *fresh = settings_new();

    s->reloaded_ms = loop_now(s->loop);
    readiness_say("RELOADING=1");
    /* after a reload the successors say when it is done */
    if (!load_settings(s, fresh, log_errors) || !reload_with(s, fresh))
        readiness_say("READY=1");
    settings_free(&fresh);
}

static void on_reload_signal(void *ctx, int signal_number)
{
    struct supervisor *s = ctx;
    int64_t since = loop_now(s->loop) - s->reloaded_ms;

    (void)signal_number;
    if (s->stopping || loop_timer_running(s->reload))
        return;
    loop_timer_start(s->reload, since >= RELOAD_SPACING_MS ? 0 : RELOAD_SPACING_MS - since);
}

/* --- from start to end ----------------------------------------------------------------------- */

static void log_listening(const char *address)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "listening");
    log_string(&line, "address", address);
    log_end(&line);
}

static void log_listener(const struct listener_settings *l)
{
    char text[NETWORK_TEXT_SIZE];

    for (unsigned n = 0; n < l->address_count; n++) {
        endpoint_format(&l->addresses[n], text);
        log_listening(text);
    }
    if (l->unix_path[0] != '\0')
        log_listening(l->unix_path);
}

static void log_listeners(const struct settings *settings)
{
    char path[LOCAL_SOCKET_PATH_SIZE];

    local_socket_path(settings, path);
    if (settings->local_submission == LOCAL_SUBMISSION_ON)
        log_listening(path);
    for (unsigned i = 0; i < settings->listener_count; i++)
        log_listener(&settings->listeners[i]);
}

/* Everything that can be wrong with the machine or the configuration shows here, before a role
 * runs. */
static struct error *open_all(struct supervisor *s, const struct settings *settings)
{
    struct error *err = sandbox_find_user(settings->user, &s->plan.user);

    if (err)
        return err;
    s->plan.binary = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (s->plan.binary < 0)
        return error_errno(ERROR_LOCAL, errno, "/proc/self/exe (is /proc mounted?)");
    err = handover_new(settings, NULL, &s->handover);
    if (!err)
        err = folders_prepare(settings, &s->plan.user, &s->plan.state_dir);
    if (!err)
        err = handover_open_unix(s->handover, NULL);
    if (!err)
        err = control_open(s->loop, settings->run_dir, &s->plan.user, &control_events, s,
                           &s->control);
    return err;
}

static void watch_signals(struct supervisor *s)
{
    signal(SIGPIPE, SIG_IGN);
    s->signals[0] = loop_signal_new(s->loop, SIGCHLD, on_child, s);
    s->signals[1] = loop_signal_new(s->loop, SIGHUP, on_reload_signal, s);
    s->signals[2] = loop_signal_new(s->loop, SIGTERM, on_stop_signal, s);
    s->signals[3] = loop_signal_new(s->loop, SIGINT, on_stop_signal, s);
}

static void serve(struct supervisor *s)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "starting");
    log_string(&line, "version", WAXSEAL_VERSION);
    log_string(&line, "hostname", handover_settings(s->handover)->hostname);
    log_end(&line);
    log_listeners(handover_settings(s->handover));
    watch_signals(s);
    s->look = loop_timer_new(s->loop, on_look, s);
    s->reload = loop_timer_new(s->loop, on_reload, s);
    s->reloaded_ms = loop_now(s->loop) - RELOAD_SPACING_MS;
    s->posts = posts_new(&s->plan);
    s->generation = 1;
    s->since_ms = clock_utc_ms();
    posts_start(s->posts, s->handover, s->generation);
    loop_timer_start(s->look, LOOK_MS);
    loop_run(s->loop);
    log_event(LOG_INFO, "stopped");
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void close_all(struct supervisor *s)
{
    for (size_t i = 0; i < sizeof(s->signals) / sizeof(s->signals[0]); i++)
        loop_signal_free(&s->signals[i]);
    loop_timer_free(&s->look);
    loop_timer_free(&s->reload);
    control_close(&s->control);
    posts_free(&s->posts);
    handover_free(&s->handover);
    loop_free(&s->loop);
    close_if_open(s->plan.binary);
    close_if_open(s->plan.state_dir);
    log_flush();
}

int supervisor_run(const char *config_path)
{
    struct supervisor s = { .config_path = config_path, .plan = { .binary = -1, .state_dir = -1 } };
    struct settings *settings = settings_new();
    struct error *err;

    umask(077);
    log_open(STDERR_FILENO, LOG_INFO, "supervisor");
    sandbox_raise_limits();
    s.loop = loop_new();
    s.plan.loop = s.loop;
    s.plan.events = &role_events;
    s.plan.ctx = &s;
    if (!load_settings(&s, settings, print_errors)) {
        s.exit_status = 1;
    } else if ((err = open_all(&s, settings)) != NULL) {
        log_failure(LOG_ERROR, "start-refused", err);
        error_free(&err);
        s.exit_status = 1;
    } else {
        log_open(STDERR_FILENO, settings->log_level, "supervisor");
        serve(&s);
    }
    settings_free(&settings);
    close_all(&s);
    return s.exit_status;
}
