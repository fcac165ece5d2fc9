/* What the queue role makes of routes, with the test as its smtpd and its worker. */
#include "tests/support/test.h"

#include "tests/support/queue_rig.h"
#include "tests/support/settings_text.h"
#include "tests/support/store_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"

#define QUIET "log-level = \"error\";"

#define HOSTNAME QUIET "hostname = \"relay.example\";"

static struct queue_rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void start(const char *settings)
{
    rig_start(&rig, settings);
    assert_true(rig.ready);
}

static void restart(const char *settings)
{
    rig_kill(&rig);
    start(settings);
}

static void hand_in(const char *sender, const char *recipient)
{
    unsigned before = rig.done_count;

    rig_send_one(&rig, sender, recipient, 1000);
    assert_true(rig_wait(&rig, &rig.done_count, before + 1));
    assert_int_equal(rig.outcomes[before], ACCEPT_DONE);
}

/* The oldest job that the test has not taken yet, which is to go there. */
static const struct rig_job *next_job_to(const char *hop)
{
    assert_true(rig_wait(&rig, &rig.job_count, rig.jobs_taken + 1));
    const struct rig_job *job = &rig.jobs[rig.jobs_taken++];
    char *name = memory_copy_span(span_of_bytes(job->job->next_hop));
    assert_string_equal(name, hop);
    free(name);
    return job;
}

static size_t row_count(void)
{
    struct json *rows;

    assert_null(json_parse(rig_ask(&rig, "queue list", NULL, ""), &rows));
    size_t count = json_count(rows);
    json_free(&rows);
    return count;
}

/* What is settled without a job needs no worker's answer: it is gone after a moment. */
static void wait_for_rows(size_t count)
{
    for (int i = 0; i < 100 && row_count() != count; i++)
        rig_idle(&rig, 20);
    assert_int_equal(row_count(), count);
}

/* ---- where mail goes --------------------------------------------------------------------------
 */

static void each_message_goes_by_its_route(void **state)
{
    (void)state;
    start(QUIET "routes = ( { name = \"hosts\"; recipients = [ \"a.example\", \"b.example\" ];"
                " next-hop = \"[x.example]\"; },"
                " { name = \"strict\"; senders = [ \"sender.example\" ]; next-hop = \"mx\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    hand_in("x@y.example", "u@a.example");
    next_job_to("route:hosts");
    hand_in("x@y.example", "u@b.example");
    next_job_to("route:hosts");
    hand_in("x@sender.example", "u@c.example");
    next_job_to("route:strict/c.example");
    hand_in("x@y.example", "u@c.example");
    next_job_to("c.example");
}

static void queued_mail_moves_when_its_route_changes(void **state)
{
    (void)state;
    start(QUIET);
    hand_in("x@y.example", "u@a.example");
    restart(QUIET "routes = ( { name = \"new\"; next-hop = \"mx\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    const struct rig_job *job = next_job_to("route:new/a.example");
    rig_outcome(&rig, job, IPC__RESULT_KIND__RETURNED, "", "", false);
    assert_true(rig_wait(&rig, &rig.ack_count, 1));
    restart(QUIET "relayhost = \"smart.example\";");
    rig_attach_worker(&rig, 10, NULL, 0);
    next_job_to("relayhost"); /* as queues of earlier versions have it */
    restart(QUIET);
    rig_attach_worker(&rig, 10, NULL, 0);
    next_job_to("a.example");
}

/* ---- what routes end --------------------------------------------------------------------------
 */

static void discarded_mail_is_gone_and_nobody_hears_of_it(void **state)
{
    (void)state;
    start(QUIET "routes = ( { name = \"hole\"; recipients = [ \".hole.example\" ];"
                " next-hop = \"discard\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    for (int i = 0; i < 40; i++)
        hand_in("x@y.example", "u@a.hole.example");
    wait_for_rows(0);
    assert_int_equal(rig.job_count, 0);
}

static void fill_queue(const char *text, unsigned count)
{
    struct store_rig many = { .store = NULL };
    struct settings *settings = settings_of(text);
    int exit_status;

    assert_null(store_open(rig.folder, store_limits_of(settings), 1000, &many.store, &exit_status));
    store_set_schedule(many.store, settings);
    store_rig_accept_many(&many, "x@y.example", "u@a.example", count);
    store_close(&many.store);
    free(settings);
}

/* As a version did that kept the names of hosts as they were written. */
static void reroute_and_suspend_in_capitals(void)
{
    struct settings *settings = settings_of(HOSTNAME);
    struct store_rig old = { .store = NULL };
    struct change *change = memory_new(sizeof(*change));
    struct suspend suspend = { .hop = "to:MX.A.example:587", .until_ms = INT64_MAX };
    int exit_status;

    assert_null(store_open(rig.folder, store_limits_of(settings), 1000, &old.store, &exit_status));
    store_set_schedule(old.store, settings);
    change->kind = CHANGE_REROUTE;
    change->act.action = "reroute";
    change->hop = SPAN("to:[Hub.A.example]");
    change->places[0].id = store_rig_accept(&old, "x@y.example", "u@a.example", SPAN("text"));
    change->count = 1;
    change_prepare(change);
    assert_int_equal(store_rig_commit(&old, &change->operation), OPERATION_COMMITTED);
    assert_int_equal(change->changed, 1);
    suspend.reason = SPAN("wait");
    suspend_prepare(&suspend);
    assert_int_equal(store_rig_commit(&old, &suspend.operation), OPERATION_COMMITTED);
    change_clear(change);
    free(change);
    store_close(&old.store);
    free(settings);
}

static void mail_that_was_rerouted_in_capitals_goes_where_all_mail_for_that_host_goes(void **state)
{
    (void)state;
    reroute_and_suspend_in_capitals();
    start(HOSTNAME);
    rig_attach_worker(&rig, 10, NULL, 0);
    next_job_to("to:[hub.a.example]");
}

static void what_was_suspended_in_capitals_is_resumed_by_that_name(void **state)
{
    (void)state;
    reroute_and_suspend_in_capitals();
    start(HOSTNAME);
    rig_ask(&rig, "queue resume", "hop", "to:mx.a.example:587");
    assert_true(rig.answer_failed);
    struct span told = rig_ask(&rig, "queue resume", "hop", "to:MX.A.example:587");
    assert_false(rig.answer_failed);
    assert_non_null(memmem(told.data, told.len, "to:MX.A.example:587", 19));
    rig_ask(&rig, "queue resume", "hop", "to:MX.A.example:587");
    assert_true(rig.answer_failed);
}

static long queue_kib(void)
{
    char path[64];
    char line[256];
    long kib = 0;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)rig.pid);
    FILE *status = fopen(path, "r");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status))
        sscanf(line, "RssAnon: %ld", &kib);
    fclose(status);
    return kib;
}

static const char discards[] =
    HOSTNAME "routes = ( { name = \"hole\"; next-hop = \"discard\"; } );";

static int64_t messages_left(void)
{
    struct json *counts;

    assert_null(json_parse(rig_ask(&rig, "queue counts", NULL, ""), &counts));
    int64_t left = json_number(json_get(counts, "messages"));
    json_free(&counts);
    return left;
}

/* The address sanitizer keeps what was freed. */
#ifdef __SANITIZE_ADDRESS__
enum { MOST_KIB = 1024 * 1024 };
#else
enum { MOST_KIB = 10 * 1024 };
#endif

/* All is gone within seconds, and never in memory at once. */
static void expect_all_to_go(void)
{
    start(discards);
    rig_attach_worker(&rig, 10, NULL, 0);
    for (int i = 0; i < 1000 && messages_left() > 0; i++) {
        assert_true(queue_kib() < MOST_KIB);
        rig_idle(&rig, 5);
    }
    assert_int_equal(messages_left(), 0);
    assert_int_equal(rig.job_count, 0);
}

static void what_a_route_ends_takes_no_memory_however_much(void **state)
{
    (void)state;
    fill_queue(discards, 40000);
    expect_all_to_go();
}

static void a_backlog_moves_at_once_when_its_route_changes(void **state)
{
    (void)state;
    fill_queue(HOSTNAME, 10000);
    expect_all_to_go();
}

static void mail_of_an_error_route_comes_back_with_its_words(void **state)
{
    (void)state;
    start(QUIET);
    hand_in("x@y.example", "u@a.example"); /* taken before the route was there */
    restart(QUIET "routes = ( { name = \"closed\"; recipients = [ \"a.example\" ];"
                  " next-hop = \"error 5.1.6 has moved away\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    const struct rig_job *job = next_job_to("y.example");
    assert_int_equal(job->job->envelope->reverse_path->text.len, 0);
    rig_pull(&rig, job);
    assert_true(rig_wait(&rig, &rig.chunk_count, job->job->chunks));
    struct span text = buf_span(&rig.content);
    assert_non_null(memmem(text.data, text.len, "Status: 5.1.6", 13));
    assert_non_null(memmem(text.data, text.len, "has moved away", 14));
    assert_int_equal(row_count(), 1);
}

static void an_error_for_the_null_sender_ends_there(void **state)
{
    (void)state;
    start(QUIET "routes = ( { name = \"closed\"; next-hop = \"error closed\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    hand_in("", "u@a.example");
    wait_for_rows(0);
    assert_int_equal(rig.job_count, 0);
}

static void what_a_route_ends_waits_while_delivery_is_held(void **state)
{
    (void)state;
    start(QUIET "delivery = \"hold\";"
                "routes = ( { name = \"hole\"; next-hop = \"discard\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    hand_in("x@y.example", "u@a.example");
    rig_idle(&rig, 200);
    assert_int_equal(row_count(), 1);
}

static void a_route_has_its_own_retry_time(void **state)
{
    (void)state;
    start(QUIET "retry-first = \"1h\"; retry-max = \"1h\";"
                "routes = ( { name = \"eager\"; next-hop = \"[x.example]\"; retry-first = \"1s\";"
                " retry-max = \"1s\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    hand_in("x@y.example", "u@a.example");
    const struct rig_job *job = next_job_to("route:eager");
    rig_outcome(&rig, job, IPC__RESULT_KIND__DEFERRED, "4.0.0", "450 later", false);
    next_job_to("route:eager"); /* a second later, not an hour */
}

static void a_route_has_its_own_lifetime(void **state)
{
    (void)state;
    start(QUIET "routes = ( { name = \"brief\"; recipients = [ \"a.example\" ];"
                " next-hop = \"[x.example]\"; retry-first = \"1s\"; retry-max = \"1s\";"
                " queue-lifetime = \"1s\"; } );");
    rig_attach_worker(&rig, 10, NULL, 0);
    hand_in("x@y.example", "u@a.example");
    bool is_last = false;
    for (int i = 0; i < 3 && !is_last; i++) { /* the wait may end a little before the life does */
        const struct rig_job *job = next_job_to("route:brief");
        is_last = job->job->last_attempt;
        rig_outcome(&rig, job, IPC__RESULT_KIND__DEFERRED, "4.0.0", "450 later", false);
    }
    assert_true(is_last);
    next_job_to("y.example"); /* the notification */
}

/* ---- how fast, and how many at a time ---------------------------------------------------------
 */

static unsigned jobs_to(const char *hop)
{
    unsigned count = 0;

    for (unsigned i = 0; i < rig.job_count; i++)
        count += span_equal(span_of_bytes(rig.jobs[i].job->next_hop), span_of(hop));
    return count;
}

/* The worker delivers at once what comes from now on, so that a hop is known to be good. */
static void deliver_at_once(void)
{
    rig_attach_worker(&rig, 100, NULL, 0);
    rig.answers_itself = true;
    rig.kind = IPC__RESULT_KIND__DELIVERED;
}

/* Some for a route's hop, as many for a hop without one; what may go goes within the moment. */
static void hand_in_both(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        hand_in("x@y.example", "u@a.example");
        hand_in("x@y.example", "u@b.example");
    }
    rig_idle(&rig, 200);
}

#define ROUTE_OF_A                                                                                 \
    "routes = ( { name = \"own\"; recipients = [ \"a.example\" ]; next-hop = \"mx\"; "
#define HOP_OF_A "route:own/a.example"

static void a_route_may_be_slower_than_the_others(void **state)
{
    (void)state;
    start(QUIET "hop-rate = \"600/1s\";" ROUTE_OF_A "rate = \"1/1h\"; } );");
    deliver_at_once();
    hand_in_both(5);
    assert_int_equal(jobs_to(HOP_OF_A), 1);
    assert_int_equal(jobs_to("b.example"), 5);
}

static void a_route_may_be_faster_than_the_others(void **state)
{
    (void)state;
    start(QUIET "hop-rate = \"1/1h\";" ROUTE_OF_A "rate = \"600/1s\"; } );");
    deliver_at_once();
    hand_in_both(5);
    assert_int_equal(jobs_to(HOP_OF_A), 5);
    assert_int_equal(jobs_to("b.example"), 1);
}

static void a_rate_holds_however_many_other_hops_there_are(void **state)
{
    enum { OTHERS = 1500 }; /* more than are remembered while they have nothing */
    (void)state;
    start(QUIET ROUTE_OF_A "rate = \"1/1h\"; } );");
    deliver_at_once();
    hand_in("x@y.example", "u@a.example");
    for (unsigned i = 0; i < OTHERS; i++) {
        char recipient[32];
        snprintf(recipient, sizeof(recipient), "u@h%u.example", i);
        rig_send_one(&rig, "x@y.example", recipient, 100);
    }
    assert_true(rig_wait(&rig, &rig.done_count, 1 + OTHERS));
    wait_for_rows(0);
    hand_in("x@y.example", "u@a.example");
    hand_in("x@y.example", "u@b.example");
    rig_idle(&rig, 200);
    assert_int_equal(jobs_to("b.example"), 1);
    assert_int_equal(jobs_to(HOP_OF_A), 1);
    assert_int_equal(row_count(), 1);
}

/* Three jobs for each connection: one on its way, one behind it, one that waits. */
static void a_route_has_its_own_number_of_connections(void **state)
{
    (void)state;
    start(QUIET "hop-connections = 2;" ROUTE_OF_A "connections = 1; } );");
    deliver_at_once();
    hand_in_both(1);
    assert_int_equal(rig.ack_count, 2);
    rig.answers_itself = false;
    hand_in_both(10);
    assert_int_equal(jobs_to(HOP_OF_A), 1 + 3);
    assert_int_equal(jobs_to("b.example"), 1 + 6);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("each message goes by its route, or without one to its domain",
             each_message_goes_by_its_route),
        TEST("queued mail moves when its route changes, to and from what earlier versions have",
             queued_mail_moves_when_its_route_changes),
        TEST("mail that an earlier version rerouted to a host in capitals goes where all mail for "
             "it "
             "goes",
             mail_that_was_rerouted_in_capitals_goes_where_all_mail_for_that_host_goes),
        TEST("what an earlier version suspended in capitals is resumed by that name",
             what_was_suspended_in_capitals_is_resumed_by_that_name),
        TEST("discarded mail is gone without a worker, and nobody hears of it",
             discarded_mail_is_gone_and_nobody_hears_of_it),
        TEST("what a route ends takes no memory, however much it is",
             what_a_route_ends_takes_no_memory_however_much),
        TEST("a backlog moves at once when its route changes",
             a_backlog_moves_at_once_when_its_route_changes),
        TEST("queued mail of an error route comes back with the route's status and words",
             mail_of_an_error_route_comes_back_with_its_words),
        TEST("an error for the null sender ends there", an_error_for_the_null_sender_ends_there),
        TEST("what a route ends waits while delivery is held",
             what_a_route_ends_waits_while_delivery_is_held),
        TEST("a route has its own time between attempts", a_route_has_its_own_retry_time),
        TEST("a route has its own lifetime, and a notification at its end",
             a_route_has_its_own_lifetime),
        TEST("a route may be slower than the hops without one",
             a_route_may_be_slower_than_the_others),
        TEST("a route may be faster than the hops without one",
             a_route_may_be_faster_than_the_others),
        TEST("a rate holds however many other hops there are",
             a_rate_holds_however_many_other_hops_there_are),
        TEST("a route has its own number of connections, the hops without one theirs",
             a_route_has_its_own_number_of_connections),
    };
    return cmocka_run_group_tests_name("routes in the queue", tests, NULL, NULL);
}
