#include "smtpd/auth/exchanges_private.h"

/* Dovecot judges; here its answers become ours, and failures are counted. */

static Ipc__AuthVerdict verdict_of(enum dovecot_verdict verdict)
{
    switch (verdict) {
    case DOVECOT_YES:
        return IPC__AUTH_VERDICT__YES;
    case DOVECOT_NO:
        return IPC__AUTH_VERDICT__NO;
    case DOVECOT_CHALLENGE:
    case DOVECOT_TROUBLE:
        break;
    }
    return IPC__AUTH_VERDICT__TROUBLE;
}

/*
 * Who it is is known only now: to a user who is blocked yes and no are the same, and neither
 * counts.
 */
static void on_answer(void *ctx, const struct dovecot_answer *answer)
{
    struct exchange *exchange = ctx;
    Ipc__AuthVerdict verdict = verdict_of(answer->verdict);

    exchange->is_asked = false;
    if (answer->verdict == DOVECOT_CHALLENGE) {
        exchange_challenge(exchange, answer->challenge);
        return;
    }
    exchange->request = NULL; /* it has ended */
    ensure(span_to_string(span_of(answer->user), exchange->user, sizeof(exchange->user)));
    if (verdict != IPC__AUTH_VERDICT__TROUBLE && exchange_is_blocked(exchange))
        verdict = IPC__AUTH_VERDICT__BLOCKED;
    exchange_finish(exchange, verdict);
}

void exchange_begin_dovecot(struct exchange *exchange, const Ipc__AuthBegin *m)
{
    struct span response = span_of_bytes(m->response);

    exchange->is_asked = true;
    exchange->request =
        dovecot_begin(exchange->peer->exchanges->dovecot, (enum auth_mechanism)m->mechanism,
                      exchange->client, m->has_response ? &response : NULL, on_answer, exchange);
}

void exchange_step_dovecot(struct exchange *exchange, struct span response)
{
    exchange->is_asked = true;
    dovecot_respond(exchange->request, response);
}
