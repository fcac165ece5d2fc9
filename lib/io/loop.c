#include "lib/io/loop.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct loop {
    struct event_base *base;
    struct list deferred; /* tasks to run at the end of this turn */
    int64_t now_ms;
    bool awake; /* now_ms was taken since the loop last slept */
    bool stopped;
    char *scratch;
    void *attached;
};

struct loop_timer {
    struct loop *loop;
    struct event event;
    loop_timer_fn *on_due;
    void *ctx;
    int64_t due_ms;
};

/* Two events, so that wanting one direction more or less is one system call. */
struct loop_watch {
    struct loop *loop;
    struct event readable;
    struct event writable;
    bool wants_read;
    bool wants_write;
    loop_watch_fn *on_ready;
    void *ctx;
};

struct loop_wake {
    struct loop_watch *watch;
    int fd;
    atomic_bool posted; /* spares the system call of all posts but the first */
    loop_task_fn *on_wake;
    void *ctx;
};

struct loop_signal {
    struct loop *loop;
    struct event event;
    loop_signal_fn *on_signal;
    void *ctx;
};

/* One epoll base, whatever the environment asks for; it never leaves its thread: no locks. */
static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    ensure(config);
    ensure(event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0);
    ensure(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0);
    base = event_base_new_with_config(config);
    ensure(base);
    ensure(strcmp(event_base_get_method(base), "epoll") == 0);
    event_config_free(config);
    return base;
}

struct loop *loop_new(void)
{
    struct loop *loop = memory_new(sizeof(*loop));

    loop->base = base_new();
    list_init(&loop->deferred);
    loop_refresh(loop);
    return loop;
}

void loop_free(struct loop **loop)
{
    if (!*loop)
        return;
    event_base_free((*loop)->base);
    free((*loop)->scratch);
    free(*loop);
    *loop = NULL;
}

/* Called first by whatever libevent calls: the first one in a turn takes the time. */
static void loop_woken(struct loop *loop)
{
    if (loop->awake)
        return;
    loop->now_ms = clock_monotonic_ms();
    loop->awake = true;
}

static void loop_run_deferred(struct loop *loop)
{
    while (!list_empty(&loop->deferred)) {
        struct loop_task *task = LIST_FIRST(&loop->deferred, struct loop_task, waiting);
        list_remove(&task->waiting);
        task->run(task->ctx);
    }
}

static void loop_turn(struct loop *loop)
{
    loop->awake = false;
    ensure(event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) >= 0);
    loop_woken(loop);
    loop_run_deferred(loop);
    log_flush();
}

void loop_run(struct loop *loop)
{
    loop_refresh(loop);
    loop_run_deferred(loop); /* asked for before the first turn */
    log_flush();
    while (!loop->stopped)
        loop_turn(loop);
    loop->stopped = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_attach(struct loop *loop, void *thing)
{
    loop->attached = thing;
}

void *loop_attached(const struct loop *loop)
{
    return loop->attached;
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now_ms;
}

void loop_refresh(struct loop *loop)
{
    loop->awake = false;
    loop_woken(loop);
    event_base_update_cache_time(loop->base);
}

char *loop_scratch(struct loop *loop)
{
    if (!loop->scratch)
        loop->scratch = memory_new(LOOP_SCRATCH_SIZE);
    return loop->scratch;
}

/* Timers */

static void timer_arm(struct loop_timer *timer, int64_t wait_ms)
{
    struct timeval wait = { .tv_sec = wait_ms / SECOND_MS, .tv_usec = wait_ms % SECOND_MS * 1000 };

    ensure(event_add(&timer->event, &wait) == 0);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct loop_timer *timer = ctx;
    int64_t left_ms;

    (void)fd;
    (void)what;
    loop_woken(timer->loop);
    left_ms = timer->due_ms - timer->loop->now_ms;
    if (left_ms > 0) /* libevent's clock is coarse: a timer may be some milliseconds early */
        timer_arm(timer, left_ms);
    else
        timer->on_due(timer->ctx);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *on_due, void *ctx)
{
    struct loop_timer *timer = memory_new(sizeof(*timer));

    timer->loop = loop;
    timer->on_due = on_due;
    timer->ctx = ctx;
    ensure(event_assign(&timer->event, loop->base, -1, 0, on_timer, timer) == 0);
    return timer;
}

void loop_timer_free(struct loop_timer **timer)
{
    if (!*timer)
        return;
    loop_timer_cancel(*timer);
    free(*timer);
    *timer = NULL;
}

void loop_timer_start(struct loop_timer *timer, int64_t wait_ms)
{
    const int64_t longest_ms = 365 * DAY_MS;

    if (wait_ms < 0)
        wait_ms = 0;
    if (wait_ms > longest_ms)
        wait_ms = longest_ms;
    timer->due_ms = timer->loop->now_ms + wait_ms;
    timer_arm(timer, wait_ms);
}

void loop_timer_cancel(struct loop_timer *timer)
{
    event_del(&timer->event);
}

bool loop_timer_running(const struct loop_timer *timer)
{
    return event_pending(&timer->event, EV_TIMEOUT, NULL) != 0;
}

/* Watched descriptors */

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct loop_watch *watch = ctx;

    (void)fd;
    (void)what;
    loop_woken(watch->loop);
    watch->on_ready(watch->ctx, true, false);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    struct loop_watch *watch = ctx;

    (void)fd;
    (void)what;
    loop_woken(watch->loop);
    watch->on_ready(watch->ctx, false, true);
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_watch_fn *on_ready, void *ctx)
{
    struct loop_watch *watch = memory_new(sizeof(*watch));

    watch->loop = loop;
    watch->on_ready = on_ready;
    watch->ctx = ctx;
    ensure(event_assign(&watch->readable, loop->base, fd, EV_READ | EV_PERSIST, on_readable,
                        watch) == 0);
    ensure(event_assign(&watch->writable, loop->base, fd, EV_WRITE | EV_PERSIST, on_writable,
                        watch) == 0);
    return watch;
}

void loop_watch_free(struct loop_watch **watch)
{
    if (!*watch)
        return;
    loop_watch_want(*watch, false, false);
    free(*watch);
    *watch = NULL;
}

static void watch_set(struct event *event, bool *is, bool want)
{
    if (*is == want)
        return;
    *is = want;
    if (want)
        ensure(event_add(event, NULL) == 0);
    else
        event_del(event);
}

void loop_watch_want(struct loop_watch *watch, bool read, bool write)
{
    watch_set(&watch->readable, &watch->wants_read, read);
    watch_set(&watch->writable, &watch->wants_write, write);
}

/* Work at the end of the turn */

void loop_task_init(struct loop_task *task, loop_task_fn *run, void *ctx)
{
    list_init(&task->waiting);
    task->run = run;
    task->ctx = ctx;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (list_empty(&task->waiting))
        list_append(&loop->deferred, &task->waiting);
}

void loop_task_cancel(struct loop_task *task)
{
    list_remove(&task->waiting);
}

/* Wake-ups */

static void on_posted(void *ctx, bool readable, bool writable)
{
    struct loop_wake *wake = ctx;
    eventfd_t count;

    (void)readable;
    (void)writable;
    (void)eventfd_read(wake->fd, &count); /* EAGAIN: it had been read already */
    atomic_store(&wake->posted, false);   /* from here on a post counts for the next turn */
    wake->on_wake(wake->ctx);
}

struct loop_wake *loop_wake_new(struct loop *loop, loop_task_fn *on_wake, void *ctx)
{
    struct loop_wake *wake = memory_new(sizeof(*wake));

    wake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ensure(wake->fd >= 0);
    atomic_init(&wake->posted, false);
    wake->on_wake = on_wake;
    wake->ctx = ctx;
    wake->watch = loop_watch_new(loop, wake->fd, on_posted, wake);
    loop_watch_want(wake->watch, true, false);
    return wake;
}

void loop_wake_free(struct loop_wake **wake)
{
    if (!*wake)
        return;
    loop_watch_free(&(*wake)->watch);
    close((*wake)->fd);
    free(*wake);
    *wake = NULL;
}

void loop_wake_post(struct loop_wake *wake)
{
    if (!atomic_exchange(&wake->posted, true))
        ensure(eventfd_write(wake->fd, 1) == 0);
}

/* Signals */

static void on_signal_event(evutil_socket_t number, short what, void *ctx)
{
    struct loop_signal *watch = ctx;

    (void)what;
    loop_woken(watch->loop);
    watch->on_signal(watch->ctx, (int)number);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_signal_fn *on_signal,
                                    void *ctx)
{
    struct loop_signal *watch = memory_new(sizeof(*watch));

    watch->loop = loop;
    watch->on_signal = on_signal;
    watch->ctx = ctx;
    ensure(event_assign(&watch->event, loop->base, signal_number, EV_SIGNAL | EV_PERSIST,
                        on_signal_event, watch) == 0);
    ensure(event_add(&watch->event, NULL) == 0);
    return watch;
}

void loop_signal_free(struct loop_signal **watch)
{
    if (!*watch)
        return;
    event_del(&(*watch)->event);
    free(*watch);
    *watch = NULL;
}
