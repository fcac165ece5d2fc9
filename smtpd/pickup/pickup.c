#include "smtpd/pickup/pickup.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/mail/aliases.h"
#include "smtpd/pickup/feed.h"
#include "smtpd/pickup/folder.h"
#include "smtpd/pickup/notice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What one user has had of a pass through the folder. */
struct share {
    unsigned files;
    uint64_t bytes;
};

struct pickup {
    struct role *role;
    struct loop *loop;
    const struct settings *settings;
    struct queue_client *queue;
    struct session_host sessions;
    struct session_place place;
    struct aliases *aliases;
    struct feed_host feeds;
    struct folder *folder;
    struct buf head; /* of the file that is looked at */

    struct list works;
    unsigned work_count;
    struct map *shares; /* by user, of the present pass */
    struct map *stuck;  /* names that could not be set aside, so that each is logged once */
    bool must_wait;     /* something in this pass could not be taken now */
    bool goes_on;       /* somebody's share was used up in this pass */
    struct loop_timer *next;
    struct loop_task look;
    bool is_draining;
    struct loop_timer *leave;
};

/* A file on its way, and then perhaps the notice about it. */
struct work {
    struct list others;
    struct pickup *pickup;
    char name[DROP_NAME_LEN + 1];
    uint32_t uid;
    struct feed *feed;
    bool is_notice;  /* the file itself is settled ... */
    bool is_refused; /* ... and nobody got it */
};

/* --- what is logged -------------------------------------------------------------------------- */

static void put_file(struct log_line *line, const char *name, uint32_t uid)
{
    log_string(line, "name", name);
    if (uid != UINT32_MAX)
        log_number(line, "uid", uid);
}

static void log_refusals(const struct work *w, struct span refusals)
{
    struct log_line line;
    struct span refusal;

    while (span_cut(&refusals, '\n', &refusal)) {
        if (refusal.len == 0)
            continue;
        log_begin(&line, LOG_WARNING, "drop-refused");
        put_file(&line, w->name, w->uid);
        log_text(&line, "reply", refusal);
        log_end(&line);
    }
}

/* --- out of the folder ----------------------------------------------------------------------- */

/* What cannot be moved is named once and never looked at again by this process. */
static void set_aside(struct pickup *p, const char *name, uint32_t uid, const char *why)
{
    char aside[DROP_NAME_LEN + 1];
    struct log_line line;
    bool is_moved = folder_set_aside(p->folder, name, aside);

    if (!is_moved) {
        if (map_count(p->stuck) >= PICKUP_STUCK_MAX || map_put(p->stuck, span_of(name), p))
            return;
    }
    log_begin(&line, LOG_WARNING, "drop-aside");
    put_file(&line, name, uid);
    log_string(&line, "why", why);
    log_string(&line, "aside", is_moved ? aside : "no");
    log_end(&line);
}

static void work_free(struct work *w)
{
    feed_free(&w->feed);
    list_remove(&w->others);
    w->pickup->work_count--;
    free(w);
}

static void leave_when_idle(struct pickup *p)
{
    if (p->is_draining && list_empty(&p->works))
        role_end(p->role, ROLE_EXIT_DONE);
}

/* The work is over; the folder is looked at again at the end of this turn. */
static void work_end(struct work *w)
{
    struct pickup *p = w->pickup;

    work_free(w);
    loop_defer(p->loop, &p->look);
    leave_when_idle(p);
}

/* The file is not needed any more, or is kept for the administrator. */
static void settle(struct work *w)
{
    if (w->is_refused)
        set_aside(w->pickup, w->name, w->uid, "refused");
    else if (!folder_remove(w->pickup->folder, w->name) && errno != ENOENT)
        set_aside(w->pickup, w->name, w->uid, "taken, but cannot be removed");
    work_end(w);
}

/* --- notices --------------------------------------------------------------------------------- */

/* A descriptor of a text in memory; -1 where there is none to be had. */
static int file_of(struct span text)
{
    int fd = memfd_create("notice", MFD_CLOEXEC);

    if (fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* False: the sender cannot be told. */
static bool start_notice(struct work *w, bool partly)
{
    struct notice_facts facts = {
        .hostname = w->pickup->settings->hostname,
        .sender = feed_sender(w->feed),
        .refusals = feed_refusals(w->feed),
        .partly = partly,
        .now_utc_ms = clock_utc_ms(),
    };
    struct buf commands, content;
    int fd = -1;

    buf_init(&commands, NOTICE_MAX);
    buf_init(&content, NOTICE_MAX);
    if (notice_write(&facts, &commands, &content))
        fd = file_of(buf_span(&content));
    feed_free(&w->feed);
    w->is_notice = true;
    if (fd >= 0)
        w->feed =
            feed_start(&w->pickup->feeds, geteuid(), buf_span(&commands), fd, 0, buf_len(&content));
    buf_clear(&commands);
    buf_clear(&content);
    return w->feed != NULL;
}

/* --- what comes of a file -------------------------------------------------------------------- */

static void tell_and_settle(struct work *w, bool partly)
{
    log_refusals(w, feed_refusals(w->feed));
    w->is_refused = !partly;
    if (!start_notice(w, partly))
        settle(w);
}

static void try_later(struct work *w)
{
    struct pickup *p = w->pickup;
    int64_t lifetime_ms = (int64_t)p->settings->queue_lifetime_s * SECOND_MS;

    p->must_wait = true;
    if (loop_timer_running(p->next)) /* the pass is over already */
        loop_timer_start(p->next, PICKUP_RETRY_MS);
    if (folder_is_abandoned(p->folder, w->name, clock_utc_ms(), lifetime_ms))
        set_aside(p, w->name, w->uid, "not taken within queue-lifetime");
    work_end(w);
}

/*
 * A notice that cannot be handed in now waits with its file: both are done again.  (The recipients
 * of a message that was taken in part may then get it twice.)  One that is refused ends here.
 */
static void on_notice_done(struct work *w, enum feed_end end)
{
    if (end == FEED_LATER)
        try_later(w);
    else
        settle(w);
}

static void on_fed(void *ctx, struct feed *feed, enum feed_end end)
{
    struct pickup *p = ctx;
    struct work *w;

    LIST_EACH(w, &p->works, struct work, others)
    {
        if (w->feed != feed)
            continue;
        if (w->is_notice)
            on_notice_done(w, end);
        else if (end == FEED_REFUSED || (end == FEED_TAKEN && feed_refusals(feed).len > 0))
            tell_and_settle(w, end == FEED_TAKEN);
        else if (end == FEED_TAKEN)
            settle(w);
        else if (end == FEED_LATER)
            try_later(w);
        else {
            set_aside(p, w->name, w->uid, "cut short or no mail");
            work_end(w);
        }
        return;
    }
}

/* --- into the folder ------------------------------------------------------------------------- */

static bool is_at_work(const struct pickup *p, const char *name)
{
    const struct work *w;

    LIST_EACH(w, (struct list *)(uintptr_t)&p->works, const struct work, others)
    if (strcmp(w->name, name) == 0)
        return true;
    return false;
}

/* Users take turns: in each pass one has only so much. */
static bool has_share(struct pickup *p, const struct folder_file *file)
{
    struct share *share = map_get_number(p->shares, file->uid);

    if (!share) {
        share = memory_new(sizeof(*share));
        map_put_number(p->shares, file->uid, share);
    }
    if (share->files >= PICKUP_USER_FILES || share->bytes >= PICKUP_USER_BYTES) {
        p->goes_on = true;
        return false;
    }
    share->files++;
    share->bytes += file->size;
    return true;
}

static void shares_clear(struct pickup *p)
{
    struct share *share;
    size_t cursor = 0;

    while ((share = map_next(p->shares, &cursor, NULL)) != NULL)
        free(share);
    map_free(&p->shares);
    p->shares = map_new();
}

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

static void start_work(struct pickup *p, const char *name, const struct folder_file *file,
                       const struct drop_head *head)
{
    struct feed *feed =
        feed_start(&p->feeds, file->uid, head->commands, file->fd, head->len, head->content_size);

    if (!feed) {
        p->must_wait = true;
        return;
    }
    struct work *w = memory_new(sizeof(*w));
    w->pickup = p;
    w->uid = file->uid;
    w->feed = feed;
    span_to_string(span_of(name), w->name, sizeof(w->name));
    list_append(&p->works, &w->others);
    p->work_count++;
}

/* NULL: its feed has begun, and has the descriptor. */
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
    start_work(p, name, file, &head);
    return NULL;
}

static void take_file(struct pickup *p, const char *name)
{
    struct folder_file file;
    const char *wrong =
        folder_open_file(p->folder, name, p->settings->max_message_bytes + DROP_HEAD_MAX, &file);

    if (!wrong && !has_share(p, &file)) {
        close(file.fd);
        return;
    }
    if (!wrong) {
        wrong = begin_file(p, name, &file);
        if (wrong)
            close(file.fd);
    }
    if (wrong && wrong[0] != '\0')
        set_aside(p, name, file.uid, wrong);
}

static void take_unfinished(struct pickup *p, const char *name)
{
    struct log_line line;

    if (!folder_is_abandoned(p->folder, name, clock_utc_ms(), DAY_MS))
        return;
    if (!folder_remove(p->folder, name)) {
        set_aside(p, name, UINT32_MAX, "unfinished, but cannot be removed");
        return;
    }
    log_begin(&line, LOG_WARNING, "drop-removed");
    put_file(&line, name, UINT32_MAX);
    log_end(&line);
}

static void take_entry(struct pickup *p, const char *name)
{
    if (is_at_work(p, name) || map_get(p->stuck, span_of(name)))
        return;
    if (drop_name_is_whole(span_of(name)))
        take_file(p, name);
    else if (drop_name_is_unfinished(span_of(name)))
        take_unfinished(p, name);
    else
        set_aside(p, name, UINT32_MAX, "foreign name");
}

/* --- passes ---------------------------------------------------------------------------------- */

static bool may_look(const struct pickup *p)
{
    return !p->is_draining && p->settings->local_submission == LOCAL_SUBMISSION_ON &&
           queue_client_is_up(p->queue) && !queue_client_is_full(p->queue);
}

/* All entries have been seen: there is time until the next pass. */
static void end_pass(struct pickup *p)
{
    int64_t wait_ms = p->must_wait ? PICKUP_RETRY_MS : p->goes_on ? 1 : PICKUP_LOOK_MS;

    shares_clear(p);
    p->must_wait = false;
    p->goes_on = false;
    loop_timer_start(p->next, wait_ms);
}

/* Some entries of the present pass; what is not looked at now is when a feed has ended. */
static void on_look(void *ctx)
{
    struct pickup *p = ctx;

    if (loop_timer_running(p->next) || !may_look(p))
        return;
    for (unsigned i = 0; i < PICKUP_ENTRIES_PER_TURN; i++) {
        if (p->work_count >= PICKUP_FEEDS_MAX)
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

static void on_session_ended(void *ctx, const struct ip_address *client)
{
    (void)ctx;
    (void)client;
}

/* --- the role -------------------------------------------------------------------------------- */

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

static void on_state(void *ctx)
{
    struct pickup *p = ctx;

    session_host_queue_changed(&p->sessions);
    on_look(p);
}

static void on_settings(void *ctx)
{
    on_look(ctx);
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
    p->queue = queue_client_new(p->loop, on_state, p);
    session_host_init(&p->sessions, p->loop, p->queue, p->settings, on_session_ended, p);
    load_aliases(p);
    p->feeds = (struct feed_host){ &p->sessions, &p->place, on_fed, p };
    buf_init(&p->head, DROP_HEAD_MAX);
    list_init(&p->works);
    p->shares = map_new();
    p->stuck = map_new();
    p->next = loop_timer_new(p->loop, on_look, p);
    p->leave = loop_timer_new(p->loop, on_leave, p);
    loop_task_init(&p->look, on_look, p);
}

static void pickup_close(struct pickup *p)
{
    struct work *w;

    LIST_EACH(w, &p->works, struct work, others)
    {
        work_free(w);
    }
    loop_task_cancel(&p->look);
    session_host_clear(&p->sessions);
    aliases_free(&p->aliases);
    queue_client_free(&p->queue);
    shares_clear(p);
    map_free(&p->shares);
    map_free(&p->stuck);
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
