/* What transcripts (tests/dialogue) cannot say: time, TLS, credit, the log, a client that vanishes.
 */
#include "smtpd/session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/io/stream.h"
#include "tests/support/smtpd/hear.h"
#include "tests/support/throwaway_ca.h"

/* What the settings say by themselves. */
enum { DATA_MS = HOUR_MS, DATA_RATE_MIN = 1024, ERRORS_SLOW = 10 };

static int open_rig(void **state)
{
    static struct rig rig;

    rig_init(&rig);
    *state = &rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    return 0;
}

static void begin_data(struct rig *rig)
{
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
    hear(rig, "250 2.1.0");
    hear(rig, "250 2.1.5");
    hear(rig, "354");
}

/* --- the way of a message */

static void a_message_is_the_same_however_it_comes(void **state)
{
    static const char dialogue[] =
        "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
        "Subject: x\r\n\r\n..\r\n...two\r\n.\t\r\n\r\nend\r\n.\r\nNOOP\r\n";
    struct rig *rig = *state;

    greet(rig);
    for (size_t i = 0; i + 1 < sizeof(dialogue); i++) {
        rig_say_bytes(rig, (struct span){ dialogue + i, 1 });
        loop_timer_start(rig->patience, 0);
        loop_run(rig->loop);
    }
    hear(rig, "250 2.1.0");
    hear(rig, "250 2.1.5");
    hear(rig, "354");
    hear(rig, "250 2.0.0 Ok: queued as ");
    hear(rig, "250 2.0.0 Ok");
    struct span content = buf_span(&fake_queue.content);
    assert_true(
        span_ends_with_nocase(content, SPAN("+0000\r\nSubject: x\r\n\r\n.\r\n..two\r\n\t\r\n"
                                            "\r\nend\r\n")));
    assert_int_equal(fake_queue.facts.size, 34);
    assert_false(fake_queue.facts.eight_bit);
}

static void the_trace_field_stands_in_front(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    begin_data(rig);
    rig_say(rig, "x: \xc3\xa4\r\n.\r\n");
    hear(rig, "250 2.0.0 Ok: queued as 3f9c22");
    assert_true(span_starts_with(buf_span(&fake_queue.content),
                                 SPAN("Received: from client.test ([192.0.2.7])\r\n"
                                      "\tby relay.example with ESMTP id 3f9c22\r\n"
                                      "\tfor <b@example.com>;\r\n\t")));
    assert_true(fake_queue.facts.eight_bit);
    assert_string_equal(fake_queue.reverse_path, "a@example.net");
    assert_string_equal(fake_queue.recipients, "b@example.com");
}

static void content_never_exceeds_the_credit(void **state)
{
    struct rig *rig = *state;
    char *text = memory_new(100001);

    memset(text, 'x', 100000);
    greet(rig);
    fake_queue.window = 1000;
    fake_queue.gives_credit = false;
    begin_data(rig);
    size_t before = buf_len(&fake_queue.content);
    rig_say(rig, text);
    rig_settle(rig);
    assert_int_equal(buf_len(&fake_queue.content) - before, 1000);
    fake_queue_credit(500);
    rig_settle(rig);
    assert_int_equal(buf_len(&fake_queue.content) - before, 1500);
    fake_queue.gives_credit = true;
    fake_queue_credit(500);
    rig_say(rig, "\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_int_equal(fake_queue.facts.size, 100002);
    free(text);
}

static void ok_is_said_only_after_the_commit(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue.answers = false;
    begin_data(rig);
    rig_say(rig, "hello\r\n.\r\nNOOP\r\n");
    rig_settle(rig);
    assert_int_equal(buf_len(&rig->heard), 0);
    assert_int_equal(fake_queue.ended, 1);
    fake_queue_answer(ACCEPT_DONE);
    hear(rig, "250 2.0.0 Ok: queued as ");
    hear(rig, "250 2.0.0 Ok");
}

static void a_client_that_leaves_before_250_has_its_message_taken(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue.answers = false;
    begin_data(rig);
    rig_say(rig, "hello\r\n.\r\n");
    rig_settle(rig);
    rig_open(rig, "192.0.2.8");
    hear(rig, "220");
    assert_int_equal(fake_queue.aborted, 0);
    assert_int_equal(rig->host.session_count, 2);
    fake_queue_answer(ACCEPT_DONE);
    assert_int_equal(rig->host.session_count, 1);
    assert_int_equal(rig->host.messages, 1);
    assert_true(rig_has_logged(rig, " accept qid="));
    assert_true(rig_has_logged(rig, " disconnect client=192.0.2.7:4711 why=\"client closed\" "
                                    "messages=1"));
}

static void a_client_that_leaves_is_not_waited_for_for_ever(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue.answers = false;
    begin_data(rig);
    rig_say(rig, "hello\r\n.\r\n");
    rig_settle(rig);
    rig_open(rig, "192.0.2.8");
    hear(rig, "220");
    session_host_end(&rig->host, true);
    assert_int_equal(rig->host.session_count, 0);
    assert_int_equal(fake_queue.aborted, 1);
}

static void a_queue_that_dies_meanwhile_is_told_at_the_final_dot(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    begin_data(rig);
    rig_say(rig, "hello\r\n");
    rig_settle(rig);
    fake_queue_answer(ACCEPT_LOST);
    rig_say(rig, "QUIT\r\n");
    rig_settle(rig);
    assert_int_equal(buf_len(&rig->heard), 0);
    rig_say(rig, ".\r\n");
    hear(rig, "451 4.3.0");
    begin_data(rig);
    rig_say(rig, "hello\r\n.\r\n");
    hear(rig, "250 2.0.0");
}

static void forgotten_chunks_are_thrown_away(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nBDAT 4\r\nx: yRSET\r\n");
    for (int i = 0; i < 4; i++)
        hear(rig, "250");
    assert_int_equal(fake_queue.aborted, 1);
    assert_false(fake_queue_is_busy());
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nBDAT 4\r\nx: y"
                 "EHLO client.test\r\n");
    for (int i = 0; i < 3; i++)
        hear(rig, "250");
    hear(rig, "250-relay.example");
    assert_int_equal(fake_queue.aborted, 2);
    assert_false(fake_queue_is_busy());
}

static void chunks_that_trickle_are_ended(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nBDAT 1000\r\nx");
    hear(rig, "250");
    hear(rig, "250");
    rig_settle(rig);
    struct session *s = LIST_FIRST(&rig->host.sessions, struct session, in_host);
    assert_int_equal(s->deadline_ms, s->chunk.begun_ms + SMTPD_DATA_GRACE_MS);
    s->data_begun_ms = s->chunk.begun_ms - DATA_MS + 1000;
    rig_say(rig, "x");
    rig_settle(rig);
    assert_int_equal(s->deadline_ms, s->chunk.begun_ms + 1000);
}

static void a_client_that_vanishes_leaves_nothing(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    begin_data(rig);
    rig_say(rig, "half a mess");
    rig_settle(rig);
    rig_open(rig, "192.0.2.7"); /* hangs up first */
    hear(rig, "220");
    assert_int_equal(fake_queue.aborted, 1);
    assert_false(fake_queue_is_busy());
    assert_int_equal(rig->host.session_count, 1);
}

static void a_refused_message_is_aborted_at_once(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    begin_data(rig);
    rig_say(rig, "bare\nLF\r\n");
    rig_settle(rig);
    assert_int_equal(fake_queue.aborted, 1);
    rig_say(rig, ".\r\n");
    hear(rig, "550 5.6.0");
    assert_int_equal(fake_queue.ended, 0);
}

static void a_header_beyond_its_limit_is_refused(void **state)
{
    static const unsigned limits[] = { HEADER_BYTES_MAX, 16 * 1024 };
    struct rig *rig = *state;

    for (int round = 0; round < 2; round++) {
        rig->settings.header_bytes_max = limits[round];
        if (round == 0)
            greet(rig);
        begin_data(rig);
        for (unsigned i = 0; i < limits[round] / 60; i++)
            rig_say(rig, "X-Field: 0123456789012345678901234567890123456789012345678901\r\n");
        rig_say(rig, "\r\n.\r\n");
        hear(rig, "552 5.3.4");
    }
    begin_data(rig);
    for (int i = 0; i < 200; i++)
        rig_say(rig, "X-Field: 0123456789012345678901234567890123456789012345678901\r\n");
    rig_say(rig, "\r\n.\r\n");
    hear(rig, "250 2.0.0");
}

/* --- a queue that is away */

static void a_queue_that_comes_back_is_waited_for(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue_set_state(false, false);
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n");
    rig_settle(rig);
    assert_int_equal(buf_len(&rig->heard), 0);
    fake_queue_set_state(true, false);
    hear(rig, "250 2.1.0");
    hear(rig, "250 2.1.5");
}

static void a_queue_that_stays_away_is_waited_for_10_seconds(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue_set_state(false, false);
    int64_t begun = clock_monotonic_ms();
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nNOOP\r\n");
    const char *line = NULL;
    while (!line && clock_monotonic_ms() - begun < 2 * SMTPD_QUEUE_WAIT_MS)
        line = rig_hear(rig);
    int64_t took = clock_monotonic_ms() - begun;
    assert_non_null(line);
    assert_memory_equal(line, "451 4.3.0", 9);
    assert_true(took > SMTPD_QUEUE_WAIT_MS - 500 && took < SMTPD_QUEUE_WAIT_MS + 2000);
    hear(rig, "250 2.0.0");
}

/* design.md section 2: one that stays down; nobody is kept waiting for it. */
static void a_queue_that_is_down_for_long_is_421_at_once(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n");
    hear(rig, "250 2.1.0");
    hear(rig, "250 2.1.5");
    fake_queue_set_state(false, false);
    assert_in_range(loop_now(rig->loop) - rig->host.queue_left_ms, 0, 1000);
    rig->host.queue_left_ms -= SMTPD_QUEUE_DOWN_MS;
    int64_t begun = clock_monotonic_ms();
    rig_say(rig, "DATA\r\nNOOP\r\n");
    hear(rig, "421 4.3.0 relay.example cannot reach its queue");
    assert_true(rig_is_closed(rig));
    rig_open(rig, "192.0.2.7");
    hear(rig, "220 ");
    rig_say(rig, "HELO client.test\r\nMAIL FROM:<a@example.net>\r\n");
    hear(rig, "250 ");
    hear(rig, "421 4.3.0 ");
    assert_true(clock_monotonic_ms() - begun < 2000);
    fake_queue_set_state(true, false);
    rig_open(rig, "192.0.2.7");
    hear(rig, "220 ");
    rig_say(rig, "HELO client.test\r\nMAIL FROM:<a@example.net>\r\n");
    hear(rig, "250 ");
    hear(rig, "250 2.1.0");
    fake_queue_set_state(false, false);
    assert_in_range(loop_now(rig->loop) - rig->host.queue_left_ms, 0, 1000);
}

/* --- time */

static void a_silent_client_gets_421(void **state)
{
    struct rig *rig = *state;

    rig->settings.smtpd_timeout_s = 1;
    greet(rig);
    hear(rig, "421 4.4.2");
    assert_true(rig_is_closed(rig));
}

static void half_lines_win_no_time(void **state)
{
    struct rig *rig = *state;
    int64_t begun;

    rig->settings.smtpd_timeout_s = 1;
    greet(rig);
    begun = clock_monotonic_ms();
    for (int i = 0; i < 200 && !rig->hung_up; i++) {
        rig_say(rig, "N");
        loop_timer_start(rig->patience, 20);
        loop_run(rig->loop);
    }
    hear(rig, "421 4.4.2");
    assert_true(clock_monotonic_ms() - begun < 3000);
}

static void replies_slow_down_after_many_errors(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    for (int i = 0; i < ERRORS_SLOW; i++) {
        rig_say(rig, "FOO\r\n");
        hear(rig, "500 5.5.1");
    }
    int64_t begun = clock_monotonic_ms();
    rig_say(rig, "FOO\r\nNOOP\r\n");
    hear(rig, "500 5.5.1");
    assert_true(clock_monotonic_ms() - begun >= SMTPD_SLOW_MS - 50);
    hear(rig, "250 2.0.0");
}

/* --- deadlines of minutes: the session's past is moved, not the clock */

static struct session *only_session(struct rig *rig)
{
    assert_int_equal(rig->host.session_count, 1);
    return LIST_FIRST(&rig->host.sessions, struct session, in_host);
}

static int64_t left_ms(struct rig *rig)
{
    return only_session(rig)->deadline_ms - loop_now(rig->loop);
}

/* Its present wait is over in a moment. */
static void hurry(struct rig *rig)
{
    session_deadline(only_session(rig), loop_now(rig->loop) + 20);
}

static void content_has_to_come_at_a_least_rate(void **state)
{
    struct rig *rig = *state;
    struct session *s;

    greet(rig);
    begin_data(rig);
    s = only_session(rig);
    assert_in_range(left_ms(rig), SMTPD_DATA_GRACE_MS - 1000, SMTPD_DATA_GRACE_MS);
    for (int i = 0; i < 10 * DATA_RATE_MIN / 64; i++)
        rig_say(rig, "0123456789012345678901234567890123456789012345678901234567890\r\n");
    rig_settle(rig);
    assert_int_equal(s->intake.data.bytes / DATA_RATE_MIN, 9);
    assert_int_equal(s->deadline_ms - s->data_begun_ms,
                     SMTPD_DATA_GRACE_MS + s->intake.data.bytes / DATA_RATE_MIN * SECOND_MS);
}

static void content_that_trickles_is_ended(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    begin_data(rig);
    only_session(rig)->data_begun_ms -= SMTPD_DATA_GRACE_MS - 300;
    int64_t begun = clock_monotonic_ms();
    while (!rig->hung_up && clock_monotonic_ms() - begun < 3000) {
        rig_say(rig, "x");
        loop_timer_start(rig->patience, 20);
        loop_run(rig->loop);
    }
    hear(rig, "421 4.4.2");
    assert_true(clock_monotonic_ms() - begun < 2000);
    assert_int_equal(fake_queue.aborted, 1);
    assert_int_equal(rig->host.session_count, 0);
}

static void content_has_an_end_at_whatever_rate(void **state)
{
    struct rig *rig = *state;
    struct session *s;

    rig->settings.max_message_bytes = UINT64_C(1) << 40;
    greet(rig);
    begin_data(rig);
    s = only_session(rig);
    s->intake.data.bytes = UINT64_C(1) << 39;
    rig_say(rig, "x");
    rig_settle(rig);
    assert_int_equal(s->deadline_ms - s->data_begun_ms, DATA_MS);
    s->data_begun_ms -= DATA_MS;
    rig_say(rig, "x");
    hear(rig, "421 4.4.2");
}

static void the_time_that_the_queue_takes_is_not_the_clients(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue.window = 10;
    fake_queue.gives_credit = false;
    begin_data(rig);
    rig_say(rig, "0123456789012345\r\n");
    rig_settle(rig);
    assert_in_range(left_ms(rig), SMTPD_ROOM_WAIT_MS - 1000, SMTPD_ROOM_WAIT_MS);
    only_session(rig)->held_ms -= 1000000;
    only_session(rig)->data_begun_ms -= 1000000;
    fake_queue_credit(4);
    rig_settle(rig);
    assert_int_equal(rig->host.session_count, 1);
    hurry(rig);
    hear(rig, "421 4.3.0 relay.example cannot reach its queue");
    assert_true(rig_is_closed(rig));
    assert_int_equal(fake_queue.aborted, 1);
}

static void a_commit_is_waited_for_nine_minutes(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue.answers = false;
    begin_data(rig);
    rig_say(rig, "hello\r\n.\r\n");
    rig_settle(rig);
    assert_in_range(left_ms(rig), SMTPD_COMMIT_MS - 1000, SMTPD_COMMIT_MS);
    hurry(rig);
    hear(rig, "421 4.3.0 relay.example cannot reach its queue");
    assert_true(rig_is_closed(rig));
    assert_true(rig_has_logged(rig, " refuse client=192.0.2.7:4711 reply=\"421 4.3.0"));
}

/* --- clients that are none */

static void who_speaks_before_the_greeting_is_sent_away(void **state)
{
    struct rig *rig = *state;
    struct endpoint client = { .port = 1 };
    char heard[256] = "";
    int fds[2];

    assert_true(ip_address_parse(SPAN("192.0.2.7"), &client.address));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(write(fds[1], "EHLO x\r\n", 8), 8);
    session_open(&rig->host, &rig->place, fds[0], &client);
    rig_settle(rig);
    assert_true(read(fds[1], heard, sizeof(heard) - 1) > 0);
    assert_string_equal(heard, "554 5.5.1 You spoke before the greeting\r\n");
    assert_int_equal(read(fds[1], heard, sizeof(heard)), 0);
    assert_int_equal(rig->host.session_count, 0);
    close(fds[1]);
}

static void run_a_little(struct rig *rig)
{
    loop_timer_start(rig->patience, 5);
    loop_run(rig->loop);
}

/* Sends without reading; gives what was left when nothing went any more. */
static struct span send_deaf(struct rig *rig, struct span bytes)
{
    int in_vain = 0;

    loop_watch_want(rig->watch, false, false);
    while (bytes.len > 0 && in_vain < 20) {
        ssize_t len = send(rig->client_fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        in_vain = len > 0 ? 0 : in_vain + 1;
        bytes = span_from(bytes, len > 0 ? (size_t)len : 0);
        run_a_little(rig);
    }
    loop_watch_want(rig->watch, true, false);
    return bytes;
}

static void a_client_that_reads_no_replies_is_not_read(void **state)
{
    enum { TIMES = 5, PATHS = 10000 };
    struct rig *rig = *state;
    struct buf text;
    bool fits = true;

    buf_init(&text, SIZE_MAX / 2);
    for (int i = 0; i < TIMES; i++) {
        fits = fits && buf_append(&text, SPAN("MAIL FROM:<a@example.net>\r\n"));
        for (int j = 0; j < PATHS; j++)
            fits = fits && buf_append(&text, SPAN("RCPT TO:<b@example.com>\r\n"));
        fits = fits && buf_append(&text, SPAN("RSET\r\n"));
    }
    assert_true(fits);
    rig->settings.max_recipients = PATHS;
    greet(rig);
    struct span rest = send_deaf(rig, buf_span(&text));
    assert_true(rest.len > 0);
    rig_say_bytes(rig, rest);
    for (int i = 0; i < TIMES; i++) {
        hear(rig, "250 2.1.0");
        for (int j = 0; j < PATHS; j++)
            hear(rig, "250 2.1.5");
        hear(rig, "250 2.0.0");
    }
    buf_clear(&text);
}

static void a_client_that_reads_no_replies_is_not_waited_for_for_ever(void **state)
{
    enum { PATHS = 10000 };
    struct rig *rig = *state;
    struct buf text;
    bool fits = true;

    buf_init(&text, SIZE_MAX / 2);
    for (int i = 0; i < 5 * PATHS; i++)
        fits = fits && buf_append(&text, i % PATHS == 0 ? SPAN("RSET\r\nMAIL FROM:<a@b.test>\r\n")
                                                        : SPAN("RCPT TO:<b@example.com>\r\n"));
    assert_true(fits);
    rig->settings.max_recipients = PATHS;
    rig->settings.smtpd_timeout_s = 1;
    greet(rig);
    assert_true(send_deaf(rig, buf_span(&text)).len > 0);
    loop_watch_want(rig->watch, false, false);
    assert_int_equal(only_session(rig)->hold, HOLD_OUTPUT);
    for (int i = 0; i < 60 && rig->host.session_count > 0; i++)
        rig_settle(rig);
    assert_int_equal(rig->host.session_count, 0);
    buf_clear(&text);
}

/* --- draining */

static void the_end_of_draining_spares_those_who_wait_for_the_commit(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue.answers = false;
    begin_data(rig);
    rig_say(rig, "hello\r\n.\r\n");
    rig_settle(rig);
    session_host_drain(&rig->host);
    session_host_end(&rig->host, false);
    assert_int_equal(rig->host.session_count, 1);
    fake_queue_answer(ACCEPT_DONE);
    hear(rig, "250 2.0.0");
    hear(rig, "421 4.3.2");
    assert_true(rig_is_closed(rig));
}

static void the_very_end_spares_nobody(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    fake_queue.answers = false;
    begin_data(rig);
    rig_say(rig, "hello\r\n.\r\n");
    rig_settle(rig);
    session_host_drain(&rig->host);
    session_host_end(&rig->host, true);
    hear(rig, "421 4.3.2");
    assert_true(rig_is_closed(rig));
    assert_int_equal(fake_queue.aborted, 1);
}

/* --- TLS */

struct tls_client {
    struct rig *rig;
    struct stream *stream;
    struct buf heard;
    bool secured, closed;
};

static void on_secured(void *ctx, const struct tls_session *session)
{
    struct tls_client *c = ctx;

    assert_string_equal(session->version, "TLSv1.3");
    c->secured = true;
    loop_stop(c->rig->loop);
}

static size_t on_input(void *ctx, struct span input)
{
    struct tls_client *c = ctx;

    assert_true(buf_append(&c->heard, input));
    loop_stop(c->rig->loop);
    return input.len;
}

static void on_closed(void *ctx, const struct error *err)
{
    struct tls_client *c = ctx;

    (void)err;
    c->closed = true;
    loop_stop(c->rig->loop);
}

static const struct stream_events client_events = { .secured = on_secured,
                                                    .input = on_input,
                                                    .closed = on_closed };

/* Runs until what was heard ends with `text`. */
static void hear_text(struct tls_client *c, const char *text)
{
    while (!span_ends_with_nocase(buf_span(&c->heard), span_of(text)) && !c->closed) {
        c->rig->timed_out = false;
        loop_timer_start(c->rig->patience, 3000);
        loop_run(c->rig->loop);
        if (c->rig->timed_out)
            fail_msg("heard only \"" SPAN_FMT "\"", SPAN_ARG(buf_span(&c->heard)));
    }
}

static void give_certificate(struct rig *rig)
{
    static const char *const names[] = { "DNS:relay.example", NULL };
    struct throwaway_ca *ca = throwaway_ca_new("test");
    struct leaf_wish wish = { .names = names };
    char *chain = NULL, *key = NULL;

    throwaway_leaf(ca, &wish, &chain, &key);
    struct error *err = throwaway_server(span_of(chain), span_of(key), &rig->place.tls);
    assert_null(err);
    free(chain);
    free(key);
    throwaway_ca_free(&ca);
}

static void tls_client_connect(struct tls_client *c, struct rig *rig)
{
    struct endpoint client = { .port = 1 };
    int fds[2];

    *c = (struct tls_client){ .rig = rig };
    buf_init(&c->heard, 1 << 20);
    assert_true(ip_address_parse(SPAN("192.0.2.7"), &client.address));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    c->stream = stream_open(rig->loop, fds[1], &client_events, c);
    session_open(&rig->host, &rig->place, fds[0], &client);
    hear_text(c, "waxseal\r\n");
    stream_printf(c->stream, "EHLO client.test\r\n");
    hear_text(c, "250 CHUNKING\r\n");
}

static void tls_client_close(struct tls_client *c)
{
    stream_free(&c->stream);
    buf_clear(&c->heard);
}

static void starttls_secures_and_begins_anew(void **state)
{
    struct rig *rig = *state;
    struct tls_client c;
    struct throwaway_ca *ca = throwaway_ca_new("another");
    char *pem = throwaway_ca_pem(ca);
    struct tls_trust *trust = NULL;
    struct tls_context *context = NULL;
    struct error *err = tls_trust_new(span_of(pem), &trust);

    assert_null(err);
    err = tls_client_context_new(trust, TLS_FLOOR_OPPORTUNISTIC, &context);
    assert_null(err);
    give_certificate(rig);
    tls_client_connect(&c, rig);
    assert_true(strstr(buf_span(&c.heard).data, "250-STARTTLS\r\n") != NULL);
    stream_printf(c.stream, "STARTTLS\r\n");
    hear_text(&c, "220 2.0.0 Ready to start TLS\r\n");
    stream_secure_client(c.stream, context, "relay.example");
    while (!c.secured && !c.closed)
        loop_run(rig->loop);
    assert_true(c.secured);
    buf_reset(&c.heard);
    stream_printf(c.stream, "MAIL FROM:<a@example.net>\r\nEHLO client.test\r\nSTARTTLS\r\n"
                            "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
    hear_text(&c, "<CR><LF>.<CR><LF>\r\n");
    assert_true(span_starts_with(buf_span(&c.heard),
                                 SPAN("503 5.5.1 Say EHLO or HELO first\r\n250-relay.example\r\n"
                                      "250-PIPELINING\r\n250-SIZE 26214400\r\n"
                                      "250-REQUIRETLS\r\n250-LIMITS RCPTMAX=1000\r\n"
                                      "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
                                      "250-SMTPUTF8\r\n250-DSN\r\n250 CHUNKING\r\n"
                                      "503 5.5.1 TLS is active already\r\n")));
    stream_printf(c.stream, "hello\r\n.\r\n");
    hear_text(&c, "queued as 3f9c22\r\n");
    assert_non_null(memmem(fake_queue.content.base, buf_len(&fake_queue.content),
                           "with ESMTPS id 3f9c22\r\n\t(using TLSv1.3 with cipher TLS_", 55));
    assert_true(rig_has_logged(rig, "tls=TLSv1.3"));
    stream_printf(c.stream, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n"
                            "BDAT 100\r\nonly the beginning");
    hear_text(&c, "250 2.1.5 Ok\r\n");
    rig_settle(rig);
    assert_true(fake_queue_is_busy());
    tls_client_close(&c); /* within the chunk: nothing is ever read in clear (pitfalls.md 7.2) */
    rig_settle(rig);
    assert_false(fake_queue_is_busy());
    assert_int_equal(fake_queue.aborted, 1);
    assert_int_equal(rig->host.session_count, 0);
    tls_context_free(&context);
    tls_trust_free(&trust);
    throwaway_ca_free(&ca);
    free(pem);
}

/* A client of an implicit listener; the context it secures with is the caller's. */
static void tls_client_connect_implicit(struct tls_client *c, struct rig *rig,
                                        struct tls_context **out_context)
{
    struct throwaway_ca *ca = throwaway_ca_new("another");
    char *pem = throwaway_ca_pem(ca);
    struct endpoint client = { .port = 1 };
    struct tls_trust *trust = NULL;
    int fds[2];

    assert_null(tls_trust_new(span_of(pem), &trust));
    assert_null(tls_client_context_new(trust, TLS_FLOOR_OPPORTUNISTIC, out_context));
    tls_trust_free(&trust);
    throwaway_ca_free(&ca);
    free(pem);
    *c = (struct tls_client){ .rig = rig };
    buf_init(&c->heard, 1 << 20);
    assert_true(ip_address_parse(SPAN("192.0.2.7"), &client.address));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    c->stream = stream_open(rig->loop, fds[1], &client_events, c);
    stream_secure_client(c->stream, *out_context, "relay.example");
    session_open(&rig->host, &rig->place, fds[0], &client);
}

static void implicit_tls_comes_before_the_greeting(void **state)
{
    struct rig *rig = *state;
    struct tls_context *context = NULL;
    struct tls_client c;

    give_certificate(rig);
    rig->settings.listeners[0].tls = LISTENER_TLS_IMPLICIT;
    strcpy(rig->settings.listeners[0].banner, "waxseal, ESMTP");
    strcpy(rig->settings.listeners[0].name, "submissions");
    tls_client_connect_implicit(&c, rig, &context);
    hear_text(&c, "220 relay.example waxseal, ESMTP\r\n");
    assert_true(c.secured);
    stream_printf(c.stream, "EHLO client.test\r\nSTARTTLS\r\n");
    hear_text(&c, "503 5.5.1 TLS is active already\r\n");
    assert_null(memmem(c.heard.base, buf_len(&c.heard), "250-STARTTLS", 12));
    assert_true(rig_has_logged(rig, "listener=submissions"));
    tls_client_close(&c);
    tls_context_free(&context);
}

static void an_implicit_listener_without_certificate_serves_nobody(void **state)
{
    struct rig *rig = *state;
    struct tls_context *context = NULL;
    struct tls_client c;

    rig->settings.listeners[0].tls = LISTENER_TLS_IMPLICIT;
    tls_client_connect_implicit(&c, rig, &context);
    while (!c.closed)
        loop_run(rig->loop);
    assert_false(c.secured);
    assert_int_equal(buf_len(&c.heard), 0);
    assert_int_equal(rig->host.session_count, 0);
    tls_client_close(&c);
    tls_context_free(&context);
}

static void clear_bytes_behind_starttls_end_it(void **state)
{
    struct rig *rig = *state;
    struct tls_client c;

    give_certificate(rig);
    tls_client_connect(&c, rig);
    stream_printf(c.stream, "STARTTLS\r\nMAIL FROM:<injected@example.net>\r\n");
    hear_text(&c, "503 5.5.1 Bytes came behind STARTTLS\r\n");
    while (!c.closed)
        loop_run(rig->loop);
    assert_int_equal(rig->host.session_count, 0);
    tls_client_close(&c);
}

static void a_handshake_that_fails_ends_the_session(void **state)
{
    struct rig *rig = *state;
    struct tls_client c;

    give_certificate(rig);
    tls_client_connect(&c, rig);
    stream_printf(c.stream, "STARTTLS\r\n");
    hear_text(&c, "220 2.0.0 Ready to start TLS\r\n");
    stream_printf(c.stream, "MAIL FROM:<in-clear@example.net>\r\n");
    while (!c.closed)
        loop_run(rig->loop);
    rig_settle(rig);
    assert_int_equal(rig->host.session_count, 0);
    assert_true(rig_has_logged(rig, " tls-failed client=192.0.2.7:1 reason="));
    assert_int_equal(fake_queue.begun, 0);
    tls_client_close(&c);
}

static void a_handshake_has_a_minute(void **state)
{
    struct rig *rig = *state;
    struct tls_client c;

    give_certificate(rig);
    tls_client_connect(&c, rig);
    stream_printf(c.stream, "STARTTLS\r\n");
    hear_text(&c, "220 2.0.0 Ready to start TLS\r\n");
    assert_in_range(left_ms(rig), SMTPD_TLS_MS - 1000, SMTPD_TLS_MS);
    stream_printf(c.stream, "\x16\x03\x01"); /* and no more of it */
    rig_settle(rig);
    hurry(rig);
    while (!c.closed)
        loop_run(rig->loop);
    assert_int_equal(rig->host.session_count, 0);
    assert_true(rig_has_logged(rig, " tls-failed client=192.0.2.7:1 reason=\"timed out\""));
    tls_client_close(&c);
}

/* --- the log */

static void the_log_tells_of_messages_and_refusals(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    rig_say(rig, "RCPT TO:<b@example.com>\r\n");
    hear(rig, "503");
    begin_data(rig);
    rig_say(rig, "hello\r\n.\r\nQUIT\r\n");
    hear(rig, "250 2.0.0");
    hear(rig, "221");
    rig_settle(rig);
    assert_true(rig_has_logged(rig, " connect client=192.0.2.7:4711 listener="));
    assert_true(rig_has_logged(rig, " refuse client=192.0.2.7:4711 reply=\"503 5.5.1 Say MAIL "
                                    "first\" command=\"RCPT TO:<b@example.com>\"\n"));
    assert_true(rig_has_logged(rig, " accept qid=3f9c22 from=<a@example.net> size=7 nrcpt=1 "
                                    "client=192.0.2.7 tls=none\n"));
    assert_true(rig_has_logged(rig, " disconnect client=192.0.2.7:4711 why=\"we closed\" "
                                    "messages=1 took="));
}

static void passwords_never_reach_the_log(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    rig_say(rig, "AUTH PLAIN AGFkYQBzZWNyZXQ=\r\nAGFkYQBzZWNyZXQ=\r\n");
    hear(rig, "502");
    hear(rig, "500");
    assert_true(rig_has_logged(rig, " refuse "));
    assert_false(rig_has_logged(rig, "AGFk"));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

/* --- a mailbox that its next hop is asked for */

static void begin_at_the_edge(struct rig *rig)
{
    struct listener_settings *l = &rig->settings.listeners[0];

    memset(&l->relay_to, 0, sizeof(l->relay_to));
    strcpy(l->relay_to.text, "example.org");
    l->relay_to.count = 1;
    l->verify_recipients = VERIFY_NEXT_HOP;
    fake_queue.ignores_probes = true;
    greet(rig);
    rig_say(rig, "MAIL FROM:<a@example.net>\r\n");
    hear(rig, "250 2.1.0");
    rig_say(rig, "RCPT TO:<b@example.org>\r\nNOOP\r\n");
    rig_settle(rig);
    assert_int_equal(fake_queue.probes, 1);
}

static void what_follows_waits_while_a_mailbox_is_asked_for(void **state)
{
    struct rig *rig = *state;

    begin_at_the_edge(rig);
    session_host_drain(&rig->host); /* which lets a transaction end */
    rig_settle(rig);
    assert_int_equal(buf_len(&rig->heard), 0);
    assert_false(rig->hung_up);
}

static void the_end_of_the_process_ends_the_wait_for_a_mailbox(void **state)
{
    struct rig *rig = *state;

    begin_at_the_edge(rig);
    session_host_end(&rig->host, false);
    hear(rig, "421 4.3.2");
    assert_true(rig_is_closed(rig));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("what follows waits while a mailbox is asked for",
             what_follows_waits_while_a_mailbox_is_asked_for),
        TEST("the end of the process ends the wait for a mailbox",
             the_end_of_the_process_ends_the_wait_for_a_mailbox),
        TEST("a message is the same when it comes byte by byte",
             a_message_is_the_same_however_it_comes),
        TEST("the trace field stands in front of the message", the_trace_field_stands_in_front),
        TEST("content never exceeds the queue's credit", content_never_exceeds_the_credit),
        TEST("250 to the final dot is said only after the commit",
             ok_is_said_only_after_the_commit),
        TEST("a client that leaves before 250 has its message taken all the same",
             a_client_that_leaves_before_250_has_its_message_taken),
        TEST("the end of draining ends also whom the client has left",
             a_client_that_leaves_is_not_waited_for_for_ever),
        TEST("a queue that dies within DATA is told at the final dot, not before",
             a_queue_that_dies_meanwhile_is_told_at_the_final_dot),
        TEST("chunks are forgotten at RSET and EHLO", forgotten_chunks_are_thrown_away),
        TEST("a chunk has its own time, within that of its message", chunks_that_trickle_are_ended),
        TEST("a client that vanishes leaves nothing behind", a_client_that_vanishes_leaves_nothing),
        TEST("a refused message is thrown away at once, and answered at its end",
             a_refused_message_is_aborted_at_once),
        TEST("a header beyond its limit is refused", a_header_beyond_its_limit_is_refused),
        TEST("a queue that comes back is waited for", a_queue_that_comes_back_is_waited_for),
        TEST("a queue that stays away is waited for 10 seconds, then 451",
             a_queue_that_stays_away_is_waited_for_10_seconds),
        TEST("a queue that is down for long is 421 at once",
             a_queue_that_is_down_for_long_is_421_at_once),
        TEST("a silent client gets 421", a_silent_client_gets_421),
        TEST("half lines win no time", half_lines_win_no_time),
        TEST("replies slow down after many errors", replies_slow_down_after_many_errors),
        TEST("content has to come at a least rate, beyond some minutes",
             content_has_to_come_at_a_least_rate),
        TEST("content that trickles is ended", content_that_trickles_is_ended),
        TEST("content has an end at whatever rate it comes", content_has_an_end_at_whatever_rate),
        TEST("the time that the queue takes is not the client's, and has an end",
             the_time_that_the_queue_takes_is_not_the_clients),
        TEST("a commit is waited for nine minutes", a_commit_is_waited_for_nine_minutes),
        TEST("who speaks before the greeting is sent away",
             who_speaks_before_the_greeting_is_sent_away),
        TEST("a client that reads no replies is not read, and loses none",
             a_client_that_reads_no_replies_is_not_read),
        TEST("a client that reads no replies is not waited for for ever",
             a_client_that_reads_no_replies_is_not_waited_for_for_ever),
        TEST("the end of draining spares those who wait for the commit",
             the_end_of_draining_spares_those_who_wait_for_the_commit),
        TEST("the very end spares nobody", the_very_end_spares_nobody),
        TEST("STARTTLS secures the session and begins it anew; TLS that ends in a chunk ends it",
             starttls_secures_and_begins_anew),
        TEST("clear bytes behind STARTTLS end the session", clear_bytes_behind_starttls_end_it),
        TEST("implicit TLS comes before the greeting (RFC 8314 s.3.3)",
             implicit_tls_comes_before_the_greeting),
        TEST("an implicit listener without a certificate serves nobody",
             an_implicit_listener_without_certificate_serves_nobody),
        TEST("a handshake that fails ends the session", a_handshake_that_fails_ends_the_session),
        TEST("a handshake has a minute, and not more", a_handshake_has_a_minute),
        TEST("the log tells of messages and refusals", the_log_tells_of_messages_and_refusals),
        TEST("passwords that went astray never reach the log", passwords_never_reach_the_log),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
