#include "queue/deliver/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/memory.h"
#include "lib/base/saslprep.h"
#include "lib/mail/ehlo.h"

enum {
    INITIAL_LINE_MAX = 512 - 2, /* RFC 4954 s.4: else the response waits for a challenge */
    WORK_ITERATIONS = 1000,     /* at a time: about a millisecond */
    PASSWORD_SIZE = 2048,       /* prepared */
};

enum login_stage {
    LOGIN_STAGE_INITIAL, /* the first response waits for its challenge */
    LOGIN_STAGE_USER,
    LOGIN_STAGE_PASSWORD,
    LOGIN_STAGE_SCRAM_FIRST, /* the server's first message is to come */
    LOGIN_STAGE_SCRAM_WORK,
    LOGIN_STAGE_SCRAM_FINAL, /* the server's signature is to come */
    LOGIN_STAGE_SAID,        /* all is said: 235 is to come */
    LOGIN_STAGE_BROKEN,
};

struct mechanism {
    unsigned bit;
    const char *name;
};

/* The strongest first. */
static const struct mechanism mechanisms[] = {
    { EHLO_AUTH_SCRAM_PLUS, "SCRAM-SHA-256-PLUS" },
    { EHLO_AUTH_SCRAM, "SCRAM-SHA-256" },
    { EHLO_AUTH_PLAIN, "PLAIN" },
    { EHLO_AUTH_LOGIN, "LOGIN" },
};

struct login {
    const struct mechanism *mechanism;
    enum login_stage stage;
    enum login_stage after_initial;
    char user[SCRAM_USER_MAX + 1];
    char password[PASSWORD_SIZE];
    struct buf line;
    struct buf response; /* not yet in base64 */
    char fault[LOGIN_FAULT_SIZE];

    /* SCRAM */
    struct buf binding; /* what "c=" says: GS2 header and the channel's binding */
    struct buf said;    /* the AuthMessage, as far as it has come */
    struct buf nonce;   /* ours, then both */
    struct crypto_stretch *stretch;
    unsigned char signature[CRYPTO_SHA256_SIZE]; /* what the server has to show */
};

/* --- what is said */

static void buf_forget(struct buf *b)
{
    if (b->base)
        crypto_cleanse(b->base, b->size);
    buf_clear(b);
}

static void put(struct buf *b, struct span bytes)
{
    ensure(buf_append(b, bytes));
}

/* The response as the next line. */
static enum login_step respond(struct login *c, enum login_stage next)
{
    buf_reset(&c->line);
    ensure(base64_encode(buf_span(&c->response), &c->line));
    buf_reset(&c->response);
    c->stage = next;
    return LOGIN_STEP_SAY;
}

static enum login_step respond_text(struct login *c, const char *text, enum login_stage next)
{
    buf_reset(&c->response);
    put(&c->response, span_of(text));
    return respond(c, next);
}

static enum login_step broken(struct login *c, const char *what)
{
    c->stage = LOGIN_STAGE_BROKEN;
    snprintf(c->fault, sizeof(c->fault), "%s", what);
    return LOGIN_STEP_BROKEN;
}

/* With the first response where there is one and the line is short enough. */
static void say_auth(struct login *c)
{
    size_t len = strlen("AUTH ") + strlen(c->mechanism->name);
    size_t response = BASE64_SIZE(buf_len(&c->response));

    c->stage = LOGIN_STAGE_INITIAL;
    ensure(buf_printf(&c->line, "AUTH %s", c->mechanism->name));
    if (response == 0 || len + 1 + response > INITIAL_LINE_MAX)
        return;
    put(&c->line, SPAN(" "));
    ensure(base64_encode(buf_span(&c->response), &c->line));
    buf_reset(&c->response);
    c->stage = c->after_initial;
}

/* --- the beginning of each mechanism */

/* RFC 4616 s.2: nobody is acted for. */
static void begin_plain(struct login *c)
{
    put(&c->response, SPAN("\0"));
    put(&c->response, span_of(c->user));
    put(&c->response, SPAN("\0"));
    put(&c->response, span_of(c->password));
    c->after_initial = LOGIN_STAGE_SAID;
}

static void begin_login(struct login *c)
{
    c->after_initial = LOGIN_STAGE_USER;
}

/* RFC 5802 s.5.1: a comma is "=2C", an equals sign "=3D". */
static void put_name(struct buf *out, const char *name)
{
    for (; *name; name++)
        put(out, *name == ','   ? SPAN("=2C")
                 : *name == '=' ? SPAN("=3D")
                                : (struct span){ name, 1 });
}

/*
 * RFC 5802 s.6: "y" says that we could bind and have not been offered it, so that a server that
 * did offer it sees that somebody stands between us.
 */
static void begin_scram(struct login *c, unsigned offered, struct span binding, struct span nonce)
{
    bool is_plus = c->mechanism->bit == EHLO_AUTH_SCRAM_PLUS;
    struct span header = is_plus ? SPAN("p=tls-exporter,,")
                         : binding.len > 0 && (offered & EHLO_AUTH_SCRAM_PLUS) == 0 ? SPAN("y,,")
                                                                                    : SPAN("n,,");

    put(&c->binding, header);
    if (is_plus)
        put(&c->binding, binding);
    put(&c->nonce, nonce);
    put(&c->said, SPAN("n="));
    put_name(&c->said, c->user);
    put(&c->said, SPAN(",r="));
    put(&c->said, nonce);
    put(&c->response, header);
    put(&c->response, buf_span(&c->said));
    c->after_initial = LOGIN_STAGE_SCRAM_FIRST;
}

static const struct mechanism *choose(unsigned offered, struct span binding)
{
    for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
        if ((offered & mechanisms[i].bit) &&
            (mechanisms[i].bit != EHLO_AUTH_SCRAM_PLUS || binding.len > 0))
            return &mechanisms[i];
    return NULL;
}

/* RFC 4013, where it applies: a server that keeps hashes of what was typed gets it as it was. */
static bool take_text(struct span text, bool prepare, char *room, size_t size)
{
    return text.len > 0 &&
           (prepare ? saslprep(text, room, size) : span_to_string(text, room, size));
}

struct login *login_new(unsigned offered, const struct login_identity *identity,
                        struct span binding, struct span nonce)
{
    const struct mechanism *mechanism = choose(offered, binding);
    struct login *c = memory_new(sizeof(*c));
    bool is_scram;

    c->mechanism = mechanism;
    buf_init(&c->line, 4 * SCRAM_MESSAGE_MAX);
    buf_init(&c->response, 2 * SCRAM_MESSAGE_MAX);
    buf_init(&c->binding, SCRAM_MESSAGE_MAX);
    buf_init(&c->said, 4 * SCRAM_MESSAGE_MAX);
    buf_init(&c->nonce, SCRAM_MESSAGE_MAX);
    is_scram = mechanism && (mechanism->bit & (EHLO_AUTH_SCRAM | EHLO_AUTH_SCRAM_PLUS)) != 0;
    if (!mechanism || !take_text(identity->user, is_scram, c->user, sizeof(c->user)) ||
        !take_text(identity->password, is_scram, c->password, sizeof(c->password))) {
        login_free(&c);
        return NULL;
    }
    if (is_scram)
        begin_scram(c, offered, binding, nonce);
    else if (mechanism->bit == EHLO_AUTH_PLAIN)
        begin_plain(c);
    else
        begin_login(c);
    say_auth(c);
    return c;
}

void login_free(struct login **client)
{
    struct login *c = *client;

    *client = NULL;
    if (!c)
        return;
    crypto_stretch_free(&c->stretch);
    buf_forget(&c->line);
    buf_forget(&c->response);
    buf_clear(&c->binding);
    buf_clear(&c->said);
    buf_clear(&c->nonce);
    crypto_cleanse(c, sizeof(*c));
    free(c);
}

const char *login_mechanism(const struct login *c)
{
    return c->mechanism->name;
}

struct span login_line(const struct login *c)
{
    return buf_span(&c->line);
}

const char *login_fault(const struct login *c)
{
    return c->fault;
}

/* --- SCRAM: what the server says */

/* "r=BOTH,s=SALT,i=COUNT" and perhaps extensions, none of which is mandatory (RFC 5802 s.5.1). */
static enum login_step take_first(struct login *c, struct span message)
{
    struct span rest = message, nonce, salt, count, own;
    unsigned char bytes[SCRAM_SALT_MAX];
    uint64_t iterations = 0;
    size_t len = 0;
    struct buf both;
    bool is_ours;

    if (!span_cut(&rest, ',', &nonce) || !span_cut(&rest, ',', &salt) ||
        !span_cut(&rest, ',', &count))
        return broken(c, "its first SCRAM message is none");
    buf_init(&both, SCRAM_MESSAGE_MAX);
    own = buf_span(&c->nonce);
    is_ours = scram_take_nonce(nonce, &both) && buf_len(&both) > own.len &&
              span_starts_with(buf_span(&both), own);
    if (is_ours)
        put(&c->nonce, span_from(buf_span(&both), own.len));
    buf_clear(&both);
    if (!is_ours)
        return broken(c, "its nonce does not go on from ours");
    if (!span_starts_with(salt, SPAN("s=")) || !span_starts_with(count, SPAN("i=")))
        return broken(c, "its first SCRAM message is none");
    salt = span_from(salt, 2);
    if (!scram_cut_bytes(&salt, ',', bytes, 1, sizeof(bytes), &len))
        return broken(c, "its salt is none");
    if (!span_to_number(span_from(count, 2), LOGIN_ITERATIONS_MAX, &iterations) ||
        iterations < SCRAM_ITERATIONS_MIN)
        return broken(c, "it wants too few or too many iterations");
    put(&c->said, SPAN(","));
    put(&c->said, message);
    c->stretch = crypto_stretch_new(span_of(c->password), (struct span){ (char *)bytes, len },
                                    (unsigned)iterations);
    c->stage = LOGIN_STAGE_SCRAM_WORK;
    return LOGIN_STEP_WORK;
}

/* The proof that we know the password, and what the server has to show for the same. */
static enum login_step prove(struct login *c)
{
    unsigned char salted[CRYPTO_SHA256_SIZE];
    struct scram_secrets secrets;

    crypto_stretch_take(c->stretch, salted);
    crypto_stretch_free(&c->stretch);
    secrets = scram_secrets_of(salted);
    put(&c->response, SPAN("c="));
    ensure(base64_encode(buf_span(&c->binding), &c->response));
    put(&c->response, SPAN(",r="));
    put(&c->response, buf_span(&c->nonce));
    put(&c->said, SPAN(","));
    put(&c->said, buf_span(&c->response));
    scram_mask(secrets.stored, buf_span(&c->said), secrets.client);
    crypto_hmac_sha256((struct span){ (char *)secrets.server, sizeof(secrets.server) },
                       buf_span(&c->said), c->signature);
    put(&c->response, SPAN(",p="));
    scram_put_bytes(&c->response, secrets.client, sizeof(secrets.client));
    crypto_cleanse(&secrets, sizeof(secrets));
    crypto_cleanse(salted, sizeof(salted));
    return respond(c, LOGIN_STAGE_SCRAM_FINAL);
}

static enum login_step take_error(struct login *c, struct span text)
{
    struct span word = span_first(span_from(text, 2), 40);
    char words[LOGIN_FAULT_SIZE];

    if (!span_is_printable(word))
        return broken(c, "its last SCRAM message is none");
    snprintf(words, sizeof(words), "it says " SPAN_FMT, SPAN_ARG(word));
    return broken(c, words);
}

static enum login_step take_final(struct login *c, struct span message)
{
    unsigned char shown[CRYPTO_SHA256_SIZE];
    struct span text = span_from(message, 2);
    size_t len;

    if (span_starts_with(message, SPAN("e=")))
        return take_error(c, message);
    if (!span_starts_with(message, SPAN("v=")) ||
        !scram_cut_bytes(&text, ',', shown, sizeof(shown), sizeof(shown), &len))
        return broken(c, "its last SCRAM message is none");
    if (!crypto_equal(shown, c->signature, sizeof(shown)))
        return broken(c, "it does not know the password");
    return respond(c, LOGIN_STAGE_SAID); /* an empty line */
}

/* --- a step */

static enum login_step take_message(struct login *c, struct span message)
{
    switch (c->stage) {
    case LOGIN_STAGE_USER:
        return respond_text(c, c->user, LOGIN_STAGE_PASSWORD);
    case LOGIN_STAGE_PASSWORD:
        return respond_text(c, c->password, LOGIN_STAGE_SAID);
    case LOGIN_STAGE_SCRAM_FIRST:
        return take_first(c, message);
    case LOGIN_STAGE_SCRAM_FINAL:
        return take_final(c, message);
    case LOGIN_STAGE_INITIAL:
        return c->after_initial == LOGIN_STAGE_USER ? respond_text(c, c->user, LOGIN_STAGE_PASSWORD)
                                                    : respond(c, c->after_initial);
    case LOGIN_STAGE_SCRAM_WORK:
    case LOGIN_STAGE_SAID:
    case LOGIN_STAGE_BROKEN:
        break;
    }
    return broken(c, "it asks for more than there is to say");
}

/* LOGIN's challenges are words for people, which nobody reads. */
static bool reads_challenge(const struct login *c)
{
    return c->stage == LOGIN_STAGE_SCRAM_FIRST || c->stage == LOGIN_STAGE_SCRAM_FINAL;
}

enum login_step login_challenge(struct login *c, struct span text)
{
    struct buf message;
    enum login_step step;

    if (!reads_challenge(c))
        return take_message(c, text);
    buf_init(&message, SCRAM_MESSAGE_MAX);
    if (base64_decode(text, &message) && buf_len(&message) > 0)
        step = take_message(c, buf_span(&message));
    else
        step = broken(c, "its challenge is no base64");
    buf_clear(&message);
    return step;
}

enum login_step login_work(struct login *c)
{
    return crypto_stretch_step(c->stretch, WORK_ITERATIONS) ? prove(c) : LOGIN_STEP_WORK;
}

enum login_step login_accepted(struct login *c)
{
    if (c->stage == LOGIN_STAGE_SAID)
        return LOGIN_STEP_DONE;
    return broken(c, c->stage == LOGIN_STAGE_SCRAM_FINAL
                         ? "it did not show that it knows the password"
                         : "it takes the login before its end");
}
