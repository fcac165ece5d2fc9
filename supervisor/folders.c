#include "supervisor/folders.h"

#include "supervisor/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_PATH_SIZE = SETTINGS_PATH_SIZE + 32 };

/* Makes the folders above a path that are missing. */
static void make_parents(const char *path)
{
    char parent[FOLDER_PATH_SIZE];
    mode_t mask = umask(022);

    snprintf(parent, sizeof(parent), "%s", path);
    for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(parent, 0755); /* where that fails, the last one will say what is wrong */
        *slash = '/';
    }
    umask(mask);
}

static struct error *make_folder(const char *setting, const char *path, mode_t mode, uid_t uid,
                                 gid_t gid)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? NULL : error_errno(ERROR_LOCAL, errno, "%s %s", setting, path);
    /* against the umask; and nobody can have put a link there: we made it, its parent is ours */
    if (chmod(path, mode) != 0 || lchown(path, uid, gid) != 0)
        return error_errno(ERROR_LOCAL, errno, "%s %s", setting, path);
    return NULL;
}

/*
 * Every user of the machine may pass through, to what is in there for them by its own mode; folders
 * of earlier versions were closed.  Where that fails, sendmail(1) says what it cannot reach.
 */
static void let_pass(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & S_IXOTH) == 0)
        (void)chmod(path, (st.st_mode & 07777) | S_IXOTH);
}

/* Can the roles write there?  As root we ask for the owner, for root may write nearly everywhere.
 */
static struct error *check_folder(const char *setting, const char *path,
                                  const struct sandbox_user *user)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return error_errno(ERROR_LOCAL, errno, "%s %s", setting, path);
    if (!S_ISDIR(st.st_mode))
        return error_new(ERROR_LOCAL, "%s %s is not a directory", setting, path);
    if (user->drop && st.st_uid != user->uid)
        return error_new(ERROR_LOCAL,
                         "%s %s belongs to user number %u, not to the user of the roles; mend it "
                         "with: chown -R %u:%u %s",
                         setting, path, st.st_uid, user->uid, user->gid, path);
    if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        return error_errno(ERROR_LOCAL, errno, "%s %s is not writable for us (user number %u)",
                           setting, path, geteuid());
    return NULL;
}

/* One relay for one state directory; the lock goes with the supervisor, however it ends. */
static struct error *lock_state(const char *path, int *out_state_dir)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(ERROR_LOCAL, errno, "state-dir %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *out_state_dir = fd;
        return NULL;
    }
    close(fd);
    return error_new(ERROR_LOCAL, "state-dir %s is in use by another waxseal", path);
}

/*
 * A folder that is for others, too, is so only while it is wanted.  A role could have put a link in
 * its place: it is not followed.
 */
static struct error *set_mode(const char *path, mode_t mode, const struct sandbox_user *user)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    struct error *err = NULL;

    if (fd < 0 || fstat(fd, &st) != 0)
        err = error_errno(ERROR_LOCAL, errno, "state-dir %s", path);
    else if (st.st_uid != user->uid)
        err = error_new(ERROR_LOCAL,
                        "state-dir %s belongs to user number %u, not to the user of the "
                        "roles",
                        path, st.st_uid);
    else if (fchmod(fd, mode) != 0)
        err = error_errno(ERROR_LOCAL, errno, "state-dir %s", path);
    if (fd >= 0)
        close(fd);
    return err;
}

static mode_t mode_of(const struct role_row *row, const struct settings *s)
{
    if (row->folder_mode == 0 || s->local_submission == LOCAL_SUBMISSION_OFF)
        return 0700;
    return row->folder_mode;
}

struct error *folders_set_modes(const struct settings *s, const struct sandbox_user *user)
{
    const struct role_row *rows;
    size_t count = roles_table(&rows);
    char path[FOLDER_PATH_SIZE];
    struct error *err = NULL;

    for (size_t i = 0; i < count && !err; i++) {
        if (rows[i].folder_mode == 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", s->state_dir, rows[i].folder);
        err = set_mode(path, mode_of(&rows[i], s), user);
    }
    return err;
}

static struct error *prepare_stores(const struct settings *s, const struct sandbox_user *user)
{
    const struct role_row *rows;
    size_t count = roles_table(&rows);
    char path[FOLDER_PATH_SIZE];
    struct error *err = NULL;

    for (size_t i = 0; i < count && !err; i++) {
        if (!rows[i].folder)
            continue;
        snprintf(path, sizeof(path), "%s/%s", s->state_dir, rows[i].folder);
        err = make_folder("state-dir", path, 0700, user->uid, user->gid);
        if (!err)
            err = check_folder("state-dir", path, user);
    }
    return err ? err : folders_set_modes(s, user);
}

struct error *folders_prepare(const struct settings *s, const struct sandbox_user *user,
                              int *out_state_dir)
{
    /* the run directory stays the supervisor's: a captured role must not replace the socket in it
     */
    uid_t run_owner = user->drop ? 0 : user->uid;
    struct error *err;

    make_parents(s->state_dir);
    make_parents(s->run_dir);
    err = make_folder("state-dir", s->state_dir, 0751, user->uid, user->gid);
    if (!err)
        err = check_folder("state-dir", s->state_dir, user);
    if (!err)
        err = lock_state(s->state_dir, out_state_dir);
    if (!err)
        let_pass(s->state_dir);
    if (!err)
        err = prepare_stores(s, user);
    if (!err)
        err = make_folder("run-dir", s->run_dir, 0751, run_owner, user->gid);
    if (!err)
        let_pass(s->run_dir);
    if (!err && faccessat(AT_FDCWD, s->run_dir, W_OK | X_OK, AT_EACCESS) != 0)
        err = error_errno(ERROR_LOCAL, errno, "run-dir %s", s->run_dir);
    return err;
}
