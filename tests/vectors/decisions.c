/*
 * What the policy role finds out: policy/domains with a cache of its own on disk, with everything
 * that it calls down to the parsers; clock, DNS and HTTPS are fakes (fake_net.h).
 */
#include "tests/vectors/decisions.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/mail/domain.h"
#include "policy/alarms.h"
#include "policy/domains.h"
#include "tests/vectors/fake_net.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct scene {
    const json_t *given;
    char folder[40];
    char domain[DOMAIN_MAX + 1]; /* "": none, as for address literals */
    int64_t now_ms;
    struct loop *loop;
    struct sts_cache *cache;
    struct resolver *resolver;
    struct http *http;
    struct sts_fetcher *fetcher;
    struct domains *domains;
    struct found_policy found;
    json_t *got;
    char *body; /* of the policy file that is served */
};

/* --- what is given */

/* "2026-03-10T12:00:00Z" */
static int64_t time_of(const json_t *value)
{
    unsigned h = 0, m = 0, s = 0;
    int64_t day = 0;
    char text[11] = "";

    if (span_to_string(span_first(text_of(value), 10), text, sizeof(text)))
        (void)clock_parse_day(text, &day);
    if (text_of(value).len > 10)
        (void)sscanf(text_of(value).data + 10, "T%u:%u:%uZ", &h, &m, &s);
    return day + (int64_t)((h * 60 + m) * 60 + s) * SECOND_MS;
}

static bool text_is(const json_t *value, const char *text)
{
    return span_equal(text_of(value), span_of(text));
}

/* The policy file that says this; freed by the caller. */
static char *file_of(const json_t *policy)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    json_t *mx;
    size_t i;

    fprintf(out, "version: STSv1\nmode: %s\n", text_of(json_object_get(policy, "mode")).data);
    json_array_foreach(json_object_get(policy, "mx"), i, mx)
        fprintf(out, "mx: %s\n", text_of(mx).data);
    fprintf(out, "max_age: %lld\n",
            (long long)json_integer_value(json_object_get(policy, "max_age")));
    fclose(out);
    return text;
}

/* The next hop's domain: a smarthost's, else the recipient's (rfc/mta-sts.md section 1). */
static void take_domain(struct scene *scene)
{
    const json_t *given_host = json_object_get(scene->given, "smart_host");
    const json_t *its_name = json_object_get(given_host, "host");
    struct span smart_host = text_of(its_name ? its_name : given_host);
    struct span name = text_of(json_object_get(scene->given, "policy_domain"));
    struct span recipient = text_of(json_object_get(scene->given, "recipient"));

    if (smart_host.len > 0)
        name = smart_host;
    else if (name.len == 0)
        name = span_from(recipient, span_find(recipient, '@') + 1);
    if (!domain_normalize(name, scene->domain))
        scene->domain[0] = '\0';
}

static bool event_is(const struct scene *scene, const char *event)
{
    return text_is(json_object_get(scene->given, "event"), event);
}

static void store(struct scene *scene, const char *domain, const json_t *cached)
{
    struct sts_entry entry = { .used_utc_ms = scene->now_ms };
    char *file = file_of(cached);

    snprintf(entry.domain, sizeof(entry.domain), "%s", domain);
    entry.fetched_utc_ms = time_of(json_object_get(cached, "fetched_at"));
    entry.refresh_utc_ms = scene->now_ms + (event_is(scene, "refresh") ? 0 : DAY_MS);
    span_to_string(text_of(json_object_get(cached, "id")), entry.id, sizeof(entry.id));
    ensure(sts_policy_parse(span_of(file), &entry.policy) == STS_POLICY_FINE);
    ensure(!sts_cache_store(scene->cache, &entry));
    sts_entry_clear(&entry);
    free(file);
}

static void store_failure(struct scene *scene, const json_t *failure)
{
    struct sts_failed failed = { .utc_ms = time_of(json_object_get(failure, "at")),
                                 .result = TLS_RESULT_STS_POLICY_FETCH_ERROR,
                                 .reason = "failed before" };

    snprintf(failed.domain, sizeof(failed.domain), "%s", scene->domain);
    span_to_string(text_of(json_object_get(failure, "id")), failed.id, sizeof(failed.id));
    ensure(!sts_cache_note_failed(scene->cache, &failed, 0));
}

static void store_all(struct scene *scene)
{
    const json_t *cached = json_object_get(scene->given, "cache");
    const json_t *failure = json_object_get(scene->given, "last_failed_fetch");
    json_t *others = json_object_get(scene->given, "other_cached");
    const char *domain;
    json_t *other;

    if (json_is_object(cached))
        store(scene, scene->domain, cached);
    if (json_is_object(failure))
        store_failure(scene, failure);
    json_object_foreach(others, domain, other) store(scene, domain, other);
}

/* --- what the network answers */

static void add_txt(struct dns_answer *out, const char *text)
{
    out->outcome = DNS_ANSWER;
    out->records = memory_resize(out->records, (out->count + 1) * sizeof(*out->records));
    out->records[out->count++] =
        (struct dns_record){ .data = memory_copy_text(text), .data_len = strlen(text) };
}

static void answer_txt(const struct scene *scene, struct dns_answer *out)
{
    const json_t *txt = json_object_get(scene->given, "txt");
    const json_t *result = json_object_get(txt, "result");
    char record[200];

    if (text_is(result, "servfail"))
        dns_answer_none(out, DNS_TEMPFAIL, "SERVFAIL");
    else if (text_is(result, "timeout"))
        dns_answer_none(out, DNS_TEMPFAIL, "timed out");
    else if (text_is(result, "invalid_record"))
        add_txt(out, "v=STSv1; id=not-valid");
    if (text_is(result, "multiple_records")) {
        add_txt(out, "v=STSv1; id=A1");
        add_txt(out, "v=STSv1; id=B2");
    }
    if (!text_is(result, "record"))
        return;
    snprintf(record, sizeof(record), "v=STSv1; id=%s;", text_of(json_object_get(txt, "id")).data);
    add_txt(out, record);
}

static void answer_policy_host(struct scene *scene, enum dns_type type, struct dns_answer *out)
{
    const json_t *https = json_object_get(scene->given, "https");

    json_object_set_new(scene->got, "https_fetch", json_true());
    if (!json_is_object(https) || text_is(json_object_get(https, "result"), "nxdomain"))
        out->outcome = DNS_NXDOMAIN;
    if (out->outcome == DNS_NXDOMAIN || type != DNS_A)
        return;
    out->outcome = DNS_ANSWER;
    out->records = memory_new(sizeof(*out->records));
    out->count = 1;
    ensure(ip_address_parse(SPAN("192.0.2.80"), &out->records[0].address));
}

static bool is_name(struct span name, const char *label, const struct scene *scene)
{
    struct span prefix = span_of(label);

    return span_starts_with(name, prefix) &&
           span_equal(span_from(name, prefix.len), span_of(scene->domain));
}

static void on_dns(void *ctx, struct span name, enum dns_type type, struct dns_answer *out)
{
    struct scene *scene = ctx;

    if (type == DNS_TXT)
        json_object_set_new(scene->got, "txt_query", json_stringn(name.data, name.len));
    if (type == DNS_TXT && is_name(name, "_mta-sts.", scene))
        answer_txt(scene, out);
    else if (is_name(name, "mta-sts.", scene))
        answer_policy_host(scene, type, out);
}

static void answer_with(struct http_answer *out, int status, const char *type, const char *body)
{
    out->outcome = HTTP_GOT;
    out->status = status;
    out->content_type = span_of(type);
    out->body = span_of(body);
}

static void on_https(void *ctx, const char *host, struct http_answer *out)
{
    struct scene *scene = ctx;
    const json_t *https = json_object_get(scene->given, "https");
    const json_t *result = json_object_get(https, "result");

    (void)host;
    free(scene->body);
    scene->body = file_of(https);
    snprintf(out->reason, sizeof(out->reason), "%s", text_of(result).data);
    if (text_is(result, "policy"))
        answer_with(out, 200, "text/plain", scene->body);
    else if (text_is(result, "http_status"))
        answer_with(out, (int)json_integer_value(json_object_get(https, "status")), "text/plain",
                    scene->body);
    else if (text_is(result, "invalid_body"))
        answer_with(out, 200, "text/plain", "mode: enforce\n");
    else if (text_is(result, "content_type"))
        answer_with(out, 200, "text/html", "<p>version: STSv1</p>\n");
    else if (text_is(result, "bad_certificate"))
        *out = (struct http_answer){ .outcome = HTTP_BAD_CERTIFICATE, .reason = "certificate" };
    else
        out->outcome = text_is(result, "too_large") ? HTTP_TOO_LARGE : HTTP_UNREACHABLE;
}

/* --- what the role does */

static void on_fetch_failed(void *ctx, const char *domain, const struct sts_policy *policy,
                            enum tls_result result, const char *reason)
{
    struct scene *scene = ctx;

    (void)policy;
    (void)reason;
    count_session(scene->got, "sts", domain, result);
}

static void on_broken(void *ctx, struct error *err)
{
    (void)ctx;
    fprintf(stderr, "policy database: %s\n", error_text(err));
    exit(2);
}

static void on_answer(void *ctx, const struct policy_answer *answer)
{
    struct scene *scene = ctx;

    scene->found.fetch_result = answer->fetch_result;
    if (answer->entry)
        ensure(sts_policy_parse(
                   (struct span){ answer->entry->policy->text, answer->entry->policy->text_len },
                   &scene->found.policy) == STS_POLICY_FINE);
}

static void on_turned(void *ctx)
{
    loop_stop(ctx);
}

/* All fakes answer at the end of the turn in which they are asked. */
static void turn(struct scene *scene)
{
    struct loop_timer *timer = loop_timer_new(scene->loop, on_turned, scene->loop);

    loop_timer_start(timer, 0);
    loop_run(scene->loop);
    loop_timer_free(&timer);
}

static void ask(struct scene *scene)
{
    enum policy_wish wish = event_is(scene, "final_attempt") ? WISH_FRESH : WISH_CURRENT;

    if (event_is(scene, "refresh"))
        domains_refresh_due(scene->domains);
    else if (scene->domain[0] != '\0')
        domain_ask(scene->domains, span_of(scene->domain), wish, on_answer, scene);
    turn(scene);
}

/* What is in the cache behind all. */
static void look_at_cache(struct scene *scene)
{
    struct sts_entry entry = { .policy = NULL };
    char fetched[CLOCK_TEXT_SIZE];
    const char *state = "unchanged";

    if (scene->domain[0] != '\0')
        ensure(!sts_cache_load(scene->cache, span_of(scene->domain), &entry));
    if (!entry.policy) {
        json_object_set_new(scene->got, "cache_after", json_pack("{s:s}", "state", "absent"));
        return;
    }
    if (sts_entry_expires(&entry) < scene->now_ms)
        state = "expired";
    else if (entry.fetched_utc_ms == scene->now_ms)
        state = "stored";
    clock_format_rfc3339(entry.fetched_utc_ms, fetched);
    json_object_set_new(scene->got, "cache_after",
                        json_pack("{s:s, s:s, s:s, s:s}", "state", state, "id", entry.id, "mode",
                                  sts_mode_name(entry.policy->mode), "fetched_at", fetched));
    sts_entry_clear(&entry);
}

/* --- the stage */

static struct scene *open_scene(const json_t *given)
{
    static const struct domains_events events = { on_fetch_failed, on_broken };
    struct scene *scene = memory_new(sizeof(*scene));
    enum sts_cache_refusal refusal;

    scene->given = given;
    scene->got = json_pack("{s:b, s:n, s:[]}", "https_fetch", 0, "txt_query", "report");
    scene->now_ms = time_of(json_object_get(given, "now"));
    fake_clock_set(scene->now_ms);
    take_domain(scene);
    strcpy(scene->folder, "/tmp/waxseal-vectors.XXXXXX");
    ensure(mkdtemp(scene->folder));
    ensure(!sts_cache_open(scene->folder, 0, &scene->cache, &refusal));
    store_all(scene);
    scene->loop = loop_new();
    scene->resolver = fake_resolver_new(scene->loop, on_dns, scene);
    scene->http = fake_https_new(scene->loop, on_https, scene);
    scene->fetcher = sts_fetcher_new(scene->loop, scene->resolver, scene->http);
    scene->domains =
        domains_new(scene->loop, scene->cache, scene->resolver, scene->fetcher, &events, scene);
    return scene;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static json_t *close_scene(struct scene *scene)
{
    json_t *got = scene->got;

    domains_free(&scene->domains);
    sts_fetcher_free(&scene->fetcher);
    fake_https_free(&scene->http);
    fake_resolver_free(&scene->resolver);
    loop_free(&scene->loop);
    sts_cache_close(&scene->cache);
    nftw(scene->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    sts_policy_free(&scene->found.policy);
    free(scene->body);
    free(scene);
    fake_clock_set(0);
    return got;
}

/* Does status tell of it from now on? */
static void look_for_alarm(struct scene *scene)
{
    struct json *status = json_new_object();

    alarms_show(domains_alarms(scene->domains), scene->now_ms, status);
    bool has_alarm = json_count(json_get(status, "alarms")) > 0;
    json_object_set_new(scene->got, "alert_administrator", json_boolean(has_alarm));
    json_free(&status);
}

json_t *judge_decision(const json_t *given)
{
    log_open(STDERR_FILENO, LOG_ERROR, "vectors");
    struct scene *scene = open_scene(given);

    ask(scene);
    json_object_set_new(scene->got, "policy_domain", json_string(scene->domain));
    bool asked = json_is_string(json_object_get(scene->got, "txt_query"));
    json_object_set_new(scene->got, "txt_lookup_before_giving_up", json_boolean(asked));
    look_at_cache(scene);
    if (event_is(scene, "refresh"))
        look_for_alarm(scene);
    else
        play_attempt(given, scene->domain, &scene->found, scene->got);
    return close_scene(scene);
}
