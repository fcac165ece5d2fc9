#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/local_socket.h"
#include "lib/ipc/channel.h"
#include "lib/mail/tls_result.h"
#include "tests/support/tlsrpt_sender.h"
#include "tlsrpt/collector.h"
#include "tlsrpt/datagram.h"
#include "tlsrpt/day.h"

/* --- in place of counting: what it would hear */

static struct {
    unsigned calls;
    unsigned failed;
    unsigned failures;
    uint32_t day;
    char domain[300], policy_domain[300], text[1024], record[300], reason[300];
    Ipc__PolicyType type;
    uint32_t result;
} told;

static void keep(char *room, size_t size, struct span text)
{
    assert_true(span_to_string(text, room, size));
}

void counting_take(struct counting *counting, uint32_t day, const Ipc__SessionEvent *event,
                   struct span record)
{
    assert_null(counting);
    assert_true(counts_is_valid(event));
    told.calls++;
    told.failed += event->failed;
    told.failures += (unsigned)event->n_failures;
    told.day = day;
    told.type = event->policy_type;
    keep(told.domain, sizeof(told.domain), span_of_bytes(event->domain));
    keep(told.policy_domain, sizeof(told.policy_domain), span_of_bytes(event->policy_domain));
    keep(told.text, sizeof(told.text), span_of_bytes(event->policy_text));
    keep(told.record, sizeof(told.record), record);
    if (event->n_failures == 0)
        return;
    told.result = event->failures[0]->result;
    keep(told.reason, sizeof(told.reason), span_of_bytes(event->failures[0]->reason));
}

/* --- one collector with its socket, and one who sends */

static struct {
    char folder[64];
    char path[80];
    struct loop *loop;
    struct loop_timer *patience;
    struct collector *collector;
    bool is_over;
    int log; /* a pipe's end with what it says in the log */
} rig;

static struct tlsrpt_sender sender;

static void on_patience(void *ctx)
{
    (void)ctx;
    rig.is_over = true;
    loop_stop(rig.loop);
}

/* Runs the loop for a moment. */
static void turn(int64_t ms)
{
    rig.is_over = false;
    loop_timer_start(rig.patience, ms);
    while (!rig.is_over)
        loop_run(rig.loop);
}

/* Until so many datagrams have come, for seconds at most. */
static struct collector_counts wait_for(uint64_t datagrams)
{
    for (int i = 0; i < 2000 && collector_counts(rig.collector).datagrams < datagrams; i++)
        turn(5);
    assert_int_equal(collector_counts(rig.collector).datagrams, datagrams);
    return collector_counts(rig.collector);
}

static void listen_anew(void)
{
    int fd = -1;

    unlink(rig.path);
    assert_null(local_socket_open_datagrams(rig.path, "", -1, &fd));
    collector_listen(rig.collector, fd);
}

static int set_up(void **state)
{
    int ends[2];

    (void)state;
    memset(&told, 0, sizeof(told));
    memset(&rig, 0, sizeof(rig));
    assert_int_equal(pipe(ends), 0);
    log_open(ends[1], LOG_INFO, "test");
    rig.log = ends[0];
    strcpy(rig.folder, "/tmp/waxseal-collector.XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    snprintf(rig.path, sizeof(rig.path), "%s/tlsrpt.sock", rig.folder);
    rig.loop = loop_new();
    rig.patience = loop_timer_new(rig.loop, on_patience, NULL);
    rig.collector = collector_new(rig.loop, NULL);
    listen_anew();
    assert_true(sender_open(&sender, rig.path));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sender_close(&sender);
    collector_free(&rig.collector);
    loop_timer_free(&rig.patience);
    loop_free(&rig.loop);
    close(rig.log);
    unlink(rig.path);
    return rmdir(rig.folder);
}

/* All that the log has, on one line. */
static const char *logged(void)
{
    static char text[64 * 1024];

    log_flush();
    ssize_t len = read(rig.log, text, sizeof(text) - 1);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

/* --- what an MTA tells */

static void send_failed_session(void)
{
    sender_begin(&sender, "example.com", "v=TLSRPTv1;rua=mailto:t@example.com");
    sender_policy(&sender, 2, "example.com");
    sender_line(&sender, "version: STSv1");
    sender_line(&sender, "mode: enforce");
    sender_line(&sender, "mx: mx1.example.com");
    sender_host(&sender, "mx1.example.com");
    sender_failure(&sender, 204, "192.0.2.7", "mx1.example.com", NULL, "198.51.100.25", NULL,
                   "certificate has expired");
    sender_policy_ends(&sender, 1);
    assert_true(sender_send(&sender));
}

static void a_session_that_failed_is_counted_with_its_record(void **state)
{
    (void)state;
    send_failed_session();
    struct collector_counts counts = wait_for(1);
    assert_int_equal(counts.sessions, 1);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.failed, 1);
    assert_int_equal(told.day, day_of(clock_utc_ms()));
    assert_int_equal(told.type, IPC__POLICY_TYPE__STS);
    assert_string_equal(told.domain, "example.com");
    assert_string_equal(told.text, "version: STSv1\nmode: enforce\nmx: mx1.example.com\n");
    assert_string_equal(told.record, "v=TLSRPTv1;rua=mailto:t@example.com");
    assert_int_equal(told.result, TLS_RESULT_CERTIFICATE_EXPIRED);
    assert_string_equal(told.reason, "certificate has expired");
}

/* RPT-25, RPT-106: each policy of a session counts one. */
static void each_policy_of_a_session_is_counted(void **state)
{
    (void)state;
    sender_begin(&sender, "example.com", "v=TLSRPTv1;rua=mailto:t@example.com");
    sender_policy(&sender, 2, "example.com");
    sender_policy_ends(&sender, 1);
    sender_policy(&sender, 1, "mx1.example.com");
    sender_line(&sender, "3 1 1 8D02");
    sender_policy_ends(&sender, 0);
    sender_policy(&sender, 9, NULL);
    sender_failure(&sender, 901, NULL, NULL, NULL, NULL, NULL, NULL);
    sender_policy_ends(&sender, 901);
    assert_true(sender_send(&sender));
    struct collector_counts counts = wait_for(1);
    assert_int_equal(counts.sessions, 2);
    assert_int_equal(counts.unfinished, 1);
    assert_int_equal(told.calls, 2);
    assert_int_equal(told.failed, 1);
    assert_int_equal(told.type, IPC__POLICY_TYPE__TLSA);
    assert_string_equal(told.policy_domain, "mx1.example.com");
    assert_string_equal(told.text, "3 1 1 8D02\n");
}

/* --- what nobody should */

static void what_cannot_be_read_is_dropped_and_told_once(void **state)
{
    static char large[DATAGRAM_MAX + 1];
    const int room = sizeof(large) * 2;
    const char *text;

    (void)state;
    assert_true(sender_send_raw(&sender, "{\"dpv\":\"2\"}", 11));
    assert_true(sender_send_raw(&sender, "garbage", 7));
    assert_true(sender_send_raw(&sender, "", 0));
    struct collector_counts counts = wait_for(3);
    assert_int_equal(counts.other_version, 1);
    assert_int_equal(counts.malformed, 2);
    if (setsockopt(sender.fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) == 0) {
        memset(large, ' ', sizeof(large));
        assert_true(sender_send_raw(&sender, large, sizeof(large)));
        assert_int_equal(wait_for(4).too_large, 1);
    }
    send_failed_session();
    wait_for(collector_counts(rig.collector).datagrams + 1);
    assert_int_equal(told.calls, 1);
    text = logged();
    assert_non_null(strstr(text, "tlsrpt-datagrams-dropped count=1"));
    assert_null(strstr(strstr(text, "dropped") + 1, "dropped")); /* the next one in a minute */
}

static void a_flood_holds_up_nobody(void **state)
{
    int64_t begin_ms = clock_monotonic_ms();
    unsigned sent = 0, turns = 0;

    (void)state;
    while (clock_monotonic_ms() - begin_ms < 300) {
        while (sender_send_raw(&sender, "garbage", 7))
            sent++;
        turn(1); /* a timer is served in each turn, however much is waiting */
        turns++;
    }
    assert_int_equal(wait_for(sent).malformed, sent);
    assert_true(turns > 20);
}

/* --- sockets come and go */

static void another_socket_takes_the_place_of_the_first(void **state)
{
    struct tlsrpt_sender *late = memory_new(sizeof(*late));

    (void)state;
    send_failed_session();
    wait_for(1);
    listen_anew();
    assert_false(sender_send_raw(&sender, "garbage", 7)); /* nobody is there any more */
    assert_true(sender_open(late, rig.path));
    assert_true(sender_send_raw(late, "garbage", 7));
    wait_for(2);
    collector_stop(rig.collector);
    assert_false(sender_send_raw(late, "garbage", 7));
    sender_close(late);
    free(late);
}

static void status_has_its_numbers_while_there_is_a_socket(void **state)
{
    struct json *shown = json_new_object();

    (void)state;
    send_failed_session();
    wait_for(1);
    collector_show(rig.collector, shown);
    assert_int_equal(json_number(json_get(shown, "socket_datagrams")), 1);
    assert_int_equal(json_number(json_get(shown, "socket_sessions")), 1);
    assert_int_equal(json_number(json_get(shown, "socket_malformed")), 0);
    json_free(&shown);
    collector_stop(rig.collector);
    shown = json_new_object();
    collector_show(rig.collector, shown);
    assert_null(json_get(shown, "socket_datagrams"));
    json_free(&shown);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, set_up, tear_down, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a session that failed is counted, with the record that came along",
          a_session_that_failed_is_counted_with_its_record),
        T("each finished policy of a session is counted (RPT-106)",
          each_policy_of_a_session_is_counted),
        T("what cannot be read is dropped and counted, and the log hears of it once a minute",
          what_cannot_be_read_is_dropped_and_told_once),
        T("a flood holds up nobody", a_flood_holds_up_nobody),
        T("another socket takes the place of the first",
          another_socket_takes_the_place_of_the_first),
        T("status has its numbers while there is a socket",
          status_has_its_numbers_while_there_is_a_socket),
    };

    return cmocka_run_group_tests_name("collector", tests, NULL, NULL);
}
