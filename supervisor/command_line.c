#include "supervisor/command_line.h"

#include "supervisor/print.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- help ------------------------------------------------------------------------------------ */

static bool reads_configuration(const struct command *c)
{
    return (c->options & OPTION_NO_CONFIG) == 0;
}

/* Those with a value; filters are many, and stand in the help alone. */
static void print_usage_options(const struct command *c, FILE *out)
{
    const struct command_option *options;
    size_t count = command_options(&options);

    for (size_t i = 0; i < count; i++) {
        if ((c->options & options[i].option & ~(unsigned)OPTION_FILTER) == 0)
            continue;
        bool needed = options[i].option == OPTION_REASON && (c->options & OPTION_NEEDS_REASON);
        fprintf(out, needed ? " %s %s" : " [%s %s]", options[i].name, options[i].value);
    }
    if (c->options & OPTION_TO)
        fputs(" [--back]", out);
    if (c->options & OPTION_CHANGE)
        fputs(" [--dry-run] [--yes]", out);
    if (c->options & OPTION_EXPLAIN)
        fputs(" [--offline]", out);
}

static void print_usage(const struct command *c, FILE *out)
{
    fprintf(out, "waxseal %s", c->words);
    if (c->operand)
        fprintf(out, " %s%s%s%s%s", c->options & OPTION_ANY ? "[" : "", c->operand,
                c->options & OPTION_ANY ? "]" : "", c->options & OPTION_FILTER ? "|FILTER..." : "",
                c->options & OPTION_ALL ? "|--all" : "");
    else if (c->options & OPTION_FILTER)
        fputs(" [FILTER...]", out);
    print_usage_options(c, out);
    if (c->options & OPTION_LIST)
        fputs(" [--list]", out);
    if (c->options & OPTION_JSON)
        fputs(" [--json]", out);
    fputs(reads_configuration(c) ? " [--config FILE]\n" : "\n", out);
}

static void print_help_options(const struct command *c)
{
    const struct command_option *options;
    size_t count = command_options(&options);

    for (size_t i = 0; i < count; i++)
        if (c->options & options[i].option)
            printf("  %s %-*s  %s\n", options[i].name, (int)(19 - strlen(options[i].name)),
                   options[i].value, options[i].sentence);
    if (c->options & OPTION_FILTER)
        printf("  All filters given must match; in patterns * stands for anything and ? for one "
               "character.\n");
    if (c->options & OPTION_TO)
        printf("  --back         as the routes say again\n");
    if (c->options & OPTION_CHANGE)
        printf("  --dry-run      only tells what would be changed\n"
               "  --yes          does not ask on a terminal\n");
    if (c->options & OPTION_EXPLAIN)
        printf("  --offline      contacts no MX host\n");
}

static void print_help(const struct command *c)
{
    printf("Usage: ");
    print_usage(c, stdout);
    printf("\n%s\n\n", c->sentence);
    if (reads_configuration(c))
        printf("  --config FILE  the configuration (default " CONFIG_PATH ")\n");
    if (c->options & OPTION_ALL)
        printf("  --all          all that waits\n");
    print_help_options(c);
    if (c->options & OPTION_LIST)
        printf("  --list         every setting: group, name, type, default, range, meaning\n");
    if (c->options & OPTION_JSON)
        printf("  --json         for programs\n");
    printf("  --help         this text\n");
}

static bool is_of_group(const struct command *c, const char *group)
{
    size_t len = strlen(group);

    return strncmp(c->words, group, len) == 0 && c->words[len] == ' ';
}

/* All commands, or those of a group. */
static void print_overview(const char *group, FILE *out)
{
    const struct command *commands;
    size_t count = commands_table(&commands);

    fprintf(out, "waxseal, an outbound mail relay. Commands:\n\n");
    for (size_t i = 0; i < count; i++) {
        if (group && !is_of_group(&commands[i], group))
            continue;
        fputs("  ", out);
        print_usage(&commands[i], out);
        fprintf(out, "      %s\n", commands[i].sentence);
    }
    fprintf(out, "\nEach has --help. See waxseal(8), waxseal.conf(5), and waxseal-sendmail(1) for "
                 "sendmail.\n");
}

static int wrong_usage(const struct command *c, const char *what, const char *which)
{
    fprintf(stderr, "waxseal: %s%s", what, which ? " " : "");
    print_safe(span_of(which ? which : ""), stderr);
    fputc('\n', stderr);
    if (c) {
        fputs("Usage: ", stderr);
        print_usage(c, stderr);
    } else {
        fputs("Try: waxseal --help\n", stderr);
    }
    return c && (c->options & OPTION_EXPLAIN) ? EXIT_NOT_KNOWN : EXIT_WRONG_USAGE;
}

/* --- parsing --------------------------------------------------------------------------------- */

static bool is_group(const char *word)
{
    const struct command *commands;
    size_t count = commands_table(&commands);

    for (size_t i = 0; i < count; i++)
        if (is_of_group(&commands[i], word))
            return true;
    return false;
}

static const struct command *find_command(const char *first, const char *second)
{
    const struct command *commands;
    size_t count = commands_table(&commands);
    char words[64];

    snprintf(words, sizeof(words), "%s%s%s", first, second ? " " : "", second ? second : "");
    for (size_t i = 0; i < count; i++)
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
    } flags[] = {
        { "--help", 0, &i->help },           { "--json", OPTION_JSON, &i->json },
        { "--all", OPTION_ALL, &i->all },    { "--list", OPTION_LIST, &i->list },
        { "--yes", OPTION_CHANGE, &i->yes }, { "--dry-run", OPTION_CHANGE, &i->dry_run },
        { "--back", OPTION_TO, &i->back },   { "--offline", OPTION_EXPLAIN, &i->offline }
    };

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

/* "--config FILE", "--day DATE" ...; gives where its value goes. */
static const char **take_valued(struct invocation *i, const char *word)
{
    const struct command_option *options;
    size_t count = command_options(&options);

    if (strcmp(word, "--config") == 0)
        return &i->config;
    for (size_t n = 0; n < count; n++)
        if (strcmp(word, options[n].name) == 0 && (i->command->options & options[n].option))
            return &i->values[n];
    return NULL;
}

/* A reason is what an operator gives; why mail waits has a filter of another name. */
static int wrong_choice(const struct command *c, bool by_reason, const char *what,
                        const char *which)
{
    int status = wrong_usage(c, what, which);

    if (by_reason && (c->options & OPTION_FILTER))
        fputs("To choose mail by why it waits: --reply TEXT\n", stderr);
    return status;
}

static int parse_rest(struct invocation *i, int count, char *const words[])
{
    for (int n = 0; n < count; n++) {
        const char **value = take_valued(i, words[n]);
        if (value && n + 1 == count)
            return wrong_usage(i->command, "a value is missing behind", words[n]);
        if (value && *value)
            return wrong_usage(i->command, "this is given twice:", words[n]);
        if (value)
            *value = words[++n];
        else if (take_flag(i, words[n]))
            continue;
        else if (words[n][0] == '-' && words[n][1] != '\0') /* "-": the standard input */
            return wrong_choice(i->command, strcmp(words[n], "--reason") == 0, "there is no option",
                                words[n]);
        else if (!i->command->operand || i->operand)
            return wrong_usage(i->command, "this is one too many:", words[n]);
        else
            i->operand = words[n];
    }
    return EXIT_DONE;
}

static bool has_filter(const struct invocation *i)
{
    const struct command_option *options;
    size_t count = command_options(&options);

    for (size_t n = 0; n < count; n++)
        if (options[n].option == OPTION_FILTER && i->values[n])
            return true;
    return false;
}

/* What would leave one of two things out of account. */
static int check_choices(const struct invocation *i)
{
    if (i->all && (i->operand || has_filter(i)))
        return wrong_usage(i->command, "either one message, or filters, or --all", NULL);
    if (i->operand && command_value(i, "--id"))
        return wrong_usage(i->command, "either QID or --id QID", NULL);
    if ((i->command->options & OPTION_NEEDS_REASON) && !i->dry_run && !command_value(i, "--reason"))
        return wrong_usage(i->command, "say why: --reason TEXT", NULL);
    if (command_value(i, "--for") && command_value(i, "--until"))
        return wrong_usage(i->command, "either --for or --until", NULL);
    return EXIT_DONE;
}

static int check_operand(const struct invocation *i)
{
    bool needed =
        i->command->operand && !i->all && !has_filter(i) && !(i->command->options & OPTION_ANY);

    if (needed && !i->operand)
        return wrong_choice(i->command, command_value(i, "--reason"),
                            "this is missing:", i->command->operand);
    return check_choices(i);
}

static int run_invocation(const struct command *c, int count, char *const words[])
{
    struct invocation i = { .command = c };
    int status = parse_rest(&i, count, words);

    if (status != EXIT_DONE)
        return status;
    if (i.help) {
        print_help(c);
        return EXIT_DONE;
    }
    if (!i.config)
        i.config = CONFIG_PATH;
    status = check_operand(&i);
    return status == EXIT_DONE ? c->run(&i) : status;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* "hosts" is a command, and the beginning of "hosts forget". */
static bool stands_alone(int count, char *const words[])
{
    return find_command(words[0], NULL) && (count == 1 || !find_command(words[0], words[1]));
}

/* "queue" alone or "queue --help": what there is of it. */
static int show_group(const char *group, bool asked)
{
    print_overview(group, asked ? stdout : stderr);
    return asked ? EXIT_DONE : EXIT_WRONG_USAGE;
}

int command_line_run(int count, char *const words[])
{
    const struct command *c;
    bool group;

    if (count == 0)
        return show_group(NULL, false);
    if (asks_for_help(words[0]))
        return show_group(NULL, true);
    group = is_group(words[0]) && !stands_alone(count, words);
    if (group && (count == 1 || asks_for_help(words[1])))
        return show_group(words[0], count > 1);
    c = find_command(strcmp(words[0], "--version") == 0 ? "version" : words[0],
                     group ? words[1] : NULL);
    if (!c)
        return wrong_usage(NULL, "there is no command", group ? words[1] : words[0]);
    return run_invocation(c, count - 1 - group, words + 1 + group);
}
