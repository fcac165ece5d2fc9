#include "lib/io/wire.h"

#include "lib/base/memory.h"
#include "lib/io/tls_openssl.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void option_on(int fd, int level, int option)
{
    int on = 1;

    (void)setsockopt(fd, level, option, &on, sizeof(on)); /* a socket pair has no TCP: no harm */
}

void wire_open(struct wire *wire, int fd)
{
    int on = 1;

    *wire = (struct wire){ .fd = fd };
    ensure(ioctl(fd, FIONBIO, &on) == 0);
    option_on(fd, IPPROTO_TCP, TCP_NODELAY); /* we flush once per turn: nothing to wait for */
    option_on(fd, SOL_SOCKET, SO_KEEPALIVE);
}

void wire_close(struct wire *wire)
{
    SSL_free(wire->ssl);
    ERR_clear_error();
    wire->ssl = NULL;
    free(wire->name);
    wire->name = NULL;
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
}

/* Connecting */

static bool is_our_trouble(int errnum)
{
    return errnum == EADDRNOTAVAIL || errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS ||
           errnum == ENOMEM;
}

static struct error *connect_error(int errnum, const struct endpoint *remote)
{
    char text[NETWORK_TEXT_SIZE];

    endpoint_format(remote, text);
    return error_errno(is_our_trouble(errnum) ? ERROR_LOCAL : ERROR_TRANSIENT, errnum,
                       "connect to %s", text);
}

/* Else nobody sees that a setting is what is wrong. */
static struct error *bind_error(int errnum, const struct endpoint *remote,
                                const struct ip_address *local)
{
    char from[NETWORK_TEXT_SIZE];
    struct error *err = connect_error(errnum, remote);

    ip_address_format(local, from);
    return error_wrap(err, "from %s", from);
}

/* The port is chosen at connect: else 28,000 connections would be all (pitfalls.md section 6). */
static int bind_local(int fd, const struct ip_address *local)
{
    struct endpoint from = { .address = *local };
    struct sockaddr_storage address;
    socklen_t len = endpoint_to_sockaddr(&from, &address);

    option_on(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    return bind(fd, (struct sockaddr *)&address, len) == 0 ? 0 : errno;
}

static int begin_connect(int fd, const struct endpoint *remote)
{
    struct sockaddr_storage address;
    socklen_t len = endpoint_to_sockaddr(remote, &address);

    if (connect(fd, (struct sockaddr *)&address, len) == 0 || errno == EINPROGRESS)
        return 0;
    return errno;
}

struct error *wire_connect(struct wire *wire, const struct endpoint *remote,
                           const struct ip_address *local)
{
    int family = remote->address.family == ADDRESS_V6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int errnum = 0;

    *wire = (struct wire){ .fd = -1 };
    if (fd < 0)
        return connect_error(errno, remote);
    wire_open(wire, fd);
    wire->remote = *remote;
    if (local && local->family != ADDRESS_NONE)
        errnum = bind_local(fd, local);
    bool is_bound = errnum == 0;
    if (is_bound)
        errnum = begin_connect(fd, remote);
    if (!errnum)
        return NULL;
    wire_close(wire);
    return is_bound ? connect_error(errnum, remote) : bind_error(errnum, remote, local);
}

struct error *wire_connected(struct wire *wire)
{
    int errnum = 0;
    socklen_t len = sizeof(errnum);

    if (getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        errnum = errno;
    return errnum ? connect_error(errnum, &wire->remote) : NULL;
}

/* Clear */

static enum wire_result clear_failed(struct wire *wire, enum wire_result when_blocked)
{
    if (errno == EAGAIN || errno == EINTR)
        return when_blocked;
    wire->errnum = errno;
    return WIRE_FAILED;
}

static enum wire_result clear_read(struct wire *wire, char *room, size_t size, size_t *out_len)
{
    ssize_t got = recv(wire->fd, room, size, 0);

    if (got < 0)
        return clear_failed(wire, WIRE_WANT_READ);
    *out_len = (size_t)got;
    return got == 0 ? WIRE_EOF : WIRE_DONE;
}

static enum wire_result clear_write(struct wire *wire, struct span bytes, size_t *out_len)
{
    ssize_t put = send(wire->fd, bytes.data, bytes.len, MSG_NOSIGNAL);

    if (put < 0)
        return clear_failed(wire, WIRE_WANT_WRITE);
    *out_len = (size_t)put;
    return *out_len == bytes.len ? WIRE_DONE : WIRE_WANT_WRITE;
}

/* TLS */

void wire_secure_client(struct wire *wire, struct tls_context *context, const char *name)
{
    wire->name = memory_copy_text(name);
    wire->ssl = tls_session_begin(context, name);
    ensure(SSL_set_fd(wire->ssl, wire->fd) == 1);
}

unsigned wire_expect_tlsa(struct wire *wire, const struct tlsa_names *also,
                          const struct span *records, unsigned count)
{
    return tls_dane_expect(wire->ssl, wire->name, also, records, count);
}

void wire_resume(struct wire *wire, const struct tls_resumable *resumable)
{
    tls_resumption_offer(wire->ssl, resumable);
}

struct tls_resumable *wire_resumable(const struct wire *wire)
{
    return wire->secured && wire->name ? tls_resumption_take(wire->ssl, wire->name) : NULL;
}

void wire_secure_server(struct wire *wire, struct tls_context *context)
{
    wire->ssl = tls_session_begin(context, NULL);
    ensure(SSL_set_fd(wire->ssl, wire->fd) == 1);
}

/* OpenSSL's queue of errors is this thread's, not the session's: empty before and after a call. */
static void tls_begin(void)
{
    ERR_clear_error();
    errno = 0;
}

static enum wire_result tls_system_failed(struct wire *wire, int errnum)
{
    wire->broken = true;
    if (errnum == 0)
        return WIRE_CUT;
    wire->errnum = errnum;
    return WIRE_FAILED;
}

static enum wire_result tls_failed(struct wire *wire)
{
    unsigned long code = ERR_peek_error();
    bool cut = ERR_GET_LIB(code) == ERR_LIB_SSL &&
               ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;

    wire->broken = true;
    tls_error_name(wire->reason);
    ERR_clear_error();
    return cut ? WIRE_CUT : WIRE_FAILED;
}

static enum wire_result tls_ended(struct wire *wire, int result)
{
    int errnum = errno;

    switch (SSL_get_error(wire->ssl, result)) {
    case SSL_ERROR_NONE:
        return WIRE_DONE;
    case SSL_ERROR_WANT_READ:
        return WIRE_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return WIRE_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return WIRE_EOF;
    case SSL_ERROR_SYSCALL:
        return tls_system_failed(wire, errnum);
    default:
        return tls_failed(wire);
    }
}

/* A record is 16 KiB at most: with that much room nothing is ever left behind inside OpenSSL. */
static enum wire_result tls_read(struct wire *wire, char *room, size_t size, size_t *out_len)
{
    size_t used = 0;
    enum wire_result result;

    do {
        size_t got = 0;
        tls_begin();
        result = tls_ended(wire, SSL_read_ex(wire->ssl, room + used, size - used, &got));
        used += got;
        if (got < SSL3_RT_MAX_PLAIN_LENGTH / 2) /* a small record: hardly another behind it */
            break;
    } while (result == WIRE_DONE && size - used >= SSL3_RT_MAX_PLAIN_LENGTH);
    *out_len = used;
    return result;
}

static enum wire_result tls_write(struct wire *wire, struct span bytes, size_t *out_len)
{
    enum wire_result result;

    do {
        size_t put = 0;
        tls_begin();
        result = tls_ended(wire, SSL_write_ex(wire->ssl, bytes.data, bytes.len, &put));
        bytes = span_from(bytes, put);
        *out_len += put;
    } while (result == WIRE_DONE && bytes.len > 0);
    return result;
}

/* A handshake that failed always has a reason: reports ask for it (RFC 8460 s.4.3). */
static void name_handshake_failure(struct wire *wire, enum wire_result result)
{
    const char *name = "SSL_R_UNEXPECTED_EOF_WHILE_READING";

    if (result == WIRE_EOF)
        name = "CLOSE_NOTIFY";
    else if (wire->errnum)
        name = strerrorname_np(wire->errnum);
    if (wire->reason[0] == '\0')
        (void)span_to_string(span_of(name), wire->reason, sizeof(wire->reason));
}

enum wire_result wire_handshake(struct wire *wire, struct tls_session *out_session)
{
    enum wire_result result;

    wire->tls = true;
    tls_begin();
    result = tls_ended(wire, SSL_do_handshake(wire->ssl));
    if (result == WIRE_DONE) {
        wire->secured = true;
        tls_session_describe(wire->ssl, wire->name, out_session);
    } else if (result != WIRE_WANT_READ && result != WIRE_WANT_WRITE) {
        wire->broken = true;
        name_handshake_failure(wire, result);
    }
    return result;
}

size_t wire_binding(const struct wire *wire, enum tls_binding kind,
                    unsigned char room[TLS_BINDING_MAX])
{
    return wire->secured && !wire->broken ? tls_session_binding(wire->ssl, kind, room) : 0;
}

bool wire_has_more(const struct wire *wire)
{
    return wire->tls && !wire->broken && SSL_has_pending(wire->ssl) == 1;
}

/* Both */

enum wire_result wire_read(struct wire *wire, char *room, size_t size, size_t *out_len)
{
    *out_len = 0;
    return wire->tls ? tls_read(wire, room, size, out_len) : clear_read(wire, room, size, out_len);
}

enum wire_result wire_write(struct wire *wire, struct span bytes, size_t *out_len)
{
    *out_len = 0;
    return wire->tls ? tls_write(wire, bytes, out_len) : clear_write(wire, bytes, out_len);
}

void wire_say_end(struct wire *wire)
{
    if (!wire->secured || wire->broken)
        return;
    tls_begin();
    (void)SSL_shutdown(wire->ssl); /* one way only: nobody waits for the answer */
    ERR_clear_error();
    wire->broken = true;
}

enum wire_result wire_linger(struct wire *wire, char *room, size_t size)
{
    ssize_t got = recv(wire->fd, room, size, 0);

    if (got > 0)
        shutdown(wire->fd, SHUT_WR);
    return got > 0 ? WIRE_WANT_READ : WIRE_DONE;
}

struct error *wire_error(const struct wire *wire, const char *what)
{
    if (wire->errnum)
        return error_errno(ERROR_TRANSIENT, wire->errnum, "%s", what);
    return error_new(ERROR_TRANSIENT, "%s: %s", what, wire->reason);
}

static bool endpoint_of(const struct wire *wire,
                        int (*ask)(int, struct sockaddr *restrict, socklen_t *restrict),
                        struct endpoint *out)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);

    return wire->fd >= 0 && ask(wire->fd, (struct sockaddr *)&address, &len) == 0 &&
           endpoint_from_sockaddr((struct sockaddr *)&address, out);
}

bool wire_local(const struct wire *wire, struct endpoint *out)
{
    return endpoint_of(wire, getsockname, out);
}

bool wire_remote(const struct wire *wire, struct endpoint *out)
{
    if (wire->remote.address.family != ADDRESS_NONE) {
        *out = wire->remote;
        return true;
    }
    return endpoint_of(wire, getpeername, out);
}
