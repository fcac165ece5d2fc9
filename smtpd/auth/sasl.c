#include "smtpd/auth/sasl.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "lib/base/utf8.h"
#include "smtpd/auth/password.h"

enum stage {
    STAGE_FIRST, /* waits for the first response */
    STAGE_LOGIN_PASSWORD,
    STAGE_SCRAM_KEYS, /* waits for the caller */
    STAGE_SCRAM_FINAL,
    STAGE_SCRAM_HEARD, /* the client has heard our signature, and says nothing more */
    STAGE_OVER,
};

struct sasl {
    enum auth_mechanism mechanism;
    enum stage stage;
    struct scram_bindings bindings;
    struct scram scram;
    char user[SCRAM_USER_MAX + 1];
    char password[PASSWORD_MAX + 1];
    size_t password_len;
    struct buf challenge;
};

struct sasl *sasl_new(enum auth_mechanism mechanism, const struct scram_bindings *bindings)
{
    struct sasl *sasl = memory_new(sizeof(*sasl));

    sasl->mechanism = mechanism;
    sasl->bindings = *bindings;
    buf_init(&sasl->challenge, 3 * SCRAM_MESSAGE_MAX);
    scram_init(&sasl->scram, mechanism == AUTH_SCRAM_SHA_256_PLUS, &sasl->bindings);
    return sasl;
}

void sasl_free(struct sasl **sasl)
{
    struct sasl *s = *sasl;

    if (!s)
        return;
    scram_clear(&s->scram);
    buf_clear(&s->challenge);
    crypto_cleanse(s, sizeof(*s));
    free(s);
    *sasl = NULL;
}

static enum sasl_result end(struct sasl *sasl, enum sasl_result result)
{
    sasl->stage = STAGE_OVER;
    return result;
}

static enum sasl_result challenge(struct sasl *sasl, enum stage next, struct span text)
{
    sasl->stage = next;
    buf_reset(&sasl->challenge);
    ensure(buf_append(&sasl->challenge, text));
    return SASL_CHALLENGE;
}

/* --- PLAIN and LOGIN */

static bool take_user(struct sasl *sasl, struct span name)
{
    return name.len > 0 && utf8_is_valid(name) &&
           span_to_string(name, sasl->user, sizeof(sasl->user));
}

static bool take_password(struct sasl *sasl, struct span password)
{
    if (password.len == 0 || password.len > PASSWORD_MAX ||
        span_find(password, '\0') < password.len)
        return false;
    memcpy(sasl->password, password.data, password.len);
    sasl->password_len = password.len;
    return true;
}

/* RFC 4616 s.2: [authzid] NUL authcid NUL passwd */
static enum sasl_result take_plain(struct sasl *sasl, struct span response)
{
    size_t first = span_find(response, '\0');
    struct span authzid = span_first(response, first);
    struct span rest = span_from(response, first + 1);
    size_t second = span_find(rest, '\0');

    if (first >= response.len || second >= rest.len || !take_user(sasl, span_first(rest, second)) ||
        !take_password(sasl, span_from(rest, second + 1)))
        return end(sasl, SASL_MALFORMED);
    if (authzid.len > 0 && !span_equal(authzid, span_of(sasl->user)))
        return end(sasl, SASL_REFUSED); /* nobody may act for another */
    return end(sasl, SASL_PASSWORD);
}

static enum sasl_result take_login_user(struct sasl *sasl, struct span response)
{
    if (!take_user(sasl, response))
        return end(sasl, SASL_MALFORMED);
    return challenge(sasl, STAGE_LOGIN_PASSWORD, SPAN("Password:"));
}

static enum sasl_result take_login_password(struct sasl *sasl, struct span response)
{
    return end(sasl, take_password(sasl, response) ? SASL_PASSWORD : SASL_MALFORMED);
}

/* --- SCRAM */

static enum sasl_result of_scram(struct sasl *sasl, enum scram_result result)
{
    return end(sasl, result == SCRAM_MALFORMED ? SASL_MALFORMED : SASL_REFUSED);
}

static enum sasl_result take_scram_first(struct sasl *sasl, struct span response)
{
    enum scram_result result = scram_take_first(&sasl->scram, response);

    memcpy(sasl->user, sasl->scram.user, sizeof(sasl->user));
    if (!utf8_is_valid(span_of(sasl->user)))
        return end(sasl, SASL_MALFORMED);
    if (result != SCRAM_FINE)
        return of_scram(sasl, result);
    sasl->stage = STAGE_SCRAM_KEYS;
    return SASL_KEYS;
}

enum sasl_result sasl_give_keys(struct sasl *sasl, const struct scram_keys *keys, struct span nonce)
{
    ensure(sasl->stage == STAGE_SCRAM_KEYS);
    buf_reset(&sasl->challenge);
    scram_say_first(&sasl->scram, keys, nonce, &sasl->challenge);
    sasl->stage = STAGE_SCRAM_FINAL;
    return SASL_CHALLENGE;
}

static enum sasl_result take_scram_final(struct sasl *sasl, struct span response)
{
    enum scram_result result;

    buf_reset(&sasl->challenge);
    result = scram_take_final(&sasl->scram, response, &sasl->challenge);
    if (result != SCRAM_FINE)
        return of_scram(sasl, result);
    sasl->stage = STAGE_SCRAM_HEARD; /* SMTP has no data with success: SRV-87 */
    return SASL_CHALLENGE;
}

/* --- the exchange */

enum sasl_result sasl_begin(struct sasl *sasl, const struct span *initial)
{
    if (initial)
        return sasl_respond(sasl, *initial);
    return challenge(sasl, STAGE_FIRST,
                     sasl->mechanism == AUTH_LOGIN ? SPAN("Username:") : SPAN(""));
}

static enum sasl_result take_first(struct sasl *sasl, struct span response)
{
    switch (sasl->mechanism) {
    case AUTH_PLAIN:
        return take_plain(sasl, response);
    case AUTH_LOGIN:
        return take_login_user(sasl, response);
    case AUTH_SCRAM_SHA_256:
    case AUTH_SCRAM_SHA_256_PLUS:
        return take_scram_first(sasl, response);
    case AUTH_EXTERNAL:
    case AUTH_MECHANISM_COUNT:
        break;
    }
    return end(sasl, SASL_MALFORMED);
}

enum sasl_result sasl_respond(struct sasl *sasl, struct span response)
{
    switch (sasl->stage) {
    case STAGE_FIRST:
        return take_first(sasl, response);
    case STAGE_LOGIN_PASSWORD:
        return take_login_password(sasl, response);
    case STAGE_SCRAM_FINAL:
        return take_scram_final(sasl, response);
    case STAGE_SCRAM_HEARD:
        return end(sasl, response.len == 0 ? SASL_PROVEN : SASL_MALFORMED);
    case STAGE_SCRAM_KEYS:
    case STAGE_OVER:
        break;
    }
    return end(sasl, SASL_MALFORMED);
}

struct span sasl_challenge(const struct sasl *sasl)
{
    return buf_span(&sasl->challenge);
}

const char *sasl_user(const struct sasl *sasl)
{
    return sasl->user;
}

struct span sasl_password(const struct sasl *sasl)
{
    return (struct span){ sasl->password, sasl->password_len };
}
