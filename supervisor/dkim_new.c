/* dkim_new - waxseal dkim new: a key in a file of its own, its DNS record, and what to do next. */
#include "supervisor/commands.h"

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/settings_table.h"
#include "lib/io/crypto.h"
#include "lib/io/signing_key.h"
#include "lib/mail/dkim_record.h"
#include "lib/mail/domain.h"
#include "supervisor/asking.h"
#include "supervisor/new_file.h"
#include "supervisor/print.h"
#include "supervisor/sandbox.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is to be made. */
struct making {
    char domain[DOMAIN_MAX + 1];
    char selector[SETTINGS_SELECTOR_SIZE];
    char name[DKIM_NAME_SIZE]; /* of the record */
    char path[SETTINGS_PATH_SIZE];
    enum dkim_algorithm algorithm;
    unsigned bits;
    struct sandbox_user owner; /* who runs the relay, when we are root and there is one */
};

static int wrong(const char *what, const char *value)
{
    fprintf(stderr, "waxseal: %s%s", what, value ? ": " : "");
    if (value)
        print_safe(span_of(value), stderr);
    fputs("\nTry: waxseal dkim new --help\n", stderr);
    return EXIT_WRONG_USAGE;
}

/* --- what the command line wants ------------------------------------------------------------- */

/* "2026r", "2026e": a year and a kind, for each key needs a selector of its own. */
static void choose_selector(struct making *m)
{
    char day[CLOCK_TEXT_SIZE];

    clock_format_day(clock_utc_ms(), day);
    snprintf(m->selector, sizeof(m->selector), "%.4s%c", day,
             m->algorithm == DKIM_RSA_SHA256 ? 'r' : 'e');
}

static bool take_selector(const struct invocation *i, struct making *m)
{
    const char *given = command_value(i, "--selector");

    if (!given) {
        choose_selector(m);
        return true;
    }
    return dkim_selector_is_valid(span_of(given)) &&
           span_to_string(span_of(given), m->selector, sizeof(m->selector));
}

static bool take_bits(const struct invocation *i, struct making *m)
{
    const char *given = command_value(i, "--bits");
    uint64_t bits = SIGNING_KEY_BITS;

    if (given && (m->algorithm != DKIM_RSA_SHA256 ||
                  !span_to_number(span_of(given), SIGNING_KEY_COMMON_BITS, &bits) ||
                  bits < SIGNING_KEY_BITS))
        return false;
    m->bits = (unsigned)bits;
    return true;
}

/* Beside the configuration, unless told. */
static bool choose_path(const struct invocation *i, struct making *m)
{
    char config[SETTINGS_PATH_SIZE];
    int len;

    if (!span_to_string(span_of(i->config), config, sizeof(config)))
        return false;
    len = snprintf(m->path, sizeof(m->path), "%s/dkim/%s.%s.pem", dirname(config), m->domain,
                   m->selector);
    return len > 0 && (size_t)len < sizeof(m->path);
}

static bool take_path(const struct invocation *i, struct making *m)
{
    const char *given = command_value(i, "--output");

    if (!given)
        return choose_path(i, m);
    return given[0] != '\0' && span_is_printable(span_of(given)) &&
           span_to_string(span_of(given), m->path, sizeof(m->path));
}

/* EXIT_DONE, or what is wrong was said. */
static int take_all(const struct invocation *i, struct making *m)
{
    const char *algorithm = command_value(i, "--algorithm");

    if (!domain_normalize(span_of(i->operand), m->domain))
        return wrong("this is no domain", i->operand);
    if (algorithm && !dkim_key_parse(span_of(algorithm), &m->algorithm))
        return wrong("the algorithm is rsa or ed25519, not", algorithm);
    if (!take_selector(i, m))
        return wrong("a selector is made of letters, digits, hyphens and dots, at most 63", NULL);
    if (!take_bits(i, m))
        return wrong("bits are of RSA alone, from 2048 to 4096", NULL);
    if (!take_path(i, m))
        return wrong("that is no path for a file", NULL);
    if (!dkim_record_name(span_of(m->selector), span_of(m->domain), m->name))
        return wrong("selector and domain together are too long for a name in DNS", NULL);
    return EXIT_DONE;
}

/* --- the file -------------------------------------------------------------------------------- */

/* The packaged relay is started as its user, who must be able to read what root makes for it. */
static void find_owner(const struct invocation *i, struct making *m)
{
    struct settings *s = settings_new();
    struct settings_errors errors;
    struct error *err;

    settings_errors_init(&errors);
    if (!settings_load(i->config, s, &errors)) /* not there yet, or it has to be mended */
        ensure(settings_parse(SPAN(""), "", s, &errors));
    err = sandbox_find_user(s->user, &m->owner);
    error_free(&err); /* then it is root's */
    settings_errors_clear(&errors);
    settings_free(&s);
}

static bool give_away(const struct making *m, int fd)
{
    return !m->owner.drop || fchown(fd, m->owner.uid, m->owner.gid) == 0;
}

/* One that is there stays as it is. */
static struct error *create(const struct making *m, int *out_fd)
{
    bool exists;
    struct error *err = new_file_create(m->path, out_fd, &exists);

    return exists ? error_wrap(err, "a key stays as it is; for a further one choose another "
                                    "--selector or --output")
                  : err;
}

static struct error *write_new(const struct making *m, struct span pem)
{
    int fd = -1;
    struct error *err = create(m, &fd);

    if (err)
        return err;
    err = give_away(m, fd) ? new_file_write(fd, pem)
                           : error_errno(ERROR_LOCAL, errno, "set its owner");
    close(fd);
    if (err)
        unlink(m->path);
    return err ? error_wrap(err, "%s", m->path) : NULL;
}

static struct error *make_folder(const struct making *m, const char *folder)
{
    if (mkdir(folder, 0700) != 0)
        return errno == EEXIST ? NULL
                               : error_errno(ERROR_LOCAL, errno, "make the folder %s", folder);
    if (m->owner.drop && lchown(folder, m->owner.uid, m->owner.gid) != 0)
        return error_errno(ERROR_LOCAL, errno, "set the owner of %s", folder);
    return NULL;
}

/* The configuration wants the whole path, wherever the relay is started. */
static void make_whole(struct making *m)
{
    char *whole = realpath(m->path, NULL);

    if (whole && strlen(whole) < sizeof(m->path))
        strcpy(m->path, whole);
    free(whole);
}

/* With the folder, when only that is missing. */
static struct error *write_key(struct making *m, struct span pem)
{
    char copy[SETTINGS_PATH_SIZE];
    const char *folder;
    struct error *err;

    memcpy(copy, m->path, sizeof(copy));
    folder = dirname(copy);
    err = make_folder(m, folder);
    if (!err)
        err = write_new(m, pem);
    if (err)
        return err;
    make_whole(m);
    return new_file_sync_folder(m->path);
}

/* --- what comes next ------------------------------------------------------------------------- */

struct made {
    struct buf record; /* its text */
    struct buf zone;   /* as a zone file has it */
    struct buf entry;  /* of the configuration */
};

static void write_entry(const struct making *m, struct buf *out)
{
    ensure(
        buf_printf(out, "{ senders = \"%s\"; selector = \"%s\"; key = ", m->domain, m->selector));
    setting_write_text(m->path, out);
    ensure(buf_append(out, SPAN("; }")));
}

static void describe(const struct making *m, const struct signing_key *key, struct made *made)
{
    unsigned char bytes[DKIM_KEY_MAX];
    struct span public_key = { (const char *)bytes, signing_key_public(key, bytes) };

    buf_init(&made->record, DKIM_RECORD_MAX);
    buf_init(&made->zone, DKIM_ZONE_LINE_MAX);
    buf_init(&made->entry, 4 * SETTINGS_PATH_SIZE);
    ensure(dkim_record_write(m->algorithm, public_key, &made->record));
    ensure(dkim_record_zone(m->name, buf_span(&made->record), &made->zone));
    write_entry(m, &made->entry);
}

static void clear(struct made *made)
{
    buf_clear(&made->record);
    buf_clear(&made->zone);
    buf_clear(&made->entry);
}

static void print_for_people(const struct invocation *i, const struct making *m,
                             const struct made *made)
{
    printf("The key is in %s, for its owner alone.\n\n"
           "1. Whoever keeps the DNS of %s publishes this:\n\n" SPAN_FMT
           "\n2. This goes into the list dkim of %s:\n\n"
           "dkim = (\n    " SPAN_FMT "\n);\n\n"
           "3. When waxseal dkim check %s finds the record, reload the relay, which then signs.\n",
           m->path, m->domain, SPAN_ARG(buf_span(&made->zone)), i->config,
           SPAN_ARG(buf_span(&made->entry)), m->domain);
    if (m->algorithm == DKIM_ED25519_SHA256)
        fputs("\nMany receivers know RSA alone: sign with an RSA key, too, of another selector.\n",
              stdout);
}

static void print_for_programs(const struct making *m, const struct made *made)
{
    struct json *o = json_new_object();

    json_add_string(o, "domain", m->domain);
    json_add_string(o, "selector", m->selector);
    json_add_string(o, "algorithm", dkim_key_name(m->algorithm));
    json_add_string(o, "key", m->path);
    json_add_string(o, "name", m->name);
    json_add_text(o, "record", buf_span(&made->record));
    json_add_text(o, "zone", buf_span(&made->zone));
    json_add_text(o, "entry", buf_span(&made->entry));
    print_json(o, stdout);
    json_free(&o);
}

static void print_made(const struct invocation *i, const struct making *m,
                       const struct signing_key *key)
{
    struct made made;

    describe(m, key, &made);
    if (i->json)
        print_for_programs(m, &made);
    else
        print_for_people(i, m, &made);
    clear(&made);
}

int dkim_run_new(const struct invocation *i)
{
    struct making m = { .algorithm = DKIM_RSA_SHA256 };
    struct signing_key *key;
    struct error *err;
    struct buf pem;
    int status = take_all(i, &m);

    if (status != EXIT_DONE)
        return status;
    find_owner(i, &m);
    key = signing_key_generate(m.algorithm, m.bits);
    buf_init(&pem, SIGNING_KEY_PEM_MAX);
    ensure(signing_key_write(key, &pem));
    err = write_key(&m, buf_span(&pem));
    crypto_cleanse(pem.base, pem.size);
    buf_clear(&pem);
    if (!err)
        print_made(i, &m, key);
    signing_key_free(&key);
    return asking_tell(err);
}
