#include "smtpd/counters.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

static struct ip_address ip(const char *text)
{
    struct ip_address a;

    assert_true(ip_address_parse(span_of(text), &a));
    return a;
}

static int shared_memory(void)
{
    int fd = memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, COUNTERS_SIZE), 0);
    return fd;
}

static struct counters *opened(int fd)
{
    struct counters *c = NULL;
    struct error *err = counters_open(fd, &c);

    assert_null(err);
    return c;
}

static enum admission admit(struct counters *c, const char *client, unsigned all, unsigned each)
{
    const struct admission_limits limits = { all, each, 1000000, false };
    struct ip_address address = ip(client);

    return counters_admit(c, &address, &limits);
}

static void a_network_has_so_many_connections(void **state)
{
    const struct admission_limits limits = { 1000, 1000, 3, false };
    static const char *const same[] = { "192.0.2.1",       "192.0.2.2",       "192.0.2.77",
                                        "2001:db8:1:1::1", "2001:db8:1:2::1", "2001:db8:1:3::1" };
    const struct ip_address local = ip_address_of_user(1000);
    struct counters *c = opened(-1);
    struct ip_address one = ip("192.0.2.9"), other = ip("192.0.3.9"), loopback = ip("127.0.0.1");

    (void)state;
    for (int i = 0; i < 6; i++) {
        struct ip_address client = ip(same[i]);
        assert_int_equal(counters_admit(c, &client, &limits), ADMISSION_GRANTED);
    }
    assert_int_equal(counters_admit(c, &one, &limits), ADMISSION_NETWORK);
    assert_int_equal(counters_admit(c, &other, &limits), ADMISSION_GRANTED);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(counters_admit(c, &loopback, &limits), ADMISSION_GRANTED);
        assert_int_equal(counters_admit(c, &local, &limits), ADMISSION_GRANTED);
    }
    one = ip("192.0.2.1");
    counters_leave(c, &one);
    assert_int_equal(counters_admit(c, &one, &limits), ADMISSION_GRANTED);
    one = ip("2001:db8:1:4::1");
    assert_int_equal(counters_admit(c, &one, &limits), ADMISSION_NETWORK);
    assert_int_equal(counters_total(c), 27);
    counters_close(&c);
}

static void a_client_has_so_many_connections(void **state)
{
    struct counters *c = opened(-1);
    struct ip_address client = ip("192.0.2.1");

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(admit(c, "192.0.2.1", 1000, 3), ADMISSION_GRANTED);
    assert_int_equal(admit(c, "192.0.2.1", 1000, 3), ADMISSION_CLIENT);
    assert_int_equal(admit(c, "192.0.2.2", 1000, 3), ADMISSION_GRANTED);
    counters_leave(c, &client);
    assert_int_equal(admit(c, "192.0.2.1", 1000, 3), ADMISSION_GRANTED);
    assert_int_equal(counters_total(c), 4);
    counters_close(&c);
}

static void a_v6_client_is_its_64(void **state)
{
    struct counters *c = opened(-1);

    (void)state;
    assert_int_equal(admit(c, "2001:db8::1", 1000, 1), ADMISSION_GRANTED);
    assert_int_equal(admit(c, "2001:db8::ffff:2", 1000, 1), ADMISSION_CLIENT);
    assert_int_equal(admit(c, "2001:db8:0:1::1", 1000, 1), ADMISSION_GRANTED);
    counters_close(&c);
}

static void the_last_tenth_is_for_loopback(void **state)
{
    struct counters *c = opened(-1);

    (void)state;
    for (int i = 0; i < 9; i++)
        assert_int_equal(admit(c, "192.0.2.1", 10, 100), ADMISSION_GRANTED);
    assert_int_equal(admit(c, "192.0.2.1", 10, 100), ADMISSION_FULL);
    assert_int_equal(admit(c, "127.0.0.1", 10, 1), ADMISSION_GRANTED);
    assert_int_equal(admit(c, "::1", 10, 1), ADMISSION_FULL);
    assert_int_equal(counters_total(c), 10);
    counters_close(&c);
}

static void loopback_has_no_limit_of_its_own(void **state)
{
    struct counters *c = opened(-1);

    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(admit(c, "127.0.0.1", 1000, 1), ADMISSION_GRANTED);
    counters_close(&c);
}

/* Runs in a process of its own: takes `count` places and dies without a word. */
static void die_with(int fd, int count)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct counters *c = NULL;
        if (counters_open(fd, &c))
            _exit(2);
        for (int i = 0; i < count; i++)
            if (admit(c, "192.0.2.1", 1000, 100) != ADMISSION_GRANTED)
                _exit(3);
        _exit(counters_total(c) == (unsigned)count + 1 ? 0 : 4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void processes_count_together_and_the_dead_are_swept(void **state)
{
    int fd = shared_memory();
    struct counters *c = opened(fd);

    (void)state;
    assert_int_equal(admit(c, "192.0.2.1", 1000, 5), ADMISSION_GRANTED);
    die_with(fd, 5);
    assert_int_equal(counters_total(c), 6);
    assert_int_equal(admit(c, "192.0.2.1", 1000, 5), ADMISSION_CLIENT);
    counters_sweep(c);
    assert_int_equal(counters_total(c), 1);
    assert_int_equal(admit(c, "192.0.2.1", 1000, 5), ADMISSION_GRANTED);
    counters_close(&c);
    close(fd);
}

static void a_successor_sweeps_at_its_start(void **state)
{
    int fd = shared_memory();
    struct counters *c = opened(fd);

    (void)state;
    assert_int_equal(admit(c, "192.0.2.9", 1000, 5), ADMISSION_GRANTED);
    die_with(fd, 7);
    die_with(fd, 7); /* fails when the first one's counts are still there */
    assert_int_equal(counters_total(c), 8);
    counters_close(&c);
    close(fd);
}

/* A captured process that shrank the memory would be the end of all the others (SIGBUS). */
static void nobody_can_shrink_the_table(void **state)
{
    int fd = shared_memory();
    struct counters *c = opened(fd);

    (void)state;
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, 2 * COUNTERS_SIZE), -1);
    counters_close(&c);
    c = opened(fd); /* sealed already */
    counters_close(&c);
    close(fd);
}

static void a_garbled_table_heals(void **state)
{
    int fd = shared_memory();
    struct counters *c = opened(fd);
    struct ip_address client = ip("192.0.2.1");

    (void)state;
    assert_int_equal(admit(c, "192.0.2.1", 1000, 2), ADMISSION_GRANTED);
    assert_int_equal(admit(c, "192.0.2.1", 1000, 2), ADMISSION_GRANTED);
    void *table = mmap(NULL, COUNTERS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(table != MAP_FAILED);
    memset(table, 0, COUNTERS_SIZE);
    counters_leave(c, &client);
    assert_int_equal(admit(c, "192.0.2.1", 1000, 2), ADMISSION_GRANTED);
    assert_int_equal(counters_total(c), 2);
    assert_int_equal(admit(c, "192.0.2.1", 1000, 2), ADMISSION_CLIENT);
    memset(table, 0xff, COUNTERS_SIZE);
    counters_leave(c, &client);
    counters_leave(c, &client);
    counters_sweep(c);
    assert_int_equal(admit(c, "192.0.2.1", 1000, 2), ADMISSION_GRANTED);
    assert_int_equal(counters_total(c), 1);
    munmap(table, COUNTERS_SIZE);
    counters_close(&c);
    close(fd);
}

static void too_small_a_table_is_refused(void **state)
{
    int fd = memfd_create("counters", MFD_CLOEXEC);
    struct counters *c = NULL;
    struct error *err = counters_open(fd, &c);

    (void)state;
    assert_non_null(err);
    assert_null(c);
    error_free(&err);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a network has so many connections; loopback and users of this machine are in none",
          a_network_has_so_many_connections, NULL, NULL, NULL },
        { "a client has so many connections and no more", a_client_has_so_many_connections, NULL,
          NULL, NULL },
        { "an IPv6 client is its /64", a_v6_client_is_its_64, NULL, NULL, NULL },
        { "the last tenth of all connections is kept for loopback", the_last_tenth_is_for_loopback,
          NULL, NULL, NULL },
        { "loopback has no limit per client", loopback_has_no_limit_of_its_own, NULL, NULL, NULL },
        { "processes count together; the counts of a dead one are swept",
          processes_count_together_and_the_dead_are_swept, NULL, NULL, NULL },
        { "a successor zeroes what the dead have left", a_successor_sweeps_at_its_start, NULL, NULL,
          NULL },
        { "nobody can shrink the table", nobody_can_shrink_the_table, NULL, NULL, NULL },
        { "a table that somebody garbled heals", a_garbled_table_heals, NULL, NULL, NULL },
        { "a table that is too small is refused", too_small_a_table_is_refused, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
