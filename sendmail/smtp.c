#include "sendmail/smtp.h"

#include "lib/base/span.h"
#include "lib/io/local_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { PIECE = 16 * 1024 };

/* What a side has said just now; empty at its end. */
static struct span take(int from, char room[PIECE])
{
    ssize_t got;

    do
        got = read(from, room, PIECE);
    while (got < 0 && errno == EINTR);
    return (struct span){ room, got > 0 ? (size_t)got : 0 };
}

static bool give(int to, struct span piece)
{
    while (piece.len > 0) {
        ssize_t put = write(to, piece.data, piece.len);
        if (put < 0 && errno != EINTR)
            return false;
        piece = span_from(piece, put > 0 ? (size_t)put : 0);
    }
    return true;
}

/* One piece from one side to the other; false at the end of either. */
static bool carry(int from, int to)
{
    char room[PIECE];
    struct span piece = take(from, room);

    return piece.len > 0 && give(to, piece);
}

/* The client's half.  How its first line ends decides: SMTP's lines end with CRLF. */
struct client {
    bool is_known; /* the first line is over ... */
    bool is_wrong; /* ... with LF alone */
    char last;
};

static void look_at_line_end(struct client *client, struct span piece)
{
    size_t lf = span_find(piece, '\n');

    if (client->is_known || piece.len == 0)
        return;
    client->is_known = lf < piece.len;
    client->is_wrong = client->is_known && (lf > 0 ? piece.data[lf - 1] : client->last) != '\r';
    client->last = piece.data[piece.len - 1];
}

static bool carry_client(struct client *client, int relay)
{
    char room[PIECE];
    struct span piece = take(STDIN_FILENO, room);

    look_at_line_end(client, piece);
    return piece.len > 0 && !client->is_wrong && give(relay, piece);
}

/* Else it would wait for an answer to a line that never ends. */
static int refuse_client(const char *name)
{
    printf("500 5.5.2 Lines of SMTP end with CRLF\r\n");
    fprintf(stderr, "%s: the commands end with LF alone, SMTP's end with CRLF; nothing was sent\n",
            name);
    return EX_DATAERR;
}

/*
 * Until the relay has said its last word; it keeps the time.  Nobody speaks before its greeting:
 * what a script has written already waits for it.
 */
static int carry_all(const char *name, int relay)
{
    struct pollfd sides[] = { { relay, POLLIN, 0 }, { -1, POLLIN, 0 } };
    struct client client = { .last = '\0' };

    if (!carry(relay, STDOUT_FILENO))
        return EX_TEMPFAIL;
    sides[1].fd = STDIN_FILENO;

    for (;;) {
        if (poll(sides, 2, -1) < 0 && errno != EINTR)
            return EX_OSERR;
        if (sides[0].revents != 0 && !carry(relay, STDOUT_FILENO))
            return EX_OK;
        if (sides[1].revents != 0 && !carry_client(&client, relay)) {
            shutdown(relay, SHUT_WR);
            sides[1].fd = -1;
        }
        if (client.is_wrong)
            return refuse_client(name);
    }
}

int smtp_speak(const char *name, const struct settings *settings)
{
    char path[LOCAL_SOCKET_PATH_SIZE];
    struct error *err;
    int relay, status;

    local_socket_path(settings, path);
    err = local_socket_connect(path, &relay);
    if (err) {
        printf("421 4.3.2 %s No relay is running\r\n", settings->hostname);
        fprintf(stderr, "%s: %s\n", name, error_text(err));
        error_free(&err);
        return EX_TEMPFAIL;
    }
    status = carry_all(name, relay);
    close(relay);
    return status;
}
