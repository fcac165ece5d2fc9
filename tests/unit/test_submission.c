#include "lib/mail/submission.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/test.h"

#define COMMANDS "MAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\nRCPT TO:<e@f.test>\n"

struct talk {
    struct submission submission;
    char refused[256];
};

static void on_refused(void *ctx, struct span command, const struct reply *reply)
{
    struct talk *talk = ctx;
    size_t len = strlen(talk->refused);

    snprintf(talk->refused + len, sizeof(talk->refused) - len, "[" SPAN_FMT " %d]",
             SPAN_ARG(command), reply->code);
}

static void begin(struct talk *talk, bool all_or_none)
{
    *talk = (struct talk){ .refused = "" };
    submission_begin(&talk->submission, SPAN(COMMANDS), all_or_none, on_refused, talk);
}

/* Hands in one reply; gives what came of it in words. */
static const char *take(struct talk *talk, int code)
{
    const struct reply reply = { .code = code };
    static char words[128];
    struct span said;

    switch (submission_take(&talk->submission, &reply, &said)) {
    case SUBMISSION_SAY:
        snprintf(words, sizeof(words), SPAN_FMT, SPAN_ARG(said));
        return words;
    case SUBMISSION_CONTENT:
        return "(content)";
    case SUBMISSION_TAKEN:
        return "(taken)";
    case SUBMISSION_LATER:
        return "(later)";
    case SUBMISSION_REFUSED:
        return "(refused)";
    }
    return "";
}

static void to_the_recipients(struct talk *talk, bool all_or_none)
{
    begin(talk, all_or_none);
    assert_string_equal(take(talk, 220), "EHLO localhost");
    assert_string_equal(take(talk, 250), "MAIL FROM:<a@b.test>");
    assert_string_equal(take(talk, 250), "RCPT TO:<c@d.test>");
}

static void a_message_is_handed_in(void **state)
{
    struct talk talk;

    (void)state;
    to_the_recipients(&talk, true);
    assert_string_equal(take(&talk, 250), "RCPT TO:<e@f.test>");
    assert_string_equal(take(&talk, 250), "DATA");
    assert_string_equal(take(&talk, 354), "(content)");
    assert_string_equal(take(&talk, 250), "(taken)");
    assert_string_equal(talk.refused, "");
}

static void one_refused_recipient_is_one_too_many_or_one_of_many(void **state)
{
    struct talk talk;

    (void)state;
    to_the_recipients(&talk, true);
    assert_string_equal(take(&talk, 550), "RCPT TO:<e@f.test>");
    assert_string_equal(take(&talk, 250), "(refused)");
    assert_string_equal(talk.refused, "[RCPT TO:<c@d.test> 550]");
    to_the_recipients(&talk, false);
    assert_string_equal(take(&talk, 550), "RCPT TO:<e@f.test>");
    assert_string_equal(take(&talk, 250), "DATA");
    assert_int_equal(talk.submission.refused, 1);
}

static void without_a_recipient_there_is_no_message(void **state)
{
    struct talk talk;

    (void)state;
    to_the_recipients(&talk, false);
    assert_string_equal(take(&talk, 550), "RCPT TO:<e@f.test>");
    assert_string_equal(take(&talk, 551), "(refused)");
    assert_string_equal(talk.refused, "[RCPT TO:<c@d.test> 550][RCPT TO:<e@f.test> 551]");
}

static void what_is_refused_for_now_is_tried_later(void **state)
{
    struct talk talk;

    (void)state;
    begin(&talk, true);
    assert_string_equal(take(&talk, 421), "(later)");
    begin(&talk, true);
    assert_string_equal(take(&talk, 554), "(later)"); /* not for what the message is */
    begin(&talk, true);
    take(&talk, 220);
    assert_string_equal(take(&talk, 500), "(later)");
    begin(&talk, true);
    take(&talk, 220);
    take(&talk, 250);
    assert_string_equal(take(&talk, 451), "(later)");
    to_the_recipients(&talk, false);
    assert_string_equal(take(&talk, 452), "(later)");
    to_the_recipients(&talk, false);
    take(&talk, 250);
    take(&talk, 250);
    assert_string_equal(take(&talk, 452), "(later)");
    to_the_recipients(&talk, false);
    take(&talk, 250);
    take(&talk, 250);
    take(&talk, 354);
    assert_string_equal(take(&talk, 451), "(later)");
}

static void what_is_refused_for_good_is_refused(void **state)
{
    struct talk talk;

    (void)state;
    begin(&talk, true);
    take(&talk, 220);
    take(&talk, 250);
    assert_string_equal(take(&talk, 553), "(refused)");
    to_the_recipients(&talk, false);
    take(&talk, 250);
    take(&talk, 250);
    assert_string_equal(take(&talk, 554), "(refused)");
    to_the_recipients(&talk, false);
    take(&talk, 250);
    take(&talk, 250);
    take(&talk, 354);
    assert_string_equal(take(&talk, 552), "(refused)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a message is handed in", a_message_is_handed_in, NULL, NULL, NULL },
        { "one refused recipient is one too many, or one of many",
          one_refused_recipient_is_one_too_many_or_one_of_many, NULL, NULL, NULL },
        { "without a recipient there is no message", without_a_recipient_there_is_no_message, NULL,
          NULL, NULL },
        { "what is refused for now is tried later", what_is_refused_for_now_is_tried_later, NULL,
          NULL, NULL },
        { "what is refused for good is refused", what_is_refused_for_good_is_refused, NULL, NULL,
          NULL },
    };

    return cmocka_run_group_tests_name("submission", tests, NULL, NULL);
}
