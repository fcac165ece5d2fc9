#include "supervisor/tlsrpt_read.h"

#include "lib/base/buf.h"
#include "supervisor/asking.h"
#include "supervisor/print.h"
#include "supervisor/tlsrpt_read_text.h"
#include "tlsrpt/reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* As for any wrong command line: a file that is no report is no answer to the question. */
enum { EXIT_UNREADABLE = EXIT_WRONG_USAGE, PIECE = 64 * 1024 };

/* All of it, as far as `text` has room. */
static struct error *read_stream(FILE *in, struct buf *text)
{
    size_t room;
    size_t len;
    char *at;

    do {
        at = buf_reserve(text, PIECE, &room);
        if (!at)
            return error_new(ERROR_PERMANENT, "it is larger than %d MiB", READER_INPUT_MAX >> 20);
        len = fread(at, 1, PIECE, in);
        buf_commit(text, len);
    } while (len > 0);
    return ferror(in) ? error_errno(ERROR_LOCAL, errno, "read") : NULL;
}

static struct error *read_input(const char *name, struct buf *text)
{
    struct error *err;
    FILE *in;

    if (strcmp(name, "-") == 0)
        return read_stream(stdin, text);
    in = fopen(name, "re");
    if (!in)
        return error_errno(ERROR_LOCAL, errno, "open");
    err = read_stream(in, text);
    fclose(in);
    return err;
}

static struct error *read_report(const char *name, struct json **out)
{
    struct buf text;
    struct error *err;

    buf_init(&text, READER_INPUT_MAX + PIECE);
    err = read_input(name, &text);
    if (!err)
        err = reader_read(buf_span(&text), out);
    buf_clear(&text);
    return err;
}

static int refuse(const char *name, struct error *err)
{
    fputs("waxseal: ", stderr);
    print_safe(strcmp(name, "-") == 0 ? SPAN("the standard input") : span_of(name), stderr);
    fputs(": ", stderr);
    print_safe(span_of(error_text(err)), stderr);
    fputc('\n', stderr);
    error_free(&err);
    return EXIT_UNREADABLE;
}

int tlsrpt_run_read(const struct invocation *i)
{
    struct json *told = NULL;
    struct error *err = read_report(i->operand, &told);
    bool is_well;

    if (err)
        return refuse(i->operand, err);
    if (i->json)
        print_json(told, stdout);
    else
        tlsrpt_read_tell(told, stdout);
    is_well = reader_is_well(told);
    json_free(&told);
    return asking_tell(NULL) == EXIT_DONE && is_well ? EXIT_DONE : EXIT_FAILED;
}
