#include "queue/filter.h"

#include "lib/base/clock.h"
#include "tests/support/test.h"

#include <string.h>

static struct filter_facts a_recipient(void)
{
    return (struct filter_facts){
        .id = 0x3f9c21,
        .texts = { [FILTER_SENDER] = SPAN("Ada@sender.test"),
                   [FILTER_RECIPIENT] = SPAN("bob@mail.example.org"),
                   [FILTER_DOMAIN] = SPAN("mail.example.org"),
                   [FILTER_NEXT_HOP] = SPAN("route:partner/mail.example.org"),
                   [FILTER_REPLY] = SPAN("451 4.7.1 Greylisted, come back later"),
                   [FILTER_LISTENER] = SPAN("submission"),
                   [FILTER_USER] = SPAN("ada") },
        .status = SPAN("4.7.1"),
        .age_ms = 2 * HOUR_MS,
        .size = 10240,
        .state = WAITING_DEFERRED,
    };
}

static bool matches(const char *name, const char *value)
{
    struct filter_facts facts = a_recipient();
    struct filter filter;

    filter_init(&filter);
    struct error *err = filter_take(&filter, span_of(name), span_of(value));
    assert_null(err);
    assert_false(filter_is_empty(&filter));
    return filter_matches(&filter, &facts);
}

static void assert_refused(const char *name, struct span value, const char *sentence)
{
    struct filter filter;

    filter_init(&filter);
    struct error *err = filter_take(&filter, span_of(name), value);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), sentence));
    error_free(&err);
}

static void nothing_given_matches_everything(void **state)
{
    (void)state;
    struct filter_facts facts = a_recipient();
    struct filter filter;
    filter_init(&filter);
    assert_true(filter_is_empty(&filter));
    assert_true(filter_matches(&filter, &facts));
    facts.age_ms = -1; /* the clock was stepped back a little */
    assert_true(filter_matches(&filter, &facts));
}

static void patterns_know_stars_and_question_marks(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        { "", "", true },
        { "", "a", false },
        { "*", "", true },
        { "*", "anything", true },
        { "a*c", "abc", true },
        { "a*c", "ac", true },
        { "a*c", "abd", false },
        { "a?c", "abc", true },
        { "a?c", "ac", false },
        { "*b*", "abc", true },
        { "a*b*c", "aXbYbZc", true },
        { "a*b", "ab*", false },
        { "ABC", "abc", true },
        { "abc", "abcd", false },
        { "abcd", "abc", false },
        { "a**", "a", true },
        { "*?", "", false },
        { "*.org", "example.org", true },
        { "a*aab", "aaaaaab", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(filter_glob(span_of(rows[i].pattern), span_of(rows[i].text)),
                         rows[i].matches);
}

static void a_pattern_full_of_stars_takes_no_time(void **state)
{
    (void)state;
    char text[FILTER_TEXT_MAX];
    char pattern[FILTER_TEXT_MAX];
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof(pattern) - 1] = 'b';
    int64_t before = clock_monotonic_ms();
    for (int i = 0; i < 100; i++)
        assert_false(filter_glob((struct span){ pattern, sizeof(pattern) },
                                 (struct span){ text, sizeof(text) }));
    assert_true(clock_monotonic_ms() - before < SECOND_MS);
}

static void each_text_is_compared_with_its_own(void **state)
{
    (void)state;
    assert_true(matches("sender", "ada@sender.test"));
    assert_true(matches("sender", "*@sender.test"));
    assert_false(matches("sender", "sender.test"));
    assert_true(matches("recipient", "bob@*"));
    assert_false(matches("recipient", "ada@*"));
    assert_true(matches("next-hop", "route:partner/*"));
    assert_false(matches("next-hop", "mail.example.org"));
    assert_true(matches("listener", "submission"));
    assert_false(matches("listener", "smtp"));
    assert_true(matches("user", "ADA"));
    assert_false(matches("user", "bob"));
}

static void the_null_path_is_named_by_its_brackets(void **state)
{
    (void)state;
    struct filter_facts facts = a_recipient();
    struct filter filter;
    assert_false(matches("sender", "<>"));
    facts.texts[FILTER_SENDER] = SPAN("");
    filter_init(&filter);
    assert_null(filter_take(&filter, SPAN("sender"), SPAN("<>")));
    assert_true(filter_matches(&filter, &facts));
}

static void a_domain_with_a_dot_in_front_is_all_below_it(void **state)
{
    (void)state;
    assert_true(matches("domain", "mail.example.org"));
    assert_true(matches("domain", ".example.org"));
    assert_false(matches("domain", ".mail.example.org"));
    assert_false(matches("domain", "example.org"));
    assert_true(matches("domain", "*.org"));
}

static void why_it_is_held_is_matched_like_a_reply(void **state)
{
    struct filter_facts facts = a_recipient();
    struct filter filter;

    (void)state;
    facts.held_reason = SPAN("the customer asked: ticket 4711");
    filter_init(&filter);
    assert_null(filter_take(&filter, SPAN("reply"), SPAN("Ticket")));
    assert_true(filter_matches(&filter, &facts));
    assert_null(filter_take(&filter, SPAN("reply"), SPAN("*4711")));
    assert_true(filter_matches(&filter, &facts));
    assert_null(filter_take(&filter, SPAN("reply"), SPAN("*4712")));
    assert_false(filter_matches(&filter, &facts));
}

static void the_last_reply_is_matched_by_a_part_of_it_or_the_beginning_of_its_status(void **state)
{
    (void)state;
    assert_true(matches("reply", "greylisted"));
    assert_true(matches("reply", "451"));
    assert_true(matches("reply", "4.7"));
    assert_false(matches("reply", "5.7"));
    assert_true(matches("reply", "*come back*"));
    assert_true(matches("reply", "4.?.1"));
    assert_false(matches("reply", "*refused*"));
    assert_false(matches("reply", "a sentence that is longer than the whole reply that came in"));
}

static void ages_and_sizes_bound_from_both_sides(void **state)
{
    (void)state;
    assert_true(matches("older", "2h"));
    assert_false(matches("older", "121m"));
    assert_true(matches("younger", "121m"));
    assert_false(matches("younger", "2h"));
    assert_true(matches("larger", "10K"));
    assert_false(matches("larger", "11K"));
    assert_true(matches("smaller", "10241"));
    assert_false(matches("smaller", "10K"));
}

static void each_state_has_its_name(void **state)
{
    static const char *const names[] = { "queued", "policy",  "signature", "deferred",
                                         "held",   "damaged", "suspended", "delivering" };

    (void)state;
    for (unsigned i = 0; i < WAITING_STATES; i++) {
        struct filter_facts facts = a_recipient();
        struct filter filter;
        filter_init(&filter);
        assert_null(filter_take(&filter, SPAN("state"), span_of(names[i])));
        assert_int_equal(filter_matches(&filter, &facts), i == WAITING_DEFERRED);
        facts.state = (enum waiting_state)i;
        assert_true(filter_matches(&filter, &facts));
    }
    assert_true(matches("state", waiting_state_name(WAITING_DEFERRED)));
    assert_string_equal(waiting_state_name(WAITING_POLICY), "waits for policy");
    assert_string_equal(waiting_state_name(WAITING_SIGNATURE), "waits for signature");
    assert_string_equal(waiting_state_name(WAITING_STATES), "");
}

static void a_user_is_somebody_who_logged_in(void **state)
{
    (void)state;
    struct filter_facts facts = a_recipient();
    struct filter filter;
    filter_init(&filter);
    assert_null(filter_take(&filter, SPAN("user"), SPAN("*")));
    assert_true(filter_matches(&filter, &facts));
    facts.texts[FILTER_USER] = SPAN("");
    assert_false(filter_matches(&filter, &facts));
}

static void all_that_is_given_must_hold(void **state)
{
    (void)state;
    struct filter_facts facts = a_recipient();
    struct filter filter;
    filter_init(&filter);
    assert_null(filter_take(&filter, SPAN("sender"), SPAN("*@sender.test")));
    assert_null(filter_take(&filter, SPAN("user"), SPAN("ada")));
    assert_true(filter_matches(&filter, &facts));
    assert_null(filter_take(&filter, SPAN("id"), SPAN("3f9c21")));
    assert_true(filter_matches(&filter, &facts));
    assert_null(filter_take(&filter, SPAN("older"), SPAN("1d")));
    assert_false(filter_matches(&filter, &facts));
    facts.age_ms = DAY_MS;
    assert_true(filter_matches(&filter, &facts));
    facts.id++;
    assert_false(filter_matches(&filter, &facts));
}

static void nonsense_is_refused_with_the_right_form(void **state)
{
    char long_text[FILTER_TEXT_MAX + 2];

    (void)state;
    memset(long_text, 'a', sizeof(long_text));
    assert_refused("id", SPAN("zz"), "a queue id");
    assert_refused("id", SPAN("0"), "a queue id");
    assert_refused("older", SPAN("soon"), "an age such as");
    assert_refused("older", SPAN("0s"), "an age such as");
    assert_refused("older", SPAN("99999999999999999999d"), "an age such as");
    assert_refused("younger", SPAN("5"), "an age such as");
    assert_refused("larger", SPAN("big"), "a size such as");
    assert_refused("smaller", SPAN("0"), "a size such as");
    assert_refused("larger", SPAN("0"), "a size such as");
    assert_refused("smaller", SPAN("-1"), "a size such as");
    assert_refused("state", SPAN("gone"), "queued, policy");
    assert_refused("sender", SPAN(""), "at most 320 bytes");
    assert_refused("sender", SPAN("a\0b"), "at most 320 bytes");
    assert_refused("user", (struct span){ long_text, sizeof(long_text) }, "at most 320 bytes");
    assert_refused("colour", SPAN("red"), "no such filter");
}

static void every_name_is_taken(void **state)
{
    static const char *const values[] = { "3f", "a",  "b", "c", "d", "1h",  "1h",
                                          "1K", "1K", "e", "f", "g", "held" };

    (void)state;
    assert_int_equal(filter_name_count, sizeof(values) / sizeof(values[0]));
    for (unsigned i = 0; i < filter_name_count; i++) {
        struct filter filter;
        filter_init(&filter);
        assert_null(filter_take(&filter, span_of(filter_names[i]), span_of(values[i])));
        assert_false(filter_is_empty(&filter));
    }
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("without a filter everything matches", nothing_given_matches_everything),
        TEST("* stands for anything, ? for one byte, case does not matter",
             patterns_know_stars_and_question_marks),
        TEST("a pattern full of stars takes no time", a_pattern_full_of_stars_takes_no_time),
        TEST("each text is compared with its own fact", each_text_is_compared_with_its_own),
        TEST("the null path is named by its brackets", the_null_path_is_named_by_its_brackets),
        TEST("a domain with a dot in front is all below it",
             a_domain_with_a_dot_in_front_is_all_below_it),
        TEST("why it is held is matched like a reply", why_it_is_held_is_matched_like_a_reply),
        TEST("the last reply is matched by a part of it or the beginning of its status",
             the_last_reply_is_matched_by_a_part_of_it_or_the_beginning_of_its_status),
        TEST("ages and sizes bound from both sides", ages_and_sizes_bound_from_both_sides),
        TEST("each state has its name", each_state_has_its_name),
        TEST("a user is somebody who logged in", a_user_is_somebody_who_logged_in),
        TEST("all that is given must hold", a_user_is_somebody_who_logged_in),
        TEST("all that is given must hold", all_that_is_given_must_hold),
        TEST("nonsense is refused, and the right form told",
             nonsense_is_refused_with_the_right_form),
        TEST("every name that is listed is taken", every_name_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
