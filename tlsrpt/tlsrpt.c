#include "tlsrpt/tlsrpt.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/resolver.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/queue_client.h"
#include "lib/ipc/role.h"
#include "lib/mail/domain.h"
#include "tlsrpt/counting.h"
#include "tlsrpt/database.h"
#include "tlsrpt/day.h"
#include "tlsrpt/report.h"
#include "tlsrpt/tally.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WRITE_WAIT_MS = SECOND_MS, /* between two commits */
    REPORT_BYTES_MAX = 16 << 20,
};

struct tlsrpt {
    struct role *role;
    struct database *database;
    struct tally *tally;
    struct resolver *resolver;
    struct counting *counting;
    struct queue_client *queue; /* where reports go in that are mailed */
    struct loop_timer *write_timer;
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

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct tlsrpt *t = ctx;

    (void)instance;
    if (peer == ROLE_QUEUE)
        queue_client_attach(t->queue, fd);
    else
        take_teller(t, fd);
}

/* --- reports */

/* The contact of the settings, or the postmaster of this host. */
static struct span contact_of(const struct settings *s, char *room, size_t size)
{
    if (s->tlsrpt_contact[0] != '\0')
        return span_of(s->tlsrpt_contact);
    snprintf(room, size, "postmaster@%s", s->hostname);
    return span_of(room);
}

static void on_policy(void *ctx, const Tlsrpt__PolicyCount *policy)
{
    report_policy(ctx, policy);
}

static void on_failure(void *ctx, const Ipc__SessionFailure *failure, uint64_t sessions)
{
    report_failure(ctx, failure, sessions);
}

static bool write_report(struct tlsrpt *t, const struct subject *subject,
                         const struct report_facts *facts, struct buf *out,
                         struct report_sum *out_sum)
{
    static const struct tally_reader reader = { on_policy, on_failure };
    struct report *report = report_begin(facts, REPORT_PLAIN, out);
    struct error *err = tally_read(t->tally, subject, &reader, report);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    return report_end(&report, out_sum);
}

static void answer_report(struct tlsrpt *t, struct role_request **request,
                          const struct subject *subject)
{
    const struct settings *s = role_settings(t->role);
    char contact[SETTINGS_NAME_SIZE + 16];
    char id[REPORT_ID_SIZE];
    struct report_facts facts = {
        .organization = span_of(s->tlsrpt_organization[0] ? s->tlsrpt_organization : s->hostname),
        .contact = contact_of(s, contact, sizeof(contact)),
        .domain = span_of(subject->domain),
        .day = subject->day,
    };
    struct report_sum sum;
    struct buf text;

    report_make_id(facts.day, facts.domain, subject->of_host, span_of(s->hostname), id);
    facts.id = span_of(id);
    buf_init(&text, REPORT_BYTES_MAX);
    if (write_report(t, subject, &facts, &text, &sum))
        role_reply(request, buf_span(&text), true);
    else
        role_reply_failed(request, "the report is too large to print");
    buf_clear(&text);
}

static void answer_nothing(struct role_request **request, const char *domain, uint32_t day)
{
    char sentence[DOMAIN_MAX + 100];
    char day_text[CLOCK_TEXT_SIZE];

    day_format(day, day_text);
    snprintf(sentence, sizeof(sentence), "no session with %s was counted on %s", domain, day_text);
    role_reply_failed(request, sentence);
}

static void on_sum(void *ctx, const struct tally_sum *sum)
{
    (void)ctx;
    (void)sum;
}

static bool is_counted(struct tlsrpt *t, const struct subject *subject)
{
    bool found;
    struct error *err = tally_look(t->tally, subject, on_sum, NULL, &found);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    return found;
}

static void report_asked(struct tlsrpt *t, struct role_request **request)
{
    struct span day_text = role_request_argument(*request, "day");
    char domain[DOMAIN_MAX + 1];
    uint32_t day = today();
    struct subject subject;

    if (!domain_normalize(role_request_argument(*request, "domain"), domain)) {
        role_reply_failed(request, "that is no domain name");
        return;
    }
    if (day_text.data && !day_parse(day_text, &day)) {
        role_reply_failed(request, "that is no day; a day looks like 2026-01-30");
        return;
    }
    subject = subject_of_domain(day, span_of(domain));
    if (is_counted(t, &subject))
        answer_report(t, request, &subject);
    else
        answer_nothing(request, domain, day);
}

/* --- the role */

static void on_control(void *ctx, struct role_request *request)
{
    if (span_equal(role_request_verb(request), SPAN("tlsrpt report")))
        report_asked(ctx, &request);
    else
        role_reply_failed(&request, "tlsrpt knows one request only: tlsrpt report");
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

/* What does not load leaves the old in force. */
static void load_resolver_again(struct tlsrpt *t)
{
    struct error *err = load_resolver(t);

    if (err)
        log_failure(LOG_ERROR, "reload-failed", err);
    error_free(&err);
}

static void on_content(void *ctx, enum role_content kind, unsigned index)
{
    (void)index;
    if (kind == CONTENT_RESOLV_CONF)
        load_resolver_again(ctx);
}

/* What else they say is read when a report is made. */
static void on_settings(void *ctx)
{
    struct tlsrpt *t = ctx;

    load_resolver_again(t);
    counting_set_reports(t->counting, role_settings(t->role)->tlsrpt_reports == SWITCH_ON);
}

static void on_drain(void *ctx, int64_t wait_ms)
{
    struct tlsrpt *t = ctx;

    (void)wait_ms;
    write_now(t);
    role_end(t->role, ROLE_EXIT_DONE);
}

static const struct role_events events = {
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
    counting_set_reports(t->counting, role_settings(t->role)->tlsrpt_reports == SWITCH_ON);
}

int tlsrpt_main(struct role *role)
{
    struct tlsrpt t = { .role = role };
    int exit_status;

    list_init(&t.tellers);
    t.database = open_database();
    t.tally = tally_new(t.database);
    t.queue = queue_client_new(role_loop(role), NULL, NULL);
    t.write_timer = loop_timer_new(role_loop(role), on_write_due, &t);
    open_counting(&t);
    exit_status = role_serve(role, &events, &t);
    write_now(&t);
    while (!list_empty(&t.tellers))
        teller_free(LIST_FIRST(&t.tellers, struct teller, others));
    queue_client_free(&t.queue);
    loop_timer_free(&t.write_timer);
    counting_free(&t.counting);
    resolver_free(&t.resolver);
    tally_free(&t.tally);
    database_close(&t.database);
    return exit_status;
}
