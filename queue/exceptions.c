#include "queue/exceptions.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

struct exception {
    struct exception_settings settings;
    int64_t deliveries; /* messages that left by a next hop that it is for ... */
    int64_t needed;     /* ... and would not have without */
    int64_t told_day;   /* since 1970, of the last warning; 0: none */
};

struct exceptions {
    struct exception items[SETTINGS_EXCEPTIONS_MAX];
    unsigned count;
};

struct exceptions *exceptions_new(void)
{
    return memory_new(sizeof(struct exceptions));
}

void exceptions_free(struct exceptions **exceptions)
{
    free(*exceptions);
    *exceptions = NULL;
}

static struct exception *find(struct exceptions *exceptions, struct span domain)
{
    for (unsigned i = 0; i < exceptions->count; i++)
        if (span_equal_nocase(span_of(exceptions->items[i].settings.domain), domain))
            return &exceptions->items[i];
    return NULL;
}

void exceptions_set(struct exceptions *exceptions, const struct settings *settings)
{
    struct exceptions *fresh = exceptions_new();

    fresh->count = settings->exception_count;
    for (unsigned i = 0; i < fresh->count; i++) {
        struct exception *before = find(exceptions, span_of(settings->exceptions[i].domain));
        if (before)
            fresh->items[i] = *before;
        fresh->items[i].settings = settings->exceptions[i];
        fresh->items[i].told_day = 0;
    }
    *exceptions = *fresh;
    exceptions_free(&fresh);
}

static bool has_left(const Ipc__Outcome *outcome)
{
    for (size_t i = 0; i < outcome->n_results; i++)
        if (outcome->results[i]->kind == IPC__RESULT_KIND__DELIVERED)
            return true;
    return false;
}

void exceptions_count(struct exceptions *exceptions, const Ipc__Outcome *outcome)
{
    const Ipc__Decision *decision = outcome->decision;
    struct exception *e;

    if (!decision || decision->relief_domain.len == 0 || !has_left(outcome))
        return;
    e = find(exceptions, span_of_bytes(decision->relief_domain));
    if (!e)
        return; /* the settings have changed meanwhile */
    e->deliveries++;
    e->needed += decision->relief_needed;
}

/* --- its end --------------------------------------------------------------------------------- */

static void say_ends(const struct exception *e, int64_t days_left)
{
    char until[CLOCK_TEXT_SIZE];
    struct log_line line;

    clock_format_day(e->settings.last_day_utc_ms, until);
    log_begin(&line, LOG_WARNING, "exception-ends");
    log_string(&line, "domain", e->settings.domain);
    log_string(&line, "allow", exception_allow_name(e->settings.allow));
    log_string(&line, "until", until);
    log_number(&line, "days-left", days_left);
    log_number(&line, "deliveries", e->deliveries);
    log_number(&line, "needed", e->needed);
    log_string(&line, "reason", e->settings.reason);
    log_end(&line);
}

/* Reminds once a day; of one that has ended, once. */
static void check_one(struct exception *e, int64_t now_utc_ms)
{
    int64_t days_left = exception_days_left(&e->settings, now_utc_ms);
    int64_t end_day = exception_end_ms(&e->settings) / DAY_MS;
    int64_t day = days_left > 0 ? now_utc_ms / DAY_MS : end_day;

    if (days_left > EXCEPTION_REMINDED_DAYS || day == e->told_day)
        return;
    e->told_day = day;
    say_ends(e, days_left);
}

void exceptions_check(struct exceptions *exceptions, int64_t now_utc_ms)
{
    for (unsigned i = 0; i < exceptions->count; i++)
        check_one(&exceptions->items[i], now_utc_ms);
}

/* --- status ---------------------------------------------------------------------------------- */

void exceptions_add(const struct exceptions *exceptions, int64_t now_utc_ms, struct json *array)
{
    char until[CLOCK_TEXT_SIZE];

    for (unsigned i = 0; i < exceptions->count; i++) {
        const struct exception *e = &exceptions->items[i];
        struct json *row = json_append_object(array);
        clock_format_day(e->settings.last_day_utc_ms, until);
        json_add_string(row, "domain", e->settings.domain);
        json_add_string(row, "allow", exception_allow_name(e->settings.allow));
        json_add_string(row, "until", until);
        json_add_number(row, "days_left", exception_days_left(&e->settings, now_utc_ms));
        json_add_number(row, "deliveries", e->deliveries);
        json_add_number(row, "needed", e->needed);
        json_add_string(row, "reason", e->settings.reason);
    }
}
