/*
 * local_socket - the Unix sockets on which users of this machine hand in mail: bound by the
 * supervisor, served by smtpd, who learns from the kernel who is at the other end, and asked by
 * sendmail(1).  Everybody may connect; who may reach the folder of the socket is the
 * administrator's business.  And the one on which mail systems tell of their TLS sessions, served
 * by tlsrpt, to which a group may send.
 */
#ifndef WAXSEAL_IO_LOCAL_SOCKET_H
#define WAXSEAL_IO_LOCAL_SOCKET_H

#include "lib/base/error.h"
#include "lib/base/settings.h"

/* Where sendmail(1) finds the relay. */
enum { LOCAL_SOCKET_PATH_SIZE = SETTINGS_PATH_SIZE + 8 };
void local_socket_path(const struct settings *settings, char path[LOCAL_SOCKET_PATH_SIZE]);

/*
 * A listening socket with mode 0666: another descriptor of `have`, or a new one when that is -1.
 * A socket of a relay that is gone is replaced; one that is served, or anything else of that name,
 * is an error.
 */
struct error *local_socket_open(const char *path, int have, int *out_fd) MUST_CHECK;

/*
 * The same for datagrams, with mode 0660; for `group`, or the process's own when that is empty.
 */
struct error *local_socket_open_datagrams(const char *path, const char *group, int have,
                                          int *out_fd) MUST_CHECK;

/* A connected socket, blocking.  Who listens and takes nobody is waited for for seconds only. */
struct error *local_socket_connect(const char *path, int *out_fd) MUST_CHECK;

#endif
