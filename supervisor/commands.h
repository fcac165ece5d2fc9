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
    EXIT_NOT_KNOWN = 3, /* of explain, whose 0 to 2 tell whether mail goes; also for wrong usage */
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
    OPTION_FILTER = 32, /* which of the recipients that wait; then the operand may be left out */
    OPTION_CHANGE = 64, /* --yes and --dry-run */
    OPTION_REASON = 128,
    OPTION_TO = 256, /* and --back */
    OPTION_FOR = 512,
    OPTION_ANY = 1024,
    OPTION_EXPLAIN = 2048,   /* --sender ADDRESS and --offline */
    OPTION_NO_CONFIG = 4096, /* no --config: it reads no configuration */
    OPTION_COPY = 8192,      /* --to ADDRESS */
    OPTION_VIEW = 16384,
    OPTION_KEY = 32768,          /* of a key to be made */
    OPTION_NEEDS_REASON = 65536, /* unless it is only told what would be */
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

/* An option with a value. */
struct command_option {
    const char *name;     /* "--sender" */
    unsigned option;      /* of the commands that know it */
    const char *argument; /* what it is called in the request; NULL: the command makes one of it */
    const char *value;    /* as the help shows it */
    const char *sentence;
};
enum { COMMAND_OPTIONS_MAX = 32 };

/* A command line, parsed. */
struct invocation {
    const struct command *command;
    const char *config;                      /* --config FILE */
    bool json;                               /* --json */
    bool all;                                /* --all */
    bool list;                               /* --list */
    bool help;                               /* --help */
    bool yes;                                /* --yes */
    bool dry_run;                            /* --dry-run */
    bool back;                               /* --back */
    bool offline;                            /* --offline */
    const char *operand;                     /* QID, DOMAIN, NEXTHOP, DIRECTORY or NAME */
    const char *values[COMMAND_OPTIONS_MAX]; /* in the order of the options; NULL: not given */
};

size_t commands_table(const struct command **out_rows);
size_t command_options(const struct command_option **out_rows);
/* The value of an option of that name; NULL: it was not given. */
const char *command_value(const struct invocation *invocation, const char *option);

/* waxseal queue hold, release, retry, bounce, remove, reroute; suspend, resume: in
 * queue_commands.c. */
int queue_run_change(const struct invocation *invocation);
int queue_run_hop(const struct invocation *invocation);

/* waxseal trace: in trace.c. */
int trace_run(const struct invocation *invocation);

/* waxseal policy drop, export, import: in policy_commands.c. */
int policy_run_drop(const struct invocation *invocation);
int policy_run_export(const struct invocation *invocation);
int policy_run_import(const struct invocation *invocation);

/* waxseal explain: in explain.c. */
int explain_run(const struct invocation *invocation);

/* waxseal dkim new, check: in dkim_new.c and dkim_check.c. */
int dkim_run_new(const struct invocation *invocation);
int dkim_run_check(const struct invocation *invocation);

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
