#include "tlsrpt/tlsrpt.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/http.h"
#include "lib/io/resolver.h"
#include "lib/io/tls.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/queue_client.h"
#include "lib/ipc/role.h"
#include "tlsrpt/answers.h"
#include "tlsrpt/collector.h"
#include "tlsrpt/counting.h"
#include "tlsrpt/database.h"
#include "tlsrpt/day.h"
#include "tlsrpt/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WRITE_WAIT_MS = SECOND_MS,     /* between two commits */
    DRAIN_WAIT_MS = 5 * SECOND_MS, /* for what is being sent */
};

struct tlsrpt {
    struct role *role;
    struct database *database;
    struct tally *tally;
    struct resolver *resolver;
    struct counting *counting;
    struct collector *collector;
    char collector_at[SETTINGS_UNIX_SIZE]; /* where its socket was opened */
    struct queue_client *queue;            /* where reports go in that are mailed */
    struct http *http;                     /* by which others are posted; NULL: there is no trust */
    struct outbox *outbox;
    struct sending_tools tools;
    struct postman *postman;
    struct loop_timer *write_timer;
    struct loop_timer *patience; /* while it drains */
    struct list tellers;
};

/* A worker that tells of its sessions. */
struct teller {
    struct list others;
    struct tlsrpt *tlsrpt;
    struct channel *channel;
};

static uint32_t today(void)
{
    return day_of(clock_utc_ms());
}

/* Without its store the role has no use; the supervisor starts it anew. */
static void write_now(struct tlsrpt *t)
{
    struct error *err;

    loop_timer_cancel(t->write_timer);
    err = tally_write(t->tally, today());
    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
}

static void on_write_due(void *ctx)
{
    write_now(ctx);
}

/* --- sessions */

static void teller_free(struct teller *teller)
{
    list_remove(&teller->others);
    channel_free(&teller->channel);
    free(teller);
}

static void on_counted(void *ctx)
{
    struct tlsrpt *t = ctx;

    if (tally_is_full(t->tally))
        write_now(t);
    else if (!loop_timer_running(t->write_timer))
        loop_timer_start(t->write_timer, WRITE_WAIT_MS);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct teller *teller = ctx;
    Ipc__SessionEvent *event;

    if (frame->type != FRAME_SESSION_EVENT) {
        channel_refuse(teller->channel, "a frame that tlsrpt does not know");
        return;
    }
    event = channel_decode(frame, &ipc__session_event__descriptor);
    if (event && counts_is_valid(event))
        counting_take(teller->tlsrpt->counting, today(), event, (struct span){ NULL, 0 });
    else
        channel_refuse(teller->channel, "a session event that cannot be");
    if (event)
        ipc__session_event__free_unpacked(event, NULL);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    teller_free(ctx);
}

static const struct channel_events teller_events = { on_frame, on_closed };

static void take_teller(struct tlsrpt *t, int fd)
{
    struct teller *teller = memory_new(sizeof(*teller));

    teller->tlsrpt = t;
    list_init(&teller->others);
    list_append(&t->tellers, &teller->others);
    teller->channel = channel_open(role_loop(t->role), fd, &teller_events, teller);
}

/* --- sessions of other mail systems */

static void log_collector(const char *path)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "tlsrpt-socket-open");
    log_string(&line, "path", path);
    log_end(&line);
}

/* After a reload it may be another descriptor of the same. */
static void on_listener(void *ctx, unsigned index, int fd)
{
    struct tlsrpt *t = ctx;
    const char *path = role_settings(t->role)->tlsrpt_socket;

    if (index != SETTINGS_LISTENER_TLSRPT) {
        close(fd);
        return;
    }
    if (strcmp(t->collector_at, path) != 0)
        log_collector(path);
    snprintf(t->collector_at, sizeof(t->collector_at), "%s", path);
    collector_listen(t->collector, fd);
}

/* Another one comes behind, where there is one. */
static void leave_other_socket(struct tlsrpt *t)
{
    if (strcmp(t->collector_at, role_settings(t->role)->tlsrpt_socket) == 0)
        return;
    t->collector_at[0] = '\0';
    collector_stop(t->collector);
}

/* --- peers */

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct tlsrpt *t = ctx;

    (void)instance;
    if (peer == ROLE_QUEUE)
        queue_client_attach(t->queue, fd);
    else
        take_teller(t, fd);
}

/* --- the role */

/* For `waxseal status`. */
static void counts_asked(const struct tlsrpt *t, struct role_request **request)
{
    const struct answers answers = { &t->tools, t->postman };
    struct counting_counts counts = counting_counts(t->counting);
    struct json *object = json_new_object();

    json_add_number(object, "sessions", (int64_t)counts.sessions);
    json_add_number(object, "waiting_for_dns", counts.waiting);
    json_add_number(object, "host_sessions_left_out", (int64_t)counts.left_out);
    collector_show(t->collector, object);
    answers_add_counts(&answers, object);
    role_reply_json(request, &object);
}

static void on_control(void *ctx, struct role_request *request)
{
    struct tlsrpt *t = ctx;
    const struct answers answers = { &t->tools, t->postman };

    if (span_equal(role_request_verb(request), SPAN("tlsrpt report")))
        answers_report(&answers, &request);
    else if (span_equal(role_request_verb(request), SPAN("tlsrpt send")))
        answers_send(&answers, &request);
    else if (span_equal(role_request_verb(request), SPAN("tlsrpt status")))
        answers_status(&answers, &request);
    else if (span_equal(role_request_verb(request), SPAN("tlsrpt counts")))
        counts_asked(t, &request);
    else
        role_reply_failed(&request, "tlsrpt knows these requests: tlsrpt report, send, status");
}

static struct error *load_resolver(struct tlsrpt *t)
{
    struct endpoint servers[SETTINGS_RESOLVERS_MAX];
    struct span resolv_conf = role_content(t->role, CONTENT_RESOLV_CONF, 0);
    bool trusted;
    unsigned count = resolver_servers_for(role_settings(t->role), resolv_conf, servers, &trusted);

    if (t->resolver)
        return resolver_servers(t->resolver, servers, count, trusted);
    return resolver_new(role_loop(t->role), servers, count, trusted, &t->resolver);
}

/* Only for posts; without it reports by mail go all the same. */
static struct error *load_trust(struct tlsrpt *t)
{
    struct tls_trust *trust = NULL;
    struct error *err = tls_trust_new(role_content(t->role, CONTENT_CA_BUNDLE, 0), &trust);

    if (!err && t->http)
        http_trust(t->http, trust);
    else if (!err)
        err = http_new(role_loop(t->role), trust, &t->http);
    tls_trust_free(&trust);
    t->tools.post.http = t->http;
    return err ? error_wrap(err, "trusted certificates") : NULL;
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
    (void)index;
    if (kind == CONTENT_RESOLV_CONF)
        say_kept(load_resolver(ctx));
    else if (kind == CONTENT_CA_BUNDLE)
        say_kept(load_trust(ctx));
}

/* They are read when they are needed. */
static void take_settings(struct tlsrpt *t)
{
    t->tools.settings = role_settings(t->role);
    t->tools.post.allow = &t->tools.settings->mx_allow;
    counting_set_reports(t->counting, t->tools.settings->tlsrpt_reports == SWITCH_ON);
}

static void on_settings(void *ctx)
{
    struct tlsrpt *t = ctx;

    say_kept(load_resolver(t));
    take_settings(t);
    leave_other_socket(t);
    postman_settings_changed(t->postman);
}

static void end(void *ctx)
{
    struct tlsrpt *t = ctx;

    role_end(t->role, ROLE_EXIT_DONE);
}

/* What is being posted may end: a post that is broken off might be doubled. */
static void on_drain(void *ctx, int64_t wait_ms)
{
    struct tlsrpt *t = ctx;

    write_now(t);
    postman_stop(t->postman, end, t);
    loop_timer_start(t->patience, wait_ms < DRAIN_WAIT_MS ? wait_ms : DRAIN_WAIT_MS);
}

static const struct role_events events = {
    .listener = on_listener,
    .peer = on_peer,
    .settings = on_settings,
    .content = on_content,
    .drain = on_drain,
    .control = on_control,
};

/* The supervisor started us in our folder: the way to it may be closed to our user. */
static struct database *open_database(void)
{
    struct database *database = NULL;
    int exit_status;
    struct error *err = database_open(".", &database, &exit_status);

    if (err)
        role_die(exit_status, err);
    return database;
}

static void open_counting(struct tlsrpt *t)
{
    struct error *err = load_resolver(t);

    if (err)
        role_die(ROLE_EXIT_REFUSED, err);
    t->counting = counting_new(role_loop(t->role), t->resolver, t->tally, on_counted, t);
    t->collector = collector_new(role_loop(t->role), t->counting);
}

static void on_queue_state(void *ctx)
{
    struct tlsrpt *t = ctx;

    postman_queue_changed(t->postman);
}

/* Behind all else: it looks at once what there is to send. */
static void open_postman(struct tlsrpt *t)
{
    struct loop *loop = role_loop(t->role);

    t->queue = queue_client_new(loop, on_queue_state, t);
    t->outbox = outbox_new(t->database);
    t->patience = loop_timer_new(loop, end, t);
    t->tools = (struct sending_tools){
        .loop = loop,
        .tally = t->tally,
        .outbox = t->outbox,
        .queue = t->queue,
        .post = { .loop = loop, .resolver = t->resolver },
    };
    take_settings(t);
    say_kept(load_trust(t));
    t->postman = postman_new(&t->tools, t->counting);
}

int tlsrpt_main(struct role *role)
{
    struct tlsrpt t = { .role = role };
    int exit_status;

    list_init(&t.tellers);
    t.database = open_database();
    t.tally = tally_new(t.database);
    t.write_timer = loop_timer_new(role_loop(role), on_write_due, &t);
    open_counting(&t);
    open_postman(&t);
    exit_status = role_serve(role, &events, &t);
    write_now(&t);
    postman_free(&t.postman);
    http_free(&t.http);
    outbox_free(&t.outbox);
    loop_timer_free(&t.patience);
    while (!list_empty(&t.tellers))
        teller_free(LIST_FIRST(&t.tellers, struct teller, others));
    queue_client_free(&t.queue);
    loop_timer_free(&t.write_timer);
    collector_free(&t.collector);
    counting_free(&t.counting);
    resolver_free(&t.resolver);
    tally_free(&t.tally);
    database_close(&t.database);
    return exit_status;
}
