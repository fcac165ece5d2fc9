/*
 * commands - the table of what the command line offers, and what each command does.
 * Called by command_line.
 */
#ifndef WAXSEAL_SUPERVISOR_COMMANDS_H
#define WAXSEAL_SUPERVISOR_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

/* What waxseal exits with (docs/man/waxseal.8). */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* refused, not found, wrong configuration, no relay running */
    EXIT_WRONG_USAGE = 2,
};

#define CONFIG_PATH "/etc/waxseal/waxseal.conf"

/* Options beyond --help and --config that a command knows; RAW: the answer is JSON in any case;
 * ANY: the operand may be left out. */
enum {
    OPTION_JSON = 1,
    OPTION_ALL = 2,
    OPTION_LIST = 4,
    OPTION_DAY = 8,
    OPTION_RAW = 16,
    OPTION_ANY = 128
};

struct invocation;

struct command {
    const char *words;    /* also the verb of the request to the relay */
    const char *operand;  /* as the usage shows it; NULL: none */
    const char *argument; /* what the operand is called in the request */
    unsigned options;
    int (*run)(const struct invocation *invocation);
    const char *if_empty; /* lists only: what to say when there is nothing */
    const char *sentence;
};

/* A command line, parsed. */
struct invocation {
    const struct command *command;
    const char *config;  /* --config FILE */
    bool json;           /* --json */
    bool all;            /* --all */
    bool list;           /* --list */
    bool help;           /* --help */
    const char *day;     /* --day DATE */
    const char *operand; /* QID, DOMAIN, DIRECTORY or NAME */
};

size_t commands_table(const struct command **out_rows);

/* waxseal check: in check.c. */
int check_run(const struct invocation *invocation);

/* waxseal user add, password, list, remove: in user.c. */
int user_run_add(const struct invocation *invocation);
int user_run_password(const struct invocation *invocation);
int user_run_list(const struct invocation *invocation);
int user_run_remove(const struct invocation *invocation);

/* waxseal queue export, import, salvage. */
int stopped_run_export(const struct invocation *invocation);
int stopped_run_import(const struct invocation *invocation);
int stopped_run_salvage(const struct invocation *invocation);

#endif
