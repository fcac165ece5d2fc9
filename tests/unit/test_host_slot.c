/* A worker's side of connection slots: what it says to the queue, and when. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "lib/ipc/channel.h"
#include "queue/deliver/host_slot.h"

static struct loop *loop;
static struct host_slots *slots;
static struct loop_timer *end;
static bool queue_is_away;
static unsigned granted;
static char said[16 * 1024]; /* all reports, in words */

static void add(const char *text, uint64_t number)
{
    size_t len = strlen(said);
    snprintf(said + len, sizeof(said) - len, "%s%llu ", text, (unsigned long long)number);
}

static bool on_send(void *ctx, const Ipc__SlotReport *report)
{
    (void)ctx;
    if (queue_is_away)
        return false;
    for (size_t i = 0; i < report->n_standing; i++)
        add("stands", report->standing[i]);
    for (size_t i = 0; i < report->n_backs; i++)
        add(report->backs[i]->refused ? "refused" : "back", report->backs[i]->number);
    for (size_t i = 0; i < report->n_asks; i++)
        add("ask", report->asks[i]->number);
    for (size_t i = 0; i < report->n_lessons; i++)
        add(report->lessons[i]->tls == IPC__HOST_TLS__HOST_TLS_LEGACY ? "legacy" : "classic",
            report->lessons[i]->number);
    strcat(said, "; ");
    return true;
}

static void on_granted(void *ctx)
{
    (void)ctx;
    granted++;
}

static void on_end(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

static int open_slots(void **state)
{
    (void)state;
    loop = loop_new();
    slots = host_slots_new(loop, on_send, NULL);
    end = loop_timer_new(loop, on_end, NULL);
    queue_is_away = false;
    granted = 0;
    said[0] = '\0';
    return 0;
}

static int close_slots(void **state)
{
    (void)state;
    loop_timer_free(&end);
    host_slots_free(&slots);
    loop_free(&loop);
    return 0;
}

static void turn(void)
{
    loop_timer_start(end, 1);
    loop_run(loop);
}

static struct host_slot *ask(void)
{
    struct slot_hosts hosts = { .count = 0 };
    slot_hosts_add(&hosts, "MX1.Example.net");
    slot_hosts_add(&hosts, "mx2.example.net");
    return host_slot_ask(slots, "example.net", &hosts, on_granted, NULL);
}

static unsigned known_tls; /* of the hosts that are granted */

static void grant(uint64_t number, uint32_t host)
{
    Ipc__SlotGrants grants = IPC__SLOT_GRANTS__INIT;
    Ipc__SlotGrant one = IPC__SLOT_GRANT__INIT;
    Ipc__SlotGrant *list[] = { &one };
    one.number = number;
    one.host = host;
    one.others = 3;
    one.tls = (Ipc__HostTls)known_tls;
    grants.grants = list;
    grants.n_grants = 1;
    host_slots_take(slots, &grants);
}

static void hosts_of_an_ask_are_few_each_once_and_in_lower_case(void **state)
{
    struct slot_hosts hosts = { .count = 0 };
    (void)state;
    slot_hosts_add(&hosts, "MX.Example.NET");
    slot_hosts_add(&hosts, "mx.example.net");
    assert_int_equal(hosts.count, 1);
    assert_string_equal(hosts.names[0], "mx.example.net");
    slot_hosts_add(&hosts, "b");
    slot_hosts_add(&hosts, "c");
    slot_hosts_add(&hosts, "d");
    slot_hosts_add(&hosts, "e");
    assert_int_equal(hosts.count, SLOT_HOSTS_MAX);
    assert_string_equal(hosts.names[0], "mx.example.net");
}

static void asks_of_one_turn_go_together(void **state)
{
    (void)state;
    struct host_slot *a = ask();
    struct host_slot *b = ask();
    turn();
    assert_string_equal(said, "ask1 ask2 ; ");
    host_slot_free(&a);
    host_slot_free(&b);
    turn();
    assert_string_equal(said, "ask1 ask2 ; back1 back2 ; ");
}

static void an_ask_that_nobody_heard_is_taken_back_without_a_word(void **state)
{
    (void)state;
    struct host_slot *a = ask();
    struct host_slot *b = ask();
    host_slot_free(&a);
    turn();
    assert_string_equal(said, "ask2 ; ");
    host_slot_free(&b);
    host_slot_free(&b);
}

static void a_granted_slot_is_for_one_host(void **state)
{
    (void)state;
    struct host_slot *a = ask();
    assert_null(host_slot_host(a));
    assert_false(host_slot_is_for(a, "mx2.example.net"));
    assert_false(host_slot_is_for(NULL, "mx2.example.net"));
    turn();
    grant(1, 1);
    assert_int_equal(granted, 1);
    assert_string_equal(host_slot_host(a), "mx2.example.net");
    assert_true(host_slot_is_for(a, "MX2.example.net"));
    assert_false(host_slot_is_for(a, "mx1.example.net"));
    assert_true(host_slot_has_others(a));
    host_slot_free(&a);
}

static void what_is_learned_of_tls_is_said_once_and_comes_with_a_grant(void **state)
{
    (void)state;
    struct host_slot *a = ask();
    assert_int_equal(host_slot_lesson(NULL), LESSON_NONE);
    turn();
    grant(1, 1);
    assert_int_equal(host_slot_lesson(a), LESSON_NONE);
    said[0] = '\0';
    host_slot_learned(a, LESSON_NONE);
    host_slot_learned(NULL, LESSON_LEGACY);
    turn();
    assert_string_equal(said, "");
    queue_is_away = true; /* what it does not hear is said later */
    host_slot_learned(a, LESSON_LEGACY);
    turn();
    queue_is_away = false;
    host_slot_stands(a);
    turn();
    assert_string_equal(said, "stands1 legacy1 ; ");
    host_slot_learned(a, LESSON_LEGACY);
    turn();
    assert_string_equal(said, "stands1 legacy1 ; ");
    host_slot_free(&a);
    turn();
}

static void a_lesson_known_to_the_queue_is_not_said_again(void **state)
{
    (void)state;
    struct host_slot *a = ask();
    struct host_slot *b = ask();
    turn();
    known_tls = IPC__HOST_TLS__HOST_TLS_CLASSIC;
    grant(1, 0);
    known_tls = 77; /* of a newer queue */
    grant(2, 0);
    known_tls = 0;
    assert_int_equal(host_slot_lesson(a), LESSON_CLASSIC);
    assert_int_equal(host_slot_lesson(b), LESSON_NONE);
    said[0] = '\0';
    host_slot_learned(a, LESSON_CLASSIC);
    turn();
    assert_string_equal(said, "");
    host_slot_learned(a, LESSON_LEGACY);
    host_slot_free(&a);
    turn();
    assert_string_equal(said, "back1 legacy1 ; ");
    host_slot_free(&b);
    turn();
}

static void grants_that_make_no_sense_are_none(void **state)
{
    (void)state;
    struct host_slot *a = ask();
    turn();
    grant(1, 2);
    grant(7, 0);
    assert_int_equal(granted, 0);
    grant(1, 0);
    grant(1, 1);
    assert_int_equal(granted, 1);
    assert_string_equal(host_slot_host(a), "mx1.example.net");
    host_slot_free(&a);
    grant(1, 0); /* on its way when it was given back */
    assert_int_equal(granted, 1);
}

static void what_came_of_it_is_said(void **state)
{
    (void)state;
    struct host_slot *a = ask();
    turn();
    grant(1, 0);
    host_slot_refused(a, SPAN("first address refused"));
    host_slot_stands(a);
    turn();
    host_slot_stands(a); /* once is enough */
    turn();
    host_slot_free(&a);
    turn();
    assert_string_equal(said, "ask1 ; stands1 ; back1 ; ");
    a = ask();
    turn();
    grant(2, 0);
    host_slot_stands(a);
    host_slot_refused(a, SPAN("421 enough"));
    host_slot_free(&a);
    turn();
    assert_string_equal(said, "ask1 ; stands1 ; back1 ; ask2 ; stands2 refused2 ; ");
    host_slot_stands(NULL);
    host_slot_refused(NULL, SPAN("nothing"));
}

static void another_queue_hears_what_is_held_and_what_is_asked(void **state)
{
    Ipc__WorkerHello hello = IPC__WORKER_HELLO__INIT;
    (void)state;
    struct host_slot *held = ask();
    struct host_slot *asked = ask();
    turn();
    grant(1, 0);
    queue_is_away = true;
    host_slot_stands(held);
    struct host_slot *late = ask();
    turn();
    queue_is_away = false;
    host_slots_hello(slots, &hello);
    assert_int_equal(hello.n_slots, 1);
    assert_int_equal(hello.slots[0]->number, 1);
    assert_true(hello.slots[0]->standing);
    assert_true(span_equal(span_of_bytes(hello.slots[0]->host), SPAN("mx1.example.net")));
    host_slots_hello_clear(&hello);
    host_slots_ask_again(slots);
    said[0] = '\0';
    turn();
    assert_true(strcmp(said, "ask2 ask3 ; ") == 0 || strcmp(said, "ask3 ask2 ; ") == 0);
    host_slot_free(&held);
    host_slot_free(&asked);
    host_slot_free(&late);
}

static void what_ends_while_the_queue_is_away_is_forgotten(void **state)
{
    Ipc__WorkerHello hello = IPC__WORKER_HELLO__INIT;
    (void)state;
    struct host_slot *a = ask();
    turn();
    grant(1, 0);
    queue_is_away = true;
    host_slot_free(&a);
    turn();
    queue_is_away = false;
    host_slots_hello(slots, &hello);
    assert_int_equal(hello.n_slots, 0);
    host_slots_hello_clear(&hello);
    host_slots_ask_again(slots);
    turn();
    assert_string_equal(said, "ask1 ; ");
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_slots, close_slots, NULL                                             \
    }

static void what_is_much_is_said_in_several_reports(void **state)
{
    (void)state;
    static struct host_slot *asked[1200];
    unsigned reports = 0;
    for (int i = 0; i < 1200; i++)
        asked[i] = ask();
    turn();
    for (const char *at = said; (at = strstr(at, "; ")) != NULL; at++)
        reports++;
    assert_int_equal(reports, 3);
    assert_non_null(strstr(said, "ask512 ; "));
    assert_non_null(strstr(said, "ask1200 ; "));
    said[0] = '\0';
    for (int i = 0; i < 1200; i++)
        host_slot_free(&asked[i]);
    turn();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("hosts of an ask are few, each once, and in lower case",
             hosts_of_an_ask_are_few_each_once_and_in_lower_case),
        TEST("asks of one turn go together", asks_of_one_turn_go_together),
        TEST("an ask that nobody heard is taken back without a word",
             an_ask_that_nobody_heard_is_taken_back_without_a_word),
        TEST("what is learned of TLS is said once, and comes with a grant",
             what_is_learned_of_tls_is_said_once_and_comes_with_a_grant),
        TEST("a lesson that the queue knows is not said again",
             a_lesson_known_to_the_queue_is_not_said_again),
        TEST("a granted slot is for one host", a_granted_slot_is_for_one_host),
        TEST("grants that make no sense are none", grants_that_make_no_sense_are_none),
        TEST("what came of it is said", what_came_of_it_is_said),
        TEST("another queue hears what is held and what is asked",
             another_queue_hears_what_is_held_and_what_is_asked),
        TEST("what ends while the queue is away is forgotten",
             what_ends_while_the_queue_is_away_is_forgotten),
        TEST("what is much is said in several reports, each of which fits in a frame",
             what_is_much_is_said_in_several_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
