#include "lib/base/settings.h"

#include "lib/base/memory.h"
#include "lib/base/settings_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- errors ---------------------------------------------------------------------------------- */

enum { ERRORS_TEXT_MAX = 64 * 1024 };

void settings_errors_init(struct settings_errors *errors)
{
    buf_init(&errors->text, ERRORS_TEXT_MAX);
    errors->count = 0;
}

void settings_errors_clear(struct settings_errors *errors)
{
    buf_clear(&errors->text);
    errors->count = 0;
}

void settings_errors_add(struct settings_errors *errors, const char *file, unsigned line,
                         const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    errors->count++; /* counted also when its line does not fit any more */
    if (line == 0 ? !buf_printf(&errors->text, "%s: %s\n", file, text)
                  : !buf_printf(&errors->text, "%s:%u: %s\n", file, line, text))
        return;
}

/* --- defaults -------------------------------------------------------------------------------- */

static bool is_in_group(const struct setting *setting, const char *group)
{
    return setting->group == group ||
           (setting->group && group && strcmp(setting->group, group) == 0);
}

void settings_group_defaults(const char *group, void *into)
{
    struct settings_errors errors;
    struct settings_reading reading = { "defaults", &errors };
    struct tree *tree;
    struct buf text;

    settings_errors_init(&errors);
    buf_init(&text, SETTINGS_TEXT_MAX);
    for (size_t i = 0; i < settings_table_count; i++) {
        const struct setting *row = &settings_table[i];
        if (is_in_group(row, group) && row->default_text[0] != '\0')
            ensure(buf_printf(&text, "%s = %s;\n", row->name, row->default_text));
    }
    tree = tree_parse(buf_span(&text), "defaults", &errors);
    ensure(settings_read_group(&reading, group, tree_root(tree), into) && errors.count == 0);
    tree_free(&tree);
    buf_clear(&text);
    settings_errors_clear(&errors);
}

/* The machine's own name, as far as it is one that may be said in SMTP. */
static void machine_name(char name[SETTINGS_NAME_SIZE])
{
    memset(name, 0, SETTINGS_NAME_SIZE);
    if (gethostname(name, SETTINGS_NAME_SIZE - 1) != 0 || !setting_host.valid(span_of(name))) {
        memset(name, 0, SETTINGS_NAME_SIZE);
        strcpy(name, "localhost");
    }
}

/* The first line of Debian's file, as far as it may be a domain; false when it is none. */
static bool mail_name(char name[SETTINGS_NAME_SIZE])
{
    int fd = open("/etc/mailname", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char text[SETTINGS_NAME_SIZE];
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof(text));

    if (fd >= 0)
        close(fd);
    struct span line = { text, len > 0 ? (size_t)len : 0 };
    line = span_trim(span_first(line, span_find(line, '\n')));
    return setting_host.valid(line) && span_to_string(line, name, SETTINGS_NAME_SIZE);
}

static void postmaster_at(const char *host, char mailbox[SETTINGS_NAME_SIZE])
{
    const size_t len = strlen("postmaster@");

    ensure(span_to_string(SPAN("postmaster@"), mailbox, SETTINGS_NAME_SIZE) &&
           span_to_string(span_of(host), mailbox + len, SETTINGS_NAME_SIZE - len));
}

/* Who reports, in two mailboxes of one domain. */
static void complete_reporter(struct settings *s)
{
    if (s->tlsrpt_contact[0] == '\0' && s->tlsrpt_sender[0] != '\0')
        memcpy(s->tlsrpt_contact, s->tlsrpt_sender, sizeof(s->tlsrpt_contact));
    if (s->tlsrpt_contact[0] == '\0')
        postmaster_at(s->hostname, s->tlsrpt_contact);
    if (s->tlsrpt_sender[0] == '\0')
        memcpy(s->tlsrpt_sender, s->tlsrpt_contact, sizeof(s->tlsrpt_sender));
}

void settings_complete(struct settings *s)
{
    if (s->hostname[0] == '\0')
        machine_name(s->hostname);
    settings_group_defaults("listeners", &s->local);
    strcpy(s->local.name, "local");
    s->local.relay_from.count = 0; /* a user needs no network */
    s->local.tls = LISTENER_TLS_NONE;
    s->local.auth = LISTENER_AUTH_OFF;
    s->local.submission_fixes = SWITCH_ON;
    s->local.complete_addresses = SWITCH_ON; /* as sendmail(1) does */
    if (s->origin[0] == '\0' && !mail_name(s->origin))
        memcpy(s->origin, s->hostname, sizeof(s->origin));
    if (s->postmaster[0] == '\0')
        postmaster_at(s->hostname, s->postmaster);
    complete_reporter(s);
}

void settings_defaults(struct settings *s)
{
    memset(s, 0, offsetof(struct settings, listeners));
    settings_group_defaults(NULL, s);
    settings_complete(s);
}

struct settings *settings_new(void)
{
    void *room = mmap(NULL, sizeof(struct settings), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ensure(room != MAP_FAILED);
    return room;
}

void settings_free(struct settings **settings)
{
    if (*settings)
        munmap(*settings, sizeof(**settings));
    *settings = NULL;
}

void settings_copy(struct settings *to, const struct settings *from)
{
    memcpy(to, from,
           offsetof(struct settings, listeners) +
               from->listener_count * sizeof(from->listeners[0]));
    memcpy(to->routes, from->routes, from->route_count * sizeof(from->routes[0]));
    memcpy(to->exceptions, from->exceptions, from->exception_count * sizeof(from->exceptions[0]));
    memcpy(to->dkim, from->dkim, from->dkim_count * sizeof(from->dkim[0]));
}

/* --- writing --------------------------------------------------------------------------------- */

void settings_write_group(const char *group, const void *from, const char *end, struct buf *out)
{
    for (size_t i = 0; i < settings_table_count; i++) {
        const struct setting *row = &settings_table[i];
        if (!is_in_group(row, group))
            continue;
        ensure(buf_printf(out, "%s = ", row->name));
        row->type->write(row, from, out);
        ensure(buf_printf(out, ";%s", end));
    }
}

void settings_write(const struct settings *s, struct buf *out_text)
{
    settings_write_group(NULL, s, "\n", out_text);
}

/* --- a file ---------------------------------------------------------------------------------- */

static int read_all(int fd, struct buf *text)
{
    for (;;) {
        size_t room;
        char *end = buf_reserve(text, 4096, &room);
        ssize_t got;
        if (!end)
            return EFBIG;
        got = read(fd, end, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : 0;
        buf_commit(text, (size_t)got);
    }
}

/* Gives an errno, or 0. */
static int read_path(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int errnum;

    if (fd < 0)
        return errno;
    errnum = read_all(fd, text);
    close(fd);
    return errnum;
}

bool settings_load(const char *path, struct settings *out, struct settings_errors *errors)
{
    bool fine = false;
    struct buf text;
    int errnum;

    buf_init(&text, SETTINGS_FILE_MAX);
    errnum = read_path(path, &text);
    if (errnum != 0)
        settings_errors_add(errors, path, 0, "cannot be read: %s", strerrordesc_np(errnum));
    else
        fine = settings_parse(buf_span(&text), path, out, errors);
    buf_clear(&text);
    return fine;
}

unsigned settings_find_line(const char *path, const char *group, unsigned entry, const char *name)
{
    struct settings_errors errors;
    struct tree *tree;
    unsigned line = 0;
    struct buf text;

    buf_init(&text, SETTINGS_FILE_MAX);
    settings_errors_init(&errors);
    if (read_path(path, &text) == 0) {
        tree = tree_parse(buf_span(&text), path, &errors);
        line = settings_line_in(tree_root(tree), group, entry, name);
        tree_free(&tree);
    }
    settings_errors_clear(&errors);
    buf_clear(&text);
    return line;
}

bool settings_row(size_t index, struct setting_row *out_row)
{
    if (index >= settings_table_count)
        return false;
    const struct setting *row = &settings_table[index];
    *out_row = (struct setting_row){ row->group,        row->name,       row->type->name,
                                     row->default_text, row->range_text, row->sentence };
    return true;
}
