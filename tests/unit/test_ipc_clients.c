#include "tests/support/test.h"

#include "lib/base/limits.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"
#include "lib/ipc/policy_client.h"
#include "lib/ipc/queue.pb-c.h"
#include "lib/ipc/queue_client.h"
#include "lib/ipc/tlsrpt_client.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct span nothing = { NULL, 0 };

/* The role at the other end: keeps the last frame's number of each type. */
struct other_end {
    struct channel *channel;
    unsigned frames[128];
    uint64_t last_stream;
    uint64_t last_policy_id;
    size_t content_bytes;
    bool closed;
};

static struct loop *loop;
static struct loop_timer *stop;

static void on_stop(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

static void run(void)
{
    loop_timer_start(stop, 30);
    loop_run(loop);
}

static int open_loop(void **state)
{
    (void)state;
    loop = loop_new();
    stop = loop_timer_new(loop, on_stop, NULL);
    return 0;
}

static int close_loop(void **state)
{
    (void)state;
    loop_timer_free(&stop);
    loop_free(&loop);
    return 0;
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct other_end *end = ctx;

    end->frames[frame->type]++;
    if (frame->type == FRAME_ACCEPT_CONTENT)
        end->content_bytes += frame->body.len;
    if (frame->type == FRAME_ACCEPT_BEGIN) {
        Ipc__AcceptBegin *m = channel_decode(frame, &ipc__accept_begin__descriptor);
        assert_non_null(m);
        end->last_stream = m->stream;
        ipc__accept_begin__free_unpacked(m, NULL);
    }
    if (frame->type == FRAME_POLICY_ASK) {
        Ipc__PolicyAsk *m = channel_decode(frame, &ipc__policy_ask__descriptor);
        assert_non_null(m);
        end->last_policy_id = m->id;
        ipc__policy_ask__free_unpacked(m, NULL);
    }
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    ((struct other_end *)ctx)->closed = true;
}

static const struct channel_events end_events = { on_frame, on_closed };

/* Opens the other end and gives the descriptor for the client. */
static int end_open(struct other_end *end)
{
    int fds[2];

    *end = (struct other_end){ 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    end->channel = channel_open(loop, fds[1], &end_events, end);
    return fds[0];
}

/* --- queue_client */

struct heard {
    unsigned rooms;
    unsigned dones;
    enum accept_outcome outcome;
    uint64_t id;
};

static void on_room(void *ctx)
{
    ((struct heard *)ctx)->rooms++;
}

static void on_done(void *ctx, enum accept_outcome outcome, uint64_t id)
{
    struct heard *heard = ctx;

    heard->dones++;
    heard->outcome = outcome;
    heard->id = id;
}

static const struct queue_accept_events accept_events = { on_room, on_done };

static struct queue_accept *begin(struct queue_client *client, struct heard *heard)
{
    struct envelope e;
    struct address a = { .text = "ada@example.net", .local_len = 3, .domain = "example.net" };

    envelope_init(&e);
    envelope_add(&e, &a);
    struct queue_accept *accept =
        queue_accept_begin(client, &e, SPAN("head"), SPAN("tail"), &accept_events, heard);
    envelope_clear(&e);
    return accept;
}

static void content_is_handed_in_only_against_credit(void **state)
{
    static const char bytes[STREAM_FIRST_CREDIT];
    struct queue_client *client = queue_client_new(loop, NULL, NULL);
    struct heard heard = { 0 };
    struct other_end end;
    Ipc__AcceptCredit credit = IPC__ACCEPT_CREDIT__INIT;
    (void)state;
    assert_false(queue_client_is_up(client));
    queue_client_attach(client, end_open(&end));
    struct queue_accept *accept = begin(client, &heard);
    assert_int_equal(queue_accept_room(accept), STREAM_FIRST_CREDIT);
    queue_accept_content(accept, (struct span){ bytes, STREAM_FIRST_CREDIT });
    assert_int_equal(queue_accept_room(accept), 0);
    run();
    assert_int_equal(end.content_bytes, STREAM_FIRST_CREDIT);
    assert_int_equal(heard.rooms, 0);
    credit.stream = end.last_stream;
    credit.bytes = 1000;
    channel_send(end.channel, FRAME_ACCEPT_CREDIT, &credit.base, nothing);
    run();
    assert_int_equal(heard.rooms, 1);
    assert_int_equal(queue_accept_room(accept), 1000);
    queue_accept_abort(&accept);
    assert_null(accept);
    run();
    assert_int_equal(end.frames[FRAME_ACCEPT_ABORT], 1);
    assert_int_equal(heard.dones, 0);
    queue_client_free(&client);
    channel_free(&end.channel);
}

/* Else a captured queue could make smtpd keep whatever it likes. */
static void credit_beyond_the_window_ends_the_channel(void **state)
{
    static const char bytes[1000];
    struct queue_client *client = queue_client_new(loop, NULL, NULL);
    struct heard heard = { 0 };
    struct other_end end;
    Ipc__AcceptCredit credit = IPC__ACCEPT_CREDIT__INIT;
    (void)state;
    queue_client_attach(client, end_open(&end));
    struct queue_accept *accept = begin(client, &heard);
    queue_accept_content(accept, (struct span){ bytes, sizeof(bytes) });
    run();
    credit.stream = end.last_stream;
    credit.bytes = STREAM_WINDOW - STREAM_FIRST_CREDIT + sizeof(bytes);
    channel_send(end.channel, FRAME_ACCEPT_CREDIT, &credit.base, nothing);
    run();
    assert_true(queue_client_is_up(client));
    credit.bytes = 1;
    channel_send(end.channel, FRAME_ACCEPT_CREDIT, &credit.base, nothing);
    run();
    assert_false(queue_client_is_up(client));
    assert_int_equal(heard.outcome, ACCEPT_LOST);
    queue_client_free(&client);
    channel_free(&end.channel);
}

static void done_comes_only_from_the_queue(void **state)
{
    struct queue_client *client = queue_client_new(loop, NULL, NULL);
    struct heard heard = { 0 };
    struct other_end end;
    Ipc__AcceptDone done = IPC__ACCEPT_DONE__INIT;
    (void)state;
    queue_client_attach(client, end_open(&end));
    struct queue_accept *accept = begin(client, &heard);
    queue_accept_content(accept, SPAN("x\r\n"));
    queue_accept_end(accept, (struct queue_content){ .size = 3, .utf8_header = true });
    run();
    assert_int_equal(end.frames[FRAME_ACCEPT_END], 1);
    assert_int_equal(heard.dones, 0);
    done.stream = end.last_stream;
    done.id = 99;
    channel_send(end.channel, FRAME_ACCEPT_DONE, &done.base, nothing);
    channel_send(end.channel, FRAME_ACCEPT_DONE, &done.base, nothing); /* a second is ignored */
    run();
    assert_int_equal(heard.dones, 1);
    assert_int_equal(heard.outcome, ACCEPT_DONE);
    assert_int_equal(heard.id, 99);
    queue_client_free(&client);
    channel_free(&end.channel);
}

static void on_probe_done(void *ctx, enum probe_verdict verdict)
{
    *(int *)ctx = (int)verdict;
}

static struct queue_probe *probe(struct queue_client *client, int *out_verdict)
{
    struct address mailbox;
    assert_int_equal(address_parse(SPAN("ada@example.net"), &mailbox), ADDRESS_FINE);
    *out_verdict = -1;
    struct envelope envelope;
    envelope_init(&envelope);
    return queue_probe_begin(client, &mailbox, &envelope, on_probe_done, out_verdict);
}

static void a_probe_hears_its_own_verdict_once(void **state)
{
    struct queue_client *client = queue_client_new(loop, NULL, NULL);
    Ipc__ProbeAnswer answer = IPC__PROBE_ANSWER__INIT;
    struct other_end end;
    int taken, cancelled;
    (void)state;
    queue_client_attach(client, end_open(&end));
    probe(client, &taken);
    struct queue_probe *second = probe(client, &cancelled);
    queue_probe_cancel(&second);
    assert_null(second);
    run();
    assert_int_equal(end.frames[FRAME_PROBE_ASK], 2);
    for (answer.id = 0; answer.id < 4; answer.id++) { /* to those that are not there, too */
        answer.verdict =
            answer.id == 1 ? IPC__PROBE_VERDICT__PROBE_TAKEN : IPC__PROBE_VERDICT__PROBE_REFUSED;
        channel_send(end.channel, FRAME_PROBE_ANSWER, &answer.base, nothing);
    }
    run();
    assert_int_equal(taken, PROBE_TAKEN);
    assert_int_equal(cancelled, -1);
    assert_true(queue_client_is_up(client));
    queue_client_free(&client);
    channel_free(&end.channel);
}

static void a_queue_that_goes_away_decides_no_probe(void **state)
{
    struct queue_client *client = queue_client_new(loop, NULL, NULL);
    struct other_end end, fresh;
    int first, second;
    (void)state;
    queue_client_attach(client, end_open(&end));
    probe(client, &first);
    run();
    queue_client_attach(client, end_open(&fresh)); /* its successor is there at once */
    probe(client, &second);
    assert_int_equal(first, -1); /* never from inside */
    run();
    assert_int_equal(first, PROBE_UNDECIDED);
    assert_int_equal(second, -1); /* which is the new one's */
    queue_client_free(&client);
    channel_free(&end.channel);
    channel_free(&fresh.channel);
}

static void a_queue_that_goes_away_loses_what_was_under_way_and_nobody_hears_250(void **state)
{
    struct queue_client *client = queue_client_new(loop, NULL, NULL);
    struct heard heard = { 0 };
    struct other_end end;
    (void)state;
    queue_client_attach(client, end_open(&end));
    struct queue_accept *accept = begin(client, &heard);
    queue_accept_end(accept, (struct queue_content){ .size = 0 });
    run();
    channel_free(&end.channel);
    run();
    assert_int_equal(heard.dones, 1);
    assert_int_equal(heard.outcome, ACCEPT_LOST);
    assert_false(queue_client_is_up(client));
    queue_client_attach(client, end_open(&end));
    assert_true(queue_client_is_up(client));
    queue_client_free(&client);
    channel_free(&end.channel);
}

/* --- policy_client */

struct answered {
    unsigned times;
    Ipc__PolicyState state;
};

static void on_policy(void *ctx, const Ipc__PolicyAnswer *answer)
{
    struct answered *answered = ctx;

    answered->times++;
    answered->state = answer->state;
}

static void a_question_survives_the_death_of_the_policy_role(void **state)
{
    struct policy_client *client = policy_client_new(loop);
    struct answered answered = { 0 };
    struct other_end end;
    Ipc__PolicyAnswer answer = IPC__POLICY_ANSWER__INIT;
    (void)state;
    policy_client_attach(client, end_open(&end));
    policy_ask(client, SPAN("example.net"), false, on_policy, &answered);
    run();
    assert_int_equal(end.frames[FRAME_POLICY_ASK], 1);
    channel_free(&end.channel);
    run();
    policy_client_attach(client, end_open(&end));
    run();
    assert_int_equal(end.frames[FRAME_POLICY_ASK], 1);
    assert_int_equal(answered.times, 0);
    answer.id = end.last_policy_id;
    answer.state = IPC__POLICY_STATE__NO_POLICY;
    channel_send(end.channel, FRAME_POLICY_ANSWER, &answer.base, nothing);
    run();
    assert_int_equal(answered.times, 1);
    assert_int_equal(answered.state, IPC__POLICY_STATE__NO_POLICY);
    policy_client_free(&client);
    channel_free(&end.channel);
}

static void an_answer_that_claims_a_policy_without_one_is_refused(void **state)
{
    struct policy_client *client = policy_client_new(loop);
    struct answered answered = { 0 };
    struct other_end end;
    Ipc__PolicyAnswer answer = IPC__POLICY_ANSWER__INIT;
    (void)state;
    policy_client_attach(client, end_open(&end));
    struct policy_query *query =
        policy_ask(client, SPAN("example.net"), false, on_policy, &answered);
    run();
    answer.id = end.last_policy_id;
    answer.state = IPC__POLICY_STATE__POLICY_FOUND;
    channel_send(end.channel, FRAME_POLICY_ANSWER, &answer.base, nothing);
    run();
    assert_int_equal(answered.times, 0);
    assert_true(end.closed);
    policy_cancel(&query);
    assert_null(query);
    policy_client_free(&client);
    channel_free(&end.channel);
}

/* --- tlsrpt_client */

static void events_wait_for_an_absent_role_up_to_a_bound(void **state)
{
    struct tlsrpt_client *client = tlsrpt_client_new(loop);
    Ipc__SessionEvent event = IPC__SESSION_EVENT__INIT;
    struct other_end end;
    (void)state;
    event.domain = bytes_of_span(SPAN("example.net"));
    for (int i = 0; i < TLSRPT_KEPT_MAX + 5; i++)
        tlsrpt_tell(client, &event);
    tlsrpt_client_attach(client, end_open(&end));
    tlsrpt_tell(client, &event);
    run();
    assert_int_equal(end.frames[FRAME_SESSION_EVENT], TLSRPT_KEPT_MAX + 1);
    tlsrpt_client_free(&client);
    channel_free(&end.channel);
}

/* --- envelope_codec */

static void an_envelope_survives_the_way_there_and_back(void **state)
{
    struct envelope e;
    struct envelope back;
    struct address a = { .text = "ada@[192.0.2.1]",
                         .local_len = 3,
                         .domain = "[192.0.2.1]",
                         .is_literal = true,
                         .literal = { ADDRESS_V4, { 192, 0, 2, 1 } } };
    (void)state;
    envelope_init(&e);
    envelope_init(&back);
    strcpy(e.reverse_path.text, "bob@example.org");
    e.reverse_path.local_len = 3;
    strcpy(e.reverse_path.domain, "example.org");
    e.body = BODY_8BITMIME;
    e.dsn.ret_headers = true;
    strcpy(e.dsn.envid, "QQ+20");
    e.received_utc_ms = 1769767200000;
    e.client_address = (struct ip_address){ ADDRESS_V6, { 0x20, 0x01 } };
    e.declared_size = 77;
    e.from_stranger = e.tls_report = true;
    e.smtputf8 = e.utf8_header = e.requiretls = e.tls_required_no = true;
    e.priority = -9;
    struct envelope_recipient *r = envelope_add(&e, &a);
    r->number = 5;
    r->notify = NOTIFY_FAILURE;
    strcpy(r->orcpt, "rfc822;Ada@x");
    envelope_add_expanded(&e, &a)->notify = NOTIFY_SUCCESS;
    Ipc__Envelope *m = envelope_to_message(&e);
    assert_true(envelope_from_message(m, &back));
    assert_true(back.from_stranger && back.tls_report);
    assert_int_equal(back.expanded_count, 1);
    assert_int_equal(back.expanded[0].notify, NOTIFY_SUCCESS);
    assert_string_equal(back.expanded[0].forward_path.text, a.text);
    envelope_message_free(&m);
    assert_string_equal(back.reverse_path.text, "bob@example.org");
    assert_int_equal(back.body, BODY_8BITMIME);
    assert_true(back.smtputf8 && back.utf8_header && back.requiretls && back.tls_required_no);
    assert_int_equal(back.priority, -9);
    assert_true(back.dsn.ret_headers && !back.dsn.ret_full);
    assert_string_equal(back.dsn.envid, "QQ+20");
    assert_true(ip_address_equal(&back.client_address, &e.client_address));
    assert_int_equal(back.recipient_count, 1);
    assert_int_equal(back.recipients[0].number, 5);
    assert_true(back.recipients[0].forward_path.is_literal);
    assert_string_equal(back.recipients[0].orcpt, "rfc822;Ada@x");
    envelope_clear(&e);
    envelope_clear(&back);
}

/* The longest of all paths, and one that is short: the rest of the frame is for the trace field. */
static void an_envelope_that_has_no_room_left_still_fits_a_frame(void **state)
{
    struct address paths[4] = { { .text = "a@b.test", .local_len = 1, .domain = "b.test" } };
    static const size_t least[] = { 16000, 1800, 7000, 3300 }; /* the first two: waxseal.conf(5) */
    char text[ADDRESS_MAX + 1];
    (void)state;
    memset(text, 'a', sizeof(text));
    text[1] = '@';
    for (size_t dot = 65; dot < ADDRESS_MAX; dot += 64)
        text[dot] = '.';
    text[ADDRESS_MAX] = '\0';
    assert_int_equal(address_parse(span_of(text), &paths[1]), ADDRESS_FINE);
    memset(text, 'a', sizeof(text));
    strcpy(text + ADDRESS_MAX - 7, "@b.test");
    assert_int_equal(address_parse(span_of(text), &paths[3]), ADDRESS_FINE);
    assert_int_equal(
        address_parse(SPAN("a@[IPv6:2001:db8:1111:2222:3333:4444:5555:6666]"), &paths[2]),
        ADDRESS_FINE);
    for (size_t i = 0; i < 4; i++) {
        struct envelope e, back;
        envelope_init(&e);
        envelope_init(&back);
        while (envelope_has_room(&e, &paths[i]))
            (void)envelope_add(&e, &paths[i]);
        Ipc__Envelope *m = envelope_to_message(&e);
        assert_in_range(e.recipient_count, least[i], least[i] + least[i] / 10);
        assert_true(ipc__envelope__get_packed_size(m) <= ENVELOPE_BYTES_MAX);
        assert_true(envelope_from_message(m, &back));
        envelope_message_free(&m);
        envelope_clear(&back);
        (void)envelope_add(&e, &paths[i]); /* a captured role says it all the same */
        m = envelope_to_message(&e);
        assert_false(envelope_from_message(m, &back));
        envelope_message_free(&m);
        envelope_clear(&e);
        envelope_clear(&back);
    }
}

/* A captured role's envelope: each field wrong in turn. */
static void an_envelope_with_a_control_byte_or_a_lie_is_none(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 10; wrong++) {
        struct envelope e;
        struct envelope back;
        struct address a = { .text = "ada@example.net", .local_len = 3, .domain = "example.net" };
        envelope_init(&e);
        envelope_init(&back);
        envelope_add(&e, &a);
        Ipc__Envelope *m = envelope_to_message(&e);
        Ipc__Mailbox *forward = m->recipients[0]->forward_path;
        if (wrong == 0)
            forward->text = bytes_of_span(SPAN("ada@example.net>\r\nDATA"));
        else if (wrong == 1)
            forward->local_len = 400;
        else if (wrong == 2)
            m->body = 7;
        else if (wrong == 3)
            m->client_address = bytes_of_span(SPAN("12345"));
        else if (wrong == 4)
            m->recipients[0]->forward_path = NULL;
        else if (wrong == 9)
            m->priority = 10;
        else if (wrong == 8)
            forward->text = bytes_of_span(SPAN("\xc3@example.net")); /* no UTF-8 */
        else if (wrong == 5)
            forward->domain = bytes_of_span(SPAN("example.net/../x"));
        else if (wrong == 6)
            forward->domain = bytes_of_span(SPAN("[192.0.2.1]")); /* without the address itself */
        else
            m->envid = bytes_of_span((struct span){ "a\0b", 3 });
        assert_false(envelope_from_message(m, &back));
        envelope_message_free(&m);
        envelope_clear(&e);
        envelope_clear(&back);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "queue client: content is handed in only against credit",
          content_is_handed_in_only_against_credit, 0, 0, 0 },
        { "queue client: credit beyond the window ends the channel",
          credit_beyond_the_window_ends_the_channel, 0, 0, 0 },
        { "queue client: a probe hears its own verdict, once", a_probe_hears_its_own_verdict_once,
          0, 0, 0 },
        { "queue client: a queue that goes away decides no probe",
          a_queue_that_goes_away_decides_no_probe, 0, 0, 0 },
        { "queue client: done comes only from the queue", done_comes_only_from_the_queue, 0, 0, 0 },
        { "queue client: a queue that goes away loses what was under way, and nobody hears 250",
          a_queue_that_goes_away_loses_what_was_under_way_and_nobody_hears_250, 0, 0, 0 },
        { "policy client: a question survives the death of the policy role",
          a_question_survives_the_death_of_the_policy_role, 0, 0, 0 },
        { "policy client: an answer that claims a policy without one is refused",
          an_answer_that_claims_a_policy_without_one_is_refused, 0, 0, 0 },
        { "tlsrpt client: events wait for an absent role, up to a bound",
          events_wait_for_an_absent_role_up_to_a_bound, 0, 0, 0 },
        { "envelope codec: an envelope survives the way there and back",
          an_envelope_survives_the_way_there_and_back, 0, 0, 0 },
        { "envelope codec: an envelope that has no room left still fits a frame",
          an_envelope_that_has_no_room_left_still_fits_a_frame, 0, 0, 0 },
        { "envelope codec: an envelope with a control byte or a lie is none",
          an_envelope_with_a_control_byte_or_a_lie_is_none, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, open_loop, close_loop);
}
