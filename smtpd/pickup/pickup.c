#include "smtpd/pickup/pickup.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/mail/aliases.h"
#include "smtpd/pickup/turns.h"
#include "smtpd/pickup/works.h"

#include <stdlib.h>
#include <unistd.h>

struct pickup {
    struct role *role;
    struct loop *loop;
    const struct settings *settings;
    struct queue_client *queue;
    struct session_host sessions;
    struct session_place place;
    struct aliases *aliases;
    struct folder *folder;
    struct aside aside;
    struct works works;
    struct turns turns;
    struct buf head;         /* of the file that is looked at */
    bool must_wait;          /* something in this pass could not be taken now */
    struct loop_timer *next; /* running: it is not the time to look */
    struct loop_task look;
    bool is_draining;
    struct loop_timer *leave;
};

/* --- one entry of the folder ----------------------------------------------------------------- */

static bool read_head(struct pickup *p, const struct folder_file *file)
{
    size_t want = file->size < DROP_HEAD_MAX ? (size_t)file->size : DROP_HEAD_MAX;
    size_t room;
    char *at;

    buf_reset(&p->head);
    at = buf_reserve(&p->head, want > 0 ? want : 1, &room);
    ssize_t got = at ? pread(file->fd, at, want, 0) : -1;
    if (got < 0)
        return false;
    buf_commit(&p->head, (size_t)got);
    return true;
}

/* Gives what is wrong with it; NULL: it is on its way, and has the descriptor. */
static const char *begin_file(struct pickup *p, const char *name, const struct folder_file *file)
{
    struct drop_head head;
    enum drop_fault fault;

    if (!read_head(p, file))
        return "cannot be read";
    fault = drop_head_parse(buf_span(&p->head), name, &head);
    if (fault != DROP_FINE)
        return drop_fault_name(fault);
    if (head.content_size != file->size - head.len)
        return "another size than it says";
    if (!works_begin(&p->works, name, file, &head))
        p->must_wait = true;
    return NULL;
}

static void take_file(struct pickup *p, const char *name)
{
    struct folder_file file;
    const char *wrong =
        folder_open_file(p->folder, name, p->settings->max_message_bytes + DROP_HEAD_MAX, &file);

    if (!wrong && !turns_take(&p->turns, file.uid, file.size)) {
        close(file.fd);
        return;
    }
    if (!wrong) {
        wrong = begin_file(p, name, &file);
        if (wrong)
            close(file.fd);
    }
    if (wrong && wrong[0] != '\0')
        aside_put(&p->aside, name, file.uid, wrong);
}

static void take_unfinished(struct pickup *p, const char *name)
{
    struct log_line line;

    if (!folder_is_abandoned(p->folder, name, clock_utc_ms(), DAY_MS))
        return;
    if (!folder_remove(p->folder, name)) {
        aside_put(&p->aside, name, UINT32_MAX, "unfinished, but cannot be removed");
        return;
    }
    log_begin(&line, LOG_WARNING, "drop-removed");
    aside_log_file(&line, name, UINT32_MAX);
    log_end(&line);
}

static void take_entry(struct pickup *p, const char *name)
{
    if (works_have(&p->works, name) || aside_is_stuck(&p->aside, name))
        return;
    if (drop_name_is_whole(span_of(name)))
        take_file(p, name);
    else if (drop_name_is_unfinished(span_of(name)))
        take_unfinished(p, name);
    else
        aside_put(&p->aside, name, UINT32_MAX, "foreign name");
}

/* --- passes through the folder --------------------------------------------------------------- */

static bool may_look(const struct pickup *p)
{
    return !p->is_draining && p->settings->local_submission == LOCAL_SUBMISSION_ON &&
           queue_client_is_up(p->queue) && !queue_client_is_full(p->queue);
}

/* All entries have been seen: there is time until the next pass. */
static void end_pass(struct pickup *p)
{
    int64_t wait_ms = PICKUP_LOOK_MS;

    if (p->must_wait)
        wait_ms = PICKUP_RETRY_MS;
    else if (p->turns.somebody_waits)
        wait_ms = 1;
    turns_begin(&p->turns);
    p->must_wait = false;
    loop_timer_start(p->next, wait_ms);
}

/* Some entries of the present pass; what is not looked at now is when a work has ended. */
static void on_look(void *ctx)
{
    struct pickup *p = ctx;

    if (loop_timer_running(p->next) || !may_look(p))
        return;
    for (unsigned i = 0; i < PICKUP_ENTRIES_PER_TURN; i++) {
        if (p->works.count >= PICKUP_FEEDS_MAX)
            return;
        const char *name = folder_next(p->folder);
        if (!name) {
            end_pass(p);
            return;
        }
        take_entry(p, name);
    }
    loop_timer_start(p->next, 1); /* others have their turn */
}

static void leave_when_idle(struct pickup *p)
{
    if (p->is_draining && p->works.count == 0)
        role_end(p->role, ROLE_EXIT_DONE);
}

/* The folder is looked at again at the end of this turn, unless there is a reason to wait. */
static void on_work_ended(void *ctx, bool later)
{
    struct pickup *p = ctx;

    p->must_wait = p->must_wait || later;
    if (later && loop_timer_running(p->next)) /* the pass is over already */
        loop_timer_start(p->next, PICKUP_RETRY_MS);
    loop_defer(p->loop, &p->look);
    leave_when_idle(p);
}

/* --- the role -------------------------------------------------------------------------------- */

static void on_session_ended(void *ctx, const struct ip_address *client)
{
    (void)ctx;
    (void)client;
}

static void on_queue_state(void *ctx)
{
    struct pickup *p = ctx;

    session_host_queue_changed(&p->sessions);
    on_look(p);
}

static void on_settings(void *ctx)
{
    on_look(ctx);
}

/* What is wrong with the file the supervisor has said. */
static void load_aliases(struct pickup *p)
{
    aliases_free(&p->aliases);
    p->aliases = aliases_parse(role_content(p->role, CONTENT_ALIASES, 0), NULL, NULL);
    p->sessions.aliases = p->aliases;
}

static void on_content(void *ctx, enum role_content kind, unsigned index)
{
    (void)index;
    if (kind == CONTENT_ALIASES)
        load_aliases(ctx);
}

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct pickup *p = ctx;

    (void)instance;
    if (peer == ROLE_QUEUE)
        queue_client_attach(p->queue, fd);
    else
        close(fd);
}

static void on_leave(void *ctx)
{
    struct pickup *p = ctx;

    role_end(p->role, ROLE_EXIT_DONE);
}

static void on_drain(void *ctx, int64_t wait_ms)
{
    struct pickup *p = ctx;

    p->is_draining = true;
    loop_timer_start(p->leave, wait_ms);
    leave_when_idle(p);
}

static const struct role_events events = {
    .peer = on_peer,
    .settings = on_settings,
    .content = on_content,
    .drain = on_drain,
};

static void pickup_open(struct pickup *p, struct role *role)
{
    struct error *err = folder_open(&p->folder);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    p->role = role;
    p->loop = role_loop(role);
    p->settings = role_settings(role);
    p->place.settings = &p->settings->local;
    p->queue = queue_client_new(p->loop, on_queue_state, p);
    session_host_init(&p->sessions, p->loop, p->queue, p->settings, on_session_ended, p);
    load_aliases(p);
    aside_init(&p->aside, p->folder);
    works_init(&p->works, &p->sessions, &p->place, &p->aside, on_work_ended, p);
    turns_init(&p->turns);
    buf_init(&p->head, DROP_HEAD_MAX);
    p->next = loop_timer_new(p->loop, on_look, p);
    p->leave = loop_timer_new(p->loop, on_leave, p);
    loop_task_init(&p->look, on_look, p);
}

static void pickup_close(struct pickup *p)
{
    works_clear(&p->works);
    loop_task_cancel(&p->look);
    session_host_clear(&p->sessions);
    aliases_free(&p->aliases);
    queue_client_free(&p->queue);
    turns_clear(&p->turns);
    aside_clear(&p->aside);
    buf_clear(&p->head);
    loop_timer_free(&p->next);
    loop_timer_free(&p->leave);
    folder_close(&p->folder);
}

int pickup_main(struct role *role)
{
    struct pickup *p = memory_new(sizeof(*p));
    int status;

    pickup_open(p, role);
    status = role_serve(role, &events, p);
    pickup_close(p);
    free(p);
    return status;
}
