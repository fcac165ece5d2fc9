#include "queue/deliver/dialogue_private.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/random.h"

/* --- the login, inside TLS and before any mail (RFC 4954) */

/* Nobody is logged in: mail waits until the administrator has mended what is wrong. */
static enum phase no_login(struct dialogue *d, struct status status, struct span words, bool polite)
{
    struct dialogue_end end = { .stage = STAGE_LOGIN,
                                .outcome = outcome_of_login(status),
                                .words = words,
                                .login_failed = true };

    return dialogue_give_up(d, end, polite);
}

static enum phase no_login_said(struct dialogue *d, const char *words)
{
    return no_login(d, (struct status){ 0 }, span_of(words), true);
}

/* RFC 9266 defines the exporter's binding for TLS 1.3; before it, servers mean others. */
static struct span channel_binding(const struct dialogue *d, unsigned char room[TLS_BINDING_MAX])
{
    struct span binding = { (char *)room, 0 };

    if (strcmp(d->facts.session.version, "TLSv1.3") == 0)
        binding.len = stream_tls_binding(d->stream, TLS_BINDING_EXPORTER, room);
    return binding;
}

static struct span new_nonce(char room[LOGIN_NONCE_SIZE])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (int i = 0; i < LOGIN_NONCE_SIZE; i++)
        room[i] = letters[random_below(sizeof(letters) - 1)];
    return (struct span){ room, LOGIN_NONCE_SIZE };
}

enum phase dialogue_log_in(struct dialogue *d)
{
    unsigned char binding[TLS_BINDING_MAX];
    char nonce[LOGIN_NONCE_SIZE];
    unsigned offered = ehlo_mechanisms(&d->offered);

    if (d->facts.tls != SESSION_TLS_ON) /* whatever the route says: never in clear */
        return no_login_said(d, "there is no TLS to say a password in");
    if (d->plan.identity->user.len == 0)
        return no_login_said(d, "the file is not there, or does not say USER:PASSWORD");
    d->login = login_new(offered, d->plan.identity, channel_binding(d, binding), new_nonce(nonce));
    if (!d->login)
        return no_login_said(d, "the host offers no mechanism of AUTH that we could use");
    return PH_LOGIN;
}

void say_login(struct dialogue *d)
{
    struct span said = login_line(d->login);
    char line[SMTP_AUTH_LINE_MAX];

    ensure(span_to_string(said, line, sizeof(line) - 2));
    memcpy(line + said.len, "\r\n", 3);
    stream_write_secret(d->stream, (struct span){ line, said.len + 2 });
    crypto_cleanse(line, said.len);
    d->owed++;
}

/* "*" takes the exchange back (RFC 4954 s.4); the answers to it and to QUIT are nobody's business.
 */
static enum phase login_broken(struct dialogue *d)
{
    char words[LOGIN_FAULT_SIZE + 40];

    snprintf(words, sizeof(words), "%s: %s", login_mechanism(d->login), login_fault(d->login));
    dialogue_say(d, "*\r\n");
    return no_login_said(d, words);
}

static enum phase login_goes_on(struct dialogue *d, enum login_step step)
{
    switch (step) {
    case LOGIN_STEP_SAY:
        return PH_LOGIN;
    case LOGIN_STEP_WORK:
        loop_defer(d->loop, &d->login_work);
        return PH_STAY;
    case LOGIN_STEP_DONE:
        d->facts.auth = login_mechanism(d->login);
        login_free(&d->login);
        return dialogue_settled(d);
    case LOGIN_STEP_BROKEN:
        break;
    }
    return login_broken(d);
}

void dialogue_login_work(void *ctx)
{
    struct dialogue *d = ctx;

    dialogue_hold(d);
    dialogue_enter(d, login_goes_on(d, login_work(d->login)));
    dialogue_release(d);
}

enum phase login_answered(struct dialogue *d, const struct reply *reply)
{
    if (reply_is(reply, 235))
        return login_goes_on(d, login_accepted(d->login));
    if (reply_is(reply, 334) && reply->lines == 1)
        return login_goes_on(d, login_challenge(d->login, buf_span(&reply->text)));
    if (reply_is_transient(reply) || reply_is_permanent(reply))
        return no_login(d, reply->status, dialogue_words(d, reply), true);
    return dialogue_protocol_error(d, STAGE_LOGIN, "an answer that AUTH does not have");
}
