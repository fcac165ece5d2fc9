#include "supervisor/watched.h"

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/tls_server.h"
#include "lib/mail/credentials.h"
#include "lib/mail/mailbox_set.h"
#include "smtpd/auth/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 8 * 1024 * 1024 };

#define CA_ADVICE " (on Debian: apt-get install ca-certificates)"

struct watched {
    enum role_content kind;
    unsigned index;
    char *path;
    struct stat seen; /* as it was when it was read last */
    struct buf content;
    struct buf fresh;
    bool is_new; /* `fresh` waits to be accepted */
};

/* What the administrator calls them. */
static const char *const names[CONTENT_COUNT] = {
    [CONTENT_CA_BUNDLE] = "ca-file",
    [CONTENT_RESOLV_CONF] = "resolver configuration",
    [CONTENT_CERTIFICATE] = "tls-certificate",
    [CONTENT_KEY] = "tls-key",
    [CONTENT_USERS] = "users-file",
    [CONTENT_ALIASES] = "aliases-file",
    [CONTENT_CLIENT_CA] = "tls-client-ca",
    [CONTENT_RECIPIENTS] = "recipients",
    [CONTENT_ROUTE_CREDENTIALS] = "credentials",
    [CONTENT_DKIM_KEY] = "dkim key",
};

/* --- reading --------------------------------------------------------------------------------- */

static struct error *read_to_end(int fd, struct buf *content)
{
    for (;;) {
        size_t room;
        char *end = buf_reserve(content, 4096, &room);
        ssize_t got;
        if (!end)
            return error_new(ERROR_LOCAL, "larger than %d MiB", FILE_MAX >> 20);
        got = read(fd, end, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(ERROR_LOCAL, errno, "read");
        if (got == 0)
            return NULL;
        buf_commit(content, (size_t)got);
    }
}

static bool is_secret(const struct watched *file)
{
    return file->kind == CONTENT_KEY || file->kind == CONTENT_DKIM_KEY ||
           file->kind == CONTENT_USERS || file->kind == CONTENT_ROUTE_CREDENTIALS;
}

static const char *what_it_holds(const struct watched *file)
{
    if (file->kind == CONTENT_KEY || file->kind == CONTENT_DKIM_KEY)
        return "a private key";
    return file->kind == CONTENT_USERS ? "password hashes" : "a password";
}

static struct error *read_open_file(struct watched *file, int fd)
{
    if (fstat(fd, &file->seen) != 0)
        return error_errno(ERROR_LOCAL, errno, "stat");
    if (!S_ISREG(file->seen.st_mode))
        return error_new(ERROR_LOCAL, "not a regular file");
    if (is_secret(file) && (file->seen.st_mode & S_IRWXO) != 0)
        return error_new(ERROR_LOCAL, "%s that others can read; mend it with: chmod %s %s",
                         what_it_holds(file),
                         file->kind == CONTENT_ROUTE_CREDENTIALS ? "600" : "o-rwx", file->path);
    if (file->kind == CONTENT_ROUTE_CREDENTIALS && (file->seen.st_mode & S_IRWXG) != 0)
        return error_new(ERROR_LOCAL,
                         "a password that its group can read; mend it with: chmod 600 %s",
                         file->path);
    return read_to_end(fd, &file->fresh);
}

/* Forgets the bytes, too: they may be a key. */
static void wipe(struct buf *content)
{
    if (content->base)
        explicit_bzero(content->base, content->size);
    buf_clear(content);
}

static struct error *read_file(struct watched *file)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct error *err;

    wipe(&file->fresh);
    if (fd < 0) {
        memset(&file->seen, 0, sizeof(file->seen));
        if ((file->kind == CONTENT_RESOLV_CONF || file->kind == CONTENT_ALIASES) && errno == ENOENT)
            return NULL;
        return error_errno(ERROR_LOCAL, errno, "%s %s%s", names[file->kind], file->path,
                           file->kind == CONTENT_CA_BUNDLE ? CA_ADVICE : "");
    }
    err = read_open_file(file, fd);
    close(fd);
    return err ? error_wrap(err, "%s %s", names[file->kind], file->path) : NULL;
}

/* --- checks ---------------------------------------------------------------------------------- */

struct span watched_latest(const struct watched *file)
{
    return buf_span(file->is_new ? &file->fresh : &file->content);
}

/* All errors as one sentence. */
static struct error *join_lines(struct span text)
{
    struct error *err = NULL;
    struct span line;

    while (span_cut(&text, '\n', &line)) {
        if (line.len == 0)
            continue;
        struct error *all =
            err ? error_new(ERROR_LOCAL, "%s; " SPAN_FMT, error_text(err), SPAN_ARG(line))
                : error_new(ERROR_LOCAL, SPAN_FMT, SPAN_ARG(line));
        error_free(&err);
        err = all;
    }
    return err;
}

static struct error *check_users(const struct watched *file)
{
    struct settings_errors errors;
    struct users *users = NULL;
    struct error *err = NULL;

    settings_errors_init(&errors);
    if (!users_parse(watched_latest(file), file->path, &errors, &users))
        err = join_lines(buf_span(&errors.text));
    users_free(&users);
    settings_errors_clear(&errors);
    return err;
}

static struct error *check_recipients(const struct watched *file)
{
    struct settings_errors errors;
    struct mailbox_set *set = NULL;
    struct error *err = NULL;

    settings_errors_init(&errors);
    if (!mailbox_set_parse(watched_latest(file), file->path, &errors, &set))
        err = join_lines(buf_span(&errors.text));
    mailbox_set_free(&set);
    settings_errors_clear(&errors);
    return err;
}

static struct error *check_bundle(const struct watched *file)
{
    struct tls_trust *trust = NULL;
    struct error *err;

    err = tls_trust_new(watched_latest(file), &trust);
    tls_trust_free(&trust);
    if (!err)
        return NULL;
    return error_wrap(err, "%s %s%s", names[file->kind], file->path,
                      file->kind == CONTENT_CA_BUNDLE ? CA_ADVICE : "");
}

static struct error *check_credentials(const struct watched *file)
{
    struct credentials ignored;
    struct error *err = credentials_parse(watched_latest(file), &ignored);

    return err ? error_wrap(err, "%s %s", names[file->kind], file->path) : NULL;
}

struct error *watched_check(const struct watched *file)
{
    if (file->kind == CONTENT_USERS)
        return check_users(file);
    if (file->kind == CONTENT_RECIPIENTS)
        return check_recipients(file);
    if (file->kind == CONTENT_ROUTE_CREDENTIALS)
        return check_credentials(file);
    if (file->kind == CONTENT_CA_BUNDLE || file->kind == CONTENT_CLIENT_CA)
        return check_bundle(file);
    return NULL;
}

struct error *watched_pair_check(const struct watched *certificate, const struct watched *key)
{
    const struct tls_pair pair = { watched_latest(certificate), watched_latest(key) };
    struct tls_context *context = NULL;
    struct error *err;

    err = tls_server_context_new(&(struct tls_server_wish){ .pairs = &pair, .pair_count = 1 },
                                 &context);
    tls_context_free(&context);
    return err ? error_wrap(err, "tls-certificate %s with tls-key %s", certificate->path, key->path)
               : NULL;
}

/* --- the life of a file ---------------------------------------------------------------------- */

struct error *watched_open(enum role_content kind, unsigned index, const char *path,
                           struct watched **out_file)
{
    struct watched *file = memory_new(sizeof(*file));
    struct error *err;

    file->kind = kind;
    file->index = index;
    file->path = memory_copy_text(path);
    buf_init(&file->content, FILE_MAX);
    buf_init(&file->fresh, FILE_MAX);
    err = read_file(file);
    file->is_new = true;
    if (!err)
        err = watched_check(file);
    if (err) {
        watched_free(&file);
        return err;
    }
    watched_accept(file);
    *out_file = file;
    return NULL;
}

void watched_free(struct watched **file)
{
    struct watched *f = *file;

    if (!f)
        return;
    wipe(&f->content);
    wipe(&f->fresh);
    free(f->path);
    free(f);
    *file = NULL;
}

enum role_content watched_kind(const struct watched *file)
{
    return file->kind;
}

unsigned watched_index(const struct watched *file)
{
    return file->index;
}

const char *watched_path(const struct watched *file)
{
    return file->path;
}

struct span watched_content(const struct watched *file)
{
    return buf_span(&file->content);
}

static bool looks_changed(const struct watched *file)
{
    struct stat now;

    if (stat(file->path, &now) != 0)
        memset(&now, 0, sizeof(now));
    return now.st_ino != file->seen.st_ino || now.st_dev != file->seen.st_dev ||
           now.st_size != file->seen.st_size || now.st_mtim.tv_sec != file->seen.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != file->seen.st_mtim.tv_nsec;
}

bool watched_look(struct watched *file)
{
    struct error *err;

    if (!looks_changed(file))
        return false;
    file->is_new = false;
    err = read_file(file);
    if (err) {
        log_failure(LOG_WARNING, "file-refused", err);
        error_free(&err);
        return false;
    }
    file->is_new = !span_equal(buf_span(&file->fresh), buf_span(&file->content));
    return file->is_new;
}

bool watched_is_new(const struct watched *file)
{
    return file->is_new;
}

void watched_accept(struct watched *file)
{
    wipe(&file->content);
    file->content = file->fresh;
    buf_init(&file->fresh, FILE_MAX);
    file->is_new = false;
}
