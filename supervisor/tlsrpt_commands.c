#include "supervisor/tlsrpt_commands.h"

#include "supervisor/asking.h"
#include "supervisor/print.h"

#include <stdio.h>

/* --- status ---------------------------------------------------------------------------------- */

static void print_reporter(const struct json *status)
{
    print_text("TLS reports are ", status, "reports", "", stdout);
    print_text(", as ", status, "contact", "", stdout);
    print_text(" of ", status, "organization", "; ", stdout);
    print_text("mail from ", status, "sender", "", stdout);
    fputs(json_bool(json_get(status, "mail_is_signed")) ? " is signed\n" : " is not signed\n",
          stdout);
}

static void print_missing(const struct json *missing)
{
    for (size_t i = 0; i < json_count(missing); i++) {
        fputs("missing: ", stdout);
        print_safe(json_text(json_item(missing, i)), stdout);
        fputc('\n', stdout);
    }
}

static void print_list(const struct json *status, const char *key, const char *more,
                       const char *empty)
{
    const struct json *rows = json_get(status, key);

    if (json_count(rows) == 0) {
        printf("%s\n", empty);
        return;
    }
    print_rows(rows, true, stdout);
    if (json_bool(json_get(status, more)))
        printf("(and more)\n");
}

static void print_status(const struct json *status)
{
    print_reporter(status);
    print_missing(json_get(status, "missing"));
    print_text("\ncounted today, ", status, "day", " (UTC)\n", stdout);
    print_list(status, "today", "today_has_more", "nothing yet");
    printf("\nsent next\n");
    print_list(status, "next", "next_has_more", "nothing waits");
    printf("\nsent last\n");
    print_list(status, "last", "last_has_more", "nothing within ten days");
}

int tlsrpt_run_status(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    const struct asking asking = { .invocation = i, .run_dir = run_dir };
    struct json *status = NULL;
    struct error *err;

    if (!asking_run_dir(i, run_dir))
        return EXIT_FAILED;
    err = asking_json(&asking, &status);
    if (err)
        return asking_tell(err);
    if (i->json)
        print_json(status, stdout);
    else
        print_status(status);
    json_free(&status);
    return asking_tell(NULL);
}

/* --- send ------------------------------------------------------------------------------------ */

enum { SEND_WAIT_MS = 11 * 60 * 1000 }; /* what the role gives the queue, and a little more */

static void print_result(const struct json *result)
{
    if (json_get(result, "copy")) {
        print_text("a copy is in the queue as ", result, "copy", "\n", stdout);
        return;
    }
    print_text("report ", result, "report_id", "\n", stdout);
    print_rows(json_get(result, "results"), true, stdout);
}

static bool is_all_delivered(const struct json *result)
{
    const struct json *rows = json_get(result, "results");

    for (size_t i = 0; i < json_count(rows); i++)
        if (!json_member_is(json_item(rows, i), "state", "delivered"))
            return false;
    return true;
}

int tlsrpt_run_send(const struct invocation *i)
{
    char run_dir[SETTINGS_PATH_SIZE];
    const struct asking asking = { .invocation = i, .run_dir = run_dir, .wait_ms = SEND_WAIT_MS };
    struct json *result = NULL;
    struct error *err;
    bool is_well;

    if (!asking_run_dir(i, run_dir))
        return EXIT_FAILED;
    err = asking_json(&asking, &result);
    if (err)
        return asking_tell(err);
    is_well = is_all_delivered(result);
    if (i->json)
        print_json(result, stdout);
    else
        print_result(result);
    json_free(&result);
    return asking_tell(NULL) == EXIT_DONE && is_well ? EXIT_DONE : EXIT_FAILED;
}
