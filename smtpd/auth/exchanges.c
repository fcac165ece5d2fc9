#include "smtpd/auth/exchanges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "smtpd/auth/blocks.h"
#include "smtpd/auth/hashing.h"
#include "smtpd/auth/sasl.h"

enum { EXCHANGES_MAX = 16384, NONCE_BYTES = 18 }; /* of one smtpd process at a time */

struct exchanges {
    struct loop *loop;
    struct users *users; /* NULL: nobody may log in */
    struct hashing *hashing;
    struct blocks *blocks;
    unsigned char secret[CRYPTO_SHA256_SIZE]; /* makes salts for users that do not exist */
    struct list smtpds;
};

struct smtpd_peer {
    struct list in_exchanges;
    struct exchanges *exchanges;
    struct channel *channel;
    struct map *by_id;
    struct list all;
};

struct exchange {
    struct list in_peer;
    struct smtpd_peer *peer;
    uint64_t id;
    char client[NETWORK_TEXT_SIZE];
    struct sasl *sasl;
    struct hashing_task *task; /* a password is being compared */
    bool is_real;              /* with SCRAM and passwords: the user exists */
};

static void exchange_free(struct exchange *exchange)
{
    map_remove_number(exchange->peer->by_id, exchange->id);
    list_remove(&exchange->in_peer);
    hashing_cancel(&exchange->task);
    sasl_free(&exchange->sasl);
    free(exchange);
}

/* --- answers */

static void say(const struct exchange *exchange, Ipc__AuthVerdict verdict)
{
    Ipc__AuthAnswer answer = IPC__AUTH_ANSWER__INIT;

    answer.id = exchange->id;
    answer.verdict = verdict;
    if (verdict == IPC__AUTH_VERDICT__CHALLENGE)
        answer.challenge = bytes_of_span(sasl_challenge(exchange->sasl));
    else
        answer.user = bytes_of_span(span_of(sasl_user(exchange->sasl)));
    channel_send(exchange->peer->channel, FRAME_AUTH_ANSWER, &answer.base,
                 (struct span){ NULL, 0 });
}

static void finish(struct exchange *exchange, Ipc__AuthVerdict verdict)
{
    struct exchanges *e = exchange->peer->exchanges;
    struct span client = span_of(exchange->client);
    struct span user = span_of(sasl_user(exchange->sasl));

    if (verdict == IPC__AUTH_VERDICT__YES)
        blocks_succeeded(e->blocks, client, user);
    else if (verdict == IPC__AUTH_VERDICT__NO)
        blocks_failed(e->blocks, client, user, loop_now(e->loop));
    say(exchange, verdict);
    exchange_free(exchange);
}

static const struct user *user_of(const struct exchange *exchange)
{
    const struct exchanges *e = exchange->peer->exchanges;

    return e->users ? users_find(e->users, span_of(sasl_user(exchange->sasl))) : NULL;
}

static struct span span_of_digest(const unsigned char digest[CRYPTO_SHA256_SIZE])
{
    return (struct span){ (const char *)digest, CRYPTO_SHA256_SIZE };
}

static bool is_blocked(const struct exchange *exchange)
{
    const struct exchanges *e = exchange->peer->exchanges;

    return blocks_is_blocked(e->blocks, span_of(exchange->client),
                             span_of(sasl_user(exchange->sasl)), loop_now(e->loop));
}

/* --- passwords */

static void on_compared(void *ctx, bool fits)
{
    struct exchange *exchange = ctx;

    exchange->task = NULL;
    finish(exchange, fits && exchange->is_real ? IPC__AUTH_VERDICT__YES : IPC__AUTH_VERDICT__NO);
}

/*
 * What of a real user is shown for a name that nobody has: always the same one's, so that neither
 * the time of a comparison nor what SCRAM tells of its keys says that it is made up.
 */
static const struct user *stand_in(const struct exchanges *e, struct span name,
                                   unsigned char digest[CRYPTO_SHA256_SIZE])
{
    uint64_t number;

    crypto_hmac_sha256(span_of_digest(e->secret), name, digest);
    if (!e->users || users_count(e->users) == 0)
        return NULL;
    memcpy(&number, digest, sizeof(number));
    return users_at(e->users, number % users_count(e->users));
}

/* One who does not exist is compared, too, with the hash of another. */
static void compare(struct exchange *exchange)
{
    struct exchanges *e = exchange->peer->exchanges;
    const struct user *user = user_of(exchange);
    unsigned char digest[CRYPTO_SHA256_SIZE];

    if (is_blocked(exchange)) {
        finish(exchange, IPC__AUTH_VERDICT__BLOCKED);
        return;
    }
    exchange->is_real = user != NULL;
    if (!user)
        user = stand_in(e, span_of(sasl_user(exchange->sasl)), digest);
    if (!user) {
        finish(exchange, IPC__AUTH_VERDICT__NO);
        return;
    }
    exchange->task =
        hashing_start(e->hashing, user->hash, sasl_password(exchange->sasl), on_compared, exchange);
    if (!exchange->task)
        finish(exchange, IPC__AUTH_VERDICT__TROUBLE);
}

/* --- SCRAM */

/* Keys for one who does not exist: iterations and salt like another's, the same each time; no proof
 * fits. */
static struct scram_keys made_up_keys(const struct exchanges *e, struct span name)
{
    struct scram_keys keys = { .iterations = SCRAM_ITERATIONS, .salt_len = SCRAM_SALT_SIZE };
    unsigned char digest[CRYPTO_SHA256_SIZE], salt[2][CRYPTO_SHA256_SIZE];
    const struct user *other = stand_in(e, name, digest);

    if (other && other->has_keys) {
        keys.iterations = other->keys.iterations;
        keys.salt_len = other->keys.salt_len;
    }
    crypto_hmac_sha256(span_of_digest(digest), SPAN("salt"), salt[0]);
    crypto_hmac_sha256(span_of_digest(digest), SPAN("more salt"), salt[1]);
    memcpy(keys.salt, salt, keys.salt_len);
    random_bytes(keys.stored, sizeof(keys.stored));
    return keys;
}
_Static_assert((int)SCRAM_SALT_MAX <= 2 * (int)CRYPTO_SHA256_SIZE, "two digests make any salt");

static enum sasl_result give_keys(struct exchange *exchange)
{
    const struct exchanges *e = exchange->peer->exchanges;
    const struct user *user = user_of(exchange);
    struct scram_keys keys =
        user && user->has_keys ? user->keys : made_up_keys(e, span_of(sasl_user(exchange->sasl)));
    char bytes[NONCE_BYTES];
    struct buf nonce;
    enum sasl_result result;

    exchange->is_real = user && user->has_keys;
    random_bytes(bytes, sizeof(bytes));
    buf_init(&nonce, BASE64_SIZE(NONCE_BYTES));
    ensure(base64_encode((struct span){ bytes, sizeof(bytes) }, &nonce));
    result = sasl_give_keys(exchange->sasl, &keys, buf_span(&nonce));
    buf_clear(&nonce);
    crypto_cleanse(&keys, sizeof(keys));
    return result;
}

/* --- steps */

/* Acts on what a step came to; the exchange may be gone behind it. */
static void follow(struct exchange *exchange, enum sasl_result result)
{
    if (result == SASL_KEYS && is_blocked(exchange)) {
        finish(exchange, IPC__AUTH_VERDICT__BLOCKED);
        return;
    }
    if (result == SASL_KEYS)
        result = give_keys(exchange);
    switch (result) {
    case SASL_CHALLENGE:
        say(exchange, IPC__AUTH_VERDICT__CHALLENGE);
        break;
    case SASL_PASSWORD:
        compare(exchange);
        break;
    case SASL_PROVEN:
        finish(exchange, exchange->is_real ? IPC__AUTH_VERDICT__YES : IPC__AUTH_VERDICT__NO);
        break;
    case SASL_REFUSED:
        finish(exchange, is_blocked(exchange) ? IPC__AUTH_VERDICT__BLOCKED : IPC__AUTH_VERDICT__NO);
        break;
    case SASL_KEYS:
    case SASL_MALFORMED:
        finish(exchange, IPC__AUTH_VERDICT__MALFORMED);
        break;
    }
}

static size_t copy_binding(unsigned char room[SCRAM_BINDING_MAX], struct span binding)
{
    if (binding.len == 0 || binding.len > SCRAM_BINDING_MAX)
        return 0;
    memcpy(room, binding.data, binding.len);
    return binding.len;
}

/* So many clients may have begun and not gone on: the next ones are asked to come again. */
static void say_no_room(const struct smtpd_peer *peer, uint64_t id)
{
    Ipc__AuthAnswer answer = IPC__AUTH_ANSWER__INIT;

    answer.id = id;
    answer.verdict = IPC__AUTH_VERDICT__TROUBLE;
    channel_send(peer->channel, FRAME_AUTH_ANSWER, &answer.base, (struct span){ NULL, 0 });
}

static bool begin(struct smtpd_peer *peer, const Ipc__AuthBegin *m)
{
    struct scram_bindings bindings = { .exporter_len = 0 };
    struct span response = span_of_bytes(m->response);
    struct exchange *exchange;

    if (map_get_number(peer->by_id, m->id) || (unsigned)m->mechanism >= AUTH_MECHANISM_COUNT)
        return false;
    if (map_count(peer->by_id) >= EXCHANGES_MAX) {
        say_no_room(peer, m->id);
        return true;
    }
    bindings.exporter_len = copy_binding(bindings.exporter, span_of_bytes(m->exporter));
    bindings.end_point_len = copy_binding(bindings.end_point, span_of_bytes(m->end_point));
    exchange = memory_new(sizeof(*exchange));
    exchange->peer = peer;
    exchange->id = m->id;
    (void)span_to_string(span_of_bytes(m->client), exchange->client, sizeof(exchange->client));
    exchange->sasl = sasl_new((enum auth_mechanism)m->mechanism, &bindings);
    map_put_number(peer->by_id, m->id, exchange);
    list_append(&peer->all, &exchange->in_peer);
    follow(exchange, sasl_begin(exchange->sasl, m->has_response ? &response : NULL));
    return true;
}

/* One that has ended here meanwhile is none of the peer's faults. */
static bool step(const struct smtpd_peer *peer, const Ipc__AuthStep *m)
{
    struct exchange *exchange = map_get_number(peer->by_id, m->id);

    if (exchange && exchange->task)
        return false;
    if (exchange)
        follow(exchange, sasl_respond(exchange->sasl, span_of_bytes(m->response)));
    return true;
}

static bool cancel(const struct smtpd_peer *peer, const Ipc__AuthCancel *m)
{
    struct exchange *exchange = map_get_number(peer->by_id, m->id);

    if (exchange)
        exchange_free(exchange);
    return true;
}

/* --- channels */

/* Forgets what may hold a password before it is freed. */
static void wipe(ProtobufCBinaryData bytes)
{
    if (bytes.len > 0)
        crypto_cleanse(bytes.data, bytes.len);
}

static bool take_begin(struct smtpd_peer *peer, const struct channel_frame *frame)
{
    Ipc__AuthBegin *m = channel_decode(frame, &ipc__auth_begin__descriptor);
    bool fine = m && begin(peer, m);

    if (m) {
        wipe(m->response);
        ipc__auth_begin__free_unpacked(m, NULL);
    }
    return fine;
}

static bool take_step(const struct smtpd_peer *peer, const struct channel_frame *frame)
{
    Ipc__AuthStep *m = channel_decode(frame, &ipc__auth_step__descriptor);
    bool fine = m && step(peer, m);

    if (m) {
        wipe(m->response);
        ipc__auth_step__free_unpacked(m, NULL);
    }
    return fine;
}

static bool take_cancel(const struct smtpd_peer *peer, const struct channel_frame *frame)
{
    Ipc__AuthCancel *m = channel_decode(frame, &ipc__auth_cancel__descriptor);
    bool fine = m && cancel(peer, m);

    if (m)
        ipc__auth_cancel__free_unpacked(m, NULL);
    return fine;
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct smtpd_peer *peer = ctx;
    bool fine = false;

    if (frame->type == FRAME_AUTH_BEGIN)
        fine = take_begin(peer, frame);
    else if (frame->type == FRAME_AUTH_STEP)
        fine = take_step(peer, frame);
    else if (frame->type == FRAME_AUTH_CANCEL)
        fine = take_cancel(peer, frame);
    if (!fine)
        channel_refuse(peer->channel, "what an smtpd says of a login makes no sense");
}

static void peer_free(struct smtpd_peer *peer)
{
    while (!list_empty(&peer->all))
        exchange_free(LIST_FIRST(&peer->all, struct exchange, in_peer));
    map_free(&peer->by_id);
    channel_free(&peer->channel);
    list_remove(&peer->in_exchanges);
    free(peer);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    peer_free(ctx);
}

static const struct channel_events channel_events = { on_frame, on_closed };

/* SCRAM is offered when all can use it: clients prefer it, and would fail without keys. */
static void send_state(const struct smtpd_peer *peer)
{
    const struct users *users = peer->exchanges->users;
    Ipc__AuthState state = IPC__AUTH_STATE__INIT;

    if (users && users_count(users) > 0)
        state.mechanisms |= 1U << AUTH_PLAIN | 1U << AUTH_LOGIN;
    if (users && users_all_have_keys(users))
        state.mechanisms |= 1U << AUTH_SCRAM_SHA_256 | 1U << AUTH_SCRAM_SHA_256_PLUS;
    channel_send(peer->channel, FRAME_AUTH_STATE, &state.base, (struct span){ NULL, 0 });
}

void exchanges_attach(struct exchanges *exchanges, int fd)
{
    struct smtpd_peer *peer = memory_new(sizeof(*peer));

    peer->exchanges = exchanges;
    peer->by_id = map_new();
    list_init(&peer->all);
    list_append(&exchanges->smtpds, &peer->in_exchanges);
    peer->channel = channel_open(exchanges->loop, fd, &channel_events, peer);
    send_state(peer);
}

void exchanges_use(struct exchanges *exchanges, struct users **users)
{
    const struct smtpd_peer *peer;

    users_free(&exchanges->users);
    exchanges->users = *users;
    *users = NULL;
    if (exchanges->users && users_count(exchanges->users) > 0) /* made-up salts outlive a restart */
        crypto_sha256(span_of(users_at(exchanges->users, 0)->hash), exchanges->secret);
    LIST_EACH(peer, &exchanges->smtpds, const struct smtpd_peer, in_exchanges)
    {
        send_state(peer);
    }
}

struct exchanges *exchanges_new(struct loop *loop)
{
    struct exchanges *exchanges = memory_new(sizeof(*exchanges));

    exchanges->loop = loop;
    exchanges->hashing = hashing_new(loop);
    exchanges->blocks = blocks_new();
    random_bytes(exchanges->secret, sizeof(exchanges->secret));
    list_init(&exchanges->smtpds);
    return exchanges;
}

void exchanges_free(struct exchanges **exchanges)
{
    struct exchanges *e = *exchanges;

    if (!e)
        return;
    while (!list_empty(&e->smtpds))
        peer_free(LIST_FIRST(&e->smtpds, struct smtpd_peer, in_exchanges));
    hashing_free(&e->hashing);
    blocks_free(&e->blocks);
    users_free(&e->users);
    free(e);
    *exchanges = NULL;
}
