#include "supervisor/posts.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "supervisor/deaths.h"
#include "supervisor/pairs.h"
#include "supervisor/quarrels.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    WAIT_FIRST_MS = 100,
    WAIT_MOST_MS = 30 * SECOND_MS,
    SERVED_MS =
        SECOND_MS / 2,    /* one that served so long is missed: it is back after WAIT_FIRST_MS */
    BLAME_TEXT_MAX = 200, /* of what a role says of another */
};

struct post {
    struct list others;
    struct posts *posts;
    const struct role_row *row;
    unsigned instance;
    struct process *process;  /* NULL: it is down */
    struct loop_timer *again; /* starts it */
    int64_t wait_ms;
    int64_t started_ms;
    struct deaths deaths;
    unsigned restarts;
    int64_t since_ms;                /* UTC: the last change of its state */
    char last_end[DEATHS_TEXT_SIZE]; /* of a process that was not asked to; empty: none */
    char blame[DEATHS_TEXT_SIZE]; /* why we ended its process, which is not reaped yet; or empty */
    unsigned blamed;              /* how often that was */
    int64_t calm_ms;              /* until then another quarrel means a longer wait */
    int64_t unheard_ms;           /* until then its word on a peer counts no more */
    bool relieved;                /* a successor takes its place */
    bool stays_down;
};

struct posts {
    const struct process_plan *plan;
    const struct handover *handover;
    uint64_t generation;
    struct list all;
    struct pairs *pairs;
    bool stopping;
};

/* --- starting -------------------------------------------------------------------------------- */

static void join_all_peers(struct post *post)
{
    struct post *other;

    LIST_EACH(other, &post->posts->all, struct post, others)
    if (other->process && other != post && roles_are_peers(other->row->id, post->row->id))
        pairs_join(post->posts->pairs, post->process, other->process);
}

/* Ends a line with what post and process it is about. */
static void log_end_with(struct log_line *line, const struct post *post)
{
    log_string(line, "name", role_name(post->row->id));
    log_number(line, "instance", post->instance);
    if (post->process)
        log_number(line, "pid", process_pid(post->process));
    log_end(line);
}

static void changed(struct post *post)
{
    post->since_ms = clock_utc_ms();
}

static void start_later(struct post *post)
{
    changed(post);
    loop_timer_start(post->again, post->wait_ms);
    post->wait_ms = post->wait_ms * 2 < WAIT_MOST_MS ? post->wait_ms * 2 : WAIT_MOST_MS;
}

static void post_start(struct post *post)
{
    struct posts *posts = post->posts;
    struct error *err = process_start(posts->plan, post->row, post->instance, posts->generation,
                                      handover_text(posts->handover), &post->process);
    struct log_line line;

    if (err) {
        log_failure(LOG_ERROR, "role-not-started", err);
        error_free(&err);
        snprintf(post->last_end, sizeof(post->last_end), "not started");
        start_later(post);
        return;
    }
    post->started_ms = loop_now(posts->plan->loop);
    changed(post);
    log_begin(&line, LOG_INFO, "role-started");
    log_end_with(&line, post);
    handover_give(posts->handover, post->process);
    join_all_peers(post);
    process_go(post->process);
}

static void on_again(void *ctx)
{
    post_start(ctx);
}

/* --- posts ----------------------------------------------------------------------------------- */

static bool is_taken(const struct posts *posts, enum role_id id, unsigned instance)
{
    const struct post *post;

    LIST_EACH(post, (struct list *)(uintptr_t)&posts->all, const struct post, others)
    if (post->row->id == id && post->instance == instance)
        return true;
    return false;
}

/* The lowest number that no post of this role has, a relieved one included. */
static unsigned free_instance(const struct posts *posts, enum role_id id)
{
    unsigned instance = 0;

    while (is_taken(posts, id, instance))
        instance++;
    return instance;
}

static struct post *post_new(struct posts *posts, const struct role_row *row)
{
    struct post *post = memory_new(sizeof(*post));

    post->posts = posts;
    post->row = row;
    post->instance = free_instance(posts, row->id);
    post->wait_ms = WAIT_FIRST_MS;
    post->again = loop_timer_new(posts->plan->loop, on_again, post);
    list_append(&posts->all, &post->others);
    return post;
}

static void process_forget(struct post *post)
{
    if (post->process)
        pairs_forget(post->posts->pairs, post->process);
    process_free(&post->process);
}

static void post_free(struct post *post)
{
    list_remove(&post->others);
    loop_timer_free(&post->again);
    process_forget(post);
    free(post);
}

static struct post *post_of(struct posts *posts, const struct process *process)
{
    struct post *post;

    LIST_EACH(post, &posts->all, struct post, others)
    if (post->process == process)
        return post;
    return NULL;
}

static void fill_role(struct posts *posts, const struct role_row *row)
{
    unsigned count = row->instances ? row->instances(handover_settings(posts->handover)) : 1;

    for (unsigned i = 0; i < count; i++)
        post_start(post_new(posts, row));
}

/* --- quarrels -------------------------------------------------------------------------------- */

static void log_broken(const struct post *teller, const struct post *peer, struct span why,
                       const struct post *ended)
{
    struct log_line line;

    log_begin(&line, LOG_ERROR, "roles-quarrel");
    log_text(&line, "why", span_first(why, BLAME_TEXT_MAX));
    log_string(&line, "peer", role_name(peer->row->id));
    log_number(&line, "peer-instance", peer->instance);
    log_string(&line, "ends", ended == peer ? "peer" : "teller");
    log_end_with(&line, teller);
}

/* Ends its process; the next one waits longer when there was a quarrel not long ago. */
static void end_blamed(struct post *post, const char *because, enum role_id by)
{
    int64_t now = loop_now(post->posts->plan->loop);

    snprintf(post->blame, sizeof(post->blame), "%s %s", because, role_name(by));
    post->blamed++;
    if (now >= post->calm_ms)
        post->wait_ms = WAIT_FIRST_MS;
    post->calm_ms = now + QUARREL_MS;
    process_kill(post->process);
}

static bool is_ending(const struct post *post)
{
    return post->blame[0] != '\0' || process_is_draining(post->process);
}

/* Two processes that live can no longer hear each other: one of them ends and is started anew. */
static void on_broken(void *ctx, struct process *teller_process, struct process *peer_process,
                      struct span why)
{
    struct posts *posts = ctx;
    struct post *teller = post_of(posts, teller_process);
    struct post *peer = post_of(posts, peer_process);
    int64_t now = loop_now(posts->plan->loop);
    struct quarrel_verdict verdict;

    if (is_ending(teller) || is_ending(peer))
        return;
    verdict = quarrel_judge(&(struct quarrel){
        .teller_exposure = teller->row->exposure,
        .peer_exposure = peer->row->exposure,
        .teller_was_heard = now < teller->unheard_ms,
    });
    if (verdict.word_spent)
        teller->unheard_ms = now + QUARREL_MS;
    log_broken(teller, peer, why, verdict.ends_peer ? peer : teller);
    if (verdict.ends_peer)
        end_blamed(peer, "refused by", teller->row->id);
    else
        end_blamed(teller, "keeps refusing", peer->row->id);
}

void posts_on_peer_lost(struct posts *posts, struct process *teller, unsigned pair, struct span why)
{
    if (!posts->stopping)
        pairs_lost(posts->pairs, teller, pair, why);
}

/* --- all of them ----------------------------------------------------------------------------- */

struct posts *posts_new(const struct process_plan *plan)
{
    struct posts *posts = memory_new(sizeof(*posts));

    posts->plan = plan;
    posts->pairs = pairs_new(plan->loop, on_broken, posts);
    list_init(&posts->all);
    return posts;
}

void posts_free(struct posts **posts)
{
    if (!*posts)
        return;
    while (!list_empty(&(*posts)->all))
        post_free(LIST_FIRST(&(*posts)->all, struct post, others));
    pairs_free(&(*posts)->pairs);
    free(*posts);
    *posts = NULL;
}

void posts_start(struct posts *posts, const struct handover *h, uint64_t generation)
{
    const struct role_row *rows;
    size_t count = roles_table(&rows);

    posts->handover = h;
    posts->generation = generation;
    for (size_t i = 0; i < count; i++)
        fill_role(posts, &rows[i]);
}

/* --- new settings ---------------------------------------------------------------------------- */

/* One that has a process goes on until its successor is ready; one that is down is not needed. */
static void relieve(struct post *post)
{
    loop_timer_cancel(post->again);
    post->relieved = true;
    if (!post->process)
        post_free(post);
}

static void take_in_place(struct post *post)
{
    struct posts *posts = post->posts;

    if (post->process) {
        process_give_settings(post->process, posts->generation, handover_text(posts->handover));
        handover_give(posts->handover, post->process);
        return;
    }
    post->stays_down = false;
    post->wait_ms = WAIT_FIRST_MS;
    loop_timer_cancel(post->again);
    post_start(post);
}

void posts_reload(struct posts *posts, const struct handover *h, uint64_t generation)
{
    const struct role_row *rows;
    size_t count = roles_table(&rows);
    struct post *post;

    posts->handover = h;
    posts->generation = generation;
    LIST_EACH(post, &posts->all, struct post, others)
    {
        if (!post->row->has_successors)
            take_in_place(post);
        else if (!post->relieved)
            relieve(post);
    }
    for (size_t i = 0; i < count; i++)
        if (rows[i].has_successors)
            fill_role(posts, &rows[i]);
}

static bool role_is_complete(struct posts *posts, enum role_id id)
{
    struct post *post;

    LIST_EACH(post, &posts->all, struct post, others)
    if (post->row->id == id && !post->relieved &&
        (!post->process || !process_is_ready(post->process)))
        return false;
    return true;
}

/* Asks its process to end what is begun. */
static void drain(struct post *post, int64_t wait_ms)
{
    changed(post);
    process_drain(post->process, wait_ms);
}

void posts_on_ready(struct posts *posts, struct process *process)
{
    const struct role_row *row = process_row(process);
    struct post *post;

    changed(post_of(posts, process));
    if (posts->stopping || !row->has_successors || !role_is_complete(posts, row->id))
        return;
    LIST_EACH(post, &posts->all, struct post, others)
    if (post->row == row && post->relieved && !process_is_draining(post->process))
        drain(post, row->drain_reload_ms);
}

bool posts_are_ready(const struct posts *posts)
{
    const struct post *post;

    LIST_EACH(post, (struct list *)(uintptr_t)&posts->all, const struct post, others)
    if (!post->relieved && !post->stays_down &&
        (!post->process || !process_is_ready(post->process)))
        return false;
    return true;
}

/* --- deaths ---------------------------------------------------------------------------------- */

static void log_death(const struct post *post, int wait_status)
{
    bool asked = post->relieved || post->posts->stopping;
    bool in_peace = asked && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == ROLE_EXIT_DONE;
    struct log_line line;

    log_begin(&line, in_peace ? LOG_INFO : LOG_WARNING, "role-ended");
    log_string(&line, "name", role_name(post->row->id));
    log_number(&line, "instance", post->instance);
    log_number(&line, "pid", process_pid(post->process));
    if (WIFSIGNALED(wait_status))
        log_string(&line, "signal", sigabbrev_np(WTERMSIG(wait_status)));
    else
        log_number(&line, "status", WEXITSTATUS(wait_status));
    log_end(&line);
}

static void count_death(struct post *post)
{
    struct log_line line;

    if (!deaths_add(&post->deaths, loop_now(post->posts->plan->loop)))
        return;
    log_begin(&line, LOG_ERROR, "role-keeps-dying");
    log_end_with(&line, post);
}

static bool is_storage_failure(const struct post *post, int wait_status)
{
    if (post->row->id != ROLE_QUEUE)
        return false;
    return (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == ROLE_EXIT_STORAGE) ||
           (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGBUS);
}

static enum post_fate fate_of(struct post *post, int wait_status)
{
    if (post->relieved || post->posts->stopping)
        return POST_ENDED;
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == ROLE_EXIT_REFUSED)
        return POST_REFUSED;
    return is_storage_failure(post, wait_status) ? POST_STAYS_DOWN : POST_RESTARTS;
}

static void note_end(struct post *post, int wait_status)
{
    if (post->blame[0] != '\0')
        memcpy(post->last_end, post->blame, sizeof(post->last_end));
    else if (is_storage_failure(post, wait_status))
        snprintf(post->last_end, sizeof(post->last_end), "storage failing");
    else
        death_describe(wait_status, post->last_end);
}

static bool has_served(const struct post *post)
{
    return process_is_ready(post->process) &&
           loop_now(post->posts->plan->loop) - post->started_ms >= SERVED_MS;
}

static void follow_fate(struct post *post, enum post_fate fate)
{
    struct log_line line;

    if (fate == POST_ENDED) {
        post_free(post);
    } else if (fate == POST_STAYS_DOWN) {
        post->stays_down = true;
        changed(post);
        log_begin(&line, LOG_ERROR, "role-stays-down");
        log_end_with(&line, post);
    } else if (fate == POST_RESTARTS) {
        post->restarts++;
        count_death(post);
        start_later(post);
    }
}

enum post_fate posts_on_death(struct posts *posts, pid_t pid, int wait_status,
                              posts_gone_fn *before_free, void *ctx)
{
    enum post_fate fate;
    struct post *post;

    LIST_EACH(post, &posts->all, struct post, others)
    {
        if (!post->process || process_pid(post->process) != pid)
            continue;
        log_death(post, wait_status);
        before_free(ctx, post->process);
        if (has_served(post) && post->blame[0] == '\0')
            post->wait_ms = WAIT_FIRST_MS;
        process_forget(post);
        fate = fate_of(post, wait_status);
        note_end(post, wait_status);
        post->blame[0] = '\0';
        follow_fate(post, fate);
        return fate;
    }
    return POST_ENDED; /* no child of ours that we know */
}

/* --- facts ----------------------------------------------------------------------------------- */

static enum post_state state_of(const struct post *post)
{
    if (post->stays_down)
        return POST_DOWN;
    if (!post->process)
        return POST_WAITING;
    if (process_is_draining(post->process))
        return POST_DRAINING;
    return process_is_ready(post->process) ? POST_SERVING : POST_STARTING;
}

void posts_visit(const struct posts *posts, posts_visit_fn *visit, void *ctx)
{
    const struct post *post;

    LIST_EACH(post, (struct list *)(uintptr_t)&posts->all, const struct post, others)
    visit(ctx,
          &(struct post_facts){
              .role = post->row->id,
              .instance = post->instance,
              .state = state_of(post),
              .since_ms = post->since_ms,
              .pid = post->process ? process_pid(post->process) : 0,
              .generation = post->process ? process_generation(post->process) : posts->generation,
              .restarts = post->restarts,
              .blamed = post->blamed,
              .last_end = post->last_end[0] != '\0' ? post->last_end : NULL,
          });
}

bool posts_any_down(const struct posts *posts)
{
    const struct post *post;

    LIST_EACH(post, (struct list *)(uintptr_t)&posts->all, const struct post, others)
    if (post->stays_down)
        return true;
    return false;
}

/* --- asking and stopping --------------------------------------------------------------------- */

void posts_hand_content(struct posts *posts, enum role_content kind, unsigned index,
                        struct span content)
{
    struct post *post;

    LIST_EACH(post, &posts->all, struct post, others)
    if (post->process && !post->relieved && handover_is_for(kind, post->row))
        process_hand_content(post->process, kind, index, content);
}

struct process *posts_find(struct posts *posts, enum role_id role)
{
    struct post *post;

    LIST_EACH(post, &posts->all, struct post, others)
    if (post->row->id == role && !post->relieved && post->process &&
        process_is_ready(post->process))
        return post->process;
    return NULL;
}

/* Drains what runs of one kind and forgets what does not. */
static void stop_kind(struct posts *posts, bool edge, int64_t wait_ms)
{
    struct post *post;

    posts->stopping = true;
    LIST_EACH(post, &posts->all, struct post, others)
    {
        loop_timer_cancel(post->again);
        if (!post->process)
            post_free(post);
        else if (post->row->has_successors == edge)
            drain(post, wait_ms);
    }
}

void posts_stop_edge(struct posts *posts, int64_t wait_ms)
{
    stop_kind(posts, true, wait_ms);
}

bool posts_edge_ended(const struct posts *posts)
{
    const struct post *post;

    LIST_EACH(post, (struct list *)(uintptr_t)&posts->all, const struct post, others)
    if (post->row->has_successors)
        return false;
    return true;
}

void posts_stop_rest(struct posts *posts, int64_t wait_ms)
{
    stop_kind(posts, false, wait_ms);
}

bool posts_all_ended(const struct posts *posts)
{
    return list_empty(&posts->all);
}

void posts_kill(struct posts *posts)
{
    struct post *post;

    LIST_EACH(post, &posts->all, struct post, others)
    if (post->process)
        process_kill(post->process);
}
