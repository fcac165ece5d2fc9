/* ask - asks a socketmap for the policies of many domains, over many connections at once.
 *
 *   ask [-a 127.0.0.1:8461] [-m QUERY] [-c connections] [-p depth] [-d domains] [-s seconds] [-o] FORMAT
 *
 * FORMAT makes a name of a number, "p%d.bench.test".  Each connection keeps `depth` questions
 * under way (1: as Postfix does, one after the other).  -o: each domain once, then it ends.
 * Prints one JSON object: answers a second, how many were OK, and their latencies. */
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, REQUEST_MAX = 400 };

struct connection {
    int fd;
    Buf in;
    int64_t asked_us[DEPTH_MAX]; /* a ring: answers come in order */
    unsigned head, count;
};

static struct {
    const char *map, *format;
    unsigned depth, domains, next;
    bool once;
    uint64_t answers, ok, other;
    Hist latency;
} run;

static bool is_left(void) { return !run.once || run.next < run.domains; }

/* As many questions as fit into the depth, in one write. */
static void fill(struct connection *c)
{
    char text[DEPTH_MAX * REQUEST_MAX];
    size_t len = 0;
    for (; c->count < run.depth && is_left(); c->count++) {
        char name[200], payload[300];
        snprintf(name, sizeof name, run.format, (int)(run.next++ % run.domains));
        int n = snprintf(payload, sizeof payload, "%s %s", run.map, name);
        len += (size_t)snprintf(text + len, sizeof text - len, "%d:%s,", n, payload);
        c->asked_us[(c->head + c->count) % DEPTH_MAX] = mono_us();
    }
    if (len > 0 && write(c->fd, text, len) != (ssize_t)len)
        die("write: %s", strerror(errno));
}

static void take(struct connection *c, const char *payload, size_t len)
{
    if (c->count == 0)
        die("an answer that nobody asked for");
    hist_add(&run.latency, mono_us() - c->asked_us[c->head]);
    c->head = (c->head + 1) % DEPTH_MAX;
    c->count--;
    run.answers++;
    if (len > 3 && memcmp(payload, "OK ", 3) == 0)
        run.ok++;
    else
        run.other++;
}

static void hear(struct connection *c)
{
    buf_reserve(&c->in, 65536);
    ssize_t got = read(c->fd, c->in.p + c->in.len, c->in.cap - c->in.len);
    if (got <= 0)
        die("the server has closed: %s", got < 0 ? strerror(errno) : "end");
    c->in.len += (size_t)got;
    for (;;) {
        char *at = buf_head(&c->in), *colon = memchr(at, ':', buf_pending(&c->in));
        if (!colon)
            break;
        size_t len = strtoul(at, NULL, 10), head = (size_t)(colon - at) + 1;
        if (buf_pending(&c->in) < head + len + 1)
            break;
        take(c, colon + 1, len);
        c->in.off += head + len + 1;
    }
    fill(c);
}

static int connect_to(const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    struct sockaddr_in sin = { .sin_family = AF_INET };
    if (!colon || (size_t)(colon - address) >= sizeof host)
        die("no address: %s", address);
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    sin.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &sin.sin_addr) != 1)
        die("no address: %s", address);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&sin, sizeof sin) != 0)
        die("connect to %s: %s", address, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

int main(int argc, char **argv)
{
    const char *address = "127.0.0.1:8461";
    unsigned connections = 16;
    double seconds = 5;
    run.map = "QUERY";
    run.depth = 1;
    run.domains = 1000;
    for (int o; (o = getopt(argc, argv, "a:m:c:p:d:s:o")) != -1;) {
        if (o == 'a')
            address = optarg;
        else if (o == 'm')
            run.map = optarg;
        else if (o == 'c')
            connections = (unsigned)atoi(optarg);
        else if (o == 'p')
            run.depth = (unsigned)atoi(optarg);
        else if (o == 'd')
            run.domains = (unsigned)atoi(optarg);
        else if (o == 's')
            seconds = atof(optarg);
        else if (o == 'o')
            run.once = true;
        else
            return 2;
    }
    if (optind + 1 != argc || run.depth < 1 || run.depth > DEPTH_MAX || run.domains < 1)
        die("ask: see the beginning of ask.c");
    run.format = argv[optind];
    int epoll = epoll_create1(0);
    struct connection *all = calloc(connections, sizeof *all);
    for (unsigned i = 0; i < connections; i++) {
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = &all[i] };
        all[i].fd = connect_to(address);
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e);
    }
    int64_t begin = mono_us(), end = begin + (int64_t)(seconds * 1e6);
    for (unsigned i = 0; i < connections; i++)
        fill(&all[i]);
    while (run.once ? run.answers < run.domains : mono_us() < end) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, 1000);
        for (int i = 0; i < n; i++)
            hear(events[i].data.ptr);
    }
    double took = (double)(mono_us() - begin) / 1e6;
    printf("{\"answers\": %llu, \"seconds\": %.2f, \"per_s\": %.0f, \"ok\": %llu, \"other\": %llu, ",
           (unsigned long long)run.answers, took, (double)run.answers / took,
           (unsigned long long)run.ok, (unsigned long long)run.other);
    hist_json(stdout, "ms", &run.latency);
    puts("}");
    return 0;
}
