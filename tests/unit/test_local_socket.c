#include "lib/io/local_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

static char folder[200];
static char path[240];

/* Deeper than an address of a socket is long. */
static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/waxseal-%0100d-XXXXXX", 0);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/submit", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static int open_socket(int have)
{
    int fd = -1;
    struct error *err = local_socket_open(path, have, &fd);

    assert_null(err);
    assert_true(fd >= 0);
    return fd;
}

static void assert_fails(struct error *err, const char *part)
{
    assert_non_null(err);
    if (!strstr(error_text(err), part))
        fail_msg("%s", error_text(err));
    error_free(&err);
}

static void everybody_may_connect(void **state)
{
    int listening = open_socket(-1);
    int client = -1;
    struct stat st;

    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    struct error *err = local_socket_connect(path, &client);
    assert_null(err);
    int server = accept(listening, NULL, NULL);
    assert_true(server >= 0);
    close(server);
    close(client);
    close(listening);
}

static void a_socket_that_nobody_serves_is_replaced(void **state)
{
    (void)state;
    close(open_socket(-1));
    assert_int_equal(access(path, F_OK), 0);
    close(open_socket(-1));
}

/* --- datagrams */

static int open_datagrams(const char *group, int have)
{
    int fd = -1;
    struct error *err = local_socket_open_datagrams(path, group, have, &fd);

    assert_null(err);
    assert_true(fd >= 0);
    return fd;
}

static int connect_datagrams(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0 && at >= 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/submit", at);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(at);
    return fd;
}

static void a_group_may_send_datagrams_and_nobody_else(void **state)
{
    struct group *own = getgrgid(getegid());
    int fd = open_datagrams(own ? own->gr_name : "", -1);
    int client = connect_datagrams();
    char got[8];
    struct stat st;

    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(st.st_gid, getegid());
    assert_int_equal(send(client, "abc", 3, 0), 3);
    assert_int_equal(recv(fd, got, sizeof(got), 0), 3);
    assert_int_equal(recv(fd, got, sizeof(got), 0), -1); /* does not block */
    close(client);
    close(fd);
}

static void of_a_group_that_there_is_not_no_socket_is_made(void **state)
{
    int fd = -1;

    (void)state;
    assert_fails(local_socket_open_datagrams(path, "no-such-group", -1, &fd), "no group");
    assert_int_equal(access(path, F_OK), -1);
}

/* Who may not give it away: as a user without privileges, who is in no group but his own. */
static void of_a_group_that_we_are_not_in_no_socket_is_left(void **state)
{
    int status, fd = -1;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(folder, 0777), 0);
    pid_t child = fork();
    if (child == 0) {
        if (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0 ||
            setresuid(65534, 65534, 65534) != 0)
            _exit(2);
        struct error *err = local_socket_open_datagrams(path, "root", -1, &fd);
        _exit(err && strstr(error_text(err), "to its group") && access(path, F_OK) != 0 ? 0 : 3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void datagrams_of_a_relay_that_is_gone_are_taken_over(void **state)
{
    int other = -1;

    (void)state;
    close(open_datagrams("", -1));
    int fd = open_datagrams("", -1);
    assert_fails(local_socket_open_datagrams(path, "", -1, &other), "another program serves it");
    assert_fails(local_socket_open(path, -1, &other), "another program serves it");
    close(open_datagrams("", fd)); /* a reload has another descriptor of the same */
    close(fd);
    unlink(path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_fails(local_socket_open_datagrams(path, "", -1, &other), "no socket");
}

static void one_that_is_served_is_left_alone_and_shared_by_descriptor(void **state)
{
    int listening = open_socket(-1);
    int fd = -1;

    (void)state;
    assert_fails(local_socket_open(path, -1, &fd), "another program serves it");
    int again = open_socket(listening);
    assert_int_not_equal(again, listening);
    close(listening);
    close(again);
}

static void what_is_no_socket_is_left_alone(void **state)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    (void)state;
    close(fd);
    assert_fails(local_socket_open(path, -1, &fd), "is there and no socket");
    assert_int_equal(access(path, F_OK), 0);
}

static void who_listens_and_takes_nobody_is_not_waited_for(void **state)
{
    int listening = open_socket(-1);
    int first = -1, second = -1;

    (void)state;
    assert_int_equal(listen(listening, 0), 0);
    assert_null(local_socket_connect(path, &first));
    assert_fails(local_socket_connect(path, &second), "unavailable");
    assert_fails(local_socket_open(path, -1, &second), "another program serves it");
    close(first);
    close(listening);
}

static void where_nobody_listens_is_a_passing_failure(void **state)
{
    int fd = -1;
    struct error *err = local_socket_connect(path, &fd);

    (void)state;
    assert_non_null(err);
    assert_int_equal(error_kind(err), ERROR_TRANSIENT);
    error_free(&err);
    assert_fails(local_socket_connect("/nowhere/at/all", &fd), "/nowhere/at");
}

#define SOCKET_TEST(title, function)                                                               \
    {                                                                                              \
        title, function, set_up, tear_down, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOCKET_TEST("everybody may connect", everybody_may_connect),
        SOCKET_TEST("a socket that nobody serves is replaced",
                    a_socket_that_nobody_serves_is_replaced),
        SOCKET_TEST("one that is served is left alone, and shared by descriptor",
                    one_that_is_served_is_left_alone_and_shared_by_descriptor),
        SOCKET_TEST("what is no socket is left alone", what_is_no_socket_is_left_alone),
        SOCKET_TEST("who listens and takes nobody is not waited for for ever",
                    who_listens_and_takes_nobody_is_not_waited_for),
        SOCKET_TEST("a group may send datagrams, and nobody else",
                    a_group_may_send_datagrams_and_nobody_else),
        SOCKET_TEST("of a group that there is not no socket is made",
                    of_a_group_that_there_is_not_no_socket_is_made),
        SOCKET_TEST("of a group that we are not in no socket is left",
                    of_a_group_that_we_are_not_in_no_socket_is_left),
        SOCKET_TEST("datagrams of a relay that is gone are taken over, those of one that lives not",
                    datagrams_of_a_relay_that_is_gone_are_taken_over),
        SOCKET_TEST("where nobody listens is a passing failure",
                    where_nobody_listens_is_a_passing_failure),
    };

    return cmocka_run_group_tests_name("local_socket", tests, NULL, NULL);
}
