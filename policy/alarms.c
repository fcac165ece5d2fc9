#include "policy/alarms.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

enum kind { REFRESH_FAILS, RECORD_GONE, WEAKENED, KINDS };

/* What they are called in rows, and their counts. */
static const struct {
    const char *name;
    const char *counted;
} kinds[KINDS] = {
    [REFRESH_FAILS] = { "refresh fails", "refresh_failing" },
    [RECORD_GONE] = { "record gone", "record_gone" },
    [WEAKENED] = { "weakened", "weakened" },
};

struct alarm {
    char domain[DOMAIN_MAX + 1];
    enum sts_mode mode;
    int64_t expires_utc_ms;
    struct sts_trouble trouble;
};

struct alarms {
    struct map *by_domain;
    uint64_t left_out;
};

struct alarms *alarms_new(void)
{
    struct alarms *alarms = memory_new(sizeof(*alarms));
    alarms->by_domain = map_new();
    return alarms;
}

void alarms_free(struct alarms **alarms)
{
    struct alarms *a = *alarms;
    struct alarm *alarm;
    *alarms = NULL;
    if (!a)
        return;
    for (size_t cursor = 0; (alarm = map_next(a->by_domain, &cursor, NULL));)
        free(alarm);
    map_free(&a->by_domain);
    free(a);
}

/* ---- one policy --------------------------------------------------------------------------- */

static struct alarm alarm_of(const struct sts_entry *entry)
{
    struct alarm alarm = { .mode = entry->policy->mode, .trouble = entry->trouble };
    memcpy(alarm.domain, entry->domain, sizeof(alarm.domain));
    alarm.expires_utc_ms = sts_entry_expires(entry);
    return alarm;
}

/* Since when; 0: it is not the case. */
static int64_t since_when(const struct alarm *alarm, enum kind kind)
{
    const struct sts_trouble *trouble = &alarm->trouble;
    if (kind == WEAKENED)
        return trouble->weakened_utc_ms;
    if (alarm->mode == STS_NONE)
        return 0; /* nothing is lost with it */
    return kind == REFRESH_FAILS ? trouble->failing_utc_ms : trouble->gone_utc_ms;
}

static bool is_on(const struct alarm *alarm, enum kind kind, int64_t now)
{
    int64_t since = since_when(alarm, kind);
    int64_t news = kind == WEAKENED ? since : alarm->expires_utc_ms;
    return since != 0 && now <= news + ALARM_DAYS * DAY_MS;
}

static bool is_worth_keeping(const struct alarm *alarm)
{
    for (enum kind kind = 0; kind < KINDS; kind++)
        if (since_when(alarm, kind) != 0)
            return true;
    return false;
}

static const char *weakened_words(unsigned how)
{
    static const char *const words[] = {
        [STS_WEAKER_MODE] = "mode",
        [STS_WEAKER_MAX_AGE] = "max_age",
        [STS_WEAKER_MODE | STS_WEAKER_MAX_AGE] = "mode, max_age",
        [STS_WEAKER_MX] = "mx",
        [STS_WEAKER_MODE | STS_WEAKER_MX] = "mode, mx",
        [STS_WEAKER_MAX_AGE | STS_WEAKER_MX] = "max_age, mx",
        [STS_WEAKER_MODE | STS_WEAKER_MAX_AGE | STS_WEAKER_MX] = "mode, max_age, mx",
    };
    return how > 0 && how < sizeof(words) / sizeof(words[0]) ? words[how] : "";
}

static const char *detail_of(const struct alarm *alarm, enum kind kind)
{
    if (kind == REFRESH_FAILS)
        return alarm->trouble.failing_reason;
    return kind == WEAKENED ? weakened_words(alarm->trouble.weakened) : "";
}

static void add_row(struct json *rows, const struct alarm *alarm, enum kind kind, int64_t now)
{
    struct json *row = json_append_object(rows);
    int64_t left = alarm->expires_utc_ms - now;
    char since[CLOCK_TEXT_SIZE];
    clock_format_rfc3339(since_when(alarm, kind), since);
    json_add_string(row, "domain", alarm->domain);
    json_add_string(row, "alarm", kinds[kind].name);
    json_add_string(row, "since", since);
    json_add_number(row, "days_left", left > 0 ? left / DAY_MS : 0);
    json_add_string(row, "detail", detail_of(alarm, kind));
}

void alarms_of_entry(const struct sts_entry *entry, int64_t now, struct json *rows)
{
    struct alarm alarm = alarm_of(entry);
    for (enum kind kind = 0; kind < KINDS; kind++)
        if (is_on(&alarm, kind, now))
            add_row(rows, &alarm, kind, now);
}

/* ---- all of them -------------------------------------------------------------------------- */

void alarms_forget(struct alarms *alarms, const char *domain)
{
    free(map_remove(alarms->by_domain, span_of(domain)));
}

void alarms_note(struct alarms *alarms, const struct sts_entry *entry)
{
    struct alarm alarm = alarm_of(entry);
    alarms_forget(alarms, entry->domain);
    if (!is_worth_keeping(&alarm))
        return;
    if (map_count(alarms->by_domain) >= ALARMS_MAX) {
        alarms->left_out++;
        return;
    }
    struct alarm *kept = memory_new(sizeof(*kept));
    *kept = alarm;
    (void)map_put(alarms->by_domain, span_of(kept->domain), kept);
}

/* One alarm of one policy. */
struct item {
    const struct alarm *alarm;
    enum kind kind;
};

/* By kind, and of each those that lapse first. */
static int compare(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->alarm->expires_utc_ms != b->alarm->expires_utc_ms)
        return a->alarm->expires_utc_ms < b->alarm->expires_utc_ms ? -1 : 1;
    return strcmp(a->alarm->domain, b->alarm->domain);
}

static size_t collect(const struct alarms *alarms, int64_t now, struct item *items,
                      unsigned counts[KINDS])
{
    const struct alarm *alarm;
    size_t count = 0;
    for (size_t cursor = 0; (alarm = map_next(alarms->by_domain, &cursor, NULL));)
        for (enum kind kind = 0; kind < KINDS; kind++)
            if (is_on(alarm, kind, now)) {
                items[count++] = (struct item){ alarm, kind };
                counts[kind]++;
            }
    qsort(items, count, sizeof(items[0]), compare);
    return count;
}

void alarms_show(const struct alarms *alarms, int64_t now, struct json *object)
{
    struct item *items = memory_new_array(map_count(alarms->by_domain) * KINDS + 1, sizeof(*items));
    unsigned counts[KINDS] = { 0 };
    size_t count = collect(alarms, now, items, counts);
    for (enum kind kind = 0; kind < KINDS; kind++)
        json_add_number(object, kinds[kind].counted, counts[kind]);
    if (alarms->left_out > 0)
        json_add_number(object, "alarms_left_out", (int64_t)alarms->left_out);
    struct json *rows = json_add_array(object, "alarms");
    for (size_t i = 0; i < count && i < ALARMS_SHOWN_MAX; i++)
        add_row(rows, items[i].alarm, items[i].kind, now);
    free(items);
}
