/*
 * options - the words behind `sendmail`, as a hundred programs write them.  Called by sendmail.
 * Pure.  docs/man/waxseal-sendmail.1 says which are heeded and which are taken and ignored.
 */
#ifndef WAXSEAL_SENDMAIL_OPTIONS_H
#define WAXSEAL_SENDMAIL_OPTIONS_H

#include <stdbool.h>

enum sendmail_mode {
    SENDMAIL_SEND,       /* -bm: a message on standard input */
    SENDMAIL_SMTP,       /* -bs: SMTP on standard input and output */
    SENDMAIL_QUEUE,      /* -bp, mailq: show the queue */
    SENDMAIL_NEWALIASES, /* -bi, newaliases, and -q: nothing to do */
    SENDMAIL_HELP,
};

struct sendmail_options {
    enum sendmail_mode mode;
    bool recipients_in_header; /* -t */
    bool dot_is_text;          /* -i, -oi */
    bool is_verbose;           /* -v */
    const char *sender;        /* -f, -r; NULL: who we are; "" or "<>": the null reverse-path */
    const char *full_name;     /* -F; NULL: the user's */
    const char *config;        /* -C, --config; NULL: where it always is */
    const char *body;          /* -B */
    const char *notify;        /* -N */
    const char *ret;           /* -R */
    const char *envid;         /* -V */
    char *const *recipients;
    int recipient_count;

    const char *fault; /* NULL: all is understood */
    const char *word;  /* what the fault is about */
};

/*
 * Reads the words of a command line; the first is the name it was called by.  With a fault the
 * rest is of no use.
 */
void sendmail_options_parse(int count, char *const words[], struct sendmail_options *out);

#endif
