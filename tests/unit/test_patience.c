#include "policy/patience.h"

#include <stdlib.h>

#include "tests/support/test.h"

enum { HOUR = 3600 * 1000 };

static struct patience *patience;

static int begin(void **state)
{
    (void)state;
    patience = patience_new(2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    patience_free(&patience);
    assert_null(patience);
    return 0;
}

static bool is_over(const char *domain, int64_t now_ms)
{
    return patience_is_over(patience, span_of(domain), now_ms, HOUR);
}

static void it_lasts_as_long_as_the_domain_is_asked_about_in_vain(void **state)
{
    (void)state;
    assert_false(is_over("a.example", 5000));
    assert_false(is_over("a.example", 5000 + HOUR / 2));
    assert_false(is_over("a.example", 5000 + HOUR - 1));
    assert_true(is_over("a.example", 5000 + HOUR));
    assert_true(is_over("a.example", 5000 + HOUR + HOUR / 2));
}

static void domains_do_not_wait_for_each_other(void **state)
{
    (void)state;
    assert_false(is_over("a.example", 0));
    assert_false(is_over("b.example", HOUR));
    assert_true(is_over("a.example", HOUR));
}

static void what_was_known_again_begins_anew(void **state)
{
    (void)state;
    assert_false(is_over("a.example", 0));
    patience_restore(patience, SPAN("a.example"));
    patience_restore(patience, SPAN("b.example"));
    assert_false(is_over("a.example", HOUR));
    assert_true(is_over("a.example", 2 * HOUR));
}

static void a_pause_in_the_asking_begins_anew(void **state)
{
    (void)state;
    assert_false(is_over("a.example", 0));
    assert_false(is_over("a.example", HOUR + 1));
    assert_true(is_over("a.example", 2 * HOUR + 1));
}

static void without_a_wait_there_is_none(void **state)
{
    (void)state;
    assert_true(patience_is_over(patience, SPAN("a.example"), 0, 0));
}

static void beyond_their_number_the_oldest_is_forgotten(void **state)
{
    (void)state;
    assert_false(is_over("a.example", 0));
    assert_false(is_over("b.example", 1));
    assert_false(is_over("c.example", 2));
    assert_true(is_over("b.example", HOUR + 1));
    assert_true(is_over("c.example", HOUR + 2));
    assert_false(is_over("a.example", HOUR + 2));
}

#define TEST(sentence, function)                                                                   \
    {                                                                                              \
        "patience: " sentence, function, begin, end, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("it lasts as long as the domain is asked about in vain",
             it_lasts_as_long_as_the_domain_is_asked_about_in_vain),
        TEST("domains do not wait for each other", domains_do_not_wait_for_each_other),
        TEST("what was known again begins anew", what_was_known_again_begins_anew),
        TEST("a pause in the asking as long as the wait begins anew",
             a_pause_in_the_asking_begins_anew),
        TEST("without a wait there is none", without_a_wait_there_is_none),
        TEST("beyond their number the oldest is forgotten",
             beyond_their_number_the_oldest_is_forgotten),
    };
    return cmocka_run_group_tests_name("patience", tests, NULL, NULL);
}
