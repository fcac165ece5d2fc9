#include "sendmail/sendmail.h"

#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "lib/io/local_socket.h"
#include "sendmail/drop.h"
#include "sendmail/hand_in.h"
#include "sendmail/letter.h"
#include "sendmail/options.h"
#include "sendmail/smtp.h"
#include "sendmail/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    TEXT_EXTRA = 64 * 1024, /* the relay says what is too large; here memory is bounded */
    PERSON_SIZE = 256,
};

bool sendmail_is_called(const char *name)
{
    const char *slash = strrchr(name, '/');

    name = slash ? slash + 1 : name;
    return strcmp(name, "sendmail") == 0 || strcmp(name, "mailq") == 0 ||
           strcmp(name, "newaliases") == 0;
}

/* What one run is about. */
struct run {
    struct sendmail_options options;
    const char *name; /* in front of all that is printed */
    struct settings *settings;
    char login[PERSON_SIZE];
    char full_name[PERSON_SIZE];
};

static int complain(const struct run *run, int exit_status, struct error *err)
{
    fprintf(stderr, "%s: %s\n", run->name, error_text(err));
    error_free(&err);
    return exit_status;
}

/* --- who and where --------------------------------------------------------------------------- */

/* Without a file the settings are those of an empty one, unless it was asked for by name. */
static bool load_settings(struct run *run, const char *config)
{
    const char *path = run->options.config ? run->options.config : config;
    struct settings_errors errors;
    bool fine = true;

    run->settings = settings_new();
    settings_defaults(run->settings);
    if (!run->options.config && access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    settings_errors_init(&errors);
    fine = settings_load(path, run->settings, &errors);
    if (!fine)
        fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_span(&errors.text)));
    settings_errors_clear(&errors);
    return fine;
}

/* The user by the kernel's word, the full name up to the first comma of its entry. */
static void find_person(struct run *run)
{
    const struct passwd *entry = getpwuid(getuid());
    size_t len = entry && entry->pw_gecos ? strcspn(entry->pw_gecos, ",") : 0;

    if (entry)
        snprintf(run->login, sizeof(run->login), "%s", entry->pw_name);
    else
        snprintf(run->login, sizeof(run->login), "uid%u", getuid());
    if (run->options.full_name)
        snprintf(run->full_name, sizeof(run->full_name), "%s", run->options.full_name);
    else if (len > 0)
        snprintf(run->full_name, sizeof(run->full_name), "%.*s", (int)len, entry->pw_gecos);
}

/* --- a message ------------------------------------------------------------------------------- */

static struct error *read_text(struct text *text)
{
    char room[16 * 1024];
    ssize_t got = 1;

    while (got > 0 && !text->ended && !text->overflown) {
        got = read(STDIN_FILENO, room, sizeof(room));
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            text_take(text, (struct span){ room, (size_t)got });
    }
    if (got < 0)
        return error_errno(ERROR_LOCAL, errno, "standard input");
    text_end(text);
    if (text->overflown)
        return error_new(ERROR_PERMANENT, "the message is too large (see max-message-size)");
    return NULL;
}

static int leave_in_folder(const struct run *run, struct span commands, struct span content,
                           struct error *why)
{
    char folder[SETTINGS_PATH_SIZE + 8];
    struct error *err;

    snprintf(folder, sizeof(folder), "%s/drop", run->settings->state_dir);
    err = drop(folder, commands, content);
    if (!err) {
        if (run->options.is_verbose)
            fprintf(stderr, "%s: left in %s, for %s\n", run->name, folder, error_text(why));
        error_free(&why);
        return EX_OK;
    }
    err = error_wrap(err, "the message was not taken; %s; %s", error_text(why), "nor can it wait");
    error_free(&why);
    return complain(run, EX_TEMPFAIL, err);
}

static int send_part(const struct run *run, struct span commands, struct span content)
{
    char socket_path[LOCAL_SOCKET_PATH_SIZE];
    struct error *why = NULL;
    int exit_status = EX_OK;

    local_socket_path(run->settings, socket_path);
    switch (hand_in(run->name, socket_path, commands, content, run->options.is_verbose, &why,
                    &exit_status)) {
    case HAND_IN_TAKEN:
        return EX_OK;
    case HAND_IN_REFUSED:
        return exit_status;
    case HAND_IN_LATER:
        break;
    }
    return leave_in_folder(run, commands, content, why);
}

static int send_letter(const struct run *run, const struct letter *letter)
{
    int exit_status = EX_OK;
    struct buf part;
    size_t at = 0;

    buf_init(&part, buf_len(&letter->commands));
    while (exit_status == EX_OK && letter_part(letter, run->settings->max_recipients, &at, &part)) {
        exit_status = send_part(run, buf_span(&part), buf_span(&letter->content));
        buf_reset(&part);
    }
    buf_clear(&part);
    return exit_status;
}

static int send_text(struct run *run, const struct text *text)
{
    const struct letter_author author = { run->login, run->full_name, run->settings->origin };
    struct letter letter;
    struct error *err =
        letter_write(buf_span(text->out), text->eight_bit, &run->options, &author, &letter);
    int exit_status = err ? complain(run, EX_USAGE, err) : send_letter(run, &letter);

    letter_clear(&letter);
    return exit_status;
}

static int send_message(struct run *run)
{
    struct error *err;
    struct text text;
    struct buf room;
    int exit_status;

    if (run->options.recipient_count == 0 && !run->options.recipients_in_header)
        return complain(run, EX_USAGE,
                        error_new(ERROR_PERMANENT, "there is no recipient (and no -t)"));
    buf_init(&room, run->settings->max_message_bytes + TEXT_EXTRA);
    text_init(&text, run->options.dot_is_text, &room);
    err = read_text(&text);
    if (err)
        exit_status =
            complain(run, error_kind(err) == ERROR_PERMANENT ? EX_UNAVAILABLE : EX_IOERR, err);
    else
        exit_status = send_text(run, &text);
    buf_clear(&room);
    return exit_status;
}

/* --- the descriptors we were given ------------------------------------------------------------ */

/*
 * Whoever calls us may have closed some of the first three: nothing of ours may take their place,
 * or what is for people would go to the relay.  A closed input stays one that cannot be read.
 */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDWR) != fd)
            _exit(EX_OSERR);
}

/* --- the whole ------------------------------------------------------------------------------- */

static int print_help(void)
{
    puts("Usage: sendmail [options] RECIPIENT... < MESSAGE\n"
         "       sendmail -t [options] < MESSAGE\n"
         "       sendmail -bs     SMTP on standard input and output\n"
         "       mailq            the relay's queue (also sendmail -bp)\n"
         "       newaliases       does nothing (also sendmail -bi)\n\n"
         "  -t        recipients from To, Cc and Bcc     -i        a dot alone is text\n"
         "  -f ADDR   the sender (also -r)               -F NAME   the sender's full name\n"
         "  -N, -R, -V   notifications (RFC 3461)        -v        show the dialogue\n"
         "  -C FILE   the configuration of the relay\n\nSee waxseal-sendmail(1).");
    return EX_OK;
}

static int run_with_settings(struct run *run)
{
    if (run->settings->local_submission == LOCAL_SUBMISSION_OFF)
        return complain(
            run, EX_UNAVAILABLE,
            error_new(ERROR_PERMANENT,
                      "this relay takes no mail from here (local-submission = \"off\")"));
    if (run->options.mode == SENDMAIL_SMTP)
        return smtp_speak(run->name, run->settings);
    find_person(run);
    return send_message(run);
}

int sendmail_run(int count, char *const words[], const char *config, sendmail_queue_fn *show_queue)
{
    struct run run = { .name = words[0] };
    int exit_status;

    fill_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* nobody listens: no reason to leave a message half sent */
    sendmail_options_parse(count, words, &run.options);
    if (run.options.fault)
        return complain(&run, EX_USAGE,
                        error_new(ERROR_PERMANENT, "%s %s", run.options.fault, run.options.word));
    if (run.options.mode == SENDMAIL_HELP)
        return print_help();
    if (run.options.mode == SENDMAIL_NEWALIASES)
        return EX_OK;
    if (run.options.mode == SENDMAIL_QUEUE)
        return show_queue(run.options.config ? run.options.config : config);
    exit_status = load_settings(&run, config) ? run_with_settings(&run) : EX_CONFIG;
    settings_free(&run.settings);
    return exit_status;
}
