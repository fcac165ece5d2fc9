/* The tlsrpt role as a process, with this test as its supervisor and as a worker that tells. */
#include "tests/support/test.h"

#include "lib/base/json.h"
#include "lib/ipc/role.h"
#include "tests/support/session_event.h"
#include "tests/support/tlsrpt_rig.h"

#include <unistd.h>

static const char settings[] =
    "hostname = \"relay.test\"; tlsrpt-contact = \"postmaster@relay.test\";";

static int setup(void **state)
{
    *state = reporter_new(settings);
    return 0;
}

static int teardown(void **state)
{
    reporter_free(*state);
    return 0;
}

/* How many failed sessions today's report of a domain has; 0 without one. */
static int failures_of(struct tlsrpt_rig *rig, const char *domain)
{
    struct json *report = NULL;
    int failures;

    reporter_ask(rig, "tlsrpt report", domain, NULL, NULL);
    if (rig->failed)
        return 0;
    assert_null(json_parse(span_of(buf_span(&rig->answer).data), &report));
    struct json *first = json_item(json_get(report, "policies"), 0);
    failures =
        (int)json_number(json_get(json_get(first, "summary"), "total-failure-session-count"));
    assert_true(
        span_equal(json_text(json_get(report, "contact-info")), SPAN("postmaster@relay.test")));
    json_free(&report);
    return failures;
}

static void tell_failure(struct tlsrpt_rig *rig, const char *domain)
{
    struct session_event e;

    event_failure(&e, domain, TLS_RESULT_CERTIFICATE_EXPIRED);
    tlsrpt_tell(rig->worker, &e.event);
}

/* Told over another channel, it may not have come yet. */
static void wait_failures(struct tlsrpt_rig *rig, const char *domain, int wanted)
{
    for (int i = 0; i < 100 && failures_of(rig, domain) != wanted; i++)
        usleep(10 * 1000);
    assert_int_equal(failures_of(rig, domain), wanted);
}

static void what_workers_tell_is_in_the_report(void **state)
{
    struct tlsrpt_rig *rig = *state;

    reporter_start(rig);
    tell_failure(rig, "a.test");
    tell_failure(rig, "a.test");
    wait_failures(rig, "a.test", 2);
    assert_int_equal(failures_of(rig, "A.TEST."), 2);
    assert_int_equal(reporter_stop(rig), ROLE_EXIT_DONE);
}

static void counts_outlive_the_process(void **state)
{
    struct tlsrpt_rig *rig = *state;

    reporter_start(rig);
    tell_failure(rig, "a.test");
    wait_failures(rig, "a.test", 1);
    assert_int_equal(reporter_stop(rig), ROLE_EXIT_DONE);
    tell_failure(rig, "a.test"); /* kept by the worker while the role is away */
    reporter_start(rig);
    wait_failures(rig, "a.test", 2);
    assert_int_equal(reporter_stop(rig), ROLE_EXIT_DONE);
}

static void a_kill_costs_a_second_at_most(void **state)
{
    struct tlsrpt_rig *rig = *state;

    reporter_start(rig);
    tell_failure(rig, "a.test");
    wait_failures(rig, "a.test", 1);
    usleep(1500 * 1000);
    reporter_kill(rig);
    reporter_start(rig);
    assert_int_equal(failures_of(rig, "a.test"), 1);
    assert_int_equal(reporter_stop(rig), ROLE_EXIT_DONE);
}

static void questions_without_an_answer_get_a_sentence(void **state)
{
    struct tlsrpt_rig *rig = *state;

    reporter_start(rig);
    reporter_ask(rig, "tlsrpt report", "nothing.test", "day", "2020-02-02");
    assert_true(rig->failed);
    assert_string_equal(buf_span(&rig->answer).data,
                        "no session with nothing.test was counted on 2020-02-02");
    reporter_ask(rig, "tlsrpt report", "a..b", NULL, NULL);
    assert_true(rig->failed);
    reporter_ask(rig, "tlsrpt report", "a.test", "day", "yesterday");
    assert_true(rig->failed);
    reporter_ask(rig, "tlsrpt mend", "a.test", NULL, NULL);
    assert_true(rig->failed);
    assert_int_equal(reporter_stop(rig), ROLE_EXIT_DONE);
}

static void nonsense_of_a_worker_ends_its_channel_only(void **state)
{
    struct tlsrpt_rig *rig = *state;
    char junk[64];
    int fd;

    reporter_start(rig);
    fd = reporter_hand_over_peer(rig);
    memset(junk, 0xff, sizeof(junk));
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    struct session_event e;
    event_failure(&e, "not a domain", TLS_RESULT_CERTIFICATE_EXPIRED);
    tlsrpt_tell(rig->worker, &e.event);
    reporter_ask(rig, "tlsrpt report", "a.test", NULL, NULL);
    assert_int_equal(read(fd, junk, sizeof(junk)), 0);
    close(fd);
    tlsrpt_client_attach(rig->worker, reporter_hand_over_peer(rig));
    tell_failure(rig, "a.test");
    wait_failures(rig, "a.test", 1);
    assert_int_equal(reporter_stop(rig), ROLE_EXIT_DONE);
}

#define ROLE_TEST(title, function)                                                                 \
    {                                                                                              \
        title, function, setup, teardown, 0                                                        \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        ROLE_TEST("tlsrpt: what workers tell is in the report", what_workers_tell_is_in_the_report),
        ROLE_TEST("tlsrpt: counts outlive the process", counts_outlive_the_process),
        ROLE_TEST("tlsrpt: a kill costs the counts of a second at most",
                  a_kill_costs_a_second_at_most),
        ROLE_TEST("tlsrpt: questions without an answer get a sentence",
                  questions_without_an_answer_get_a_sentence),
        ROLE_TEST("tlsrpt: nonsense of a worker ends its channel only",
                  nonsense_of_a_worker_ends_its_channel_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
