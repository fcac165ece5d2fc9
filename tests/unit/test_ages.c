#include "tests/support/test.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "queue/ages.h"

#define NOW (INT64_C(29400000) * MINUTE_MS) /* some minute in 2025 */

static void add(struct ages *ages, int64_t age_minutes)
{
    ages_add(ages, NOW - age_minutes * MINUTE_MS, NOW);
}

static void assert_columns(const struct ages *ages, const uint64_t expected[AGES_COLUMNS])
{
    uint64_t columns[AGES_COLUMNS];
    ages_by_column(ages, NOW, columns);
    for (size_t i = 0; i < AGES_COLUMNS; i++)
        assert_int_equal(columns[i], expected[i]);
}

static void rows_stand_in_the_column_of_their_age(void **state)
{
    (void)state;
    static const int64_t minutes[] = { 1, 4, 6, 11, 21, 41, 81, 161, 321, 641, 1281, 9000 };
    struct ages ages = { .count = 0 };
    for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++)
        add(&ages, minutes[i]);
    assert_columns(&ages, (const uint64_t[]){ 2, 1, 1, 1, 1, 1, 1, 1, 1, 2 });
    assert_int_equal(ages_rows(&ages), 12);
}

static void an_age_moves_to_the_next_column_as_time_goes_by(void **state)
{
    (void)state;
    struct ages ages = { .count = 0 };
    uint64_t columns[AGES_COLUMNS];
    add(&ages, 1);
    ages_by_column(&ages, NOW + 3 * MINUTE_MS, columns);
    assert_int_equal(columns[0], 1);
    ages_by_column(&ages, NOW + 6 * MINUTE_MS, columns);
    assert_int_equal(columns[1], 1);
    ages_by_column(&ages, NOW + 3 * DAY_MS, columns);
    assert_int_equal(columns[AGES_COLUMNS - 1], 1);
}

static void rows_of_one_minute_share_a_span(void **state)
{
    (void)state;
    struct ages ages = { .count = 0 };
    ages_add(&ages, NOW, NOW);
    ages_add(&ages, NOW + MINUTE_MS - 1, NOW);
    assert_int_equal(ages.count, 1);
    ages_add(&ages, NOW + MINUTE_MS, NOW);
    assert_int_equal(ages.count, 2);
    ages_remove(&ages, NOW);
    ages_remove(&ages, NOW);
    assert_int_equal(ages.count, 1);
    assert_int_equal(ages_rows(&ages), 1);
}

static void an_unknown_arrival_is_not_counted(void **state)
{
    (void)state;
    struct ages ages = { .count = 0 };
    ages_add(&ages, 0, NOW);
    assert_int_equal(ages.count, 0);
    ages_add(&ages, 1, NOW); /* a clock that stood at 1970 */
    ages_remove(&ages, 0);
    assert_int_equal(ages_rows(&ages), 1);
    assert_columns(&ages, (const uint64_t[]){ 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 });
}

static void removing_what_is_not_there_changes_nothing(void **state)
{
    (void)state;
    struct ages ages = { .count = 0 };
    ages_remove(&ages, NOW);
    add(&ages, 10);
    add(&ages, 20);
    ages_remove(&ages, NOW - 15 * MINUTE_MS);
    ages_remove(&ages, NOW);
    assert_int_equal(ages_rows(&ages), 2);
}

static void times_no_clock_has_end_nothing(void **state)
{
    (void)state;
    static const int64_t odd[] = { INT64_MIN, -1, 1, INT64_MAX, (int64_t)UINT32_MAX * MINUTE_MS };
    struct ages ages = { .count = 0 };
    uint64_t columns[AGES_COLUMNS];
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        for (size_t j = 0; j < sizeof(odd) / sizeof(odd[0]); j++)
            ages_add(&ages, odd[i], odd[j]);
    ages_by_column(&ages, 0, columns);
    ages_by_column(&ages, INT64_MAX, columns);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        for (size_t j = 0; j < sizeof(odd) / sizeof(odd[0]); j++)
            ages_remove(&ages, odd[i]);
    assert_int_equal(ages.count, 0);
}

static void assert_is_sound(const struct ages *ages)
{
    Queue__HopRecord record = QUEUE__HOP_RECORD__INIT;
    struct ages copy;
    struct ages loaded;
    assert_true(ages->count <= AGES_MAX);
    memcpy(&copy, ages, sizeof(copy));
    ages_store(&copy, &record);
    ages_load(&loaded, &record);
    assert_int_equal(loaded.count, ages->count); /* what is not sound comes back as none */
}

/* A steady flow for a week: never more spans than there is room for, and no row far from its
 * column. */
static void a_steady_flow_stays_within_bounds_and_near_the_truth(void **state)
{
    (void)state;
    enum { WEEK = 7 * 24 * 60 };
    static struct ages ages;
    uint64_t columns[AGES_COLUMNS];
    ages.count = 0;
    for (int64_t age = WEEK; age > 0; age--)
        ages_add(&ages, NOW - age * MINUTE_MS, NOW - age * MINUTE_MS);
    assert_is_sound(&ages);
    assert_int_equal(ages_rows(&ages), WEEK);
    ages_by_column(&ages, NOW, columns);
    uint64_t below = 0; /* younger than the bound, as shown; in truth as many as minutes */
    for (size_t i = 0; i < AGES_COLUMNS - 1; i++) {
        below += columns[i];
        uint64_t off = below > ages_bounds[i] ? below - ages_bounds[i] : ages_bounds[i] - below;
        assert_true(off <= 1 + ages_bounds[i] / 8);
    }
}

/* Random rows come and go while time passes: each span has exactly the rows that arrived in it. */
static void each_span_has_exactly_the_rows_that_arrived_in_it(void **state)
{
    (void)state;
    enum { ROWS = 2000, STEPS = 20000 };
    static int64_t arrivals[ROWS]; /* 0: not there */
    static struct ages ages;
    memset(arrivals, 0, sizeof(arrivals));
    ages.count = 0;
    for (int step = 0; step < STEPS; step++) {
        int64_t now = NOW + step * (int64_t)MINUTE_MS / 4;
        size_t row = random_below(ROWS);
        if (arrivals[row] != 0) {
            ages_remove(&ages, arrivals[row]);
            arrivals[row] = 0;
        } else {
            arrivals[row] =
                now - (int64_t)random_below(random_below(8000 * (uint64_t)MINUTE_MS) + 1);
            ages_add(&ages, arrivals[row], now);
        }
        if (step % 100 != 0)
            continue;
        assert_is_sound(&ages);
        uint64_t there = 0;
        for (size_t i = 0; i < ROWS; i++)
            there += arrivals[i] != 0;
        assert_int_equal(ages_rows(&ages), there);
        for (size_t i = 0; i < ages.count; i++) {
            uint64_t rows = 0;
            for (size_t j = 0; j < ROWS; j++) {
                int64_t minute = arrivals[j] / MINUTE_MS;
                rows += arrivals[j] != 0 && minute >= ages.from[i] &&
                        minute < (int64_t)ages.from[i] + ages.minutes[i];
            }
            assert_int_equal(ages.rows[i], rows);
        }
    }
}

static void a_record_keeps_them(void **state)
{
    (void)state;
    Queue__HopRecord record = QUEUE__HOP_RECORD__INIT;
    struct ages ages = { .count = 0 };
    uint8_t packed[1024];
    for (int64_t age = 0; age < 1000; age++)
        add(&ages, age * 7);
    ages_store(&ages, &record);
    size_t len = queue__hop_record__get_packed_size(&record);
    assert_true(len <= sizeof(packed));
    queue__hop_record__pack(&record, packed);
    Queue__HopRecord *read = queue__hop_record__unpack(NULL, len, packed);
    struct ages loaded;
    ages_load(&loaded, read);
    assert_int_equal(loaded.count, ages.count);
    assert_memory_equal(loaded.from, ages.from, ages.count * sizeof(ages.from[0]));
    assert_memory_equal(loaded.minutes, ages.minutes, ages.count * sizeof(ages.from[0]));
    assert_memory_equal(loaded.rows, ages.rows, ages.count * sizeof(ages.from[0]));
    queue__hop_record__free_unpacked(read, NULL);
}

static void what_is_no_set_of_spans_is_taken_for_none(void **state)
{
    (void)state;
    static const struct {
        size_t n[3];
        uint32_t from[3];
        uint32_t minutes[3];
        uint32_t rows[3];
    } bad[] = {
        { { 2, 1, 2 }, { 1, 9 }, { 1, 1 }, { 1, 1 } },
        { { 2, 2, 1 }, { 1, 9 }, { 1, 1 }, { 1, 1 } },
        { { 2, 2, 2 }, { 9, 1 }, { 1, 1 }, { 1, 1 } },
        { { 2, 2, 2 }, { 1, 2 }, { 2, 1 }, { 1, 1 } },
        { { 2, 2, 2 }, { 1, 9 }, { 1, 0 }, { 1, 1 } },
        { { 2, 2, 2 }, { 1, 9 }, { 1, 1 }, { 1, 0 } },
        { { 1, 1, 1 }, { 2 }, { UINT32_MAX }, { 1 } },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Queue__HopRecord record = QUEUE__HOP_RECORD__INIT;
        uint32_t arrays[3][3];
        memcpy(arrays[0], bad[i].from, sizeof(arrays[0]));
        memcpy(arrays[1], bad[i].minutes, sizeof(arrays[1]));
        memcpy(arrays[2], bad[i].rows, sizeof(arrays[2]));
        record.n_arrived_from = bad[i].n[0];
        record.n_arrived_minutes = bad[i].n[1];
        record.n_arrived_rows = bad[i].n[2];
        record.arrived_from = arrays[0];
        record.arrived_minutes = arrays[1];
        record.arrived_rows = arrays[2];
        struct ages ages = { .count = 7 };
        ages_load(&ages, &record);
        assert_int_equal(ages.count, 0);
    }
    Queue__HopRecord many = QUEUE__HOP_RECORD__INIT;
    many.n_arrived_from = many.n_arrived_minutes = many.n_arrived_rows = AGES_MAX + 1;
    struct ages ages = { .count = 7 };
    ages_load(&ages, &many);
    assert_int_equal(ages.count, 0);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("rows stand in the column of their age", rows_stand_in_the_column_of_their_age),
        TEST("an age moves to the next column as time goes by",
             an_age_moves_to_the_next_column_as_time_goes_by),
        TEST("rows of one minute share a span", rows_of_one_minute_share_a_span),
        TEST("an unknown arrival is not counted", an_unknown_arrival_is_not_counted),
        TEST("removing what is not there changes nothing",
             removing_what_is_not_there_changes_nothing),
        TEST("times that no clock has end nothing", times_no_clock_has_end_nothing),
        TEST("a steady flow for a week stays within bounds and near the truth",
             a_steady_flow_stays_within_bounds_and_near_the_truth),
        TEST("each span has exactly the rows that arrived in it, whatever came and went",
             each_span_has_exactly_the_rows_that_arrived_in_it),
        TEST("a hop's record keeps them", a_record_keeps_them),
        TEST("what is no set of spans is taken for none",
             what_is_no_set_of_spans_is_taken_for_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
