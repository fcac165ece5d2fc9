/* Connection slots: what workers are granted by the queue, what it learns, keeps and shows. */
#include "tests/support/test.h"

#include "tests/support/queue_rig.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "lib/ipc/frames.h"
#include "lib/ipc/role.h"
#include "queue/host_states.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "queue/slots.h"

enum { WORKERS = 2, NUMBERS_MAX = 64 };

static const char settings[] = "log-level = \"error\"; hop-connections = 20; host-connections = 8;";
static const struct span nothing = { NULL, 0 };
static struct queue_rig rig;

static struct worker {
    struct channel *channel; /* NULL: the queue has ended it */
    unsigned granted;
    int host[NUMBERS_MAX]; /* of each slot, as granted; -1: it was not */
    unsigned others[NUMBERS_MAX];
    unsigned tls[NUMBERS_MAX];
} workers[WORKERS];

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct worker *worker = ctx;
    if (frame->type == FRAME_SLOT_GRANTS) {
        Ipc__SlotGrants *grants = channel_decode(frame, &ipc__slot_grants__descriptor);
        assert_non_null(grants);
        for (size_t i = 0; i < grants->n_grants; i++) {
            assert_true(grants->grants[i]->number < NUMBERS_MAX);
            worker->host[grants->grants[i]->number] = (int)grants->grants[i]->host;
            worker->others[grants->grants[i]->number] = grants->grants[i]->others;
            worker->tls[grants->grants[i]->number] = grants->grants[i]->tls;
            worker->granted++;
        }
        ipc__slot_grants__free_unpacked(grants, NULL);
    }
    loop_stop(rig.loop);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct worker *worker = ctx;
    (void)err;
    channel_free(&worker->channel);
    loop_stop(rig.loop);
}

static const struct channel_events events = { on_frame, on_closed };

static void attach(unsigned which, unsigned room, Ipc__SlotHeld **held, size_t count)
{
    struct worker *worker = &workers[which];
    Ipc__WorkerHello hello = IPC__WORKER_HELLO__INIT;
    memset(worker, 0, sizeof(*worker));
    for (int i = 0; i < NUMBERS_MAX; i++)
        worker->host[i] = -1;
    worker->channel = channel_open(rig.loop, rig_peer(&rig, ROLE_DELIVER), &events, worker);
    hello.instance = which;
    hello.job_room = room;
    hello.slots = held;
    hello.n_slots = count;
    channel_send(worker->channel, FRAME_WORKER_HELLO, &hello.base, nothing);
}

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig);
    rig_start(&rig, settings);
    attach(0, 100, NULL, 0);
    attach(1, 100, NULL, 0);
    return rig.ready ? 0 : -1;
}

static int close_rig(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKERS; i++)
        channel_free(&workers[i].channel);
    rig_close(&rig);
    return 0;
}

/* ---- what a worker says --------------------------------------------------------------------- */

static void ask_one_of(unsigned which, uint64_t number, const char *hop, const char *const *hosts,
                       size_t count)
{
    Ipc__SlotReport report = IPC__SLOT_REPORT__INIT;
    Ipc__SlotAsk ask = IPC__SLOT_ASK__INIT;
    Ipc__SlotAsk *asks[] = { &ask };
    ProtobufCBinaryData names[8];
    for (size_t i = 0; i < count; i++)
        names[i] = bytes_of_span(span_of(hosts[i]));
    ask.number = number;
    ask.hop = bytes_of_span(span_of(hop));
    ask.hosts = names;
    ask.n_hosts = count;
    report.asks = asks;
    report.n_asks = 1;
    channel_send(workers[which].channel, FRAME_SLOT_REPORT, &report.base, nothing);
}

static void ask(unsigned which, uint64_t number, const char *hop, const char *host)
{
    ask_one_of(which, number, hop, &host, 1);
}

static void stands(unsigned which, uint64_t number)
{
    Ipc__SlotReport report = IPC__SLOT_REPORT__INIT;
    report.standing = &number;
    report.n_standing = 1;
    channel_send(workers[which].channel, FRAME_SLOT_REPORT, &report.base, nothing);
}

static void teaches(unsigned which, uint64_t number, unsigned tls)
{
    Ipc__SlotReport report = IPC__SLOT_REPORT__INIT;
    Ipc__SlotLesson lesson = IPC__SLOT_LESSON__INIT;
    Ipc__SlotLesson *lessons[] = { &lesson };
    lesson.number = number;
    lesson.tls = (Ipc__HostTls)tls;
    report.lessons = lessons;
    report.n_lessons = 1;
    channel_send(workers[which].channel, FRAME_SLOT_REPORT, &report.base, nothing);
}

static void give_back(unsigned which, uint64_t number, const char *refused)
{
    Ipc__SlotReport report = IPC__SLOT_REPORT__INIT;
    Ipc__SlotBack back = IPC__SLOT_BACK__INIT;
    Ipc__SlotBack *backs[] = { &back };
    back.number = number;
    back.refused = refused != NULL;
    back.words = bytes_of_span(span_of(refused ? refused : ""));
    report.backs = backs;
    report.n_backs = 1;
    channel_send(workers[which].channel, FRAME_SLOT_REPORT, &report.base, nothing);
}

static bool is_granted(unsigned which, uint64_t number)
{
    for (int i = 0; i < 100 && workers[which].host[number] < 0; i++)
        rig_idle(&rig, 10);
    return workers[which].host[number] >= 0;
}

static bool is_left_waiting(unsigned which, uint64_t number)
{
    rig_idle(&rig, 150);
    return workers[which].host[number] < 0;
}

static bool is_shut_out(unsigned which)
{
    for (int i = 0; workers[which].channel && i < 200; i++)
        rig_idle(&rig, 20);
    return !workers[which].channel;
}

/* Five that stand, then one that is refused. */
static void learn_five(void)
{
    for (uint64_t number = 1; number <= 5; number++) {
        ask(0, number, "example.net", "mx.example.net");
        assert_true(is_granted(0, number));
        stands(0, number);
    }
    ask(0, 6, "example.net", "mx.example.net");
    assert_true(is_granted(0, 6));
    assert_int_equal(workers[0].others[6], 5);
    give_back(0, 6, "421 4.7.0 too many");
}

/* ---- what it gets --------------------------------------------------------------------------- */

static void slots_are_granted_as_many_as_a_host_bears(void **state)
{
    (void)state;
    learn_five();
    ask(0, 7, "example.org", "mx.example.net"); /* another domain, the same host */
    assert_true(is_left_waiting(0, 7));
    give_back(0, 3, NULL);
    assert_true(is_granted(0, 7));
}

static void workers_share_what_a_host_bears(void **state)
{
    (void)state;
    learn_five();
    ask(1, 1, "example.org", "mx.example.net");
    assert_true(is_left_waiting(1, 1));
    ask(0, 7, "example.net", "mx.example.net"); /* it has more than half already */
    give_back(0, 1, NULL);
    assert_true(is_granted(1, 1));
    assert_true(is_left_waiting(0, 7));
}

static void an_ask_names_hosts_of_which_the_first_with_room_is_granted(void **state)
{
    static const char *const both[] = { "mx.example.net", "mx2.example.net" };
    (void)state;
    learn_five();
    ask_one_of(1, 1, "example.org", both, 2);
    assert_true(is_granted(1, 1));
    assert_int_equal(workers[1].host[1], 1);
}

static void a_host_gets_no_more_than_its_cap(void **state)
{
    uint64_t number;
    (void)state;
    for (number = 1; number <= 8; number++) {
        ask(0, number, number % 2 ? "example.net" : "example.org", "mx.example.net");
        assert_true(is_granted(0, number));
        stands(0, number);
    }
    ask(0, number, "example.com", "mx.example.net");
    assert_true(is_left_waiting(0, number));
}

static void a_hop_gets_no_more_than_its_cap(void **state)
{
    static const char *const hosts[] = { "a.test", "b.test", "c.test", "d.test" };
    uint64_t number;
    (void)state;
    for (number = 1; number <= 20; number++) {
        ask_one_of(0, number, "example.net", hosts, 4);
        assert_true(is_granted(0, number));
        stands(0, number);
    }
    ask_one_of(0, number, "example.net", hosts, 4);
    assert_true(is_left_waiting(0, number));
    give_back(0, 1, NULL);
    assert_true(is_granted(0, number));
}

static void one_more_is_tried_after_some_seconds(void **state)
{
    (void)state;
    learn_five();
    ask(0, 7, "example.net", "mx.example.net");
    assert_true(is_left_waiting(0, 7));
    rig_idle(&rig, 6 * SECOND_MS);
    assert_true(is_granted(0, 7));
}

static void what_a_dead_worker_had_is_free(void **state)
{
    (void)state;
    learn_five();
    ask(1, 1, "example.org", "mx.example.net");
    assert_true(is_left_waiting(1, 1));
    channel_free(&workers[0].channel);
    assert_true(is_granted(1, 1));
}

static void an_ask_that_is_given_back_waits_no_more(void **state)
{
    (void)state;
    learn_five();
    ask(0, 7, "example.net", "mx.example.net");
    ask(0, 8, "example.net", "mx.example.net");
    give_back(0, 7, NULL);
    give_back(0, 1, NULL);
    assert_true(is_granted(0, 8));
    assert_true(is_left_waiting(0, 7));
}

static void a_dead_host_is_tried_with_one_while_others_of_its_hop_are_not_held_back(void **state)
{
    (void)state;
    ask(0, 1, "example.net", "up.test");
    assert_true(is_granted(0, 1));
    stands(0, 1);
    ask(0, 2, "example.net", "down.test");
    assert_true(is_granted(0, 2));
    give_back(0, 2, "connection refused");
    ask(0, 3, "example.net", "down.test");
    assert_true(is_granted(0, 3));
    ask(0, 4, "example.net", "down.test");
    assert_true(is_left_waiting(0, 4));
    ask(0, 5, "example.net", "up.test");
    assert_true(is_granted(0, 5));
}

/* ---- a queue that was away ------------------------------------------------------------------ */

static void what_workers_hold_counts_for_the_next_queue(void **state)
{
    Ipc__SlotHeld held[8];
    Ipc__SlotHeld *pointers[8];
    (void)state;
    for (int i = 0; i < 8; i++) {
        ipc__slot_held__init(&held[i]);
        held[i].number = (uint64_t)i + 1;
        held[i].hop = bytes_of_span(SPAN("example.net"));
        held[i].host = bytes_of_span(SPAN("mx.example.net"));
        held[i].standing = true;
        pointers[i] = &held[i];
    }
    rig_kill(&rig);
    rig_start(&rig, settings);
    attach(0, 100, pointers, 8);
    attach(1, 100, NULL, 0);
    ask(1, 1, "example.org", "mx.example.net");
    assert_true(is_left_waiting(1, 1));
    give_back(0, 8, NULL);
    assert_true(is_granted(1, 1));
}

static void end_queue(void)
{
    Ipc__Drain drain = IPC__DRAIN__INIT;
    rig_idle(&rig, 50);
    drain.wait_ms = SECOND_MS;
    channel_send(rig.supervisor, FRAME_DRAIN, &drain.base, nothing);
    rig_idle(&rig, 300);
    assert_int_equal(rig_wait_end(&rig), ROLE_EXIT_DONE);
}

static int64_t number_of(const char *name, const char *key)
{
    struct json *rows;
    int64_t number = -1;
    assert_null(json_parse(rig_ask(&rig, "hosts", "host", name), &rows));
    if (json_count(rows) > 0 && json_get(json_item(rows, 0), key))
        number = json_number(json_get(json_item(rows, 0), key));
    json_free(&rows);
    return number;
}

static void what_was_learned_outlives_the_queue(void **state)
{
    (void)state;
    learn_five();
    end_queue();
    rig_start(&rig, settings);
    assert_int_equal(number_of("mx.example.net", "limit"), 5);
    attach(0, 100, NULL, 0);
    ask(0, 1, "example.net", "mx.example.net");
    assert_true(is_granted(0, 1));
    assert_int_equal(number_of("mx.example.net", "limit"), 5);
    rig_ask(&rig, "hosts forget", "host", "mx.example.net");
    assert_false(rig.answer_failed);
    end_queue();
    rig_start(&rig, settings);
    assert_int_equal(number_of("mx.example.net", "limit"), -1);
}

static void what_was_learned_is_on_disk_with_the_next_commit(void **state)
{
    (void)state;
    learn_five();
    rig_idle(&rig, SECOND_MS + 100); /* it rides along once a second */
    rig_send_one(&rig, "ada@sender.test", "bob@example.org", 100);
    assert_true(rig_wait(&rig, &rig.done_count, 1));
    rig_kill(&rig);
    rig_start(&rig, settings);
    assert_int_equal(number_of("mx.example.net", "limit"), 5);
}

/* ---- for the operator ----------------------------------------------------------------------- */

static void hosts_shows_what_is_open_and_what_was_learned(void **state)
{
    (void)state;
    learn_five();
    ask(0, 7, "example.net", "mx.example.net");
    assert_true(is_left_waiting(0, 7));
    assert_int_equal(number_of("mx.example.net", "limit"), 5);
    assert_int_equal(number_of("mx.example.net", "cap"), 8);
    assert_int_equal(number_of("mx.example.net", "open"), 5);
    assert_int_equal(number_of("mx.example.net", "waiting"), 1);
    assert_int_equal(number_of("example.net", "open"), 5);
    assert_int_equal(number_of("nobody.test", "open"), -1);
}

/* What hosts shows of a host's TLS is this word. */
static bool shows_tls(const char *word)
{
    struct json *rows;
    assert_null(json_parse(rig_ask(&rig, "hosts", "host", "mx.example.net"), &rows));
    const struct json *row = json_item(rows, 0);
    bool is_shown = span_equal(json_text(json_get(row, "tls")), span_of(word));
    assert_int_equal(json_kind_of(json_get(row, "tls_expires")) == JSON_KIND_NULL, word[0] == '\0');
    json_free(&rows);
    return is_shown;
}

static void what_one_worker_learned_of_tls_all_know_until_it_is_forgotten(void **state)
{
    (void)state;
    ask(0, 1, "example.net", "mx.example.net");
    assert_true(is_granted(0, 1));
    assert_int_equal(workers[0].tls[1], IPC__HOST_TLS__HOST_TLS_NOTHING);
    teaches(0, 1, 77); /* of a newer worker, or a captured one */
    teaches(0, 9, IPC__HOST_TLS__HOST_TLS_LEGACY);
    rig_idle(&rig, 50);
    assert_true(shows_tls(""));
    teaches(0, 1, IPC__HOST_TLS__HOST_TLS_LEGACY);
    give_back(0, 1, NULL);
    rig_idle(&rig, 50);
    assert_true(shows_tls("legacy"));
    ask(1, 1, "example.org", "mx.example.net");
    assert_true(is_granted(1, 1));
    assert_int_equal(workers[1].tls[1], IPC__HOST_TLS__HOST_TLS_LEGACY);
    rig_ask(&rig, "hosts forget", "host", "mx.example.net");
    assert_false(rig.answer_failed);
    assert_true(shows_tls(""));
    ask(0, 2, "example.net", "mx.example.net");
    assert_true(is_granted(0, 2));
    assert_int_equal(workers[0].tls[2], IPC__HOST_TLS__HOST_TLS_NOTHING);
}

static void what_was_learned_of_tls_is_over_after_a_day(void **state)
{
    struct host_state host = { .tls = IPC__HOST_TLS__HOST_TLS_LEGACY, .tls_until_ms = 1000 };
    (void)state;
    assert_int_equal(host_state_tls(&host, 999), IPC__HOST_TLS__HOST_TLS_LEGACY);
    assert_int_equal(host_state_tls(&host, 1000), IPC__HOST_TLS__HOST_TLS_NOTHING);
    assert_string_equal(host_tls_name(IPC__HOST_TLS__HOST_TLS_CLASSIC), "classic");
}

static void hosts_comes_in_pages_too(void **state)
{
    struct json *page;
    (void)state;
    ask(0, 1, "a.test", "mx.a.test");
    ask(0, 2, "b.test", "mx.b.test");
    assert_true(is_granted(0, 2));
    assert_null(json_parse(rig_ask(&rig, "hosts", "limit", "3"), &page));
    assert_int_equal(json_count(json_get(page, "hosts")), 3);
    assert_true(span_equal(json_text(json_get(page, "next")), SPAN("na.test")));
    json_free(&page);
    assert_null(json_parse(rig_ask(&rig, "hosts", NULL, NULL), &page));
    assert_int_equal(json_count(page), 4);
    json_free(&page);
}

static void forgetting_what_is_not_known_fails(void **state)
{
    (void)state;
    rig_ask(&rig, "hosts forget", "host", "mx.example.net");
    assert_true(rig.answer_failed);
}

static void forgetting_lets_those_who_wait_go_on(void **state)
{
    (void)state;
    learn_five();
    give_back(0, 1, NULL);
    give_back(0, 2, NULL);
    ask(0, 7, "example.net", "mx.example.net");
    ask(0, 8, "example.net", "mx.example.net");
    ask(0, 9, "example.net", "mx.example.net");
    assert_true(is_left_waiting(0, 9));
    stands(0, 7);
    stands(0, 8);
    rig_ask(&rig, "hosts forget", "host", "mx.example.net");
    rig_ask(&rig, "hosts forget", "host", "example.net");
    assert_true(is_granted(0, 9));
}

/* ---- a captured worker ---------------------------------------------------------------------- */

static void a_worker_that_asks_twice_is_shut_out(void **state)
{
    (void)state;
    ask(0, 1, "example.net", "mx.example.net");
    ask(0, 1, "example.net", "mx.example.net");
    assert_true(is_shut_out(0));
}

static void a_worker_that_asks_without_end_is_shut_out(void **state)
{
    (void)state;
    const unsigned most = 150 + 2 * slots_parked_max(100); /* for 100 jobs, and those parked */
    for (uint64_t number = 1; number <= most + 1; number++)
        ask(0, number < NUMBERS_MAX ? number : 1000 + number, "example.net", "mx.example.net");
    assert_true(is_shut_out(0));
}

static void a_worker_that_names_what_is_no_host_is_shut_out(void **state)
{
    static const char *const wrong[] = { "", "mx example", "mx\n.example" };
    static const char *const five[] = { "a", "b", "c", "d", "e" };
    static const char *const twice[] = { "a", "b", "a" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ask(0, 1, "example.net", wrong[i]);
        assert_true(is_shut_out(0));
        attach(0, 100, NULL, 0);
        ask(0, 1, wrong[i], "mx.example.net");
        assert_true(is_shut_out(0));
        attach(0, 100, NULL, 0);
    }
    ask_one_of(0, 1, "example.net", five, 5);
    assert_true(is_shut_out(0));
    attach(0, 100, NULL, 0);
    ask_one_of(0, 1, "example.net", five, 0);
    assert_true(is_shut_out(0));
    attach(0, 100, NULL, 0);
    ask_one_of(0, 1, "example.net", twice, 3);
    assert_true(is_shut_out(0));
    ask(1, 1, "example.net", "a"); /* and nothing is left of it */
    assert_true(is_granted(1, 1));
    assert_int_equal(number_of("a", "open"), 1);
}

static void a_worker_speaks_of_its_own_slots_alone(void **state)
{
    (void)state;
    ask(0, 1, "example.net", "mx.example.net");
    assert_true(is_granted(0, 1));
    stands(1, 1);
    give_back(1, 1, "421 they are mine");
    rig_idle(&rig, 100);
    assert_int_equal(number_of("mx.example.net", "open"), 1);
    stands(0, 1);
    stands(0, 1); /* counts once */
    give_back(0, 1, NULL);
    give_back(0, 1, NULL);
    rig_idle(&rig, 100);
    assert_non_null(workers[0].channel);
    assert_int_equal(number_of("mx.example.net", "open"), 0);
}

static void a_worker_cannot_keep_all_of_a_host_from_others(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 4; number++)
        ask(0, number, "example.net", "mx.example.net");
    assert_true(is_granted(0, 4));
    ask(0, 5, "example.net", "mx.example.net");
    ask(1, 1, "example.org", "mx.example.net"); /* behind it, but it has half already */
    assert_true(is_left_waiting(1, 1));
    give_back(0, 1, NULL);
    assert_true(is_granted(1, 1));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("slots are granted, as many as a host bears",
             slots_are_granted_as_many_as_a_host_bears),
        TEST("workers share what a host bears", workers_share_what_a_host_bears),
        TEST("an ask names hosts, of which the first with room is granted",
             an_ask_names_hosts_of_which_the_first_with_room_is_granted),
        TEST("a host gets no more than its cap", a_host_gets_no_more_than_its_cap),
        TEST("a next hop gets no more than its cap", a_hop_gets_no_more_than_its_cap),
        TEST("one more is tried after some seconds", one_more_is_tried_after_some_seconds),
        TEST("what a dead worker had is free", what_a_dead_worker_had_is_free),
        TEST("an ask that is given back waits no more", an_ask_that_is_given_back_waits_no_more),
        TEST("a dead host is tried with one, while others of its hop are not held back",
             a_dead_host_is_tried_with_one_while_others_of_its_hop_are_not_held_back),
        TEST("what workers hold counts for the next queue",
             what_workers_hold_counts_for_the_next_queue),
        TEST("what was learned outlives the queue", what_was_learned_outlives_the_queue),
        TEST("hosts shows what is open and what was learned",
             hosts_shows_what_is_open_and_what_was_learned),
        TEST("what one worker learned of a host's TLS all know, until it is forgotten",
             what_one_worker_learned_of_tls_all_know_until_it_is_forgotten),
        TEST("what was learned of TLS is over after a day",
             what_was_learned_of_tls_is_over_after_a_day),
        TEST("hosts comes in pages, too", hosts_comes_in_pages_too),
        TEST("what was learned is on disk with the next commit, and outlives a kill",
             what_was_learned_is_on_disk_with_the_next_commit),
        TEST("forgetting what is not known fails", forgetting_what_is_not_known_fails),
        TEST("forgetting lets those who wait go on", forgetting_lets_those_who_wait_go_on),
        TEST("hostile: a worker that asks twice is shut out", a_worker_that_asks_twice_is_shut_out),
        TEST("hostile: a worker that asks without end is shut out",
             a_worker_that_asks_without_end_is_shut_out),
        TEST("hostile: a worker that names what is no host is shut out",
             a_worker_that_names_what_is_no_host_is_shut_out),
        TEST("hostile: a worker speaks of its own slots alone",
             a_worker_speaks_of_its_own_slots_alone),
        TEST("hostile: a worker cannot keep all of a host from others",
             a_worker_cannot_keep_all_of_a_host_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
