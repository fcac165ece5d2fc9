#include "tests/support/test.h"

#include "policy/domains.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/memory.h"

/* How many refreshes go on at a time, where hundreds of policies are due. */

enum { AT_ONCE = 50, POLICIES = 180 };

/* ---- lookups that wait until they are let go ---------------------------------------------- */

struct resolver_query {
    struct list others;
    resolver_done_fn *done;
    void *ctx;
};

static struct list waiting;
static unsigned lookups;

struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx)
{
    struct resolver_query *query = memory_new(sizeof(*query));
    (void)resolver, (void)name, (void)type;
    query->done = done;
    query->ctx = ctx;
    list_append(&waiting, &query->others);
    lookups++;
    return query;
}

void resolver_cancel(struct resolver_query **query)
{
    if (*query)
        list_remove(&(*query)->others);
    free(*query);
    *query = NULL;
}

/* The first ones that wait end: their policies lapsed, and their records are gone. */
static void let_go(unsigned count)
{
    struct dns_answer none = { .outcome = DNS_NXDOMAIN };
    for (unsigned i = 0; i < count; i++) {
        struct resolver_query *query = LIST_FIRST(&waiting, struct resolver_query, others);
        list_remove(&query->others);
        query->done(query->ctx, &none);
        free(query);
    }
}

struct sts_fetch *sts_fetch_start(struct sts_fetcher *fetcher, const char *domain,
                                  sts_fetch_done_fn *done, void *ctx)
{
    (void)fetcher, (void)domain, (void)done, (void)ctx;
    fail_msg("nothing is to be fetched");
    return NULL;
}

void sts_fetch_cancel(struct sts_fetch **fetch)
{
    *fetch = NULL;
}

/* ---- the world ---------------------------------------------------------------------------- */

static char folder[40];
static struct loop *loop;
static struct sts_cache *cache;
static struct domains *domains;

static void on_fetch_failed(void *ctx, const char *domain, const struct sts_policy *policy,
                            enum tls_result result, const char *reason)
{
    (void)ctx, (void)domain, (void)policy, (void)result, (void)reason;
}

static void on_broken(void *ctx, struct error *err)
{
    (void)ctx;
    fail_msg("%s", error_text(err));
}

static void store(int64_t due_utc_ms)
{
    static const char file[] = "version: STSv1\nmode: enforce\nmx: a\nmax_age: 1\n";
    struct sts_entry entry = { .id = "A1", .refresh_utc_ms = due_utc_ms };
    entry.used_utc_ms = clock_utc_ms();
    assert_int_equal(sts_policy_parse(span_of(file), &entry.policy), STS_POLICY_FINE);
    for (int i = 0; i < POLICIES; i++) {
        snprintf(entry.domain, sizeof(entry.domain), "d%d.example", i);
        assert_null(sts_cache_store(cache, &entry));
    }
    sts_entry_clear(&entry);
}

static int open_world(void **state)
{
    static const struct domains_events events = { on_fetch_failed, on_broken };
    enum sts_cache_refusal refusal;
    (void)state;
    strcpy(folder, "/tmp/test_refreshes.XXXXXX");
    assert_non_null(mkdtemp(folder));
    list_init(&waiting);
    lookups = 0;
    loop = loop_new();
    assert_null(sts_cache_open(folder, 0, &cache, &refusal));
    domains = domains_new(loop, cache, NULL, NULL, &events, NULL);
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int close_world(void **state)
{
    (void)state;
    domains_free(&domains);
    sts_cache_close(&cache);
    loop_free(&loop);
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* ---- the stories -------------------------------------------------------------------------- */

static void fifty_refreshes_go_on_at_a_time(void **state)
{
    (void)state;
    store(1);
    domains_refresh_due(domains);
    domains_refresh_due(domains);
    assert_int_equal(lookups, AT_ONCE);
    let_go(20);
    domains_refresh_due(domains);
    assert_int_equal(lookups, AT_ONCE + 20);
}

static void those_that_do_not_end_keep_nobody_behind_them(void **state)
{
    (void)state;
    store(1);
    domains_refresh_due(domains);
    for (int i = 0; i < POLICIES - AT_ONCE; i++) { /* all but the first, who are silent */
        struct resolver_query *last = LIST_ITEM(waiting.prev, struct resolver_query, others);
        list_remove(&last->others);
        list_prepend(&waiting, &last->others);
        let_go(1);
        domains_refresh_due(domains);
    }
    assert_int_equal(lookups, POLICIES);
}

static void what_is_due_too_far_off_takes_the_room_that_is_left(void **state)
{
    (void)state;
    store(clock_utc_ms() + 400 * DAY_MS);
    domains_refresh_due(domains);
    assert_int_equal(lookups, AT_ONCE);
    let_go(AT_ONCE);
    domains_refresh_due(domains);
    assert_int_equal(lookups, 2 * AT_ONCE);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, open_world, close_world, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("fifty refreshes go on at a time", fifty_refreshes_go_on_at_a_time),
        STORY("those that do not end keep nobody behind them",
              those_that_do_not_end_keep_nobody_behind_them),
        STORY("what is due too far off takes the room that is left",
              what_is_due_too_far_off_takes_the_room_that_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
