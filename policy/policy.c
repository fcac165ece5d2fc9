#include "policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/resolver_proof.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/role.h"
#include "lib/ipc/tlsrpt_client.h"
#include "policy/askers.h"
#include "policy/domains.h"
#include "policy/explain_policy.h"
#include "policy/operator.h"
#include "policy/socketmap.h"

enum {
    LOCK_WAIT_MS = 30 * SECOND_MS,  /* for a predecessor to be gone */
    TICK_MS = 10 * SECOND_MS,       /* between two looks at what is due */
    EXPORT_FIRST_MS = MINUTE_MS,    /* after the start */
    EXPORT_EVERY_MS = HOUR_MS,      /* while there is something new */
    EXPORT_PAUSE_MS = 20,           /* between two pieces of it */
    EXPORT_LAST_MS = 5 * SECOND_MS, /* for what is new at the end of the role */
};

struct policy_role {
    struct role *role;
    struct loop *loop;
    struct sts_cache *cache;
    struct resolver *resolver;
    struct resolver_proof *proof; /* that it validates */
    struct http *http;
    struct sts_fetcher *fetcher;
    struct domains *domains;
    struct askers *askers;
    struct inquiries *inquiries;
    struct socketmap *socketmap;
    char socketmap_at[SETTINGS_UNIX_SIZE]; /* where its socket was opened */
    struct tlsrpt_client *reports;
    struct loop_timer *tick;
    struct loop_timer *export;
    bool exporting;
    struct loop_watch *clock_watch;
    int clock_fd;
};

/* ---- what is handed over ------------------------------------------------------------------ */

static struct error *load_trust(struct policy_role *self)
{
    struct tls_trust *trust = NULL;
    struct error *err = tls_trust_new(role_content(self->role, CONTENT_CA_BUNDLE, 0), &trust);
    if (!err && self->http)
        http_trust(self->http, trust);
    else if (!err)
        err = http_new(self->loop, trust, &self->http);
    tls_trust_free(&trust);
    return err ? error_wrap(err, "trusted certificates") : NULL;
}

static struct error *load_resolver(struct policy_role *self)
{
    struct endpoint servers[SETTINGS_RESOLVERS_MAX];
    struct span resolv_conf = role_content(self->role, CONTENT_RESOLV_CONF, 0);
    bool trusted = false;
    unsigned count =
        resolver_servers_for(role_settings(self->role), resolv_conf, servers, &trusted);
    struct error *err = self->resolver
                            ? resolver_servers(self->resolver, servers, count, trusted)
                            : resolver_new(self->loop, servers, count, trusted, &self->resolver);
    if (err)
        return err;
    if (!self->proof)
        self->proof = resolver_proof_new(self->loop, self->resolver);
    resolver_proof_start(self->proof, role_settings(self->role)->dnssec_bogus_name);
    return NULL;
}

/* What does not load leaves the old in force. */
static void say_kept(struct error *err)
{
    if (err)
        log_failure(LOG_ERROR, "reload-failed", err);
    error_free(&err);
}

static void on_content(void *ctx, enum role_content kind, unsigned index)
{
    struct policy_role *self = ctx;
    (void)index;
    if (kind == CONTENT_CA_BUNDLE)
        say_kept(load_trust(self));
    else if (kind == CONTENT_RESOLV_CONF)
        say_kept(load_resolver(self));
}

static void on_settings(void *ctx)
{
    struct policy_role *self = ctx;
    const struct settings *settings = role_settings(self->role);
    sts_fetcher_allow(self->fetcher, &settings->mx_allow);
    say_kept(load_resolver(self));
    inquiries_settings(self->inquiries, settings);
    if (strcmp(self->socketmap_at, settings->socketmap) != 0) {
        self->socketmap_at[0] = '\0';
        socketmap_stop(self->socketmap); /* another one comes behind, where there is one */
    }
}

static void log_socketmap(const char *address)
{
    struct log_line line;
    log_begin(&line, LOG_INFO, "socketmap-open");
    log_string(&line, "address", address);
    log_end(&line);
}

/* After a reload it may be another descriptor of the same. */
static void on_listener(void *ctx, unsigned index, int fd)
{
    struct policy_role *self = ctx;
    const char *address = role_settings(self->role)->socketmap;
    if (index != SETTINGS_LISTENER_SOCKETMAP) {
        close(fd);
        return;
    }
    if (strcmp(self->socketmap_at, address) != 0)
        log_socketmap(address);
    snprintf(self->socketmap_at, sizeof(self->socketmap_at), "%s", address);
    socketmap_listen(self->socketmap, fd);
}

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct policy_role *self = ctx;
    (void)instance;
    if (peer == ROLE_DELIVER)
        askers_attach(self->askers, fd);
    else if (peer == ROLE_TLSRPT)
        tlsrpt_client_attach(self->reports, fd);
    else
        close(fd);
}

static void on_drain(void *ctx, int64_t wait_ms)
{
    struct policy_role *self = ctx;
    (void)wait_ms; /* whoever still asks takes silence for "not known", and mail waits */
    role_end(self->role, ROLE_EXIT_DONE);
}

static void reply_dnssec(const struct policy_role *self, struct role_request **request)
{
    struct json *answer = resolver_proof_json(self->proof);
    role_reply_json(request, &answer);
}

static void on_control(void *ctx, struct role_request *request)
{
    struct policy_role *self = ctx;
    const struct explain_policy_tools tools = { self->cache, self->resolver, self->fetcher };
    if (span_equal(role_request_verb(request), SPAN("policy dnssec")))
        reply_dnssec(self, &request);
    else if (span_equal(role_request_verb(request), SPAN("policy explain")))
        explain_policy(&tools, &request);
    else
        operator_control(self->cache, self->domains, self->socketmap, &request);
}

/* ---- in the background -------------------------------------------------------------------- */

static void fill_policy(Ipc__SessionEvent *event, const struct sts_policy *policy)
{
    event->policy_text = bytes_of_span((struct span){ policy->text, policy->text_len });
    event->n_mx_patterns = policy->mx_count;
    event->mx_patterns = memory_new_array(policy->mx_count + 1, sizeof(event->mx_patterns[0]));
    for (unsigned i = 0; i < policy->mx_count; i++)
        event->mx_patterns[i] = bytes_of_span(span_of(policy->mx[i]));
}

/*
 * Counted as a session of its own, without an MX host (RFC 8460 s.4.3.2.2; rfc/tls-rpt.md RPT-33):
 * sessions only say what came of the policy that was there, if any.
 */
static void on_fetch_failed(void *ctx, const char *domain, const struct sts_policy *policy,
                            enum tls_result result, const char *reason)
{
    struct policy_role *self = ctx;
    Ipc__SessionEvent event = IPC__SESSION_EVENT__INIT;
    Ipc__SessionFailure failure = IPC__SESSION_FAILURE__INIT;
    Ipc__SessionFailure *failures[] = { &failure };
    char url[STS_URL_SIZE];
    sts_fetch_url(domain, url);
    failure.result = result;
    failure.reason = bytes_of_span(span_of(reason));
    failure.additional = bytes_of_span(span_of(url));
    event.domain = bytes_of_span(span_of(domain));
    event.policy_type = IPC__POLICY_TYPE__STS;
    event.failed = true;
    event.failures = failures;
    event.n_failures = 1;
    if (policy)
        fill_policy(&event, policy);
    tlsrpt_tell(self->reports, &event);
    free(event.mx_patterns);
}

/* A new process opens the database anew, and sets it aside when it is damaged. */
static void on_broken(void *ctx, struct error *err)
{
    (void)ctx;
    role_die(ROLE_EXIT_TROUBLE, err);
}

static const struct domains_events domains_events = { on_fetch_failed, on_broken };

static void on_tick(void *ctx)
{
    struct policy_role *self = ctx;
    domains_refresh_due(self->domains);
    loop_timer_start(self->tick, TICK_MS);
}

/* One piece; false when there is nothing more to write for now. */
static bool export_piece(struct policy_role *self)
{
    bool done = false;
    struct error *err = sts_cache_export(self->cache, &done);
    if (err)
        log_failure(LOG_WARNING, "policy-export-failed", err);
    bool more = !err && !done;
    error_free(&err);
    return more;
}

static void on_export(void *ctx)
{
    struct policy_role *self = ctx;
    if (self->exporting || sts_cache_changed(self->cache))
        self->exporting = export_piece(self);
    loop_timer_start(self->export, self->exporting ? EXPORT_PAUSE_MS : EXPORT_EVERY_MS);
}

/* What came since the last export: a stop is the last chance to write it. */
static void export_last(struct policy_role *self)
{
    int64_t until = clock_monotonic_ms() + EXPORT_LAST_MS;
    bool more = self->exporting || sts_cache_changed(self->cache);
    while (more && clock_monotonic_ms() < until)
        more = export_piece(self);
}

/* Armed for the far end of time: it only ever ends because the clock was set (timerfd_create(2)).
 */
static void watch_clock(struct policy_role *self)
{
    const struct itimerspec far = { .it_value.tv_sec = (int64_t)1 << 40 };
    ensure(timerfd_settime(self->clock_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far,
                           NULL) == 0);
}

static void on_clock_set(void *ctx, bool readable, bool writable)
{
    struct policy_role *self = ctx;
    uint64_t times;
    (void)readable;
    (void)writable;
    if (read(self->clock_fd, &times, sizeof(times)) < 0 && errno == ECANCELED)
        domains_clock_was_set(self->domains);
    watch_clock(self);
}

/* ---- the beginning ------------------------------------------------------------------------ */

static void open_cache(struct policy_role *self)
{
    enum sts_cache_refusal refusal = STS_CACHE_TROUBLE;
    /* The supervisor started us in our folder: the way to it may be closed to our user. */
    struct error *err = sts_cache_open(".", LOCK_WAIT_MS, &self->cache, &refusal);
    if (err)
        role_die(refusal == STS_CACHE_NEWER ? ROLE_EXIT_REFUSED : ROLE_EXIT_TROUBLE, err);
}

static void open_network(struct policy_role *self)
{
    struct error *err = load_trust(self);
    if (!err)
        err = load_resolver(self);
    if (err)
        role_die(ROLE_EXIT_REFUSED, err);
    self->fetcher = sts_fetcher_new(self->loop, self->resolver, self->http);
    sts_fetcher_allow(self->fetcher, &role_settings(self->role)->mx_allow);
}

static void open_timers(struct policy_role *self)
{
    self->tick = loop_timer_new(self->loop, on_tick, self);
    loop_timer_start(self->tick, TICK_MS);
    self->export = loop_timer_new(self->loop, on_export, self);
    loop_timer_start(self->export, EXPORT_FIRST_MS);
    self->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    ensure(self->clock_fd >= 0);
    self->clock_watch = loop_watch_new(self->loop, self->clock_fd, on_clock_set, self);
    loop_watch_want(self->clock_watch, true, false);
    watch_clock(self);
}

static void close_all(struct policy_role *self)
{
    loop_watch_free(&self->clock_watch);
    close(self->clock_fd);
    loop_timer_free(&self->tick);
    loop_timer_free(&self->export);
    askers_free(&self->askers);
    socketmap_free(&self->socketmap);
    inquiries_free(&self->inquiries);
    domains_free(&self->domains);
    sts_fetcher_free(&self->fetcher);
    http_free(&self->http);
    resolver_proof_free(&self->proof);
    resolver_free(&self->resolver);
    tlsrpt_client_free(&self->reports);
    sts_cache_close(&self->cache);
    free(self);
}

static const struct role_events role_events = {
    .listener = on_listener,
    .peer = on_peer,
    .settings = on_settings,
    .content = on_content,
    .drain = on_drain,
    .control = on_control,
};

int policy_main(struct role *role)
{
    struct policy_role *self = memory_new(sizeof(*self));
    self->role = role;
    self->loop = role_loop(role);
    open_cache(self);
    open_network(self);
    self->reports = tlsrpt_client_new(self->loop);
    self->domains =
        domains_new(self->loop, self->cache, self->resolver, self->fetcher, &domains_events, self);
    self->askers = askers_new(self->loop, self->domains);
    self->inquiries = inquiries_new(self->loop, self->domains, self->resolver);
    inquiries_settings(self->inquiries, role_settings(role));
    self->socketmap = socketmap_new(self->loop, self->inquiries);
    open_timers(self);
    int exit_status = role_serve(role, &role_events, self);
    export_last(self);
    close_all(self);
    return exit_status;
}
