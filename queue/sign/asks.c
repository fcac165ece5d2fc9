#include "queue/sign/asks.h"

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/sign.pb-c.h"
#include "lib/mail/dkim_signature.h"
#include "queue/sign/author.h"
#include "queue/sign/choice.h"
#include "queue/sign/signers.h"

#include <stdlib.h>
#include <string.h>

struct asks {
    struct loop *loop;
    struct keys *keys;
    int64_t wait_ms;
    struct signers *signers;
    struct list peers;
    struct list open; /* asks that wait for signers, the eldest first */
    size_t open_count;
    size_t open_bytes;
    struct loop_timer *deadline; /* of the eldest */
    struct asks_counts counts;
};

struct queue_peer {
    struct list others;
    struct asks *asks;
    struct channel *channel;
};

/* One signature of a message. */
struct part {
    struct ask *ask;
    const struct keys_entry *entry;
    struct signers_task *task; /* NULL: not with the signers */
    struct buf field;          /* opened, then finished */
};

struct ask {
    struct list others;
    struct queue_peer *peer;
    uint64_t id;
    struct keys *keys; /* held */
    struct part parts[SIGN_KEYS_MAX];
    unsigned part_count;
    unsigned waiting; /* parts with the signers */
    size_t bytes;     /* held for them */
    int64_t due_ms;
};

/* --- answers --------------------------------------------------------------------------------- */

static void count(struct asks *asks, Ipc__SignVerdict verdict, const char *reason)
{
    struct asks_counts *c = &asks->counts;

    c->signed_messages += verdict == IPC__SIGN_VERDICT__SIGNED;
    c->signed_already += verdict == IPC__SIGN_VERDICT__SIGNED_ALREADY;
    c->without_key += verdict == IPC__SIGN_VERDICT__NO_KEY;
    c->unsignable += verdict == IPC__SIGN_VERDICT__UNSIGNABLE;
    if (verdict != IPC__SIGN_VERDICT__SIGN_TROUBLE)
        return;
    c->trouble++;
    c->last_trouble_utc_ms = clock_utc_ms();
    (void)span_to_string(span_first(span_of(reason), sizeof(c->last_trouble) - 1), c->last_trouble,
                         sizeof(c->last_trouble));
}

static void answer(const struct queue_peer *peer, uint64_t id, Ipc__SignVerdict verdict,
                   struct span fields, const char *reason)
{
    Ipc__SignAnswer message = IPC__SIGN_ANSWER__INIT;

    message.id = id;
    message.verdict = verdict;
    message.fields = bytes_of_span(fields);
    message.reason = bytes_of_span(span_of(reason));
    channel_send(peer->channel, FRAME_SIGN_ANSWER, &message.base, SPAN(""));
    count(peer->asks, verdict, reason);
}

/* --- asks ------------------------------------------------------------------------------------ */

static struct ask *ask_new(struct queue_peer *peer, uint64_t id)
{
    struct ask *ask = memory_new(sizeof(*ask));

    list_init(&ask->others);
    ask->peer = peer;
    ask->id = id;
    ask->keys = keys_hold(peer->asks->keys);
    return ask;
}

static void watch_eldest(struct asks *asks)
{
    if (list_empty(&asks->open))
        loop_timer_cancel(asks->deadline);
    else if (!loop_timer_running(asks->deadline))
        loop_timer_start(asks->deadline, LIST_FIRST(&asks->open, struct ask, others)->due_ms -
                                             loop_now(asks->loop));
}

static void ask_free(struct ask *ask)
{
    struct asks *asks = ask->peer->asks;

    for (unsigned i = 0; i < ask->part_count; i++) {
        signers_cancel(asks->signers, &ask->parts[i].task);
        buf_clear(&ask->parts[i].field);
    }
    if (ask->bytes > 0) {
        asks->open_count--;
        asks->open_bytes -= ask->bytes;
    }
    list_remove(&ask->others);
    keys_release(&ask->keys);
    free(ask);
}

static void ask_end(struct ask *ask, Ipc__SignVerdict verdict, struct span fields,
                    const char *reason)
{
    answer(ask->peer, ask->id, verdict, fields, reason);
    ask_free(ask);
}

static void log_trouble(const struct keys_entry *entry, struct error *err)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "signing-failed");
    log_string(&line, "key", entry->settings->key);
    log_error(&line, err);
    log_end(&line);
    error_free(&err);
}

static void ask_fail(struct ask *ask, const struct keys_entry *entry, struct error *err)
{
    log_trouble(entry, err);
    ask_end(ask, IPC__SIGN_VERDICT__SIGN_TROUBLE, SPAN(""), "a key of its domain does not sign");
}

/* All parts are finished.  Fields that are more than the queue takes are left out, the last first.
 */
static void ask_succeed(struct ask *ask)
{
    struct buf fields;

    buf_init(&fields, SIGN_FIELDS_MAX);
    for (unsigned i = 0; i < ask->part_count; i++)
        if (!buf_append(&fields, buf_span(&ask->parts[i].field)))
            break;
    if (buf_len(&fields) > 0)
        ask_end(ask, IPC__SIGN_VERDICT__SIGNED, buf_span(&fields), "");
    else
        ask_end(ask, IPC__SIGN_VERDICT__UNSIGNABLE, SPAN(""), "its header has too many fields");
    buf_clear(&fields);
}

static bool part_close(struct part *part, struct span signature)
{
    struct buf finished;

    buf_init(&finished, DKIM_FIELD_MAX);
    if (!dkim_signature_close(buf_span(&part->field), signature, &finished)) {
        buf_clear(&finished);
        return false;
    }
    buf_clear(&part->field);
    part->field = finished;
    return true;
}

/* --- RSA, in threads ------------------------------------------------------------------------- */

static void on_signature(void *ctx, struct span signature, const struct error *err)
{
    struct part *part = ctx;
    struct ask *ask = part->ask;
    struct asks *asks = ask->peer->asks;

    part->task = NULL;
    ask->waiting--;
    if (err)
        ask_fail(ask, part->entry, error_new(ERROR_LOCAL, "%s", error_text(err)));
    else if (!part_close(part, signature))
        ask_fail(ask, part->entry, error_new(ERROR_LOCAL, "the field is too long"));
    else if (ask->waiting == 0)
        ask_succeed(ask);
    watch_eldest(asks);
}

static void on_deadline(void *ctx)
{
    struct asks *asks = ctx;
    struct ask *ask;

    LIST_EACH(ask, &asks->open, struct ask, others)
    {
        if (ask->due_ms > loop_now(asks->loop))
            break;
        ask_end(ask, IPC__SIGN_VERDICT__SIGN_TROUBLE, SPAN(""),
                "there is more to sign than the machine can");
    }
    watch_eldest(asks);
}

static bool have_room(const struct asks *asks)
{
    return asks->open_count < SIGN_OPEN_MAX && asks->open_bytes < SIGN_OPEN_BYTES_MAX;
}

static void part_hand_over(struct part *part, struct buf *input)
{
    struct ask *ask = part->ask;
    struct asks *asks = ask->peer->asks;

    if (ask->bytes == 0)
        asks->open_count++;
    ask->bytes += buf_len(input);
    asks->open_bytes += buf_len(input);
    ask->waiting++;
    part->task =
        signers_start(asks->signers, ask->keys, part->entry->key, input, on_signature, part);
}

/* --- parts ----------------------------------------------------------------------------------- */

static enum dkim_canon canon_of(bool is_relaxed)
{
    return is_relaxed ? DKIM_RELAXED : DKIM_SIMPLE;
}

static const char *part_open(struct part *part, const struct choice_facts *facts)
{
    const struct choice_body body = choice_body(part->entry, facts);
    const struct dkim_settings *s = part->entry->settings;
    int64_t now_s = clock_utc_ms() / SECOND_MS;
    const struct dkim_signing signing = {
        .algorithm = signing_key_algorithm(part->entry->key),
        .header = canon_of(dkim_settings_header_is_relaxed(s)),
        .body = canon_of(body.is_relaxed),
        .domain = choice_domain(part->entry, facts),
        .selector = span_of(s->selector),
        .signed_utc_s = now_s,
        .expires_utc_s = now_s + keys_lifetime_s(part->ask->keys),
        .body_sha256 = body.sha256,
    };

    return dkim_signature_open(&signing, facts->header, &part->field);
}

/* Signs the opened field, or has it signed. */
static struct error *part_sign(struct part *part, struct buf *input)
{
    unsigned char signature[DKIM_SIGNATURE_MAX];
    struct error *err;
    size_t len = 0;

    if (signing_key_algorithm(part->entry->key) != DKIM_ED25519_SHA256) {
        part_hand_over(part, input);
        return NULL;
    }
    err = signing_key_sign(part->entry->key, buf_span(input), signature, &len);
    if (!err && !part_close(part, (struct span){ (const char *)signature, len }))
        err = error_new(ERROR_LOCAL, "the field is too long");
    return err;
}

/* Gives false when the ask has been answered. */
static bool part_begin(struct ask *ask, const struct keys_entry *entry,
                       const struct choice_facts *facts)
{
    struct part *part = &ask->parts[ask->part_count++];
    struct error *err = NULL;
    const char *fault;
    struct buf input;

    part->ask = ask;
    part->entry = entry;
    buf_init(&part->field, DKIM_FIELD_MAX);
    fault = part_open(part, facts);
    if (fault) {
        ask_end(ask, IPC__SIGN_VERDICT__UNSIGNABLE, SPAN(""), fault);
        return false;
    }
    buf_init(&input, DKIM_INPUT_MAX);
    if (dkim_signature_input(facts->header, buf_span(&part->field),
                             canon_of(dkim_settings_header_is_relaxed(entry->settings)), &input))
        err = part_sign(part, &input);
    else
        err = error_new(ERROR_LOCAL, "the header is beyond a bound");
    buf_clear(&input);
    if (err)
        ask_fail(ask, entry, err);
    return !err;
}

/* --- from ask to answer ---------------------------------------------------------------------- */

/* Why nothing is to be signed. */
static void answer_choice(const struct queue_peer *peer, uint64_t id, const struct choice *choice)
{
    if (choice->is_away)
        answer(peer, id, IPC__SIGN_VERDICT__SIGN_TROUBLE, SPAN(""),
               "a key of its domain cannot be used; waxseal check says why");
    else if (choice->is_signed_already)
        answer(peer, id, IPC__SIGN_VERDICT__SIGNED_ALREADY, SPAN(""),
               "it came with a signature of that domain");
    else if (choice->fault)
        answer(peer, id, IPC__SIGN_VERDICT__UNSIGNABLE, SPAN(""), choice->fault);
    else
        answer(peer, id, IPC__SIGN_VERDICT__NO_KEY, SPAN(""), "no entry of dkim is for its author");
}

static void sign_by_all(struct queue_peer *peer, uint64_t id, const struct choice *choice,
                        const struct choice_facts *facts)
{
    struct asks *asks = peer->asks;
    struct ask *ask = ask_new(peer, id);

    for (unsigned i = 0; i < choice->count; i++)
        if (!part_begin(ask, choice->entries[i], facts))
            return;
    if (ask->waiting == 0) {
        ask_succeed(ask);
        return;
    }
    ask->due_ms = loop_now(asks->loop) + asks->wait_ms;
    list_append(&asks->open, &ask->others);
    watch_eldest(asks);
}

static void serve(struct queue_peer *peer, uint64_t id, struct choice_facts *facts)
{
    struct choice choice;
    char author[DOMAIN_MAX + 1];
    const char *fault = author_domain(facts->header, author);

    if (fault) {
        answer(peer, id, IPC__SIGN_VERDICT__UNSIGNABLE, SPAN(""), fault);
        return;
    }
    facts->author = span_of(author);
    choice_make(peer->asks->keys, facts, &choice);
    if (choice.count == 0)
        answer_choice(peer, id, &choice);
    else if (!have_room(peer->asks))
        answer(peer, id, IPC__SIGN_VERDICT__SIGN_TROUBLE, SPAN(""), "too much waits to be signed");
    else
        sign_by_all(peer, id, &choice, facts);
}

/* --- channels -------------------------------------------------------------------------------- */

static bool is_hash(struct span bytes)
{
    return bytes.len == 0 || bytes.len == DKIM_SHA256_SIZE;
}

/* A header block stands in the message or behind it. */
static bool is_in_order(const Ipc__SignAsk *m, struct span body)
{
    size_t len = m->header.len + body.len;

    return is_hash(span_of_bytes(m->body_sha256_relaxed)) &&
           is_hash(span_of_bytes(m->body_sha256_simple)) && (m->header.len == 0 || body.len == 0) &&
           len <= SIGN_HEADER_MAX;
}

static bool take_ask(struct queue_peer *peer, const struct channel_frame *frame)
{
    Ipc__SignAsk *m = channel_decode(frame, &ipc__sign_ask__descriptor);
    bool fine = m && is_in_order(m, frame->body);

    if (fine) {
        struct choice_facts facts = {
            .header = m->header.len > 0 ? span_of_bytes(m->header) : frame->body,
            .relaxed = span_of_bytes(m->body_sha256_relaxed),
            .simple = span_of_bytes(m->body_sha256_simple),
        };
        serve(peer, m->id, &facts);
    }
    if (m)
        ipc__sign_ask__free_unpacked(m, NULL);
    return fine;
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct queue_peer *peer = ctx;

    if (frame->type != FRAME_SIGN_ASK || !take_ask(peer, frame))
        channel_refuse(peer->channel, "what the queue wants signed does not decode");
}

static void peer_free(struct queue_peer *peer)
{
    struct asks *asks = peer->asks;
    struct ask *ask;

    LIST_EACH(ask, &asks->open, struct ask, others)
    {
        if (ask->peer == peer)
            ask_free(ask);
    }
    watch_eldest(asks);
    list_remove(&peer->others);
    channel_free(&peer->channel);
    free(peer);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    peer_free(ctx);
}

static const struct channel_events channel_events = { on_frame, on_closed };

void asks_attach(struct asks *asks, int fd)
{
    struct queue_peer *peer = memory_new(sizeof(*peer));

    peer->asks = asks;
    list_append(&asks->peers, &peer->others);
    peer->channel = channel_open(asks->loop, fd, &channel_events, peer);
}

/* --- the whole ------------------------------------------------------------------------------- */

struct asks *asks_new(struct loop *loop, struct keys *keys, int64_t wait_ms)
{
    struct asks *asks = memory_new(sizeof(*asks));

    asks->loop = loop;
    asks->keys = keys_hold(keys);
    asks->wait_ms = wait_ms;
    asks->signers = signers_new(loop);
    asks->deadline = loop_timer_new(loop, on_deadline, asks);
    list_init(&asks->peers);
    list_init(&asks->open);
    return asks;
}

void asks_free(struct asks **asks)
{
    struct asks *a = *asks;

    if (!a)
        return;
    while (!list_empty(&a->peers))
        peer_free(LIST_FIRST(&a->peers, struct queue_peer, others));
    signers_free(&a->signers);
    loop_timer_free(&a->deadline);
    keys_release(&a->keys);
    free(a);
    *asks = NULL;
}

void asks_use(struct asks *asks, struct keys *keys)
{
    keys_hold(keys);
    keys_release(&asks->keys);
    asks->keys = keys;
}

const struct asks_counts *asks_counts(const struct asks *asks)
{
    return &asks->counts;
}
