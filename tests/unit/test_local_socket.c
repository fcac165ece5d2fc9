#include "lib/io/local_socket.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
        SOCKET_TEST("where nobody listens is a passing failure",
                    where_nobody_listens_is_a_passing_failure),
    };

    return cmocka_run_group_tests_name("local_socket", tests, NULL, NULL);
}
