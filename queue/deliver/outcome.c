#include "queue/deliver/outcome.h"

#include <stdio.h>

/* In the order of enum stage: what the client was doing, and the status of a bare 4yz or 5yz. */
static const struct {
    const char *words;
    const char *transient;
    const char *permanent;
} stages[STAGE_COUNT] = {
    [STAGE_CONNECT] = { "while connecting", "4.4.1", "5.4.1" },
    [STAGE_GREETING] = { "while waiting for the greeting", "4.3.2", "5.3.2" },
    [STAGE_EHLO] = { "after EHLO", "4.5.0", "5.5.0" },
    [STAGE_STARTTLS] = { "after STARTTLS", "4.7.0", "5.7.0" },
    [STAGE_HANDSHAKE] = { "during the TLS handshake", "4.7.5", "5.7.5" },
    [STAGE_LOGIN] = { "after AUTH", "4.7.0", "5.7.8" },
    [STAGE_MAIL] = { "after MAIL", "4.3.0", "5.0.0" },
    [STAGE_RCPT] = { "after RCPT", "4.3.0", "5.1.0" },
    [STAGE_DATA] = { "after DATA", "4.3.0", "5.0.0" },
    [STAGE_CONTENT] = { "while sending the message", "4.3.0", "5.0.0" },
    [STAGE_DOT] = { "after the end of the message", "4.3.0", "5.0.0" },
};

static const char *const losses[LOSS_COUNT] = {
    [LOSS_REFUSED] = "no connection",
    [LOSS_CLOSED] = "connection lost",
    [LOSS_TIMEOUT] = "timed out",
    [LOSS_PROTOCOL] = "protocol error",
};

const char *stage_words(enum stage stage)
{
    return stages[stage].words;
}

const char *loss_words(enum loss loss)
{
    return losses[loss];
}

static struct outcome outcome_make(enum outcome_kind kind, const char *status)
{
    struct outcome o = { .kind = kind };

    snprintf(o.status, sizeof(o.status), "%s", status);
    return o;
}

/* The reply's own status where its class fits what we make of it; else one of ours (RFC 3463). */
static struct outcome with_status(enum outcome_kind kind, const struct reply_facts *f)
{
    bool permanent = kind == OUTCOME_FAILED;
    struct outcome o =
        outcome_make(kind, permanent ? stages[f->stage].permanent : stages[f->stage].transient);
    struct status status = f->status;

    if (kind == OUTCOME_DELIVERED)
        snprintf(o.status, sizeof(o.status), "2.0.0");
    if (status.class == 0)
        return o;
    status.class = kind == OUTCOME_DELIVERED ? 2 : permanent ? 5 : 4;
    status_format(&status, o.status);
    return o;
}

static bool is_too_many(const struct reply_facts *f)
{
    return f->status.class != 0 && f->status.subject == 5 && f->status.detail == 3;
}

/* RFC 5321 s.4.5.3.1.10: 452, or 552 of old, may only say "too many recipients". */
static struct outcome outcome_of_rcpt(struct reply_facts f)
{
    bool may_be_limit = f.code == 452 || f.code == 552;
    bool is_limit = may_be_limit && (is_too_many(&f) || f.status.class == 0);
    struct outcome o;

    if (is_limit && f.accepted > 0) {
        o = outcome_make(OUTCOME_DEFERRED, "4.5.3");
        o.again = true;
        return o;
    }
    if (f.code / 100 == 5 && !(f.code == 552 && is_too_many(&f)))
        return with_status(OUTCOME_FAILED, &f);
    return with_status(OUTCOME_DEFERRED, &f);
}

/* A host that will not talk to us at all: others may; 521 says so for good (RFC 7504 s.3). */
static struct outcome outcome_of_host(struct reply_facts f)
{
    struct outcome o = with_status(f.code == 521 ? OUTCOME_FAILED : OUTCOME_DEFERRED, &f);

    o.elsewhere = true;
    o.hang_up = true;
    return o;
}

/* Neither yes nor no, where one of both was due. */
static struct outcome outcome_of_nonsense(enum stage stage)
{
    return outcome_of_loss(stage, LOSS_PROTOCOL);
}

/* RFC 4954 s.6, RFC 3207 s.4: a login, or TLS, is what the route should say, not the sender. */
static struct outcome outcome_of_login_wanted(struct reply_facts f)
{
    struct outcome o = outcome_of_login(f.status);

    o.elsewhere = f.stage == STAGE_MAIL;
    o.hang_up = false;
    return o;
}

static struct outcome outcome_of_transaction(struct reply_facts f)
{
    struct outcome o;

    if (f.stage == STAGE_CONTENT)
        return outcome_of_nonsense(f.stage); /* an answer to what was not yet asked */
    if (f.is_chosen && f.code == 530)
        return outcome_of_login_wanted(f);
    if (f.stage == STAGE_DOT && f.code / 100 == 2)
        return with_status(OUTCOME_DELIVERED, &f);
    if (f.code / 100 != 4 && f.code / 100 != 5)
        return outcome_of_nonsense(f.stage);
    if (f.stage == STAGE_RCPT)
        return outcome_of_rcpt(f);
    o = with_status(f.code / 100 == 5 ? OUTCOME_FAILED : OUTCOME_DEFERRED, &f);
    o.elsewhere = f.stage == STAGE_MAIL && o.kind == OUTCOME_DEFERRED; /* CLI-18 */
    return o;
}

struct outcome outcome_of_reply(struct reply_facts f)
{
    struct outcome o;

    if (f.code == 421) { /* RFC 5321 s.3.8: it may answer anything, and ends the session */
        o = with_status(OUTCOME_DEFERRED, &f);
        o.elsewhere = f.stage != STAGE_DOT;
        o.hang_up = true;
        return o;
    }
    if (f.stage < STAGE_MAIL)
        return outcome_of_host(f);
    return outcome_of_transaction(f);
}

/* RFC 3463 s.3.4, s.3.5: "system not accepting network messages", "mail system congestion". */
static bool is_busy(const struct status *s)
{
    return s->class == 4 &&
           ((s->subject == 3 && s->detail == 2) || (s->subject == 4 && s->detail == 5));
}

/* RFC 3463 s.3.2: at MAIL the sender's, as where its domain could not be looked up (4.1.8). */
static bool is_about_address(const struct status *s)
{
    return s->class == 4 && s->subject == 1;
}

bool outcome_blames_host(struct reply_facts f)
{
    if (f.code / 100 != 4)
        return false;
    if (f.stage == STAGE_MAIL)
        return !is_about_address(&f.status);
    return f.stage >= STAGE_DATA && is_busy(&f.status);
}

struct outcome outcome_of_loss(enum stage stage, enum loss loss)
{
    const char *status = loss == LOSS_PROTOCOL      ? "4.5.0"
                         : stage == STAGE_CONNECT   ? "4.4.1"
                         : stage == STAGE_HANDSHAKE ? "4.7.5"
                                                    : "4.4.2";
    struct outcome o = outcome_make(OUTCOME_DEFERRED, status);

    o.hang_up = true;
    o.elsewhere = stage < STAGE_CONTENT || (stage == STAGE_CONTENT && loss != LOSS_PROTOCOL);
    if (stage == STAGE_DOT)
        o.kind = OUTCOME_UNKNOWN; /* RFC 5321 s.6.1: it may have been delivered */
    return o;
}

struct outcome outcome_of_route(enum route_verdict verdict)
{
    switch (verdict) {
    case ROUTE_NO_DOMAIN:
        return outcome_make(OUTCOME_FAILED, "5.1.2");
    case ROUTE_NULL_MX:
        return outcome_make(OUTCOME_FAILED, "5.1.10");
    case ROUTE_LOOP:
        return outcome_make(OUTCOME_FAILED, "5.4.6");
    case ROUTE_NO_HOST:
        return outcome_make(OUTCOME_FAILED, "5.4.4");
    case ROUTE_TEMPFAIL:
    case ROUTE_FOUND:
        break;
    }
    return outcome_make(OUTCOME_DEFERRED, "4.4.3");
}

struct outcome outcome_of_addresses(enum address_verdict verdict)
{
    struct outcome o = outcome_make(OUTCOME_DEFERRED, "4.4.3");

    /* Final only when no candidate has an address at all (DNS-7); an internal one may be mended. */
    if (verdict == ADDRESSES_NONE)
        o = outcome_make(OUTCOME_FAILED, "5.4.4");
    else if (verdict == ADDRESSES_REFUSED)
        o = outcome_make(OUTCOME_DEFERRED, "4.4.4");
    else if (verdict == ADDRESSES_OWN)
        o = outcome_make(OUTCOME_FAILED, "5.4.6");
    o.elsewhere = true;
    return o;
}

struct outcome outcome_of_login(struct status status)
{
    struct outcome o = outcome_make(OUTCOME_DEFERRED, "4.7.8");

    if (status.class != 0) {
        status.class = 4;
        status_format(&status, o.status);
    }
    o.elsewhere = true;
    o.hang_up = true;
    return o;
}

struct outcome outcome_of_policy(bool last_attempt)
{
    struct outcome o = last_attempt ? outcome_make(OUTCOME_FAILED, "5.7.5")
                                    : outcome_make(OUTCOME_DEFERRED, "4.7.5");

    o.elsewhere = true;
    o.hang_up = true;
    return o;
}

struct outcome outcome_of_unprotected(void)
{
    struct outcome o = outcome_make(OUTCOME_FAILED, "5.7.10");

    o.elsewhere = true;
    o.hang_up = true;
    return o;
}
