/*
 * A report on its way, and a role that dies between each two steps of it: one mail is in the queue
 * at the end, with one number, and none is lost.
 */
#include "tests/support/test.h"

#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/io/gzip.h"
#include "tests/support/counted.h"
#include "tests/support/session_event.h"
#include "tests/support/tlsrpt_rig.h"
#include "tlsrpt/database.h"
#include "tlsrpt/day.h"
#include "tlsrpt/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WHO                                                                                        \
    "hostname = \"relay.test\"; tlsrpt-contact = \"tls@relay.test\";"                              \
    "dkim = ( { senders = \"relay.test\"; selector = \"s\"; key = \"/k\"; } );"
static const char at_once[] = WHO "tlsrpt-spread = \"0s\";";
static const char later[] = WHO "tlsrpt-spread = \"20h\";";

static const char record[] = "v=TLSRPTv1; rua=mailto:r@a.test";

static uint32_t yesterday(void)
{
    return day_of(clock_utc_ms()) - 1;
}

/* Sessions of that day, and the record that was seen then. */
static void count_for(struct tlsrpt_rig *rig, uint32_t day, const char *domain, const char *txt)
{
    struct subject subject = subject_of_domain(day, span_of(domain));
    struct database *database = NULL;
    struct session_event e;
    int exit_status;
    char folder[80];

    snprintf(folder, sizeof(folder), "%s/tlsrpt", rig->folder);
    assert_null(database_open(folder, &database, &exit_status));
    struct tally *tally = tally_new(database);
    event_failure(&e, domain, TLS_RESULT_CERTIFICATE_EXPIRED);
    tally_add(tally, &subject, &e.event, 3);
    tally_note_wish(tally, &subject, txt ? TALLY_WISH_SEEN : TALLY_WISH_NONE, span_of(txt));
    assert_null(tally_write(tally, day));
    tally_free(&tally);
    database_close(&database);
}

static int setup(void **state)
{
    *state = reporter_new(at_once);
    count_for(*state, yesterday(), "a.test", record);
    return 0;
}

static int setup_later(void **state)
{
    *state = reporter_new(later);
    count_for(*state, yesterday(), "a.test", record);
    return 0;
}

static int teardown(void **state)
{
    reporter_free(*state);
    return 0;
}

static struct json *status_of(struct tlsrpt_rig *rig)
{
    struct json *status = NULL;

    reporter_ask(rig, "tlsrpt status", "", NULL, NULL);
    assert_false(rig->failed);
    assert_null(json_parse(span_of(buf_span(&rig->answer).data), &status));
    return status;
}

/* What stands of the first report in a list of the status; "" for nothing. */
static const char *member(struct tlsrpt_rig *rig, const char *list, const char *key)
{
    static char text[200];
    struct json *status = status_of(rig);

    assert_true(span_to_string(json_member_text(json_item(json_get(status, list), 0), key), text,
                               sizeof(text)));
    json_free(&status);
    return text;
}

static int64_t tries_of(struct tlsrpt_rig *rig)
{
    struct json *status = status_of(rig);
    int64_t tries = json_number(json_get(json_item(json_get(status, "last"), 0), "tries"));

    json_free(&status);
    return tries;
}

/* What `waxseal status` shows of it. */
static void assert_counts(struct tlsrpt_rig *rig, int64_t waiting, size_t missing)
{
    struct json *counts = NULL;

    reporter_ask(rig, "tlsrpt counts", "", NULL, NULL);
    assert_null(json_parse(span_of(buf_span(&rig->answer).data), &counts));
    assert_int_equal(json_number(json_get(counts, "reports_waiting")), waiting);
    assert_int_equal(json_count(json_get(counts, "missing")), missing);
    json_free(&counts);
}

static void wait_mails(struct tlsrpt_rig *rig, unsigned count)
{
    for (int i = 0; i < 500 && rig->mail_count < count; i++) {
        struct json *status = status_of(rig);
        json_free(&status);
        usleep(10 * 1000);
    }
    assert_int_equal(rig->mail_count, count);
}

static void wait_delivered(struct tlsrpt_rig *rig)
{
    for (int i = 0; i < 500 && strcmp(member(rig, "last", "state"), "delivered") != 0; i++)
        usleep(10 * 1000);
    assert_string_equal(member(rig, "last", "state"), "delivered");
}

static void a_day_that_has_ended_is_reported_of_its_own_accord(void **state)
{
    struct tlsrpt_rig *rig = *state;

    reporter_start(rig);
    wait_delivered(rig);
    assert_int_equal(rig->mail_count, 1);
    assert_int_equal(rig->mails[0].handed_in, 1);
    assert_non_null(strstr(rig->mails[0].key, "a.test@relay.test mailto:r@a.test"));
    assert_string_equal(member(rig, "last", "id"), "1");
    assert_int_equal(reporter_stop(rig), 0);
    reporter_start(rig); /* and not again */
    usleep(300 * 1000);
    wait_delivered(rig);
    assert_int_equal(rig->mails[0].handed_in, 1);
    assert_int_equal(reporter_stop(rig), 0);
}

/* Whatever the state is in which it died. */
static void send_what_is_left(struct tlsrpt_rig *rig)
{
    do
        reporter_ask(rig, "tlsrpt send", "a.test", NULL, NULL);
    while (rig->failed && strstr(buf_span(&rig->answer).data, "just now"));
    if (rig->failed)
        assert_non_null(strstr(buf_span(&rig->answer).data, "taken it already"));
    wait_delivered(rig);
    assert_int_equal(rig->mail_count, 1);
    assert_string_equal(member(rig, "last", "id"), "1");
}

static void killed_at(struct tlsrpt_rig *rig, enum rig_step step)
{
    rig->kill_at = step;
    reporter_start(rig);
    if (step == STEP_ANSWERED) {
        wait_mails(rig, 1);
        reporter_kill(rig);
    } else {
        reporter_wait_killed(rig);
    }
    rig->kill_at = STEP_NEVER;
    reporter_start(rig);
    send_what_is_left(rig);
    assert_int_equal(reporter_stop(rig), 0);
}

static void killed_when_the_queue_has_heard_of_it(void **state)
{
    killed_at(*state, STEP_BEGUN);
}

static void killed_when_some_of_it_has_come(void **state)
{
    killed_at(*state, STEP_CONTENT);
}

static void killed_when_all_of_it_has_come(void **state)
{
    killed_at(*state, STEP_WHOLE);
}

static void killed_when_it_is_committed(void **state)
{
    struct tlsrpt_rig *rig = *state;

    killed_at(rig, STEP_COMMITTED);
    assert_int_equal(rig->mails[0].handed_in, 2); /* under one key */
}

static void killed_when_the_answer_is_on_its_way(void **state)
{
    killed_at(*state, STEP_ANSWERED);
}

static void killed_again_and_again(void **state)
{
    struct tlsrpt_rig *rig = *state;

    for (int step = STEP_BEGUN; step <= STEP_COMMITTED; step++) {
        rig->kill_at = (enum rig_step)step;
        reporter_start(rig);
        if (step > STEP_BEGUN) /* of its own accord it waits five minutes */
            reporter_request(rig, "tlsrpt send", "a.test", NULL, NULL);
        reporter_wait_killed(rig);
    }
    rig->kill_at = STEP_NEVER;
    reporter_start(rig);
    send_what_is_left(rig);
    assert_int_equal(tries_of(rig), STEP_COMMITTED + 1); /* those on which it died count */
    assert_int_equal(reporter_stop(rig), 0);
}

/* --- the role dies right behind a write to its disk: all of LMDB's pass through here */

static int die_behind; /* which write; 0: none.  The role gets it from us, when it is forked */
static int writes;

static void count_write(void)
{
    if (die_behind > 0 && ++writes == die_behind)
        kill(getpid(), SIGKILL);
}

int fdatasync(int fd)
{
    int result = (int)syscall(SYS_fdatasync, fd);

    count_write();
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, len, at);

    count_write();
    return written;
}

/* False: there were fewer writes, and it lived on. */
static bool dies_behind(int write, unsigned *out_handed_in)
{
    struct tlsrpt_rig *rig = reporter_new(at_once);
    bool died;

    count_for(rig, yesterday(), "a.test", record);
    die_behind = write;
    reporter_launch(rig);
    die_behind = 0;
    died = reporter_dies_within(rig, 1000);
    if (died) {
        reporter_wait_killed(rig);
        reporter_start(rig);
    }
    send_what_is_left(rig);
    *out_handed_in = rig->mails[0].handed_in;
    assert_int_equal(reporter_stop(rig), 0);
    reporter_free(rig);
    return died;
}

static void killed_behind_each_write(void **state)
{
    unsigned handed_in, twice = 0;
    int write = 1;

    (void)state;
    for (; dies_behind(write, &handed_in); write++)
        twice += handed_in == 2;
    assert_true(write > 9); /* three changes of the outbox, of three writes each */
    assert_true(twice > 0); /* under one key: one mail */
}

static void the_moment_is_drawn_once(void **state)
{
    struct tlsrpt_rig *rig = *state;
    char due[200] = "";

    reporter_start(rig);
    for (int i = 0; i < 500 && due[0] == '\0'; i++) {
        usleep(10 * 1000);
        strcpy(due, member(rig, "next", "at"));
    }
    assert_true(due[0] != '\0');
    reporter_kill(rig);
    reporter_start(rig);
    usleep(300 * 1000); /* it has looked again */
    assert_string_equal(member(rig, "next", "at"), due);
    assert_counts(rig, 1, 0);
    assert_int_equal(rig->mail_count, 0);
    reporter_ask(rig, "tlsrpt send", "a.test", NULL, NULL);
    assert_false(rig->failed);
    assert_int_equal(rig->mail_count, 1);
    assert_string_equal(member(rig, "next", "at"), "");
    assert_int_equal(reporter_stop(rig), 0);
}

static void refused(struct tlsrpt_rig *rig, const char *domain, const char *name, const char *value,
                    const char *part)
{
    reporter_ask(rig, "tlsrpt send", domain, name, value);
    if (!rig->failed || !strstr(buf_span(&rig->answer).data, part))
        fail_msg("said: %s", buf_span(&rig->answer).data);
}

static void what_cannot_be_sent_is_refused_with_the_reason(void **state)
{
    struct tlsrpt_rig *rig = *state;
    char today[CLOCK_TEXT_SIZE];

    day_format(yesterday() + 1, today);
    count_for(rig, yesterday(), "wants-none.test", NULL);
    count_for(rig, yesterday(), "strange.test", "v=TLSRPTv1; rua=ftp://a.test/");
    reporter_start(rig);
    refused(rig, "never.test", NULL, NULL, "no session was counted");
    refused(rig, "a..test", NULL, NULL, "no domain name");
    refused(rig, "a.test", "day", "soon", "no day");
    refused(rig, "a.test", "day", today, "has not ended");
    refused(rig, "a.test", "view", "moon", "a view is");
    refused(rig, "wants-none.test", NULL, NULL, "wants no reports");
    refused(rig, "strange.test", NULL, NULL, "no place where reports can go");
    refused(rig, "a.test", "to", "nobody", "no address");
    refused(rig, "never.test", "to", "me@b.test", "no session");
    refused(rig, "a.test", "view", "host", "no session was counted");
    assert_int_equal(reporter_stop(rig), 0);
}

static void a_copy_changes_nothing(void **state)
{
    struct tlsrpt_rig *rig = *state;

    reporter_start(rig);
    for (unsigned i = 1; i <= 2; i++) {
        reporter_ask(rig, "tlsrpt send", "a.test", "to", "me@b.test");
        assert_false(rig->failed);
        assert_int_equal(rig->mail_count, i);
        struct span mail = buf_span(&rig->mails[i - 1].content);
        char *text = memcpy(calloc(1, mail.len + 1), mail.data, mail.len);
        assert_non_null(strstr(text, "To: <me@b.test>") ? "" : strstr(text, "To: me@b.test"));
        free(text);
    }
    assert_string_equal(member(rig, "last", "state"), "");
    reporter_ask(rig, "tlsrpt send", "a.test", NULL, NULL);
    assert_false(rig->failed);
    assert_int_equal(rig->mail_count, 3);
    refused(rig, "a.test", NULL, NULL, "taken it already");
    assert_int_equal(reporter_stop(rig), 0);
}

static void reports_are_not_sent_where_they_are_off_or_nobody_signs(void **state)
{
    static const char *const settings[] = {
        WHO "tlsrpt-spread = \"0s\"; tlsrpt-reports = \"off\";",
        WHO "tlsrpt-spread = \"0s\"; tlsrpt-exclude = [ \"a.test\" ];",
        "hostname = \"relay.test\"; tlsrpt-spread = \"0s\";",
    };
    static const char *const reasons[] = { "tlsrpt-reports is off", "tlsrpt-exclude",
                                           "no dkim entry" };
    struct tlsrpt_rig *rig = *state;

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        rig->settings = settings[i];
        reporter_start(rig);
        usleep(300 * 1000); /* it has looked */
        assert_int_equal(rig->mail_count, 0);
        refused(rig, "a.test", NULL, NULL, reasons[i]);
        struct json *status = status_of(rig);
        assert_int_equal(json_count(json_get(status, "missing")), i == 1 ? 0 : 1);
        assert_int_equal(json_count(json_get(status, "next")), 0);
        json_free(&status);
        assert_counts(rig, 0, i == 1 ? 0 : 1);
        assert_int_equal(reporter_stop(rig), 0);
    }
    rig->settings = at_once;
    reporter_start(rig); /* a relay that may do so catches up */
    wait_delivered(rig);
    assert_int_equal(reporter_stop(rig), 0);
}

static void days_that_ended_long_ago_are_left_alone(void **state)
{
    struct tlsrpt_rig *rig = *state;

    count_for(rig, yesterday() - 1, "b.test", record);
    count_for(rig, yesterday() - 2, "c.test", record);
    reporter_start(rig);
    wait_mails(rig, 2);
    usleep(300 * 1000);
    assert_string_equal(member(rig, "next", "at"), "");
    assert_int_equal(rig->mail_count, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_null(strstr(rig->mails[i].key, "c.test"));
    assert_int_equal(reporter_stop(rig), 0);
}

/* The one destination of yesterday's report, as it stands on disk, is changed while nobody runs. */
static void change_row(struct tlsrpt_rig *rig, int64_t first_try_ms, uint32_t tries)
{
    struct subject subject = subject_of_domain(yesterday(), SPAN("a.test"));
    Tlsrpt__OutboxRecord *kept = NULL;
    struct database *database = NULL;
    int exit_status;
    char folder[80];

    snprintf(folder, sizeof(folder), "%s/tlsrpt", rig->folder);
    assert_null(database_open(folder, &database, &exit_status));
    struct outbox *outbox = outbox_new(database);
    assert_null(outbox_get(outbox, &subject, &kept));
    kept->destinations[0]->first_try_utc_ms = first_try_ms;
    kept->destinations[0]->next_try_utc_ms = clock_utc_ms() - 1;
    kept->destinations[0]->tries = tries;
    assert_null(outbox_put(outbox, &subject, kept));
    outbox_record_free(&kept);
    outbox_free(&outbox);
    database_close(&database);
}

static void wait_last(struct tlsrpt_rig *rig, const char *key, const char *part)
{
    for (int i = 0; i < 500 && !strstr(member(rig, "last", key), part); i++)
        usleep(10 * 1000);
    if (!strstr(member(rig, "last", key), part))
        fail_msg("%s is %s", key, member(rig, "last", key));
}

static void what_the_queue_does_not_take_is_tried_for_a_day(void **state)
{
    struct tlsrpt_rig *rig = *state;
    int64_t now_ms = clock_utc_ms();

    rig->is_full = true;
    reporter_start(rig);
    wait_last(rig, "answer", "the queue is full");
    assert_string_equal(member(rig, "last", "state"), "waiting");
    assert_true(member(rig, "next", "at")[0] != '\0');
    assert_int_equal(reporter_stop(rig), 0);
    change_row(rig, now_ms - DAY_MS, 9); /* its last try */
    reporter_start(rig);
    wait_last(rig, "state", "dropped");
    assert_string_equal(member(rig, "last", "answer"), "the queue is full");
    assert_string_equal(member(rig, "next", "at"), "");
    rig->is_full = false; /* the operator may have it tried once more */
    reporter_ask(rig, "tlsrpt send", "a.test", NULL, NULL);
    assert_false(rig->failed);
    assert_string_equal(member(rig, "last", "state"), "delivered");
    assert_int_equal(reporter_stop(rig), 0);
}

static void what_was_begun_too_long_ago_is_not_tried(void **state)
{
    struct tlsrpt_rig *rig = *state;

    rig->is_full = true;
    reporter_start(rig);
    wait_last(rig, "answer", "full");
    assert_int_equal(reporter_stop(rig), 0);
    rig->is_full = false;
    change_row(rig, clock_utc_ms() - DAY_MS - 5 * (int64_t)HOUR_MS, 9);
    reporter_start(rig);
    wait_last(rig, "answer", "not within 24 hours");
    assert_string_equal(member(rig, "last", "state"), "dropped");
    assert_int_equal(rig->mail_count, 0);
    assert_int_equal(reporter_stop(rig), 0);
}

static void what_has_been_excluded_meanwhile_is_dropped(void **state)
{
    struct tlsrpt_rig *rig = *state;

    rig->is_full = true;
    reporter_start(rig);
    wait_last(rig, "answer", "full");
    assert_int_equal(reporter_stop(rig), 0);
    change_row(rig, clock_utc_ms(), 1);
    rig->is_full = false;
    rig->settings = WHO "tlsrpt-spread = \"0s\"; tlsrpt-exclude = [ \"a.test\" ];";
    reporter_start(rig);
    wait_last(rig, "answer", "tlsrpt-exclude");
    assert_string_equal(member(rig, "last", "state"), "dropped");
    assert_int_equal(rig->mail_count, 0);
    assert_int_equal(reporter_stop(rig), 0);
}

static void a_key_that_is_gone_meanwhile_defers_what_is_mailed(void **state)
{
    struct tlsrpt_rig *rig = *state;

    rig->is_full = true;
    reporter_start(rig);
    wait_last(rig, "answer", "full");
    assert_int_equal(reporter_stop(rig), 0);
    change_row(rig, clock_utc_ms(), 1);
    rig->is_full = false;
    rig->settings = "hostname = \"relay.test\";";
    reporter_start(rig);
    wait_last(rig, "answer", "no dkim entry");
    assert_string_equal(member(rig, "last", "state"), "waiting");
    assert_int_equal(rig->mail_count, 0);
    assert_int_equal(reporter_stop(rig), 0);
}

/* There are no trusted certificates here, so that none is posted. */
static void two_destinations_are_two_fates(void **state)
{
    struct tlsrpt_rig *rig = *state;

    count_for(rig, yesterday(), "a.test",
              "v=TLSRPTv1; rua=https://b.test/,mailto:r@a.test,mailto:s@c.test,mailto:t@d.test");
    reporter_start(rig);
    wait_mails(rig, 3);
    wait_last(rig, "answer", "trusted certificates");
    assert_string_equal(member(rig, "last", "to"), "https://b.test/");
    assert_string_equal(member(rig, "last", "state"), "waiting");
    reporter_ask(rig, "tlsrpt send", "a.test", NULL, NULL);
    assert_false(rig->failed);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig->mails[i].handed_in, 1);
    assert_int_equal(reporter_stop(rig), 0);
}

/* The document out of the message around it. */
static void unpack_mail(struct buf *mail, struct buf *out)
{
    assert_true(buf_append(mail, (struct span){ "", 1 }));
    const char *part = strstr(buf_span(mail).data, "application/tlsrpt+gzip");
    const char *begin = strstr(part, "\r\n\r\n") + 4;
    const char *end = strstr(begin, "\r\n--");
    char *text = calloc(1, (size_t)(end - begin) + 1);
    size_t len = 0, used;
    struct buf packed;

    for (const char *c = begin; c < end; c++)
        if (*c != '\r' && *c != '\n')
            text[len++] = *c;
    buf_init(&packed, 16 << 20);
    assert_true(base64_decode((struct span){ text, len }, &packed));
    assert_int_equal(gzip_unpack(buf_span(&packed), out, &used), GZIP_WHOLE);
    free(text);
    buf_clear(&packed);
}

/* Lines with that word; each failure stands on its own. */
static size_t lines_with(struct span text, struct span word)
{
    size_t count = 0;
    struct span line;

    while (span_cut(&text, '\n', &line))
        count += memmem(line.data, line.len, word.data, word.len) != NULL;
    return count;
}

/* As many as are told apart, of a day with nothing but failures. */
static void a_hundred_thousand_details_go_in_one_mail(void **state)
{
    struct tlsrpt_rig *rig = *state;
    struct subject subject = subject_of_domain(yesterday(), SPAN("many.test"));
    struct database *database = NULL;
    struct session_event e;
    int exit_status;
    char folder[80], reason[40];

    snprintf(folder, sizeof(folder), "%s/tlsrpt", rig->folder);
    assert_null(database_open(folder, &database, &exit_status));
    struct tally *tally = tally_new(database);
    event_failure(&e, "many.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    for (int i = 0; i < 100000; i++) {
        snprintf(reason, sizeof(reason), "reason %d", i);
        e.failure.reason = event_bytes(reason);
        tally_add(tally, &subject, &e.event, 1);
        if (tally_is_full(tally))
            assert_null(tally_write(tally, yesterday()));
    }
    tally_note_wish(tally, &subject, TALLY_WISH_SEEN, SPAN("v=TLSRPTv1; rua=mailto:r@many.test"));
    assert_null(tally_write(tally, yesterday()));
    tally_free(&tally);
    database_close(&database);
    reporter_start(rig);
    wait_mails(rig, 2);
    unsigned i = strstr(rig->mails[0].key, "many.test") ? 0 : 1;
    struct buf report;
    buf_init(&report, 64 << 20);
    unpack_mail(&rig->mails[i].content, &report);
    assert_true(buf_append(&report, (struct span){ "", 1 }));
    assert_int_equal(lines_with(buf_span(&report), SPAN("\"result-type\"")), 100000);
    assert_non_null(strstr(buf_span(&report).data, "\"total-failure-session-count\":100000"));
    buf_clear(&report);
    assert_int_equal(reporter_stop(rig), 0);
}

#define STEPS(title, function, setup_function)                                                     \
    {                                                                                              \
        title, function, setup_function, teardown, NULL                                            \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STEPS("a day that has ended is reported of its own accord, once",
              a_day_that_has_ended_is_reported_of_its_own_accord, setup),
        STEPS("killed when the queue has heard of a report, it is sent once",
              killed_when_the_queue_has_heard_of_it, setup),
        STEPS("killed when some of it has come, it is sent once", killed_when_some_of_it_has_come,
              setup),
        STEPS("killed when all of it has come, it is sent once", killed_when_all_of_it_has_come,
              setup),
        STEPS("killed when it is committed, it is handed in again under its key",
              killed_when_it_is_committed, setup),
        STEPS("killed when the answer is on its way, it is sent once",
              killed_when_the_answer_is_on_its_way, setup),
        STEPS("killed again and again, it is sent once", killed_again_and_again, setup),
        { "killed behind each write to its disk, it is sent once", killed_behind_each_write, NULL,
          NULL, NULL },
        STEPS("the moment at which it goes is drawn once", the_moment_is_drawn_once, setup_later),
        STEPS("what cannot be sent is refused with the reason",
              what_cannot_be_sent_is_refused_with_the_reason, setup_later),
        STEPS("a copy changes nothing", a_copy_changes_nothing, setup_later),
        STEPS("reports are not sent where they are off, or nobody signs",
              reports_are_not_sent_where_they_are_off_or_nobody_signs, setup),
        STEPS("what the queue does not take is tried for a day, and then dropped",
              what_the_queue_does_not_take_is_tried_for_a_day, setup),
        STEPS("what was begun too long ago is not tried again",
              what_was_begun_too_long_ago_is_not_tried, setup),
        STEPS("what has been excluded meanwhile is dropped",
              what_has_been_excluded_meanwhile_is_dropped, setup),
        STEPS("when the key is gone meanwhile, what is mailed waits",
              a_key_that_is_gone_meanwhile_defers_what_is_mailed, setup),
        STEPS("several destinations have a fate each, and get one mail each",
              two_destinations_are_two_fates, setup),
        STEPS("a hundred thousand failure details go in one mail",
              a_hundred_thousand_details_go_in_one_mail, setup),
        STEPS("days that ended more than two days ago are left alone",
              days_that_ended_long_ago_are_left_alone, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
