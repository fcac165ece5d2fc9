/*
 * replies - everything smtpd says, as one table: code, enhanced status (RFC 3463, RFC 2034), text,
 * and what the session does next.  Called by smtpd/session (to say it) and smtpd/commands (to name
 * it).  Pure: no memory.
 */
#ifndef WAXSEAL_SMTPD_REPLIES_H
#define WAXSEAL_SMTPD_REPLIES_H

#include "lib/base/span.h"
#include "lib/mail/command.h"

enum reply_id {
    REPLY_WAIT, /* none yet: the command is tried again when the queue is back */
    REPLY_ASK,  /* the same, when it is known whether there is such a mailbox */
    REPLY_GREETING,
    REPLY_HELO,
    REPLY_EHLO,
    REPLY_OK,
    REPLY_SENDER_OK,
    REPLY_SENDER_WITHOUT_PRIORITY,
    REPLY_RECIPIENT_OK,
    REPLY_QUEUED,
    REPLY_HELP,
    REPLY_CANNOT_VRFY,
    REPLY_BYE,
    REPLY_SEND_DATA,
    REPLY_TAKE_CHUNK, /* never said: the octets of BDAT come first */
    REPLY_CHUNK_OK,
    REPLY_START_TLS,
    REPLY_BEGIN_AUTH, /* never said: the exchange says what comes next */
    REPLY_AUTHENTICATED,

    REPLY_SHUTTING_DOWN,
    REPLY_TIMEOUT,
    REPLY_TOO_MANY_ERRORS,
    REPLY_TOO_MANY_CLIENTS,
    REPLY_TOO_MANY_FROM_YOU,
    REPLY_TOO_MANY_FROM_NETWORK,
    REPLY_NOT_SMTP,
    REPLY_QUEUE_STUCK,
    REPLY_QUEUE_TROUBLE,
    REPLY_CANNOT_VERIFY,
    REPLY_MAILBOX_UNDECIDED,
    REPLY_QUEUE_FULL,
    REPLY_TOO_MANY_RECIPIENTS,
    REPLY_SHARE_SPENT,
    REPLY_NO_MEMORY,
    REPLY_NO_TLS,
    REPLY_AUTH_TROUBLE,
    REPLY_AUTH_BLOCKED,
    REPLY_AUTH_TOO_OFTEN,
    REPLY_TOO_MANY_CHUNKS,

    REPLY_EARLY_TALKER,
    REPLY_LINE_TOO_LONG,
    REPLY_UNKNOWN_COMMAND,
    REPLY_NOT_IMPLEMENTED,
    REPLY_NO_ARGUMENT_WANTED,
    REPLY_ARGUMENT_WANTED,
    REPLY_HELLO_FIRST,
    REPLY_MAIL_FIRST,
    REPLY_MAIL_AGAIN,
    REPLY_NOT_NOW,
    REPLY_LAST_CHUNK_FIRST,
    REPLY_BAD_CHUNK,
    REPLY_TLS_ALREADY,
    REPLY_BYTES_BEHIND_STARTTLS,
    REPLY_NO_RECIPIENTS,
    REPLY_NO_PARAMETERS_AFTER_HELO,
    REPLY_TOO_LARGE,
    REPLY_HEADER_TOO_LARGE,
    REPLY_TLS_FIRST,
    REPLY_RELAYING_DENIED,
    REPLY_ROUTE_REFUSES,
    REPLY_XCLIENT_DENIED,
    REPLY_SENDER_DENIED,
    REPLY_AUTHOR_DENIED,
    REPLY_REQUIRETLS_WANTS_TLS,
    REPLY_AUTH_FIRST,
    REPLY_AUTH_FAILED,
    REPLY_AUTH_ALREADY,
    REPLY_AUTH_WANTS_TLS,
    REPLY_AUTH_UNKNOWN,
    REPLY_AUTH_MALFORMED,
    REPLY_AUTH_CANCELLED,
    REPLY_AUTH_LINE_TOO_LONG,
    REPLY_NO_POSTMASTER,
    REPLY_NO_SUCH_MAILBOX,
    REPLY_BAD_CONTENT,
    REPLY_TOO_MANY_HOPS,
    REPLY_CONTENT_LINE_TOO_LONG,

    REPLY_FAULTS, /* from here on: the refusals of lib/mail/command, by fault */
    REPLY_COUNT = REPLY_FAULTS + COMMAND_FAULT_COUNT,
};

/* The reply that names what is wrong with a command. */
enum reply_id reply_of_fault(enum command_fault fault);

/* What the session does when it has said this. */
enum reply_next {
    NEXT_COMMAND,
    NEXT_DATA,
    NEXT_TLS,
    NEXT_AUTH,
    NEXT_CLOSE,
};
enum reply_next reply_next(enum reply_id id);
int reply_code(enum reply_id id);

/* What some replies speak of. */
struct reply_facts {
    const char *hostname;
    const char *detail;   /* behind the text; "" for nothing */
    uint64_t size_max;    /* EHLO's SIZE */
    bool offers_starttls; /* EHLO's STARTTLS */
    bool is_secure;       /* EHLO's REQUIRETLS */
    bool offers_priority; /* EHLO's MT-PRIORITY */
    bool offers_xclient;
    unsigned mechanisms;     /* EHLO's AUTH, a bit each; 0: none */
    unsigned recipients_max; /* EHLO's LIMITS */
};

/* Holds the longest reply with the longest host name. */
enum { REPLY_ROOM = 1024 };

/* Writes a reply with its line ends; gives the bytes written. */
size_t reply_write(enum reply_id id, const struct reply_facts *facts, char room[REPLY_ROOM]);

#endif
