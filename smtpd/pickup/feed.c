#include "smtpd/pickup/feed.h"

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/io/stream.h"
#include "lib/mail/data_writer.h"
#include "lib/mail/submission.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PENDING_MAX = 128 * 1024,  /* of content that the session has not taken */
    REFUSALS_MAX = 256 * 1024, /* beyond it recipients are not named */
    PIECE_SIZE = LOOP_SCRATCH_SIZE,
};

struct feed {
    struct feed_host host;
    struct stream *stream;
    struct submission submission;
    struct reply_parser parser;
    struct data_writer writer;
    struct buf commands;
    struct buf refusals;
    int fd;
    uint64_t offset;
    uint64_t left;
    bool sends; /* content is on its way */
};

static void end(struct feed *feed, enum feed_end how)
{
    feed->host.done(feed->host.ctx, feed, how);
}

/* --- content --------------------------------------------------------------------------------- */

static void on_written(void *ctx, struct span bytes)
{
    struct feed *feed = ctx;

    stream_write(feed->stream, bytes);
}

/* The next piece; an empty one when there is none, though it should be there. */
static struct span read_piece(struct feed *feed)
{
    char *room = loop_scratch(feed->host.sessions->loop);
    size_t want = feed->left < PIECE_SIZE ? (size_t)feed->left : PIECE_SIZE;
    ssize_t got;

    do
        got = pread(feed->fd, room, want, (off_t)feed->offset);
    while (got < 0 && errno == EINTR);
    return (struct span){ room, got > 0 ? (size_t)got : 0 };
}

/*
 * Sends while the session keeps up.  What is not CRLF all through would break out of the dialogue
 * and is damage, like what is too short: the final dot is never said.
 */
static bool send_content(struct feed *feed)
{
    while (feed->left > 0 && stream_pending(feed->stream) < PENDING_MAX) {
        struct span piece = read_piece(feed);
        if (piece.len == 0 || data_writer_put(&feed->writer, piece) != DATA_CLEAN)
            return false;
        feed->offset += piece.len;
        feed->left -= piece.len;
    }
    if (feed->left > 0)
        return true;
    feed->sends = false;
    return data_writer_finish(&feed->writer) == DATA_CLEAN;
}

static void on_drained(void *ctx)
{
    struct feed *feed = ctx;

    if (feed->sends && !send_content(feed))
        end(feed, FEED_CUT);
}

/* --- the dialogue ---------------------------------------------------------------------------- */

static void note_refusal(struct feed *feed, struct span what, const struct reply *reply)
{
    struct buf line;

    buf_init(&line, REPLY_TEXT_MAX);
    reply_to_line(reply, &line);
    (void)!buf_printf(&feed->refusals, SPAN_FMT "%s%d " SPAN_FMT "\n", SPAN_ARG(what),
                      what.len > 0 ? ": " : "", reply->code, SPAN_ARG(buf_span(&line)));
    buf_clear(&line);
}

static void on_refused(void *ctx, struct span command, const struct reply *reply)
{
    struct span path = span_from(command, sizeof("RCPT TO:") - 1);

    note_refusal(ctx, span_first(path, span_find(path, ' ')), reply);
}

static void refuse(struct feed *feed, const struct reply *reply)
{
    if (reply_is_permanent(reply) && buf_len(&feed->refusals) == 0)
        note_refusal(feed, SPAN(""), reply);
    end(feed, FEED_REFUSED);
}

/* False: the feed has ended, and may be gone. */
static bool take_reply(struct feed *feed, const struct reply *reply)
{
    struct span words;

    switch (submission_take(&feed->submission, reply, &words)) {
    case SUBMISSION_SAY:
        stream_write(feed->stream, words);
        stream_write(feed->stream, SPAN("\r\n"));
        return true;
    case SUBMISSION_CONTENT:
        feed->sends = true;
        if (send_content(feed))
            return true;
        end(feed, FEED_CUT);
        return false;
    case SUBMISSION_TAKEN:
        end(feed, FEED_TAKEN);
        return false;
    case SUBMISSION_REFUSED:
        refuse(feed, reply);
        return false;
    case SUBMISSION_LATER:
        break;
    }
    note_refusal(feed, SPAN(""), reply);
    end(feed, FEED_LATER);
    return false;
}

static size_t on_input(void *ctx, struct span input)
{
    struct feed *feed = ctx;
    size_t used = 0;

    switch (reply_parse(&feed->parser, input, NULL, NULL, &used)) {
    case REPLY_WHOLE:
        (void)take_reply(feed, &feed->parser.reply);
        break;
    case REPLY_BROKEN:
        end(feed, FEED_LATER);
        break;
    case REPLY_MORE:
        break;
    }
    return used;
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    end(ctx, FEED_LATER);
}

static const struct stream_events stream_events = {
    .input = on_input,
    .drained = on_drained,
    .closed = on_closed,
};

/* --- life ------------------------------------------------------------------------------------ */

static struct feed *feed_new(const struct feed_host *host, struct span commands, int fd,
                             uint64_t offset, uint64_t size)
{
    struct feed *feed = memory_new(sizeof(*feed));

    feed->host = *host;
    feed->fd = fd;
    feed->offset = offset;
    feed->left = size;
    buf_init(&feed->commands, DROP_HEAD_MAX);
    ensure(buf_append(&feed->commands, commands));
    buf_init(&feed->refusals, REFUSALS_MAX);
    reply_parser_init(&feed->parser);
    data_writer_init(&feed->writer, on_written, feed);
    submission_begin(&feed->submission, buf_span(&feed->commands), false, on_refused, feed);
    return feed;
}

struct feed *feed_start(const struct feed_host *host, uint32_t uid, struct span commands, int fd,
                        uint64_t offset, uint64_t size)
{
    const struct endpoint user = { .address = ip_address_of_user(uid) };
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        close(fd);
        return NULL;
    }
    struct feed *feed = feed_new(host, commands, fd, offset, size);
    feed->stream = stream_open(host->sessions->loop, pair[0], &stream_events, feed);
    stream_low_mark(feed->stream, PENDING_MAX / 2);
    session_open(host->sessions, host->place, pair[1], &user);
    return feed;
}

void feed_free(struct feed **feed)
{
    struct feed *f = *feed;

    if (!f)
        return;
    stream_free(&f->stream);
    reply_parser_clear(&f->parser);
    buf_clear(&f->commands);
    buf_clear(&f->refusals);
    close(f->fd);
    free(f);
    *feed = NULL;
}

struct span feed_refusals(const struct feed *feed)
{
    return buf_span(&feed->refusals);
}

struct span feed_sender(const struct feed *feed)
{
    struct span line = buf_span(&feed->commands);
    struct span path = span_from(line, sizeof("MAIL FROM:") - 1);

    path = span_first(path, span_find(path, '\n'));
    return span_first(path, span_find(path, ' '));
}
