/*
 * outbox - the reports that are being sent, on disk: their ids, when each is due, and what became
 * of it at each destination.  Called by the tlsrpt role; its tables stand in the report database,
 * which is handed in.  Each change is one transaction, so that a crash at any moment leaves either
 * what was or what is; who begins a try says so here first.
 */
#ifndef WAXSEAL_TLSRPT_OUTBOX_H
#define WAXSEAL_TLSRPT_OUTBOX_H

#include "lib/base/error.h"
#include "lib/base/span.h"
#include "tlsrpt/database.h"
#include "tlsrpt/outbox.pb-c.h"
#include "tlsrpt/subject.h"

struct outbox;

enum {
    OUTBOX_ANSWER_MAX = 255, /* bytes kept of a destination's last answer */
    OUTBOX_SWEEP = 64,       /* old reports removed at a time */
};

/* The database outlives it. */
struct outbox *outbox_new(struct database *database);
void outbox_free(struct outbox **outbox);

/*
 * Was the last failure for want of room on the disk?  Then nothing changed, and one may go on.
 * After any other the role must end, and open the database anew.
 */
bool outbox_is_full(const struct outbox *outbox);

/* An empty record; freed with outbox_record_free, as what outbox_get gives. */
Tlsrpt__OutboxRecord *outbox_record_new(struct span report_id, int64_t due_utc_ms);
void outbox_record_free(Tlsrpt__OutboxRecord **record);
/* A further destination of it, due when the record is; at most RUA_MAX. */
void outbox_record_add(Tlsrpt__OutboxRecord *record, struct span uri);
/* Another last answer, cut to OUTBOX_ANSWER_MAX. */
void outbox_set_answer(Tlsrpt__OutboxDestination *destination, struct span answer);
/* When something is to be done with it next; false: never again. */
bool outbox_record_due(const Tlsrpt__OutboxRecord *record, int64_t *out_utc_ms);

/* When one of its destinations answered last; false: none did. */
bool outbox_record_answered(const Tlsrpt__OutboxRecord *record, int64_t *out_utc_ms);

/* The record of a report; NULL inside: there is none, or it is damaged. */
struct error *outbox_get(struct outbox *outbox, const struct subject *subject,
                         Tlsrpt__OutboxRecord **out_record) MUST_CHECK;

/* Keeps a record, new or changed: it is on disk afterwards. */
struct error *outbox_put(struct outbox *outbox, const struct subject *subject,
                         const Tlsrpt__OutboxRecord *record) MUST_CHECK;

/* The same of several, in one transaction. */
struct outbox_entry {
    struct subject subject;
    Tlsrpt__OutboxRecord *record;
};
struct error *outbox_put_all(struct outbox *outbox, const struct outbox_entry *entries,
                             size_t count) MUST_CHECK;

/*
 * What is due next behind a place in the order of times: begins with place->len 0; *out_found
 * false at the end.
 */
struct outbox_place {
    char bytes[8 + SUBJECT_KEY_MAX];
    size_t len;
};
struct error *outbox_next_due(struct outbox *outbox, struct outbox_place *place,
                              struct subject *out_subject, int64_t *out_utc_ms,
                              bool *out_found) MUST_CHECK;

/* The same, of those that any destination answered to: the latest first. */
struct error *outbox_next_sent(struct outbox *outbox, struct outbox_place *place,
                               struct subject *out_subject, bool *out_found) MUST_CHECK;

/* What is due there is due no more, since it has no record that can be read. */
struct error *outbox_pass_over(struct outbox *outbox, const struct outbox_place *place) MUST_CHECK;

/* How many reports wait for a try. */
struct error *outbox_count(struct outbox *outbox, uint64_t *out_count) MUST_CHECK;

/* Removes some reports about days before `day`; *out_all: there are no more of them. */
struct error *outbox_sweep(struct outbox *outbox, uint32_t day, bool *out_all) MUST_CHECK;

#endif
