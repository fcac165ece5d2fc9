#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "lib/ipc/channel.h"
#include "queue/probes.h"

enum { MANY = PROBES_MAX + 20 };

/* A worker that takes jobs, and an smtpd that asks. */
static struct bench {
    struct loop *loop;
    struct probes *probes;
    struct probe_asker asker;
    struct worker_slot worker;
    bool has_room;
    unsigned jobs;
    uint64_t numbers[MANY];
    char last_mailbox[ADDRESS_MAX + 1];
    char last_hop[DOMAIN_MAX + 1];
    unsigned answers;
    Ipc__ProbeVerdict verdicts[MANY + PROBE_ASKS_MAX];
} bench;

static bool take_job(void *ctx, struct span hop, const Ipc__Job *job,
                     const struct worker_slot **out_slot)
{
    struct bench *b = ctx;
    if (!b->has_room)
        return false;
    assert_true(job->probe);
    assert_int_equal(job->id, 0);
    assert_int_equal(job->envelope->n_recipients, 1);
    assert_int_equal(job->envelope->reverse_path->text.len, 0);
    b->numbers[b->jobs++ % MANY] = job->lease;
    span_to_string(span_of_bytes(job->envelope->recipients[0]->forward_path->text), b->last_mailbox,
                   sizeof(b->last_mailbox));
    span_to_string(hop, b->last_hop, sizeof(b->last_hop));
    *out_slot = &b->worker;
    return true;
}

static void on_answer(void *ctx, uint64_t id, Ipc__ProbeVerdict verdict)
{
    struct bench *b = ctx;
    b->verdicts[id] = verdict;
    b->answers++;
}

static int open_bench(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bench.loop = loop_new();
    bench.has_room = true;
    bench.probes = probes_new(bench.loop, take_job, &bench);
    probe_asker_init(&bench.asker, on_answer, &bench);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    probes_free(&bench.probes);
    loop_free(&bench.loop);
    return 0;
}

static void ask(uint64_t id, const char *text)
{
    struct address mailbox;
    assert_int_equal(address_parse(span_of(text), &mailbox), ADDRESS_FINE);
    probes_ask(bench.probes, &bench.asker, id, &mailbox, SPAN("relayhost"));
}

static bool outcome(uint64_t number, Ipc__ResultKind kind, bool remote)
{
    Ipc__Outcome message = IPC__OUTCOME__INIT;
    Ipc__Result result = IPC__RESULT__INIT;
    Ipc__Result *results[] = { &result };
    result.kind = kind;
    result.remote = remote;
    message.lease = number;
    message.results = results;
    message.n_results = 1;
    return probes_take_outcome(bench.probes, &bench.worker, &message);
}

static void a_mailbox_is_asked_for_once_and_remembered(void **state)
{
    (void)state;
    ask(0, "ada@example.net");
    ask(1, "ada@EXAMPLE.net");
    assert_int_equal(bench.jobs, 1);
    assert_string_equal(bench.last_mailbox, "ada@example.net");
    assert_string_equal(bench.last_hop, "relayhost");
    assert_int_equal(bench.answers, 0);
    assert_true(outcome(bench.numbers[0], IPC__RESULT_KIND__DELIVERED, true));
    assert_int_equal(bench.answers, 2);
    assert_int_equal(bench.verdicts[0], IPC__PROBE_VERDICT__PROBE_TAKEN);
    assert_int_equal(bench.verdicts[1], IPC__PROBE_VERDICT__PROBE_TAKEN);
    ask(2, "ada@example.net");
    assert_int_equal(bench.jobs, 1);
    assert_int_equal(bench.verdicts[2], IPC__PROBE_VERDICT__PROBE_TAKEN);
    ask(3, "Ada@example.net"); /* another mailbox, for all we know */
    assert_int_equal(bench.jobs, 2);
}

static void only_a_remote_never_refuses(void **state)
{
    (void)state;
    static const struct {
        Ipc__ResultKind kind;
        bool remote;
        Ipc__ProbeVerdict verdict;
    } cases[] = {
        { IPC__RESULT_KIND__FAILED, true, IPC__PROBE_VERDICT__PROBE_REFUSED },
        { IPC__RESULT_KIND__FAILED, false, IPC__PROBE_VERDICT__PROBE_UNDECIDED },
        { IPC__RESULT_KIND__DEFERRED, true, IPC__PROBE_VERDICT__PROBE_UNDECIDED },
        { IPC__RESULT_KIND__RETURNED, false, IPC__PROBE_VERDICT__PROBE_UNDECIDED },
        { IPC__RESULT_KIND__UNKNOWN_RESULT, true, IPC__PROBE_VERDICT__PROBE_UNDECIDED },
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char mailbox[40];
        snprintf(mailbox, sizeof(mailbox), "m%u@example.net", i);
        bench.verdicts[i] = 77;
        ask(i, mailbox);
        assert_true(outcome(bench.numbers[i], cases[i].kind, cases[i].remote));
        assert_int_equal(bench.verdicts[i], cases[i].verdict);
    }
}

static void without_a_worker_nothing_is_decided(void **state)
{
    (void)state;
    bench.has_room = false;
    ask(0, "ada@example.net");
    assert_int_equal(bench.answers, 1);
    assert_int_equal(bench.verdicts[0], IPC__PROBE_VERDICT__PROBE_UNDECIDED);
    bench.has_room = true;
    ask(1, "ada@example.net"); /* and nothing is remembered */
    assert_int_equal(bench.jobs, 1);
}

static void a_worker_that_goes_decides_nothing(void **state)
{
    (void)state;
    struct worker_slot other;
    ask(0, "ada@example.net");
    probes_worker_gone(bench.probes, &other);
    assert_int_equal(bench.answers, 0);
    probes_worker_gone(bench.probes, &bench.worker);
    assert_int_equal(bench.verdicts[0], IPC__PROBE_VERDICT__PROBE_UNDECIDED);
    assert_int_equal(bench.answers, 1);
    assert_false(outcome(bench.numbers[0], IPC__RESULT_KIND__DELIVERED, true));
}

static void another_workers_word_counts_for_nothing(void **state)
{
    (void)state;
    Ipc__Outcome message = IPC__OUTCOME__INIT;
    struct worker_slot other;
    ask(0, "ada@example.net");
    message.lease = bench.numbers[0];
    assert_false(probes_take_outcome(bench.probes, &other, &message));
    message.lease = UINT64_MAX;
    assert_false(probes_take_outcome(bench.probes, &bench.worker, &message));
    assert_int_equal(bench.answers, 0);
    message.lease = bench.numbers[0]; /* no result at all */
    assert_true(probes_take_outcome(bench.probes, &bench.worker, &message));
    assert_int_equal(bench.verdicts[0], IPC__PROBE_VERDICT__PROBE_UNDECIDED);
}

static void who_has_gone_is_told_nothing(void **state)
{
    (void)state;
    ask(0, "ada@example.net");
    probes_forget(&bench.asker);
    assert_int_equal(bench.asker.count, 0);
    assert_true(outcome(bench.numbers[0], IPC__RESULT_KIND__DELIVERED, true));
    assert_int_equal(bench.answers, 0);
    ask(1, "ada@example.net"); /* the answer was kept all the same */
    assert_int_equal(bench.verdicts[1], IPC__PROBE_VERDICT__PROBE_TAKEN);
}

static void probes_under_way_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        char mailbox[40];
        snprintf(mailbox, sizeof(mailbox), "m%u@example.net", i);
        ask(i, mailbox);
    }
    assert_int_equal(bench.jobs, PROBES_MAX);
    assert_int_equal(bench.answers, MANY - PROBES_MAX);
    assert_true(outcome(bench.numbers[7], IPC__RESULT_KIND__DELIVERED, true));
    ask(MANY, "another@example.net");
    assert_int_equal(bench.jobs, PROBES_MAX + 1);
}

static void asks_of_one_smtpd_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PROBE_ASKS_MAX + 5; i++)
        ask(i, "ada@example.net");
    assert_int_equal(bench.asker.count, PROBE_ASKS_MAX);
    assert_int_equal(bench.answers, 5);
}

static void what_is_remembered_is_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PROBES_KEPT_MAX + 10; i++) {
        char mailbox[40];
        snprintf(mailbox, sizeof(mailbox), "m%u@example.net", i);
        ask(0, mailbox);
        assert_true(outcome(bench.numbers[i % MANY], IPC__RESULT_KIND__DELIVERED, true));
    }
    unsigned jobs = bench.jobs;
    ask(0, "m0@example.net"); /* the oldest was forgotten */
    assert_int_equal(bench.jobs, jobs + 1);
    ask(0, "m10009@example.net");
    assert_int_equal(bench.jobs, jobs + 1);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_bench, close_bench, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a mailbox is asked for once, and the answer remembered",
             a_mailbox_is_asked_for_once_and_remembered),
        TEST("only a remote never refuses", only_a_remote_never_refuses),
        TEST("without a worker nothing is decided", without_a_worker_nothing_is_decided),
        TEST("a worker that goes decides nothing", a_worker_that_goes_decides_nothing),
        TEST("another worker's word counts for nothing", another_workers_word_counts_for_nothing),
        TEST("who has gone is told nothing", who_has_gone_is_told_nothing),
        TEST("probes under way are bounded", probes_under_way_are_bounded),
        TEST("asks of one smtpd are bounded", asks_of_one_smtpd_are_bounded),
        TEST("what is remembered is bounded", what_is_remembered_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
