#include "sendmail/hand_in.h"

#include "lib/io/local_socket.h"
#include "lib/mail/data_writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    GREETING_WAIT_S = 60, /* from a relay on this machine */
    REPLY_WAIT_S = 600,   /* RFC 5321 s.4.5.3.2.6, for the final dot */
    INPUT_MAX = 64 * 1024,
};

struct dialogue {
    const char *name;
    int fd;
    bool is_verbose;
    struct buf input;
    struct reply_parser parser;
    struct submission submission;
    struct error *err; /* the connection is of no more use */
    int exit_status;
};

/* --- bytes ----------------------------------------------------------------------------------- */

static void fail(struct dialogue *d, int errnum)
{
    if (d->err)
        return;
    if (errnum == EAGAIN)
        d->err = error_new(ERROR_TRANSIENT, "the relay does not answer");
    else if (errnum == 0 || errnum == EPIPE || errnum == ECONNRESET)
        d->err = error_new(ERROR_TRANSIENT, "the relay closed the connection");
    else
        d->err = error_errno(ERROR_TRANSIENT, errnum, "connection to the relay");
}

static void put(void *ctx, struct span bytes)
{
    struct dialogue *d = ctx;

    while (bytes.len > 0 && !d->err) {
        ssize_t sent = send(d->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            fail(d, errno);
        else
            bytes = span_from(bytes, (size_t)sent);
    }
}

static void say(struct dialogue *d, struct span words)
{
    put(d, words);
    put(d, SPAN("\r\n"));
    if (d->is_verbose)
        fprintf(stderr, ">>> " SPAN_FMT "\n", SPAN_ARG(words));
}

static void get(struct dialogue *d)
{
    size_t room;
    char *end = buf_reserve(&d->input, 1024, &room);
    ssize_t got;

    if (!end) {
        fail(d, EMSGSIZE);
        return;
    }
    do
        got = recv(d->fd, end, room, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        fail(d, got < 0 ? errno : 0);
    else
        buf_commit(&d->input, (size_t)got);
}

/* NULL: the connection has failed. */
static const struct reply *hear(struct dialogue *d)
{
    enum reply_progress progress = REPLY_MORE;

    while (!d->err && progress == REPLY_MORE) {
        size_t used = 0;
        progress = reply_parse(&d->parser, buf_span(&d->input), NULL, NULL, &used);
        buf_consume(&d->input, used);
        if (progress == REPLY_MORE)
            get(d);
    }
    if (progress == REPLY_BROKEN)
        fail(d, EPROTO);
    if (d->err)
        return NULL;
    if (d->is_verbose)
        fprintf(stderr, "%d " SPAN_FMT "\n", d->parser.reply.code,
                SPAN_ARG(buf_span(&d->parser.reply.text)));
    return &d->parser.reply;
}

/* --- what was refused ------------------------------------------------------------------------ */

static void print_reply(const struct dialogue *d, const char *what, struct span which,
                        const struct reply *reply)
{
    char status[STATUS_TEXT_SIZE];
    struct buf line;

    buf_init(&line, REPLY_TEXT_MAX);
    reply_to_line(reply, &line);
    status_format(&reply->status, status);
    fprintf(stderr, "%s: %s" SPAN_FMT ": %d " SPAN_FMT "\n", d->name, what, SPAN_ARG(which),
            reply->code, SPAN_ARG(buf_span(&line)));
    buf_clear(&line);
}

static void on_refused(void *ctx, struct span command, const struct reply *reply)
{
    struct dialogue *d = ctx;
    struct span path = span_from(command, sizeof("RCPT TO:") - 1);

    print_reply(d, "", span_first(path, span_find(path, ' ')), reply);
    d->exit_status = reply->status.subject == 1 ? EX_NOUSER : EX_UNAVAILABLE;
}

/* Recipients have been printed already. */
static void print_refusal(struct dialogue *d, const struct reply *reply)
{
    if (d->submission.refused > 0)
        return;
    print_reply(d, "the message was refused", SPAN(""), reply);
    d->exit_status = reply->status.subject == 6 ? EX_DATAERR : EX_UNAVAILABLE;
}

/* --- the dialogue ---------------------------------------------------------------------------- */

static void put_content(struct dialogue *d, struct span content)
{
    struct data_writer writer;

    data_writer_init(&writer, put, d);
    ensure(data_writer_put(&writer, content) == DATA_CLEAN); /* sendmail/text has seen to it */
    ensure(data_writer_finish(&writer) == DATA_CLEAN);
}

static void wait_at_most(const struct dialogue *d, int seconds)
{
    const struct timeval wait = { .tv_sec = seconds };

    (void)setsockopt(d->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    (void)setsockopt(d->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

static enum hand_in_end later(struct dialogue *d, const struct reply *reply)
{
    struct buf line;

    buf_init(&line, REPLY_TEXT_MAX);
    reply_to_line(reply, &line);
    d->err = error_new(ERROR_TRANSIENT, "the relay says: %d " SPAN_FMT, reply->code,
                       SPAN_ARG(buf_span(&line)));
    buf_clear(&line);
    return HAND_IN_LATER;
}

/* One word of ours for each of the relay's, up to the end. */
static enum hand_in_end converse(struct dialogue *d, struct span content)
{
    for (;;) {
        const struct reply *reply = hear(d);
        struct span words;
        if (!reply)
            return HAND_IN_LATER;
        wait_at_most(d, REPLY_WAIT_S);
        switch (submission_take(&d->submission, reply, &words)) {
        case SUBMISSION_SAY:
            say(d, words);
            break;
        case SUBMISSION_CONTENT:
            put_content(d, content);
            break;
        case SUBMISSION_TAKEN:
            say(d, SPAN("QUIT"));
            return HAND_IN_TAKEN;
        case SUBMISSION_LATER:
            return later(d, reply);
        case SUBMISSION_REFUSED:
            print_refusal(d, reply);
            return HAND_IN_REFUSED;
        }
    }
}

enum hand_in_end hand_in(const char *name, const char *socket_path, struct span commands,
                         struct span content, bool is_verbose, struct error **out_why,
                         int *out_exit)
{
    struct dialogue d = { .name = name, .is_verbose = is_verbose };
    enum hand_in_end end;

    *out_why = local_socket_connect(socket_path, &d.fd);
    if (*out_why)
        return HAND_IN_LATER;
    buf_init(&d.input, INPUT_MAX);
    reply_parser_init(&d.parser);
    submission_begin(&d.submission, commands, true, on_refused, &d);
    wait_at_most(&d, GREETING_WAIT_S);
    end = converse(&d, content);
    reply_parser_clear(&d.parser);
    buf_clear(&d.input);
    close(d.fd);
    if (end == HAND_IN_LATER)
        *out_why = d.err;
    else
        error_free(&d.err); /* the farewell is of no importance */
    *out_exit = d.exit_status;
    return end;
}
