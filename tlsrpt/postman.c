#include "tlsrpt/postman.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/role.h"
#include "tlsrpt/report.h"
#include "tlsrpt/timetable.h"

#include <stdlib.h>

enum {
    BATCH_REST_MS = 10, /* between two batches */
    LOOK_MAX_MS = HOUR_MS,
    PLAN_WAIT_MS = HOUR_MS,
    MIDNIGHT_REST_MS = 2 * SECOND_MS, /* what was counted in the day's last moment is written */
};

struct postman {
    const struct sending_tools *tools;
    struct counting *counting;
    struct loop_timer *timer;
    void (*idle)(void *ctx); /* stopped: who waits for the end of what is under way */
    void *idle_ctx;
    struct list rounds;
    unsigned under_way; /* those of the day's own accord */
    unsigned asked;
    bool is_planning;
    struct subject plan_from;
    int64_t next_plan_utc_ms;
};

/* One report under way, and who asked for it. */
struct round {
    struct list others;
    struct postman *postman;
    struct sending *sending;
    sending_done_fn *asker; /* NULL: nobody; its day has ended */
    void *asker_ctx;
};

static void look_within(struct postman *p, int64_t wait_ms)
{
    loop_timer_start(p->timer, wait_ms < LOOK_MAX_MS ? wait_ms : LOOK_MAX_MS);
}

/* Without its store the role has no use; on a full disk it goes on, and tries again later. */
static void take_trouble(struct postman *p, struct error *err)
{
    if (!outbox_is_full(p->tools->outbox))
        role_die(ROLE_EXIT_TROUBLE, err);
    log_failure(LOG_WARNING, "tlsrpt-outbox-full", err);
    error_free(&err);
}

/* --- what is to be sent about a day that has ended */

struct candidate {
    struct subject subject;
    char *record; /* the TXT record that was seen; NULL: nobody could tell whether there is one */
};

struct batch {
    struct candidate candidates[POSTMAN_BATCH];
    unsigned count;
    unsigned visited;
    struct subject last;
};

static bool is_worth_a_report(const struct tally_sum *sum)
{
    return sum->wish != TALLY_WISH_NONE && (sum->succeeded > 0 || sum->failed > 0);
}

static char *record_seen(const struct tally_sum *sum)
{
    return sum->wish == TALLY_WISH_SEEN ? memory_copy_span(sum->record) : NULL;
}

static bool on_subject(void *ctx, const struct tally_sum *sum)
{
    struct batch *batch = ctx;

    batch->last = sum->subject;
    if (is_worth_a_report(sum))
        batch->candidates[batch->count++] = (struct candidate){ sum->subject, record_seen(sum) };
    return ++batch->visited < POSTMAN_BATCH;
}

static void log_faults(const struct subject *subject, const struct draft *draft)
{
    for (unsigned i = 0; i < draft->fault_count; i++) {
        struct log_line line;
        log_begin(&line, LOG_INFO, "tlsrpt-rua-unusable");
        log_string(&line, subject->of_host ? "host" : "domain", subject->domain);
        log_text(&line, "rua", span_first(draft->faults[i].uri, OUTBOX_ANSWER_MAX));
        log_string(&line, "reason", destination_fault_text(draft->faults[i].fault));
        log_end(&line);
    }
}

static Tlsrpt__OutboxRecord *record_of(const struct settings *settings,
                                       const struct subject *subject, const struct destinations *to,
                                       int64_t due_ms)
{
    Tlsrpt__OutboxRecord *record;
    char id[REPORT_ID_SIZE];

    report_make_id(subject->day, span_of(subject->domain), subject->of_host,
                   span_of(settings->hostname), id);
    record = outbox_record_new(span_of(id), due_ms);
    for (unsigned i = 0; i < to->count; i++)
        outbox_record_add(record, span_of(to->items[i].text));
    return record;
}

/* NULL: there is nothing to send, or its record is there already. */
static Tlsrpt__OutboxRecord *decide(struct postman *p, const struct candidate *candidate)
{
    const struct settings *settings = p->tools->settings;
    Tlsrpt__OutboxRecord *record;
    struct draft draft;
    struct error *err = outbox_get(p->tools->outbox, &candidate->subject, &record);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    if (record) {
        outbox_record_free(&record);
        return NULL;
    }
    if (!candidate->record) { /* another plan, if DNS answers */
        counting_look_again(p->counting, &candidate->subject);
        return NULL;
    }
    draft_read(span_of(candidate->record), &draft);
    if (draft_judge(settings, &candidate->subject, &draft.to) != DRAFT_GOES)
        return NULL;
    log_faults(&candidate->subject, &draft);
    return record_of(settings, &candidate->subject, &draft.to,
                     timetable_due(candidate->subject.day, clock_utc_ms(),
                                   (int64_t)settings->tlsrpt_spread_s * SECOND_MS,
                                   random_below(UINT32_MAX)));
}

/* False: the disk is full. */
static bool put_batch(struct postman *p, const struct batch *batch)
{
    struct outbox_entry entries[POSTMAN_BATCH];
    struct error *err = NULL;
    size_t count = 0;

    for (unsigned i = 0; i < batch->count; i++) {
        Tlsrpt__OutboxRecord *record = decide(p, &batch->candidates[i]);
        if (record)
            entries[count++] = (struct outbox_entry){ batch->candidates[i].subject, record };
    }
    if (count > 0)
        err = outbox_put_all(p->tools->outbox, entries, count);
    for (size_t i = 0; i < count; i++)
        outbox_record_free(&entries[i].record);
    if (err)
        take_trouble(p, err);
    return !err;
}

static void sweep(struct postman *p)
{
    uint32_t today = day_of(clock_utc_ms());
    bool all;
    struct error *err =
        outbox_sweep(p->tools->outbox, today > TALLY_DAYS_KEPT ? today - TALLY_DAYS_KEPT : 0, &all);

    if (err)
        take_trouble(p, err);
}

static void end_plan(struct postman *p)
{
    int64_t now_ms = clock_utc_ms();
    int64_t midnight_ms = day_begins(day_of(now_ms) + 1) + MIDNIGHT_REST_MS;

    sweep(p);
    p->is_planning = false;
    p->next_plan_utc_ms = midnight_ms < now_ms + PLAN_WAIT_MS ? midnight_ms : now_ms + PLAN_WAIT_MS;
}

/* It never lies further ahead, unless the clock was set back meanwhile. */
static bool is_plan_due(const struct postman *p, int64_t now_ms)
{
    return now_ms >= p->next_plan_utc_ms || p->next_plan_utc_ms - now_ms > PLAN_WAIT_MS;
}

static void begin_plan(struct postman *p)
{
    p->is_planning = true;
    p->plan_from = (struct subject){ .day = timetable_first_day(clock_utc_ms()) };
}

static void plan_more(struct postman *p)
{
    struct batch batch = { .count = 0 };
    struct error *err =
        tally_walk(p->tools->tally, &p->plan_from, day_of(clock_utc_ms()), on_subject, &batch);
    bool has_room;

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    has_room = put_batch(p, &batch);
    for (unsigned i = 0; i < batch.count; i++)
        free(batch.candidates[i].record);
    p->plan_from = batch.last;
    if (batch.visited < POSTMAN_BATCH || !has_room)
        end_plan(p);
}

/* --- sending */

static struct round *round_about(const struct postman *p, const struct subject *subject)
{
    struct round *round;

    LIST_EACH(round, &p->rounds, struct round, others)
    if (subject_equal(sending_subject(round->sending), subject))
        return round;
    return NULL;
}

static void round_free(struct round *round)
{
    if (round->asker)
        round->postman->asked--;
    else
        round->postman->under_way--;
    list_remove(&round->others);
    sending_cancel(&round->sending);
    free(round);
}

static void on_sent(void *ctx, const Tlsrpt__OutboxRecord *record)
{
    struct round *round = ctx;
    struct postman *p = round->postman;

    round->sending = NULL; /* it has ended: no longer ours to cancel */
    if (round->asker)
        round->asker(round->asker_ctx, record);
    round_free(round);
    look_within(p, record || p->idle ? 0 : MINUTE_MS); /* without it: the disk is full */
}

static void begin_round(struct postman *p, const struct subject *subject,
                        Tlsrpt__OutboxRecord **record, sending_done_fn *asker, void *ctx)
{
    struct round *round = memory_new(sizeof(*round));

    round->postman = p;
    round->asker = asker;
    round->asker_ctx = ctx;
    list_init(&round->others);
    list_append(&p->rounds, &round->others);
    if (asker)
        p->asked++;
    else
        p->under_way++;
    round->sending = sending_start(p->tools, subject, record, asker != NULL, on_sent, round);
}

/* A row that is due; one without a record is taken out. */
static void begin_due(struct postman *p, const struct outbox_place *place,
                      const struct subject *subject)
{
    Tlsrpt__OutboxRecord *record;
    struct error *err;

    if (round_about(p, subject))
        return;
    err = outbox_get(p->tools->outbox, subject, &record);
    if (!err && !record)
        err = outbox_pass_over(p->tools->outbox, place);
    if (err)
        take_trouble(p, err);
    else if (record)
        begin_round(p, subject, &record, NULL, NULL);
}

/* Begins what is due, as far as there is room; gives when the next one is. */
static int64_t send_due(struct postman *p, int64_t now_ms)
{
    struct outbox_place place = { .len = 0 };
    int64_t due_ms = INT64_MAX;
    struct subject subject;
    bool found = queue_client_is_up(p->tools->queue);

    while (found && p->under_way < POSTMAN_AT_ONCE) {
        struct error *err = outbox_next_due(p->tools->outbox, &place, &subject, &due_ms, &found);
        if (err)
            role_die(ROLE_EXIT_TROUBLE, err);
        if (!found || due_ms > now_ms)
            return found ? due_ms : INT64_MAX;
        begin_due(p, &place, &subject);
    }
    return INT64_MAX; /* what ends looks anew, and so does a queue that comes back */
}

static void on_look(void *ctx)
{
    struct postman *p = ctx;
    int64_t now_ms = clock_utc_ms(), next_ms;

    if (p->idle) {
        if (list_empty(&p->rounds))
            p->idle(p->idle_ctx);
        return;
    }
    if (p->tools->settings->tlsrpt_reports == SWITCH_OFF) {
        look_within(p, LOOK_MAX_MS);
        return;
    }
    if (!p->is_planning && is_plan_due(p, now_ms))
        begin_plan(p);
    if (p->is_planning)
        plan_more(p);
    next_ms = send_due(p, now_ms);
    if (p->next_plan_utc_ms < next_ms)
        next_ms = p->next_plan_utc_ms;
    look_within(p, p->is_planning ? BATCH_REST_MS : next_ms > now_ms ? next_ms - now_ms : 0);
}

/* --- for the operator */

struct found {
    bool is_worth;
    char *record;
};

static void on_found(void *ctx, const struct tally_sum *sum)
{
    struct found *found = ctx;

    found->is_worth = is_worth_a_report(sum);
    found->record = record_seen(sum);
}

/* A record for a report that has none yet; NULL with a sentence in *out_why. */
static Tlsrpt__OutboxRecord *new_record(struct postman *p, const struct subject *subject,
                                        const char **out_why)
{
    struct found found = { .is_worth = false };
    enum draft_verdict verdict;
    struct draft draft;
    bool is_there;
    struct error *err = tally_look(p->tools->tally, subject, on_found, &found, &is_there);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    draft_read(span_of(found.record), &draft);
    verdict = draft_judge(p->tools->settings, subject, &draft.to);
    *out_why = is_there ? draft_verdict_text(verdict) : "no session was counted on that day";
    if (is_there && !found.record)
        *out_why = found.is_worth ? "DNS could not say whether it wants reports"
                                  : "it wants no reports: it has no TLSRPT record";
    if (!found.record || !found.is_worth || verdict != DRAFT_GOES) {
        free(found.record);
        return NULL;
    }
    log_faults(subject, &draft);
    free(found.record);
    return record_of(p->tools->settings, subject, &draft.to, clock_utc_ms());
}

static bool is_all_delivered(const Tlsrpt__OutboxRecord *record)
{
    for (size_t i = 0; i < record->n_destinations; i++)
        if (record->destinations[i]->state != TLSRPT__OUTBOX_STATE__DELIVERED)
            return false;
    return true;
}

const char *postman_send(struct postman *p, const struct subject *subject, sending_done_fn *done,
                         void *ctx)
{
    Tlsrpt__OutboxRecord *record;
    const char *why = NULL;
    struct error *err;

    if (p->tools->settings->tlsrpt_reports == SWITCH_OFF)
        return draft_verdict_text(DRAFT_OFF);
    if (p->idle)
        return "the relay is stopping";
    if (round_about(p, subject) || p->asked >= POSTMAN_ASKED_MAX)
        return "it is being sent just now, or others are; ask again in a minute";
    err = outbox_get(p->tools->outbox, subject, &record);
    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    if (!record)
        record = new_record(p, subject, &why);
    if (record && is_all_delivered(record)) {
        outbox_record_free(&record);
        why = "all have taken it already; --to ADDRESS sends a copy";
    }
    if (!record)
        return why;
    begin_round(p, subject, &record, done, ctx);
    return NULL;
}

/* --- life */

struct postman *postman_new(const struct sending_tools *tools, struct counting *counting)
{
    struct postman *p = memory_new(sizeof(*p));

    p->tools = tools;
    p->counting = counting;
    list_init(&p->rounds);
    p->timer = loop_timer_new(tools->loop, on_look, p);
    look_within(p, 0);
    return p;
}

void postman_settings_changed(struct postman *postman)
{
    postman->next_plan_utc_ms = 0;
    look_within(postman, 0);
}

void postman_queue_changed(struct postman *postman)
{
    look_within(postman, 0);
}

void postman_stop(struct postman *postman, void (*idle)(void *ctx), void *ctx)
{
    postman->idle = idle;
    postman->idle_ctx = ctx;
    look_within(postman, 0);
}

void postman_free(struct postman **postman)
{
    struct postman *p = *postman;

    *postman = NULL;
    if (!p)
        return;
    while (!list_empty(&p->rounds))
        round_free(LIST_FIRST(&p->rounds, struct round, others));
    loop_timer_free(&p->timer);
    free(p);
}
