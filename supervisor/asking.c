#include "supervisor/asking.h"

#include "lib/base/memory.h"
#include "supervisor/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list is fetched page by page, for a queue may be long. */
#define PAGE_ROWS "500"
#define SUMMARY_ROWS "5000"
enum { ANSWER_MAX = 16 * 1024 * 1024, PAGE_PLACE_SIZE = 512, ARGUMENTS_MAX = 40 };

bool asking_run_dir(const struct invocation *i, char run_dir[SETTINGS_PATH_SIZE])
{
    struct settings *s = settings_new();
    struct settings_errors errors;
    bool fine;

    settings_errors_init(&errors);
    fine = settings_load(i->config, s, &errors);
    if (fine)
        memcpy(run_dir, s->run_dir, SETTINGS_PATH_SIZE);
    else
        fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_span(&errors.text)));
    settings_errors_clear(&errors);
    settings_free(&s);
    return fine;
}

/* --- asking ---------------------------------------------------------------------------------- */

struct arguments {
    struct client_argument all[ARGUMENTS_MAX];
    size_t count;
};

static void add(struct arguments *arguments, const char *name, const char *value)
{
    if (!value)
        return;
    ensure(arguments->count < ARGUMENTS_MAX);
    arguments->all[arguments->count++] = (struct client_argument){ name, value };
}

struct error *asking_pieces(const struct asking *asking, client_piece_fn *on_piece, void *ctx)
{
    const struct invocation *i = asking->invocation;
    const struct command_option *options;
    size_t option_count = command_options(&options);
    struct arguments arguments = { .count = 0 };

    if (i->command->argument)
        add(&arguments, i->command->argument, i->operand);
    add(&arguments, "all", i->all ? "yes" : NULL);
    for (size_t n = 0; n < option_count; n++)
        if (options[n].argument)
            add(&arguments, options[n].argument, i->values[n]);
    for (size_t n = 0; n < asking->more_count; n++)
        add(&arguments, asking->more[n].name, asking->more[n].value);
    return client_ask(asking->run_dir, asking->verb ? asking->verb : i->command->words,
                      arguments.all, arguments.count,
                      asking->wait_ms > 0 ? asking->wait_ms : CLIENT_WAIT_MS, on_piece, ctx);
}

static void on_piece_for_programs(void *ctx, struct span piece)
{
    char *last = ctx;

    fwrite(piece.data, 1, piece.len, stdout);
    if (piece.len > 0)
        *last = piece.data[piece.len - 1];
}

static void on_piece_for_people(void *ctx, struct span piece)
{
    struct buf *answer = ctx;

    if (!buf_append(answer, piece)) {
        fputs("waxseal: the answer is too long to be shown; use --json\n", stderr);
        exit(EXIT_FAILED);
    }
}

struct error *asking_json(const struct asking *asking, struct json **out)
{
    struct buf answer;

    buf_init(&answer, ANSWER_MAX);
    struct error *err = asking_pieces(asking, on_piece_for_people, &answer);
    if (!err)
        err = json_parse(buf_span(&answer), out);
    buf_clear(&answer);
    return err;
}

/* --- lists ----------------------------------------------------------------------------------- */

/* A list on its way to the output. */
struct showing {
    const struct asking *asking;
    char next[PAGE_PLACE_SIZE]; /* where the next page begins; empty behind the last */
    size_t shown;
    bool is_array; /* for programs, and its beginning is out */
};

/* What a page calls its rows depends on what they are. */
static const struct json *rows_of(const struct json *page)
{
    static const char *const names[] = { "messages", "hops", "hosts", "policies" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (json_get(page, names[i]))
            return json_get(page, names[i]);
    return NULL;
}

static void write_row(const struct json *row, bool is_first)
{
    struct buf text;

    buf_init(&text, ANSWER_MAX);
    ensure(json_write(row, JSON_ON_ONE_LINE, &text));
    fputs(is_first ? "" : ",\n", stdout);
    fwrite(buf_span(&text).data, 1, buf_len(&text), stdout);
    buf_clear(&text);
}

static void show_rows(struct showing *s, const struct json *rows)
{
    if (!s->asking->invocation->json) {
        print_rows(rows, s->shown == 0, stdout);
    } else {
        fputs(s->is_array ? "" : "[", stdout);
        s->is_array = true;
        for (size_t n = 0; n < json_count(rows); n++)
            write_row(json_item(rows, n), s->shown + n == 0);
    }
    s->shown += json_count(rows);
}

static struct error *show_page(struct showing *s, const char *limit)
{
    struct client_argument place[] = { { "limit", limit },
                                       { "after", s->next[0] != '\0' ? s->next : NULL } };
    struct asking page_of = *s->asking;
    struct json *page = NULL;

    page_of.more = place;
    page_of.more_count = 2;
    struct error *err = asking_json(&page_of, &page);
    if (err)
        return err;
    show_rows(s, rows_of(page));
    if (!span_to_string(json_text(json_get(page, "next")), s->next, PAGE_PLACE_SIZE))
        s->next[0] = '\0';
    json_free(&page);
    return NULL;
}

struct error *asking_show_first(const struct asking *asking, const char *rows)
{
    struct showing s = { .asking = asking };
    struct error *err = show_page(&s, rows);

    while (!err && s.next[0] != '\0' && s.shown == 0)
        err = show_page(&s, rows); /* a filter that matches little */
    return err;
}

struct error *asking_show_list(const struct asking *asking)
{
    const struct invocation *i = asking->invocation;
    bool is_summary = strcmp(i->command->words, "queue summary") == 0;
    struct showing s = { .asking = asking };
    struct error *err = NULL;

    do {
        err = show_page(&s, is_summary ? SUMMARY_ROWS : PAGE_ROWS);
    } while (!err && s.next[0] != '\0');
    if (s.is_array)
        fputs(err ? "\n" : "]\n", stdout); /* a part is not taken for all */
    if (!i->json && !err && s.shown == 0)
        printf("%s\n", i->command->if_empty);
    return err;
}

/* --- a command ------------------------------------------------------------------------------- */

static struct error *ask_for_programs(const struct asking *asking)
{
    char last = '\n';
    struct error *err = asking_pieces(asking, on_piece_for_programs, &last);

    if (last != '\n')
        fputc('\n', stdout);
    return err;
}

static struct error *show_one(const struct asking *asking)
{
    struct json *object = NULL;
    struct error *err = asking_json(asking, &object);

    if (err)
        return err;
    print_one(object, stdout);
    json_free(&object);
    return NULL;
}

static struct error *answer(const struct asking *asking)
{
    const struct invocation *i = asking->invocation;

    if (i->command->if_empty)
        return asking_show_list(asking);
    if (i->json || (i->command->options & OPTION_RAW))
        return ask_for_programs(asking);
    return show_one(asking);
}

int asking_tell(struct error *err)
{
    if (fflush(stdout) != 0 && !err)
        err = error_new(ERROR_LOCAL, "the output cannot be written");
    if (!err)
        return EXIT_DONE;
    print_trouble(error_text(err), stderr);
    error_free(&err);
    return EXIT_FAILED;
}

int asking_run(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    struct asking asking = { .invocation = i, .run_dir = run_dir };

    return asking_run_dir(i, run_dir) ? asking_tell(answer(&asking)) : EXIT_FAILED;
}
