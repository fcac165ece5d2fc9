#include "tlsrpt/answers.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "lib/mail/domain.h"
#include "tlsrpt/compose.h"
#include "tlsrpt/copy.h"
#include "tlsrpt/day.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_BYTES_MAX = REPORT_JSON_MAX + REPORT_RESERVE };

/* --- what is asked for */

/* False: the request has been answered. */
static bool read_subject(struct role_request **request, uint32_t day, struct subject *out)
{
    struct span day_text = role_request_argument(*request, "day");
    struct span view = role_request_argument(*request, "view");
    struct span name = role_request_argument(*request, "domain");
    char domain[DOMAIN_MAX + 1];

    if (!domain_normalize(name, domain)) {
        role_reply_failed(request, "that is no domain name");
        return false;
    }
    if (day_text.data && !day_parse(day_text, &day)) {
        role_reply_failed(request, "that is no day; a day looks like 2026-01-30");
        return false;
    }
    if (view.data && !span_equal(view, SPAN("host")) && !span_equal(view, SPAN("domain"))) {
        role_reply_failed(request, "a view is domain or host");
        return false;
    }
    *out = span_equal(view, SPAN("host")) ? subject_of_host(day, span_of(domain))
                                          : subject_of_domain(day, span_of(domain));
    return true;
}

static void on_sum(void *ctx, const struct tally_sum *sum)
{
    (void)ctx;
    (void)sum;
}

/* False: nothing was counted, and the request has been answered. */
static bool is_counted(const struct answers *answers, struct role_request **request,
                       const struct subject *subject)
{
    char sentence[DOMAIN_MAX + 100];
    char day[CLOCK_TEXT_SIZE];
    bool found;
    struct error *err = tally_look(answers->tools->tally, subject, on_sum, NULL, &found);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    if (found)
        return true;
    day_format(subject->day, day);
    snprintf(sentence, sizeof(sentence), "no session with %s was counted on %s", subject->domain,
             day);
    role_reply_failed(request, sentence);
    return false;
}

/* --- tlsrpt report */

/* In pieces, for it may be long. */
static void reply_text(struct role_request **request, struct span text)
{
    while (text.len > FRAME_BODY_MAX) {
        role_reply(request, span_first(text, FRAME_BODY_MAX), false);
        text = span_from(text, FRAME_BODY_MAX);
    }
    role_reply(request, text, true);
}

void answers_report(const struct answers *answers, struct role_request **request)
{
    const struct settings *settings = answers->tools->settings;
    struct compose_facts facts = { .settings = settings };
    char id[REPORT_ID_SIZE];
    struct subject subject;
    struct report_sum sum;
    struct buf text;
    bool is_whole;

    if (!read_subject(request, day_of(clock_utc_ms()), &subject) ||
        !is_counted(answers, request, &subject))
        return;
    report_make_id(subject.day, span_of(subject.domain), subject.of_host,
                   span_of(settings->hostname), id);
    facts.subject = &subject;
    facts.id = span_of(id);
    buf_init(&text, REPORT_BYTES_MAX);
    struct error *err =
        compose_report(answers->tools->tally, &facts, REPORT_PLAIN, &text, &sum, &is_whole);
    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    if (is_whole)
        reply_text(request, buf_span(&text));
    else
        role_reply_failed(request, "the report is too large to print");
    buf_clear(&text);
}

/* --- what became of a report, as rows */

static const char *state_text(Tlsrpt__OutboxState state)
{
    switch (state) {
    case TLSRPT__OUTBOX_STATE__DELIVERED:
        return "delivered";
    case TLSRPT__OUTBOX_STATE__DROPPED:
        return "dropped";
    case TLSRPT__OUTBOX_STATE__WAITING:
    case _TLSRPT__OUTBOX_STATE_IS_INT_SIZE:
    default:
        return "waiting";
    }
}

/* 0: never. */
static void add_time(struct json *row, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format_rfc3339(utc_ms, text);
    json_add_string(row, key, utc_ms != 0 ? text : NULL);
}

static void add_subject(struct json *row, const struct subject *subject)
{
    char day[CLOCK_TEXT_SIZE];

    day_format(subject->day, day);
    json_add_string(row, "day", day);
    json_add_string(row, "domain", subject->domain);
    json_add_string(row, "view", subject->of_host ? "host" : "domain");
}

static void add_outcome(struct json *row, const Tlsrpt__OutboxDestination *destination)
{
    char id[QID_TEXT_SIZE];

    json_add_text(row, "to", span_of_bytes(destination->uri));
    json_add_string(row, "state", state_text(destination->state));
    json_add_number(row, "tries", destination->tries);
    json_add_text(row, "answer", span_of_bytes(destination->answer));
    add_time(row, "answered", destination->answered_utc_ms);
    add_time(row, "next",
             destination->state == TLSRPT__OUTBOX_STATE__WAITING ? destination->next_try_utc_ms
                                                                 : 0);
    qid_format(destination->queue_id, id);
    json_add_string(row, "id", destination->queue_id != 0 ? id : NULL);
}

/* --- tlsrpt send */

/* Who waits for what becomes of it. */
struct wait {
    struct role_request *request;
    struct subject subject;
};

static void on_sent(void *ctx, const Tlsrpt__OutboxRecord *record)
{
    struct wait *wait = ctx;
    struct json *answer = json_new_object();
    struct json *rows;

    add_subject(answer, &wait->subject);
    if (record) {
        json_add_text(answer, "report_id", span_of_bytes(record->report_id));
        rows = json_add_array(answer, "results");
        for (size_t i = 0; i < record->n_destinations; i++)
            add_outcome(json_append_object(rows), record->destinations[i]);
        role_reply_json(&wait->request, &answer);
    } else {
        role_reply_failed(&wait->request, "the disk is full; nothing was sent");
    }
    json_free(&answer);
    free(wait);
}

static struct wait *wait_new(struct role_request **request, const struct subject *subject)
{
    struct wait *wait = memory_new(sizeof(*wait));

    wait->request = *request;
    wait->subject = *subject;
    *request = NULL;
    return wait;
}

static void send_report(const struct answers *answers, struct role_request **request,
                        const struct subject *subject)
{
    struct wait *wait = wait_new(request, subject);
    const char *why = postman_send(answers->postman, subject, on_sent, wait);

    if (!why)
        return;
    role_reply_failed(&wait->request, why);
    free(wait);
}

static void on_copied(void *ctx, bool taken, uint64_t id, const char *reason)
{
    struct wait *wait = ctx;
    struct json *answer;
    char qid[QID_TEXT_SIZE];

    if (taken) {
        answer = json_new_object();
        add_subject(answer, &wait->subject);
        qid_format(id, qid);
        json_add_string(answer, "copy", qid);
        role_reply_json(&wait->request, &answer);
    } else {
        role_reply_failed(&wait->request, reason);
    }
    free(wait);
}

static void send_copy(const struct answers *answers, struct role_request **request,
                      const struct subject *subject, struct span to)
{
    struct address address;

    if (address_parse(to, &address) != ADDRESS_FINE || address.domain[0] == '\0') {
        role_reply_failed(request, "that is no address to send a copy to");
        return;
    }
    if (!draft_can_mail(answers->tools->settings)) {
        role_reply_failed(request, "no dkim entry signs for tlsrpt-sender, and without a signature"
                                   " no report is mailed; see waxseal tlsrpt status");
        return;
    }
    if (is_counted(answers, request, subject))
        copy_send(answers->tools, subject, to, on_copied, wait_new(request, subject));
}

void answers_send(const struct answers *answers, struct role_request **request)
{
    struct span to = role_request_argument(*request, "to");
    uint32_t today = day_of(clock_utc_ms());
    struct subject subject;

    if (!read_subject(request, today - 1, &subject))
        return;
    if (to.data)
        send_copy(answers, request, &subject, to);
    else if (subject.day >= today)
        role_reply_failed(request, "that day has not ended; a report is about a whole day in UTC."
                                   " --to ADDRESS sends a copy of what there is");
    else
        send_report(answers, request, &subject);
}

/* --- tlsrpt status */

/* Sentences. */
static struct json *missing_of(const struct settings *settings)
{
    struct json *missing = json_new_array();

    if (settings->tlsrpt_reports == SWITCH_OFF)
        json_append_text(missing, SPAN("tlsrpt-reports is off: no report is sent; write"
                                       " tlsrpt-reports = \"on\" to send them"));
    if (!draft_can_mail(settings)) {
        char sentence[2 * SETTINGS_NAME_SIZE + 300];
        const char *domain = strchr(settings->tlsrpt_sender, '@') + 1;
        snprintf(sentence, sizeof(sentence),
                 "no dkim entry signs for %s: no report goes by mail, since receivers must ignore"
                 " those without a signature; make a key with: waxseal dkim new %s",
                 settings->tlsrpt_sender, domain);
        json_append_text(missing, span_of(sentence));
    }
    return missing;
}

static const char *wish_text(enum tally_wish wish)
{
    static const char *const texts[] = {
        [TALLY_WISH_UNKNOWN] = "unknown",
        [TALLY_WISH_NONE] = "no",
        [TALLY_WISH_SEEN] = "yes",
    };

    return texts[wish];
}

struct counted {
    const struct settings *settings;
    struct json *rows;
    unsigned count;
    bool has_more;
};

/* Where today's report would go, as things are now. */
static void add_prospect(struct json *row, const struct settings *settings,
                         const struct tally_sum *sum)
{
    enum draft_verdict verdict;
    struct draft draft;

    draft_read(sum->record, &draft);
    verdict = draft_judge(settings, &sum->subject, &draft.to);
    json_add_string(row, "wanted", wish_text(sum->wish));
    json_add_string(
        row, "not_sent",
        sum->wish == TALLY_WISH_SEEN && verdict != DRAFT_GOES ? draft_verdict_text(verdict) : NULL);
}

static bool on_counted(void *ctx, const struct tally_sum *sum)
{
    struct counted *counted = ctx;
    struct json *row;

    counted->has_more = counted->count == ANSWERS_ROWS_MAX;
    if (counted->has_more)
        return false;
    counted->count++;
    row = json_append_object(counted->rows);
    json_add_string(row, "domain", sum->subject.domain);
    json_add_string(row, "view", sum->subject.of_host ? "host" : "domain");
    json_add_number(row, "succeeded", (int64_t)sum->succeeded);
    json_add_number(row, "failed", (int64_t)sum->failed);
    json_add_number(row, "failures", (int64_t)(sum->details + sum->folded));
    add_prospect(row, counted->settings, sum);
    return true;
}

static void add_today(const struct answers *answers, struct json *answer, uint32_t today)
{
    struct subject from = { .day = today };
    struct counted counted = { .settings = answers->tools->settings,
                               .rows = json_add_array(answer, "today") };
    struct error *err = tally_walk(answers->tools->tally, &from, today + 1, on_counted, &counted);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    json_add_bool(answer, "today_has_more", counted.has_more);
}

static struct error *add_next(const struct answers *answers, struct json *answer)
{
    struct json *rows = json_add_array(answer, "next");
    struct outbox_place place = { .len = 0 };
    struct error *err = NULL;
    struct subject subject;
    unsigned count = 0;
    int64_t utc_ms;
    bool found = true;

    while (!err && found && count++ < ANSWERS_ROWS_MAX) {
        err = outbox_next_due(answers->tools->outbox, &place, &subject, &utc_ms, &found);
        if (err || !found)
            continue;
        struct json *row = json_append_object(rows);
        add_time(row, "at", utc_ms);
        add_subject(row, &subject);
    }
    json_add_bool(answer, "next_has_more", found);
    return err;
}

/* A row for each destination that was tried. */
static struct error *add_results(const struct answers *answers, struct json *rows,
                                 const struct subject *subject)
{
    Tlsrpt__OutboxRecord *record;
    struct error *err = outbox_get(answers->tools->outbox, subject, &record);

    for (size_t i = 0; record && i < record->n_destinations; i++) {
        if (record->destinations[i]->answered_utc_ms == 0)
            continue;
        struct json *row = json_append_object(rows);
        add_subject(row, subject);
        add_outcome(row, record->destinations[i]);
    }
    outbox_record_free(&record);
    return err;
}

/* The latest first. */
static struct error *add_last(const struct answers *answers, struct json *answer)
{
    struct json *rows = json_add_array(answer, "last");
    struct outbox_place place = { .len = 0 };
    struct error *err = NULL;
    struct subject subject;
    bool found = true;

    while (!err && found && json_count(rows) < ANSWERS_ROWS_MAX) {
        err = outbox_next_sent(answers->tools->outbox, &place, &subject, &found);
        if (!err && found)
            err = add_results(answers, rows, &subject);
    }
    json_add_bool(answer, "last_has_more", found);
    return err;
}

static void add_reporter(struct json *answer, const struct settings *s)
{
    struct json *missing = missing_of(s);

    json_add_string(answer, "reports", s->tlsrpt_reports == SWITCH_ON ? "on" : "off");
    json_add_string(answer, "organization",
                    s->tlsrpt_organization[0] ? s->tlsrpt_organization : s->hostname);
    json_add_string(answer, "contact", s->tlsrpt_contact);
    json_add_string(answer, "sender", s->tlsrpt_sender);
    json_add_bool(answer, "mail_is_signed", draft_can_mail(s));
    json_add(answer, "missing", &missing);
}

void answers_status(const struct answers *answers, struct role_request **request)
{
    struct json *answer = json_new_object();
    uint32_t today = day_of(clock_utc_ms());
    char day[CLOCK_TEXT_SIZE];
    struct error *err;

    add_reporter(answer, answers->tools->settings);
    day_format(today, day);
    json_add_string(answer, "day", day);
    add_today(answers, answer, today);
    err = add_next(answers, answer);
    if (!err)
        err = add_last(answers, answer);
    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    role_reply_json(request, &answer);
}

void answers_add_counts(const struct answers *answers, struct json *object)
{
    struct json *missing = missing_of(answers->tools->settings);
    uint64_t waiting = 0;
    struct error *err = outbox_count(answers->tools->outbox, &waiting);

    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    json_add_number(object, "reports_waiting", (int64_t)waiting);
    if (json_count(missing) > 0)
        json_add(object, "missing", &missing);
    json_free(&missing);
}
