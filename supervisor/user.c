/* user - what the command line does with the users file. */
#include "supervisor/commands.h"

#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/base/saslprep.h"
#include "smtpd/auth/password.h"
#include "smtpd/auth/users.h"
#include "supervisor/new_file.h"
#include "supervisor/print.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* The users file as it is. */
struct users_text {
    char path[SETTINGS_PATH_SIZE];
    struct stat was; /* st_nlink 0: there is none yet */
    struct buf text;
    struct users *users;
};

static int tell(struct error *err)
{
    if (!err)
        return EXIT_DONE;
    print_trouble(error_text(err), stderr);
    error_free(&err);
    return EXIT_FAILED;
}

/* --- reading */

static struct error *find_path(const struct invocation *i, char path[SETTINGS_PATH_SIZE])
{
    struct settings *s = settings_new();
    struct settings_errors errors;
    struct error *err = NULL;

    settings_errors_init(&errors);
    if (!settings_load(i->config, s, &errors))
        err = error_new(ERROR_LOCAL, SPAN_FMT, SPAN_ARG(span_trim(buf_span(&errors.text))));
    else if (s->users_file[0] == '\0')
        err = error_new(ERROR_LOCAL, "%s sets no users-file", i->config);
    else
        memcpy(path, s->users_file, SETTINGS_PATH_SIZE);
    settings_errors_clear(&errors);
    settings_free(&s);
    return err;
}

static struct error *read_all(int fd, struct users_text *u)
{
    size_t room;
    char *end;
    ssize_t got;

    while ((end = buf_reserve(&u->text, 4096, &room)) != NULL) {
        got = read(fd, end, room);
        if (got < 0)
            return error_errno(ERROR_LOCAL, errno, "%s", u->path);
        if (got == 0)
            return NULL;
        buf_commit(&u->text, (size_t)got);
    }
    return error_new(ERROR_LOCAL, "%s is too large", u->path);
}

static struct error *read_file(struct users_text *u)
{
    int fd = open(u->path, O_RDONLY | O_CLOEXEC);
    struct error *err = NULL;

    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0 || fstat(fd, &u->was) != 0)
        err = error_errno(ERROR_LOCAL, errno, "%s", u->path);
    else if (!S_ISREG(u->was.st_mode))
        err = error_new(ERROR_LOCAL, "%s is no regular file", u->path);
    else
        err = read_all(fd, u);
    if (fd >= 0)
        close(fd);
    return err;
}

static struct error *users_text_open(const struct invocation *i, struct users_text *u)
{
    struct settings_errors errors;
    struct error *err;

    *u = (struct users_text){ .users = NULL };
    buf_init(&u->text, USERS_TEXT_MAX);
    err = find_path(i, u->path);
    if (!err)
        err = read_file(u);
    if (err)
        return err;
    settings_errors_init(&errors);
    if (!users_parse(buf_span(&u->text), u->path, &errors, &u->users))
        err = error_new(ERROR_LOCAL, SPAN_FMT, SPAN_ARG(span_trim(buf_span(&errors.text))));
    settings_errors_clear(&errors);
    return err;
}

static void users_text_close(struct users_text *u)
{
    if (u->text.base)
        crypto_cleanse(u->text.base, u->text.size);
    buf_clear(&u->text);
    users_free(&u->users);
}

/* --- writing: a new file takes the old one's place at once, with its owner and mode */

static struct error *keep_owner(const struct users_text *u, int fd)
{
    if (u->was.st_nlink == 0)
        return NULL;
    if (fchown(fd, u->was.st_uid, u->was.st_gid) != 0 || fchmod(fd, u->was.st_mode & 07770) != 0)
        return error_errno(ERROR_LOCAL, errno, "keep its owner and mode");
    return NULL;
}

/* The new file's name is a lock, too: of two who write at once, one is told. */
static struct error *replace(const struct users_text *u, struct span text)
{
    char fresh[SETTINGS_PATH_SIZE + 8];
    struct error *err;
    bool exists;
    int fd = -1;

    snprintf(fresh, sizeof(fresh), "%s.new", u->path);
    err = new_file_create(fresh, &fd, &exists);
    if (err)
        return err;
    err = keep_owner(u, fd);
    if (!err)
        err = new_file_write(fd, text);
    close(fd);
    if (!err && rename(fresh, u->path) != 0)
        err = error_errno(ERROR_LOCAL, errno, "rename");
    if (err)
        unlink(fresh);
    else
        err = new_file_sync_folder(u->path);
    return err ? error_wrap(err, "%s", u->path) : NULL;
}

/* `line` NULL: without the user. */
static struct error *rewrite(const struct users_text *u, struct span name, const char *line)
{
    struct buf text;
    struct error *err;

    buf_init(&text, USERS_TEXT_MAX);
    if (users_rewrite(buf_span(&u->text), name, line, &text))
        err = replace(u, buf_span(&text));
    else
        err = error_new(ERROR_LOCAL, "%s is too large", u->path);
    if (text.base)
        crypto_cleanse(text.base, text.size);
    buf_clear(&text);
    return err;
}

/* --- passwords */

enum { LINE_SIZE = PASSWORD_MAX + 3 };

static struct error *read_line(FILE *from, char line[LINE_SIZE])
{
    size_t len;

    if (!fgets(line, LINE_SIZE, from))
        return error_new(ERROR_LOCAL, "no password was given");
    len = strlen(line);
    if (len > 0 && line[len - 1] == '\n')
        line[--len] = '\0';
    if (len == 0 || len > PASSWORD_MAX)
        return error_new(ERROR_LOCAL, "a password has 1 to %d bytes", PASSWORD_MAX);
    return NULL;
}

static struct error *ask(FILE *terminal, const char *question, char line[LINE_SIZE])
{
    struct error *err;

    fputs(question, terminal);
    fflush(terminal);
    err = read_line(terminal, line);
    fputc('\n', terminal);
    return err;
}

/* Twice, unseen. */
static struct error *ask_twice(FILE *terminal, char password[LINE_SIZE])
{
    struct termios seen, unseen;
    char again[LINE_SIZE];
    struct error *err;

    if (tcgetattr(fileno(terminal), &seen) != 0)
        return error_errno(ERROR_LOCAL, errno, "terminal");
    unseen = seen;
    unseen.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fileno(terminal), TCSAFLUSH, &unseen);
    err = ask(terminal, "Password: ", password);
    if (!err)
        err = ask(terminal, "Once more: ", again);
    if (!err && strcmp(password, again) != 0)
        err = error_new(ERROR_LOCAL, "the two passwords differ");
    tcsetattr(fileno(terminal), TCSAFLUSH, &seen);
    crypto_cleanse(again, sizeof(again));
    return err;
}

static struct error *read_password(char password[LINE_SIZE])
{
    FILE *terminal;
    struct error *err;

    setvbuf(stdin, NULL, _IONBF, 0); /* no copy of it stays there */
    if (!isatty(STDIN_FILENO))
        return read_line(stdin, password);
    terminal = fopen("/dev/tty", "r+e");
    if (!terminal)
        return error_errno(ERROR_LOCAL, errno, "/dev/tty");
    err = ask_twice(terminal, password);
    fclose(terminal);
    return err;
}

static void make_keys(struct span password, char keys[SCRAM_KEYS_TEXT_SIZE])
{
    char salt[SCRAM_SALT_SIZE];

    random_bytes(salt, sizeof(salt));
    struct scram_keys made =
        scram_derive(password, (struct span){ salt, sizeof(salt) }, SCRAM_ITERATIONS);
    scram_keys_format(&made, keys);
    crypto_cleanse(&made, sizeof(made));
}

/*
 * What is not ASCII can be typed in several ways: both forms are of the one that RFC 4013 gives.
 * SCRAM needs that; without it a password is still one, as it is.
 */
static struct error *hash_password(struct span password, char hash[PASSWORD_HASH_SIZE],
                                   char keys[SCRAM_KEYS_TEXT_SIZE])
{
    char prepared[LINE_SIZE];
    struct error *err;

    keys[0] = '\0';
    if (saslprep(password, prepared, PASSWORD_MAX + 1)) {
        password = span_of(prepared);
        make_keys(password, keys);
    } else {
        fputs("waxseal: no SASLprep form (RFC 4013): this user cannot log in by SCRAM\n", stderr);
    }
    err = password_hash_new(password, hash);
    crypto_cleanse(prepared, sizeof(prepared));
    return err;
}

static struct error *set_password(const struct users_text *u, const char *name)
{
    char password[LINE_SIZE], hash[PASSWORD_HASH_SIZE], keys[SCRAM_KEYS_TEXT_SIZE];
    char line[USERS_NAME_MAX + PASSWORD_HASH_SIZE + SCRAM_KEYS_TEXT_SIZE + 4];
    struct error *err = read_password(password);

    if (!err)
        err = hash_password(span_of(password), hash, keys);
    if (!err) {
        snprintf(line, sizeof(line), "%s:%s%s%s", name, hash, keys[0] ? ":" : "", keys);
        err = rewrite(u, span_of(name), line);
    }
    crypto_cleanse(password, sizeof(password));
    return err;
}

/* --- the commands */

static bool exists(const struct users_text *u, const char *name)
{
    return users_find(u->users, span_of(name)) != NULL;
}

typedef struct error *change(const struct users_text *u, const char *name);

static struct error *add(const struct users_text *u, const char *name)
{
    if (!users_name_is_valid(span_of(name)))
        return error_new(ERROR_LOCAL, "a name is of printable ASCII without blanks and colons");
    if (exists(u, name))
        return error_new(ERROR_LOCAL, "there is a user %s already", name);
    return set_password(u, name);
}

static struct error *change_password(const struct users_text *u, const char *name)
{
    if (!exists(u, name))
        return error_new(ERROR_LOCAL, "there is no such user in %s", u->path);
    return set_password(u, name);
}

static struct error *take_out(const struct users_text *u, const char *name)
{
    if (!exists(u, name))
        return error_new(ERROR_LOCAL, "there is no such user in %s", u->path);
    return rewrite(u, span_of(name), NULL);
}

static struct error *list(const struct users_text *u, const char *name)
{
    (void)name;
    for (size_t i = 0; i < users_count(u->users); i++) {
        const struct user *user = users_at(u->users, i);
        printf("%s %s\n", user->name, user->has_keys ? "password scram" : "password");
    }
    return NULL;
}

static struct error *list_for_programs(const struct users_text *u, const char *name)
{
    struct json *rows = json_new_array();

    (void)name;
    for (size_t i = 0; i < users_count(u->users); i++) {
        const struct user *user = users_at(u->users, i);
        struct json *row = json_append_object(rows);
        json_add_string(row, "name", user->name);
        json_add_bool(row, "scram", user->has_keys);
    }
    print_json(rows, stdout);
    json_free(&rows);
    return NULL;
}

static int run(const struct invocation *i, change *what)
{
    struct users_text u;
    struct error *err = users_text_open(i, &u);

    if (!err)
        err = what(&u, i->operand);
    users_text_close(&u);
    return tell(err);
}

int user_run_add(const struct invocation *i)
{
    return run(i, add);
}

int user_run_password(const struct invocation *i)
{
    return run(i, change_password);
}

int user_run_list(const struct invocation *i)
{
    return run(i, i->json ? list_for_programs : list);
}

int user_run_remove(const struct invocation *i)
{
    return run(i, take_out);
}
