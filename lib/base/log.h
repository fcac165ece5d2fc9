/*
 * log - one line an event: level, name, then keys in a fixed order (docs/logging.md lists all).
 * Lines are interfaces: renaming a key is a breaking change.  Values are encoded here, so that no
 * byte from outside can end a line or forge a key.  The one piece of process-wide state.
 *
 *     struct log_line line;
 *     log_begin(&line, LOG_INFO, "delivery");
 *     log_qid(&line, id);
 *     log_text(&line, "mx", host);
 *     log_end(&line);
 */
#ifndef WAXSEAL_BASE_LOG_H
#define WAXSEAL_BASE_LOG_H

#include "lib/base/error.h"
#include "lib/base/span.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARNING,
    LOG_ERROR, /* an administrator must act */
};

enum { LOG_LINE_MAX = 2048 };

struct log_line {
    char text[LOG_LINE_MAX];
    size_t len;
    bool wanted; /* at or above the least level */
    bool urgent; /* to be written at once */
};

/*
 * Sets where lines go (a descriptor that stays the caller's), from which level on, and the name of
 * this role, which stands in front of each line.  Before that: descriptor 2, LOG_INFO, "waxseal".
 */
void log_open(int fd, enum log_level least, const char *role);

void log_begin(struct log_line *line, enum log_level level, const char *event);
void log_text(struct log_line *line, const char *key, struct span value);
void log_string(struct log_line *line, const char *key, const char *value);
void log_number(struct log_line *line, const char *key, int64_t value);
void log_seconds(struct log_line *line, const char *key, int64_t ms);    /* "1.8s" */
void log_path(struct log_line *line, const char *key, struct span path); /* "<ada@example.net>" */
void log_qid(struct log_line *line, uint64_t id);                        /* "qid=3f9c21" */
void log_error(struct log_line *line, const struct error *err);          /* "error=..." */

/* Ends the line and keeps it in the buffer; from LOG_WARNING on the buffer is written at once. */
void log_end(struct log_line *line);

/* Writes what is kept.  The loop calls it once a turn, log_end when the buffer is full. */
void log_flush(void);

/* An event without keys, or one with an error only. */
void log_event(enum log_level level, const char *event);
void log_failure(enum log_level level, const char *event, const struct error *err);

/* A queue id as it is printed everywhere: lower-case hexadecimal without leading zeros. */
enum { QID_TEXT_SIZE = 17 };
void qid_format(uint64_t id, char text[QID_TEXT_SIZE]);
bool qid_parse(struct span text, uint64_t *out_id);

#endif
