#include "tests/support/test.h"

#include "tests/support/queue_rig.h"

#include <lmdb.h>
#include <string.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "lib/base/log.h"
#include "lib/ipc/envelope_codec.h"
#include "lib/ipc/role.h"
#include "queue/records.h"
#include "queue/store.h"

static const char quiet[] = "log-level = \"error\";";
static const char signs[] =
    "log-level = \"error\"; postmaster-copies = [ \"2bounce\", \"bounce\" ];"
    "dkim = ( { senders = \"*\"; selector = \"2026a\"; key = \"/k\"; } );";
static struct queue_rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig);
    rig_start(&rig, quiet);
    return rig.ready ? 0 : -1;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void restart(const char *settings)
{
    rig_kill(&rig);
    rig_start(&rig, settings);
    assert_true(rig.ready);
}

static uint64_t send_and_wait(size_t size)
{
    unsigned before = rig.done_count;
    rig_send_one(&rig, "ada@sender.test", "bob@example.net", size);
    assert_true(rig_wait(&rig, &rig.done_count, before + 1));
    assert_int_equal(rig.outcomes[before], ACCEPT_DONE);
    return rig.ids[before];
}

/* The oldest job that the test has not taken yet. */
static const struct rig_job *next_job(void)
{
    assert_true(rig_wait(&rig, &rig.job_count, rig.jobs_taken + 1));
    return &rig.jobs[rig.jobs_taken++];
}

static void assert_row_count(size_t count)
{
    struct json *rows;
    assert_null(json_parse(rig_ask(&rig, "queue list", NULL, ""), &rows));
    assert_int_equal(json_count(rows), count);
    json_free(&rows);
}

/* ---- the way of a message ---------------------------------------------------------------------
 */

static void a_message_goes_from_accept_to_delivered(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    uint64_t id = send_and_wait(5000);
    const struct rig_job *job = next_job();
    assert_int_equal(job->id, id);
    assert_int_equal(job->job->envelope->n_recipients, 1);
    assert_true(span_equal(span_of_bytes(job->job->next_hop), SPAN("example.net")));
    rig_pull(&rig, job);
    assert_true(rig_wait(&rig, &rig.chunk_count, job->job->chunks));
    char qid[QID_TEXT_SIZE];
    qid_format(id, qid);
    assert_true(span_starts_with(buf_span(&rig.content), SPAN("Received: from rig id ")));
    assert_non_null(memmem(rig.content.base, buf_len(&rig.content), qid, strlen(qid)));
    assert_int_equal(buf_len(&rig.content), job->job->size);
    rig_outcome(&rig, job, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    assert_row_count(0);
}

static void a_large_message_comes_through_whole(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(10 * 1024 * 1024);
    const struct rig_job *job = next_job();
    rig_pull(&rig, job);
    assert_true(rig_wait(&rig, &rig.chunk_count, job->job->chunks));
    assert_false(rig.chunk_damaged);
    assert_int_equal(buf_len(&rig.content), job->job->size);
    assert_true(job->job->size > 10 * 1024 * 1024);
}

static void an_accepted_message_survives_kill_9(void **state)
{
    (void)state;
    uint64_t id = send_and_wait(200000);
    restart(quiet);
    rig_attach_worker(&rig, 10, NULL, 0);
    const struct rig_job *job = next_job();
    assert_int_equal(job->id, id);
    rig_pull(&rig, job);
    assert_true(rig_wait(&rig, &rig.chunk_count, job->job->chunks));
    assert_int_equal(buf_len(&rig.content), job->job->size);
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static void nothing_is_left_of_a_message_that_never_ended(void **state)
{
    (void)state;
    struct json *rows;
    static const struct queue_accept_events nobody = { on_nothing, NULL };
    struct envelope envelope;
    struct address address;
    envelope_init(&envelope);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    envelope_add(&envelope, &address);
    struct queue_accept *accept =
        queue_accept_begin(rig.smtpd, &envelope, SPAN("R: "), SPAN("\r\n"), &nobody, NULL);
    static char block[STREAM_WINDOW];
    memset(block, 'x', sizeof(block));
    for (size_t sent = 0; sent < 200000;) {
        size_t room = queue_accept_room(accept);
        assert_true(room > 0);
        queue_accept_content(accept, (struct span){ block, room });
        sent += room;
        rig_idle(&rig, 100);
    }
    queue_accept_abort(&accept);
    envelope_clear(&envelope);
    rig_idle(&rig, 200);
    assert_null(json_parse(rig_ask(&rig, "queue list", NULL, ""), &rows));
    assert_int_equal(json_count(rows), 0);
    json_free(&rows);
}

/* ---- in place of a captured smtpd --------------------------------------------------------- */

enum { CAPTURED_STREAMS = 700 };
static struct captured {
    struct channel *channel;
    size_t credit[CAPTURED_STREAMS];
    unsigned wide; /* streams that were given more than the first credit */
    unsigned accepted;
    unsigned full;
} captured;

static void on_captured_frame(void *ctx, struct channel_frame *frame)
{
    struct captured *c = ctx;
    if (frame->type == FRAME_ACCEPT_CREDIT) {
        Ipc__AcceptCredit *credit = channel_decode(frame, &ipc__accept_credit__descriptor);
        assert_non_null(credit);
        c->credit[credit->stream] += credit->bytes;
        c->wide += credit->bytes > STREAM_FIRST_CREDIT;
        ipc__accept_credit__free_unpacked(credit, NULL);
    } else if (frame->type == FRAME_ACCEPT_DONE) {
        Ipc__AcceptDone *done = channel_decode(frame, &ipc__accept_done__descriptor);
        assert_non_null(done);
        c->accepted += done->outcome == IPC__ACCEPT_OUTCOME__ACCEPTED;
        c->full += done->outcome == IPC__ACCEPT_OUTCOME__FULL;
        ipc__accept_done__free_unpacked(done, NULL);
        loop_stop(rig.loop);
    }
}

static void on_captured_closed(void *ctx, const struct error *err)
{
    (void)ctx, (void)err;
    fail();
}

static void capture(void)
{
    static const struct channel_events events = { on_captured_frame, on_captured_closed };
    memset(&captured, 0, sizeof(captured));
    captured.channel = channel_open(rig.loop, rig_peer(&rig, ROLE_SMTPD), &events, &captured);
}

static void captured_begin(uint64_t stream, unsigned recipients)
{
    Ipc__AcceptBegin begin = IPC__ACCEPT_BEGIN__INIT;
    struct envelope envelope;
    struct address address;
    envelope_init(&envelope);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    for (unsigned i = 0; i < recipients; i++)
        envelope_add(&envelope, &address);
    Ipc__Envelope *message = envelope_to_message(&envelope);
    begin.stream = stream;
    begin.envelope = message;
    begin.trace_tail = bytes_of_span(SPAN("\r\n"));
    channel_send(captured.channel, FRAME_ACCEPT_BEGIN, &begin.base, SPAN(""));
    envelope_message_free(&message);
    envelope_clear(&envelope);
    captured.credit[stream] = STREAM_FIRST_CREDIT;
}

static void captured_send(uint64_t stream)
{
    static const char block[STREAM_FIRST_CREDIT];
    Ipc__AcceptContent content = IPC__ACCEPT_CONTENT__INIT;
    content.stream = stream;
    size_t len = captured.credit[stream] < sizeof(block) ? captured.credit[stream] : sizeof(block);
    captured.credit[stream] -= len;
    channel_send(captured.channel, FRAME_ACCEPT_CONTENT, &content.base,
                 (struct span){ block, len });
}

static void captured_end(uint64_t stream)
{
    Ipc__AcceptEnd end = IPC__ACCEPT_END__INIT;
    end.stream = stream;
    channel_send(captured.channel, FRAME_ACCEPT_END, &end.base, SPAN(""));
}

static void captured_abort(uint64_t stream)
{
    Ipc__AcceptAbort abort_it = IPC__ACCEPT_ABORT__INIT;
    abort_it.stream = stream;
    channel_send(captured.channel, FRAME_ACCEPT_ABORT, &abort_it.base, SPAN(""));
}

/* Beyond its share an smtpd gets a chunk's credit at a time: slower, and refused nothing. */
static void many_streams_of_one_smtpd_share_what_it_may_hold(void **state)
{
    (void)state;
    enum { WIDE_MAX = INLET_BYTES_MAX / 2 / (STREAM_WINDOW - STREAM_FIRST_CREDIT) };
    capture();
    for (uint64_t i = 0; i < CAPTURED_STREAMS; i++)
        captured_begin(i, 1);
    for (int round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < CAPTURED_STREAMS; i++)
            captured_send(i);
        rig_idle(&rig, 300);
    }
    assert_true(captured.wide <= WIDE_MAX);
    assert_true(captured.wide > WIDE_MAX / 2);
    send_and_wait(100000); /* another smtpd has a share of its own */
    for (uint64_t i = 0; i < CAPTURED_STREAMS; i++)
        captured_end(i);
    assert_true(rig_wait(&rig, &captured.accepted, CAPTURED_STREAMS));
    channel_free(&captured.channel);
}

static void envelopes_of_one_smtpd_are_bounded_together(void **state)
{
    (void)state;
    enum {
        RECIPIENTS = 1000,
        FIT = INLET_BYTES_MAX / (RECIPIENTS * sizeof(struct envelope_recipient)),
    };
    capture();
    assert_true(FIT + 1 < CAPTURED_STREAMS);
    for (uint64_t i = 0; i <= FIT; i++)
        captured_begin(i, RECIPIENTS);
    assert_true(rig_wait(&rig, &captured.full, 1));
    captured_abort(0);
    captured_begin(FIT + 1, RECIPIENTS); /* there is room again */
    rig_idle(&rig, 300);
    assert_int_equal(captured.full, 1);
    send_and_wait(100);
    channel_free(&captured.channel);
    rig_idle(&rig, 100);
    send_and_wait(100);
}

static void many_messages_at_once_all_arrive(void **state)
{
    (void)state;
    rig.answers_itself = true;
    rig.kind = IPC__RESULT_KIND__DELIVERED;
    rig_attach_worker(&rig, 50, NULL, 0);
    for (int i = 0; i < 1000; i++)
        rig_send_one(&rig, "ada@sender.test", "bob@example.net", 1000);
    assert_true(rig_wait(&rig, &rig.ack_count, 960));
    rig_idle(&rig, 300);
    assert_int_equal(rig.done_count, 1000);
    assert_int_equal(rig.job_count, 1000);
    assert_row_count(0);
}

static void a_failed_message_comes_back_as_a_notification(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(100);
    const struct rig_job *job = next_job();
    rig_outcome(&rig, job, IPC__RESULT_KIND__FAILED, "5.1.1", "550 5.1.1 nobody here", false);
    job = next_job();
    assert_int_equal(job->job->envelope->reverse_path->text.len, 0);
    assert_true(span_equal(span_of_bytes(job->job->next_hop), SPAN("sender.test")));
    rig_pull(&rig, job);
    assert_true(rig_wait(&rig, &rig.chunk_count, job->job->chunks));
    assert_non_null(memmem(rig.content.base, buf_len(&rig.content), "550 5.1.1 nobody here", 21));
}

static void a_resting_hop_is_woken_by_the_operator(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(100);
    rig_outcome(&rig, next_job(), IPC__RESULT_KIND__DEFERRED, "4.4.1", "no answer", true);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    send_and_wait(100); /* waits for the hop */
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 1);
    rig_ask(&rig, "queue retry", "all", "yes");
    assert_false(rig.answer_failed);
    const struct rig_job *job = next_job();
    assert_true(job->job->attempts <= 1);
}

/* RFC 8689 s.3: what a policy makes wait says nothing about it. */
static void tls_required_no_goes_while_its_hop_rests(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(100);
    rig_outcome(&rig, next_job(), IPC__RESULT_KIND__DEFERRED, "4.7.5", "not in policy", true);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    send_and_wait(100); /* waits for the hop, now and in the end */
    rig.tls_required_no = true;
    for (unsigned n = 2; n < 4; n++) {
        uint64_t id = send_and_wait(100);
        const struct rig_job *job = next_job();
        assert_int_equal(job->id, id);
        assert_true(job->job->envelope->tls_required_no);
        rig_outcome(&rig, job, IPC__RESULT_KIND__DEFERRED, "4.2.1", "450 later", false);
        assert_true(rig_wait(&rig, &rig.ack_count, n));
    }
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 3);
    rig.tls_required_no = false;
}

/* ---- reports of ours (RFC 8460) -----------------------------------------------------------------
 */

/* Hands one in as tlsrpt does. */
static uint64_t report_and_wait(const char *once, size_t size)
{
    rig.tls_report = true;
    rig.once = once;
    uint64_t id = send_and_wait(size);
    rig.tls_report = false;
    rig.once = NULL;
    return id;
}

static void be_tlsrpt(void)
{
    rig_attach_signer(&rig); /* without whom no report goes */
    queue_client_attach(rig.tlsrpt, rig_peer(&rig, ROLE_TLSRPT));
}

static void a_report_goes_in_once_under_its_key_whatever_ends_in_between(void **state)
{
    (void)state;
    restart(signs);
    be_tlsrpt();
    uint64_t id = report_and_wait("2026-01-30.example.net mailto:a@example.net", 100);
    assert_true(id != 0);
    assert_int_equal(report_and_wait("2026-01-30.example.net mailto:a@example.net", 100), id);
    assert_row_count(1);
    restart(signs);
    be_tlsrpt();
    assert_int_equal(report_and_wait("2026-01-30.example.net mailto:a@example.net", 300000), id);
    assert_row_count(1);
    rig_attach_worker(&rig, 10, NULL, 0);
    const struct rig_job *job = next_job();
    assert_true(job->job->envelope->tls_report);
    rig_outcome(&rig, job, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    assert_row_count(0);
    /* also when it has left */
    assert_int_equal(report_and_wait("2026-01-30.example.net mailto:a@example.net", 100), id);
    assert_row_count(0);
    assert_true(report_and_wait("2026-01-31.example.net mailto:a@example.net", 100) > id);
    assert_true(report_and_wait(NULL, 100) > id); /* a copy for the operator has no key */
    assert_row_count(2);
}

static void a_report_of_which_the_answer_was_lost_is_there_once(void **state)
{
    (void)state;
    be_tlsrpt();
    for (unsigned n = 0; n < 5; n++) {
        unsigned before = rig.done_count;
        rig.tls_report = true;
        rig.once = "k";
        rig_send_one(&rig, "ada@sender.test", "bob@example.net", 50000);
        rig_idle(&rig, (int64_t)n);
        restart(quiet);
        be_tlsrpt();
        assert_true(rig_wait(&rig, &rig.done_count, before + 1));
    }
    report_and_wait("k", 100);
    assert_row_count(1);
}

static void a_report_goes_while_its_hop_rests_and_wakes_nobody(void **state)
{
    (void)state;
    restart(signs);
    be_tlsrpt();
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(100);
    rig_outcome(&rig, next_job(), IPC__RESULT_KIND__DEFERRED, "4.7.5", "not in policy", true);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    uint64_t id = report_and_wait("k", 100);
    const struct rig_job *job = next_job();
    assert_int_equal(job->id, id);
    rig_outcome(&rig, job, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 2));
    send_and_wait(100);
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 2); /* the policy still stops all others */
}

static void nobody_is_told_that_a_report_failed(void **state)
{
    (void)state;
    restart(signs);
    be_tlsrpt();
    rig_attach_worker(&rig, 10, NULL, 0);
    report_and_wait("k", 100);
    rig_outcome(&rig, next_job(), IPC__RESULT_KIND__FAILED, "5.1.1", "550 who?", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    assert_row_count(0);
    send_and_wait(100); /* of other mail the sender is, and the postmaster */
    rig_outcome(&rig, next_job(), IPC__RESULT_KIND__FAILED, "5.1.1", "550 who?", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 2));
    assert_row_count(2);
}

static void delivery_hold_accepts_and_delivers_nothing(void **state)
{
    (void)state;
    restart("log-level = \"error\"; delivery = \"hold\";");
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(100);
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 0);
    assert_row_count(1);
    restart(quiet);
    rig_attach_worker(&rig, 10, NULL, 0);
    next_job();
}

static void mail_moves_to_a_relayhost_set_later(void **state)
{
    (void)state;
    send_and_wait(100);
    restart("log-level = \"error\"; relayhost = \"[192.0.2.1]:25\";");
    rig_attach_worker(&rig, 10, NULL, 0);
    assert_true(span_equal(span_of_bytes(next_job()->job->next_hop), SPAN("relayhost")));
}

/* ---- workers ----------------------------------------------------------------------------------
 */

static void nothing_is_leased_before_old_workers_report(void **state)
{
    (void)state;
    send_and_wait(100);
    restart(quiet);
    rig_attach_silent_worker(&rig);
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 0);
    rig_worker_hello(&rig, 10, NULL, 0);
    next_job();
}

static void what_a_worker_still_holds_is_not_leased_again(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    uint64_t held = send_and_wait(100);
    uint64_t lease = next_job()->lease;
    uint64_t free_one = send_and_wait(100);
    struct rig_job kept = { .lease = lease, .id = held, .job = rig.jobs[0].job };
    rig.jobs[0].job = NULL;
    rig_kill(&rig);
    rig_start(&rig, quiet);
    rig_attach_worker(&rig, 10, &lease, 1);
    assert_int_equal(next_job()->id, free_one);
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 1);
    rig_outcome(&rig, &kept, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    assert_row_count(1);
    ipc__job__free_unpacked(kept.job, NULL);
}

static void a_message_that_kills_workers_is_held_at_the_third(void **state)
{
    (void)state;
    struct json *shown;
    char qid[QID_TEXT_SIZE];
    uint64_t id = send_and_wait(100);
    for (int death = 0; death < 3; death++) {
        rig_attach_worker(&rig, 10, NULL, 0);
        assert_int_equal(next_job()->id, id);
        rig_detach_worker(&rig);
    }
    rig_attach_worker(&rig, 10, NULL, 0);
    rig_idle(&rig, 300);
    assert_int_equal(rig.job_count, 3);
    qid_format(id, qid);
    assert_null(json_parse(rig_ask(&rig, "queue show", "id", qid), &shown));
    struct json *recipient = json_item(json_get(shown, "recipients"), 0);
    assert_true(span_equal(json_text(json_get(recipient, "state")), SPAN("held")));
    assert_true(json_text(json_get(shown, "held")).len > 0);
    json_free(&shown);
    rig_ask(&rig, "queue release", "id", qid);
    assert_int_equal(next_job()->id, id);
}

static void a_suspect_is_tried_alone(void **state)
{
    (void)state;
    uint64_t id = send_and_wait(100);
    for (int death = 0; death < 2; death++) {
        rig_attach_worker(&rig, 10, NULL, 0);
        assert_int_equal(next_job()->id, id);
        rig_detach_worker(&rig);
        rig_idle(&rig, 100);
    }
    uint64_t other = send_and_wait(100);
    rig_attach_worker(&rig, 10, NULL, 0);
    const struct rig_job *first = next_job();
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 3); /* one job, whichever, and no other beside the suspect */
    assert_int_equal(first->id, id);
    rig_outcome(&rig, first, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_int_equal(next_job()->id, other);
}

/* Its hop has nothing else, and nobody says of it when a worker is idle. */
static void a_suspect_is_tried_when_the_worker_is_idle_again(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(100);
    rig_outcome(&rig, next_job(), IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    uint64_t id = send_and_wait(100);
    for (int death = 0; death < 2; death++) {
        assert_int_equal(next_job()->id, id);
        rig_detach_worker(&rig);
        rig_idle(&rig, 100);
        if (death == 0)
            rig_attach_worker(&rig, 10, NULL, 0);
    }
    rig_send_one(&rig, "ada@sender.example", "u@other.example", 100);
    rig_idle(&rig, 100);
    rig_attach_worker(&rig, 10, NULL, 0);
    const struct rig_job *busy = next_job();
    assert_int_not_equal(busy->id, id);
    rig_idle(&rig, 300);
    assert_int_equal(rig.job_count, 4); /* nothing beside it */
    rig_outcome(&rig, busy, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_int_equal(next_job()->id, id);
}

static void a_worker_gets_no_more_jobs_than_it_has_room_for(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 3, NULL, 0);
    for (int i = 0; i < 10; i++)
        send_and_wait(100);
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 2); /* nothing is known of that hop */
    rig_outcome(&rig, &rig.jobs[0], IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    rig_outcome(&rig, &rig.jobs[1], IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 5); /* two left, three are there */
    rig_outcome(&rig, &rig.jobs[2], IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    next_job();
}

/* The rows of a job that comes back stand before those of jobs given since. */
static void a_returned_job_goes_before_what_came_later(void **state)
{
    (void)state;
    uint64_t first = send_and_wait(100);
    for (int i = 0; i < 10; i++)
        send_and_wait(100);
    rig_attach_worker(&rig, 2, NULL, 0);
    const struct rig_job *job = next_job();
    assert_int_equal(job->id, first);
    next_job();
    rig_outcome(&rig, job, IPC__RESULT_KIND__RETURNED, "", "", false);
    const struct rig_job *third = next_job(); /* given while the return is written */
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    rig_outcome(&rig, third, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_int_equal(next_job()->id, first);
}

static void what_a_dead_worker_held_goes_first(void **state)
{
    (void)state;
    uint64_t first = send_and_wait(100);
    for (int i = 0; i < 10; i++)
        send_and_wait(100);
    rig_attach_worker(&rig, 2, NULL, 0);
    next_job();
    next_job();
    rig_detach_worker(&rig); /* it dies: a first death only, its mail is due as before */
    rig_idle(&rig, 200);
    rig_attach_worker(&rig, 2, NULL, 0);
    assert_int_equal(next_job()->id, first);
}

static void damage(enum queue_table table_number, struct record_key key)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;
    MDB_val at = { key.len, key.bytes };
    MDB_val value;
    char record[4096];
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 32), 0);
    assert_int_equal(mdb_env_open(env, rig.folder, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, queue_tables[table_number], 0, &table), 0);
    assert_int_equal(mdb_get(txn, table, &at, &value), 0);
    assert_true(value.mv_size <= sizeof(record));
    memcpy(record, value.mv_data, value.mv_size);
    record[value.mv_size / 2] ^= 1;
    value.mv_data = record;
    assert_int_equal(mdb_put(txn, table, &at, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void a_message_damaged_while_leased_does_not_stop_its_hop(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    uint64_t id = send_and_wait(100);
    const struct rig_job *job = next_job();
    damage(TABLE_MESSAGE, key_of_id(id));
    rig_outcome(&rig, job, IPC__RESULT_KIND__DEFERRED, "4.4.1", "no host answers", true);
    assert_true(rig_wait(&rig, &rig.ack_count, 1)); /* it is held, and that is on disk */
    uint64_t other = send_and_wait(100);
    assert_int_equal(next_job()->id, other);
}

static void a_hop_whose_record_is_damaged_goes_on(void **state)
{
    (void)state;
    uint64_t id = send_and_wait(100);
    damage(TABLE_HOP, key_of_hop(SPAN("example.net")));
    rig_attach_worker(&rig, 10, NULL, 0);
    assert_int_equal(next_job()->id, id);
}

static void a_message_damaged_while_it_waits_is_set_aside(void **state)
{
    (void)state;
    uint64_t id = send_and_wait(100);
    uint64_t other = send_and_wait(100);
    damage(TABLE_RECIPIENT, key_of_part(id, 0));
    rig_attach_worker(&rig, 10, NULL, 0);
    assert_int_equal(next_job()->id, other);
    rig_idle(&rig, 200);
    restart("log-level = \"error\";"); /* it is set aside for good */
    rig_attach_worker(&rig, 10, NULL, 0);
    assert_int_equal(next_job()->id, other);
    rig_idle(&rig, 200);
    assert_int_equal(rig.job_count, 1);
}

/* Its id is what the log and the list say of it. */
static void a_message_that_cannot_be_read_is_removed_by_its_id(void **state)
{
    (void)state;
    static const enum queue_table tables[] = { TABLE_MESSAGE, TABLE_RECIPIENT };
    for (int i = 0; i < 2; i++) {
        uint64_t id = send_and_wait(100);
        char qid[QID_TEXT_SIZE];
        qid_format(id, qid);
        damage(tables[i], i == 0 ? key_of_id(id) : key_of_part(id, 0));
        struct json *told = NULL;
        assert_null(json_parse(rig_ask(&rig, "queue count", "id", qid), &told));
        assert_int_equal(json_number(json_get(told, "recipients")), 1);
        json_free(&told);
        assert_null(json_parse(rig_ask(&rig, "queue count", "state", "damaged"), &told));
        assert_int_equal(json_number(json_get(told, "damaged")), 1);
        assert_int_equal(json_number(json_get(told, "unreadable")), 1);
        assert_int_equal(json_number(json_get(told, "held")), 0);
        json_free(&told);
        assert_null(json_parse(rig_ask(&rig, "queue count", "state", "held"), &told));
        assert_int_equal(json_number(json_get(told, "recipients")), 0);
        json_free(&told);
        assert_null(json_parse(rig_ask(&rig, "queue hold", "id", qid), &told));
        assert_int_equal(json_number(json_get(told, "changed")), 0);
        assert_int_equal(json_number(json_get(told, "damaged")), 1);
        json_free(&told);
        assert_null(json_parse(rig_ask(&rig, "queue remove", "id", qid), &told));
        assert_int_equal(json_number(json_get(told, "changed")), 1);
        json_free(&told);
        assert_row_count(0);
    }
}

static void a_message_whose_content_is_damaged_is_set_aside(void **state)
{
    (void)state;
    uint64_t id = send_and_wait(100);
    damage(TABLE_CONTENT, key_of_part(id, 0));
    rig_attach_worker(&rig, 10, NULL, 0);
    const struct rig_job *job = next_job();
    rig_pull(&rig, job);
    rig_idle(&rig, 200);
    assert_true(rig.chunk_damaged);
    rig_outcome(&rig, job, IPC__RESULT_KIND__DEFERRED, "4.3.0", "the stored message is damaged",
                false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    struct store *store;
    int exit_status;
    struct settings settings;
    rig_kill(&rig);
    settings_defaults(&settings);
    assert_null(store_open(rig.folder, store_limits_of(&settings), 1000, &store, &exit_status));
    assert_int_equal(store_usage(store).damaged_messages, 1);
    assert_int_equal(store_usage(store).messages, 1);
    store_close(&store);
}

/* The clock was a year ahead when it was made: nobody's time passed by that. */
static void an_attempt_of_a_time_to_come_ends_no_mail(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    restart("log-level = \"error\"; queue-lifetime = \"1h\"; retry-first = \"1m\";");
    for (int i = 0; i < COUNT; i++)
        send_and_wait(100);
    rig_attach_worker(&rig, 1, NULL, 0);
    const struct rig_job *job = next_job();
    rig.tried_ahead_ms = 365 * DAY_MS;
    rig_outcome(&rig, job, IPC__RESULT_KIND__DEFERRED, "4.4.1", "no host answers", true);
    rig_idle(&rig, 1500);
    rig.tried_ahead_ms = 0;
    assert_int_equal(rig.job_count, 1); /* no notification */
    assert_row_count(COUNT);
}

/* One attempt is made, and holds for all: nobody waits beyond his time behind a host that is down.
 */
static void old_mail_of_a_hop_that_is_down_ends_with_one_attempt(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    restart("log-level = \"error\"; queue-lifetime = \"1s\"; retry-first = \"1m\";");
    for (int i = 0; i < COUNT; i++)
        send_and_wait(100);
    rig_idle(&rig, 1200);
    rig_attach_worker(&rig, 1, NULL, 0);
    const struct rig_job *job = next_job();
    rig_outcome(&rig, job, IPC__RESULT_KIND__DEFERRED, "4.4.1", "no host answers", true);
    rig_idle(&rig, 1500);
    assert_int_equal(rig.job_count, 2); /* what goes next is a notification, to another hop */
    assert_true(span_equal(span_of_bytes(rig.jobs[1].job->next_hop), SPAN("sender.test")));
    rig_kill(&rig);
    struct store *store;
    int exit_status;
    struct settings settings;
    settings_defaults(&settings);
    assert_null(store_open(rig.folder, store_limits_of(&settings), 1000, &store, &exit_status));
    assert_int_equal(store_usage(store).messages, COUNT); /* the notifications ... */
    struct kv_txn *txn;
    uint64_t hops;
    assert_null(kv_begin_read(store_kv(store), &txn));
    assert_null(kv_count(txn, TABLE_HOP, &hops));
    kv_abort(&txn);
    assert_int_equal(hops, 1); /* ... and nothing for the hop that is down */
    store_close(&store);
}

/* Processor time that the queue has used. */
static int64_t queue_cpu_ms(void)
{
    struct timespec used;
    clockid_t clock;
    assert_int_equal(clock_getcpuclockid(rig.pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &used), 0);
    return (int64_t)used.tv_sec * SECOND_MS + used.tv_nsec / 1000000;
}

static void many_hops_wait_quietly_while_workers_are_full(void **state)
{
    (void)state;
    enum { HOPS = 1500 }; /* more than take turns at a time */
    char to[64];
    rig_attach_worker(&rig, 1, NULL, 0);
    for (unsigned i = 0; i < HOPS; i++) {
        snprintf(to, sizeof(to), "bob@host%u.test", i);
        rig_send_one(&rig, "ada@sender.test", to, 10);
    }
    assert_true(rig_wait(&rig, &rig.done_count, HOPS));
    assert_true(rig_wait(&rig, &rig.job_count, 1));
    rig_idle(&rig, 500);
    int64_t before = queue_cpu_ms();
    rig_idle(&rig, 2000);
    assert_true(queue_cpu_ms() - before < 200);
    assert_int_equal(rig.job_count, 1);
    rig.answers_itself = true; /* and all have their turn when there is room */
    rig.kind = IPC__RESULT_KIND__DELIVERED;
    rig_outcome(&rig, &rig.jobs[0], IPC__RESULT_KIND__DELIVERED, "2.0.0", "", false);
    assert_true(rig_wait(&rig, &rig.job_count, HOPS));
}

/* Four may be tried at a time: twelve are parked, and four more have their moment. */
static void hops_that_stay_silent_do_not_keep_others_waiting(void **state)
{
    (void)state;
    char to[64];
    rig_attach_worker(&rig, 4, NULL, 0);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(to, sizeof(to), "bob@host%u.test", i);
        rig_send_one(&rig, "ada@sender.test", to, 10);
    }
    assert_true(rig_wait(&rig, &rig.job_count, 4 + 12));
    rig_idle(&rig, 700);
    assert_int_equal(rig.job_count, 4 + 12);
    rig_outcome(&rig, &rig.jobs[0], IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.job_count, 4 + 12 + 1));
}

static void another_workers_recipients_cannot_be_settled(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(100);
    struct rig_job forged = *next_job();
    forged.lease ^= 1; /* a lease that nobody gave */
    rig_outcome(&rig, &forged, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 taken", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    assert_row_count(1);
}

/* ---- limits and bad input ---------------------------------------------------------------------
 */

static void a_full_queue_refuses_and_goes_on_delivering(void **state)
{
    (void)state;
    restart("log-level = \"error\"; max-message-size = \"1M\"; queue-size-max = \"2M\";");
    unsigned full = 0;
    for (int i = 0; i < 40; i++)
        rig_send_one(&rig, "ada@sender.test", "bob@example.net", 100000);
    unsigned before = rig.done_count;
    assert_true(rig_wait(&rig, &rig.done_count, before + 40));
    for (unsigned i = before; i < before + 40; i++) {
        assert_true(rig.outcomes[i] == ACCEPT_DONE || rig.outcomes[i] == ACCEPT_FULL);
        full += rig.outcomes[i] == ACCEPT_FULL;
    }
    assert_true(full > 10 && full < 30);
    rig_idle(&rig, 1500);
    rig.answers_itself = true;
    rig.kind = IPC__RESULT_KIND__DELIVERED;
    rig_attach_worker(&rig, 50, NULL, 0);
    assert_true(rig_wait(&rig, &rig.job_count, 40 - full));
    rig_idle(&rig, 1500);
    assert_false(queue_client_is_full(rig.smtpd));
    send_and_wait(100000);
}

/* What `queue counts` says why new mail is refused; NULL: it is not. */
static void expect_refused_for(const char *limit)
{
    struct json *counts;

    assert_null(json_parse(rig_ask(&rig, "queue counts", NULL, ""), &counts));
    struct span full = json_text(json_get(counts, "full"));
    assert_true(span_equal(full, span_of(limit ? limit : "")));
    json_free(&counts);
}

static void beyond_so_many_messages_none_is_taken_until_there_is_room(void **state)
{
    (void)state;
    enum { MOST = 100 };
    unsigned taken = 0;
    restart("log-level = \"error\"; queue-messages-max = 100;");
    unsigned before = rig.done_count;
    for (int i = 0; i < MOST; i++)
        rig_send_one(&rig, "ada@sender.test", "bob@example.net", 100);
    assert_true(rig_wait(&rig, &rig.done_count, before + MOST));
    for (int i = 0; i < 10; i++)
        rig_send_one(&rig, "ada@sender.test", "bob@example.net", 100);
    assert_true(rig_wait(&rig, &rig.done_count, before + MOST + 10));
    for (unsigned i = before; i < before + MOST + 10; i++)
        taken += rig.outcomes[i] == ACCEPT_DONE;
    assert_int_equal(taken, MOST);
    rig_idle(&rig, 1500);
    assert_true(queue_client_is_full(rig.smtpd));
    expect_refused_for("queue-messages-max");
    rig.answers_itself = true;
    rig.kind = IPC__RESULT_KIND__DELIVERED;
    rig_attach_worker(&rig, 50, NULL, 0);
    assert_true(rig_wait(&rig, &rig.job_count, MOST));
    rig_idle(&rig, 1500);
    assert_false(queue_client_is_full(rig.smtpd));
    expect_refused_for(NULL);
    send_and_wait(100);
}

static void nonsense_from_a_worker_ends_its_channel_alone(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    rig_idle(&rig, 50);
    Ipc__AcceptEnd end = IPC__ACCEPT_END__INIT;
    channel_send(rig.worker, FRAME_ACCEPT_END, &end.base, SPAN("nonsense"));
    rig_idle(&rig, 300);
    assert_true(rig.worker_closed);
    send_and_wait(100);
}

/* It would fill the queue's memory: a thousand windows of content, and it reads none. */
static void a_worker_that_pulls_without_reading_is_ended(void **state)
{
    (void)state;
    rig_attach_worker(&rig, 10, NULL, 0);
    send_and_wait(1024 * 1024);
    const struct rig_job *job = next_job();
    Ipc__ContentPull pull = IPC__CONTENT_PULL__INIT;
    pull.lease = job->lease;
    pull.count = STREAM_WINDOW / CONTENT_CHUNK_SIZE;
    for (int i = 0; i < 1000; i++)
        channel_send(rig.worker, FRAME_CONTENT_PULL, &pull.base, SPAN(""));
    rig_idle(&rig, 500);
    assert_true(rig.worker_closed);
    assert_true(rig.chunk_count < 40 * pull.count);
    send_and_wait(100);
}

static void a_second_queue_on_the_same_folder_waits_for_the_lock(void **state)
{
    (void)state;
    rig_idle(&rig, 10);
    assert_int_equal(access(rig.folder, R_OK), 0);
    send_and_wait(100);
    restart(quiet); /* the lock of the killed one is free at once */
    assert_row_count(1);
}

static void requests_that_make_no_sense_get_a_sentence(void **state)
{
    (void)state;
    struct span answer = rig_ask(&rig, "queue show", "id", "123abc");
    assert_true(rig.answer_failed);
    assert_non_null(memmem(answer.data, answer.len, "123abc", 6));
    rig_ask(&rig, "queue show", "id", "not hexadecimal");
    assert_true(rig.answer_failed);
    rig_ask(&rig, "queue list", "limit", "5001");
    assert_true(rig.answer_failed);
    rig_ask(&rig, "queue dance", NULL, "");
    assert_true(rig.answer_failed);
}

static void hostile_requests_change_nothing_and_get_a_sentence(void **state)
{
    static const struct {
        const char *verb, *name, *value;
    } requests[] = {
        { "queue hold", "nothing", "given" },
        { "queue remove", "older", "-1h" },
        { "queue bounce", "all", "yes" },
        { "queue reroute", "all", "yes" },
        { "queue remove", "id", "0" },
        { "queue retry", "state", "\x1b[2J" },
        { "queue count", "sender", "" },
        { "queue list", "younger", "9999999999999d" },
        { "queue suspend", "hop", "example.net" },
        { "queue suspend", "hop", "a\nb" },
        { "queue resume", "hop", "example.net" },
        { "queue resume", "hop", "route:../x" },
        { "queue trace", "id", "../../etc" },
        { "queue release", "id", "ffffffffffffffff" },
    };
    char huge[4096];

    (void)state;
    send_and_wait(100);
    memset(huge, '*', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        rig_ask(&rig, requests[i].verb, requests[i].name, requests[i].value);
        assert_true(rig.answer_failed);
    }
    rig_ask(&rig, "queue remove", "sender", huge);
    assert_true(rig.answer_failed);
    assert_row_count(1);
}

static void a_change_whose_asker_went_away_goes_no_further(void **state)
{
    (void)state;
    Ipc__ControlRequest request = IPC__CONTROL_REQUEST__INIT;
    Ipc__ControlGone gone = IPC__CONTROL_GONE__INIT;
    Ipc__Argument all = IPC__ARGUMENT__INIT;
    Ipc__Argument *arguments[] = { &all };
    send_and_wait(100);
    rig_ask(&rig, "queue hold", "all", "yes");
    assert_false(rig.answer_failed);
    request.id = gone.id = 4711;
    request.verb = bytes_of_span(SPAN("queue release"));
    request.arguments = arguments;
    request.n_arguments = 1;
    all.name = bytes_of_span(SPAN("all"));
    all.value = bytes_of_span(SPAN("yes"));
    channel_send(rig.supervisor, FRAME_CONTROL_REQUEST, &request.base, (struct span){ NULL, 0 });
    channel_send(rig.supervisor, FRAME_CONTROL_GONE, &gone.base, (struct span){ NULL, 0 });
    rig_idle(&rig, 200);
    struct span answer = rig_ask(&rig, "queue list", "state", "held");
    assert_non_null(memmem(answer.data, answer.len, "example.net", 11));
    rig_ask(&rig, "queue release", "all", "yes"); /* the next one has its turn */
    assert_false(rig.answer_failed);
    assert_true(span_equal(rig_ask(&rig, "queue list", "state", "held"), SPAN("[]")));
}

static void a_list_comes_in_pages(void **state)
{
    (void)state;
    struct json *page;
    for (int i = 0; i < 3; i++)
        send_and_wait(100);
    assert_null(json_parse(rig_ask(&rig, "queue list", "limit", "2"), &page));
    assert_int_equal(json_count(json_get(page, "messages")), 2);
    assert_true(json_text(json_get(page, "next")).len > 0);
    json_free(&page);
    assert_row_count(3);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    log_open(STDERR_FILENO, LOG_ERROR, "test");
    const struct CMUnitTest tests[] = {
        TEST("a message goes from accept to delivered", a_message_goes_from_accept_to_delivered),
        TEST("a large message comes through whole", a_large_message_comes_through_whole),
        TEST("an accepted message survives kill -9", an_accepted_message_survives_kill_9),
        TEST("nothing is left of a message that never ended",
             nothing_is_left_of_a_message_that_never_ended),
        TEST("many streams of one smtpd share what it may hold, and all come in",
             many_streams_of_one_smtpd_share_what_it_may_hold),
        TEST("envelopes of one smtpd are bounded together",
             envelopes_of_one_smtpd_are_bounded_together),
        TEST("a thousand messages at once all arrive", many_messages_at_once_all_arrive),
        TEST("a failed message comes back to its sender as a notification",
             a_failed_message_comes_back_as_a_notification),
        TEST("a hop that rests is woken by the operator", a_resting_hop_is_woken_by_the_operator),
        TEST("TLS-Required: No goes while its hop rests, and the others wait on",
             tls_required_no_goes_while_its_hop_rests),
        TEST("a report goes in once under its key, whatever ends in between",
             a_report_goes_in_once_under_its_key_whatever_ends_in_between),
        TEST("a report of which the answer was lost is there once",
             a_report_of_which_the_answer_was_lost_is_there_once),
        TEST("a report goes while its hop rests, and wakes nobody",
             a_report_goes_while_its_hop_rests_and_wakes_nobody),
        TEST("nobody is told that a report failed", nobody_is_told_that_a_report_failed),
        TEST("delivery = hold accepts and delivers nothing",
             delivery_hold_accepts_and_delivers_nothing),
        TEST("mail in the queue moves to a relayhost that is set later",
             mail_moves_to_a_relayhost_set_later),
        TEST("nothing is leased before the old workers have reported",
             nothing_is_leased_before_old_workers_report),
        TEST("what a worker holds from before is not leased again, and its outcome counts",
             what_a_worker_still_holds_is_not_leased_again),
        TEST("a message that kills three workers is held, and released by the operator",
             a_message_that_kills_workers_is_held_at_the_third),
        TEST("after two deaths a message is tried alone", a_suspect_is_tried_alone),
        TEST("a message that is to be tried alone is tried when the worker is idle again",
             a_suspect_is_tried_when_the_worker_is_idle_again),
        TEST("a worker gets no more jobs than it has room for",
             a_worker_gets_no_more_jobs_than_it_has_room_for),
        TEST("a returned job goes before what came later",
             a_returned_job_goes_before_what_came_later),
        TEST("what a dead worker held goes first", what_a_dead_worker_held_goes_first),
        TEST("an attempt of a time to come ends no mail",
             an_attempt_of_a_time_to_come_ends_no_mail),
        TEST("old mail of a hop that is down ends with one attempt, not one attempt each",
             old_mail_of_a_hop_that_is_down_ends_with_one_attempt),
        TEST("a message damaged while it was leased is set aside, and its hop goes on",
             a_message_damaged_while_leased_does_not_stop_its_hop),
        TEST("a hop whose record is damaged goes on", a_hop_whose_record_is_damaged_goes_on),
        TEST("a message that cannot be read is removed by its id",
             a_message_that_cannot_be_read_is_removed_by_its_id),
        TEST("a message damaged while it waits is set aside for good, and its hop goes on",
             a_message_damaged_while_it_waits_is_set_aside),
        TEST("a message whose content is damaged is set aside, not bounced",
             a_message_whose_content_is_damaged_is_set_aside),
        TEST("more hops than take turns wait quietly while the workers are full",
             many_hops_wait_quietly_while_workers_are_full),
        TEST("hops that stay silent do not keep others waiting, as far as there is room for them",
             hops_that_stay_silent_do_not_keep_others_waiting),
        TEST("an outcome under a lease that nobody gave settles nothing",
             another_workers_recipients_cannot_be_settled),
        TEST("a full queue refuses mail and goes on delivering",
             a_full_queue_refuses_and_goes_on_delivering),
        TEST("beyond queue-messages-max no message is taken until some are delivered",
             beyond_so_many_messages_none_is_taken_until_there_is_room),
        TEST("nonsense from a worker ends its channel and nothing else",
             nonsense_from_a_worker_ends_its_channel_alone),
        TEST("a worker that pulls content without reading it is ended",
             a_worker_that_pulls_without_reading_is_ended),
        TEST("a queue that was killed leaves its lock free",
             a_second_queue_on_the_same_folder_waits_for_the_lock),
        TEST("requests that make no sense get a sentence",
             requests_that_make_no_sense_get_a_sentence),
        TEST("a change whose asker went away goes no further",
             a_change_whose_asker_went_away_goes_no_further),
        TEST("hostile requests change nothing and get a sentence",
             hostile_requests_change_nothing_and_get_a_sentence),
        TEST("a list comes in pages, or whole", a_list_comes_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
