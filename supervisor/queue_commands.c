#include "supervisor/asking.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "supervisor/print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/*
 * The commands that change what waits.  First it is counted what they are about, then somebody at a
 * terminal is asked, then it is done; programs and scripts are not asked.  A command that is ended
 * in the middle (Ctrl-C) leaves what is not changed yet as it is.
 */

#define EXAMPLE_ROWS "20"
enum { LINE_MAX_BYTES = 64 * 1024, SPEC_MAX = 320, NUMBER_SIZE = 24 };

static const char *verb_of(const struct invocation *i)
{
    return i->command->words + strlen("queue ");
}

/* --- counts ---------------------------------------------------------------------------------- */

static void print_amount(int64_t count, const char *what, FILE *out)
{
    fprintf(out, "%" PRId64 " %s%s", count, what, count == 1 ? "" : "s");
}

/* "3 recipients of 2 messages". */
static void print_counts(const struct json *counts, const char *recipients, FILE *out)
{
    print_amount(json_number(json_get(counts, recipients)), "recipient", out);
    fputs(" of ", out);
    print_amount(json_number(json_get(counts, "messages")), "message", out);
}

static struct error *count(const struct asking *asking, struct json **out_counts)
{
    struct asking counting = *asking;

    counting.verb = "queue count";
    return asking_json(&counting, out_counts);
}

/* --- asking whether to go on -------------------------------------------------------------------
 */

/* One message that its id names is no surprise, unless it would be gone. */
static bool is_grave(const struct invocation *i)
{
    return !i->operand || strcmp(verb_of(i), "bounce") == 0 || strcmp(verb_of(i), "remove") == 0;
}

static bool is_wanted(const struct invocation *i, const struct json *counts)
{
    char reply[16] = "";

    if (i->yes || !is_grave(i) || !isatty(STDIN_FILENO))
        return true;
    fprintf(stderr, "%s ", verb_of(i));
    print_counts(counts, "recipients", stderr);
    fputs("? [y/N] ", stderr);
    fflush(stderr);
    return fgets(reply, sizeof(reply), stdin) && (reply[0] == 'y' || reply[0] == 'Y');
}

/* --- doing it ----------------------------------------------------------------------------------
 */

/* An answer: reports of progress, a line each, and then what came of it. */
struct doing {
    struct buf line;
    int64_t recipients; /* that were counted */
    bool shows;         /* progress on a terminal */
    struct json *result;
};

static void take_line(struct doing *doing)
{
    struct json *value = NULL;
    struct error *err = json_parse(buf_span(&doing->line), &value);

    buf_reset(&doing->line);
    if (err) {
        error_free(&err);
        return;
    }
    if (json_bool(json_get(value, "progress"))) {
        if (doing->shows)
            fprintf(stderr, "\r%" PRId64 " of %" PRId64 " ",
                    json_number(json_get(value, "recipients")), doing->recipients);
        json_free(&value);
        return;
    }
    json_free(&doing->result);
    doing->result = value;
}

static void on_piece(void *ctx, struct span piece)
{
    struct doing *doing = ctx;

    for (; piece.len > 0; piece = span_from(piece, 1)) {
        if (piece.data[0] == '\n')
            take_line(doing);
        else if (!buf_append(&doing->line, span_first(piece, 1)))
            buf_reset(&doing->line);
    }
}

/* Due they are, but nothing goes there. */
static void tell_suspended(int64_t count)
{
    if (count == 0)
        return;
    print_amount(count, "recipient", stdout);
    puts(" not tried yet: the next hop is suspended; waxseal queue resume lets mail go there");
}

/* What is due now is not tried, either. */
static void tell_delivery(const char *verb, const struct json *result)
{
    bool makes_due =
        strcmp(verb, "retry") == 0 || strcmp(verb, "release") == 0 || strcmp(verb, "reroute") == 0;

    if (makes_due && json_member_is(result, "delivery", "hold"))
        puts(print_held_words);
}

/* What can be read of it is with who may decide; of the rest only an id is left. */
static void tell_damaged(const char *verb, const struct json *result)
{
    int64_t unreadable = json_number(json_get(result, "unreadable"));
    int64_t readable = json_number(json_get(result, "damaged")) - unreadable;

    if (readable > 0 && strcmp(verb, "release") == 0) {
        print_amount(readable, "recipient", stdout);
        puts(" tried though damaged: held again if it still cannot be read; waxseal queue bounce "
             "gives it back");
    } else if (readable > 0 && (strcmp(verb, "retry") == 0 || strcmp(verb, "hold") == 0)) {
        print_amount(readable, "recipient", stdout);
        puts(" left as they were: damaged; waxseal queue bounce gives them back");
    }
    if (unreadable > 0 && strcmp(verb, "remove") != 0) {
        print_amount(unreadable, "recipient", stdout);
        puts(" left as they were: damaged beyond reading; waxseal queue remove throws them away");
    }
}

static void tell_held(const struct invocation *i, int64_t count)
{
    const char *verb = verb_of(i);
    const char *words = NULL;

    if (strcmp(verb, "hold") == 0)
        words = command_value(i, "--reason") ? " held already: the reason is now the one given"
                                             : " held already";
    else if (strcmp(verb, "retry") == 0)
        words = " left as they were: held; waxseal queue release tries them";
    else if (strcmp(verb, "reroute") == 0)
        words = " still held: they go that way when they are released";
    if (count == 0 || !words)
        return;
    print_amount(count, "recipient", stdout);
    puts(words);
}

/* What a release is not about. */
static void tell_free(const struct json *result)
{
    int64_t count =
        json_number(json_get(result, "recipients")) - json_number(json_get(result, "held")) -
        json_number(json_get(result, "damaged")) - json_number(json_get(result, "delivering"));

    if (count <= 0)
        return;
    print_amount(count, "recipient", stdout);
    puts(" left as they were: not held");
}

static void tell_result(const struct invocation *i, const struct json *result)
{
    int64_t delivering = json_number(json_get(result, "delivering"));

    if (i->json) {
        print_json(result, stdout);
        return;
    }
    printf("%s: ", verb_of(i));
    print_amount(json_number(json_get(result, "changed")), "recipient", stdout);
    fputs(" changed of ", stdout);
    print_counts(result, "recipients", stdout);
    fputc('\n', stdout);
    if (delivering > 0) {
        print_amount(delivering, "recipient", stdout);
        puts(" left as they were: being delivered now");
    }
    tell_held(i, json_number(json_get(result, "held")));
    if (strcmp(verb_of(i), "release") == 0)
        tell_free(result);
    tell_suspended(json_number(json_get(result, "suspended")));
    tell_damaged(verb_of(i), result);
    tell_delivery(verb_of(i), result);
}

static struct error *do_it(const struct asking *asking, const struct json *counts)
{
    struct doing doing = { .recipients = json_number(json_get(counts, "recipients")) };

    doing.shows = isatty(STDERR_FILENO) && !asking->invocation->json;
    buf_init(&doing.line, LINE_MAX_BYTES);
    struct error *err = asking_pieces(asking, on_piece, &doing);
    take_line(&doing);
    buf_clear(&doing.line);
    if (!err && !doing.result)
        err = error_new(ERROR_TRANSIENT, "the relay's answer is none");
    if (!err)
        tell_result(asking->invocation, doing.result);
    json_free(&doing.result);
    return err;
}

/* --- where to ----------------------------------------------------------------------------------
 */

/* As `queue summary` has them, and not a host. */
static bool is_hop_name(const char *to)
{
    return strcasecmp(to, "relayhost") == 0 || strncmp(to, "to:", strlen("to:")) == 0 ||
           strncmp(to, "route:", strlen("route:")) == 0;
}

/* Past the recipients' domains, and not by a route, whose policies may be theirs. */
static bool names_a_host(const struct invocation *i)
{
    const char *to = command_value(i, "--to");

    return to && strncmp(to, "route:", strlen("route:")) != 0;
}

/* --- only telling ------------------------------------------------------------------------------
 */

static struct error *tell_what_would_be(const struct asking *asking, const struct json *counts)
{
    struct asking listing = *asking;

    if (asking->invocation->json) {
        print_json(counts, stdout);
        return NULL;
    }
    listing.verb = "queue list";
    struct error *err = asking_show_first(&listing, EXAMPLE_ROWS);
    if (err)
        return err;
    printf("\n%s would be about ", verb_of(asking->invocation));
    print_counts(counts, "recipients", stdout);
    int64_t delivering = json_number(json_get(counts, "delivering"));
    if (delivering > 0)
        printf("; %" PRId64 " being delivered now", delivering);
    puts("; nothing was changed");
    if (names_a_host(asking->invocation))
        puts("On that way MTA-STS and DANE of the recipients' domains would count no more.");
    return NULL;
}

/* --- the changes -------------------------------------------------------------------------------
 */

static struct error *change(const struct asking *asking)
{
    const struct invocation *i = asking->invocation;
    struct json *counts = NULL;
    struct error *err = count(asking, &counts);

    if (!err && i->dry_run)
        err = tell_what_would_be(asking, counts);
    else if (!err && json_number(json_get(counts, "recipients")) == 0)
        puts(i->json ? "{\"changed\":0}" : "Nothing like that waits in the queue.");
    else if (!err && !is_wanted(i, counts))
        err = error_new(ERROR_PERMANENT, "nothing was changed");
    else if (!err)
        err = do_it(asking, counts);
    json_free(&counts);
    return err;
}

/* The next hop's name (lib/mail/next_hop.h) of --to, which may be one itself, and --to-route. */
static const char *hop_of(const struct invocation *i, char room[SPEC_MAX])
{
    const char *host = command_value(i, "--to");
    const char *route = command_value(i, "--to-route");

    if (host)
        snprintf(room, SPEC_MAX, "%s%s", is_hop_name(host) ? "" : "to:", host);
    else if (route)
        snprintf(room, SPEC_MAX, "route:%s", route);
    return host || route ? room : NULL;
}

static bool names_one_way(const struct invocation *i)
{
    int ways =
        i->back + (command_value(i, "--to") != NULL) + (command_value(i, "--to-route") != NULL);

    return (i->command->options & OPTION_TO) == 0 || ways == 1;
}

int queue_run_change(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    char hop[SPEC_MAX];
    const struct client_argument more[] = {
        { "progress", "yes" },
        { "to", hop_of(i, hop) },
        { "back", i->back ? "yes" : NULL },
        { "change", verb_of(i) }, /* so that a count looks at the order, too */
    };
    struct asking asking = { .invocation = i, .run_dir = run_dir, .more = more, .more_count = 4 };

    if (!names_one_way(i)) {
        fputs("waxseal: where to? One of --to, --to-route and --back\n", stderr);
        return EXIT_WRONG_USAGE;
    }
    return asking_run_dir(i, run_dir) ? asking_tell(change(&asking)) : EXIT_FAILED;
}

/* --- a next hop --------------------------------------------------------------------------------
 */

/* "2026-01-30", "2026-01-30T14:00Z" or "2026-01-30T14:00:00Z", in UTC. */
static bool parse_time(const char *text, int64_t *out_utc_ms)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ" };

    if (clock_parse_day(text, out_utc_ms))
        return true;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = { .tm_year = 0 };
        const char *end = strptime(text, forms[i], &tm);
        if (end && *end == '\0') {
            *out_utc_ms = (int64_t)timegm(&tm) * SECOND_MS;
            return true;
        }
    }
    return false;
}

static void tell_hop(const struct invocation *i, const struct json *result)
{
    const struct json *hop = json_get(result, "suspended");

    printf("%s: ", verb_of(i));
    print_safe(json_text(hop ? hop : json_get(result, "resumed")), stdout);
    putchar('\n');
}

/* `until_ms`: NULL when no such time was given. */
static struct error *change_hop(const struct invocation *i, const char *run_dir,
                                const int64_t *until_ms)
{
    char number[NUMBER_SIZE];
    struct client_argument more = { "until", NULL };
    const struct asking asking = {
        .invocation = i, .run_dir = run_dir, .more = &more, .more_count = 1
    };
    struct json *result = NULL;

    if (until_ms) {
        snprintf(number, sizeof(number), "%" PRId64, *until_ms);
        more.value = number;
    }
    struct error *err = asking_json(&asking, &result);
    if (!err && i->json)
        print_json(result, stdout);
    else if (!err)
        tell_hop(i, result);
    json_free(&result);
    return err;
}

int queue_run_hop(const struct invocation *i)
{
    const char *until = command_value(i, "--until");
    char run_dir[SETTINGS_PATH_SIZE];
    int64_t until_ms;

    if (until && !parse_time(until, &until_ms)) {
        fputs("waxseal: --until is a time such as 2026-01-30T14:00Z\n", stderr);
        return EXIT_WRONG_USAGE;
    }
    if (!asking_run_dir(i, run_dir))
        return EXIT_FAILED;
    return asking_tell(change_hop(i, run_dir, until ? &until_ms : NULL));
}
