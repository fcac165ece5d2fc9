#include "smtpd/pickup/works.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "smtpd/pickup/notice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file on its way, and then perhaps the notice about it. */
struct work {
    struct list others;
    struct works *works;
    char name[DROP_NAME_LEN + 1];
    uint32_t uid;
    struct feed *feed;
    bool is_notice;  /* the file itself is settled ... */
    bool is_refused; /* ... and nobody got it */
};

static void work_free(struct work *w)
{
    feed_free(&w->feed);
    list_remove(&w->others);
    w->works->count--;
    free(w);
}

static void work_end(struct work *w, bool later)
{
    struct works *works = w->works;

    work_free(w);
    works->ended(works->ctx, later);
}

/* The file is not needed any more, or is kept for the administrator. */
static void settle(struct work *w)
{
    struct aside *aside = w->works->aside;

    if (w->is_refused)
        aside_put(aside, w->name, w->uid, "refused");
    else if (!folder_remove(aside->folder, w->name) && errno != ENOENT)
        aside_put(aside, w->name, w->uid, "taken, but cannot be removed");
    work_end(w, false);
}

/* It has been refused for now for as long as mail is kept. */
static bool is_abandoned(const struct work *w)
{
    int64_t lifetime_ms = (int64_t)w->works->settings->queue_lifetime_s * SECOND_MS;

    return folder_is_abandoned(w->works->aside->folder, w->name, clock_utc_ms(), lifetime_ms);
}

/* --- notices --------------------------------------------------------------------------------- */

static void log_refusals(const struct work *w, struct span refusals)
{
    struct log_line line;
    struct span refusal;

    while (span_cut(&refusals, '\n', &refusal)) {
        if (refusal.len == 0)
            continue;
        log_begin(&line, LOG_WARNING, "drop-refused");
        aside_log_file(&line, w->name, w->uid);
        log_text(&line, "reply", refusal);
        log_end(&line);
    }
}

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

static struct feed *feed_notice(const struct feed_host *feeds, const struct notice_facts *facts)
{
    struct buf commands, content;
    struct feed *feed = NULL;
    int fd = -1;

    buf_init(&commands, NOTICE_MAX);
    buf_init(&content, NOTICE_MAX);
    if (notice_write(facts, &commands, &content))
        fd = file_of(buf_span(&content));
    if (fd >= 0)
        feed = feed_start(feeds, geteuid(), buf_span(&commands), fd, 0, buf_len(&content));
    buf_clear(&commands);
    buf_clear(&content);
    return feed;
}

/* Tells the sender, or, if that cannot be, the log alone. */
static void tell_and_settle(struct work *w, bool partly)
{
    const struct notice_facts facts = {
        .hostname = w->works->settings->hostname,
        .sender = feed_sender(w->feed),
        .refusals = feed_refusals(w->feed),
        .partly = partly,
        .now_utc_ms = clock_utc_ms(),
    };
    struct feed *notice = feed_notice(&w->works->feeds, &facts);

    log_refusals(w, facts.refusals);
    feed_free(&w->feed);
    w->feed = notice;
    w->is_notice = true;
    w->is_refused = !partly;
    if (!notice)
        settle(w);
}

/*
 * A notice that cannot be handed in now waits with its file, as long as mail is kept, if nobody got
 * the message; some may not get it twice.  One that is refused ends here.
 */
static void on_notice_done(struct work *w, enum feed_end end)
{
    if (end == FEED_LATER && w->is_refused && !is_abandoned(w)) {
        work_end(w, true);
        return;
    }
    if (end == FEED_LATER && !w->is_refused) {
        aside_put(w->works->aside, w->name, w->uid, "taken for some, its sender cannot be told");
        work_end(w, false);
        return;
    }
    settle(w);
}

/* --- what comes of a file -------------------------------------------------------------------- */

static void on_file_done(struct work *w, enum feed_end end)
{
    switch (end) {
    case FEED_TAKEN:
        if (feed_refusals(w->feed).len > 0)
            tell_and_settle(w, true);
        else
            settle(w);
        break;
    case FEED_REFUSED:
        tell_and_settle(w, false);
        break;
    case FEED_LATER:
        if (is_abandoned(w))
            tell_and_settle(w, false);
        else
            work_end(w, true);
        break;
    case FEED_CUT:
        aside_put(w->works->aside, w->name, w->uid, "cut short or no mail");
        work_end(w, false);
        break;
    }
}

static struct work *work_of(struct works *works, const struct feed *feed)
{
    struct work *w;

    LIST_EACH(w, &works->all, struct work, others)
    if (w->feed == feed)
        return w;
    return NULL;
}

static void on_fed(void *ctx, struct feed *feed, enum feed_end end)
{
    struct work *w = work_of(ctx, feed);

    ensure(w != NULL);
    if (w->is_notice)
        on_notice_done(w, end);
    else
        on_file_done(w, end);
}

/* --- all of them ----------------------------------------------------------------------------- */

void works_init(struct works *works, struct session_host *sessions,
                const struct session_place *place, struct aside *aside, works_ended_fn *ended,
                void *ctx)
{
    *works = (struct works){
        .settings = sessions->settings,
        .aside = aside,
        .feeds = { sessions, place, on_fed, works },
        .ended = ended,
        .ctx = ctx,
    };
    list_init(&works->all);
}

void works_clear(struct works *works)
{
    struct work *w;

    LIST_EACH(w, &works->all, struct work, others)
    {
        work_free(w);
    }
}

bool works_begin(struct works *works, const char *name, const struct folder_file *file,
                 const struct drop_head *head)
{
    struct feed *feed = feed_start(&works->feeds, file->uid, head->commands, file->fd, head->len,
                                   head->content_size);

    if (!feed)
        return false;
    struct work *w = memory_new(sizeof(*w));
    w->works = works;
    w->uid = file->uid;
    w->feed = feed;
    span_to_string(span_of(name), w->name, sizeof(w->name));
    list_append(&works->all, &w->others);
    works->count++;
    return true;
}

bool works_have(const struct works *works, const char *name)
{
    const struct work *w;

    LIST_EACH(w, (struct list *)(uintptr_t)&works->all, const struct work, others)
    if (strcmp(w->name, name) == 0)
        return true;
    return false;
}
