#include "supervisor/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_WANTED = 128 * 1024 }; /* more than max-connections can be set to */

struct error *sandbox_find_user(const char *name, struct sandbox_user *out_user)
{
    const struct passwd *entry;

    *out_user = (struct sandbox_user){ .uid = geteuid(), .gid = getegid() };
    if (out_user->uid != 0)
        return NULL;
    entry = getpwnam(name);
    if (!entry)
        return error_new(ERROR_LOCAL,
                         "there is no user %s; make it with: useradd --system --user-group "
                         "--home-dir /var/lib/waxseal --shell /usr/sbin/nologin %s",
                         name, name);
    if (entry->pw_uid == 0)
        return error_new(ERROR_LOCAL, "user %s is root; set `user` to one without privileges",
                         name);
    *out_user = (struct sandbox_user){ .drop = true, .uid = entry->pw_uid, .gid = entry->pw_gid };
    return NULL;
}

void sandbox_raise_limits(void)
{
    const struct rlimit wanted = { FILES_WANTED, FILES_WANTED };
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    if (files.rlim_max < FILES_WANTED && setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        return;                       /* root may */
    setrlimit(RLIMIT_NOFILE, &files); /* the roles say when it is too few for them */
}

int sandbox_drop(const struct sandbox_user *user)
{
    if (!user->drop)
        return 0;
    if (setgroups(0, NULL) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return errno;
    return setuid(0) == 0 ? EPERM : 0; /* it must not be had back */
}

static int keep_only_channel(int channel)
{
    if (channel != SANDBOX_CHANNEL_FD && dup2(channel, SANDBOX_CHANNEL_FD) < 0)
        return errno;
    if (fcntl(SANDBOX_CHANNEL_FD, F_SETFD, 0) != 0)
        return errno;
    /* all that is above closes at exec, the binary's own descriptor too */
    if (close_range(SANDBOX_CHANNEL_FD + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0 && errno != ENOSYS)
        return errno;
    return 0;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int sandbox_enter(const struct sandbox_user *user, int state_dir, const char *folder, int channel)
{
    const struct rlimit no_core = { 0, 0 };
    int errnum;

    reset_signals();
    umask(077);
    setpgid(0,
            0); /* a terminal's or a shell's signals go to the supervisor, which stops in order */
    if (chdir("/") != 0 || (folder && (fchdir(state_dir) != 0 || chdir(folder) != 0)))
        return errno;
    errnum = keep_only_channel(channel);
    if (errnum == 0)
        errnum = sandbox_drop(user);
    if (errnum != 0)
        return errnum;
    /* the service manager may have given us the low ports: they are bound, the roles need no more
     */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return errno;
    return 0;
}

void sandbox_confine(const char *title)
{
    prctl(PR_SET_NAME, title, 0, 0, 0);
    /* exec made us dumpable again; a piped core_pattern heeds only this (pitfalls.md section 6) */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
