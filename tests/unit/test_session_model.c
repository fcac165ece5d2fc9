/*
 * Random dialogues against a session: commands, content and chunks, good and bad, in packets cut
 * anywhere.  After every reply it equals that of a small model, and so does the server's state;
 * what the queue gets is what was sent.
 */
#include "smtpd/session_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/smtpd/session_rig.h"
#include "tests/support/test.h"

enum {
    RECIPIENTS_MAX = 3,
    SIZE_MAX_HERE = 2000,
    ERRORS_MAX = 100, /* replies slow down behind half of them */
    IDLE_MAX = 100,
    STEPS = 30000,
    GROUP_MAX = 6,
};

enum place { NEW, GREETED, MAIL, RCPT, CHUNKS, PLACES };

enum effect { NOTHING, GREET, GREET_HELO, BEGIN, ADD, RESET, DATA, CHUNK, LAST_CHUNK };

struct move {
    const char *line;
    enum effect effect;
    bool is_idle;
    int codes[PLACES];
    int after_helo; /* instead, where EHLO was not said; 0: the same */
};

/* clang-format off */
static const struct move moves[] = {
    /*                                                  NEW GREETED MAIL RCPT CHUNKS */
    { "EHLO client.test",            GREET,      true,  { 250, 250, 250, 250, 250 }, 0 },
    { "HELO client.test",            GREET_HELO, true,  { 250, 250, 250, 250, 250 }, 0 },
    { "EHLO",                        NOTHING,    true,  { 501, 501, 501, 501, 501 }, 0 },
    { "MAIL FROM:<a@example.net>",   BEGIN,      false, { 503, 250, 503, 503, 503 }, 0 },
    { "MAIL FROM:<>",                BEGIN,      false, { 503, 250, 503, 503, 503 }, 0 },
    { "mail from:<a@example.net> size=2001", NOTHING, false, { 503, 552, 503, 503, 503 }, 0 },
    { "MAIL FROM:<a@example.net",    NOTHING,    false, { 503, 501, 503, 503, 503 }, 0 },
    { "RCPT TO:<b@example.com>",     ADD,        false, { 503, 503, 250, 250, 503 }, 0 },
    { "RCPT TO:<postmaster>",        ADD,        false, { 503, 503, 250, 250, 503 }, 0 },
    { "rcpt to:<b@example.com",      NOTHING,    false, { 503, 503, 501, 501, 503 }, 0 },
    { "DATA",                        DATA,       false, { 503, 503, 554, 354, 503 }, 0 },
    { "DATA now",                    NOTHING,    false, { 503, 503, 501, 501, 503 }, 0 },
    { "BDAT",                        CHUNK,      false, { 503, 503, 554, 250, 250 }, 502 },
    { "BDAT LAST",                   LAST_CHUNK, false, { 503, 503, 554, 250, 250 }, 502 },
    { "RSET",                        RESET,      true,  { 250, 250, 250, 250, 250 }, 0 },
    { "RSET now",                    NOTHING,    true,  { 501, 501, 501, 501, 501 }, 0 },
    { "NOOP",                        NOTHING,    true,  { 250, 250, 250, 250, 250 }, 0 },
    { "VRFY b",                      NOTHING,    true,  { 252, 252, 252, 252, 252 }, 0 },
    { "HELP",                        NOTHING,    true,  { 214, 214, 214, 214, 214 }, 0 },
    { "STARTTLS",                    NOTHING,    true,  { 503, 454, 503, 503, 503 }, 0 },
    { "FOO\nBAR",                    NOTHING,    false, { 500, 500, 500, 500, 500 }, 0 },
    { "",                            NOTHING,    true,  { 500, 500, 500, 500, 500 }, 0 },
};
/* clang-format on */
enum { MOVES = sizeof(moves) / sizeof(moves[0]) };

/* What the server ought to know. */
struct model {
    enum place place;
    bool is_esmtp;
    unsigned recipients, errors, idle, deferrals;
    char content[8192]; /* of the message under way; its length */
    size_t len;
    int fault; /* the code that the content deserves; 0: none */
};

/* What one step says, and hears. */
struct script {
    char bytes[64 * 1024];
    size_t len;
    int codes[2 * GROUP_MAX];
    unsigned count;
    size_t delivered_len; /* of the last message begun, when it is taken; 0: it is not */
    char delivered[8192];
};

static uint32_t seed;

static unsigned roll(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void say(struct script *script, const char *bytes, size_t len)
{
    assert_true(script->len + len <= sizeof(script->bytes));
    memcpy(script->bytes + script->len, bytes, len);
    script->len += len;
}

static void expect(struct script *script, struct model *m, int code)
{
    script->codes[script->count++] = code;
    if (code >= 500)
        m->errors++;
    else if (code >= 400)
        m->deferrals++;
}

static void model_reset(struct model *m)
{
    if (m->place > GREETED)
        m->place = GREETED;
    m->recipients = 0;
    m->len = 0;
    m->fault = 0;
}

/* --- content */

static void add_content(struct model *m, const char *bytes, size_t len)
{
    assert_true(m->len + len <= sizeof(m->content));
    memcpy(m->content + m->len, bytes, len);
    m->len += len;
}

/* A line of content as it is meant; most are good. */
static size_t make_line(char line[1000])
{
    static const char *const lines[] = { "",        ".",    "..",
                                         ".x",      "x",    "x: y",
                                         " folded", "QUIT", "MAIL FROM:<smuggled@example.net>" };
    unsigned kind = roll(40);

    if (kind == 0)
        return (size_t)sprintf(line, "bare\nline\r\n");
    if (kind == 1)
        return (size_t)sprintf(line, "bare\rreturn\r\n");
    if (kind == 2) {
        memset(line, 'z', 900);
        return 900 + (size_t)sprintf(line + 900, "\r\n");
    }
    return (size_t)sprintf(line, "%s\r\n", lines[roll(sizeof(lines) / sizeof(lines[0]))]);
}

static void judge_content(struct model *m, const char *line, size_t len)
{
    bool is_bare = memchr(line, '\n', len - 1) || memchr(line, '\r', len - 2);

    add_content(m, line, len);
    if (m->fault == 0 && is_bare)
        m->fault = 550;
    if (m->fault == 0 && m->len > SIZE_MAX_HERE)
        m->fault = 552;
}

/* The reply to a whole message, and the end of its transaction. */
static void settle(struct script *script, struct model *m)
{
    static const int codes[] = {
        [ACCEPT_DONE] = 250, [ACCEPT_FULL] = 452, [ACCEPT_TROUBLE] = 451, [ACCEPT_LOST] = 451
    };
    int code = m->fault != 0 ? m->fault : codes[fake_queue.outcome];

    if (code == 250) {
        m->errors = m->deferrals = m->idle = 0;
        memcpy(script->delivered, m->content, m->len);
        script->delivered_len = m->len;
    }
    model_reset(m);
    expect(script, m, code);
}

static void say_message(struct script *script, struct model *m)
{
    char line[1000];

    script->delivered_len = 0;
    for (unsigned lines = 1 + roll(6); lines > 0; lines--) {
        size_t len = make_line(line);
        if (line[0] == '.')
            say(script, ".", 1);
        say(script, line, len);
        judge_content(m, line, len);
    }
    say(script, ".\r\n", 3);
    settle(script, m);
}

/* The octets of a chunk come whatever it is answered. */
static void say_chunk(struct script *script, struct model *m, bool is_last, int refusal)
{
    char content[4000], command[64], line[1000];
    size_t len = 0;

    if (refusal == 0)
        script->delivered_len = 0;
    for (unsigned lines = roll(4); lines > 0; lines--) {
        size_t more = make_line(line);
        memcpy(content + len, line, more);
        len += more;
        if (refusal == 0)
            judge_content(m, line, more);
    }
    say(script, command, (size_t)sprintf(command, "BDAT %zu%s\r\n", len, is_last ? " LAST" : ""));
    say(script, content, len);
    if (refusal != 0) {
        expect(script, m, refusal);
    } else if (is_last || m->fault != 0) {
        settle(script, m); /* a chunk with a fault ends the transaction */
    } else {
        m->place = CHUNKS;
        expect(script, m, 250);
    }
}

/* --- moves */

static int model_code(const struct model *m, const struct move *move)
{
    bool helo = !m->is_esmtp && m->place != NEW;

    if (helo && move->after_helo != 0)
        return move->after_helo;
    if (helo && strstr(move->line, "size=") && m->place == GREETED)
        return 555;
    if (move->effect == ADD && m->recipients == RECIPIENTS_MAX && move->codes[m->place] == 250)
        return 452;
    return move->codes[m->place];
}

static void make_move(struct script *script, struct model *m, const struct move *move)
{
    int code = model_code(m, move);

    m->idle += move->is_idle;
    if (move->effect == CHUNK || move->effect == LAST_CHUNK) {
        say_chunk(script, m, move->effect == LAST_CHUNK, code == 250 ? 0 : code);
        return;
    }
    say(script, move->line, strlen(move->line));
    say(script, "\r\n", 2);
    expect(script, m, code);
    if (code >= 400)
        return;
    if (move->effect == GREET || move->effect == GREET_HELO) {
        m->place = GREETED;
        model_reset(m);
        m->is_esmtp = move->effect == GREET;
    } else if (move->effect == RESET) {
        model_reset(m);
    } else if (move->effect == BEGIN) {
        m->place = MAIL;
    } else if (move->effect == ADD) {
        m->place = RCPT;
        m->recipients++;
    } else if (move->effect == DATA) {
        say_message(script, m);
    }
}

/* --- the server */

static void turn(struct rig *rig)
{
    loop_timer_start(rig->patience, 0);
    loop_run(rig->loop);
}

/* In packets cut anywhere; mostly in one. */
static void send_script(struct rig *rig, const struct script *script)
{
    struct span rest = { script->bytes, script->len };

    while (rest.len > 0) {
        size_t len = roll(2) == 0 ? rest.len : 1 + roll((unsigned)rest.len);
        rig_say_bytes(rig, span_first(rest, len));
        rest = span_from(rest, len);
        turn(rig);
    }
}

static int hear_code(struct rig *rig)
{
    const char *line;

    do
        line = rig_hear(rig);
    while (line && line[3] == '-');
    return line ? atoi(line) : 0;
}

static bool same_state(struct rig *rig, const struct model *m)
{
    static const enum phase phases[PLACES] = { PHASE_CONNECTED, PHASE_GREETED, PHASE_MAIL,
                                               PHASE_RCPT, PHASE_CHUNKS };
    const struct session *s = LIST_FIRST(&rig->host.sessions, struct session, in_host);
    const struct conversation *talk = &s->talk;

    return talk->phase == phases[m->place] && talk->envelope.recipient_count == m->recipients &&
           (m->place == NEW || talk->is_esmtp == m->is_esmtp) && talk->errors == m->errors &&
           talk->deferrals == m->deferrals && talk->junk == m->idle && s->hold == HOLD_NONE &&
           !s->chunk.is_open && fake_queue_is_busy() == (m->place == CHUNKS);
}

static void check_delivered(const struct script *script)
{
    struct span got = buf_span(&fake_queue.content);

    assert_true(got.len >= script->delivered_len);
    assert_memory_equal(got.data + got.len - script->delivered_len, script->delivered,
                        script->delivered_len);
    assert_null(strstr(fake_queue.reverse_path, "smuggled"));
}

static void open_session(struct rig *rig, struct model *m)
{
    *m = (struct model){ .place = NEW };
    rig_open(rig, "192.0.2.7");
    assert_int_equal(hear_code(rig), 220);
    while (rig->host.session_count > 1) /* the one before hears that its client is gone */
        turn(rig);
}

static void make_group(struct script *script, struct model *m)
{
    static const enum accept_outcome outcomes[] = { ACCEPT_DONE, ACCEPT_DONE, ACCEPT_DONE,
                                                    ACCEPT_FULL, ACCEPT_TROUBLE };

    script->len = script->count = 0;
    script->delivered_len = 0;
    fake_queue.outcome = outcomes[roll(sizeof(outcomes) / sizeof(outcomes[0]))];
    for (unsigned moves_left = 1 + roll(GROUP_MAX); moves_left > 0; moves_left--) {
        static const unsigned likely[] = { 3, 7, 7, 10, 12, 13 }; /* or few would get far */
        unsigned which = roll(2) == 0 ? likely[roll(6)] : roll(MOVES);
        make_move(script, m, &moves[which]);
    }
}

static void a_session_does_what_the_model_does(void **state)
{
    static struct script script;
    static struct model m;
    struct rig *rig = *state;
    unsigned delivered = 0, sessions = 0;

    m.errors = ERRORS_MAX; /* begins with a first session */
    for (int step = 0; step < STEPS; step++) {
        if (m.errors + 2 * GROUP_MAX > ERRORS_MAX / 2 || m.idle + GROUP_MAX >= IDLE_MAX) {
            open_session(rig, &m);
            sessions++;
        }
        make_group(&script, &m);
        send_script(rig, &script);
        for (unsigned i = 0; i < script.count; i++) {
            int code = hear_code(rig);
            if (code != script.codes[i])
                fail_msg("step %d, reply %u of %u: %d instead of %d to\n%.*s", step, i + 1,
                         script.count, code, script.codes[i], (int)script.len, script.bytes);
        }
        if (!same_state(rig, &m))
            fail_msg("step %d: the states differ after\n%.*s", step, (int)script.len, script.bytes);
        delivered += script.delivered_len > 0;
        if (script.delivered_len > 0)
            check_delivered(&script);
    }
    assert_true(delivered > STEPS / 50);
    assert_true(sessions > STEPS / 500);
}

static int open_rig(void **state)
{
    static struct rig rig;

    rig_init(&rig);
    rig.settings.max_message_bytes = SIZE_MAX_HERE;
    rig.settings.max_recipients = RECIPIENTS_MAX;
    rig.settings.max_errors = ERRORS_MAX;
    rig.settings.max_idle_commands = IDLE_MAX;
    seed = getenv("SEED") ? (uint32_t)atoi(getenv("SEED")) : 20261122;
    *state = &rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_session_does_what_the_model_does, open_rig, close_rig),
    };
    return cmocka_run_group_tests_name("session model", tests, NULL, NULL);
}
