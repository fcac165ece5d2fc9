#include "supervisor/commands.h"

#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "supervisor/client.h"
#include "supervisor/handover.h"
#include "supervisor/print.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_PATH "/etc/waxseal/waxseal.conf"

/* Options beyond --help and --config that a command knows; RAW: the answer is JSON in any case. */
enum { OPTION_JSON = 1, OPTION_ALL = 2, OPTION_LIST = 4, OPTION_DAY = 8, OPTION_RAW = 16 };

enum operand { OPERAND_NONE, OPERAND_QID, OPERAND_DOMAIN };

static const struct operand_words {
    const char *written; /* in the usage */
    const char *name;    /* of the argument in the request */
} operand_words[] = {
    [OPERAND_NONE] = { "", NULL },
    [OPERAND_QID] = { " QID", "id" },
    [OPERAND_DOMAIN] = { " DOMAIN", "domain" },
};

struct command {
    const char *words; /* also the verb of the request */
    enum operand operand;
    unsigned options;
    int (*run)(const struct invocation *invocation);
    const char *if_empty; /* lists only: what to say when there is nothing */
    const char *sentence;
};

static int run_relay(const struct invocation *i);
static int run_check(const struct invocation *i);
static int run_version(const struct invocation *i);
static int run_ask(const struct invocation *i);

/* clang-format off */
static const struct command commands[] = {
    { "run", OPERAND_NONE, 0, run_relay, NULL, "Runs the relay in the foreground." },
    { "check", OPERAND_NONE, OPTION_JSON | OPTION_LIST, run_check, NULL,
      "Checks the configuration; with --list shows every setting there is." },
    { "version", OPERAND_NONE, 0, run_version, NULL, "Shows the version." },
    { "queue list", OPERAND_NONE, OPTION_JSON, run_ask, "The queue is empty.",
      "Lists the recipients that wait in the queue." },
    { "queue show", OPERAND_QID, OPTION_JSON, run_ask, NULL,
      "Shows a message: its envelope, its recipients, and what was tried." },
    { "queue retry", OPERAND_QID, OPTION_JSON | OPTION_ALL, run_ask, NULL,
      "Tries a message now; with --all every message, and lifts the back-off of all hosts." },
    { "policy show", OPERAND_DOMAIN, OPTION_JSON, run_ask, NULL,
      "Shows the policy of a domain that is in force here." },
    { "policy refresh", OPERAND_DOMAIN, OPTION_JSON, run_ask, NULL,
      "Fetches the policy of a domain anew." },
    { "tlsrpt report", OPERAND_DOMAIN, OPTION_DAY | OPTION_JSON | OPTION_RAW, run_ask, NULL,
      "Prints the TLS report (RFC 8460) about a domain, of today or of --day." },
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- help ------------------------------------------------------------------------------------ */

static void print_usage(const struct command *c, FILE *out)
{
    fprintf(out, "waxseal %s%s", c->words,
            c->options & OPTION_ALL ? " QID|--all" : operand_words[c->operand].written);
    if (c->options & OPTION_DAY)
        fputs(" [--day DATE]", out);
    if (c->options & OPTION_LIST)
        fputs(" [--list]", out);
    if (c->options & OPTION_JSON)
        fputs(" [--json]", out);
    fputs(strcmp(c->words, "version") == 0 ? "\n" : " [--config FILE]\n", out);
}

static void print_help(const struct command *c)
{
    printf("Usage: ");
    print_usage(c, stdout);
    printf("\n%s\n\n", c->sentence);
    printf("  --config FILE  the configuration (default " CONFIG_PATH ")\n");
    if (c->options & OPTION_ALL)
        printf("  --all          all messages instead of one\n");
    if (c->options & OPTION_DAY)
        printf("  --day DATE     a UTC day such as 2026-01-30 instead of today\n");
    if (c->options & OPTION_LIST)
        printf("  --list         every setting: group, name, type, default, range, meaning\n");
    if (c->options & OPTION_JSON)
        printf("  --json         for programs\n");
    printf("  --help         this text\n");
}

/* All commands, or those that begin with `group`. */
static void print_overview(const char *group, FILE *out)
{
    size_t len = group ? strlen(group) : 0;

    fprintf(out, "waxseal, an outbound mail relay. Commands:\n\n");
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (len > 0 &&
            (strncmp(commands[i].words, group, len) != 0 || commands[i].words[len] != ' '))
            continue;
        fputs("  ", out);
        print_usage(&commands[i], out);
        fprintf(out, "      %s\n", commands[i].sentence);
    }
    fprintf(out, "\nEach has --help. See waxseal(8) and waxseal.conf(5).\n");
}

static int wrong_usage(const struct command *c, const char *what, const char *which)
{
    fprintf(stderr, "waxseal: %s%s%s\n", what, which ? " " : "", which ? which : "");
    if (c) {
        fputs("Usage: ", stderr);
        print_usage(c, stderr);
    } else {
        fputs("Try: waxseal --help\n", stderr);
    }
    return EXIT_WRONG_USAGE;
}

/* --- parsing --------------------------------------------------------------------------------- */

static bool is_group(const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i < COUNT(commands); i++)
        if (strncmp(commands[i].words, word, len) == 0 && commands[i].words[len] == ' ')
            return true;
    return false;
}

static const struct command *find_command(const char *first, const char *second)
{
    char words[64];

    snprintf(words, sizeof(words), "%s%s%s", first, second ? " " : "", second ? second : "");
    for (size_t i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i].words, words) == 0)
            return &commands[i];
    return NULL;
}

/* A flag that this command knows. */
static bool take_flag(struct invocation *i, const char *word)
{
    const struct {
        const char *name;
        unsigned option; /* 0: every command has it */
        bool *flag;
    } flags[] = { { "--help", 0, &i->help },
                  { "--json", OPTION_JSON, &i->json },
                  { "--all", OPTION_ALL, &i->all },
                  { "--list", OPTION_LIST, &i->list } };

    for (size_t n = 0; n < COUNT(flags); n++) {
        if (strcmp(word, flags[n].name) != 0)
            continue;
        if (flags[n].option != 0 && (i->command->options & flags[n].option) == 0)
            return false;
        *flags[n].flag = true;
        return true;
    }
    return false;
}

/* "--config FILE" or "--day DATE"; gives where its value goes. */
static const char **take_valued(struct invocation *i, const char *word)
{
    if (strcmp(word, "--config") == 0)
        return &i->config;
    if (strcmp(word, "--day") == 0 && (i->command->options & OPTION_DAY))
        return &i->day;
    return NULL;
}

static int parse_rest(struct invocation *i, int count, char *const words[])
{
    for (int n = 0; n < count; n++) {
        const char **value = take_valued(i, words[n]);
        if (value && n + 1 == count)
            return wrong_usage(i->command, "a value is missing behind", words[n]);
        if (value)
            *value = words[++n];
        else if (take_flag(i, words[n]))
            continue;
        else if (words[n][0] == '-')
            return wrong_usage(i->command, "there is no option", words[n]);
        else if (i->command->operand == OPERAND_NONE || i->operand)
            return wrong_usage(i->command, "this is one too many:", words[n]);
        else
            i->operand = words[n];
    }
    return EXIT_DONE;
}

static int check_operand(const struct invocation *i)
{
    bool needed = i->command->operand != OPERAND_NONE && !i->all;

    if (needed && !i->operand)
        return wrong_usage(i->command,
                           "this is missing:", operand_words[i->command->operand].written);
    if (i->all && i->operand)
        return wrong_usage(i->command, "either one message or --all, not both", NULL);
    return EXIT_DONE;
}

static int run_invocation(const struct command *c, int count, char *const words[])
{
    struct invocation i = { .command = c, .config = CONFIG_PATH };
    int status = parse_rest(&i, count, words);

    if (status != EXIT_DONE)
        return status;
    if (i.help) {
        print_help(c);
        return EXIT_DONE;
    }
    status = check_operand(&i);
    return status == EXIT_DONE ? c->run(&i) : status;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

int commands_run(int count, char *const words[])
{
    const struct command *c;
    bool group;

    if (count == 0) {
        print_overview(NULL, stderr);
        return EXIT_WRONG_USAGE;
    }
    if (asks_for_help(words[0])) {
        print_overview(NULL, stdout);
        return EXIT_DONE;
    }
    if (strcmp(words[0], "--version") == 0)
        return run_version(NULL);
    group = is_group(words[0]);
    if (group && (count == 1 || asks_for_help(words[1]))) {
        print_overview(words[0], count == 1 ? stderr : stdout);
        return count == 1 ? EXIT_WRONG_USAGE : EXIT_DONE;
    }
    c = find_command(words[0], group ? words[1] : NULL);
    if (!c)
        return wrong_usage(NULL, "there is no command", group ? words[1] : words[0]);
    return run_invocation(c, count - 1 - group, words + 1 + group);
}

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

/* --- check ----------------------------------------------------------------------------------- */

static void print_json(const struct json *value)
{
    struct buf text;

    buf_init(&text, SETTINGS_TEXT_MAX);
    ensure(json_write(value, JSON_INDENTED, &text));
    fwrite(buf_span(&text).data, 1, buf_len(&text), stdout);
    fputc('\n', stdout);
    buf_clear(&text);
}

static void list_as_json(void)
{
    struct json *rows = json_new_array();
    struct setting_row row;

    for (size_t n = 0; settings_row(n, &row); n++) {
        struct json *o = json_append_object(rows);
        json_add_string(o, "group", row.group);
        json_add_string(o, "name", row.name);
        json_add_string(o, "type", row.type);
        json_add_string(o, "default", row.default_text);
        json_add_string(o, "range", row.range_text);
        json_add_string(o, "sentence", row.sentence);
    }
    print_json(rows);
    json_free(&rows);
}

static void list_as_text(void)
{
    struct setting_row row;

    for (size_t n = 0; settings_row(n, &row); n++) {
        printf("%s%s%s (%s", row.group ? row.group : "", row.group ? ": " : "", row.name, row.type);
        if (row.range_text[0] != '\0')
            printf(", %s", row.range_text);
        if (row.default_text[0] != '\0')
            printf("; default %s", row.default_text);
        printf(")\n    %s\n", row.sentence);
    }
}

/* What a file of settings cannot tell: the files that it names. */
static void check_files(const struct invocation *i, const struct settings *s,
                        struct settings_errors *errors)
{
    struct error *err = handover_check_files(s);

    if (!err)
        return;
    settings_errors_add(errors, i->config, 1, "%s", error_text(err));
    error_free(&err);
}

static void print_errors_as_json(const struct settings_errors *errors)
{
    struct json *o = json_new_object();
    struct json *list;
    struct span rest = buf_span(&errors->text);
    struct span line;

    json_add_bool(o, "fine", errors->count == 0);
    list = json_add_array(o, "errors");
    while (span_cut(&rest, '\n', &line))
        if (line.len > 0)
            json_append_text(list, line);
    print_json(o);
    json_free(&o);
}

static void print_errors(const struct invocation *i, const struct settings_errors *errors)
{
    if (i->json)
        print_errors_as_json(errors);
    else if (errors->count == 0)
        printf("%s: everything is right\n", i->config);
    else
        fprintf(stderr, SPAN_FMT "%u wrong, nothing changed\n", SPAN_ARG(buf_span(&errors->text)),
                errors->count);
}

static int run_check(const struct invocation *i)
{
    struct settings *s = memory_new(sizeof(*s));
    struct settings_errors errors;
    int status;

    if (i->list) {
        free(s);
        if (i->json)
            list_as_json();
        else
            list_as_text();
        return EXIT_DONE;
    }
    settings_errors_init(&errors);
    if (settings_load(i->config, s, &errors))
        check_files(i, s, &errors);
    print_errors(i, &errors);
    status = errors.count == 0 ? EXIT_DONE : EXIT_FAILED;
    settings_errors_clear(&errors);
    free(s);
    return status;
}

/* --- questions to a running relay ------------------------------------------------------------ */

enum { ANSWER_MAX = 512 * 1024 * 1024 };

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
        fputs("waxseal: the answer is too long for a table; use --json\n", stderr);
        exit(EXIT_FAILED);
    }
}

static struct error *ask(const struct invocation *i, const char *run_dir, client_piece_fn *on_piece,
                         void *ctx)
{
    const struct client_argument arguments[] = {
        { operand_words[i->command->operand].name ? operand_words[i->command->operand].name : "",
          i->operand },
        { "all", i->all ? "yes" : NULL },
        { "day", i->day },
    };

    return client_ask(run_dir, i->command->words, arguments, COUNT(arguments), on_piece, ctx);
}

static struct error *ask_for_programs(const struct invocation *i, const char *run_dir)
{
    char last = '\n';
    struct error *err = ask(i, run_dir, on_piece_for_programs, &last);

    if (last != '\n')
        fputc('\n', stdout);
    return err;
}

static struct error *ask_for_people(const struct invocation *i, const char *run_dir)
{
    struct buf answer;
    struct error *err;

    buf_init(&answer, ANSWER_MAX);
    err = ask(i, run_dir, on_piece_for_people, &answer);
    if (!err && i->command->if_empty)
        err = print_rows(buf_span(&answer), i->command->if_empty, stdout);
    else if (!err)
        err = print_one(buf_span(&answer), stdout);
    buf_clear(&answer);
    return err;
}

static int run_ask(const struct invocation *i)
{
    bool for_programs = i->json || (i->command->options & OPTION_RAW) != 0;
    char run_dir[SETTINGS_PATH_SIZE];
    struct error *err;

    if (!load_run_dir(i, run_dir))
        return EXIT_FAILED;
    err = for_programs ? ask_for_programs(i, run_dir) : ask_for_people(i, run_dir);
    if (fflush(stdout) != 0 && !err)
        err = error_new(ERROR_LOCAL, "the output cannot be written");
    if (!err)
        return EXIT_DONE;
    fprintf(stderr, "waxseal: %s\n", error_text(err));
    error_free(&err);
    return EXIT_FAILED;
}
