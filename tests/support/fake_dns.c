#include "tests/support/fake_dns.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEADER = FAKE_DNS_HEADER, ANSWER_TTL = 30, TRIES_MAX = 20 };

bool fake_dns_starts(const unsigned char *query, const char *label)
{
    size_t len = strlen(label);
    return query[HEADER] == len && strncasecmp((const char *)query + HEADER + 1, label, len) == 0;
}

size_t fake_dns_question_end(const unsigned char *query)
{
    size_t at = HEADER;
    while (query[at] != 0)
        at += query[at] + 1U;
    return at + 5;
}

size_t fake_dns_begin(const unsigned char *query, unsigned char *reply)
{
    size_t at = fake_dns_question_end(query);
    memcpy(reply, query, at);
    memset(reply + 6, 0, 6);
    reply[2] = 0x81;
    reply[3] = 0xa0 & (query[3] | 0x80);
    return at;
}

size_t fake_dns_add_answer(unsigned char *reply, size_t at, unsigned type,
                           const unsigned char *data, unsigned len)
{
    const unsigned char head[] = { 0xc0, HEADER, 0, (unsigned char)type, 0, 1,
                                   0,    0,      0, ANSWER_TTL,          0, (unsigned char)len };
    memcpy(reply + at, head, sizeof(head));
    memcpy(reply + at + sizeof(head), data, len);
    reply[7]++;
    return at + sizeof(head) + len;
}

size_t fake_dns_add_opt(unsigned char *reply, size_t at)
{
    static const unsigned char opt[] = { 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0 };
    memcpy(reply + at, opt, sizeof(opt));
    reply[11] = 1;
    return at + sizeof(opt);
}

static void serve_udp(int fd, fake_dns_fn *answer)
{
    unsigned char query[FAKE_DNS_SIZE];
    unsigned char reply[FAKE_DNS_SIZE];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    ssize_t len = recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);
    if (len < HEADER)
        return;
    size_t size = answer(query, false, reply);
    if (size > 0)
        sendto(fd, reply, size, 0, (struct sockaddr *)&from, from_len);
}

static void serve_tcp(int listener, fake_dns_fn *answer)
{
    unsigned char query[FAKE_DNS_SIZE + 2];
    unsigned char reply[FAKE_DNS_SIZE + 2];
    int fd = accept(listener, NULL, NULL);
    if (recv(fd, query, sizeof(query), 0) > HEADER + 2) {
        size_t size = answer(query + 2, true, reply + 2);
        reply[0] = (unsigned char)(size >> 8);
        reply[1] = (unsigned char)size;
        if (size > 0)
            send(fd, reply, size + 2, 0);
    }
    poll(NULL, 0, 20);
    close(fd);
}

static void run(const struct fake_dns *fake, fake_dns_fn *answer)
{
    struct pollfd fds[2] = { { fake->udp, POLLIN, 0 }, { fake->tcp, POLLIN, 0 } };
    for (;;) {
        poll(fds, 2, -1);
        if (fds[0].revents)
            serve_udp(fake->udp, answer);
        if (fds[1].revents)
            serve_tcp(fake->tcp, answer);
    }
}

/* Both at one port; false: the kernel's choice for UDP is taken for TCP. */
static bool open_both(struct fake_dns *fake, struct sockaddr_in *sa)
{
    socklen_t len = sizeof(*sa);

    *sa = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    *fake = (struct fake_dns){ .udp = socket(AF_INET, SOCK_DGRAM, 0),
                               .tcp = socket(AF_INET, SOCK_STREAM, 0) };
    assert_int_equal(bind(fake->udp, (struct sockaddr *)sa, sizeof(*sa)), 0);
    getsockname(fake->udp, (struct sockaddr *)sa, &len);
    if (bind(fake->tcp, (struct sockaddr *)sa, sizeof(*sa)) == 0)
        return true;
    close(fake->udp);
    close(fake->tcp);
    return false;
}

void fake_dns_open(struct fake_dns *fake)
{
    struct sockaddr_in sa;
    int tries = 1;

    while (!open_both(fake, &sa))
        assert_true(++tries <= TRIES_MAX);
    assert_int_equal(listen(fake->tcp, 8), 0);
    assert_true(endpoint_from_sockaddr((struct sockaddr *)&sa, &fake->endpoint));
}

void fake_dns_start(struct fake_dns *fake, fake_dns_fn *reply)
{
    fake_dns_open(fake);
    fake->pid = fork();
    if (fake->pid == 0)
        run(fake, reply);
}

void fake_dns_stop(struct fake_dns *fake)
{
    if (fake->pid > 0) {
        kill(fake->pid, SIGKILL);
        waitpid(fake->pid, NULL, 0);
    }
    close(fake->udp);
    close(fake->tcp);
}
