/*
 * commands - what the command line offers: a table of commands, the parsing of their arguments, and
 * what each does.  Called by main.
 */
#ifndef WAXSEAL_SUPERVISOR_COMMANDS_H
#define WAXSEAL_SUPERVISOR_COMMANDS_H

#include <stdbool.h>

/* What waxseal exits with (docs/man/waxseal.8). */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* refused, not found, wrong configuration */
    EXIT_WRONG_USAGE = 2,
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
    const char *operand; /* QID, DOMAIN, FILE or DIR */
};

/* Runs a command line without the program's name; gives the exit status. */
int commands_run(int count, char *const words[]);

#endif
