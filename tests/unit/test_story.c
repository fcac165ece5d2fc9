#include "tests/support/test.h"

#include "supervisor/story.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"

static char *story;

static const char *told(const char *trace)
{
    struct json *value = NULL;
    size_t size = 0;
    struct error *err = json_parse(span_of(trace), &value);

    assert_null(err);
    free(story);
    FILE *out = open_memstream(&story, &size);
    story_tell(value, out);
    fclose(out);
    json_free(&value);
    return story;
}

static void assert_tells(const char *trace, const char *words)
{
    if (!strstr(told(trace), words))
        fail_msg("\"%s\" is not in:\n%s", words, story);
}

/* A recipient in a state, with more members. */
static const char *waits(const char *state, const char *more)
{
    static char text[1024];

    snprintf(text, sizeof(text),
             "{\"id\":\"3f9c21\",\"sender\":\"ada@sender.test\",\"size\":10,\"held\":{\"reason\":"
             "\"odd\"},"
             "\"recipients\":[{\"recipient\":\"bob@example.net\",\"next_hop\":\"example.net\","
             "\"state\":\"%s\",\"next_try\":\"2026-01-30T10:05:00Z\"%s}]}",
             state, more);
    return text;
}

static void the_beginning_says_who_handed_it_in_and_how(void **state)
{
    (void)state;
    const char *trace = "{\"id\":\"3f\",\"sender\":\"ada@sender.test\",\"size\":12,"
                        "\"accepted\":\"2026-01-30T10:00:00Z\",\"client_address\":\"192.0.2.7\","
                        "\"client_name\":\"app\",\"listener\":\"submission\",\"user\":\"ada\","
                        "\"tls\":\"TLSv1.3 X\",\"requiretls\":true,\"recipients\":[]}";
    assert_tells(trace, "Message 3f from <ada@sender.test>, 12 bytes");
    assert_tells(trace, "2026-01-30T10:00:00Z  accepted from [192.0.2.7] (app) on listener "
                        "submission, logged in as ada, over TLSv1.3 X; its sender asks for TLS");
    assert_tells("{\"id\":\"3f\",\"sender\":\"\",\"client_address\":\"192.0.2.7\"}", "from <>");
    assert_tells("{\"id\":\"3f\",\"sender\":\"\",\"client_address\":\"192.0.2.7\"}", ", in clear");
    assert_tells("{\"id\":\"3f\",\"sender\":\"\",\"notification\":true}", "made here");
}

static void what_is_no_longer_known_of_its_beginning_is_not_made_up(void **state)
{
    (void)state;
    const char *trace = "{\"id\":\"3f\",\"recipients\":[{\"state\":\"damaged\"}]}";
    assert_tells(trace, "Message 3f: who sent it, when and by whom it came is no longer known\n");
    assert_non_null(strstr(story, "\nTo a recipient that cannot be read\n"));
    assert_null(strstr(story, "<>, "));
    assert_null(strstr(story, "bytes"));
    assert_null(strstr(story, "accepted"));
}

static void who_reads_of_some_recipients_is_told_how_to_see_the_others(void **state)
{
    (void)state;
    assert_tells(
        "{\"id\":\"3f\",\"sender\":\"\",\"recipients_not_shown\":7,\"to_see_them\":\"so\"}",
        "\n7 more recipients are not shown: so\n");
    assert_tells(
        "{\"id\":\"3f\",\"sender\":\"\",\"recipients_not_shown\":true,\"to_see_them\":\"so\"}",
        "\nNot all recipients are shown: so\n");
    assert_null(strstr(told("{\"id\":\"3f\",\"recipients_not_shown\":0}"), "shown"));
}

static void an_attempt_says_why_its_policy_need_not_be_met(void **state)
{
    (void)state;
    const char *trace =
        waits("deferred", ",\"events\":[{\"at\":\"T1\",\"event\":\"attempt\",\"attempt\":1,"
                          "\"decision\":{\"policy\":\"sts enforce\",\"relief\":\"unverified\","
                          "\"relief_domain\":\"example.net\",\"relief_reason\":\"their CA\","
                          "\"relief_needed\":true}}]");
    assert_tells(trace, "policy: sts enforce\n      exception: what it asks need not be met "
                        "(unverified): their CA; without that it could not have gone this way\n");
    trace = waits("deferred", ",\"events\":[{\"at\":\"T1\",\"event\":\"attempt\",\"attempt\":1,"
                              "\"decision\":{\"policy\":\"none\","
                              "\"relief\":\"TLS-Required: No\",\"relief_needed\":false}}]");
    assert_tells(trace, "policy: none\n      what it asks need not be met: TLS-Required: No\n");
    assert_tells("{\"id\":\"3f\",\"sender\":\"\",\"tls_required_no\":true}", "(TLS-Required: No)");
    assert_tells("{\"id\":\"3f\",\"sender\":\"\",\"tls_report\":true}", "a report of TLS sessions");
}

static void an_attempt_says_why_it_went_so(void **state)
{
    (void)state;
    const char *trace = waits(
        "deferred",
        ",\"events\":[{\"at\":\"T1\",\"event\":\"attempt\",\"attempt\":2,\"next_hop\":\"example."
        "net\","
        "\"result\":\"deferred\",\"status\":\"4.7.5\",\"reply\":\"451 a\\nb\",\"remote\":true,"
        "\"next_try\":\"T2\",\"decision\":{\"policy\":\"sts enforce\",\"policy_id\":\"7\","
        "\"route\":\"r\",\"candidates\":[{\"mx\":\"mx1\",\"address\":\"192.0.2.1\","
        "\"verdict\":\"certificate expired\",\"tls_version\":\"TLSv1.3\",\"tls\":\"encrypted\","
        "\"resumed\":true,\"auth\":\"PLAIN\",\"certificate\":\"CN=mx1\","
        "\"key_sha256\":\"0a0b\"}]}}]");
    assert_tells(trace, "T1  attempt 2 at example.net: deferred (4.7.5)");
    assert_tells(trace, "policy: sts enforce, id 7; route r");
    assert_tells(trace, "mx1 [192.0.2.1]: certificate expired; TLSv1.3, resumed (encrypted); "
                        "logged in by PLAIN");
    assert_tells(trace, "certificate: CN=mx1\n        its key: sha256 0a0b\n");
    assert_tells(trace, "they said: 451 a\n");
    assert_tells(trace, "to be tried again at T2");
    assert_tells(trace, "it is their turn");
}

/* An attempt at hosts `one` and `two`, each with its words, that ended with `reply`. */
static const char *tried_two(const char *one, const char *two, const char *reply)
{
    static char events[800];

    snprintf(events, sizeof(events),
             ",\"events\":[{\"event\":\"attempt\",\"remote\":true,\"reply\":\"%s\",\"decision\":{"
             "\"candidates\":[{\"mx\":\"one\",\"verdict\":\"v1\",\"reply\":\"%s\"},"
             "{\"mx\":\"two\",\"verdict\":\"v2\",\"reply\":\"%s\"}]}}]",
             reply, one, two);
    return waits("deferred", events);
}

static void each_host_has_its_own_words(void **state)
{
    (void)state;
    assert_tells(tried_two("554 no mail here", "421 a\\nb", "421 a\\nb"),
                 "one: v1\n        it said: 554 no mail here\n      two: v2\n        it said: 421 "
                 "a\n                 b\n      they said: 421 a\n                 b\n");
    assert_tells(tried_two("", "451 x", "451 x"),
                 "one: v1\n      two: v2\n      they said: 451 x\n");
    assert_tells(tried_two("451 y", "", "451 x"),
                 "one: v1\n        it said: 451 y\n      two: v2\n");
    assert_tells(tried_two("connection refused", "the policy asks", "the policy asks"),
                 "one: v1\n        because: connection refused\n      two: v2\n      they said: ");
    assert_tells(tried_two("45x y", "45", "250 z"),
                 "  because: 45x y\n      two: v2\n        because: 45\n");
    assert_tells(tried_two("451 a\\u001b[2Jb", "421 x", "421 x"), "it said: 451 a\\x1b[2Jb\n");
}

static void tlsa_records_are_told_of_where_they_bind(void **state)
{
    static const struct {
        const char *candidate, *words;
    } rows[] = {
        { "\"tlsa_base\":\"mx1\",\"tlsa\":\"usable\",\"tlsa_record\":\"3 1 1\"",
          "fine\n        TLSA records of mx1: usable; the certificate fits 3 1 1\n" },
        { "\"tlsa_base\":\"mx1\",\"tlsa\":\"unusable\"",
          "fine\n        TLSA records of mx1: unusable\n" },
        { "\"tlsa\":\"\"", "fine\n" },
    };
    char events[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(
            events, sizeof(events),
            ",\"events\":[{\"event\":\"attempt\",\"decision\":{\"candidates\":[{\"mx\":\"mx1\","
            "\"verdict\":\"fine\",%s}]}}]",
            rows[i].candidate);
        assert_tells(waits("deferred", events), rows[i].words);
    }
}

static void level_is_told_and_what_was_wanted_where_it_differs(void **state)
{
    static const struct {
        const char *candidate, *words;
    } rows[] = {
        { "\"tls\":\"verified\",\"level\":\"dane\",\"level_wanted\":\"dane\"", "fine (dane)\n" },
        { "\"tls\":\"verified\",\"level\":\"verified\",\"level_wanted\":\"clear\"",
          "fine (verified, wanted: clear)\n" },
        { "\"tls\":\"none\",\"level\":\"\",\"level_wanted\":\"verified\"",
          "fine (none, wanted: verified)\n" },
        { "\"tls\":\"encrypted\"", "fine (encrypted)\n" }, /* of an older version */
        { "\"tls\":\"\",\"level_wanted\":\"clear\"", "fine\n" },
    };
    char events[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(
            events, sizeof(events),
            ",\"events\":[{\"event\":\"attempt\",\"decision\":{\"candidates\":[{\"mx\":\"mx1\","
            "\"verdict\":\"fine\",%s}]}}]",
            rows[i].candidate);
        assert_tells(waits("deferred", events), rows[i].words);
    }
}

static void what_a_route_threw_away_is_with_nobody(void **state)
{
    (void)state;
    assert_tells(waits("delivered", ",\"events\":[{\"at\":\"T1\",\"event\":\"end\",\"state\":"
                                    "\"delivered\",\"remote\":false,\"reply\":\"discarded\"}]"),
                 "now  it is gone: it went to no host");
    assert_tells(waits("delivered", ",\"events\":[{\"at\":\"T1\",\"event\":\"end\",\"state\":"
                                    "\"delivered\",\"remote\":true,\"reply\":\"250\","
                                    "\"decision\":{\"policy\":\"relayhost\",\"route\":\"r\"}}]"),
                 "policy: none, for the next hop is named; route r");
}

static void who_signed_is_told_or_why_nobody_did(void **state)
{
    (void)state;
    assert_tells(waits("delivered", ",\"events\":[{\"at\":\"T1\",\"event\":\"end\",\"state\":"
                                    "\"delivered\",\"decision\":{\"policy\":\"none\","
                                    "\"signed_by\":\"a.b:c\"}}]"),
                 "signed by a.b:c");
    assert_tells(waits("delivered", ",\"events\":[{\"at\":\"T1\",\"event\":\"end\",\"state\":"
                                    "\"delivered\",\"decision\":{\"policy\":\"none\","
                                    "\"unsigned_because\":\"odd\"}}]"),
                 "not signed: odd");
}

static void each_state_says_whose_turn_it_is_and_what_helps(void **state)
{
    static const struct {
        const char *state, *more, *words;
    } rows[] = {
        { "queued", "", "it was not tried yet at 2026-01-30T10:05:00Z" },
        { "deferred", "", "we could not hand it over, and try again" },
        { "deferred", "", "to try it now: waxseal queue retry 3f9c21" },
        { "deferred", ",\"hop_state\":\"resting\",\"rests_until\":\"T9\"", "rests until T9" },
        { "waits for policy", "", "we do not know yet what policy example.net has" },
        { "waits for signature", "", "it is our turn: it cannot be signed now" },
        { "held", "", "waxseal queue release 3f9c21" },
        { "held", "", "somebody releases it: odd" },
        { "suspended", ",\"suspended_until\":\"resumed\",\"suspended_reason\":\"x\"",
          "is suspended until resumed: x" },
        { "suspended", "", "waxseal queue resume example.net" },
        { "delivering", "", "it is being delivered" },
        { "delivered", "", "which answers for it from here on" },
        { "failed", "", "the reply above says whose side it was; its sender was not told\n" },
        { "failed", ",\"events\":[{\"event\":\"notification\",\"kind\":\"failed\",\"id\":\"40\"}]",
          "now  it has ended; the reply above says whose side it was\n" },
        { "failed", ",\"events\":[{\"event\":\"notification\",\"kind\":\"delayed\",\"id\":\"40\"}]",
          "its sender was not told\n" },
        { "removed", "", "nobody was told" },
        { "damaged", "", "it is damaged, and not tried: odd" },
        { "damaged", "", "waxseal queue show tells what is left\n" },
        { "damaged", "", "to throw it away: waxseal queue remove --id 3f9c21 --state damaged\n" },
        { "deferred", ",\"attempts_not_kept\":3", "of 3 more attempts nothing is kept" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_tells(waits(rows[i].state, rows[i].more), rows[i].words);
    assert_tells("{\"id\":\"3f\",\"waiting\":1,\"recipients\":[{\"recipient\":\"bob@example.net\","
                 "\"state\":\"damaged\"}]}",
                 "to give it back: waxseal queue bounce --id 3f --state damaged --reason TEXT\n");
    assert_non_null(strstr(story, "to try it again: waxseal queue release 3f\n"));
    assert_tells("{\"id\":\"3f\",\"waiting\":1,\"delivery\":\"hold\",\"recipients\":[{\"state\":"
                 "\"queued\"}]}",
                 "now  it waits: delivery = \"hold\" is in the configuration");
    assert_null(strstr(story, "queue retry"));
    assert_tells("{\"id\":\"3f\",\"waiting\":1,\"recipients\":[{\"state\":\"damaged\"}]}",
                 "waxseal queue show tells what is left");
    assert_tells("{\"id\":\"3f\",\"recipients\":[{\"state\":\"failed\"}]}",
                 "sender was not told\n");
    assert_tells("{\"id\":\"3f\",\"sender\":\"\",\"recipients\":[{\"state\":\"failed\"}]}",
                 "whose side it was; its sender was not told, for it has none\n");
}

static void what_else_happened_has_its_line(void **state)
{
    (void)state;
    const char *trace =
        waits("failed",
              ",\"events\":[{\"at\":\"T1\",\"event\":\"operator\",\"action\":\"hold\",\"by\":7,"
              "\"words\":\"odd\"},{\"at\":\"T2\",\"event\":\"notification\",\"kind\":\"failed\","
              "\"id\":\"40\"},{\"at\":\"T3\",\"event\":\"end\",\"state\":\"failed\","
              "\"action\":\"bounce\",\"by\":7,\"reply\":\"no\"},"
              "{\"at\":\"T4\",\"event\":\"attempt\",\"result\":\"policy unknown\"},"
              "{\"at\":\"T5\",\"event\":\"end\",\"state\":\"failed\",\"attempt\":4}]");
    assert_tells(trace, "T1  the operator with uid 7 said: hold, odd");
    assert_tells(trace, "T2  its sender was told (failed), by message 40");
    assert_tells(trace, "T3  failed by the operator with uid 7");
    assert_tells(trace, "because: no");
    assert_tells(trace, "T4  no attempt yet: policy unknown");
    assert_tells(trace, "T5  failed at attempt 4");
    assert_tells(waits("deferred", ",\"events\":[{\"at\":\"T1\",\"event\":\"operator\",\"by\":7,"
                                   "\"action\":\"reroute\",\"words\":\"\"}]"),
                 "T1  the operator with uid 7 said: reroute back\n");
    assert_tells(waits("deferred", ",\"events\":[{\"at\":\"T1\",\"event\":\"operator\",\"by\":7,"
                                   "\"action\":\"reroute\",\"words\":\"to:[mx]\","
                                   "\"reason\":\"they move\"}]"),
                 "T1  the operator with uid 7 said: reroute, to:[mx], they move\n");
}

static void what_comes_from_outside_cannot_speak_to_the_terminal(void **state)
{
    (void)state;
    assert_tells("{\"id\":\"3f\",\"sender\":\"\",\"client_name\":\"a\\u001b[2Jb\"}",
                 "(a\\x1b[2Jb)");
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("the beginning says who handed it in, and how",
             the_beginning_says_who_handed_it_in_and_how),
        TEST("what is no longer known of its beginning is not made up",
             what_is_no_longer_known_of_its_beginning_is_not_made_up),
        TEST("who reads of some recipients is told how to see the others",
             who_reads_of_some_recipients_is_told_how_to_see_the_others),
        TEST("an attempt says why it went so", an_attempt_says_why_it_went_so),
        TEST("each host has its own words, and what is told below is not told twice",
             each_host_has_its_own_words),
        TEST("TLSA records are told of where they bind", tlsa_records_are_told_of_where_they_bind),
        TEST("a session's level is told, and what was wanted where it differs",
             level_is_told_and_what_was_wanted_where_it_differs),
        TEST("an attempt says why its policy need not be met, and whether that mattered",
             an_attempt_says_why_its_policy_need_not_be_met),
        TEST("what a route threw away is with nobody", what_a_route_threw_away_is_with_nobody),
        TEST("who signed is told, or why nobody did", who_signed_is_told_or_why_nobody_did),
        TEST("each state says whose turn it is and what helps",
             each_state_says_whose_turn_it_is_and_what_helps),
        TEST("what else happened has its line", what_else_happened_has_its_line),
        TEST("what comes from outside cannot speak to the terminal",
             what_comes_from_outside_cannot_speak_to_the_terminal),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    free(story);
    return status;
}
