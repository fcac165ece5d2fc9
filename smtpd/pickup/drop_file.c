#include "smtpd/pickup/drop_file.h"

#include "lib/base/limits.h"
#include "lib/base/random.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert((int)DROP_COMMAND_MAX + 2 == (int)SMTP_COMMAND_MAX, "what a session takes");

#define FORM "waxseal-drop 1 "

void drop_name_new(char name[DROP_NAME_LEN + 1])
{
    uint64_t secret[2];

    random_bytes(secret, sizeof(secret));
    snprintf(name, DROP_NAME_LEN + 1, "m%016" PRIx64 "%016" PRIx64, secret[0], secret[1]);
}

static bool is_name_with(struct span name, char first)
{
    if (name.len != DROP_NAME_LEN || name.data[0] != first)
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!ascii_is_digit(name.data[i]) && (name.data[i] < 'a' || name.data[i] > 'f'))
            return false;
    return true;
}

bool drop_name_is_whole(struct span name)
{
    return is_name_with(name, 'm');
}

bool drop_name_is_unfinished(struct span name)
{
    return is_name_with(name, 't');
}

const char *drop_fault_name(enum drop_fault fault)
{
    static const char *const names[] = {
        [DROP_FINE] = "fine",
        [DROP_NOT_OURS] = "another form",
        [DROP_FOREIGN_NAME] = "another file's content",
        [DROP_BAD_SIZE] = "bad size",
        [DROP_BAD_COMMAND] = "bad command",
        [DROP_NO_RECIPIENT] = "no recipient",
        [DROP_CUT] = "cut short",
    };

    return names[fault];
}

/* Takes a line with its LF off the front; false when there is none. */
static bool take_line(struct span *rest, struct span *out_line)
{
    size_t end = span_find(*rest, '\n');

    if (end == rest->len)
        return false;
    *out_line = span_first(*rest, end);
    *rest = span_from(*rest, end + 1);
    return true;
}

/* One command a line, and nothing that could end it before its end. */
static bool is_command(struct span line, struct span verb)
{
    if (line.len > DROP_COMMAND_MAX || !span_starts_with(line, verb))
        return false;
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f)
            return false;
    return true;
}

static enum drop_fault parse_commands(struct span *rest, struct span *out_commands)
{
    struct span all = *rest, line;

    if (!take_line(rest, &line) || !is_command(line, SPAN("MAIL FROM:")))
        return DROP_BAD_COMMAND;
    for (unsigned recipients = 0;; recipients++) {
        size_t said = all.len - rest->len;
        if (!take_line(rest, &line))
            return DROP_CUT;
        if (line.len == 0) {
            *out_commands = span_first(all, said);
            return recipients > 0 ? DROP_FINE : DROP_NO_RECIPIENT;
        }
        if (!is_command(line, SPAN("RCPT TO:")))
            return DROP_BAD_COMMAND;
    }
}

enum drop_fault drop_head_parse(struct span text, const char *name, struct drop_head *out)
{
    struct span rest = text, line;
    enum drop_fault fault;

    if (!take_line(&rest, &line) || !span_starts_with(line, SPAN(FORM)))
        return DROP_NOT_OURS;
    if (!span_equal(span_from(line, sizeof(FORM) - 1), span_of(name)))
        return DROP_FOREIGN_NAME;
    if (!take_line(&rest, &line) || !span_to_number(line, INT64_MAX, &out->content_size))
        return DROP_BAD_SIZE;
    fault = parse_commands(&rest, &out->commands);
    out->len = text.len - rest.len;
    return fault;
}

bool drop_head_write(const char *name, struct span commands, uint64_t content_size, struct buf *out)
{
    size_t before = buf_len(out);

    return buf_printf(out, FORM "%s\n%" PRIu64 "\n", name, content_size) &&
           buf_append(out, commands) && buf_append(out, SPAN("\n")) &&
           buf_len(out) - before <= DROP_HEAD_MAX;
}
