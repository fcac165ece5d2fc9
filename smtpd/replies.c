#include "smtpd/replies.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/ipc/auth_client.h"
#include "lib/mail/xclient.h"

/* '@' in front of a text stands for our host name. */
struct reply_line {
    int code;
    const char *status; /* "" where RFC 2034 s.4 wants none: greeting, EHLO, HELO, 3yz */
    const char *text;
    enum reply_next next;
};

static const struct reply_line lines[REPLY_FAULTS] = {
    [REPLY_GREETING] = { 220, "", "@ ", NEXT_COMMAND }, /* and the banner */
    [REPLY_HELO] = { 250, "", "@", NEXT_COMMAND },
    [REPLY_EHLO] = { 250, "", "@", NEXT_COMMAND }, /* and its keywords, see write_ehlo */
    [REPLY_OK] = { 250, "2.0.0", "Ok", NEXT_COMMAND },
    [REPLY_SENDER_OK] = { 250, "2.1.0", "Ok", NEXT_COMMAND },
    [REPLY_SENDER_WITHOUT_PRIORITY] = { 250, "2.3.6",
                                        "0 is the new priority assigned to the message",
                                        NEXT_COMMAND },
    [REPLY_RECIPIENT_OK] = { 250, "2.1.5", "Ok", NEXT_COMMAND },
    [REPLY_QUEUED] = { 250, "2.0.0", "Ok: queued as ", NEXT_COMMAND },
    [REPLY_HELP] = { 214, "2.0.0",
                     "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP STARTTLS",
                     NEXT_COMMAND },
    [REPLY_CANNOT_VRFY] = { 252, "2.0.0", "Cannot VRFY, but will take mail and try", NEXT_COMMAND },
    [REPLY_BYE] = { 221, "2.0.0", "Bye", NEXT_CLOSE },
    [REPLY_SEND_DATA] = { 354, "", "End data with <CR><LF>.<CR><LF>", NEXT_DATA },
    [REPLY_TAKE_CHUNK] = { 250, "2.0.0", "Ok", NEXT_COMMAND },
    [REPLY_CHUNK_OK] = { 250, "2.0.0", "Ok, more to come", NEXT_COMMAND },
    [REPLY_START_TLS] = { 220, "2.0.0", "Ready to start TLS", NEXT_TLS }, /* RFC 3207 s.4 */
    [REPLY_BEGIN_AUTH] = { 334, "", "", NEXT_AUTH },
    [REPLY_AUTHENTICATED] = { 235, "2.7.0", "Authenticated", NEXT_COMMAND }, /* RFC 4954 s.6 */

    [REPLY_SHUTTING_DOWN] = { 421, "4.3.2", "@ restarts, please connect again", NEXT_CLOSE },
    [REPLY_TIMEOUT] = { 421, "4.4.2", "@ has waited too long", NEXT_CLOSE },
    [REPLY_TOO_MANY_ERRORS] = { 421, "4.7.0", "@ has seen too many errors", NEXT_CLOSE },
    [REPLY_TOO_MANY_CLIENTS] = { 421, "4.3.2", "@ has too many connections", NEXT_CLOSE },
    [REPLY_TOO_MANY_FROM_YOU] = { 421, "4.7.0", "@ has too many connections from you", NEXT_CLOSE },
    [REPLY_TOO_MANY_FROM_NETWORK] = { 421, "4.7.0", "@ has too many connections from your network",
                                      NEXT_CLOSE },
    [REPLY_NOT_SMTP] = { 421, "4.7.0", "@ speaks SMTP", NEXT_CLOSE },
    [REPLY_QUEUE_STUCK] = { 421, "4.3.0", "@ cannot reach its queue", NEXT_CLOSE },
    [REPLY_MAILBOX_UNDECIDED] = { 451, "4.4.1", "The mailbox's host does not say, please try again",
                                  NEXT_COMMAND },
    [REPLY_CANNOT_VERIFY] = { 451, "4.3.0", "Cannot verify this mailbox now, please try again",
                              NEXT_COMMAND },
    [REPLY_QUEUE_TROUBLE] = { 451, "4.3.0", "Local trouble, please try again", NEXT_COMMAND },
    [REPLY_QUEUE_FULL] = { 452, "4.3.1", "The queue is full, please try again", NEXT_COMMAND },
    [REPLY_TOO_MANY_RECIPIENTS] = { 452, "4.5.3", "Too many recipients", NEXT_COMMAND },
    [REPLY_SHARE_SPENT] = { 450, "4.7.1", "Too many for now, please try later: ", NEXT_COMMAND },
    [REPLY_NO_MEMORY] = { 452, "4.3.1", "Too many recipients of all clients, please try again",
                          NEXT_COMMAND },
    [REPLY_TOO_MANY_CHUNKS] = { 421, "4.7.0", "@ has seen too many chunks", NEXT_CLOSE },
    [REPLY_NO_TLS] = { 454, "4.7.0", "TLS is not available here", NEXT_COMMAND },
    [REPLY_AUTH_TROUBLE] = { 454, "4.7.0", "Cannot check that now, please try again",
                             NEXT_COMMAND },
    [REPLY_AUTH_BLOCKED] = { 454, "4.7.0", "Too many failures, please try later", NEXT_COMMAND },
    [REPLY_AUTH_TOO_OFTEN] = { 421, "4.7.0", "@ has seen too many failures", NEXT_CLOSE },

    [REPLY_EARLY_TALKER] = { 554, "5.5.1", "You spoke before the greeting", NEXT_CLOSE },
    [REPLY_LINE_TOO_LONG] = { 500, "5.5.2", "Command line too long", NEXT_COMMAND },
    [REPLY_UNKNOWN_COMMAND] = { 500, "5.5.1", "Unknown command", NEXT_COMMAND },
    [REPLY_NOT_IMPLEMENTED] = { 502, "5.5.1", "Command not implemented", NEXT_COMMAND },
    [REPLY_NO_ARGUMENT_WANTED] = { 501, "5.5.4", "This command takes no argument", NEXT_COMMAND },
    [REPLY_ARGUMENT_WANTED] = { 501, "5.5.4", "This command wants an argument", NEXT_COMMAND },
    [REPLY_HELLO_FIRST] = { 503, "5.5.1", "Say EHLO or HELO first", NEXT_COMMAND },
    [REPLY_MAIL_FIRST] = { 503, "5.5.1", "Say MAIL first", NEXT_COMMAND },
    [REPLY_MAIL_AGAIN] = { 503, "5.5.1", "MAIL has been said already", NEXT_COMMAND },
    [REPLY_NOT_NOW] = { 503, "5.5.1", "Not within a transaction", NEXT_COMMAND },
    [REPLY_LAST_CHUNK_FIRST] = { 503, "5.5.1", "Only BDAT may follow BDAT, up to its LAST",
                                 NEXT_COMMAND },
    /* nobody knows where the next command begins (rfc/smtp-server.md SRV-46) */
    [REPLY_BAD_CHUNK] = { 501, "5.5.4", "BDAT wants a size, and perhaps LAST", NEXT_CLOSE },
    [REPLY_TLS_ALREADY] = { 503, "5.5.1", "TLS is active already", NEXT_COMMAND },
    /* RFC 3207 s.4.2; pitfalls.md section 7.2: an attack, or a client nobody can trust */
    [REPLY_BYTES_BEHIND_STARTTLS] = { 503, "5.5.1", "Bytes came behind STARTTLS", NEXT_CLOSE },
    [REPLY_NO_RECIPIENTS] = { 554, "5.5.1", "No valid recipients", NEXT_COMMAND },
    [REPLY_NO_PARAMETERS_AFTER_HELO] = { 555, "5.5.4", "No parameters after HELO", NEXT_COMMAND },
    [REPLY_TOO_LARGE] = { 552, "5.3.4", "Message is larger than this server takes", NEXT_COMMAND },
    [REPLY_HEADER_TOO_LARGE] = { 552, "5.3.4", "Message header is too large", NEXT_COMMAND },
    [REPLY_TLS_FIRST] = { 530, "5.7.0", "Must issue a STARTTLS command first", NEXT_COMMAND },
    [REPLY_SENDER_DENIED] = { 553, "5.7.1", "Sender denied: ", NEXT_COMMAND },
    [REPLY_AUTHOR_DENIED] = { 550, "5.7.1", "From names an author that you may not use",
                              NEXT_COMMAND },
    [REPLY_ROUTE_REFUSES] = { 550, "", "", NEXT_COMMAND }, /* the route's own words follow */
    [REPLY_RELAYING_DENIED] = { 550, "5.7.1", "Relaying denied: ", NEXT_COMMAND },
    [REPLY_REQUIRETLS_WANTS_TLS] = { 530, "5.7.10", "REQUIRETLS is for messages inside TLS",
                                     NEXT_COMMAND },
    [REPLY_XCLIENT_DENIED] = { 550, "5.7.0", "XCLIENT is not for you", NEXT_COMMAND },
    [REPLY_AUTH_FIRST] = { 530, "5.7.0", "Authentication required", NEXT_COMMAND },
    [REPLY_AUTH_FAILED] = { 535, "5.7.8", "User or password wrong", NEXT_COMMAND },
    [REPLY_AUTH_ALREADY] = { 503, "5.5.1", "You are authenticated already", NEXT_COMMAND },
    [REPLY_AUTH_WANTS_TLS] = { 538, "5.7.11", "Must issue STARTTLS first", NEXT_COMMAND },
    [REPLY_AUTH_UNKNOWN] = { 504, "5.5.4", "Mechanism not offered", NEXT_COMMAND },
    [REPLY_AUTH_MALFORMED] = { 501, "5.5.2", "Cannot make sense of that response", NEXT_COMMAND },
    [REPLY_AUTH_CANCELLED] = { 501, "5.7.0", "Authentication cancelled", NEXT_COMMAND },
    [REPLY_AUTH_LINE_TOO_LONG] = { 500, "5.5.6", "Response too long", NEXT_COMMAND },
    [REPLY_NO_SUCH_MAILBOX] = { 550, "5.1.1", "There is no such mailbox here", NEXT_COMMAND },
    [REPLY_NO_POSTMASTER] = { 550, "5.1.1", "No postmaster is set up here", NEXT_COMMAND },
    [REPLY_BAD_CONTENT] = { 550, "5.6.0", "Only CRLF may end a line; message has a ",
                            NEXT_COMMAND },
    [REPLY_CONTENT_LINE_TOO_LONG] = { 554, "5.6.0", "The message has a line that is too long",
                                      NEXT_COMMAND },
    [REPLY_TOO_MANY_HOPS] = { 554, "5.4.6", "Too many hops, this mail loops", NEXT_COMMAND },
};

enum reply_id reply_of_fault(enum command_fault fault)
{
    return (enum reply_id)(REPLY_FAULTS + (int)fault);
}

static struct reply_line line_of(enum reply_id id)
{
    ensure(id > REPLY_WAIT && id < REPLY_COUNT);
    if (id < REPLY_FAULTS)
        return lines[id];
    const struct command_refusal *refusal =
        command_refusal((enum command_fault)((int)id - REPLY_FAULTS));
    return (struct reply_line){ refusal->code, refusal->status, refusal->text, NEXT_COMMAND };
}

enum reply_next reply_next(enum reply_id id)
{
    return line_of(id).next;
}

int reply_code(enum reply_id id)
{
    return line_of(id).code;
}

struct writer {
    char *room;
    size_t len;
};

static void put(struct writer *w, const char *text)
{
    size_t len = strlen(text);

    ensure(w->len + len <= REPLY_ROOM);
    memcpy(w->room + w->len, text, len);
    w->len += len;
}

static void put_text(struct writer *w, const char *text, const char *hostname)
{
    if (text[0] == '@') {
        put(w, hostname);
        text++;
    }
    put(w, text);
}

static void put_code(struct writer *w, int code, char separator)
{
    char text[] = { (char)('0' + code / 100), (char)('0' + code / 10 % 10), (char)('0' + code % 10),
                    separator, '\0' };

    put(w, text);
}

/* RFC 4954 s.3 */
static void write_mechanisms(struct writer *w, unsigned mechanisms)
{
    if (mechanisms == 0)
        return;
    put(w, "\r\n250-AUTH");
    for (int m = 0; m < AUTH_MECHANISM_COUNT; m++) {
        if (!(mechanisms & 1U << m))
            continue;
        put(w, " ");
        put(w, auth_mechanism_name((enum auth_mechanism)m));
    }
}

/* RFC 5321 s.4.1.1.1: the name, then what we offer; nothing that is answered with 500 or 502. */
static void write_ehlo(struct writer *w, const struct reply_facts *facts)
{
    char size[48], limits[48];

    snprintf(size, sizeof(size), "\r\n250-SIZE %" PRIu64, facts->size_max);
    snprintf(limits, sizeof(limits), "\r\n250-LIMITS RCPTMAX=%u",
             facts->recipients_max); /* RFC 9422 */
    put(w, "250-");
    put(w, facts->hostname);
    put(w, "\r\n250-PIPELINING");
    put(w, size);
    if (facts->offers_starttls)
        put(w, "\r\n250-STARTTLS");
    write_mechanisms(w, facts->mechanisms);
    if (facts->offers_priority)
        put(w, "\r\n250-MT-PRIORITY MIXER"); /* RFC 6710 s.3 */
    if (facts->is_secure)
        put(w, "\r\n250-REQUIRETLS");
    if (facts->offers_xclient) {
        put(w, "\r\n250-XCLIENT ");
        put(w, xclient_attributes);
    }
    put(w, limits);
    put(w, "\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 "
           "CHUNKING\r\n");
}

size_t reply_write(enum reply_id id, const struct reply_facts *facts, char room[REPLY_ROOM])
{
    struct reply_line line = line_of(id);
    struct writer w = { room, 0 };

    if (id == REPLY_EHLO) {
        write_ehlo(&w, facts);
        return w.len;
    }
    put_code(&w, line.code, ' ');
    if (line.status[0] != '\0') {
        put(&w, line.status);
        put(&w, " ");
    }
    put_text(&w, line.text, facts->hostname);
    put(&w, facts->detail);
    put(&w, "\r\n");
    return w.len;
}
