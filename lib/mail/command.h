/*
 * command - one line that a client says, taken apart: verb, argument, path, parameters
 * (RFC 5321 s.4.1.1, rfc/smtp-server.md SRV-7, SRV-28 to SRV-30).  Called by smtpd/commands.  Pure:
 * no memory, nothing kept; spans point into the line.  Strict: exactly one blank behind the verb,
 * none around the colon; blanks at the line's end are forgiven.
 */
#ifndef WAXSEAL_MAIL_COMMAND_H
#define WAXSEAL_MAIL_COMMAND_H

#include "lib/mail/envelope.h"

enum command_verb {
    VERB_UNKNOWN, /* 500 */
    VERB_EHLO,
    VERB_HELO,
    VERB_MAIL,
    VERB_RCPT,
    VERB_DATA,
    VERB_BDAT,
    VERB_RSET,
    VERB_NOOP,
    VERB_QUIT,
    VERB_VRFY,
    VERB_EXPN,
    VERB_HELP,
    VERB_STARTTLS,
    VERB_AUTH,
    VERB_XCLIENT,  /* Postfix's, of hosts that are trusted */
    VERB_OBSOLETE, /* SEND, SOML, SAML, TURN, ETRN: known, never offered: 502 */
    VERB_HTTP,     /* GET, POST, ...: a browser sent here by somebody; close (SRV-14) */
    VERB_COUNT,
};

struct command {
    enum command_verb verb;
    bool has_argument;
    struct span argument; /* behind the one blank, without blanks at the end */
};

enum command_fault {
    COMMAND_FINE,
    COMMAND_BAD_BYTES, /* NUL, bare CR or bare LF in the line */
    COMMAND_SYNTAX,    /* not "FROM:<path>" or "TO:<path>"; no host name in EHLO */
    COMMAND_BAD_REVERSE_PATH,
    COMMAND_BAD_FORWARD_PATH,
    COMMAND_NON_ASCII_REVERSE, /* needs SMTPUTF8 */
    COMMAND_NON_ASCII_FORWARD,
    COMMAND_PARAMETER_SYNTAX,
    COMMAND_PARAMETER_TWICE,
    COMMAND_PARAMETER_UNKNOWN, /* well-formed, not one of ours */
    COMMAND_FAULT_COUNT,
};

/* How a fault is answered. */
struct command_refusal {
    int code;
    const char *status; /* "5.5.4" */
    const char *text;
};
/* For any fault but COMMAND_FINE. */
const struct command_refusal *command_refusal(enum command_fault fault);

/*
 * Takes a line without its CRLF.  Gives FINE or BAD_BYTES; an unknown verb is fine.  Whether the
 * verb wants an argument is the caller's table's business.
 */
enum command_fault command_parse(struct span line, struct command *out);

/*
 * "FROM: <a@b>" as "FROM:<a@b>", for clients of whom blanks behind the colon are forgiven (SRV-7);
 * all else as it is.  Lent from the argument or the room.
 */
struct span command_without_blanks(struct span argument, char room[SMTP_COMMAND_MAX]);

/*
 * "MAIL": what stands behind the verb.  With an origin (else NULL) a bare name gets it as domain.
 */
struct mail_command {
    struct address reverse_path;
    unsigned parameters; /* how many were given; after HELO none may be (SRV-20) */
    bool size_given;
    uint64_t size; /* UINT64_MAX for what does not fit */
    bool body_given;
    enum body_type body;
    bool smtputf8;   /* RFC 6531 s.3.4 */
    bool requiretls; /* RFC 8689 s.4.1 */
    bool priority_given;
    int priority;    /* RFC 6710 s.3 */
    bool auth_given; /* AUTH=: nobody is trusted to say it, so it is "<>" (RFC 4954 s.5) */
    struct dsn_request dsn;
};
enum command_fault command_parse_mail(struct span argument, const char *origin,
                                      struct mail_command *out);

/*
 * "RCPT": a path, or "<postmaster>" alone, whose domain is then "".  With `smtputf8`, said at MAIL,
 * path and ORCPT may be UTF-8.
 */
struct rcpt_command {
    struct address forward_path;
    unsigned parameters;
    uint32_t notify;           /* 0: not given */
    char orcpt[ORCPT_MAX + 1]; /* "" for none */
};
enum command_fault command_parse_rcpt(struct span argument, bool smtputf8, const char *origin,
                                      struct rcpt_command *out);

/*
 * The argument of BDAT: how many octets follow, and whether they are the last (RFC 3030 s.2).
 * With SYNTAX nobody knows where the next command begins.
 */
struct bdat_command {
    uint64_t octets;
    bool is_last;
};
enum command_fault command_parse_bdat(struct span argument, struct bdat_command *out);

/*
 * The argument of EHLO and HELO: a domain (underscores forgiven, SRV-21) or an address literal.
 * Gives FINE or SYNTAX; the name is copied as the client wrote it.
 */
enum command_fault command_parse_hello(struct span argument, char out_name[DOMAIN_MAX + 1]);

#endif
