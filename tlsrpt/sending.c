#include "tlsrpt/sending.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/role.h"
#include "tlsrpt/compose.h"
#include "tlsrpt/draft.h"
#include "tlsrpt/report_mail.h"
#include "tlsrpt/submit.h"
#include "tlsrpt/timetable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What goes to one destination. */
struct parcel {
    struct sending *sending;
    Tlsrpt__OutboxDestination *row; /* of the record */
    struct destination to;
    bool waits; /* for its turn */
    struct post *post;
    struct submit *submit;
};

struct sending {
    const struct sending_tools *tools;
    struct subject subject;
    Tlsrpt__OutboxRecord *record;
    bool all;
    struct loop_task begin;
    struct parcel parcels[RUA_MAX];
    unsigned parcel_count;
    unsigned under_way;
    struct report_sum sum;
    struct buf body; /* the packed report */
    struct buf mail; /* the message that is being handed in */
    sending_done_fn *done;
    void *ctx;
};

const struct subject *sending_subject(const struct sending *sending)
{
    return &sending->subject;
}

/* --- what the log says */

static void log_head(struct log_line *line, const struct sending *sending,
                     const struct parcel *parcel)
{
    char day[CLOCK_TEXT_SIZE];

    day_format(sending->subject.day, day);
    log_string(line, sending->subject.of_host ? "host" : "domain", sending->subject.domain);
    log_string(line, "day", day);
    log_text(line, "report-id", span_of_bytes(sending->record->report_id));
    log_text(line, "to", span_of_bytes(parcel->row->uri));
    log_number(line, "tries", parcel->row->tries);
}

static void log_sent(const struct sending *sending, const struct parcel *parcel,
                     const char *certificate)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "tlsrpt-report-sent");
    log_head(&line, sending, parcel);
    if (parcel->row->queue_id != 0)
        log_qid(&line, parcel->row->queue_id);
    log_text(&line, "answer", span_of_bytes(parcel->row->answer));
    if (certificate[0] != '\0')
        log_string(&line, "certificate", certificate);
    log_end(&line);
}

static void log_deferred(const struct sending *sending, const struct parcel *parcel)
{
    char next[CLOCK_TEXT_SIZE];
    struct log_line line;

    clock_format_rfc3339(parcel->row->next_try_utc_ms, next);
    log_begin(&line, LOG_INFO, "tlsrpt-report-deferred");
    log_head(&line, sending, parcel);
    log_string(&line, "next", next);
    log_text(&line, "answer", span_of_bytes(parcel->row->answer));
    log_end(&line);
}

static void log_dropped(const struct sending *sending, const struct parcel *parcel)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "tlsrpt-report-dropped");
    log_head(&line, sending, parcel);
    log_text(&line, "answer", span_of_bytes(parcel->row->answer));
    log_end(&line);
}

/* --- what the outbox keeps */

/* False: the disk is full, and nothing changed. */
static bool keep(struct sending *sending)
{
    struct outbox *outbox = sending->tools->outbox;
    struct error *err = outbox_put(outbox, &sending->subject, sending->record);

    if (!err)
        return true;
    if (!outbox_is_full(outbox))
        role_die(ROLE_EXIT_TROUBLE, err);
    log_failure(LOG_WARNING, "tlsrpt-outbox-full", err);
    error_free(&err);
    return false;
}

static void set_answer(struct parcel *parcel, const char *answer)
{
    outbox_set_answer(parcel->row, span_of(answer));
    parcel->row->answered_utc_ms = clock_utc_ms();
}

/* Without another try. */
static void drop(struct sending *sending, struct parcel *parcel, const char *why)
{
    set_answer(parcel, why);
    parcel->row->state = TLSRPT__OUTBOX_STATE__DROPPED;
    log_dropped(sending, parcel);
}

static void defer(struct sending *sending, struct parcel *parcel, const char *why)
{
    Tlsrpt__OutboxDestination *row = parcel->row;
    int64_t now_ms = clock_utc_ms();

    if (!timetable_retry(row->first_try_utc_ms, row->tries, now_ms, random_below(UINT32_MAX),
                         &row->next_try_utc_ms)) {
        drop(sending, parcel, why);
        return;
    }
    set_answer(parcel, why);
    log_deferred(sending, parcel);
}

/* --- the end */

static void sending_end(struct sending *sending, bool was_kept)
{
    sending_done_fn *done = sending->done;
    void *ctx = sending->ctx;
    Tlsrpt__OutboxRecord *record = sending->record;

    sending->record = NULL;
    sending_cancel(&sending);
    done(ctx, was_kept ? record : NULL);
    outbox_record_free(&record);
}

static void begin_next_mail(struct sending *sending);

/* One destination has had its try. */
static void parcel_ended(struct parcel *parcel, bool taken, uint64_t queue_id, const char *answer,
                         const char *certificate)
{
    struct sending *sending = parcel->sending;

    if (taken) {
        set_answer(parcel, answer);
        parcel->row->state = TLSRPT__OUTBOX_STATE__DELIVERED;
        parcel->row->queue_id = queue_id;
        log_sent(sending, parcel, certificate);
    } else {
        defer(sending, parcel, answer);
    }
    keep(sending); /* on a full disk it is as if it had not been: it will be tried again */
    sending->under_way--;
    if (parcel->to.kind == DESTINATION_MAIL)
        begin_next_mail(sending);
    if (sending->under_way == 0)
        sending_end(sending, true);
}

/* --- by HTTPS */

static void on_posted(void *ctx, const struct post_result *result)
{
    struct parcel *parcel = ctx;

    parcel->post = NULL; /* it has ended: no longer ours to cancel */
    parcel_ended(parcel, result->taken, 0, result->reason, result->certificate);
}

static void begin_posts(struct sending *sending)
{
    for (unsigned i = 0; i < sending->parcel_count; i++) {
        struct parcel *parcel = &sending->parcels[i];
        if (!parcel->waits || parcel->to.kind != DESTINATION_HTTPS)
            continue;
        parcel->waits = false;
        parcel->post = post_start(&sending->tools->post, &parcel->to, REPORT_PACKED,
                                  buf_span(&sending->body), on_posted, parcel);
    }
}

/* --- by mail */

static void on_submitted(void *ctx, bool taken, uint64_t id, const char *reason)
{
    struct parcel *parcel = ctx;

    parcel->submit = NULL;
    parcel_ended(parcel, taken, id, reason, "");
}

static void submit(struct sending *sending, struct parcel *parcel)
{
    char once[REPORT_ID_SIZE + DESTINATION_TEXT_SIZE];
    struct submit_facts facts = {
        .settings = sending->tools->settings,
        .to = span_of(parcel->to.address),
        .now_utc_ms = clock_utc_ms(),
        .content = buf_span(&sending->mail),
    };

    snprintf(once, sizeof(once), SPAN_FMT " %s",
             SPAN_ARG(span_of_bytes(sending->record->report_id)), parcel->to.text);
    facts.once = span_of(once);
    parcel->submit =
        submit_start(sending->tools->loop, sending->tools->queue, &facts, on_submitted, parcel);
}

static struct compose_facts compose_facts_of(const struct sending *sending)
{
    return (struct compose_facts){ sending->tools->settings, &sending->subject,
                                   span_of_bytes(sending->record->report_id) };
}

static struct parcel *next_mail(struct sending *sending)
{
    for (unsigned i = 0; i < sending->parcel_count; i++)
        if (sending->parcels[i].waits && sending->parcels[i].to.kind == DESTINATION_MAIL)
            return &sending->parcels[i];
    return NULL;
}

/* One after the other: each message is as large as the report. */
static void begin_next_mail(struct sending *sending)
{
    struct compose_facts facts = compose_facts_of(sending);
    struct parcel *parcel = next_mail(sending);

    if (!parcel)
        return;
    parcel->waits = false;
    buf_reset(&sending->mail);
    if (!compose_mail(&facts, &sending->sum, buf_span(&sending->body), span_of(parcel->to.address),
                      clock_utc_ms(), &sending->mail))
        buf_reset(&sending->mail); /* see submit: what is empty is refused */
    submit(sending, parcel);
}

/* --- beginning */

/* In that order: what its life is over for is not tried, and what has no key cannot be. */
static const char *why_dropped(const struct sending *sending, const struct parcel *parcel, bool all)
{
    int64_t now_ms = clock_utc_ms();

    if (parcel->to.text[0] == '\0')
        return "it cannot be used";
    if (domain_list_contains(&sending->tools->settings->tlsrpt_exclude,
                             span_of(sending->subject.domain)))
        return draft_verdict_text(DRAFT_EXCLUDED);
    if (all)
        return NULL;
    if (parcel->row->first_try_utc_ms == 0)
        return sending->subject.day < timetable_first_day(now_ms) ? "its day is over for too long"
                                                                  : NULL;
    return timetable_is_over(parcel->row->first_try_utc_ms, now_ms) ? "not within 24 hours" : NULL;
}

static bool is_wanted(const Tlsrpt__OutboxDestination *row, bool all)
{
    if (row->state == TLSRPT__OUTBOX_STATE__DELIVERED)
        return false;
    return all ||
           (row->state == TLSRPT__OUTBOX_STATE__WAITING && row->next_try_utc_ms <= clock_utc_ms());
}

static void add_parcel(struct sending *sending, Tlsrpt__OutboxDestination *row)
{
    struct parcel *parcel = &sending->parcels[sending->parcel_count++];
    struct destinations read = { .count = 0 };

    *parcel = (struct parcel){ .sending = sending, .row = row };
    if (destinations_add(&read, span_of_bytes(row->uri)) == DESTINATION_FINE && read.count == 1)
        parcel->to = read.items[0];
}

/* That a try begins is on disk before it does: who dies in the middle waits a little, too. */
static void mark_begun(struct parcel *parcel, bool all)
{
    Tlsrpt__OutboxDestination *row = parcel->row;
    int64_t now_ms = clock_utc_ms();

    if (row->first_try_utc_ms == 0 || all)
        row->first_try_utc_ms = now_ms;
    row->state = TLSRPT__OUTBOX_STATE__WAITING;
    row->tries++;
    if (!timetable_retry(row->first_try_utc_ms, row->tries, now_ms, random_below(UINT32_MAX),
                         &row->next_try_utc_ms))
        row->next_try_utc_ms = now_ms + TIMETABLE_RETRY_FIRST_MS;
    parcel->waits = true;
}

/* Those that are due, and that may be tried. */
static void choose(struct sending *sending)
{
    for (size_t i = 0; i < sending->record->n_destinations; i++) {
        Tlsrpt__OutboxDestination *row = sending->record->destinations[i];
        if (is_wanted(row, sending->all))
            add_parcel(sending, row);
    }
    for (unsigned i = 0; i < sending->parcel_count; i++) {
        struct parcel *parcel = &sending->parcels[i];
        const char *why = why_dropped(sending, parcel, sending->all);
        if (why)
            drop(sending, parcel, why);
        else
            mark_begun(parcel, sending->all);
    }
}

static void each_waiting(struct sending *sending, enum destination_kind kind, const char *why,
                         void (*act)(struct sending *, struct parcel *, const char *))
{
    for (unsigned i = 0; i < sending->parcel_count; i++) {
        struct parcel *parcel = &sending->parcels[i];
        if (!parcel->waits || parcel->to.kind != kind)
            continue;
        parcel->waits = false;
        act(sending, parcel, why);
    }
}

/* False: there is no document to send. */
static bool compose(struct sending *sending)
{
    struct compose_facts facts = compose_facts_of(sending);
    bool is_whole = false;
    struct error *err = compose_report(sending->tools->tally, &facts, REPORT_PACKED, &sending->body,
                                       &sending->sum, &is_whole);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    return is_whole;
}

static unsigned waiting(const struct sending *sending)
{
    unsigned count = 0;

    for (unsigned i = 0; i < sending->parcel_count; i++)
        count += sending->parcels[i].waits;
    return count;
}

static void on_begin(void *ctx)
{
    struct sending *sending = ctx;

    choose(sending);
    if (!keep(sending)) {
        sending_end(sending, false);
        return;
    }
    if (waiting(sending) > 0 && !compose(sending)) {
        each_waiting(sending, DESTINATION_MAIL, "the report is too large to be written", drop);
        each_waiting(sending, DESTINATION_HTTPS, "the report is too large to be written", drop);
    }
    if (!draft_can_mail(sending->tools->settings))
        each_waiting(sending, DESTINATION_MAIL, "no dkim entry signs for tlsrpt-sender", defer);
    if (!sending->tools->post.http)
        each_waiting(sending, DESTINATION_HTTPS, "our trusted certificates are of no use", defer);
    sending->under_way = waiting(sending);
    if (sending->under_way == 0) {
        keep(sending);
        sending_end(sending, true);
        return;
    }
    begin_posts(sending);
    begin_next_mail(sending);
}

struct sending *sending_start(const struct sending_tools *tools, const struct subject *subject,
                              Tlsrpt__OutboxRecord **record, bool all, sending_done_fn *done,
                              void *ctx)
{
    struct sending *sending = memory_new(sizeof(*sending));

    sending->tools = tools;
    sending->subject = *subject;
    sending->record = *record;
    *record = NULL;
    sending->all = all;
    sending->done = done;
    sending->ctx = ctx;
    buf_init(&sending->body, REPORT_BODY_MAX);
    buf_init(&sending->mail, REPORT_MAIL_MAX);
    loop_task_init(&sending->begin, on_begin, sending);
    loop_defer(tools->loop, &sending->begin);
    return sending;
}

void sending_cancel(struct sending **sending)
{
    struct sending *s = *sending;

    *sending = NULL;
    if (!s)
        return;
    loop_task_cancel(&s->begin);
    for (unsigned i = 0; i < s->parcel_count; i++) {
        post_cancel(&s->parcels[i].post);
        submit_cancel(&s->parcels[i].submit);
    }
    outbox_record_free(&s->record);
    buf_clear(&s->body);
    buf_clear(&s->mail);
    free(s);
}
