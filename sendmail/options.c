#include "sendmail/options.h"

#include <stddef.h>
#include <string.h>

struct reading {
    struct sendmail_options *options;
    char *const *words; /* what has not been read */
    int left;
};

static void refuse(struct reading *r, const char *fault, const char *word)
{
    if (r->options->fault)
        return;
    r->options->fault = fault;
    r->options->word = word;
}

/* --- what the options do --------------------------------------------------------------------- */

typedef void apply_fn(struct reading *r, const char *value);

static void be_verbose(struct reading *r, const char *value)
{
    (void)value;
    r->options->is_verbose = true;
}

static void take_header(struct reading *r, const char *value)
{
    (void)value;
    r->options->recipients_in_header = true;
}

static void take_dots(struct reading *r, const char *value)
{
    (void)value;
    r->options->dot_is_text = true;
}

static void set_sender(struct reading *r, const char *value)
{
    r->options->sender = value;
}

static void set_full_name(struct reading *r, const char *value)
{
    r->options->full_name = value;
}

static void set_config(struct reading *r, const char *value)
{
    r->options->config = value;
}

static void set_body(struct reading *r, const char *value)
{
    if (strcasecmp(value, "7BIT") != 0 && strcasecmp(value, "8BITMIME") != 0)
        refuse(r, "7BIT and 8BITMIME are all there is of -B, not", value);
    r->options->body = value;
}

static void set_notify(struct reading *r, const char *value)
{
    r->options->notify = value;
}

static void set_ret(struct reading *r, const char *value)
{
    if (strcasecmp(value, "full") != 0 && strcasecmp(value, "hdrs") != 0)
        refuse(r, "full and hdrs are all there is of -R, not", value);
    r->options->ret = value;
}

static void set_envid(struct reading *r, const char *value)
{
    r->options->envid = value;
}

/* Messages are retried by the relay: there is nothing that a run would do. */
static void run_queue(struct reading *r, const char *value)
{
    (void)value;
    r->options->mode = SENDMAIL_NEWALIASES;
}

static void set_mode(struct reading *r, const char *value)
{
    switch (value[0]) {
    case 'm':
        r->options->mode = SENDMAIL_SEND;
        break;
    case 's':
        r->options->mode = SENDMAIL_SMTP;
        break;
    case 'p':
        r->options->mode = SENDMAIL_QUEUE;
        break;
    case 'i':
        r->options->mode = SENDMAIL_NEWALIASES;
        break;
    case 'd':
    case 'D':
        refuse(r, "the relay is started by `waxseal run`, not by -b", value);
        break;
    default:
        refuse(r, "there is no mode -b", value);
    }
}

/* -oi and -om and their many kin: one of them is for us. */
static void set_old_option(struct reading *r, const char *value)
{
    if (value[0] == 'i')
        take_dots(r, value);
}

static void ignore(struct reading *r, const char *value)
{
    (void)r;
    (void)value;
}

enum value_rule { NO_VALUE, VALUE, VALUE_ATTACHED };

/* clang-format off */
static const struct option {
    char letter;
    enum value_rule value;
    apply_fn *apply;
} table[] = {
    { 'A', VALUE,          ignore },        /* which of sendmail's configurations */
    { 'B', VALUE,          set_body },
    { 'b', VALUE,          set_mode },
    { 'C', VALUE,          set_config },
    { 'd', VALUE_ATTACHED, ignore },        /* debugging */
    { 'E', NO_VALUE,       ignore },
    { 'e', VALUE,          ignore },        /* errors are printed, and the exit status tells */
    { 'F', VALUE,          set_full_name },
    { 'f', VALUE,          set_sender },
    { 'G', NO_VALUE,       ignore },
    { 'h', VALUE,          ignore },        /* hops: the Received fields are counted */
    { 'I', NO_VALUE,       run_queue },     /* newaliases */
    { 'i', NO_VALUE,       take_dots },
    { 'L', VALUE,          ignore },        /* a name for the log */
    { 'm', NO_VALUE,       ignore },        /* the sender is a recipient like others */
    { 'N', VALUE,          set_notify },
    { 'n', NO_VALUE,       ignore },        /* no aliases */
    { 'O', VALUE,          ignore },
    { 'o', VALUE,          set_old_option },
    { 'p', VALUE,          ignore },        /* the protocol it came by: the kernel says who it was */
    { 'q', VALUE_ATTACHED, run_queue },
    { 'R', VALUE,          set_ret },
    { 'r', VALUE,          set_sender },
    { 's', NO_VALUE,       ignore },
    { 't', NO_VALUE,       take_header },
    { 'U', NO_VALUE,       ignore },
    { 'V', VALUE,          set_envid },
    { 'v', NO_VALUE,       be_verbose },
    { 'X', VALUE,          ignore },        /* a file for the dialogue: we write none */
    { 'x', VALUE,          ignore },
};
/* clang-format on */

static const struct option *find_option(char letter)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].letter == letter)
            return &table[i];
    return NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

static char *next_word(struct reading *r)
{
    if (r->left == 0)
        return NULL;
    r->left--;
    return *r->words++;
}

/* "-ti", "-fada", "-f ada": letters up to the first that takes the rest, or the next word. */
static void read_letters(struct reading *r, char *word)
{
    for (const char *at = word + 1; *at != '\0'; at++) {
        const struct option *option = find_option(*at);
        const char *value = at + 1;
        if (!option) {
            refuse(r, "there is no option", word);
            return;
        }
        if (option->value == NO_VALUE) {
            option->apply(r, "");
            continue;
        }
        if (option->value == VALUE && *value == '\0')
            value = next_word(r);
        if (value)
            option->apply(r, value);
        else
            refuse(r, "a value is missing behind", word);
        return;
    }
}

static void read_long(struct reading *r, char *word)
{
    if (strcmp(word, "--help") == 0) {
        r->options->mode = SENDMAIL_HELP;
    } else if (strcmp(word, "--config") == 0) {
        r->options->config = next_word(r);
        if (!r->options->config)
            refuse(r, "a value is missing behind", word);
    } else {
        refuse(r, "there is no option", word);
    }
}

static enum sendmail_mode mode_of(const char *name)
{
    const char *slash = strrchr(name, '/');

    name = slash ? slash + 1 : name;
    if (strcmp(name, "mailq") == 0)
        return SENDMAIL_QUEUE;
    return strcmp(name, "newaliases") == 0 ? SENDMAIL_NEWALIASES : SENDMAIL_SEND;
}

void sendmail_options_parse(int count, char *const words[], struct sendmail_options *out)
{
    struct reading r = { out, words, count };

    *out = (struct sendmail_options){ .mode = mode_of(next_word(&r)) };
    while (r.left > 0 && r.words[0][0] == '-' && r.words[0][1] != '\0') {
        char *word = next_word(&r);
        if (strcmp(word, "--") == 0)
            break;
        if (word[1] == '-')
            read_long(&r, word);
        else
            read_letters(&r, word);
    }
    out->recipients = r.words;
    out->recipient_count = r.left;
}
