#include "tests/support/test.h"

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/own_address.h"
#include "lib/io/own_listener.h"
#include "tests/support/settings_text.h"

enum { SKIPPED = 77 };

static bool is_own(const char *text)
{
    struct ip_address address;

    assert_true(ip_address_parse(span_of(text), &address));
    return own_address(&address);
}

static void an_address_of_this_machine_is_known(void **state)
{
    static const char *const ours[] = { "127.0.0.1", "127.0.0.9", "127.255.1.1", "0.0.0.0" };
    static const char *const theirs[] = { "192.0.2.77",      "240.0.0.1",    "224.0.0.1",
                                          "255.255.255.255", "2001:db8::77", "ff02::1" };

    (void)state;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (!is_own(ours[i]))
            fail_msg("%s is not ours", ours[i]);
    for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++)
        if (is_own(theirs[i]))
            fail_msg("%s is ours", theirs[i]);
}

static void give_address(int fd, const char *interface, const char *address)
{
    struct ifreq request = { .ifr_flags = 0 };
    struct endpoint at = { .port = 0 };
    struct sockaddr_storage sa;

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    assert_true(ip_address_parse(span_of(address), &at.address));
    endpoint_to_sockaddr(&at, &sa);
    memcpy(&request.ifr_addr, &sa, sizeof(request.ifr_addr));
    if (ioctl(fd, SIOCSIFADDR, &request) != 0)
        _exit(SKIPPED);
    request.ifr_flags = IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        _exit(SKIPPED);
}

/* A network of our own: loopback alone, which has two addresses of one network beside 127.0.0.1. */
static int look_at_two_addresses(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return SKIPPED;
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    give_address(fd, "lo", "127.0.0.1");
    give_address(fd, "lo:1", "192.0.2.1");
    give_address(fd, "lo:2", "192.0.2.2");
    close(fd);
    return is_own("192.0.2.1") && is_own("192.0.2.2") && !is_own("198.51.100.1") ? 0 : 1;
}

static void a_further_address_of_a_network_is_known(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0)
        _exit(look_at_two_addresses());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_takes(const char *listeners, const char *to, bool takes)
{
    char text[256];
    struct settings *s;
    struct endpoint endpoint;

    snprintf(text, sizeof(text), "listeners = ( { address = [ %s ]; } );", listeners);
    s = settings_of(text);
    assert_true(endpoint_parse(span_of(to), 0, &endpoint));
    if (own_listener(s, &endpoint) != takes)
        fail_msg("listeners %s: %s is %s", listeners, to, takes ? "not ours" : "ours");
    free(s);
}

static void a_listener_is_known_by_address_and_port(void **state)
{
    static const char one[] = "\"127.0.0.1:25\", \"192.0.2.5:587\"";

    (void)state;
    assert_takes(one, "127.0.0.1:25", true);
    assert_takes(one, "192.0.2.5:587", true);
    assert_takes(one, "127.0.0.1:10025", false);
    assert_takes(one, "127.0.0.1:587", false);
    assert_takes(one, "127.0.0.2:25", false);
    assert_takes(one, "192.0.2.5:25", false);
    assert_takes(one, "[::1]:25", false);
}

static void the_unspecified_address_leads_to_loopback(void **state)
{
    (void)state;
    assert_takes("\"127.0.0.1:25\"", "0.0.0.0:25", true);
    assert_takes("\"127.0.0.1:25\"", "0.0.0.0:26", false);
    assert_takes("\"192.0.2.5:25\"", "0.0.0.0:25", false);
    assert_takes("\"[::1]:25\"", "[::]:25", true);
    assert_takes("\"[::1]:25\"", "0.0.0.0:25", false);
}

static void a_wildcard_is_on_all_addresses_of_this_machine(void **state)
{
    (void)state;
    assert_takes("\"0.0.0.0:25\"", "127.0.0.1:25", true);
    assert_takes("\"0.0.0.0:25\"", "127.0.0.9:25", true);
    assert_takes("\"0.0.0.0:25\"", "0.0.0.0:25", true);
    assert_takes("\"0.0.0.0:25\"", "127.0.0.1:26", false);
    assert_takes("\"0.0.0.0:25\"", "192.0.2.77:25", false);
    assert_takes("\"[::]:25\"", "127.0.0.1:25", false);
    assert_takes("\"[::]:25\"", "[2001:db8::77]:25", false);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "an address of this machine is known, and no other", an_address_of_this_machine_is_known,
          NULL, NULL, NULL },
        { "a further address of a network of ours is known",
          a_further_address_of_a_network_is_known, NULL, NULL, NULL },
        { "a listener is known by address and port", a_listener_is_known_by_address_and_port, NULL,
          NULL, NULL },
        { "the unspecified address leads to loopback", the_unspecified_address_leads_to_loopback,
          NULL, NULL, NULL },
        { "a wildcard is on all addresses of this machine, of its family",
          a_wildcard_is_on_all_addresses_of_this_machine, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("own_listener", tests, NULL, NULL);
}
