/*
 * exceptions - keeps an eye on the exceptions of the settings: how much mail each was for, which
 * end soon, which have ended.  Called by queue, which sees every outcome; owns a few counters,
 * which begin anew with the process.
 */
#ifndef WAXSEAL_QUEUE_EXCEPTIONS_H
#define WAXSEAL_QUEUE_EXCEPTIONS_H

#include "lib/base/json.h"
#include "lib/base/settings.h"
#include "lib/ipc/queue.pb-c.h"

struct exceptions;

struct exceptions *exceptions_new(void);
void exceptions_free(struct exceptions **exceptions);

/* New settings, copied; what is counted of a domain stays while it has an exception. */
void exceptions_set(struct exceptions *exceptions, const struct settings *settings);

/* An outcome has been committed: counts it if mail left, and an exception was for it. */
void exceptions_count(struct exceptions *exceptions, const Ipc__Outcome *outcome);

/*
 * To be called often: each UTC day in the last seven of an exception a warning reminds of its end,
 * and one says when it has ended.
 */
void exceptions_check(struct exceptions *exceptions, int64_t now_utc_ms);

/* Rows of `waxseal status`. */
void exceptions_add(const struct exceptions *exceptions, int64_t now_utc_ms, struct json *array);

#endif
