#include "queue/deliver/session.h"

#include "lib/base/memory.h"
#include "queue/deliver/lane.h"

#include <stdlib.h>

struct session *session_new(struct lane *lane)
{
    struct session *session = memory_new(sizeof(*session));

    list_init(&session->others);
    list_init(&session->of_host);
    list_init(&session->of_waiting);
    session->lane = lane;
    session->tls = "";
    session->level = "";
    lane->seats++;
    lane->worker->seats++;
    return session;
}

void session_free(struct session **session)
{
    struct session *s = *session;

    *session = NULL;
    if (!s)
        return;
    list_remove(&s->others);
    session_wait(s, false);
    if (s->dialogue && dialogue_is_idle(s->dialogue))
        dialogue_quit(&s->dialogue);
    dialogue_free(&s->dialogue);
    tlsa_set_free(&s->tlsa);
    host_slot_free(&s->slot);
    s->lane->seats--;
    s->lane->worker->seats--;
    lane_wake(s->lane);
    worker_seat_is_free(s->lane->worker);
    free(s);
}

void session_move(struct session *session, struct lane *lane)
{
    if (session->lane == lane)
        return;
    session->lane->seats--;
    lane_wake(session->lane);
    session->lane = lane;
    lane->seats++;
}

void session_park(struct session *session)
{
    struct worker *worker = session->lane->worker;

    session->is_parked = true;
    list_remove(&session->of_waiting);
    list_append(&worker->parked, &session->of_waiting);
    worker->parked_count++;
    worker->greetings--;
    worker->seats--;
    worker_seat_is_free(worker);
}

static void session_unpark(struct session *session)
{
    struct worker *worker = session->lane->worker;

    if (!session->is_parked)
        return;
    session->is_parked = false;
    worker->parked_count--;
    worker->greetings++;
    worker->seats++;
}

void session_wait(struct session *session, bool waits)
{
    struct worker *worker = session->lane->worker;

    if (waits == session->waits_for_greeting)
        return;
    session->waits_for_greeting = waits;
    if (waits) {
        session->waits_since_ms = loop_now(worker->loop);
        list_append(&worker->waiting, &session->of_waiting);
        worker->greetings++;
        worker_watch_silence(worker);
    } else {
        list_remove(&session->of_waiting);
        session_unpark(session);
        worker->greetings--;
        worker_seat_is_free(worker);
    }
}

void session_describe(struct session *session, const char *mx, enum tls_floor floor,
                      uint64_t trust_generation)
{
    const struct dialogue_facts *facts = dialogue_facts(session->dialogue);
    bool secure = facts->tls == SESSION_TLS_ON;

    ip_address_format(&facts->remote.address, session->address);
    session->tls = !secure ? "none" : facts->session.cert == CERT_OK ? "verified" : "encrypted";
    session->key =
        pool_key_had(&facts->remote, mx, facts->tls, floor, facts->session.cert, trust_generation);
}
