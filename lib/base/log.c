#include "lib/base/log.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_KEPT_MAX = 64 * 1024 };

static struct {
    int fd;
    enum log_level least;
    char role[24];
    int64_t second;              /* whose time stands in `stamp` */
    char stamp[CLOCK_TEXT_SIZE]; /* made once a second, as is ... */
    char process[40];            /* ... "role[pid]": both cost more than the rest of a line */
    char kept[LOG_KEPT_MAX];
    size_t kept_len;
} the_log = { .fd = 2, .least = LOG_INFO, .role = "waxseal" };

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

void log_open(int fd, enum log_level least, const char *role)
{
    log_flush();
    the_log.fd = fd;
    the_log.least = least;
    the_log.second = 0;
    snprintf(the_log.role, sizeof(the_log.role), "%s", role);
}

/* Appends as far as it fits, keeping a byte for the line end. */
static void line_put(struct log_line *line, const char *text, size_t len)
{
    size_t room = sizeof(line->text) - 1 - line->len;

    if (len > room)
        len = room;
    if (len > 0)
        memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void line_put_text(struct log_line *line, const char *text)
{
    line_put(line, text, strlen(text));
}

PRINTF_LIKE(2, 3) static void line_printf(struct log_line *line, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len > 0)
        line_put(line, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static void make_stamp(int64_t utc_ms)
{
    if (utc_ms / SECOND_MS == the_log.second)
        return;
    the_log.second = utc_ms / SECOND_MS;
    clock_format_rfc3339(utc_ms, the_log.stamp);
    snprintf(the_log.process, sizeof(the_log.process), "%s[%d]", the_log.role, (int)getpid());
}

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
    line->len = 0;
    line->wanted = level >= the_log.least;
    line->urgent = level >= LOG_WARNING;
    if (!line->wanted)
        return;
    make_stamp(clock_utc_ms());
    line_put_text(line, the_log.stamp);
    line_put(line, " ", 1);
    line_put_text(line, level_names[level]);
    line_put(line, " ", 1);
    line_put_text(line, the_log.process);
    line_put(line, " ", 1);
    line_put_text(line, event);
}

static void put_key(struct log_line *line, const char *key)
{
    line_put(line, " ", 1);
    line_put_text(line, key);
    line_put(line, "=", 1);
}

static bool needs_quotes(struct span value)
{
    if (value.len == 0)
        return true;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=')
            return true;
    }
    return false;
}

static void put_escaped(struct log_line *line, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c == '"' || c == '\\')
            line_printf(line, "\\%c", c);
        else if (c < ' ' || c > '~')
            line_printf(line, "\\x%02x", c);
        else
            line_put(line, &value.data[i], 1);
    }
}

void log_text(struct log_line *line, const char *key, struct span value)
{
    if (!line->wanted)
        return;
    put_key(line, key);
    if (!needs_quotes(value)) {
        line_put(line, value.data, value.len);
        return;
    }
    line_put(line, "\"", 1);
    put_escaped(line, value);
    line_put(line, "\"", 1);
}

void log_string(struct log_line *line, const char *key, const char *value)
{
    log_text(line, key, span_of(value));
}

void log_number(struct log_line *line, const char *key, int64_t value)
{
    if (line->wanted)
        line_printf(line, " %s=%" PRId64, key, value);
}

void log_seconds(struct log_line *line, const char *key, int64_t ms)
{
    if (line->wanted)
        line_printf(line, " %s=%" PRId64 ".%ds", key, ms / 1000, (int)(ms % 1000 / 100));
}

/* How much of it may be shown as it is. */
static size_t plain_in_path(struct span path)
{
    size_t i = 0;

    while (i < path.len && path.data[i] > ' ' && path.data[i] <= '~' && path.data[i] != '<' &&
           path.data[i] != '>' && path.data[i] != '"' && path.data[i] != '\\')
        i++;
    return i;
}

/* A quoted local-part may hold what ends a path and begins a key. */
void log_path(struct log_line *line, const char *key, struct span path)
{
    if (!line->wanted)
        return;
    put_key(line, key);
    line_put(line, "<", 1);
    for (;;) {
        size_t plain = plain_in_path(path);
        line_put(line, path.data, plain);
        if (plain == path.len)
            break;
        line_printf(line, "\\x%02x", (unsigned char)path.data[plain]);
        path = span_from(path, plain + 1);
    }
    line_put(line, ">", 1);
}

void log_qid(struct log_line *line, uint64_t id)
{
    char text[QID_TEXT_SIZE];

    qid_format(id, text);
    log_string(line, "qid", text);
}

void log_error(struct log_line *line, const struct error *err)
{
    log_string(line, "error", error_text(err));
}

void log_flush(void)
{
    const char *next = the_log.kept;

    while (the_log.kept_len > 0) {
        ssize_t put = write(the_log.fd, next, the_log.kept_len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break; /* nowhere to say it */
        next += put;
        the_log.kept_len -= (size_t)put;
    }
    the_log.kept_len = 0;
}

void log_end(struct log_line *line)
{
    if (!line->wanted)
        return;
    line->text[line->len++] = '\n';
    if (line->len > sizeof(the_log.kept) - the_log.kept_len)
        log_flush();
    memcpy(the_log.kept + the_log.kept_len, line->text, line->len);
    the_log.kept_len += line->len;
    if (line->urgent)
        log_flush();
}

void log_event(enum log_level level, const char *event)
{
    struct log_line line;

    log_begin(&line, level, event);
    log_end(&line);
}

void log_failure(enum log_level level, const char *event, const struct error *err)
{
    struct log_line line;

    log_begin(&line, level, event);
    log_error(&line, err);
    log_end(&line);
}

void qid_format(uint64_t id, char text[QID_TEXT_SIZE])
{
    size_t digits = 1;

    while (digits < QID_TEXT_SIZE - 1 && id >> (4 * digits) != 0)
        digits++;
    text[digits] = '\0';
    for (; digits > 0; id >>= 4)
        text[--digits] = "0123456789abcdef"[id & 15];
}

bool qid_parse(struct span text, uint64_t *out_id)
{
    uint64_t id = 0;

    if (text.len == 0 || text.len >= QID_TEXT_SIZE)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        int digit = ascii_hex_value(c);
        if (digit < 0 || c != ascii_lower(c))
            return false;
        id = id << 4 | (uint64_t)digit;
    }
    *out_id = id;
    return true;
}
