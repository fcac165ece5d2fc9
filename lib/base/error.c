#include "lib/base/error.h"

#include "lib/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_TEXT_MAX = 1024 };

struct error {
    enum error_kind kind;
    char text[];
};

static struct error *error_with_text(enum error_kind kind, const char *text)
{
    size_t len = strlen(text);
    struct error *err = memory_new(sizeof(*err) + len + 1);

    err->kind = kind;
    memcpy(err->text, text, len + 1);
    return err;
}

/* Joins "front: back" in a line of bounded length; what does not fit is cut at the end. */
static struct error *error_joined(enum error_kind kind, const char *front, const char *back)
{
    char text[ERROR_TEXT_MAX];

    if (snprintf(text, sizeof(text), "%s: %s", front, back) >= ERROR_TEXT_MAX)
        memcpy(text + sizeof(text) - 4, "...", 4);
    return error_with_text(kind, text);
}

struct error *error_new(enum error_kind kind, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_with_text(kind, text);
}

struct error *error_errno(enum error_kind kind, int errnum, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    char reason[128];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_joined(kind, text, strerror_r(errnum, reason, sizeof(reason)));
}

struct error *error_wrap(struct error *cause, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    struct error *err;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    err = error_joined(cause->kind, text, cause->text);
    error_free(&cause);
    return err;
}

enum error_kind error_kind(const struct error *err)
{
    return err->kind;
}

const char *error_text(const struct error *err)
{
    return err->text;
}

void error_free(struct error **err)
{
    free(*err);
    *err = NULL;
}

void ensure_failed(const char *fact, const char *file, int line)
{
    fprintf(stderr, "error bug file=%s line=%d fact=\"%s\"\n", file, line, fact);
    abort();
}
