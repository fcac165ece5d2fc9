#include "sendmail/smtp.h"

#include "lib/io/local_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { PIECE = 16 * 1024 };

/* One piece from one side to the other; false at the end of either. */
static bool carry(int from, int to)
{
    char room[PIECE];
    ssize_t got, put = 0;

    do
        got = read(from, room, sizeof(room));
    while (got < 0 && errno == EINTR);
    for (ssize_t done = 0; done < got; done += put) {
        put = write(to, room + done, (size_t)(got - done));
        if (put < 0 && errno != EINTR)
            return false;
        put = put < 0 ? 0 : put;
    }
    return got > 0;
}

/*
 * Until the relay has said its last word; it keeps the time.  Nobody speaks before its greeting:
 * what a script has written already waits for it.
 */
static int carry_all(int relay)
{
    struct pollfd sides[] = { { relay, POLLIN, 0 }, { -1, POLLIN, 0 } };

    if (!carry(relay, STDOUT_FILENO))
        return EX_TEMPFAIL;
    sides[1].fd = STDIN_FILENO;

    for (;;) {
        if (poll(sides, 2, -1) < 0 && errno != EINTR)
            return EX_OSERR;
        if (sides[0].revents != 0 && !carry(relay, STDOUT_FILENO))
            return EX_OK;
        if (sides[1].revents != 0 && !carry(STDIN_FILENO, relay)) {
            shutdown(relay, SHUT_WR);
            sides[1].fd = -1;
        }
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
    status = carry_all(relay);
    close(relay);
    return status;
}
