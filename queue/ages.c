#include "queue/ages.h"

#include <string.h>

#include "lib/base/clock.h"

const unsigned ages_bounds[AGES_COLUMNS - 1] = { 5, 10, 20, 40, 80, 160, 320, 640, 1280 };

enum { MINUTES_SHOWN = 1280 /* older rows all stand in one column */ };

static uint32_t minute_of(int64_t utc_ms)
{
    int64_t minute = utc_ms / MINUTE_MS;

    if (minute < 0)
        return 0;
    return minute < UINT32_MAX ? (uint32_t)minute : UINT32_MAX - 1;
}

static uint32_t end_of(const struct ages *ages, size_t i)
{
    return ages->from[i] + ages->minutes[i];
}

/* The first span that ends behind the minute: it covers it, or is where its own would go. */
static size_t place_of(const struct ages *ages, uint32_t minute)
{
    size_t i = 0;

    while (i < ages->count && end_of(ages, i) <= minute)
        i++;
    return i;
}

static bool covers(const struct ages *ages, size_t i, uint32_t minute)
{
    return i < ages->count && ages->from[i] <= minute;
}

static void make_place(struct ages *ages, size_t at)
{
    size_t behind = ages->count - at;

    memmove(ages->from + at + 1, ages->from + at, behind * sizeof(ages->from[0]));
    memmove(ages->minutes + at + 1, ages->minutes + at, behind * sizeof(ages->minutes[0]));
    memmove(ages->rows + at + 1, ages->rows + at, behind * sizeof(ages->rows[0]));
    ages->count++;
}

static void take_out(struct ages *ages, size_t at)
{
    size_t behind = --ages->count - at;

    memmove(ages->from + at, ages->from + at + 1, behind * sizeof(ages->from[0]));
    memmove(ages->minutes + at, ages->minutes + at + 1, behind * sizeof(ages->minutes[0]));
    memmove(ages->rows + at, ages->rows + at + 1, behind * sizeof(ages->rows[0]));
}

/* ---- merging ------------------------------------------------------------------------------ */

/* What a span made of two would be: how long, and how old at its younger end. */
struct merger {
    uint64_t minutes;
    uint64_t age;
};

static struct merger merger_of(const struct ages *ages, size_t first, uint32_t now)
{
    uint32_t end = end_of(ages, first + 1);

    return (struct merger){
        .minutes = end - ages->from[first],
        .age = now > end ? (uint64_t)(now - end) + 1 : 1,
    };
}

/* Shorter in proportion to its age; beyond what is told apart, no length matters. */
static bool is_better(const struct merger *a, const struct merger *b)
{
    bool a_is_free = a->age > MINUTES_SHOWN;
    bool b_is_free = b->age > MINUTES_SHOWN;

    if (a_is_free || b_is_free)
        return a_is_free && !b_is_free;
    return a->minutes * b->age < b->minutes * a->age;
}

static void merge_two(struct ages *ages, uint32_t now)
{
    size_t best = 0;
    struct merger least = merger_of(ages, 0, now);

    for (size_t i = 1; i + 1 < ages->count; i++) {
        struct merger merger = merger_of(ages, i, now);
        if (is_better(&merger, &least)) {
            least = merger;
            best = i;
        }
    }
    ages->minutes[best] = (uint32_t)least.minutes;
    ages->rows[best] += ages->rows[best + 1];
    take_out(ages, best + 1);
}

/* ---- rows come and go --------------------------------------------------------------------- */

void ages_add(struct ages *ages, int64_t arrived_utc_ms, int64_t now_utc_ms)
{
    uint32_t minute = minute_of(arrived_utc_ms);

    if (arrived_utc_ms == 0)
        return;
    if (ages->count == AGES_MAX && !covers(ages, place_of(ages, minute), minute))
        merge_two(ages, minute_of(now_utc_ms));
    size_t at = place_of(ages, minute);
    if (!covers(ages, at, minute)) {
        make_place(ages, at);
        ages->from[at] = minute;
        ages->minutes[at] = 1;
        ages->rows[at] = 0;
    }
    ages->rows[at]++;
}

void ages_remove(struct ages *ages, int64_t arrived_utc_ms)
{
    uint32_t minute = minute_of(arrived_utc_ms);
    size_t at = place_of(ages, minute);

    if (arrived_utc_ms == 0 || !covers(ages, at, minute))
        return;
    if (--ages->rows[at] == 0)
        take_out(ages, at);
}

/* ---- reading ------------------------------------------------------------------------------ */

static size_t column_of(uint64_t age_ms)
{
    size_t column = 0;

    while (column < AGES_COLUMNS - 1 && age_ms >= (uint64_t)ages_bounds[column] * MINUTE_MS)
        column++;
    return column;
}

void ages_by_column(const struct ages *ages, int64_t now_utc_ms, uint64_t out[AGES_COLUMNS])
{
    memset(out, 0, AGES_COLUMNS * sizeof(out[0]));
    for (size_t i = 0; i < ages->count; i++) {
        int64_t middle_ms =
            ages->from[i] * (int64_t)MINUTE_MS + (int64_t)ages->minutes[i] * MINUTE_MS / 2;
        uint64_t age_ms = now_utc_ms > middle_ms ? (uint64_t)(now_utc_ms - middle_ms) : 0;
        out[column_of(age_ms)] += ages->rows[i];
    }
}

uint64_t ages_rows(const struct ages *ages)
{
    uint64_t rows = 0;

    for (size_t i = 0; i < ages->count; i++)
        rows += ages->rows[i];
    return rows;
}

/* ---- in a record -------------------------------------------------------------------------- */

static bool is_sound(const Queue__HopRecord *hop)
{
    uint64_t end = 0;

    if (hop->n_arrived_from > AGES_MAX || hop->n_arrived_minutes != hop->n_arrived_from ||
        hop->n_arrived_rows != hop->n_arrived_from)
        return false;
    for (size_t i = 0; i < hop->n_arrived_from; i++) {
        if (hop->arrived_from[i] < end || hop->arrived_minutes[i] == 0 || hop->arrived_rows[i] == 0)
            return false;
        end = (uint64_t)hop->arrived_from[i] + hop->arrived_minutes[i];
    }
    return end <= UINT32_MAX;
}

void ages_load(struct ages *ages, const Queue__HopRecord *hop)
{
    size_t count = is_sound(hop) ? hop->n_arrived_from : 0;

    ages->count = count;
    for (size_t i = 0; i < count; i++) {
        ages->from[i] = hop->arrived_from[i];
        ages->minutes[i] = hop->arrived_minutes[i];
        ages->rows[i] = hop->arrived_rows[i];
    }
}

void ages_store(struct ages *ages, Queue__HopRecord *hop)
{
    hop->n_arrived_from = hop->n_arrived_minutes = hop->n_arrived_rows = ages->count;
    hop->arrived_from = ages->from;
    hop->arrived_minutes = ages->minutes;
    hop->arrived_rows = ages->rows;
}
