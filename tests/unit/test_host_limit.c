#include "tests/support/test.h"

#include "lib/base/clock.h"
#include "queue/host_limit.h"

enum { CAP = 20, CROWD = 2000, START_MS = 1000000 };

/* ---- one step at a time --------------------------------------------------------------------- */

static struct host_limit learned(unsigned standing)
{
    struct host_limit limit;
    host_limit_init(&limit, CAP);
    host_limit_refused(&limit, CAP, standing, false, START_MS);
    return limit;
}

static void an_unknown_host_gets_a_few_connections(void **state)
{
    struct host_limit limit;
    (void)state;
    host_limit_init(&limit, CAP);
    assert_int_equal(host_limit_now(&limit, CAP, START_MS), HOST_LIMIT_FIRST);
    assert_false(host_limit_is_probe(&limit, 100));
    assert_int_equal(host_limit_expiry(&limit), 0);
    host_limit_init(&limit, 2);
    assert_int_equal(host_limit_now(&limit, 2, START_MS), 2);
    assert_int_equal(host_limit_now(&limit, 1, START_MS), 1);
}

static void they_double_each_time_all_of_them_stand(void **state)
{
    struct host_limit limit;
    (void)state;
    host_limit_init(&limit, CAP);
    for (unsigned i = 1; i < 4; i++)
        host_limit_stood(&limit, CAP, i, false, START_MS);
    assert_int_equal(limit.limit, 4);
    host_limit_stood(&limit, CAP, 4, false, START_MS);
    assert_int_equal(limit.limit, 8);
    host_limit_stood(&limit, CAP, 8, false, START_MS);
    host_limit_stood(&limit, CAP, 16, false, START_MS);
    assert_int_equal(limit.limit, CAP);
    assert_false(limit.is_learned);
}

static void when_one_is_refused_what_stands_is_the_limit(void **state)
{
    struct host_limit limit = learned(5);
    (void)state;
    assert_true(limit.is_learned);
    assert_int_equal(host_limit_now(&limit, CAP, START_MS), 5);
    assert_int_equal(host_limit_now(&limit, 3, START_MS), 3);
    assert_true(host_limit_is_probe(&limit, 5));
    assert_false(host_limit_is_probe(&limit, 4));
    assert_int_equal(limit.trouble_ms, START_MS);
    limit = learned(0);
    assert_int_equal(limit.limit, 1);
    limit = learned(100);
    assert_int_equal(limit.limit, CAP);
}

static void one_more_is_tried_after_a_while(void **state)
{
    struct host_limit limit = learned(5);
    (void)state;
    assert_int_equal(host_limit_now(&limit, CAP, START_MS + HOST_LIMIT_WAIT_MS - 1), 5);
    assert_int_equal(host_limit_now(&limit, CAP, START_MS + HOST_LIMIT_WAIT_MS), 6);
}

static void the_while_grows_as_long_as_probes_are_refused(void **state)
{
    static const int seconds[] = { 10, 20, 40, 60, 60 };
    struct host_limit limit = learned(5);
    int64_t now_ms = START_MS;
    (void)state;
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
        now_ms = limit.probe_ms;
        host_limit_refused(&limit, CAP, 5, true, now_ms);
        assert_int_equal(limit.probe_ms - now_ms, seconds[i] * SECOND_MS);
    }
}

static void of_probes_made_together_one_counts(void **state)
{
    struct host_limit limit = learned(5);
    int64_t now_ms = limit.probe_ms;
    (void)state;
    host_limit_refused(&limit, CAP, 5, true, now_ms);
    host_limit_refused(&limit, CAP, 5, true, now_ms + 10);
    assert_int_equal(limit.wait_ms, 2 * HOST_LIMIT_WAIT_MS);
}

static void a_refusal_of_what_was_no_probe_lets_the_while_stand(void **state)
{
    struct host_limit limit = learned(5);
    (void)state;
    host_limit_refused(&limit, CAP, 4, false, limit.probe_ms);
    assert_int_equal(limit.limit, 4);
    assert_int_equal(limit.wait_ms, HOST_LIMIT_WAIT_MS);
}

static void probes_that_succeed_grow_faster_and_faster(void **state)
{
    static const unsigned limits[] = { 6, 8, 11, 17 };
    struct host_limit limit = learned(5);
    unsigned standing = 5;
    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        int64_t now_ms = limit.probe_ms;
        while (standing < host_limit_now(&limit, CAP, now_ms))
            host_limit_stood(&limit, CAP, ++standing, true, now_ms);
        assert_int_equal(limit.limit, limits[i]);
    }
    host_limit_stood(&limit, CAP, CAP, true, limit.probe_ms);
    assert_int_equal(limit.limit, CAP);
    assert_false(limit.is_learned);
    assert_int_equal(host_limit_expiry(&limit), 0);
}

static void most_of_a_probe_is_enough_for_the_next(void **state)
{
    struct host_limit limit = learned(5);
    (void)state;
    host_limit_stood(&limit, CAP, 6, true, START_MS);
    host_limit_stood(&limit, CAP, 7, true, START_MS);
    assert_int_equal(limit.goal, 8); /* the next one is still to come */
    host_limit_stood(&limit, CAP, 8, true, START_MS);
    assert_int_equal(limit.goal, 12);
    host_limit_stood(&limit, CAP, 10, true, START_MS);
    assert_int_equal(limit.goal, 12);
    host_limit_stood(&limit, CAP, 11, true, START_MS); /* three of four stand at a time */
    assert_int_equal(limit.goal, 19);
}

static void what_was_on_its_way_is_no_probe(void **state)
{
    struct host_limit limit = learned(3);
    (void)state;
    host_limit_stood(&limit, CAP, 4, false, START_MS);
    host_limit_stood(&limit, CAP, 5, false, START_MS);
    assert_int_equal(limit.limit, 5);
    assert_int_equal(limit.step, 1);
    assert_int_equal(host_limit_now(&limit, CAP, START_MS), 5);
}

static void connections_below_the_limit_say_nothing(void **state)
{
    struct host_limit limit = learned(5);
    (void)state;
    host_limit_stood(&limit, CAP, 5, true, START_MS);
    assert_int_equal(limit.limit, 5);
    assert_int_equal(limit.step, 1);
}

static void it_is_forgotten_after_a_day(void **state)
{
    struct host_limit limit = learned(5);
    (void)state;
    assert_int_equal(host_limit_expiry(&limit), START_MS + DAY_MS);
}

static void a_clock_stepped_back_does_not_stop_probes(void **state)
{
    struct host_limit limit = learned(5);
    (void)state;
    assert_int_equal(host_limit_now(&limit, CAP, START_MS - HOUR_MS), 6);
}

static void what_was_kept_is_restored_within_bounds(void **state)
{
    struct host_limit limit = { .limit = 5, .step = 2, .wait_ms = 20000, .probe_ms = START_MS };
    (void)state;
    host_limit_restore(&limit, CAP);
    assert_true(limit.is_learned);
    assert_int_equal(limit.goal, 7);
    assert_int_equal(limit.wait_ms, 20000);
    limit = (struct host_limit){ .limit = 5, .step = 0, .wait_ms = HOUR_MS };
    host_limit_restore(&limit, CAP);
    assert_int_equal(limit.step, 1);
    assert_int_equal(limit.wait_ms, HOST_LIMIT_WAIT_MS);
    limit = (struct host_limit){ .limit = 5, .step = UINT32_MAX };
    host_limit_restore(&limit, CAP);
    assert_int_equal(limit.goal, CAP);
    assert_int_equal(limit.wait_ms, HOST_LIMIT_WAIT_MS);
    limit = (struct host_limit){ .limit = 0 };
    host_limit_restore(&limit, CAP);
    assert_false(limit.is_learned);
    limit = (struct host_limit){ .limit = CAP };
    host_limit_restore(&limit, CAP);
    assert_int_equal(limit.limit, HOST_LIMIT_FIRST);
}

/* ---- a host that allows so many, for minutes --------------------------------------------------
 */

struct connection {
    bool is_open;
    bool is_answered;
    bool is_probe;
    int64_t at_ms; /* of its answer, then of its end */
};

struct world {
    struct host_limit limit;
    struct connection all[CROWD];
    unsigned cap;
    unsigned allowed;
    unsigned open; /* those that wait for an answer included */
    unsigned standing;
    unsigned most; /* since it was last set to 0 */
    int64_t now_ms;
    unsigned life_ms; /* 0: they stay */
    unsigned answer_ms;
    uint64_t dice;
};

static unsigned roll(struct world *w, unsigned below)
{
    w->dice = w->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((w->dice >> 33) % below);
}

static void answer(struct world *w, struct connection *c)
{
    c->is_answered = true;
    if (w->standing >= w->allowed) {
        c->is_open = false;
        w->open--;
        host_limit_refused(&w->limit, w->cap, w->standing, c->is_probe, w->now_ms);
        return;
    }
    w->standing++;
    host_limit_stood(&w->limit, w->cap, w->standing, c->is_probe, w->now_ms);
    c->at_ms = w->life_ms ? w->now_ms + 1 + roll(w, w->life_ms) : INT64_MAX;
}

static void begin(struct world *w)
{
    for (unsigned i = 0; i < CROWD; i++) {
        if (w->all[i].is_open || w->open >= host_limit_now(&w->limit, w->cap, w->now_ms))
            continue;
        w->all[i] = (struct connection){ .is_open = true,
                                         .is_probe = host_limit_is_probe(&w->limit, w->open),
                                         .at_ms = w->now_ms + 1 + roll(w, w->answer_ms) };
        w->open++;
    }
    if (w->open > w->most)
        w->most = w->open;
}

static void run_for(struct world *w, int64_t ms)
{
    for (int64_t end_ms = w->now_ms + ms; w->now_ms < end_ms; w->now_ms += 50) {
        for (unsigned i = 0; i < CROWD && w->open > 0; i++) {
            struct connection *c = &w->all[i];
            if (!c->is_open || c->at_ms > w->now_ms)
                continue;
            if (!c->is_answered) {
                answer(w, c);
            } else {
                c->is_open = false;
                w->open--;
                w->standing--;
            }
        }
        begin(w);
    }
}

static struct world world_of(unsigned cap, unsigned allowed, unsigned life_ms)
{
    struct world w = { .cap = cap, .allowed = allowed, .life_ms = life_ms, .now_ms = START_MS };
    w.answer_ms = 300;
    w.dice = cap * 1000 + allowed * 10 + life_ms;
    host_limit_init(&w.limit, cap);
    return w;
}

static void it_holds_about_what_a_host_allows_and_is_back_at_the_cap(void **state)
{
    static const unsigned caps[] = { 8, 20, 100, 1000 };
    static const unsigned allows[] = { 1, 2, 5, 17, 60 };
    static const unsigned lives[] = { 0, 60 * SECOND_MS, 10 * SECOND_MS };
    static struct world w;
    (void)state;
    for (int i = 0; i < 4 * 5 * 3; i++) {
        unsigned cap = caps[i % 4], allowed = allows[i / 4 % 5];
        if (allowed >= cap)
            continue;
        w = world_of(cap, allowed, lives[i / 20]);
        run_for(&w, MINUTE_MS);
        for (int second = 0; second < 120; second++) {
            w.most = 0;
            run_for(&w, SECOND_MS);
            assert_in_range(w.limit.limit, allowed - allowed / 5, allowed);
            assert_in_range(w.most, allowed - allowed / 4, allowed + 1 + allowed / 10);
        }
        w.allowed = CROWD;
        run_for(&w, 5 * MINUTE_MS - 20 * SECOND_MS);
        assert_int_equal(w.limit.limit, cap);
    }
}

static void a_host_that_allows_five_is_held_at_four_to_six(void **state)
{
    static struct world w;
    (void)state;
    for (unsigned life_ms = 1 * SECOND_MS; life_ms < 100 * SECOND_MS; life_ms += 7 * SECOND_MS) {
        w = world_of(CAP, 5, life_ms);
        run_for(&w, MINUTE_MS);
        for (int second = 0; second < 300; second++) {
            w.most = 0;
            run_for(&w, SECOND_MS);
            assert_in_range(w.most, 4, 6);
        }
    }
}

static void a_host_that_was_down_is_back_at_the_cap_too(void **state)
{
    static struct world w;
    (void)state;
    w = world_of(100, 0, 30 * SECOND_MS);
    run_for(&w, 10 * MINUTE_MS);
    w.most = 0;
    run_for(&w, MINUTE_MS);
    assert_in_range(w.most, 1, 2);
    w.allowed = CROWD;
    run_for(&w, 5 * MINUTE_MS);
    assert_int_equal(w.limit.limit, 100);
    assert_false(w.limit.is_learned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "an unknown host gets a few connections", an_unknown_host_gets_a_few_connections, NULL,
          NULL, NULL },
        { "they double each time all of them stand", they_double_each_time_all_of_them_stand, NULL,
          NULL, NULL },
        { "when one is refused, what stands is the limit",
          when_one_is_refused_what_stands_is_the_limit, NULL, NULL, NULL },
        { "one more is tried after a while", one_more_is_tried_after_a_while, NULL, NULL, NULL },
        { "the while grows as long as probes are refused",
          the_while_grows_as_long_as_probes_are_refused, NULL, NULL, NULL },
        { "of probes made together one counts", of_probes_made_together_one_counts, NULL, NULL,
          NULL },
        { "a refusal of what was no probe lets the while stand",
          a_refusal_of_what_was_no_probe_lets_the_while_stand, NULL, NULL, NULL },
        { "probes that succeed grow faster and faster", probes_that_succeed_grow_faster_and_faster,
          NULL, NULL, NULL },
        { "most of a probe is enough for the next", most_of_a_probe_is_enough_for_the_next, NULL,
          NULL, NULL },
        { "what was on its way is no probe", what_was_on_its_way_is_no_probe, NULL, NULL, NULL },
        { "connections below the limit say nothing", connections_below_the_limit_say_nothing, NULL,
          NULL, NULL },
        { "it is forgotten after a day", it_is_forgotten_after_a_day, NULL, NULL, NULL },
        { "a clock stepped back does not stop probes", a_clock_stepped_back_does_not_stop_probes,
          NULL, NULL, NULL },
        { "what was kept is restored within bounds", what_was_kept_is_restored_within_bounds, NULL,
          NULL, NULL },
        { "it holds about what a host allows, and is back at the cap within five minutes",
          it_holds_about_what_a_host_allows_and_is_back_at_the_cap, NULL, NULL, NULL },
        { "a host that allows five is held at four to six",
          a_host_that_allows_five_is_held_at_four_to_six, NULL, NULL, NULL },
        { "a host that was down is back at the cap, too",
          a_host_that_was_down_is_back_at_the_cap_too, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
