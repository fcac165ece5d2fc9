/* A captured role at the queue's door: what it must not reach, though it speaks the queue's
 * language. */
#include "tests/support/test.h"

#include "tests/support/queue_rig.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/ipc/envelope_codec.h"
#include "lib/ipc/frames.h"
#include "lib/ipc/role.h"
#include "lib/ipc/supervisor.pb-c.h"

static const char quiet[] = "log-level = \"error\";";
static const struct span nothing = { NULL, 0 };
static struct queue_rig rig;

/* The captured role, beside the rig's own smtpd and worker. */
static struct {
    struct channel *channel; /* NULL: the queue has ended it */
    unsigned chunks;
    unsigned acks;
    unsigned done;
} captured;

static void on_frame(void *ctx, struct channel_frame *frame)
{
    (void)ctx;
    captured.chunks += frame->type == FRAME_JOB_CONTENT;
    captured.acks += frame->type == FRAME_OUTCOME_ACK;
    captured.done += frame->type == FRAME_ACCEPT_DONE;
    loop_stop(rig.loop);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    channel_free(&captured.channel);
    loop_stop(rig.loop);
}

static const struct channel_events events = { on_frame, on_closed };

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
    channel_free(&captured.channel);
    rig_close(&rig);
    return 0;
}

static void capture(enum role_id role)
{
    Ipc__Peer peer = IPC__PEER__INIT;
    int pair[2];
    memset(&captured, 0, sizeof(captured));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    peer.role = role;
    peer.instance = 1;
    peer.generation = 1;
    channel_send_fd(rig.supervisor, FRAME_PEER, &peer.base, pair[1]);
    captured.channel = channel_open(rig.loop, pair[0], &events, NULL);
}

static uint64_t send_and_wait(const char *const *recipients, size_t count)
{
    unsigned before = rig.done_count;
    rig_send(&rig, "ada@sender.test", recipients, count, 500);
    assert_true(rig_wait(&rig, &rig.done_count, before + 1));
    assert_int_equal(rig.outcomes[before], ACCEPT_DONE);
    return rig.ids[before];
}

static size_t row_count(void)
{
    struct json *rows;
    assert_null(json_parse(rig_ask(&rig, "queue list", NULL, ""), &rows));
    size_t count = json_count(rows);
    json_free(&rows);
    return count;
}

/* It is shut out, and the others are served as before. */
static void assert_shut_out(void)
{
    static const char *const bob[] = { "bob@example.net" };
    for (int i = 0; captured.channel && i < 200; i++)
        rig_idle(&rig, 50);
    assert_null(captured.channel);
    send_and_wait(bob, 1);
}

/* ---- a captured smtpd -------------------------------------------------------------------------
 */

static void begin_as(uint64_t stream, bool tls_report, struct span once)
{
    Ipc__AcceptBegin m = IPC__ACCEPT_BEGIN__INIT;
    struct envelope envelope;
    struct address bob;
    envelope_init(&envelope);
    assert_int_equal(address_parse_reverse(SPAN("a@sender.test"), &envelope.reverse_path),
                     ADDRESS_FINE);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &bob), ADDRESS_FINE);
    envelope_add(&envelope, &bob);
    envelope.tls_report = tls_report;
    m.stream = stream;
    m.once = bytes_of_span(once);
    m.envelope = envelope_to_message(&envelope);
    m.trace_head = bytes_of_span(SPAN("Received: id "));
    m.trace_tail = bytes_of_span(SPAN("\r\n"));
    channel_send(captured.channel, FRAME_ACCEPT_BEGIN, &m.base, nothing);
    envelope_message_free(&m.envelope);
    envelope_clear(&envelope);
}

static void begin(uint64_t stream)
{
    begin_as(stream, false, nothing);
}

static void content(uint64_t stream, size_t len)
{
    static char bytes[FRAME_BODY_MAX];
    Ipc__AcceptContent m = IPC__ACCEPT_CONTENT__INIT;
    m.stream = stream;
    memset(bytes, 'x', sizeof(bytes));
    channel_send(captured.channel, FRAME_ACCEPT_CONTENT, &m.base, (struct span){ bytes, len });
}

static void end(uint64_t stream)
{
    Ipc__AcceptEnd m = IPC__ACCEPT_END__INIT;
    m.stream = stream;
    channel_send(captured.channel, FRAME_ACCEPT_END, &m.base, nothing);
}

static void an_smtpd_that_speaks_as_another_role_is_shut_out(void **state)
{
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    (void)state;
    capture(ROLE_SMTPD);
    channel_send(captured.channel, FRAME_OUTCOME, &outcome.base, nothing);
    assert_shut_out();
}

static void an_smtpd_that_sends_without_credit_is_shut_out(void **state)
{
    (void)state;
    capture(ROLE_SMTPD);
    begin(1);
    for (int i = 0; i < STREAM_WINDOW / FRAME_BODY_MAX; i++)
        content(1, FRAME_BODY_MAX);
    content(1, 1); /* all of it comes in one go: no credit has been given anew */
    assert_shut_out();
}

static void an_smtpd_that_begins_a_message_twice_is_shut_out(void **state)
{
    (void)state;
    capture(ROLE_SMTPD);
    begin(1);
    begin(1);
    assert_shut_out();
}

static void an_smtpd_that_adds_to_an_ended_message_is_shut_out(void **state)
{
    (void)state;
    capture(ROLE_SMTPD);
    begin(1);
    content(1, 10);
    end(1);
    content(1, 10);
    assert_shut_out();
}

static void an_smtpd_cannot_open_streams_without_end(void **state)
{
    (void)state;
    capture(ROLE_SMTPD);
    for (uint64_t stream = 1; stream <= 16 * 1024 + 1; stream++)
        begin(stream);
    assert_shut_out();
}

/* Nothing that a client said may get past a policy. */
static void an_smtpd_that_calls_its_mail_a_report_is_shut_out(void **state)
{
    (void)state;
    capture(ROLE_SMTPD);
    begin_as(1, true, nothing);
    assert_shut_out();
    capture(ROLE_PICKUP);
    begin_as(1, true, SPAN("key"));
    assert_shut_out();
    capture(ROLE_SMTPD);
    begin_as(1, false, SPAN("key"));
    assert_shut_out();
}

static void a_tlsrpt_that_sends_other_mail_is_shut_out(void **state)
{
    static char long_key[ONCE_KEY_MAX + 1];
    Ipc__ProbeAsk ask = IPC__PROBE_ASK__INIT;
    Ipc__Envelope envelope = IPC__ENVELOPE__INIT;
    Ipc__Mailbox mailbox;
    struct address bob;
    (void)state;
    capture(ROLE_TLSRPT);
    begin_as(1, false, nothing);
    assert_shut_out();
    memset(long_key, 'k', sizeof(long_key));
    capture(ROLE_TLSRPT);
    begin_as(1, true, (struct span){ long_key, ONCE_KEY_MAX });
    rig_idle(&rig, 100);
    assert_non_null(captured.channel);
    begin_as(2, true, (struct span){ long_key, ONCE_KEY_MAX + 1 });
    assert_shut_out();
    assert_int_equal(address_parse(SPAN("bob@example.net"), &bob), ADDRESS_FINE);
    mailbox_to_message(&mailbox, &bob);
    ask.mailbox = &mailbox;
    ask.envelope = &envelope;
    capture(ROLE_TLSRPT);
    channel_send(captured.channel, FRAME_PROBE_ASK, &ask.base, nothing);
    assert_shut_out();
}

/* ---- a captured worker ------------------------------------------------------------------------
 */

/* The rig's worker has a message; the captured one knows the number of its lease. */
static const struct rig_job *anothers_job(const char *const *recipients, size_t count)
{
    rig_attach_worker(&rig, 1, NULL, 0);
    rig_idle(&rig, 50);
    capture(ROLE_DELIVER);
    Ipc__WorkerHello hello = IPC__WORKER_HELLO__INIT;
    channel_send(captured.channel, FRAME_WORKER_HELLO, &hello.base, nothing);
    rig_idle(&rig, 50);
    send_and_wait(recipients, count);
    assert_true(rig_wait(&rig, &rig.job_count, 1));
    return &rig.jobs[0];
}

static void tell_delivered(struct channel *channel, const struct rig_job *job,
                           const uint32_t *numbers, size_t count)
{
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    Ipc__Result results[4];
    Ipc__Result *pointers[4];
    assert_true(count <= 4);
    for (size_t i = 0; i < count; i++) {
        ipc__result__init(&results[i]);
        results[i].number = numbers[i];
        results[i].kind = IPC__RESULT_KIND__DELIVERED;
        pointers[i] = &results[i];
    }
    outcome.lease = job->lease;
    outcome.id = job->id;
    outcome.results = pointers;
    outcome.n_results = count;
    channel_send(channel, FRAME_OUTCOME, &outcome.base, nothing);
}

static void a_worker_settles_nothing_of_what_another_holds(void **state)
{
    static const char *const bob[] = { "bob@example.net" };
    static const uint32_t numbers[] = { 0 };
    (void)state;
    const struct rig_job *job = anothers_job(bob, 1);
    tell_delivered(captured.channel, job, numbers, 1);
    assert_true(rig_wait(&rig, &captured.acks, 1));
    assert_int_equal(row_count(), 1);
    rig_outcome(&rig, job, IPC__RESULT_KIND__DELIVERED, "2.0.0", "250 ok", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    assert_int_equal(row_count(), 0);
}

static void a_worker_reads_nothing_of_what_another_holds(void **state)
{
    static const char *const bob[] = { "bob@example.net" };
    Ipc__ContentPull pull = IPC__CONTENT_PULL__INIT;
    (void)state;
    const struct rig_job *job = anothers_job(bob, 1);
    pull.lease = job->lease;
    pull.count = 1;
    channel_send(captured.channel, FRAME_CONTENT_PULL, &pull.base, nothing);
    rig_idle(&rig, 200);
    assert_int_equal(captured.chunks + rig.chunk_count, 0);
    rig_pull(&rig, job);
    assert_int_equal(rig.chunk_count, 1);
}

static void a_worker_settles_only_the_recipients_it_was_given(void **state)
{
    static const char *const two[] = { "bob@example.net", "carol@example.org" };
    static const uint32_t numbers[] = { 0, 1, 2, 0 };
    (void)state;
    const struct rig_job *job = anothers_job(two, 2); /* it takes one: the other domain's waits */
    assert_int_equal(job->job->envelope->n_recipients, 1);
    tell_delivered(rig.worker, job, numbers, 4);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    assert_int_equal(row_count(), 1);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("hostile: an smtpd that speaks as another role is shut out",
             an_smtpd_that_speaks_as_another_role_is_shut_out),
        TEST("hostile: an smtpd that sends without credit is shut out",
             an_smtpd_that_sends_without_credit_is_shut_out),
        TEST("hostile: an smtpd that begins a message twice is shut out",
             an_smtpd_that_begins_a_message_twice_is_shut_out),
        TEST("hostile: an smtpd that adds to an ended message is shut out",
             an_smtpd_that_adds_to_an_ended_message_is_shut_out),
        TEST("hostile: an smtpd cannot open streams without end",
             an_smtpd_cannot_open_streams_without_end),
        TEST("hostile: an smtpd that calls its mail a report of ours is shut out",
             an_smtpd_that_calls_its_mail_a_report_is_shut_out),
        TEST("hostile: a tlsrpt that sends other mail than reports is shut out",
             a_tlsrpt_that_sends_other_mail_is_shut_out),
        TEST("hostile: a worker settles nothing of what another holds",
             a_worker_settles_nothing_of_what_another_holds),
        TEST("hostile: a worker reads nothing of what another holds",
             a_worker_reads_nothing_of_what_another_holds),
        TEST("hostile: a worker settles only the recipients it was given",
             a_worker_settles_only_the_recipients_it_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
