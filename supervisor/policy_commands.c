/* policy_commands - waxseal policy drop, export, import, and what status says of policies. */
#include "supervisor/policy_commands.h"

#include "lib/base/memory.h"
#include "supervisor/asking.h"
#include "supervisor/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS "500"
enum {
    LINE_BYTES_MAX = 512 * 1024, /* of one policy: 64 KiB, escaped */
    PLACE_SIZE = 512,
    REASON_MAX = 300, /* as for changes of the queue */
};

/* --- drop ------------------------------------------------------------------------------------ */

int policy_run_drop(const struct invocation *i)
{
    const char *reason = command_value(i, "--reason");

    if (!reason || reason[strcspn(reason, "\r\n")] != '\0' || strlen(reason) > REASON_MAX ||
        reason[strspn(reason, " ")] == '\0') {
        fprintf(stderr, "waxseal: say why: --reason TEXT, one line of at most %d bytes\n",
                REASON_MAX);
        return EXIT_WRONG_USAGE;
    }
    return asking_run(i);
}

/* --- export ---------------------------------------------------------------------------------- */

static void write_line(const struct json *row)
{
    struct buf text;

    buf_init(&text, LINE_BYTES_MAX);
    ensure(json_write(row, JSON_ON_ONE_LINE, &text));
    fwrite(buf_span(&text).data, 1, buf_len(&text), stdout);
    fputc('\n', stdout);
    buf_clear(&text);
}

/* One page; `place` says where the next one begins, and is empty behind the last. */
static struct error *export_page(const struct asking *asking, char place[PLACE_SIZE])
{
    const struct client_argument more[] = { { "limit", PAGE_ROWS },
                                            { "after", place[0] != '\0' ? place : NULL } };
    struct asking page_of = *asking;
    struct json *page = NULL;

    page_of.more = more;
    page_of.more_count = 2;
    struct error *err = asking_json(&page_of, &page);
    if (err)
        return err;
    const struct json *rows = json_get(page, "policies");
    for (size_t i = 0; i < json_count(rows); i++)
        write_line(json_item(rows, i));
    if (!span_to_string(json_text(json_get(page, "next")), place, PLACE_SIZE))
        place[0] = '\0';
    json_free(&page);
    return NULL;
}

int policy_run_export(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    char place[PLACE_SIZE] = "";
    const struct asking asking = { .invocation = i, .run_dir = run_dir };
    struct error *err;

    if (!asking_run_dir(i, run_dir))
        return EXIT_FAILED;
    do
        err = export_page(&asking, place);
    while (!err && place[0] != '\0');
    return asking_tell(err);
}

/* --- import ---------------------------------------------------------------------------------- */

struct import {
    struct asking asking;
    uint64_t line;
    uint64_t imported;
    uint64_t left; /* with a reason */
};

static void tell_left(const struct import *import, const struct json *result)
{
    struct span domain = json_text(json_get(result, "domain"));

    fprintf(stderr, "waxseal: line %" PRIu64 ": not imported: ", import->line);
    print_safe(domain, stderr);
    fputs(domain.len > 0 ? ": " : "", stderr);
    print_safe(json_text(json_get(result, "reason")), stderr);
    fputc('\n', stderr);
}

static struct error *import_line(struct import *import, const char *line)
{
    const struct client_argument more = { "entry", line };
    struct asking asking = import->asking;
    struct json *result = NULL;

    asking.more = &more;
    asking.more_count = 1;
    struct error *err = asking_json(&asking, &result);
    if (err)
        return error_wrap(err, "line %" PRIu64, import->line);
    if (json_bool(json_get(result, "imported"))) {
        import->imported++;
    } else {
        import->left++;
        tell_left(import, result);
    }
    json_free(&result);
    return NULL;
}

/* Reads a line without its end; false at the end of the input. */
static struct error *read_line(struct import *import, char *room, bool *out_more)
{
    *out_more = fgets(room, LINE_BYTES_MAX, stdin) != NULL;
    if (!*out_more)
        return ferror(stdin) ? error_errno(ERROR_LOCAL, errno, "standard input") : NULL;
    import->line++;
    size_t len = strcspn(room, "\n");
    if (room[len] == '\0' && !feof(stdin))
        return error_new(ERROR_PERMANENT, "line %" PRIu64 " is too long for a policy",
                         import->line);
    room[len] = '\0';
    return NULL;
}

static struct error *import_all(struct import *import)
{
    char *room = memory_new(LINE_BYTES_MAX);
    bool more = true;
    struct error *err = NULL;

    while (!err && more) {
        err = read_line(import, room, &more);
        if (!err && more && room[0] != '\0')
            err = import_line(import, room);
    }
    free(room);
    return err;
}

int policy_run_import(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    struct import import = { .asking = { .invocation = i, .run_dir = run_dir } };

    if (!asking_run_dir(i, run_dir))
        return EXIT_FAILED;
    struct error *err = import_all(&import);
    printf("%" PRIu64 " policies imported, %" PRIu64 " not\n", import.imported, import.left);
    return asking_tell(err);
}

/* --- status ---------------------------------------------------------------------------------- */

void policy_print_counts(const struct json *counts, FILE *out)
{
    void *cursor = NULL;
    const struct json *value;
    const char *key;

    while ((value = json_next(counts, &cursor, &key)))
        if (json_kind_of(value) == JSON_KIND_NUMBER)
            fprintf(out, "%s: %" PRId64 "\n", key, json_number(value));
    print_rows(json_get(counts, "alarms"), true, out);
}
