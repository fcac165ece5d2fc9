/*
 * loop - the event loop of a role: descriptors, timers, signals, work at the end of a turn, and
 * wake-ups from other threads.  One loop per thread; libevent behind it.
 * Callbacks never run inside the call that armed them.
 */
#ifndef WAXSEAL_IO_LOOP_H
#define WAXSEAL_IO_LOOP_H

#include "lib/base/error.h"
#include "lib/base/list.h"

#include <stdint.h>

struct loop;

struct loop *loop_new(void);
void loop_free(struct loop **loop);

/* Runs until loop_stop.  At the end of each turn: deferred work, then log_flush. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Monotonic milliseconds, taken at the start of the turn; cheap.  loop_refresh after long work. */
int64_t loop_now(const struct loop *loop);
void loop_refresh(struct loop *loop);

/*
 * Room lent to whoever reads in a callback: what is read there is used up or copied before the
 * callback returns.  It spares each connection a read buffer of its own.
 */
enum { LOOP_SCRATCH_SIZE = 64 * 1024 };
char *loop_scratch(struct loop *loop);

/* One thing that hangs from the loop for those that have only the loop; lent, NULL to begin with.
 */
void loop_attach(struct loop *loop, void *thing);
void *loop_attached(const struct loop *loop);

/* A timer: one shot, armed and disarmed as often as wanted. */
typedef void loop_timer_fn(void *ctx);
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *on_due, void *ctx);
void loop_timer_free(struct loop_timer **timer);
void loop_timer_start(struct loop_timer *timer, int64_t wait_ms); /* restarts a running one */
void loop_timer_cancel(struct loop_timer *timer);
bool loop_timer_running(const struct loop_timer *timer);

/* A watched descriptor, which stays the caller's.  Level triggered. */
typedef void loop_watch_fn(void *ctx, bool readable, bool writable);
struct loop_watch;
struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_watch_fn *on_ready, void *ctx);
void loop_watch_free(struct loop_watch **watch); /* before the descriptor is closed */
void loop_watch_want(struct loop_watch *watch, bool read, bool write);

/*
 * Work at the end of this turn, once however often it is asked for: how connections and channels
 * flush once per turn.  Embed it; loop_task_init before use, loop_task_cancel before freeing.
 * Asked for by a task that runs at the end of a turn, it runs at the end of the same turn.
 */
typedef void loop_task_fn(void *ctx);
struct loop_task {
    struct list waiting;
    loop_task_fn *run;
    void *ctx;
};
void loop_task_init(struct loop_task *task, loop_task_fn *run, void *ctx);
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_task_cancel(struct loop_task *task);

/* A wake-up that another thread may send: any number of posts before the turn give one call. */
struct loop_wake;
struct loop_wake *loop_wake_new(struct loop *loop, loop_task_fn *on_wake, void *ctx);
void loop_wake_free(struct loop_wake **wake);
void loop_wake_post(struct loop_wake *wake);

/* A signal, handled in the loop. */
typedef void loop_signal_fn(void *ctx, int signal_number);
struct loop_signal;
struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_signal_fn *on_signal,
                                    void *ctx);
void loop_signal_free(struct loop_signal **watch);

#endif
