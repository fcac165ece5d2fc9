#include "policy/domains.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "policy/alarms.h"
#include "policy/refresh.h"

#define ENFORCE "version: STSv1\nmode: enforce\nmx: mx1.example.com\nmax_age: 604800\n"
#define NONE "version: STSv1\nmode: none\nmax_age: 86400\n"

/* ---- a resolver and a fetcher that do as they are told ----------------------------------------
 */

struct resolver_query {
    resolver_done_fn *done;
    void *ctx;
    char name[300];
};
struct sts_fetch {
    sts_fetch_done_fn *done;
    void *ctx;
};

static struct resolver_query *asked;
static struct sts_fetch *fetching;
static uint32_t txt_ttl; /* of the next answer */
static unsigned lookups;
static unsigned fetches;

struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx)
{
    (void)resolver;
    assert_int_equal(type, DNS_TXT);
    assert_null(asked);
    asked = memory_new(sizeof(*asked));
    asked->done = done;
    asked->ctx = ctx;
    span_to_string(name, asked->name, sizeof(asked->name));
    lookups++;
    return asked;
}

void resolver_cancel(struct resolver_query **query)
{
    if (*query)
        asked = NULL;
    free(*query);
    *query = NULL;
}

struct sts_fetch *sts_fetch_start(struct sts_fetcher *fetcher, const char *domain,
                                  sts_fetch_done_fn *done, void *ctx)
{
    (void)fetcher;
    assert_string_equal(domain, "example.com");
    assert_null(fetching);
    fetching = memory_new(sizeof(*fetching));
    fetching->done = done;
    fetching->ctx = ctx;
    fetches++;
    return fetching;
}

void sts_fetch_cancel(struct sts_fetch **fetch)
{
    if (*fetch)
        fetching = NULL;
    free(*fetch);
    *fetch = NULL;
}

/* ---- a disk that is full when it is told to be --------------------------------------------------
 */

static bool disk_is_full;

int fdatasync(int fd)
{
    if (!disk_is_full)
        return (int)syscall(SYS_fdatasync, fd);
    errno = ENOSPC;
    return -1;
}

/* ---- the world --------------------------------------------------------------------------------
 */

struct world {
    char folder[40];
    struct loop *loop;
    struct sts_cache *cache;
    struct domains *domains;
    unsigned told; /* fetches that failed */
    bool told_with_policy;
    unsigned answers;
    enum policy_state state;
    enum sts_mode mode;
    char id[STS_ID_MAX + 1];
    enum tls_result fetch_result;
    char reason[200];
};

static void on_fetch_failed(void *ctx, const char *domain, const struct sts_policy *policy,
                            enum tls_result result, const char *reason)
{
    struct world *world = ctx;
    assert_string_equal(domain, "example.com");
    assert_int_not_equal(result, TLS_RESULT_SUCCESS);
    assert_non_null(reason);
    world->told++;
    world->told_with_policy = policy != NULL;
}

static void on_broken(void *ctx, struct error *err)
{
    (void)ctx;
    fail_msg("%s", error_text(err));
}

static const struct domains_events events = { on_fetch_failed, on_broken };

static void open_domains(struct world *world)
{
    enum sts_cache_refusal refusal;
    assert_null(sts_cache_open(world->folder, 0, &world->cache, &refusal));
    world->domains = domains_new(world->loop, world->cache, NULL, NULL, &events, world);
}

static void close_domains(struct world *world)
{
    domains_free(&world->domains);
    sts_cache_close(&world->cache);
}

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    strcpy(world->folder, "/tmp/test_domains.XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    world->loop = loop_new();
    open_domains(world);
    lookups = fetches = 0;
    txt_ttl = 0;
    *state = world;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int world_close(void **state)
{
    struct world *world = *state;
    close_domains(world);
    loop_free(&world->loop);
    nftw(world->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(world);
    return 0;
}

static void on_answer(void *ctx, const struct policy_answer *answer)
{
    struct world *world = ctx;
    world->answers++;
    world->state = answer->state;
    world->fetch_result = answer->fetch_result;
    snprintf(world->reason, sizeof(world->reason), "%s", answer->fetch_reason);
    world->id[0] = '\0';
    if (!answer->entry)
        return;
    world->mode = answer->entry->policy->mode;
    memcpy(world->id, answer->entry->id, sizeof(world->id));
}

static struct domain_asker *ask(struct world *world, enum policy_wish wish)
{
    return domain_ask(world->domains, SPAN("example.com"), wish, on_answer, world);
}

/* NULL: the lookup fails; "": there is no record. */
static void txt_is(const char *text)
{
    struct resolver_query *query = asked;
    struct dns_record record = { 0 };
    struct dns_answer answer = { .outcome = text ? DNS_NODATA : DNS_TEMPFAIL };
    assert_non_null(query);
    assert_string_equal(query->name, "_mta-sts.example.com");
    char *copy = memory_copy_text(text ? text : "");
    if (copy[0] != '\0') {
        record.data = copy;
        record.data_len = strlen(copy);
        answer = (struct dns_answer){ .outcome = DNS_ANSWER, .records = &record, .count = 1 };
    }
    answer.ttl = txt_ttl;
    asked = NULL;
    query->done(query->ctx, &answer);
    free(query);
    free(copy);
}

static void fetch_ends(struct sts_fetched fetched)
{
    struct sts_fetch *fetch = fetching;
    assert_non_null(fetch);
    fetching = NULL;
    fetch->done(fetch->ctx, &fetched);
    sts_policy_free(&fetched.policy);
    free(fetch);
}

static void fetch_gives(const char *body)
{
    struct sts_fetched fetched = { 0 };
    assert_int_equal(sts_policy_parse(span_of(body), &fetched.policy), STS_POLICY_FINE);
    fetch_ends(fetched);
}

static void fetch_fails(void)
{
    fetch_ends((struct sts_fetched){ .result = TLS_RESULT_STS_POLICY_FETCH_ERROR,
                                     .reason = "HTTPS: status 404" });
}

static void on_turned(void *ctx)
{
    loop_stop(ctx);
}

static void turn(struct world *world)
{
    struct loop_timer *timer = loop_timer_new(world->loop, on_turned, world->loop);
    loop_timer_start(timer, 0);
    loop_run(world->loop);
    loop_timer_free(&timer);
}

/* What is cached, enforced, under A1, fetched so long ago. */
static void cache_holds(struct world *world, int64_t age_ms)
{
    struct sts_entry entry = { .domain = "example.com", .id = "A1" };
    assert_int_equal(sts_policy_parse(SPAN(ENFORCE), &entry.policy), STS_POLICY_FINE);
    entry.fetched_utc_ms = clock_utc_ms() - age_ms;
    entry.used_utc_ms = clock_utc_ms();
    assert_null(sts_cache_store(world->cache, &entry));
    sts_entry_clear(&entry);
}

static void cache_holds_unused(struct world *world, int64_t age_ms)
{
    struct sts_entry entry;
    cache_holds(world, age_ms);
    assert_null(sts_cache_load(world->cache, SPAN("example.com"), &entry));
    entry.used_utc_ms = clock_utc_ms() - 40 * DAY_MS;
    entry.refresh_utc_ms = 1;
    assert_null(sts_cache_store(world->cache, &entry));
    sts_entry_clear(&entry);
}

static void assert_enforced(struct world *world, const char *id)
{
    assert_int_equal(world->state, POLICY_PRESENT);
    assert_int_equal(world->mode, STS_ENFORCE);
    assert_string_equal(world->id, id);
}

/* ---- the stories ------------------------------------------------------------------------------
 */

static void the_first_mail_waits_for_the_policy_and_gets_it(void **state)
{
    struct world *world = *state;
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    assert_int_equal(world->answers, 0);
    fetch_gives(ENFORCE);
    assert_int_equal(world->answers, 1);
    assert_enforced(world, "A1");
    assert_int_equal(world->fetch_result, TLS_RESULT_SUCCESS);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    assert_enforced(world, "A1");
    assert_int_equal(fetches, 1);
}

static void many_questions_make_one_lookup_and_one_fetch(void **state)
{
    struct world *world = *state;
    for (unsigned i = 0; i < 5; i++)
        ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    ask(world, WISH_CURRENT);
    ask(world, WISH_FRESH);
    fetch_gives(ENFORCE);
    assert_int_equal(world->answers, 7);
    assert_int_equal(lookups, 1);
    assert_int_equal(fetches, 1);
}

static void without_a_record_there_is_no_policy(void **state)
{
    struct world *world = *state;
    ask(world, WISH_CURRENT);
    txt_is("");
    assert_int_equal(world->state, POLICY_ABSENT);
    assert_int_equal(world->fetch_result, TLS_RESULT_SUCCESS);
    assert_int_equal(fetches, 0);
}

static void silence_of_dns_is_not_no_policy(void **state)
{
    struct world *world = *state;
    ask(world, WISH_CURRENT);
    txt_is(NULL);
    assert_int_equal(world->state, POLICY_UNKNOWN);
    assert_string_not_equal(world->reason, "");
    ask(world, WISH_CURRENT); /* not looked up again at once, and not answered from within */
    assert_int_equal(world->answers, 1);
    turn(world);
    assert_int_equal(world->answers, 2);
    assert_int_equal(world->state, POLICY_UNKNOWN);
    assert_int_equal(lookups, 1);
    ask(world, WISH_FORCED);
    assert_int_equal(lookups, 2);
    txt_is("");
}

static void a_failed_fetch_is_no_policy_and_is_told(void **state)
{
    struct world *world = *state;
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    fetch_fails();
    assert_int_equal(world->state, POLICY_ABSENT);
    assert_int_equal(world->fetch_result, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    assert_string_equal(world->reason, "HTTPS: status 404");
    assert_int_equal(world->told, 1);
    assert_false(world->told_with_policy);
    ask(world, WISH_CURRENT); /* within the five minutes */
    txt_is("v=STSv1; id=A1;");
    assert_int_equal(fetches, 1);
    assert_int_equal(world->told, 1); /* each fetch once, however much mail it stands for */
    ask(world, WISH_CURRENT);         /* another id need not wait */
    txt_is("v=STSv1; id=B2;");
    fetch_gives(ENFORCE);
    assert_enforced(world, "B2");
    assert_int_equal(world->fetch_result, TLS_RESULT_SUCCESS);
}

static void trouble_of_our_own_is_not_no_policy(void **state)
{
    struct world *world = *state;
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    fetch_ends((struct sts_fetched){ .local = true, .reason = "fetch: too many at a time" });
    assert_int_equal(world->state, POLICY_UNKNOWN);
    assert_int_equal(world->fetch_result, TLS_RESULT_SUCCESS);
    assert_int_equal(world->told, 0);
}

static void the_cached_policy_stays_when_the_new_one_cannot_be_had(void **state)
{
    struct world *world = *state;
    cache_holds(world, DAY_MS);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=B2;");
    fetch_fails();
    assert_enforced(world, "A1");
    assert_int_equal(world->fetch_result, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    ask(world, WISH_CURRENT);
    txt_is(NULL);
    assert_enforced(world, "A1");
    ask(world, WISH_FORCED);
    txt_is("");
    fetch_fails();
    assert_enforced(world, "A1");
}

static void a_lapsed_policy_is_gone_when_it_cannot_be_had_again(void **state)
{
    struct world *world = *state;
    cache_holds(world, 8 * DAY_MS);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    fetch_fails();
    assert_int_equal(world->state, POLICY_ABSENT);
    assert_int_equal(world->told, 1);
    assert_false(world->told_with_policy);
}

static void a_lapsed_policy_is_tried_once_even_while_dns_is_silent(void **state)
{
    struct world *world = *state;
    cache_holds(world, 8 * DAY_MS);
    ask(world, WISH_CURRENT);
    txt_is(NULL);
    fetch_gives(ENFORCE);
    assert_enforced(world, "A1");
    cache_holds(world, 8 * DAY_MS);
    ask(world, WISH_FORCED);
    txt_is(NULL);
    assert_int_equal(world->state, POLICY_UNKNOWN); /* tried since the start */
    domains_clock_was_set(world->domains);
    ask(world, WISH_FORCED);
    txt_is(NULL);
    assert_int_equal(fetches, 2);
    fetch_fails();
    assert_int_equal(world->state, POLICY_UNKNOWN);
}

static void mode_none_replaces_enforce_and_is_quiet_about_failures(void **state)
{
    struct world *world = *state;
    cache_holds(world, DAY_MS);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=N1;");
    fetch_gives(NONE);
    assert_int_equal(world->state, POLICY_PRESENT);
    assert_int_equal(world->mode, STS_NONE);
    ask(world, WISH_FRESH);
    txt_is("");
    fetch_fails();
    assert_int_equal(world->state, POLICY_PRESENT);
    assert_int_equal(world->fetch_result, TLS_RESULT_SUCCESS);
    assert_int_equal(world->told, 0);
}

static void what_was_fetched_survives_a_restart(void **state)
{
    struct world *world = *state;
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    fetch_gives(ENFORCE);
    close_domains(world);
    open_domains(world);
    ask(world, WISH_CURRENT);
    txt_is(NULL);
    assert_enforced(world, "A1");
    assert_int_equal(fetches, 1);
}

static void a_restart(struct world *world)
{
    close_domains(world);
    open_domains(world);
}

static void the_wait_after_a_failed_fetch_survives_a_restart(void **state)
{
    struct world *world = *state;
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    fetch_fails();
    a_restart(world);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    assert_int_equal(fetches, 1);
    assert_int_equal(world->state, POLICY_ABSENT);
    assert_int_equal(world->fetch_result, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    assert_string_equal(world->reason, "HTTPS: status 404");
    ask(world, WISH_FORCED);
    txt_is("v=STSv1; id=A1;");
    fetch_gives(ENFORCE); /* an operator need not wait; then nothing is left of the failure */
    a_restart(world);
    ask(world, WISH_FRESH);
    txt_is("v=STSv1; id=A1;");
    fetch_gives(ENFORCE);
    assert_int_equal(fetches, 3);
}

static void an_old_failure_or_one_of_the_future_delays_nothing(void **state)
{
    struct world *world = *state;
    const int64_t times[] = { clock_utc_ms() - STS_BACKOFF_MS - 1, clock_utc_ms() + DAY_MS };
    for (int i = 0; i < 2; i++) {
        struct sts_failed failed = { .domain = "example.com", .id = "A1", .utc_ms = times[i] };
        assert_null(sts_cache_note_failed(world->cache, &failed, 0));
    }
    a_restart(world);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    fetch_gives(ENFORCE);
    assert_enforced(world, "A1");
}

static void a_refresh_comes_by_itself_and_tells_of_its_failure(void **state)
{
    struct world *world = *state;
    struct sts_entry entry;
    cache_holds(world, DAY_MS); /* refresh_utc_ms is 0: due at once */
    domains_refresh_due(world->domains);
    domains_refresh_due(world->domains); /* already under way */
    txt_is("");
    fetch_fails();
    assert_int_equal(world->told, 1);
    assert_true(world->told_with_policy);
    domains_refresh_due(world->domains); /* put off */
    assert_null(asked);
    cache_holds(world, DAY_MS);
    domains_refresh_due(world->domains);
    txt_is("v=STSv1; id=B2;");
    fetch_gives(ENFORCE);
    assert_null(sts_cache_load(world->cache, SPAN("example.com"), &entry));
    assert_string_equal(entry.id, "B2");
    assert_true(entry.fetched_utc_ms > clock_utc_ms() - MINUTE_MS);
    sts_entry_clear(&entry);
    assert_int_equal(world->answers, 0);
}

static void a_refresh_set_too_far_off_by_a_wrong_clock_is_pulled_in(void **state)
{
    struct world *world = *state;
    struct sts_entry entry;
    domains_refresh_due(world->domains);
    cache_holds(world, DAY_MS);
    assert_null(sts_cache_load(world->cache, SPAN("example.com"), &entry));
    entry.refresh_utc_ms = clock_utc_ms() + 400 * DAY_MS;
    assert_null(sts_cache_store(world->cache, &entry));
    sts_entry_clear(&entry);
    domains_refresh_due(world->domains);
    assert_null(asked);
    domains_clock_was_set(world->domains);
    domains_refresh_due(world->domains);
    txt_is("v=STSv1; id=A1;");
    fetch_gives(ENFORCE);
    assert_null(sts_cache_load(world->cache, SPAN("example.com"), &entry));
    assert_true(entry.refresh_utc_ms <= clock_utc_ms() + DAY_MS);
    sts_entry_clear(&entry);
}

static void what_nobody_used_in_a_month_is_forgotten_when_it_has_lapsed(void **state)
{
    struct world *world = *state;
    struct sts_entry entry;
    cache_holds_unused(world, 8 * DAY_MS);
    domains_refresh_due(world->domains);
    txt_is(NULL); /* its domain is asked once more, for the clock may be wrong ... */
    fetch_fails();
    cache_holds_unused(world, 8 * DAY_MS);
    domains_refresh_due(world->domains);
    txt_is("v=STSv1; id=A2;");
    fetch_gives(ENFORCE);
    cache_holds_unused(world, 8 * DAY_MS);
    domains_refresh_due(world->domains);
    txt_is(""); /* ... and then it is over */
    assert_null(sts_cache_load(world->cache, SPAN("example.com"), &entry));
    assert_null(entry.policy);
}

/* Events say "broken" where the role would end: that fails the test. */
static void a_full_disk_costs_no_policy_and_ends_nothing(void **state)
{
    static const int64_t ages[] = { HOUR_MS, 8 * DAY_MS };
    struct world *world = *state;
    struct sts_entry entry;
    for (size_t i = 0; i < 2; i++) { /* alive, and lapsed */
        cache_holds_unused(world, ages[i]);
        disk_is_full = true;
        domains_refresh_due(world->domains);
        if (i == 1)
            txt_is(""); /* to be forgotten */
        disk_is_full = false;
        assert_null(sts_cache_load(world->cache, SPAN("example.com"), &entry));
        assert_non_null(entry.policy);
        sts_entry_clear(&entry);
    }
}

static void a_policy_that_finds_no_room_binds_who_asked(void **state)
{
    struct world *world = *state;
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    disk_is_full = true;
    fetch_gives(ENFORCE);
    disk_is_full = false;
    assert_enforced(world, "A1");
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    fetch_gives(ENFORCE); /* it was not kept: had again */
    assert_enforced(world, "A1");
}

static void a_cancelled_question_is_not_answered_but_its_policy_kept(void **state)
{
    struct world *world = *state;
    struct domain_asker *asker = ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    domain_cancel(&asker);
    assert_null(asker);
    fetch_gives(ENFORCE);
    assert_int_equal(world->answers, 0);
    ask(world, WISH_CURRENT);
    txt_is(NULL);
    assert_enforced(world, "A1");
}

/* Two servers of a domain, of which one is behind: each id waits its own five minutes. */
static void ids_that_take_turns_are_fetched_once_each(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 4; i++) {
        ask(world, WISH_CURRENT);
        txt_is(i % 2 ? "v=STSv1; id=B2;" : "v=STSv1; id=A1;");
        if (fetching)
            fetch_fails();
        assert_int_equal(world->state, POLICY_ABSENT);
        assert_int_equal(world->fetch_result, TLS_RESULT_STS_POLICY_FETCH_ERROR);
    }
    assert_int_equal(fetches, 2);
}

static void what_dns_said_is_kept_for_its_ttl(void **state)
{
    struct world *world = *state;
    txt_ttl = 1000;
    ask(world, WISH_CURRENT);
    txt_is("");
    ask(world, WISH_CURRENT);
    assert_null(asked);
    turn(world);
    assert_int_equal(world->answers, 2);
    assert_int_equal(world->state, POLICY_ABSENT);
    ask(world, WISH_FRESH); /* before the final bounce it is asked anew */
    txt_is("v=STSv1; id=A1;");
    fetch_gives(ENFORCE);
    ask(world, WISH_CURRENT);
    turn(world);
    assert_enforced(world, "A1");
    assert_int_equal(lookups, 2);
    assert_int_equal(fetches, 1);
}

static void mail_does_not_wait_for_a_slow_refresh_of_what_is_cached(void **state)
{
    struct world *world = *state;
    cache_holds(world, DAY_MS);
    domains_refresh_due(world->domains);
    ask(world, WISH_CURRENT); /* before its record was looked up, */
    txt_is("v=STSv1; id=A1;");
    ask(world, WISH_CURRENT); /* and while its file is fetched */
    ask(world, WISH_FRESH);
    assert_int_equal(world->answers, 0); /* never from within */
    turn(world);
    assert_int_equal(world->answers, 2);
    assert_enforced(world, "A1");
    fetch_gives(NONE);
    assert_int_equal(world->answers, 3);
    assert_int_equal(world->mode, STS_NONE);
    assert_int_equal(fetches, 1);
}

static void mail_waits_for_the_policy_of_a_new_id(void **state)
{
    struct world *world = *state;
    cache_holds(world, DAY_MS);
    domains_refresh_due(world->domains);
    txt_is("v=STSv1; id=B2;");
    ask(world, WISH_CURRENT);
    turn(world);
    assert_int_equal(world->answers, 0);
    fetch_fails();
    assert_int_equal(world->answers, 1);
    assert_enforced(world, "A1");
}

/* ---- what an administrator hears of ------------------------------------------------------------
 */

/* How many alarms there are of that kind. */
static int64_t alarms_of(struct world *world, const char *kind)
{
    struct json *object = json_new_object();
    alarms_show(domains_alarms(world->domains), clock_utc_ms(), object);
    int64_t count = json_number(json_get(object, kind));
    json_free(&object);
    return count;
}

static void a_failing_refresh_is_an_alarm_until_one_succeeds(void **state)
{
    struct world *world = *state;
    struct sts_entry entry;
    cache_holds(world, DAY_MS);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=B2;");
    fetch_fails();
    assert_int_equal(alarms_of(world, "refresh_failing"), 1);
    assert_null(sts_cache_load(world->cache, SPAN("example.com"), &entry));
    int64_t since = entry.trouble.failing_utc_ms;
    assert_true(since > 0);
    assert_string_equal(entry.trouble.failing_reason, "HTTPS: status 404");
    sts_entry_clear(&entry);
    a_restart(world);
    assert_int_equal(alarms_of(world, "refresh_failing"), 1);
    ask(world, WISH_FORCED);
    txt_is("v=STSv1; id=B2;");
    fetch_fails();
    assert_null(sts_cache_load(world->cache, SPAN("example.com"), &entry));
    assert_int_equal(entry.trouble.failing_utc_ms, since); /* the first one counts */
    sts_entry_clear(&entry);
    ask(world, WISH_FORCED);
    txt_is("v=STSv1; id=B2;");
    fetch_gives(ENFORCE);
    assert_int_equal(alarms_of(world, "refresh_failing"), 0);
}

static void a_record_that_is_gone_is_an_alarm_until_it_is_back(void **state)
{
    struct world *world = *state;
    cache_holds(world, DAY_MS);
    ask(world, WISH_CURRENT);
    txt_is(NULL); /* silence says nothing */
    assert_int_equal(alarms_of(world, "record_gone"), 0);
    ask(world, WISH_FRESH);
    txt_is("");
    fetch_gives(ENFORCE);
    assert_enforced(world, "A1");
    assert_int_equal(alarms_of(world, "record_gone"), 1);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A1;");
    assert_int_equal(alarms_of(world, "record_gone"), 0);
}

static void a_weaker_policy_is_an_alarm_until_it_is_stronger_again(void **state)
{
    struct world *world = *state;
    cache_holds(world, DAY_MS);
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=N1;");
    fetch_gives(NONE);
    assert_int_equal(alarms_of(world, "weakened"), 1);
    ask(world, WISH_FRESH);
    txt_is("v=STSv1; id=N1;");
    fetch_gives(NONE);
    assert_int_equal(alarms_of(world, "weakened"), 1); /* no better than it was */
    ask(world, WISH_CURRENT);
    txt_is("v=STSv1; id=A2;");
    fetch_gives(ENFORCE);
    assert_int_equal(alarms_of(world, "weakened"), 0);
}

/* ---- an operator's word ------------------------------------------------------------------------
 */

static void a_dropped_policy_binds_no_more_and_does_not_come_back(void **state)
{
    struct world *world = *state;
    cache_holds(world, DAY_MS);
    domains_refresh_due(world->domains);
    assert_non_null(asked); /* its refresh is under way */
    assert_null(domains_drop(world->domains, SPAN("example.com")));
    txt_is("v=STSv1; id=A1;");
    fetch_fails();
    ask(world, WISH_CURRENT);
    txt_is("");
    assert_int_equal(world->state, POLICY_ABSENT);
    assert_int_equal(alarms_of(world, "refresh_failing"), 0);
}

static void a_policy_that_is_taken_in_binds_at_once(void **state)
{
    struct world *world = *state;
    struct sts_entry entry = { .domain = "example.com", .id = "C3" };
    assert_int_equal(sts_policy_parse(SPAN(ENFORCE), &entry.policy), STS_POLICY_FINE);
    entry.fetched_utc_ms = clock_utc_ms();
    ask(world, WISH_CURRENT);
    assert_null(domains_take(world->domains, &entry));
    txt_is(NULL);
    assert_enforced(world, "C3");
    sts_entry_clear(&entry);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, world_open, world_close, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("the first mail waits for the policy, and gets it",
              the_first_mail_waits_for_the_policy_and_gets_it),
        STORY("many questions make one lookup and one fetch",
              many_questions_make_one_lookup_and_one_fetch),
        STORY("without a record there is no policy", without_a_record_there_is_no_policy),
        STORY("silence of DNS is not \"no policy\"", silence_of_dns_is_not_no_policy),
        STORY("a failed fetch is as no policy, and is told (RFC 8461 s.3.3)",
              a_failed_fetch_is_no_policy_and_is_told),
        STORY("trouble of our own is not \"no policy\"", trouble_of_our_own_is_not_no_policy),
        STORY("the cached policy stays when the new one cannot be had",
              the_cached_policy_stays_when_the_new_one_cannot_be_had),
        STORY("a lapsed policy is gone when it cannot be had again",
              a_lapsed_policy_is_gone_when_it_cannot_be_had_again),
        STORY("a lapsed policy is tried once even while DNS is silent",
              a_lapsed_policy_is_tried_once_even_while_dns_is_silent),
        STORY("mode none replaces enforce, and is quiet about failures",
              mode_none_replaces_enforce_and_is_quiet_about_failures),
        STORY("what was fetched survives a restart", what_was_fetched_survives_a_restart),
        STORY("the wait after a failed fetch survives a restart",
              the_wait_after_a_failed_fetch_survives_a_restart),
        STORY("an old failure, or one of the future, delays nothing",
              an_old_failure_or_one_of_the_future_delays_nothing),
        STORY("a refresh comes by itself and tells of its failure",
              a_refresh_comes_by_itself_and_tells_of_its_failure),
        STORY("a refresh set too far off by a wrong clock is pulled in",
              a_refresh_set_too_far_off_by_a_wrong_clock_is_pulled_in),
        STORY("a full disk costs no policy, and ends nothing",
              a_full_disk_costs_no_policy_and_ends_nothing),
        STORY("a policy for which the disk has no room binds who asked",
              a_policy_that_finds_no_room_binds_who_asked),
        STORY("what nobody used in a month is forgotten when it has lapsed",
              what_nobody_used_in_a_month_is_forgotten_when_it_has_lapsed),
        STORY("ids that take turns are fetched once each in five minutes",
              ids_that_take_turns_are_fetched_once_each),
        STORY("what DNS said is kept for its TTL", what_dns_said_is_kept_for_its_ttl),
        STORY("mail does not wait for a slow refresh of what is cached",
              mail_does_not_wait_for_a_slow_refresh_of_what_is_cached),
        STORY("mail waits for the policy of a new id", mail_waits_for_the_policy_of_a_new_id),
        STORY("a failing refresh is an alarm until one succeeds, over restarts",
              a_failing_refresh_is_an_alarm_until_one_succeeds),
        STORY("a record that is gone is an alarm until it is back",
              a_record_that_is_gone_is_an_alarm_until_it_is_back),
        STORY("a weaker policy is an alarm until it is stronger again",
              a_weaker_policy_is_an_alarm_until_it_is_stronger_again),
        STORY("a dropped policy binds no more, and does not come back",
              a_dropped_policy_binds_no_more_and_does_not_come_back),
        STORY("a policy that is taken in binds at once", a_policy_that_is_taken_in_binds_at_once),
        STORY("a cancelled question is not answered, but its policy kept",
              a_cancelled_question_is_not_answered_but_its_policy_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
