#include "queue/deliver/ladder.h"

#include "tests/support/test.h"

/* What decides where nothing binds, a policy is under test, and one is enforced. */
static struct sts_decision nothing_binds(void)
{
    return sts_decide_candidate((struct sts_facts){ .source = POLICY_SOURCE_NONE });
}

static struct sts_decision under_test(void)
{
    return sts_decide_candidate(
        (struct sts_facts){ .source = POLICY_SOURCE_STS, .mode = STS_TESTING, .mx_listed = true });
}

static struct sts_decision enforced(void)
{
    return sts_decide_candidate(
        (struct sts_facts){ .source = POLICY_SOURCE_STS, .mode = STS_ENFORCE, .mx_listed = true });
}

static void assert_rung(struct rung rung, enum tls_floor floor, enum tls_hello hello, bool use_tls)
{
    assert_int_equal(rung.floor, floor);
    assert_int_equal(rung.hello, hello);
    assert_int_equal(rung.use_tls, use_tls);
}

static void where_nothing_binds_it_goes_all_the_way_down(void **state)
{
    struct sts_decision d = nothing_binds();
    struct rung rung = ladder_begin(&d, LESSON_NONE);

    (void)state;
    assert_rung(rung, TLS_FLOOR_OPPORTUNISTIC, TLS_HELLO_FULL, true);
    assert_true(ladder_say_less(&rung, true));
    assert_rung(rung, TLS_FLOOR_OPPORTUNISTIC, TLS_HELLO_CLASSIC, true);
    assert_false(ladder_say_less(&rung, true));
    assert_true(ladder_lower(&rung, &d));
    assert_rung(rung, TLS_FLOOR_LEGACY, TLS_HELLO_CLASSIC, true);
    assert_true(ladder_lower(&rung, &d));
    assert_rung(rung, TLS_FLOOR_LEGACY, TLS_HELLO_CLASSIC, false);
    assert_false(ladder_say_less(&rung, true));
    assert_false(ladder_lower(&rung, &d));
}

static void a_policy_under_test_begins_strictly_and_goes_all_the_way_down(void **state)
{
    struct sts_decision d = under_test();
    struct rung rung = ladder_begin(&d, LESSON_LEGACY); /* what a test comes to is to be seen */

    (void)state;
    assert_rung(rung, TLS_FLOOR_STRICT, TLS_HELLO_CLASSIC, true);
    assert_true(ladder_lower(&rung, &d));
    assert_rung(rung, TLS_FLOOR_OPPORTUNISTIC, TLS_HELLO_CLASSIC, true);
    assert_true(ladder_lower(&rung, &d));
    assert_true(ladder_lower(&rung, &d));
    assert_false(rung.use_tls);
}

static void what_binds_has_the_classic_hello_and_nothing_lower(void **state)
{
    struct sts_decision d = enforced();

    (void)state;
    for (int lesson = LESSON_NONE; lesson <= LESSON_LEGACY; lesson++) {
        struct rung rung = ladder_begin(&d, (enum lesson)lesson);
        assert_rung(rung, TLS_FLOOR_STRICT, lesson ? TLS_HELLO_CLASSIC : TLS_HELLO_FULL, true);
        assert_int_equal(ladder_say_less(&rung, true), lesson == LESSON_NONE);
        assert_false(ladder_lower(&rung, &d));
        assert_rung(rung, TLS_FLOOR_STRICT, TLS_HELLO_CLASSIC, true);
    }
}

static void without_hybrid_groups_there_is_no_smaller_hello(void **state)
{
    struct sts_decision d = enforced();
    struct rung rung = ladder_begin(&d, LESSON_NONE);

    (void)state;
    assert_false(ladder_say_less(&rung, false));
    assert_rung(rung, TLS_FLOOR_STRICT, TLS_HELLO_FULL, true);
}

static void what_was_learned_spares_the_rungs_that_fail(void **state)
{
    struct sts_decision d = nothing_binds();

    (void)state;
    assert_rung(ladder_begin(&d, LESSON_CLASSIC), TLS_FLOOR_OPPORTUNISTIC, TLS_HELLO_CLASSIC, true);
    struct rung rung = ladder_begin(&d, LESSON_LEGACY);
    assert_rung(rung, TLS_FLOOR_LEGACY, TLS_HELLO_CLASSIC, true);
    assert_true(ladder_lower(&rung, &d)); /* it does not do any more */
    assert_false(rung.use_tls);
}

/* With a password, and where such TLSA records ask for TLS 1.2. */
static void nothing_that_was_learned_leads_below_what_is_asked_for(void **state)
{
    struct sts_facts login = { .route = ROUTE_TLS_ENCRYPT, .has_login = true };
    struct sts_facts tlsa = { .tlsa = TLSA_UNUSABLE };
    struct sts_facts route = { .route = ROUTE_TLS_VERIFY };
    struct sts_decision all[] = { sts_decide_candidate(login), sts_decide_candidate(tlsa),
                                  sts_decide_candidate(route) };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct rung rung = ladder_begin(&all[i], LESSON_LEGACY);
        assert_true(rung.use_tls);
        assert_int_equal(rung.floor, all[i].floor);
        assert_int_not_equal(rung.floor, TLS_FLOOR_LEGACY);
    }
}

static void a_session_teaches_what_it_took(void **state)
{
    struct sts_decision d = nothing_binds(), tested = under_test();
    struct rung rung = ladder_begin(&d, LESSON_NONE);

    (void)state;
    assert_int_equal(ladder_lesson(&rung), LESSON_NONE);
    ladder_say_less(&rung, true);
    assert_int_equal(ladder_lesson(&rung), LESSON_CLASSIC);
    ladder_lower(&rung, &d);
    assert_int_equal(ladder_lesson(&rung), LESSON_LEGACY);
    ladder_lower(&rung, &d);
    assert_int_equal(ladder_lesson(&rung), LESSON_NONE); /* never to go without TLS */
    rung = ladder_begin(&tested, LESSON_NONE);
    ladder_lower(&rung, &tested);
    assert_int_equal(ladder_lesson(&rung), LESSON_NONE); /* the floor was to blame, not the hello */
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("where nothing binds it goes all the way down, one rung a connection",
          where_nothing_binds_it_goes_all_the_way_down),
        T("a policy under test begins strictly, whatever was learned, and goes all the way down",
          a_policy_under_test_begins_strictly_and_goes_all_the_way_down),
        T("what binds has the classic hello, and nothing lower",
          what_binds_has_the_classic_hello_and_nothing_lower),
        T("without hybrid groups there is no smaller hello",
          without_hybrid_groups_there_is_no_smaller_hello),
        T("what was learned spares the rungs that fail",
          what_was_learned_spares_the_rungs_that_fail),
        T("nothing that was learned leads below what is asked for",
          nothing_that_was_learned_leads_below_what_is_asked_for),
        T("a session teaches what it took, but never to go without TLS",
          a_session_teaches_what_it_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
