/*
 * Plays the transcripts tests/dialogue/smtpd-*.smtp against a session.  Their first line is the
 * title; then, in the order of the wire:
 *   C: what the client says       S: what the server answers, "*" at its end: and anything behind
 *   C> the same without CRLF      M: the next line of the message that the queue got
 *   C*N: and S*N: N times         closed: the server hangs up
 *   S+: all the lines of one answer
 *   @ changes a fact, see `facts` below.  Escapes in C: \r \n \0 \\ \xHH.
 */
#include "tests/support/test.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/memory.h"
#include "tests/support/smtpd/session_rig.h"

struct play {
    struct rig rig;
    const char *file;
    int line;
    size_t content_at; /* what M: has looked at of the message */
    bool is_open;
    char client[64];
};

static void fail_at(const struct play *p, const char *what, const char *expected, const char *got)
{
    fail_msg("%s:%d: %s: expected \"%s\", got \"%s\"", p->file, p->line, what, expected,
             got ? got : "nothing");
}

/* --- facts */

static void set_queue(struct play *p, const char *value)
{
    (void)p;
    fake_queue_set_state(strcmp(value, "away") != 0, strcmp(value, "full") == 0);
}

static void set_answer(struct play *p, const char *value)
{
    (void)p;
    fake_queue.outcome = strcmp(value, "full") == 0      ? ACCEPT_FULL
                         : strcmp(value, "trouble") == 0 ? ACCEPT_TROUBLE
                         : strcmp(value, "lost") == 0    ? ACCEPT_LOST
                                                         : ACCEPT_DONE;
}

static void set_window(struct play *p, const char *value)
{
    (void)p;
    fake_queue.window = (size_t)atol(value);
}

static void set_size(struct play *p, const char *value)
{
    p->rig.settings.max_message_bytes = (uint64_t)atoll(value);
}

static void set_recipients(struct play *p, const char *value)
{
    p->rig.settings.max_recipients = (unsigned)atoi(value);
}

static void set_line(struct play *p, const char *value)
{
    p->rig.settings.line_octets_max = (unsigned)atoi(value);
}

static void set_errors(struct play *p, const char *value)
{
    p->rig.settings.max_errors = (unsigned)atoi(value);
}

static void set_idle(struct play *p, const char *value)
{
    p->rig.settings.max_idle_commands = (unsigned)atoi(value);
}

/* "size 1000" or "recipients 2": what the listener says, against the settings. */
static void set_listener(struct play *p, const char *value)
{
    struct listener_settings *listener = &p->rig.settings.listeners[0];

    if (strncmp(value, "size ", 5) == 0)
        listener->max_message_bytes = (uint64_t)atoll(value + 5);
    else
        listener->max_recipients = (unsigned)atoi(strchr(value, ' ') + 1);
}

/* "client 2": so many messages and recipients of each client in an hour; also user, sender. */
static void set_share(struct play *p, const char *value)
{
    struct settings *s = &p->rig.settings;
    unsigned most = (unsigned)atoi(strchr(value, ' ') + 1);
    struct error *err = p->rig.host.rates ? NULL : rates_open(-1, &p->rig.host.rates);

    assert_null(err);
    if (value[0] == 'c')
        s->max_messages_per_client = s->max_recipients_per_client = most;
    else if (value[0] == 'u')
        s->max_messages_per_user = s->max_recipients_per_user = most;
    else
        s->max_messages_per_sender = s->max_recipients_per_sender = most;
}

static void set_normalise(struct play *p, const char *value)
{
    struct network_list *networks = &p->rig.settings.listeners[0].normalise_from;

    ensure(network_parse(span_of(value), &networks->items[networks->count++]));
}

static void set_complete(struct play *p, const char *value)
{
    snprintf(p->rig.settings.origin, sizeof(p->rig.settings.origin), "%s", value);
    p->rig.settings.listeners[0].complete_addresses = SWITCH_ON;
}

static void set_remove(struct play *p, const char *value)
{
    struct field_names *names = &p->rig.settings.listeners[0].remove_headers;

    snprintf(names->items[names->count++], SETTINGS_FIELD_NAME_SIZE, "%s", value);
}

static void set_hops(struct play *p, const char *value)
{
    p->rig.settings.received_hops_max = (unsigned)atoi(value);
}

static void set_client(struct play *p, const char *value)
{
    snprintf(p->client, sizeof(p->client), "%s", value);
}

/* Our own domain, and the file of its mailboxes; "-": it has not come yet. */
static void set_own(struct play *p, const char *value)
{
    struct domain_list *domains = &p->rig.settings.listeners[0].relay_to;
    const char *mailboxes = strchr(value, ' ');
    struct settings_errors errors;

    ensure(mailboxes != NULL);
    memset(domains, 0, sizeof(*domains));
    memcpy(domains->text, value, (size_t)(mailboxes - value));
    domains->count = 1;
    mailbox_set_free(&p->rig.place.recipients);
    if (strcmp(mailboxes, " -") == 0)
        return;
    settings_errors_init(&errors);
    ensure(mailbox_set_parse(span_of(mailboxes), "recipients", &errors, &p->rig.place.recipients));
    settings_errors_clear(&errors);
}

static void set_xclient_from(struct play *p, const char *value)
{
    struct network_list *list = &p->rig.settings.listeners[0].xclient_from;

    assert_true(network_parse(span_of(value), &list->items[list->count]));
    list->count++;
}

/* Our own domain, whose next hop is asked; and what it says. */
static void set_verify(struct play *p, const char *value)
{
    struct listener_settings *l = &p->rig.settings.listeners[0];

    memset(&l->relay_to, 0, sizeof(l->relay_to));
    strcpy(l->relay_to.text, value);
    l->relay_to.count = 1;
    l->verify_recipients = VERIFY_NEXT_HOP;
}

static void set_probe(struct play *p, const char *value)
{
    (void)p;
    fake_queue.probed = strcmp(value, "taken") == 0     ? PROBE_TAKEN
                        : strcmp(value, "refused") == 0 ? PROBE_REFUSED
                                                        : PROBE_UNDECIDED;
}

/* One rule, as in the configuration. */
static void set_rule(const char *name, const char *value, struct client_rules *out, size_t offset)
{
    static struct settings settings;
    struct settings_errors errors;
    char text[400];

    snprintf(text, sizeof(text), "%s = [ \"%s\" ];", name, value);
    settings_errors_init(&errors);
    ensure(settings_parse(span_of(text), "dialogue", &settings, &errors));
    settings_errors_clear(&errors);
    memcpy(out, (const char *)&settings + offset, sizeof(*out));
}

static void set_sender_rules(struct play *p, const char *value)
{
    set_rule("sender-rules", value, &p->rig.settings.sender_rules,
             offsetof(struct settings, sender_rules));
}

static void set_recipient_rules(struct play *p, const char *value)
{
    set_rule("recipient-rules", value, &p->rig.settings.recipient_rules,
             offsetof(struct settings, recipient_rules));
}

static void set_drain(struct play *p, const char *value)
{
    (void)value;
    rig_settle(&p->rig);
    session_host_drain(&p->rig.host);
}

static const struct {
    const char *name;
    void (*set)(struct play *p, const char *value);
} facts[] = {
    { "client", set_client }, /* its address; before the first line */
    { "queue", set_queue },   /* up, away, full */
    { "answer", set_answer }, /* done, full, trouble, lost */
    { "window", set_window }, /* octets of credit */
    { "max-size", set_size }, /* octets */
    { "max-recipients", set_recipients },
    { "max-hops", set_hops },
    { "max-line", set_line },
    { "normalise", set_normalise }, /* a network */
    { "complete", set_complete },   /* the origin */
    { "remove", set_remove },       /* a field's name */
    { "max-errors", set_errors },
    { "max-idle", set_idle },
    { "listener", set_listener },
    { "share", set_share },
    { "own", set_own }, /* domain, its mailbox */
    { "xclient-from", set_xclient_from },
    { "verify", set_verify }, /* domain */
    { "probe", set_probe },   /* taken, refused, undecided */
    { "sender-rules", set_sender_rules },
    { "recipient-rules", set_recipient_rules },
    { "drain", set_drain },
};

static void take_fact(struct play *p, char *text)
{
    char *value = strchr(text, ' ');

    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
        if (strcmp(facts[i].name, text) == 0) {
            facts[i].set(p, value ? value : "");
            return;
        }
    fail_at(p, "fact", "a known one", text);
}

/* --- voices */

static char unescape(const char **at)
{
    char c = *(*at)++;

    if (c != '\\')
        return c;
    c = *(*at)++;
    if (c == 'r')
        return '\r';
    if (c == 'n')
        return '\n';
    if (c == '0')
        return '\0';
    if (c == 'x') {
        char hex[3] = { (*at)[0], (*at)[1], '\0' };
        *at += 2;
        return (char)strtol(hex, NULL, 16);
    }
    return c;
}

static void say(struct play *p, const char *text, bool ends_line)
{
    char room[8192];
    size_t len = 0;

    while (*text && len < sizeof(room) - 2)
        room[len++] = unescape(&text);
    if (ends_line) {
        room[len++] = '\r';
        room[len++] = '\n';
    }
    rig_say_bytes(&p->rig, (struct span){ room, len });
}

static bool fits(const char *expected, const char *got)
{
    size_t len = strlen(expected);

    if (!got)
        return false;
    if (len > 0 && expected[len - 1] == '*')
        return strncmp(expected, got, len - 1) == 0;
    return strcmp(expected, got) == 0;
}

static void hear(struct play *p, const char *expected)
{
    const char *got = rig_hear(&p->rig);

    if (!fits(expected, got))
        fail_at(p, "reply", expected, got);
}

/* A multi-line reply, whatever its number of lines. */
static void hear_all(struct play *p, const char *expected)
{
    do
        hear(p, expected);
    while (p->rig.line[3] == '-');
}

/* The message behind its trace field, which takes as many lines as begin with a tab, and one. */
static void skip_trace(struct play *p)
{
    struct span content = buf_span(&fake_queue.content);
    size_t at = 0;

    do
        at += span_find(span_from(content, at), '\n') + 1;
    while (at < content.len && content.data[at] == '\t');
    p->content_at = at;
}

static void see_content(struct play *p, const char *expected)
{
    char got[4096];

    rig_settle(&p->rig);
    if (p->content_at == 0)
        skip_trace(p);
    struct span rest = span_from(buf_span(&fake_queue.content), p->content_at);
    size_t len = span_find(rest, '\n');
    p->content_at += len + 1;
    if (len == rest.len || len == 0 || !span_to_string(span_first(rest, len - 1), got, sizeof(got)))
        fail_at(p, "content", expected, NULL);
    if (!fits(expected, got))
        fail_at(p, "content", expected, got);
}

/* --- one line of a transcript */

static char *after_blank(char *text)
{
    return *text == ' ' ? text + 1 : text;
}

static void open_if_needed(struct play *p)
{
    if (p->is_open)
        return;
    p->is_open = true;
    rig_open(&p->rig, p->client);
}

static void play_voice(struct play *p, char *text)
{
    char voice = text[0];
    long times = 1;
    char *rest = text + 1;

    if (*rest == '*')
        times = strtol(rest + 1, &rest, 10);
    bool has_more_lines = *rest == '+';
    if (has_more_lines)
        rest++;
    bool ends_line = *rest == ':';
    if (!ends_line && *rest != '>')
        fail_at(p, "transcript", "C: C> S: M:", text);
    rest = after_blank(rest + 1);
    for (long i = 0; i < times; i++) {
        if (voice == 'C')
            say(p, rest, ends_line);
        else if (voice == 'S' && has_more_lines)
            hear_all(p, rest);
        else if (voice == 'S')
            hear(p, rest);
        else
            see_content(p, rest);
    }
}

static void play_line(struct play *p, char *text)
{
    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0' || text[0] == '#')
        return;
    if (text[0] == '@') {
        take_fact(p, after_blank(text + 1));
        return;
    }
    open_if_needed(p);
    if (strcmp(text, "closed") == 0) {
        if (!rig_is_closed(&p->rig))
            fail_at(p, "connection", "closed", p->rig.hung_up ? p->rig.line : "open");
        return;
    }
    if (strchr("CSM", text[0]))
        play_voice(p, text);
    else
        fail_at(p, "transcript", "a voice", text);
}

static void play_transcript(void **state)
{
    struct play p = { .file = *state, .client = "192.0.2.7" };
    char text[8192];
    FILE *file = fopen(p.file, "r");

    assert_non_null(file);
    rig_init(&p.rig);
    while (fgets(text, sizeof(text), file)) {
        p.line++;
        play_line(&p, text);
    }
    fclose(file);
    if (p.is_open && !p.rig.hung_up && buf_len(&p.rig.heard) > 0)
        fail_at(&p, "end", "nothing more", p.rig.line);
    rates_close(&p.rig.host.rates);
    rig_close(&p.rig);
}

/* The title: the first line without its "# ". */
static char *title_of(const char *path)
{
    char text[256] = "";
    FILE *file = fopen(path, "r");

    if (!file || !fgets(text, sizeof(text), file) || strncmp(text, "# ", 2) != 0)
        snprintf(text, sizeof(text), "# %s has no title", path);
    if (file)
        fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return memory_copy_text(text + 2);
}

int main(void)
{
    glob_t found;

    if (glob("tests/dialogue/smtpd-*.smtp", 0, NULL, &found) != 0) {
        fprintf(stderr, "no transcripts\n");
        return 1;
    }
    struct CMUnitTest *tests = memory_new_array(found.gl_pathc, sizeof(*tests));
    char **titles = memory_new_array(found.gl_pathc, sizeof(*titles));
    for (size_t i = 0; i < found.gl_pathc; i++) {
        titles[i] = title_of(found.gl_pathv[i]);
        tests[i] = (struct CMUnitTest){ titles[i], play_transcript, NULL, NULL, found.gl_pathv[i] };
    }
    int status = _cmocka_run_group_tests("smtpd_dialogue", tests, found.gl_pathc, NULL, NULL);
    for (size_t i = 0; i < found.gl_pathc; i++)
        free(titles[i]);
    free(titles);
    free(tests);
    globfree(&found);
    return status;
}
