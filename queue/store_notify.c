#include "queue/store_notify.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/ipc/channel.h"
#include "lib/mail/envelope.h"
#include "queue/notify_advice.h"
#include "queue/notify_due.h"
#include "queue/notify_original.h"
#include "queue/store_history.h"
#include "queue/store_rows.h"

enum { TOLD_FIRST = 8 };

struct telling {
    struct store_txn *txn;
    uint64_t id;
    const Queue__MessageRecord *message;
    enum notify_audience audience;
    struct notify_recipient *told;
    size_t count, room, most;
    size_t strangers; /* of whom a stranger would have been told */
};

static const char *const kinds[] = {
    [ACTION_FAILED] = "failed",       [ACTION_DELAYED] = "delayed",   [ACTION_RELAYED] = "relayed",
    [ACTION_DELIVERED] = "delivered", [ACTION_EXPANDED] = "expanded",
};

void notices_begin(struct notices *n, struct store_txn *txn, uint64_t id,
                   const Queue__MessageRecord *message, size_t most)
{
    struct telling *t = arena_take(txn->arena, sizeof(*t));

    *t = (struct telling){ .txn = txn, .id = id, .message = message, .most = most };
    t->audience = notify_audience(message);
    n->telling = t;
    n->notification = n->postmaster_copy = 0;
    n->untold = TOLD;
    n->action = ACTION_EXPANDED;
}

/* Most operations tell nobody of anything: room is made when it is needed. */
static struct notify_recipient *next_told(struct telling *t)
{
    if (t->count == t->room) {
        size_t room = t->room == 0 ? TOLD_FIRST : 2 * t->room;
        struct notify_recipient *told = arena_take(t->txn->arena, room * sizeof(*told));
        if (t->count > 0)
            memcpy(told, t->told, t->count * sizeof(*told));
        t->told = told;
        t->room = room;
    }
    return &t->told[t->count++];
}

void notices_add(struct notices *n, const struct notify_recipient *told)
{
    struct telling *t = n->telling;

    if (t->audience == AUDIENCE_LOG && told->action == ACTION_FAILED) {
        n->untold = UNTOLD_REPORT; /* whatever NOTIFY says */
        n->action = ACTION_FAILED;
    }
    if (t->audience == AUDIENCE_LOG || !notify_is_wanted(told->record, told->action) ||
        t->count >= t->most)
        return;
    if (t->audience == AUDIENCE_NOBODY && told->action != ACTION_FAILED)
        return;
    if (t->audience == AUDIENCE_STRANGER) {
        n->untold = UNTOLD_STRANGER;
        t->strangers++;
    } else {
        *next_told(t) = *told;
    }
    if (told->action < n->action)
        n->action = told->action;
}

bool notices_has_delay(const struct notices *n)
{
    for (size_t i = 0; i < n->telling->count; i++)
        if (n->telling->told[i].action == ACTION_DELAYED)
            return true;
    return false;
}

void notices_operator_result(struct span reason, Ipc__Result *out)
{
    ipc__result__init(out);
    out->kind = IPC__RESULT_KIND__FAILED;
    out->status = bytes_of_span(SPAN("5.7.0"));
    out->reply = bytes_of_span(reason);
    out->cause = IPC__CAUSE__OPERATOR;
}

/* ---- the original --------------------------------------------------------------------------- */

/* From its beginning, as far as a notification returns it. */
static struct error *read_original(const struct telling *t, struct buf *out)
{
    for (uint32_t chunk = 0; chunk < t->message->chunks && buf_len(out) < NOTIFY_WHOLE_MAX;
         chunk++) {
        struct record_key key = key_of_part(t->id, chunk);
        struct span value;
        struct span bytes;
        struct error *err = kv_get(t->txn->kv, TABLE_CONTENT, key_span(&key), &value);
        if (err)
            return err;
        if (!value.data || !chunk_read(key_span(&key), value, &bytes))
            return NULL; /* what is there has to do */
        if (!buf_append(out, span_first(bytes, NOTIFY_WHOLE_MAX - buf_len(out))))
            return NULL;
    }
    return NULL;
}

static void leave_out_delays_nobody_asked_of(struct telling *t, struct span original)
{
    size_t kept = 0;

    if (!notify_is_automatic(notify_headers(original)))
        return;
    for (size_t i = 0; i < t->count; i++)
        if (t->told[i].action != ACTION_DELAYED || notify_asked_of_delay(t->told[i].record))
            t->told[kept++] = t->told[i];
    t->count = kept;
}

/* ---- one notification ----------------------------------------------------------------------- */

static struct error *put_mail(const struct notices *n, const struct notice *notice,
                              const struct address *to, bool for_postmaster, struct span text)
{
    const struct telling *t = n->telling;
    struct envelope envelope;
    char ascii[ADDRESS_ASCII_SIZE];

    envelope_init(&envelope);
    envelope.received_utc_ms = t->txn->now_ms;
    envelope.requiretls = t->message->envelope->requiretls; /* RFC 8689 s.5 */
    envelope_add(&envelope, to);
    envelope.smtputf8 = envelope.utf8_header = !address_to_ascii(to, ascii); /* in To */
    struct new_message message = {
        .id = notice->id,
        .envelope = &envelope,
        .size = text.len,
        .chunks = content_chunks(text.len),
        .content_cost = content_cost(text.len),
        .eight_bit = envelope.utf8_header,
        .notification = true,
        .postmaster_copy = for_postmaster,
    };
    body_hash_of(text, n->settings->hashes_relaxed, n->settings->hashes_simple, &message.body);
    struct error *err = content_put(t->txn, message.id, 0, text);
    if (!err)
        err = message_put(t->txn, &message);
    envelope_clear(&envelope);
    return err;
}

/* Whom it is for, and what it says of whom. */
struct letter {
    const struct address *to;
    bool for_postmaster, is_copy;
    const struct notify_recipient *told;
    size_t count;
    struct span original;
};

static struct error *put_letter(struct notices *n, struct notice *notice,
                                const struct letter *letter)
{
    const struct telling *t = n->telling;
    struct notify_facts facts = {
        .settings = n->settings,
        .original_id = t->id,
        .message = t->message,
        .recipients = letter->told,
        .count = letter->count,
        .now_ms = t->txn->now_ms,
        .to = span_of(letter->to->text),
        .for_postmaster = letter->for_postmaster,
        .is_copy = letter->is_copy,
        .silent_until = notice->verdict == NOTICE_LAST ? notice->until_ms : 0,
        .original = letter->original,
        .original_is_whole = letter->original.len == t->message->size,
    };
    struct error *err = NULL;
    struct buf text;

    if (notice->id == 0)
        notice->id = store_txn_id(t->txn);
    facts.id = notice->id;
    buf_init(&text, NOTIFY_TEXT_MAX);
    if (!notify_write(&facts, &text))
        err = error_new(ERROR_LOCAL, "a notification grew too large");
    if (!err)
        err = put_mail(n, notice, letter->to, letter->for_postmaster, buf_span(&text));
    buf_clear(&text);
    return err;
}

/* Once, however often the operation is applied. */
static enum notice_verdict weigh(struct notices *n, struct notice *notice, struct span address)
{
    if (!notice->is_weighed)
        notice->verdict = notice_rates_take(n->telling->txn->notice_rates, address,
                                            n->settings->notices_per_sender,
                                            n->telling->txn->now_ms, &notice->until_ms);
    notice->is_weighed = true;
    return notice->verdict;
}

/* ---- the postmaster ------------------------------------------------------------------------- */

static bool find_postmaster(const struct notify_settings *settings, struct address *out)
{
    struct buf text;

    buf_init(&text, 2 * NOTIFY_NAME_SIZE);
    bool ok = settings->postmaster[0] != '\0'
                  ? buf_append(&text, span_of(settings->postmaster))
                  : buf_printf(&text, "postmaster@%s", settings->hostname);
    ok = ok && address_parse(buf_span(&text), out) == ADDRESS_FINE;
    buf_clear(&text);
    return ok;
}

/* Those of the classes that the postmaster wants copies of, in the arena. */
static size_t choose_copied(const struct notices *n, struct notify_recipient **out_copied)
{
    const struct telling *t = n->telling;
    struct notify_recipient *copied = arena_take(t->txn->arena, (t->count + 1) * sizeof(*copied));
    size_t count = 0;

    for (size_t i = 0; i < t->count; i++)
        if (advice_classes(&t->told[i]) & n->settings->postmaster_copies)
            copied[count++] = t->told[i];
    *out_copied = copied;
    return count;
}

static bool is_same_address(const struct address *a, const struct address *b)
{
    return span_equal_nocase(span_of(a->text), span_of(b->text));
}

static struct error *tell_postmaster(struct notices *n, const struct letter *letter)
{
    struct letter own = *letter;
    struct address postmaster;

    if (letter->count == 0 || !find_postmaster(n->settings, &postmaster) ||
        (letter->to && is_same_address(letter->to, &postmaster)) || /* has it already */
        weigh(n, &n->to_postmaster, span_of(postmaster.text)) == NOTICE_WITHHELD)
        return NULL;
    own.to = &postmaster;
    own.for_postmaster = true;
    struct error *err = put_letter(n, &n->to_postmaster, &own);
    if (!err)
        n->postmaster_copy = n->to_postmaster.id;
    return err;
}

/* A copy of what the sender was told. */
static struct error *copy_to_postmaster(struct notices *n, const struct address *sender,
                                        struct span original)
{
    struct letter letter = { .to = sender, .is_copy = true, .original = original };
    struct notify_recipient *copied;

    letter.count = choose_copied(n, &copied);
    letter.told = copied;
    return tell_postmaster(n, &letter);
}

/* There is no sender.  What was for the postmaster itself ends here: nothing goes in circles. */
static struct error *tell_of_double_bounce(struct notices *n, struct span original)
{
    const struct telling *t = n->telling;
    struct letter letter = { .told = t->told, .count = t->count, .original = original };

    n->untold = UNTOLD_NO_SENDER;
    if (!(n->settings->postmaster_copies & CLASS_DOUBLE_BOUNCE) || t->message->postmaster_copy)
        return NULL;
    return tell_postmaster(n, &letter);
}

/* ---- the sender ----------------------------------------------------------------------------- */

/* For `waxseal trace`. */
static struct error *remember_told(const struct notices *n)
{
    const struct telling *t = n->telling;
    struct error *err = NULL;

    for (size_t i = 0; i < t->count && !err; i++)
        err =
            history_note_notification(t->txn, t->id, t->told[i].record->recipient->number,
                                      n->notification, t->told[i].action, kinds[t->told[i].action]);
    return err;
}

static struct error *tell_sender(struct notices *n, struct span original)
{
    const struct telling *t = n->telling;
    struct address sender;
    struct letter letter = {
        .to = &sender, .told = t->told, .count = t->count, .original = original
    };

    if (address_parse_utf8(span_of_bytes(t->message->envelope->reverse_path->text), &sender) !=
        ADDRESS_FINE) {
        n->untold = UNTOLD_NO_SENDER;
        return NULL;
    }
    if (weigh(n, &n->to_sender, span_of(sender.text)) == NOTICE_WITHHELD) {
        n->untold = UNTOLD_LIMIT;
        t->txn->usage.senders_untold += t->count;
        return NULL;
    }
    struct error *err = put_letter(n, &n->to_sender, &letter);
    if (err)
        return err;
    n->notification = n->to_sender.id;
    err = remember_told(n);
    return err ? err : copy_to_postmaster(n, &sender, original);
}

struct error *notices_put(struct notices *n)
{
    struct telling *t = n->telling;
    struct buf original;

    t->txn->usage.strangers_untold += t->strangers;
    if (t->count == 0)
        return NULL;
    buf_init(&original, NOTIFY_WHOLE_MAX);
    struct error *err = read_original(t, &original);
    if (!err)
        leave_out_delays_nobody_asked_of(t, buf_span(&original));
    if (!err && t->count > 0)
        err = t->audience == AUDIENCE_SENDER ? tell_sender(n, buf_span(&original))
                                             : tell_of_double_bounce(n, buf_span(&original));
    buf_clear(&original);
    return err;
}

/* ---- the log -------------------------------------------------------------------------------- */

static const char *const reasons[] = {
    [TOLD] = "",
    [UNTOLD_NO_SENDER] = "no-sender",
    [UNTOLD_STRANGER] = "stranger",
    [UNTOLD_LIMIT] = "limit",
    [UNTOLD_REPORT] = "tls-report",
};

/* Strangers' mail is many, and its end here is as it should be; so is that of reports. */
static enum log_level level_of(const struct notices *n)
{
    return n->untold == TOLD || n->untold == UNTOLD_STRANGER || n->untold == UNTOLD_REPORT
               ? LOG_INFO
               : LOG_WARNING;
}

static void log_id(struct log_line *line, const char *key, uint64_t id)
{
    char text[QID_TEXT_SIZE];

    qid_format(id, text);
    log_string(line, key, id != 0 ? text : "");
}

void notices_log(const struct notices *n, uint64_t id)
{
    struct log_line line;

    if (n->notification != 0 || n->untold != TOLD) {
        log_begin(&line, level_of(n), "bounce");
        log_qid(&line, id);
        log_id(&line, "notification", n->notification);
        log_string(&line, "kind", kinds[n->action]);
        log_string(&line, "untold", reasons[n->untold]);
        log_end(&line);
    }
    if (n->postmaster_copy == 0)
        return;
    log_begin(&line, LOG_INFO, "postmaster-copy");
    log_qid(&line, id);
    log_id(&line, "notification", n->postmaster_copy);
    log_string(&line, "kind", kinds[n->action]);
    log_end(&line);
}
