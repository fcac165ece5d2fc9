#include "smtpd/auth/dovecot.h"

#include "lib/base/base64.h"
#include "lib/base/network.h"
#include "lib/base/utf8.h"

/* --- what Dovecot says */

/* Bytes that would end a line or a field stand behind a byte 1. */
static int unescaped(char code)
{
    switch (code) {
    case '1':
        return '\001';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    default:
        return -1; /* '0', a NUL, among them: nothing we want has one */
    }
}

static bool unescape(struct span text, char *room, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.data[i];
        if (c == '\001')
            c = ++i < text.len ? unescaped(text.data[i]) : -1;
        if (c <= 0 || len + 1 >= size)
            return false;
        room[len++] = (char)c;
    }
    room[len] = '\0';
    return true;
}

/* It stands in log lines, fields and settings: no blank in front, no control bytes. */
static bool is_fit_name(struct span name)
{
    if (name.len == 0 || name.data[0] == ' ' || !utf8_is_valid(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] < ' ' || name.data[i] == 0x7f)
            return false;
    return true;
}

static void take_user(struct dovecot_line *line, struct span value)
{
    if (!unescape(value, line->user, sizeof(line->user)) || !is_fit_name(span_of(line->user)))
        line->user[0] = '\0';
}

/* "user=ada", "temp", "code=temp_fail" and others. */
static void take_parameters(struct dovecot_line *line, struct span rest)
{
    struct span parameter;

    while (span_cut(&rest, '\t', &parameter)) {
        if (span_starts_with(parameter, SPAN("user=")))
            take_user(line, span_from(parameter, 5));
        else if (span_equal(parameter, SPAN("temp")) ||
                 span_equal(parameter, SPAN("code=temp_fail")))
            line->is_temporary = true;
    }
}

static bool cut_id(struct span *rest, struct dovecot_line *line)
{
    struct span word;
    uint64_t id;

    if (!span_cut(rest, '\t', &word) || !span_to_number(word, UINT32_MAX, &id))
        return false;
    line->id = (uint32_t)id;
    return true;
}

static enum dovecot_kind take_version(struct dovecot_line *line, struct span rest)
{
    struct span major;

    if (!span_cut(&rest, '\t', &major))
        return DOVECOT_BROKEN;
    line->is_ours = span_equal(major, SPAN("1"));
    return DOVECOT_VERSION;
}

static enum dovecot_kind take_mechanism(struct dovecot_line *line, struct span rest)
{
    return span_cut(&rest, '\t', &line->mechanism) ? DOVECOT_MECHANISM : DOVECOT_BROKEN;
}

static enum dovecot_kind take_ready(struct dovecot_line *line, struct span rest)
{
    (void)line;
    (void)rest;
    return DOVECOT_READY;
}

static enum dovecot_kind take_continue(struct dovecot_line *line, struct span rest)
{
    if (!cut_id(&rest, line))
        return DOVECOT_BROKEN;
    (void)span_cut(&rest, '\t', &line->challenge);
    return DOVECOT_CONTINUE;
}

static enum dovecot_kind take_ok(struct dovecot_line *line, struct span rest)
{
    if (!cut_id(&rest, line))
        return DOVECOT_BROKEN;
    take_parameters(line, rest);
    return DOVECOT_OK;
}

static enum dovecot_kind take_fail(struct dovecot_line *line, struct span rest)
{
    enum dovecot_kind kind = take_ok(line, rest);

    return kind == DOVECOT_OK ? DOVECOT_FAIL : kind;
}

static const struct {
    struct span word;
    enum dovecot_kind (*take)(struct dovecot_line *line, struct span rest);
} words[] = {
    { { "VERSION", 7 }, take_version }, { { "MECH", 4 }, take_mechanism },
    { { "DONE", 4 }, take_ready },      { { "CONT", 4 }, take_continue },
    { { "OK", 2 }, take_ok },           { { "FAIL", 4 }, take_fail },
};

struct dovecot_line dovecot_parse(struct span line)
{
    struct dovecot_line parsed = { .kind = DOVECOT_OTHER };
    struct span word;

    if (!span_cut(&line, '\t', &word) || word.len == 0) {
        parsed.kind = DOVECOT_BROKEN;
        return parsed;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_equal(word, words[i].word))
            parsed.kind = words[i].take(&parsed, line);
    return parsed;
}

/* --- what we say */

void dovecot_put_hello(struct buf *out, unsigned process)
{
    ensure(buf_printf(out, "VERSION\t1\t1\nCPID\t%u\n", process));
}

/* Room for the words in front of a response. */
enum { WORDS_MAX = 256, RESPONSE_MAX = (DOVECOT_LINE_MAX - WORDS_MAX) / 4 * 3 };

static bool put_response(struct buf *out, const char *name, struct span response)
{
    return buf_printf(out, "\t%s", name) && base64_encode(response, out);
}

/*
 * AUTH comes only inside TLS, and nobody logs in to Dovecot himself.  Failures are counted and
 * slowed down by us, so that Dovecot does not do that once more.  `resp` has to be the last.
 */
bool dovecot_put_begin(struct buf *out, uint32_t id, const char *mechanism, const char *client,
                       const struct span *response)
{
    struct ip_address address;
    char text[NETWORK_TEXT_SIZE] = "";

    if (response && response->len > RESPONSE_MAX)
        return false;
    if (ip_address_parse(span_of(client), &address))
        ip_address_format(&address, text);
    ensure(buf_printf(out, "AUTH\t%u\t%s\tservice=smtp\tnologin\tno-penalty\tsecured%s%s", id,
                      mechanism, text[0] != '\0' ? "\trip=" : "", text));
    ensure(!response || put_response(out, "resp=", *response));
    ensure(buf_append(out, SPAN("\n")));
    return true;
}

bool dovecot_put_continue(struct buf *out, uint32_t id, struct span response)
{
    if (response.len > RESPONSE_MAX)
        return false;
    ensure(buf_printf(out, "CONT\t%u", id) && put_response(out, "", response) &&
           buf_append(out, SPAN("\n")));
    return true;
}

void dovecot_put_cancel(struct buf *out, uint32_t id)
{
    ensure(buf_printf(out, "CANCEL\t%u\n", id));
}
