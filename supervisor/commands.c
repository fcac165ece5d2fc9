#include "supervisor/commands.h"

#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "supervisor/client.h"
#include "supervisor/print.h"
#include "supervisor/supervisor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- run, version ---------------------------------------------------------------------------- */

static int run_relay(const struct invocation *i)
{
    return supervisor_run(i->config);
}

static int run_version(const struct invocation *i)
{
    (void)i;
    printf("waxseal %s\n", WAXSEAL_VERSION);
    return EXIT_DONE;
}

/* --- questions to a running relay ------------------------------------------------------------ */

/* A list is fetched page by page, for a queue may be long. */
#define PAGE_ROWS "500"
enum { ANSWER_MAX = 16 * 1024 * 1024, PAGE_PLACE_SIZE = 320 };

static bool load_run_dir(const struct invocation *i, char run_dir[SETTINGS_PATH_SIZE])
{
    struct settings *s = memory_new(sizeof(*s));
    struct settings_errors errors;
    bool fine;

    settings_errors_init(&errors);
    fine = settings_load(i->config, s, &errors);
    if (fine)
        memcpy(run_dir, s->run_dir, SETTINGS_PATH_SIZE);
    else
        fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_span(&errors.text)));
    settings_errors_clear(&errors);
    free(s);
    return fine;
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

/* What a page calls its rows depends on what they are. */
static const struct json *rows_of(const struct json *page)
{
    const struct json *messages = json_get(page, "messages");
    const struct json *hops = json_get(page, "hops");

    if (messages)
        return messages;
    return hops ? hops : json_get(page, "hosts");
}

static struct error *ask(const struct invocation *i, const char *run_dir, const char *limit,
                         const char *after, client_piece_fn *on_piece, void *ctx)
{
    const struct client_argument arguments[] = {
        { i->command->argument ? i->command->argument : "", i->operand },
        { "all", i->all ? "yes" : NULL },
        { "day", i->day },
        { "limit", limit },
        { "after", after },
    };

    return client_ask(run_dir, i->command->words, arguments,
                      sizeof(arguments) / sizeof(arguments[0]), on_piece, ctx);
}

static struct error *ask_for_programs(const struct invocation *i, const char *run_dir)
{
    char last = '\n';
    struct error *err = ask(i, run_dir, NULL, NULL, on_piece_for_programs, &last);

    if (last != '\n')
        fputc('\n', stdout);
    return err;
}

static struct error *parse_answer(const struct buf *answer, struct json **out)
{
    struct error *err = json_parse(buf_span(answer), out);

    return err ? error_wrap(err, "the relay's answer") : NULL;
}

static struct error *ask_for_people(const struct invocation *i, const char *run_dir,
                                    const char *limit, const char *after, struct json **out)
{
    struct buf answer;
    struct error *err;

    buf_init(&answer, ANSWER_MAX);
    err = ask(i, run_dir, limit, after, on_piece_for_people, &answer);
    if (!err)
        err = parse_answer(&answer, out);
    buf_clear(&answer);
    return err;
}

/* One page; *next is where the following one begins, empty behind the last. */
static struct error *show_page(const struct invocation *i, const char *run_dir, bool is_first,
                               char next[PAGE_PLACE_SIZE])
{
    struct json *page = NULL;
    struct error *err = ask_for_people(i, run_dir, PAGE_ROWS, is_first ? NULL : next, &page);
    const struct json *rows;

    if (err)
        return err;
    rows = rows_of(page);
    if (is_first && json_count(rows) == 0)
        printf("%s\n", i->command->if_empty);
    print_rows(rows, is_first, stdout);
    if (!span_to_string(json_text(json_get(page, "next")), next, PAGE_PLACE_SIZE))
        next[0] = '\0';
    json_free(&page);
    return NULL;
}

static struct error *show_list(const struct invocation *i, const char *run_dir)
{
    char next[PAGE_PLACE_SIZE] = "";
    struct error *err = show_page(i, run_dir, true, next);

    while (!err && next[0] != '\0')
        err = show_page(i, run_dir, false, next);
    return err;
}

static struct error *show_one(const struct invocation *i, const char *run_dir)
{
    struct json *object = NULL;
    struct error *err = ask_for_people(i, run_dir, NULL, NULL, &object);

    if (err)
        return err;
    print_one(object, stdout);
    json_free(&object);
    return NULL;
}

static struct error *answer(const struct invocation *i, const char *run_dir)
{
    if (i->json || (i->command->options & OPTION_RAW))
        return ask_for_programs(i, run_dir);
    return i->command->if_empty ? show_list(i, run_dir) : show_one(i, run_dir);
}

/* Says what went wrong, writing the output included. */
static int tell(struct error *err)
{
    if (fflush(stdout) != 0 && !err)
        err = error_new(ERROR_LOCAL, "the output cannot be written");
    if (!err)
        return EXIT_DONE;
    fprintf(stderr, "waxseal: %s\n", error_text(err));
    error_free(&err);
    return EXIT_FAILED;
}

static int run_ask(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];

    return load_run_dir(i, run_dir) ? tell(answer(i, run_dir)) : EXIT_FAILED;
}

/* --- status ---------------------------------------------------------------------------------- */

static void print_word(const char *before, const struct json *word)
{
    fputs(before, stdout);
    print_safe(json_text(word), stdout);
}

static void print_for_people(const struct json *status)
{
    print_word("waxseal ", json_get(status, "version"));
    print_word(" on ", json_get(status, "hostname"));
    print_word(": ", json_get(status, "state"));
    printf(", process %" PRId64, json_number(json_get(status, "pid")));
    print_word(" since ", json_get(status, "since"));
    printf(", settings of generation %" PRId64 "\n\n", json_number(json_get(status, "generation")));
    print_rows(json_get(status, "roles"), true, stdout);
    if (json_kind_of(json_get(status, "queue")) != JSON_KIND_OBJECT)
        return;
    fputs("\nqueue\n", stdout);
    print_one(json_get(status, "queue"), stdout);
}

static bool queue_serves(const struct json *status)
{
    const struct json *roles = json_get(status, "roles");

    for (size_t at = 0; at < json_count(roles); at++) {
        const struct json *row = json_item(roles, at);
        if (span_equal(json_text(json_get(row, "role")), SPAN("queue")))
            return span_equal(json_text(json_get(row, "state")), SPAN("serving"));
    }
    return false;
}

/* What the queue holds: nothing is known while it does not run, which the roles' states tell. */
static void add_queue(const char *run_dir, struct json *status)
{
    struct json *counts = NULL;
    struct buf answer;
    struct error *err = NULL;

    json_add_null(status, "queue");
    if (!queue_serves(status))
        return;
    buf_init(&answer, ANSWER_MAX);
    err = client_ask(run_dir, "queue counts", NULL, 0, on_piece_for_people, &answer);
    if (!err)
        err = parse_answer(&answer, &counts);
    if (!err)
        json_add(status, "queue", &counts);
    error_free(&err);
    buf_clear(&answer);
}

/* The exit status tells whether all is well, so that a watchdog need not read the text. */
static int run_status(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    struct json *status = NULL;
    struct error *err;
    bool is_well;

    if (!load_run_dir(i, run_dir))
        return EXIT_FAILED;
    err = ask_for_people(i, run_dir, NULL, NULL, &status);
    if (err)
        return tell(err);
    add_queue(run_dir, status);
    if (i->json)
        print_json(status, stdout);
    else
        print_for_people(status);
    is_well = span_equal(json_text(json_get(status, "state")), SPAN("serving"));
    json_free(&status);
    return tell(NULL) == EXIT_DONE && is_well ? EXIT_DONE : EXIT_FAILED;
}

/* --- the table -------------------------------------------------------------------------------- */

/* clang-format off */
static const struct command commands[] = {
    { "run", NULL, NULL, 0, run_relay, NULL, "Runs the relay in the foreground." },
    { "check", NULL, NULL, OPTION_JSON | OPTION_LIST, check_run, NULL,
      "Checks the configuration; with --list shows every setting there is." },
    { "version", NULL, NULL, 0, run_version, NULL, "Shows the version." },
    { "status", NULL, NULL, OPTION_JSON, run_status, NULL,
      "Shows whether the relay serves, what died, and how much the queue holds." },
    { "queue list", NULL, NULL, OPTION_JSON, run_ask, "The queue is empty.",
      "Lists the recipients that wait in the queue." },
    { "queue summary", NULL, NULL, OPTION_JSON, run_ask, "The queue is empty.",
      "Shows how much waits for each next hop, by age in minutes." },
    { "queue show", "QID", "id", OPTION_JSON, run_ask, NULL,
      "Shows a message: its envelope, its recipients, and what was tried." },
    { "queue retry", "QID", "id", OPTION_JSON | OPTION_ALL, run_ask, NULL,
      "Tries a message now; with --all every message, and lifts the back-off of all hosts." },
    { "hosts", "HOST", "host", OPTION_JSON | OPTION_ANY, run_ask,
      "No connections are open, and nothing was learned.",
      "Shows how many connections MX hosts and next hops have, and what was learned of them." },
    { "hosts forget", "HOST", "host", OPTION_JSON, run_ask, NULL,
      "Forgets what was learned of an MX host or a next hop." },
    { "queue export", "DIRECTORY", NULL, 0, stopped_run_export, NULL,
      "Writes each message of a stopped relay to a file in a directory." },
    { "queue import", "DIRECTORY", NULL, 0, stopped_run_import, NULL,
      "Takes the messages of such files into the queue of a stopped relay." },
    { "queue salvage", "DIRECTORY", NULL, 0, stopped_run_salvage, NULL,
      "Takes what can be read of a damaged queue, set aside, into that of a stopped relay." },
    { "user add", "NAME", NULL, 0, user_run_add, NULL,
      "Adds a user who may log in; the password comes from the terminal or standard input." },
    { "user password", "NAME", NULL, 0, user_run_password, NULL,
      "Gives a user another password, read as for add." },
    { "user list", NULL, NULL, OPTION_JSON, user_run_list, NULL,
      "Lists the users who may log in." },
    { "user remove", "NAME", NULL, 0, user_run_remove, NULL, "Takes a user out." },
    { "policy show", "DOMAIN", "domain", OPTION_JSON, run_ask, NULL,
      "Shows the policy of a domain that is in force here." },
    { "policy refresh", "DOMAIN", "domain", OPTION_JSON, run_ask, NULL,
      "Fetches the policy of a domain anew." },
    { "tlsrpt report", "DOMAIN", "domain", OPTION_DAY | OPTION_JSON | OPTION_RAW, run_ask, NULL,
      "Prints the TLS report (RFC 8460) about a domain, of today or of --day." },
};
/* clang-format on */

size_t commands_table(const struct command **out_rows)
{
    *out_rows = commands;
    return sizeof(commands) / sizeof(commands[0]);
}
