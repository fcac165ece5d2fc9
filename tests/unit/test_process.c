/* A role as the supervisor starts it: what it has been left with, and what it may say. */
#include "tests/support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ipc/frames.h"
#include "supervisor/process.h"

/* What the child is to do; it is this program again, executed as a role is. */
static const char act_variable[] = "WAXSEAL_TEST_ROLE";
enum { NOBODY = 65534, LEAKED_FD = 40 };

/* ---- in the child -----------------------------------------------------------------------------
 */

static bool only_the_channel_is_open(void)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    bool alone = folder != NULL;
    while (alone && (entry = readdir(folder)) != NULL) {
        int fd = atoi(entry->d_name);
        alone = fd <= SANDBOX_CHANNEL_FD || fd == dirfd(folder);
    }
    closedir(folder);
    return alone && fcntl(SANDBOX_CHANNEL_FD, F_GETFD) >= 0;
}

static bool privileges_are_gone(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && getuid() != 0 && geteuid() != 0 &&
           getgid() != 0 && getegid() != 0 && setuid(0) != 0;
}

static bool groups_are_gone(void)
{
    gid_t groups[8];
    int count = getgroups(8, groups);
    for (int i = 0; i < count; i++)
        if (groups[i] != getgid())
            return false;
    return count >= 0;
}

static bool leaves_no_core(void)
{
    struct rlimit core;
    sandbox_confine("confined");
    return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
           prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}

static bool starts_afresh(void)
{
    char folder[8];
    struct sigaction usr1;
    return getcwd(folder, sizeof(folder)) && strcmp(folder, "/") == 0 && umask(0) == 077 &&
           sigaction(SIGUSR1, NULL, &usr1) == 0 && usr1.sa_handler == SIG_DFL;
}

/* The number of the first thing that is not as it should be; 0: none. */
static int look_around(void)
{
    if (!only_the_channel_is_open())
        return 1;
    if (getenv("WAXSEAL_TEST_ROOT") && !privileges_are_gone())
        return 2;
    if (getenv("WAXSEAL_TEST_ROOT") && !groups_are_gone())
        return 3;
    return !leaves_no_core() ? 4 : !starts_afresh() ? 5 : 0;
}

static void put(const uint32_t *words, size_t size)
{
    ensure(write(SANDBOX_CHANNEL_FD, words, size) == (ssize_t)size);
    pause(); /* until it is killed */
}

static int be_a_role(const char *act)
{
    static const uint32_t foreign[] = { 0, 0, FRAME_ACCEPT_BEGIN };
    static const uint32_t endless[] = { UINT32_MAX, UINT32_MAX, FRAME_READY };
    static const uint32_t garbled[] = { 4, 0, FRAME_CONTROL_REPLY, UINT32_MAX };
    alarm(20);
    if (strcmp(act, "foreign") == 0)
        put(foreign, sizeof(foreign));
    else if (strcmp(act, "endless") == 0)
        put(endless, sizeof(endless));
    else if (strcmp(act, "garbled") == 0)
        put(garbled, sizeof(garbled));
    return look_around();
}

/* ---- in the supervisor's place ----------------------------------------------------------------
 */

static void on_ready(void *ctx, struct process *process)
{
    (void)ctx;
    (void)process;
}

static void on_reply(void *ctx, struct process *process, const Ipc__ControlReply *reply,
                     struct span body)
{
    (void)ctx;
    (void)process;
    (void)reply;
    (void)body;
    fail_msg("garbled bytes are no reply");
}

static const struct process_events events = { .ready = on_ready, .reply = on_reply };

static void on_look(void *ctx)
{
    loop_stop(ctx);
}

/* Starts one that acts so; gives how it ended. */
static int end_of(const char *act)
{
    static const struct role_row row = { .id = ROLE_SMTPD, .title = "test" };
    struct process_plan plan = { .loop = loop_new(), .events = &events };
    struct loop_timer *look = loop_timer_new(plan.loop, on_look, plan.loop);
    struct process *process;
    int status = 0;
    pid_t ended = 0;
    if (geteuid() == 0)
        plan.user = (struct sandbox_user){ .drop = true, .uid = NOBODY, .gid = NOBODY };
    plan.binary = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    setenv(act_variable, act, 1);
    assert_null(process_start(&plan, &row, 0, 1, SPAN(""), &process));
    for (int i = 0; i < 1000 && ended == 0; i++) {
        loop_timer_start(look, 10);
        loop_run(plan.loop);
        ended = waitpid(process_pid(process), &status, WNOHANG);
    }
    assert_int_equal(ended, process_pid(process));
    process_free(&process);
    loop_timer_free(&look);
    loop_free(&plan.loop);
    close(plan.binary);
    return status;
}

static void a_role_is_left_with_its_channel_and_nothing_else(void **state)
{
    static const gid_t groups[] = { 1, 2 };
    (void)state;
    assert_int_equal(dup2(STDERR_FILENO, LEAKED_FD), LEAKED_FD); /* as from whoever started us */
    signal(SIGUSR1, SIG_IGN);
    if (geteuid() == 0) {
        assert_int_equal(setgroups(2, groups), 0);
        setenv("WAXSEAL_TEST_ROOT", "1", 1);
    }
    int status = end_of("confined");
    close(LEAKED_FD);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_killed(const char *act)
{
    int status = end_of(act);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void a_role_that_says_what_it_may_not_is_killed(void **state)
{
    (void)state;
    assert_killed("foreign");
}

static void a_role_that_sends_nonsense_is_killed(void **state)
{
    (void)state;
    assert_killed("endless");
    assert_killed("garbled");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        { "process: a role is left with its channel and nothing else",
          a_role_is_left_with_its_channel_and_nothing_else, NULL, NULL, NULL },
        { "process: a role that says what it may not is killed",
          a_role_that_says_what_it_may_not_is_killed, NULL, NULL, NULL },
        { "process: a role that sends nonsense is killed", a_role_that_sends_nonsense_is_killed,
          NULL, NULL, NULL },
    };
    if (argc > 1 && strcmp(argv[1], "role") == 0 && getenv(act_variable))
        return be_a_role(getenv(act_variable));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
