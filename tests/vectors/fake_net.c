#include "tests/vectors/fake_net.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- the clock: the C library's, for the time of day alone */

static int64_t standing_at_ms;

void fake_clock_set(int64_t utc_ms)
{
    standing_at_ms = utc_ms;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    if (which != CLOCK_REALTIME || standing_at_ms == 0)
        return (int)syscall(SYS_clock_gettime, which, now);
    now->tv_sec = standing_at_ms / SECOND_MS;
    now->tv_nsec = standing_at_ms % SECOND_MS * 1000000;
    return 0;
}

/* --- DNS */

struct resolver {
    struct loop *loop;
    fake_dns_fn *answer;
    void *ctx;
};

struct resolver_query {
    struct resolver *resolver;
    struct loop_task answering;
    char *name;
    enum dns_type type;
    resolver_done_fn *done;
    void *ctx;
};

struct resolver *fake_resolver_new(struct loop *loop, fake_dns_fn *answer, void *ctx)
{
    struct resolver *resolver = memory_new(sizeof(*resolver));

    *resolver = (struct resolver){ loop, answer, ctx };
    return resolver;
}

void fake_resolver_free(struct resolver **resolver)
{
    free(*resolver);
    *resolver = NULL;
}

static void query_free(struct resolver_query *query)
{
    loop_task_cancel(&query->answering);
    free(query->name);
    free(query);
}

static void on_answering(void *ctx)
{
    struct resolver_query *query = ctx;
    struct dns_answer answer = { .outcome = DNS_NODATA };

    query->resolver->answer(query->resolver->ctx, span_of(query->name), query->type, &answer);
    query->done(query->ctx, &answer);
    dns_answer_clear(&answer);
    query_free(query);
}

struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx)
{
    struct resolver_query *query = memory_new(sizeof(*query));

    query->resolver = resolver;
    query->name = memory_copy_span(name);
    query->type = type;
    query->done = done;
    query->ctx = ctx;
    loop_task_init(&query->answering, on_answering, query);
    loop_defer(resolver->loop, &query->answering);
    return query;
}

void resolver_cancel(struct resolver_query **query)
{
    if (*query)
        query_free(*query);
    *query = NULL;
}

/* --- HTTPS */

struct http {
    struct loop *loop;
    fake_https_fn *answer;
    void *ctx;
    struct http_post posted;
};

struct http_request {
    struct http *http;
    struct loop_task answering;
    char *host;
    http_done_fn *done;
    void *ctx;
};

struct http *fake_https_new(struct loop *loop, fake_https_fn *answer, void *ctx)
{
    struct http *http = memory_new(sizeof(*http));

    *http = (struct http){ .loop = loop, .answer = answer, .ctx = ctx };
    return http;
}

void fake_https_free(struct http **http)
{
    free(*http);
    *http = NULL;
}

static void get_free(struct http_request *get)
{
    loop_task_cancel(&get->answering);
    free(get->host);
    free(get);
}

static void on_got(void *ctx)
{
    struct http_request *get = ctx;
    struct http_answer answer = { .outcome = HTTP_GOT };

    get->http->answer(get->http->ctx, get->host, &answer);
    get->done(get->ctx, &answer);
    get_free(get);
}

struct http_request *http_get_start(struct http *http, const char *host, const char *path,
                                    const struct ip_address *addresses, unsigned address_count,
                                    size_t limit_bytes, int64_t wait_ms, http_done_fn *done,
                                    void *ctx)
{
    struct http_request *get = memory_new(sizeof(*get));

    (void)path, (void)addresses, (void)address_count, (void)limit_bytes, (void)wait_ms;
    get->http = http;
    get->host = memory_copy_text(host);
    get->done = done;
    get->ctx = ctx;
    loop_task_init(&get->answering, on_got, get);
    loop_defer(http->loop, &get->answering);
    return get;
}

struct http_request *http_post_start(struct http *http, const struct http_post *post,
                                     http_done_fn *done, void *ctx)
{
    http->posted = *post;
    return http_get_start(http, post->host, post->path, post->addresses, post->address_count,
                          post->limit_bytes, post->wait_ms, done, ctx);
}

const struct http_post *fake_https_posted(const struct http *http)
{
    return &http->posted;
}

void http_cancel(struct http_request **get)
{
    if (*get)
        get_free(*get);
    *get = NULL;
}
