#include "policy/kept_answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

static struct kept_answers *kept;

static int begin(void **state)
{
    (void)state;
    kept = kept_answers_new(3, 40);
    return 0;
}

static int end(void **state)
{
    (void)state;
    kept_answers_free(&kept);
    assert_null(kept);
    return 0;
}

static void assert_kept(const char *key, int64_t now_ms, const char *text)
{
    struct span found = SPAN("nothing");
    assert_int_equal(kept_answers_find(kept, span_of(key), now_ms, &found), text != NULL);
    assert_true(span_equal(found, text ? span_of(text) : SPAN("nothing")));
}

static void put(const char *key, const char *text, int64_t until_ms)
{
    kept_answers_put(kept, span_of(key), span_of(text), until_ms);
}

static void an_answer_is_kept_until_its_time(void **state)
{
    (void)state;
    assert_kept("a", 0, NULL);
    put("a", "yes", 1000);
    assert_kept("a", 999, "yes");
    assert_kept("a", 1000, NULL);
    assert_kept("b", 0, NULL);
}

static void a_newer_one_takes_its_place(void **state)
{
    (void)state;
    put("a", "yes", 1000);
    put("a", "no", 2000);
    assert_kept("a", 1500, "no");
    put("a", "", 3000);
    assert_kept("a", 2500, "");
}

static void its_text_is_a_copy(void **state)
{
    char text[] = "yes", key[] = "a";
    (void)state;
    kept_answers_put(kept, span_of(key), span_of(text), 1000);
    memset(text, 'x', 3);
    key[0] = 'x';
    assert_kept("a", 0, "yes");
}

static void beyond_their_number_the_oldest_goes(void **state)
{
    (void)state;
    put("a", "1", 1000);
    put("b", "2", 1000);
    put("c", "3", 1000);
    put("a", "4", 1000); /* newer now than b */
    put("d", "5", 1000);
    assert_kept("b", 0, NULL);
    assert_kept("a", 0, "4");
    assert_kept("c", 0, "3");
    assert_kept("d", 0, "5");
}

static void beyond_their_bytes_the_oldest_go(void **state)
{
    (void)state;
    put("a", "0123456789", 1000);
    put("b", "0123456789", 1000);
    put("c", "0123456789012345678901234567890", 1000);
    assert_kept("a", 0, NULL);
    assert_kept("b", 0, NULL);
    assert_kept("c", 0, "0123456789012345678901234567890");
    put("d", "0123456", 1000); /* 40 bytes with the one before, keys and all */
    assert_kept("c", 0, "0123456789012345678901234567890");
    put("e", "0123456789012345678901234567890123456789", 1000);
    assert_kept("e", 0, NULL);
}

static void all_can_be_forgotten(void **state)
{
    (void)state;
    put("a", "1", 1000);
    put("b", "2", 1000);
    kept_answers_forget_all(kept);
    assert_kept("a", 0, NULL);
    assert_kept("b", 0, NULL);
    put("a", "3", 1000);
    assert_kept("a", 0, "3");
}

#define TEST(sentence, function)                                                                   \
    {                                                                                              \
        "kept answers: " sentence, function, begin, end, NULL                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("an answer is kept until its time", an_answer_is_kept_until_its_time),
        TEST("a newer one takes its place", a_newer_one_takes_its_place),
        TEST("its text is a copy", its_text_is_a_copy),
        TEST("beyond their number the oldest goes", beyond_their_number_the_oldest_goes),
        TEST("beyond their bytes the oldest go", beyond_their_bytes_the_oldest_go),
        TEST("all can be forgotten", all_can_be_forgotten),
    };
    return cmocka_run_group_tests_name("kept_answers", tests, NULL, NULL);
}
