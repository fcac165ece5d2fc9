#include "queue/reading.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/network.h"
#include "lib/ipc/channel.h"
#include "queue/candidate_words.h"

struct error *reading_begin(struct reading *r, struct store *store)
{
    r->now_ms = clock_utc_ms();
    arena_init(&r->arena);
    return kv_begin_read(store_kv(store), &r->txn);
}

void reading_end(struct reading *r)
{
    kv_abort(&r->txn);
    arena_clear(&r->arena);
}

void *reading_record(struct reading *r, enum queue_table table, const struct record_key *key,
                     const ProtobufCMessageDescriptor *as)
{
    return store_look_up(r->txn, table, key, as, &r->arena);
}

const Queue__HeldRecord *reading_held(struct reading *r, uint64_t id)
{
    struct record_key key = key_of_id(id);

    return reading_record(r, TABLE_HELD, &key, &queue__held_record__descriptor);
}

bool reading_is_damaged(struct reading *r, uint64_t id, bool is_held)
{
    struct record_key key = key_of_id(id);

    if (!reading_record(r, TABLE_MESSAGE, &key, &queue__message_record__descriptor))
        return true;
    const Queue__HeldRecord *held = is_held ? reading_held(r, id) : NULL;
    return held && held->damaged;
}

/* ---- a message's recipients --------------------------------------------------------------- */

enum {
    LOOKED_AT_MAX = 20000,        /* rows in one walk, those that are passed over included */
    PART_BYTES_MAX = 1024 * 1024, /* in one walk; as JSON five times that, of 16 MiB */
};

/* The next row; behind a note the next recipient's, for each may have many. */
static struct error *next_part(struct kv_cursor *cursor, struct span *key, struct span *value)
{
    struct row_place at;
    uint32_t serial;

    if (!key_read_note(*key, &at.id, &at.number, &serial) || at.number == UINT32_MAX)
        return kv_cursor_next(cursor, key, value);
    struct record_key next = key_of_part(at.id, at.number + 1);
    return kv_cursor_seek(cursor, key_span(&next), key, value);
}

static bool is_full(const struct part_walk *walk)
{
    return walk->count >= walk->most || walk->bytes >= PART_BYTES_MAX;
}

struct error *reading_parts(struct reading *r, enum queue_table table, uint64_t id,
                            struct part_walk *walk, part_fn *each, void *ctx)
{
    struct record_key start = key_of_part(id, 0);
    struct kv_cursor *cursor = NULL;
    struct row_place at;
    struct span key;
    struct span value;

    struct error *err = kv_cursor_open(r->txn, table, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, key_span(&start), &key, &value);
    for (size_t looked_at = 0; !err && !walk->is_cut && key.data; looked_at++) {
        if (!key_read_id(span_first(key, 8), &at.id) || at.id != id)
            break;
        bool is_part = key_read_part(key, &at.id, &at.number);
        walk->is_cut = looked_at == LOOKED_AT_MAX || (is_part && is_full(walk));
        if (is_part && !walk->is_cut) {
            arena_reset(&r->arena);
            walk->count++;
            walk->bytes += value.len;
            err = each(ctx, at, key, value);
        }
        if (!err && !walk->is_cut)
            err = next_part(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return err;
}

struct past {
    struct reading *r;
    struct part_walk walk;
    const Queue__HistoryRecord *record;
};

/* One that is damaged tells nothing, nor one of a message that was; the next may. */
static struct error *take_past(void *ctx, struct row_place at, struct span key, struct span value)
{
    struct past *past = ctx;

    (void)at;
    past->record = record_read(TABLE_HISTORY, key, value, &queue__history_record__descriptor,
                               &past->r->arena.allocator);
    if (past->record && past->record->accepted_utc_ms == 0)
        past->record = NULL;
    if (past->record)
        past->walk.most = 0;
    return NULL;
}

const Queue__HistoryRecord *reading_past(struct reading *r, uint64_t id)
{
    struct past past = { .r = r, .walk = { .most = LOOKED_AT_MAX } };
    struct error *err = reading_parts(r, TABLE_HISTORY, id, &past.walk, take_past, &past);

    error_free(&err);
    return past.record;
}

static void add_how_to_see_them(struct json *object, uint64_t id, const struct part_walk *waiting,
                                const struct part_walk *ended)
{
    char text[QID_TEXT_SIZE];
    char words[160];

    qid_format(id, text);
    snprintf(words, sizeof(words), "%s%s%s%s%s", waiting->is_cut ? "waxseal queue list --id " : "",
             waiting->is_cut ? text : "", waiting->is_cut ? " lists all that wait" : "",
             waiting->is_cut && ended->is_cut ? "; " : "",
             ended->is_cut ? "the log has a delivery line of each that has ended" : "");
    json_add_string(object, "to_see_them", words);
}

/* Those that wait are counted in their message; to count the others, all would have to be read. */
void add_not_shown(struct json *object, uint64_t id, const struct part_walk *waiting,
                   const struct part_walk *ended)
{
    int64_t left = json_number(json_get(object, "waiting")) - (int64_t)waiting->count;

    if (!waiting->is_cut && !ended->is_cut) {
        json_add_number(object, "recipients_not_shown", 0);
        return;
    }
    if (ended->is_cut || left <= 0) /* a damaged message counts none */
        json_add_bool(object, "recipients_not_shown", true);
    else
        json_add_number(object, "recipients_not_shown", left);
    add_how_to_see_them(object, id, waiting, ended);
}

/* ---- members ------------------------------------------------------------------------------ */

void add_time(struct json *object, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (utc_ms == 0) {
        json_add_null(object, key);
        return;
    }
    clock_format_rfc3339(utc_ms, text);
    json_add_string(object, key, text);
}

void add_id(struct json *object, const char *key, uint64_t id)
{
    char text[QID_TEXT_SIZE];

    qid_format(id, text);
    json_add_string(object, key, text);
}

void add_bytes(struct json *object, const char *key, ProtobufCBinaryData bytes)
{
    json_add_text(object, key, span_of_bytes(bytes));
}

void add_address(struct json *object, const char *key, ProtobufCBinaryData bytes)
{
    struct ip_address address = { .family = bytes.len == 4 ? ADDRESS_V4 : ADDRESS_V6 };
    char text[NETWORK_TEXT_SIZE] = "";

    if (bytes.len == 4 || bytes.len == 16) {
        memcpy(address.bytes, bytes.data, bytes.len);
        ip_address_format(&address, text);
    }
    json_add_string(object, key, text);
}

void add_operator(struct json *object, const char *key, uint32_t by)
{
    if (by == 0)
        json_add_null(object, key);
    else
        json_add_number(object, key, (int64_t)by - 1);
}

static void add_if_known(struct json *object, const char *key, ProtobufCBinaryData bytes)
{
    if (bytes.len > 0)
        add_bytes(object, key, bytes);
}

static void add_certificate(struct json *object, const Ipc__Candidate *candidate)
{
    char room[CANDIDATE_WORDS_SIZE];

    json_add_text(object, "certificate", candidate_certificate(candidate, room));
    add_if_known(object, "certificate_subject", candidate->certificate_subject);
    add_if_known(object, "certificate_names", candidate->certificate_names);
    add_if_known(object, "certificate_issuer", candidate->certificate_issuer);
    if (candidate->certificate_expires_utc_ms > 0)
        add_time(object, "certificate_expires", candidate->certificate_expires_utc_ms);
    add_if_known(object, "key_sha256", candidate->key_sha256);
    add_if_known(object, "verify_result", candidate->verify_result);
}

static void add_candidate(struct json *array, const Ipc__Candidate *candidate)
{
    struct json *object = json_append_object(array);

    add_bytes(object, "mx", candidate->mx);
    add_bytes(object, "address", candidate->address);
    add_bytes(object, "verdict", candidate->verdict);
    add_bytes(object, "tls", candidate->tls);
    add_bytes(object, "tls_version", candidate->tls_version);
    add_bytes(object, "cipher", candidate->cipher);
    add_if_known(object, "group", candidate->group);
    add_certificate(object, candidate);
    if (candidate->resumed)
        json_add_bool(object, "resumed", true);
    add_if_known(object, "level_wanted", candidate->level_wanted);
    add_if_known(object, "level", candidate->level);
    add_if_known(object, "tlsa_base", candidate->tlsa_base);
    add_if_known(object, "tlsa", candidate->tlsa);
    add_if_known(object, "tlsa_record", candidate->tlsa_record);
    add_if_known(object, "auth", candidate->auth);
    add_if_known(object, "next_hop", candidate->next_hop);
    add_bytes(object, "reply", candidate->reply);
}

static void add_relief(struct json *object, const Ipc__Decision *decision)
{
    if (decision->relief.len == 0)
        return;
    add_bytes(object, "relief", decision->relief);
    add_if_known(object, "relief_domain", decision->relief_domain);
    add_if_known(object, "relief_reason", decision->relief_reason);
    json_add_bool(object, "relief_needed", decision->relief_needed);
}

void add_decision(struct json *object, const Ipc__Decision *decision)
{
    if (!decision) {
        json_add_null(object, "decision");
        return;
    }
    struct json *shown = json_add_object(object, "decision");
    add_time(shown, "at", decision->at_utc_ms);
    json_add_number(shown, "took_ms", decision->took_ms);
    if (decision->route.len > 0)
        add_bytes(shown, "route", decision->route);
    add_bytes(shown, "policy", decision->policy);
    add_bytes(shown, "policy_id", decision->policy_id);
    if (decision->policy_expires_utc_ms > 0)
        add_time(shown, "policy_expires", decision->policy_expires_utc_ms);
    if (decision->policy_trouble.len > 0)
        add_bytes(shown, "policy_trouble", decision->policy_trouble);
    add_if_known(shown, "signed_by", decision->signed_by);
    add_if_known(shown, "unsigned_because", decision->unsigned_because);
    add_relief(shown, decision);
    struct json *candidates = json_add_array(shown, "candidates");
    for (size_t i = 0; i < decision->n_candidates; i++)
        add_candidate(candidates, decision->candidates[i]);
}
