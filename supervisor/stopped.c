/* stopped - what the command line does with the queue of a relay that is stopped. */
#include "supervisor/commands.h"

#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "queue/tools.h"
#include "supervisor/folders.h"
#include "supervisor/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What one of these commands does: from queue/tools.h. */
typedef struct error *queue_tool(const struct settings *settings, const char *folder,
                                 const char *other, struct queue_report *report);

struct tool {
    queue_tool *run;
    const char *done;     /* of the messages */
    bool makes_directory; /* the other one may be missing */
};

static void on_say(void *ctx, const char *sentence)
{
    (void)ctx;
    print_trouble(sentence, stderr);
}

/* The absolute path of the other directory, made for the roles' user if need be; to be freed. */
static struct error *find_other(const struct tool *tool, const char *path,
                                const struct sandbox_user *user, char **out_path)
{
    if (tool->makes_directory && mkdir(path, 0700) == 0 && user->drop &&
        lchown(path, user->uid, user->gid) != 0)
        return error_errno(ERROR_LOCAL, errno, "%s", path);
    *out_path = realpath(path, NULL);
    return *out_path ? NULL : error_errno(ERROR_LOCAL, errno, "%s", path);
}

/*
 * Locks a running relay out, goes into the queue's folder, and becomes the user of the roles: what
 * is read may be hostile, and what is written must be theirs.
 */
static struct error *enter_queue(const struct settings *s, const struct sandbox_user *user)
{
    int state_dir = -1; /* stays open: it is the lock */
    struct error *err = folders_prepare(s, user, &state_dir);
    int errnum;

    if (err)
        return err;
    if (fchdir(state_dir) != 0 || chdir("queue") != 0)
        return error_errno(ERROR_LOCAL, errno, "%s/queue", s->state_dir);
    errnum = sandbox_drop(user);
    return errnum ? error_errno(ERROR_LOCAL, errnum, "become user %s", s->user) : NULL;
}

static struct error *run_tool(const struct tool *tool, const struct settings *s, const char *other,
                              struct queue_report *report)
{
    struct sandbox_user user;
    struct error *err = sandbox_find_user(s->user, &user);
    char *path = NULL;

    if (!err)
        err = find_other(tool, other, &user, &path);
    if (!err)
        err = enter_queue(s, &user);
    if (!err)
        err = tool->run(s, ".", path, report);
    free(path);
    return err;
}

static int tell(const struct tool *tool, const struct queue_report *report, struct error *err)
{
    if (report->messages > 0 || !err)
        printf("%" PRIu64 " messages %s\n", report->messages, tool->done);
    if (report->damaged > 0)
        printf("%" PRIu64 " messages could not be read whole\n", report->damaged);
    if (report->is_stale)
        printf("the structure of the damaged queue is broken: some of this may be old, and may "
               "have been delivered before\n");
    if (err)
        print_trouble(error_text(err), stderr);
    return err || report->damaged > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int run(const struct tool *tool, const struct invocation *i)
{
    struct settings *s = settings_new();
    struct queue_report report = { .say = on_say };
    struct settings_errors errors;
    struct error *err = NULL;
    int status = EXIT_FAILED;

    umask(077);
    settings_errors_init(&errors);
    if (settings_load(i->config, s, &errors)) {
        err = run_tool(tool, s, i->operand, &report);
        status = tell(tool, &report, err);
    } else {
        fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_span(&errors.text)));
    }
    error_free(&err);
    settings_errors_clear(&errors);
    settings_free(&s);
    return status;
}

int stopped_run_export(const struct invocation *invocation)
{
    return run(&(struct tool){ queue_export, "exported", true }, invocation);
}

int stopped_run_import(const struct invocation *invocation)
{
    return run(&(struct tool){ queue_import, "imported", false }, invocation);
}

int stopped_run_salvage(const struct invocation *invocation)
{
    return run(&(struct tool){ queue_salvage, "salvaged", false }, invocation);
}
