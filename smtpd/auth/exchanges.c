#include "smtpd/auth/exchanges_private.h"

#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/base/random.h"

enum { EXCHANGES_MAX = 16384 }; /* of one smtpd process at a time */

static void exchange_free(struct exchange *exchange)
{
    map_remove_number(exchange->peer->by_id, exchange->id);
    list_remove(&exchange->in_peer);
    hashing_cancel(&exchange->task);
    sasl_free(&exchange->sasl);
    dovecot_cancel(&exchange->request);
    free(exchange);
}

const char *exchange_user(const struct exchange *exchange)
{
    return exchange->sasl ? sasl_user(exchange->sasl) : exchange->user;
}

bool exchange_is_blocked(const struct exchange *exchange)
{
    const struct exchanges *e = exchange->peer->exchanges;

    return blocks_is_blocked(e->blocks, span_of(exchange->client), span_of(exchange_user(exchange)),
                             loop_now(e->loop));
}

/* --- answers */

void exchange_challenge(const struct exchange *exchange, struct span challenge)
{
    Ipc__AuthAnswer answer = IPC__AUTH_ANSWER__INIT;

    answer.id = exchange->id;
    answer.verdict = IPC__AUTH_VERDICT__CHALLENGE;
    answer.challenge = bytes_of_span(challenge);
    channel_send(exchange->peer->channel, FRAME_AUTH_ANSWER, &answer.base,
                 (struct span){ NULL, 0 });
}

static void say_end(const struct smtpd_peer *peer, uint64_t id, Ipc__AuthVerdict verdict,
                    const char *user)
{
    Ipc__AuthAnswer answer = IPC__AUTH_ANSWER__INIT;

    answer.id = id;
    answer.verdict = verdict;
    answer.user = bytes_of_span(span_of(user));
    channel_send(peer->channel, FRAME_AUTH_ANSWER, &answer.base, (struct span){ NULL, 0 });
}

void exchange_finish(struct exchange *exchange, Ipc__AuthVerdict verdict)
{
    struct exchanges *e = exchange->peer->exchanges;
    struct span client = span_of(exchange->client);
    struct span user = span_of(exchange_user(exchange));

    if (verdict == IPC__AUTH_VERDICT__YES)
        blocks_succeeded(e->blocks, client, user);
    else if (verdict == IPC__AUTH_VERDICT__NO)
        blocks_failed(e->blocks, client, user, loop_now(e->loop));
    say_end(exchange->peer, exchange->id, verdict, user.data);
    exchange_free(exchange);
}

/* --- steps */

static bool begin(struct smtpd_peer *peer, const Ipc__AuthBegin *m)
{
    struct exchange *exchange;

    if (map_get_number(peer->by_id, m->id) || (unsigned)m->mechanism >= AUTH_EXTERNAL)
        return false;
    /* So many clients may have begun and not gone on: the next ones are asked to come again. */
    if (map_count(peer->by_id) >= EXCHANGES_MAX) {
        say_end(peer, m->id, IPC__AUTH_VERDICT__TROUBLE, "");
        return true;
    }
    exchange = memory_new(sizeof(*exchange));
    exchange->peer = peer;
    exchange->id = m->id;
    (void)span_to_string(span_of_bytes(m->client), exchange->client, sizeof(exchange->client));
    map_put_number(peer->by_id, m->id, exchange);
    list_append(&peer->all, &exchange->in_peer);
    if (peer->exchanges->dovecot)
        exchange_begin_dovecot(exchange, m);
    else
        exchange_begin_users(exchange, m);
    return true;
}

/* One that has ended here meanwhile is none of the peer's faults. */
static bool step(const struct smtpd_peer *peer, const Ipc__AuthStep *m)
{
    struct exchange *exchange = map_get_number(peer->by_id, m->id);

    if (!exchange) {
        say_end(peer, m->id, IPC__AUTH_VERDICT__TROUBLE, "");
        return true;
    }
    if (exchange->task || exchange->is_asked)
        return false;
    if (exchange->request)
        exchange_step_dovecot(exchange, span_of_bytes(m->response));
    else
        exchange_step_users(exchange, span_of_bytes(m->response));
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
static unsigned mechanisms_of(const struct users *users)
{
    unsigned mechanisms = 0;

    if (users && users_count(users) > 0)
        mechanisms |= 1U << AUTH_PLAIN | 1U << AUTH_LOGIN;
    if (users && users_all_have_keys(users))
        mechanisms |= 1U << AUTH_SCRAM_SHA_256 | 1U << AUTH_SCRAM_SHA_256_PLUS;
    return mechanisms;
}

static void send_state(const struct smtpd_peer *peer)
{
    const struct exchanges *e = peer->exchanges;
    Ipc__AuthState state = IPC__AUTH_STATE__INIT;

    state.mechanisms = e->dovecot ? dovecot_link_mechanisms(e->dovecot) : mechanisms_of(e->users);
    channel_send(peer->channel, FRAME_AUTH_STATE, &state.base, (struct span){ NULL, 0 });
}

static void send_states(void *ctx)
{
    const struct exchanges *e = ctx;
    const struct smtpd_peer *peer;

    LIST_EACH(peer, (struct list *)(uintptr_t)&e->smtpds, const struct smtpd_peer, in_exchanges)
    {
        send_state(peer);
    }
}

void exchanges_attach(struct exchanges *exchanges, int fd)
{
    struct smtpd_peer *peer = memory_new(sizeof(*peer));

    peer->exchanges = exchanges;
    peer->by_id = map_new();
    list_init(&peer->all);
    list_append(&exchanges->smtpds, &peer->in_exchanges);
    peer->channel = channel_open(exchanges->loop, fd, &channel_events, peer);
    channel_forgets(peer->channel);
    send_state(peer);
}

void exchanges_use(struct exchanges *exchanges, struct users **users)
{
    users_free(&exchanges->users);
    exchanges->users = *users;
    *users = NULL;
    if (exchanges->users && users_count(exchanges->users) > 0) /* made-up salts outlive a restart */
        crypto_sha256(span_of(users_at(exchanges->users, 0)->hash), exchanges->secret);
    send_states(exchanges);
}

/* Another judge cannot go on with what was said to this one. */
static void end_all(struct exchanges *exchanges)
{
    struct smtpd_peer *peer;

    LIST_EACH(peer, &exchanges->smtpds, struct smtpd_peer, in_exchanges)
    {
        while (!list_empty(&peer->all))
            exchange_finish(LIST_FIRST(&peer->all, struct exchange, in_peer),
                            IPC__AUTH_VERDICT__TROUBLE);
    }
}

void exchanges_ask_dovecot(struct exchanges *exchanges, const char *path)
{
    const char *before = exchanges->dovecot ? dovecot_link_path(exchanges->dovecot) : "";

    if (span_equal(span_of(before), span_of(path)))
        return;
    end_all(exchanges);
    dovecot_link_free(&exchanges->dovecot);
    if (path[0] != '\0')
        exchanges->dovecot = dovecot_link_new(exchanges->loop, path, send_states, exchanges);
    send_states(exchanges);
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
    dovecot_link_free(&e->dovecot);
    blocks_free(&e->blocks);
    users_free(&e->users);
    free(e);
    *exchanges = NULL;
}
