/*
 * How the queue role gets signatures for what it hands out, with the test as the role that signs:
 * nothing that has to be signed leaves unsigned for a trouble that will pass.
 */
#include "tests/support/test.h"

#include "tests/support/queue_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/signing.h"

#define FROM "From: ada@example.net\r\nSubject: x\r\n\r\n"

static const char signs[] =
    "log-level = \"error\"; dkim = ( { senders = \"*\"; selector = \"2026a\"; key = \"/k\"; } );";
static const char quiet[] = "log-level = \"error\";";
static struct queue_rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig);
    rig_start(&rig, signs);
    rig.hashed = true;
    rig.content_begins = FROM;
    rig_attach_worker(&rig, 10, NULL, 0);
    return rig.ready ? 0 : -1;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static uint64_t send_and_wait(size_t size)
{
    unsigned before = rig.done_count;
    rig_send_one(&rig, "ada@example.net", "bob@example.com", size);
    assert_true(rig_wait(&rig, &rig.done_count, before + 1));
    assert_int_equal(rig.outcomes[before], ACCEPT_DONE);
    return rig.ids[before];
}

static const struct rig_job *next_job(void)
{
    assert_true(rig_wait(&rig, &rig.job_count, rig.jobs_taken + 1));
    return &rig.jobs[rig.jobs_taken++];
}

static void assert_text(ProtobufCBinaryData bytes, const char *expected)
{
    assert_int_equal(bytes.len, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.len);
}

/* A member of the first row of the list. */
static const char *row_text(const char *member)
{
    static char text[256];
    struct json *rows;

    assert_null(json_parse(rig_ask(&rig, "queue list", NULL, ""), &rows));
    assert_true(json_count(rows) > 0);
    struct span value = json_member_text(json_item(rows, 0), member);
    assert_true(span_to_string(value, text, sizeof(text)));
    json_free(&rows);
    return text;
}

static size_t row_count(void)
{
    struct json *rows;

    assert_null(json_parse(rig_ask(&rig, "queue list", NULL, ""), &rows));
    size_t count = json_count(rows);
    json_free(&rows);
    return count;
}

/* Until its row says so: outcomes are written behind our back. */
static void wait_for_state(const char *state)
{
    for (int i = 0; i < 200 && strcmp(row_text("state"), state) != 0; i++)
        rig_idle(&rig, 10);
    assert_string_equal(row_text("state"), state);
}

/* ---- the usual way ----------------------------------------------------------------------------
 */

static void a_job_goes_with_its_signatures(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    uint64_t id = send_and_wait(5000);
    const struct rig_job *job = next_job();
    assert_int_equal(job->id, id);
    assert_text(job->job->signatures, RIG_SIGNATURE);
    assert_text(job->job->signed_by, "example.net:2026a");
    assert_int_equal(job->job->unsigned_because.len, 0);
    assert_int_equal(job->job->envelope->n_recipients, 1);
    rig_pull(&rig, job);
    assert_int_equal(buf_len(&rig.content), job->job->size); /* without them */
    rig_outcome(&rig, job, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    assert_int_equal(row_count(), 0);
}

static void the_role_is_asked_with_the_header_alone_and_the_hash(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    send_and_wait(100000);
    next_job();
    struct span header = buf_span(&rig.header);
    assert_true(span_starts_with(header, SPAN("Received: from rig id ")));
    assert_true(header.len > strlen(FROM));
    assert_true(span_equal(span_from(header, header.len - strlen(FROM)), SPAN(FROM)));
    assert_int_equal(rig.ask->body_sha256_relaxed.len, DKIM_SHA256_SIZE);
    assert_int_equal(rig.ask->body_sha256_relaxed.data[0], 'h');
    assert_int_equal(rig.ask->body_sha256_simple.len, 0);
}

/* A header whose first field is so long, and what the role was asked with. */
static void assert_asked_whole(size_t len)
{
    struct buf text;

    buf_init(&text, HEADER_BYTES_MAX);
    assert_true(buf_printf(&text, "X: %0*d\r\nFrom: ada@example.net\r\n\r\n", (int)len, 0));
    rig.content_begins = memory_copy_span(buf_span(&text));
    send_and_wait(40000);
    rig_outcome(&rig, next_job(), IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    struct span got = buf_span(&rig.header);
    assert_true(got.len > buf_len(&text));
    assert_true(span_equal(span_from(got, got.len - buf_len(&text)), buf_span(&text)));
    free((void *)(uintptr_t)rig.content_begins);
    buf_clear(&text);
}

/* Also where its end falls on that of a chunk, or of what fits a frame's body. */
static void a_header_of_several_chunks_is_asked_for_whole(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    assert_asked_whole(1);
    size_t rest = buf_len(&rig.header) - 1;
    for (size_t n = 0; n < 6; n++)
        assert_asked_whole(CONTENT_CHUNK_SIZE - rest - 1 + n);
    for (size_t n = 0; n < 3; n++)
        assert_asked_whole(FRAME_BODY_MAX - rest - 1 + n);
    assert_asked_whole(200 * 1000);
}

static void a_header_beyond_all_bounds_goes_unsigned(void **state)
{
    static char header[SIGNING_HEADER_MAX + 2];

    (void)state;
    rig_attach_signer(&rig);
    memset(header, 'x', sizeof(header) - 1);
    rig.content_begins = header;
    send_and_wait(40000);
    assert_text(next_job()->job->unsigned_because, "its header is too long");
    assert_int_equal(rig.ask_count, 0);
}

static void a_message_without_a_body_is_signed(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    rig.content_begins = "From: ada@example.net\r\n";
    send_and_wait(0);
    assert_true(next_job()->job->signatures.len > 0);
    struct span header = buf_span(&rig.header);
    assert_true(span_equal(span_from(header, header.len - strlen(rig.content_begins)),
                           span_of(rig.content_begins)));
}

/* ---- what goes as it is -----------------------------------------------------------------------
 */

static void what_has_no_key_goes_as_it_is_and_nobody_wonders(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    rig.verdict = IPC__SIGN_VERDICT__NO_KEY;
    send_and_wait(100);
    const struct rig_job *job = next_job();
    assert_int_equal(job->job->signatures.len, 0);
    assert_int_equal(job->job->unsigned_because.len, 0);
    assert_int_equal(rig.ask_count, 1);
}

static void what_cannot_be_signed_goes_as_it_is_and_says_why(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    rig.verdict = IPC__SIGN_VERDICT__UNSIGNABLE;
    rig.reason = "it has no From field";
    send_and_wait(100);
    const struct rig_job *job = next_job();
    assert_int_equal(job->job->signatures.len, 0);
    assert_text(job->job->unsigned_because, "it has no From field");
    rig.verdict = IPC__SIGN_VERDICT__SIGNED_ALREADY;
    rig.reason = "example.net signed it";
    send_and_wait(100);
    assert_text(next_job()->job->unsigned_because, "example.net signed it");
}

static void what_came_without_a_hash_is_not_asked_for(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    rig.hashed = false;
    send_and_wait(100);
    const struct rig_job *job = next_job();
    assert_int_equal(job->job->signatures.len, 0);
    assert_text(job->job->unsigned_because, "it came in while nothing was signed");
    assert_int_equal(rig.ask_count, 0);
}

static void without_an_entry_nobody_is_asked(void **state)
{
    (void)state;
    rig_kill(&rig);
    rig_start(&rig, quiet);
    rig_attach_worker(&rig, 10, NULL, 0);
    rig_attach_signer(&rig);
    send_and_wait(100);
    const struct rig_job *job = next_job();
    assert_int_equal(job->job->signatures.len, 0);
    assert_int_equal(job->job->unsigned_because.len, 0);
    assert_int_equal(rig.ask_count, 0);
}

static void a_strangers_mail_is_never_signed(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    rig.from_stranger = true;
    send_and_wait(100);
    assert_int_equal(next_job()->job->signatures.len, 0);
    assert_int_equal(rig.ask_count, 0);
}

/* ---- trouble ----------------------------------------------------------------------------------
 */

static void while_the_role_is_away_nothing_leaves(void **state)
{
    (void)state;
    send_and_wait(100);
    rig_idle(&rig, 300);
    assert_int_equal(rig.job_count, 0);
    rig_attach_signer(&rig);
    assert_text(next_job()->job->signatures, RIG_SIGNATURE);
}

static void a_role_that_dies_before_it_answers_is_followed_by_one_that_does(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    rig.signer_is_silent = true;
    send_and_wait(100);
    assert_true(rig_wait(&rig, &rig.ask_count, 1));
    rig_detach_signer(&rig);
    rig_idle(&rig, 100);
    assert_int_equal(rig.job_count, 0);
    rig.signer_is_silent = false;
    rig_attach_signer(&rig);
    assert_text(next_job()->job->signatures, RIG_SIGNATURE);
    assert_int_equal(rig.ask_count, 2);
}

static void a_message_waits_when_the_role_cannot_and_no_attempt_counts(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    rig.verdict = IPC__SIGN_VERDICT__SIGN_TROUBLE;
    rig.reason = "the key of example.net cannot be used";
    uint64_t id = send_and_wait(100);
    wait_for_state("waits for signature");
    assert_string_equal(row_text("last_reply"),
                        "it waits to be signed: the key of example.net cannot be used");
    assert_int_equal(rig.job_count, 0);
    char qid[QID_TEXT_SIZE];
    qid_format(id, qid);
    rig.verdict = IPC__SIGN_VERDICT__SIGNED;
    rig_ask(&rig, "queue retry", "id", qid);
    const struct rig_job *job = next_job();
    assert_text(job->job->signatures, RIG_SIGNATURE);
    assert_int_equal(job->job->attempts, 0);
}

/* Also when the hour is not over: it would not be tried any more. */
static void at_the_end_of_its_life_a_message_goes_unsigned(void **state)
{
    (void)state;
    rig_kill(&rig);
    rig_start(&rig, "log-level = \"error\"; queue-lifetime = \"1s\"; retry-first = \"1s\";"
                    "dkim = ( { senders = \"*\"; selector = \"2026a\"; key = \"/k\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    rig_attach_signer(&rig);
    rig.verdict = IPC__SIGN_VERDICT__SIGN_TROUBLE;
    rig.reason = "no key";
    uint64_t id = send_and_wait(100);
    wait_for_state("waits for signature");
    rig_idle(&rig, 1100);
    char qid[QID_TEXT_SIZE];
    qid_format(id, qid);
    rig_ask(&rig, "queue retry", "id", qid);
    const struct rig_job *job = next_job();
    assert_int_equal(job->job->signatures.len, 0);
    assert_text(job->job->unsigned_because, "no key");
}

static void what_is_no_signature_ends_the_channel_and_goes_nowhere(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    rig.fields = "Bcc: mallory@example.org\r\n";
    send_and_wait(100);
    for (int i = 0; i < 100 && !rig.signer_closed; i++)
        rig_idle(&rig, 10);
    assert_true(rig.signer_closed);
    assert_int_equal(rig.job_count, 0);
    rig.fields = NULL;
    rig_attach_signer(&rig);
    assert_text(next_job()->job->signatures, RIG_SIGNATURE);
}

static void an_answer_that_nobody_asked_for_changes_nothing(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    send_and_wait(100);
    next_job();
    rig_answer_ask(&rig);
    rig_answer_ask(&rig);
    rig_idle(&rig, 100);
    assert_false(rig.signer_closed);
    assert_int_equal(rig.job_count, 1);
}

/* ---- who goes meanwhile -----------------------------------------------------------------------
 */

static void a_worker_that_dies_meanwhile_has_not_died_of_it(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) { /* three would do to hold a message */
        rig_detach_worker(&rig);
        rig_attach_worker(&rig, 10, NULL, 0);
        if (i == 0)
            send_and_wait(100);
        rig_idle(&rig, 50);
    }
    rig_attach_signer(&rig);
    assert_text(next_job()->job->signatures, RIG_SIGNATURE);
}

static void a_worker_cannot_settle_what_it_was_not_sent(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    send_and_wait(100);
    struct rig_job forged = *next_job();
    rig_outcome(&rig, &forged, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    rig.signer_is_silent = true;
    forged.id = send_and_wait(100);
    assert_true(rig_wait(&rig, &rig.ask_count, 2));
    forged.lease = rig.ask->id;
    rig_outcome(&rig, &forged, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 2));
    assert_int_equal(row_count(), 1);
    rig_answer_ask(&rig);
    assert_int_equal(next_job()->id, forged.id);
}

static void an_operator_can_hold_what_waits_to_be_signed(void **state)
{
    (void)state;
    uint64_t id = send_and_wait(100);
    char qid[QID_TEXT_SIZE];
    qid_format(id, qid);
    rig_idle(&rig, 50);
    assert_string_equal(row_text("state"), "delivering");
    rig_ask(&rig, "queue hold", "id", qid);
    assert_string_equal(row_text("state"), "held");
    rig_attach_signer(&rig);
    rig_idle(&rig, 100);
    assert_int_equal(rig.job_count, 0);
    assert_int_equal(rig.ask_count, 0);
    rig_ask(&rig, "queue release", "id", qid);
    assert_text(next_job()->job->signatures, RIG_SIGNATURE);
}

static void a_notification_is_signed_too(void **state)
{
    (void)state;
    rig_attach_signer(&rig);
    send_and_wait(100);
    rig_outcome(&rig, next_job(), IPC__RESULT_KIND__FAILED, "5.1.1", "550 who?", false);
    const struct rig_job *notification = next_job();
    assert_int_equal(notification->job->envelope->reverse_path->text.len, 0);
    assert_text(notification->job->signatures, RIG_SIGNATURE);
    assert_int_equal(rig.ask->body_sha256_relaxed.len, DKIM_SHA256_SIZE);
    assert_memory_not_equal(rig.ask->body_sha256_relaxed.data, "hhhhhhhh", 8);
}

/* ---- reports ----------------------------------------------------------------------------------
 */

static void a_report_never_goes_unsigned(void **state)
{
    (void)state;
    queue_client_attach(rig.tlsrpt, rig_peer(&rig, ROLE_TLSRPT));
    rig_attach_signer(&rig);
    rig.verdict = IPC__SIGN_VERDICT__NO_KEY;
    rig.tls_report = true;
    uint64_t id = send_and_wait(100);
    wait_for_state("waits for signature");
    assert_int_equal(rig.job_count, 0);
    char qid[QID_TEXT_SIZE];
    qid_format(id, qid);
    rig.verdict = IPC__SIGN_VERDICT__SIGNED;
    rig_ask(&rig, "queue retry", "id", qid);
    assert_text(next_job()->job->signatures, RIG_SIGNATURE);
}

static void a_report_waits_where_nothing_is_signed(void **state)
{
    (void)state;
    rig_kill(&rig);
    rig_start(&rig, quiet);
    rig_attach_worker(&rig, 10, NULL, 0);
    queue_client_attach(rig.tlsrpt, rig_peer(&rig, ROLE_TLSRPT));
    rig.tls_report = true;
    send_and_wait(100);
    wait_for_state("waits for signature");
    assert_int_equal(rig.job_count, 0);
}

#define RIG_TEST(title, function)                                                                  \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST("a job goes with its signatures", a_job_goes_with_its_signatures),
        RIG_TEST("the role is asked with the header alone and the body's hash",
                 the_role_is_asked_with_the_header_alone_and_the_hash),
        RIG_TEST("a header of several chunks is asked for whole",
                 a_header_of_several_chunks_is_asked_for_whole),
        RIG_TEST("a header beyond all bounds goes unsigned and says why",
                 a_header_beyond_all_bounds_goes_unsigned),
        RIG_TEST("a message without a body is signed", a_message_without_a_body_is_signed),
        RIG_TEST("what has no key goes as it is, and nobody wonders",
                 what_has_no_key_goes_as_it_is_and_nobody_wonders),
        RIG_TEST("what cannot be signed goes as it is and says why",
                 what_cannot_be_signed_goes_as_it_is_and_says_why),
        RIG_TEST("what came in while nothing was signed is not asked for",
                 what_came_without_a_hash_is_not_asked_for),
        RIG_TEST("without an entry of dkim nobody is asked", without_an_entry_nobody_is_asked),
        RIG_TEST("a stranger's mail is never signed", a_strangers_mail_is_never_signed),
        RIG_TEST("while the role is away nothing leaves", while_the_role_is_away_nothing_leaves),
        RIG_TEST("a role that dies before it answers is followed by one that does",
                 a_role_that_dies_before_it_answers_is_followed_by_one_that_does),
        RIG_TEST("a message waits when the role cannot sign now, and no attempt counts",
                 a_message_waits_when_the_role_cannot_and_no_attempt_counts),
        RIG_TEST("at the end of its life a message goes unsigned and says why",
                 at_the_end_of_its_life_a_message_goes_unsigned),
        RIG_TEST("what is no signature ends the channel and goes nowhere",
                 what_is_no_signature_ends_the_channel_and_goes_nowhere),
        RIG_TEST("an answer that nobody asked for changes nothing",
                 an_answer_that_nobody_asked_for_changes_nothing),
        RIG_TEST("a worker that dies meanwhile has not died of it",
                 a_worker_that_dies_meanwhile_has_not_died_of_it),
        RIG_TEST("a worker cannot settle what it was not sent yet",
                 a_worker_cannot_settle_what_it_was_not_sent),
        RIG_TEST("an operator can hold what waits to be signed",
                 an_operator_can_hold_what_waits_to_be_signed),
        RIG_TEST("a notification is signed, too", a_notification_is_signed_too),
        RIG_TEST("a report never goes unsigned", a_report_never_goes_unsigned),
        RIG_TEST("a report waits where nothing is signed", a_report_waits_where_nothing_is_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
