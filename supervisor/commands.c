#include "supervisor/commands.h"

#include "supervisor/asking.h"
#include "supervisor/policy_commands.h"
#include "supervisor/print.h"
#include "supervisor/supervisor.h"
#include "supervisor/tlsrpt_commands.h"
#include "supervisor/tlsrpt_read.h"

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

/* --- status ---------------------------------------------------------------------------------- */

enum { STATUS_WAIT_MS = 10 * 1000 }; /* for a role: one that hangs hides no other */

static void print_word(const char *before, const struct json *word)
{
    fputs(before, stdout);
    print_safe(json_text(word), stdout);
}

static void print_signing(const struct json *sign)
{
    if (json_count(json_get(sign, "keys")) == 0)
        return;
    fputs("\nDKIM\n", stdout);
    print_rows(json_get(sign, "keys"), true, stdout);
    print_one(json_get(sign, "messages"), stdout);
}

static void print_for_people(const struct json *status)
{
    print_word("waxseal ", json_get(status, "version"));
    print_word(" on ", json_get(status, "hostname"));
    print_word(": ", json_get(status, "state"));
    printf(", process %" PRId64, json_number(json_get(status, "pid")));
    print_word(" since ", json_get(status, "since"));
    printf(", settings of generation %" PRId64 "\n\n", json_number(json_get(status, "generation")));
    if (json_member_is(json_get(status, "queue"), "delivery", "hold"))
        printf("%s\n\n", print_held_words);
    print_rows(json_get(status, "roles"), true, stdout);
    fputs("\nDNSSEC\n", stdout);
    print_rows(json_get(status, "dnssec"), true, stdout);
    if (json_kind_of(json_get(status, "policy")) == JSON_KIND_OBJECT) {
        fputs("\npolicies\n", stdout);
        policy_print_counts(json_get(status, "policy"), stdout);
    }
    if (json_kind_of(json_get(status, "tlsrpt")) == JSON_KIND_OBJECT) {
        fputs("\nTLS reports\n", stdout);
        print_one(json_get(status, "tlsrpt"), stdout);
    }
    print_signing(json_get(status, "sign"));
    if (json_kind_of(json_get(status, "queue")) != JSON_KIND_OBJECT)
        return;
    fputs("\nqueue\n", stdout);
    print_one(json_get(status, "queue"), stdout);
}

static bool role_serves(const struct json *status, const char *role)
{
    const struct json *roles = json_get(status, "roles");

    for (size_t at = 0; at < json_count(roles); at++) {
        const struct json *row = json_item(roles, at);
        if (span_equal(json_text(json_get(row, "role")), span_of(role)))
            return span_equal(json_text(json_get(row, "state")), SPAN("serving"));
    }
    return false;
}

/* What a role itself has to say; NULL: it does not run, which the roles' states tell, or is silent.
 */
static struct json *ask_role(const struct invocation *i, const char *run_dir, const char *role,
                             const char *what, const struct json *status)
{
    const struct invocation nothing_more = { .command = i->command };
    char verb[64];
    const struct asking asking = {
        .invocation = &nothing_more, .run_dir = run_dir, .verb = verb, .wait_ms = STATUS_WAIT_MS
    };
    struct json *answer = NULL;
    struct error *err;

    if (!role_serves(status, role))
        return NULL;
    snprintf(verb, sizeof(verb), "%s %s", role, what);
    err = asking_json(&asking, &answer);
    if (err)
        fprintf(stderr, "waxseal: role %s: %s\n", role, error_text(err));
    error_free(&err);
    return answer;
}

/* Gives whether a role that runs has answered. */
static bool add_counts(const struct invocation *i, const char *run_dir, const char *role,
                       struct json *status)
{
    struct json *counts = ask_role(i, run_dir, role, "counts", status);

    if (!counts) {
        json_add_null(status, role);
        return !role_serves(status, role);
    }
    json_add(status, role, &counts);
    return true;
}

/* Whether the resolver validates, as the roles found that depend on it. */
static bool add_dnssec(const struct invocation *i, const char *run_dir, const char *role,
                       const struct json *status, struct json *rows)
{
    struct json *answer = ask_role(i, run_dir, role, "dnssec", status);

    if (!answer)
        return !role_serves(status, role);
    json_add_string(answer, "role", role);
    json_append(rows, &answer);
    return true;
}

/* Who is silent once is not asked again. */
static bool add_roles(const struct invocation *i, const char *run_dir, struct json *status)
{
    bool has_queue = add_counts(i, run_dir, "queue", status);
    bool has_policy = add_counts(i, run_dir, "policy", status);
    bool has_sign = add_counts(i, run_dir, "sign", status);
    bool has_tlsrpt = add_counts(i, run_dir, "tlsrpt", status);
    struct json *rows = json_add_array(status, "dnssec");
    bool has_deliver = add_dnssec(i, run_dir, "deliver", status, rows);

    return (!has_policy || add_dnssec(i, run_dir, "policy", status, rows)) && has_queue &&
           has_policy && has_sign && has_tlsrpt && has_deliver;
}

/* The exit status tells whether all is well, so that a watchdog need not read the text. */
static int run_status(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    struct asking asking = { .invocation = i, .run_dir = run_dir };
    struct json *status = NULL;
    struct error *err;
    bool all_answer, is_well;

    if (!asking_run_dir(i, run_dir))
        return EXIT_FAILED;
    err = asking_json(&asking, &status);
    if (err)
        return asking_tell(err);
    all_answer = add_roles(i, run_dir, status);
    if (i->json)
        print_json(status, stdout);
    else
        print_for_people(status);
    is_well = all_answer && span_equal(json_text(json_get(status, "state")), SPAN("serving"));
    json_free(&status);
    return asking_tell(NULL) == EXIT_DONE && is_well ? EXIT_DONE : EXIT_FAILED;
}

/* --- the table -------------------------------------------------------------------------------- */

#define CHANGE_OPTIONS (OPTION_JSON | OPTION_ALL | OPTION_FILTER | OPTION_CHANGE)
#define REASON_NEEDED (OPTION_REASON | OPTION_NEEDS_REASON)

/* clang-format off */
static const struct command_option options[] = {
    { "--id", OPTION_FILTER, "id", "QID", "of one message" },
    { "--sender", OPTION_FILTER, "sender", "PATTERN", "of the reverse-path; <> for the null one" },
    { "--recipient", OPTION_FILTER, "recipient", "PATTERN", "of the forward-path" },
    { "--domain", OPTION_FILTER, "domain", "PATTERN",
      "of the recipient's domain; .example.org for all below it" },
    { "--next-hop", OPTION_FILTER, "next-hop", "PATTERN", "as queue summary shows them" },
    { "--older", OPTION_FILTER, "older", "AGE", "at least so old, such as 30m, 2h or 3d" },
    { "--younger", OPTION_FILTER, "younger", "AGE", "younger than that" },
    { "--larger", OPTION_FILTER, "larger", "SIZE", "at least so large, such as 500K or 10M" },
    { "--smaller", OPTION_FILTER, "smaller", "SIZE", "smaller than that" },
    { "--reply", OPTION_FILTER, "reply", "TEXT",
      "why it waits: a part of the last reply or of a hold's reason, or how the status begins" },
    { "--listener", OPTION_FILTER, "listener", "PATTERN", "where it came in" },
    { "--user", OPTION_FILTER, "user", "PATTERN", "who had logged in" },
    { "--state", OPTION_FILTER, "state", "STATE", "queued, policy, signature, deferred, held, damaged, suspended or delivering" },
    { "--sender", OPTION_EXPLAIN, "sender", "ADDRESS", "whose mail it is, where routes ask; <> for the null one" },
    { "--reason", OPTION_REASON, "reason", "TEXT", "why, in one line" },
    { "--to", OPTION_TO, NULL, "HOST",
      "a host as in the setting relayhost, \"[host]:port\", or the relayhost itself" },
    { "--to-route", OPTION_TO, NULL, "NAME", "a route of the configuration" },
    { "--for", OPTION_FOR, "for", "TIME", "such as 30m, 2h or 3d" },
    { "--until", OPTION_FOR, NULL, "TIME", "such as 2026-01-30T14:00Z, in UTC" },
    { "--day", OPTION_DAY, "day", "DATE", "a UTC day such as 2026-01-30 instead of today, or yesterday" },
    { "--view", OPTION_VIEW, "view", "VIEW", "host: the name is an MX host's (TLSA base domain); else domain" },
    { "--to", OPTION_COPY, "to", "ADDRESS", "sends a copy there instead, which changes nothing" },
    { "--selector", OPTION_KEY, NULL, "SELECTOR", "the key's name in DNS, such as 2026r" },
    { "--algorithm", OPTION_KEY, NULL, "KIND", "rsa, which every receiver knows, or ed25519" },
    { "--bits", OPTION_KEY, NULL, "N", "of an RSA key, 2048 to 4096 (default 2048)" },
    { "--output", OPTION_KEY, NULL, "FILE", "where the key goes" },
};
_Static_assert(sizeof(options) / sizeof(options[0]) <= COMMAND_OPTIONS_MAX, "room for values");

size_t command_options(const struct command_option **out_rows)
{
    *out_rows = options;
    return sizeof(options) / sizeof(options[0]);
}

const char *command_value(const struct invocation *invocation, const char *option)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (strcmp(options[i].name, option) == 0)
            return invocation->values[i];
    return NULL;
}

static const struct command commands[] = {
    { "run", NULL, NULL, 0, run_relay, NULL, "Runs the relay in the foreground." },
    { "check", NULL, NULL, OPTION_JSON | OPTION_LIST, check_run, NULL,
      "Checks the configuration; with --list shows every setting there is." },
    { "version", NULL, NULL, OPTION_NO_CONFIG, run_version, NULL, "Shows the version." },
    { "status", NULL, NULL, OPTION_JSON, run_status, NULL,
      "Shows whether the relay serves, what died, and how much the queue holds." },
    { "queue list", NULL, NULL, OPTION_JSON | OPTION_FILTER, asking_run,
      "Nothing like that waits in the queue.",
      "Lists the recipients that wait in the queue, or those that filters match." },
    { "queue summary", NULL, NULL, OPTION_JSON, asking_run, "The queue is empty.",
      "Shows how much waits for each next hop, by age in minutes, and whether it is tried." },
    { "queue show", "QID", "id", OPTION_JSON, asking_run, NULL,
      "Shows a message: its envelope, its recipients, and what was tried last." },
    { "queue hold", "QID", "id", CHANGE_OPTIONS | OPTION_REASON, queue_run_change, NULL,
      "Keeps mail from being tried until it is released." },
    { "queue release", "QID", "id", CHANGE_OPTIONS | OPTION_REASON, queue_run_change, NULL,
      "Tries held mail again, now." },
    { "queue retry", "QID", "id", CHANGE_OPTIONS, queue_run_change, NULL,
      "Tries mail now, held mail excepted, and lifts the back-off of its next hops." },
    { "queue bounce", "QID", "id", CHANGE_OPTIONS | REASON_NEEDED, queue_run_change, NULL,
      "Gives mail back: its senders are told that it failed, with the reason." },
    { "queue remove", "QID", "id", CHANGE_OPTIONS | OPTION_REASON, queue_run_change, NULL,
      "Throws mail away: nobody is told." },
    { "queue reroute", "QID", "id", CHANGE_OPTIONS | OPTION_TO | OPTION_REASON, queue_run_change, NULL,
      "Sends mail another way than the routes say, now; with --back as they say." },
    { "queue suspend", "NEXTHOP", "hop", OPTION_JSON | REASON_NEEDED | OPTION_FOR, queue_run_hop,
      NULL, "Tries nothing at a next hop, for a time or until it is resumed." },
    { "queue resume", "NEXTHOP", "hop", OPTION_JSON, queue_run_hop, NULL,
      "Tries mail for a suspended next hop again." },
    { "hosts", "HOST", "host", OPTION_JSON | OPTION_ANY, asking_run,
      "No connections are open, and nothing was learned.",
      "Shows how many connections MX hosts and next hops have, and what was learned of them." },
    { "hosts forget", "HOST", "host", OPTION_JSON, asking_run, NULL,
      "Forgets what was learned of an MX host or a next hop." },
    { "trace", "QID", "id", OPTION_JSON, trace_run, NULL,
      "Tells a message's whole life: each attempt and why it went so, and what comes next." },
    { "explain", "ADDRESS|DOMAIN", "address", OPTION_JSON | OPTION_EXPLAIN, explain_run, NULL,
      "Tells what would happen to mail for somebody now, why, and who mends what is wrong." },
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
    { "dkim new", "DOMAIN", NULL, OPTION_JSON | OPTION_KEY, dkim_run_new, NULL,
      "Makes a key that signs mail from a domain, and shows its DNS record and what to do next." },
    { "dkim check", "DOMAIN", NULL, OPTION_JSON | OPTION_ANY, dkim_run_check, NULL,
      "Compares the keys of the configuration, or those for a domain, with what DNS has of them." },
    { "policy list", NULL, NULL, OPTION_JSON, asking_run, "No policy is cached.",
      "Lists the cached policies, and what is wrong with them." },
    { "policy show", "DOMAIN", "domain", OPTION_JSON, asking_run, NULL,
      "Shows the policy of a domain that is in force here." },
    { "policy refresh", "DOMAIN", "domain", OPTION_JSON, asking_run, NULL,
      "Fetches the policy of a domain anew." },
    { "policy drop", "DOMAIN", "domain", OPTION_JSON | REASON_NEEDED, policy_run_drop, NULL,
      "Forgets the cached policy of a domain, with the reason in the log." },
    { "policy export", NULL, NULL, 0, policy_run_export, NULL,
      "Writes all cached policies to standard output, one a line." },
    { "policy import", NULL, NULL, 0, policy_run_import, NULL,
      "Takes such lines from standard input, unless what is cached is newer." },
    { "tlsrpt status", NULL, NULL, OPTION_JSON, tlsrpt_run_status, NULL,
      "Shows what was counted today, which TLS reports are sent next, what became of the last ones,"
      " and what is missing." },
    { "tlsrpt report", "DOMAIN", "domain", OPTION_DAY | OPTION_VIEW | OPTION_JSON | OPTION_RAW,
      asking_run, NULL, "Prints the TLS report (RFC 8460) about a domain, of today or of --day." },
    { "tlsrpt send", "DOMAIN", "domain", OPTION_DAY | OPTION_VIEW | OPTION_COPY | OPTION_JSON,
      tlsrpt_run_send, NULL,
      "Sends the TLS report about a domain now, of yesterday or of --day, to all that have not taken"
      " it." },
    { "tlsrpt read", "FILE|-", NULL, OPTION_JSON | OPTION_NO_CONFIG, tlsrpt_run_read, NULL,
      "Explains a TLS report that was sent to you: a JSON or gzip file, or the whole mail." },
};
/* clang-format on */

size_t commands_table(const struct command **out_rows)
{
    *out_rows = commands;
    return sizeof(commands) / sizeof(commands[0]);
}
