#include "lib/io/http.h"

#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"

/*
 * The policy hosts of tests/support/fake_https.py, on port 443 of a network namespace that holds
 * nothing else.
 */
struct world {
    char folder[32];
    pid_t server;
    struct loop *loop;
    struct tls_trust *trust;
    struct http *http;
    unsigned answers;
    struct http_answer answer;
    char body[70000];
    size_t body_len;
    char type[64];
};

static void own_network(void)
{
    struct ifreq request = { .ifr_name = "lo" };
    int fd;
    /* root needs no user namespace, and in a chroot gets none */
    assert_int_equal(unshare(CLONE_NEWNET | (geteuid() == 0 ? 0 : CLONE_NEWUSER)), 0);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
    fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "0", 1), 1);
    close(fd);
}

static void start_server(struct world *world)
{
    int out[2];
    char ready[8];
    assert_int_equal(pipe(out), 0);
    world->server = fork();
    if (world->server == 0) {
        dup2(out[1], 1);
        execl("/usr/bin/python3", "python3", "-W", "ignore", "tests/support/fake_https.py",
              world->folder, "127.0.0.1", "443", "8443", NULL);
        _exit(1);
    }
    close(out[1]);
    assert_true(read(out[0], ready, sizeof(ready)) > 0);
    close(out[0]);
}

static struct tls_trust *load_trust(const char *folder)
{
    char path[64];
    char pem[8192];
    struct tls_trust *trust = NULL;
    snprintf(path, sizeof(path), "%s/ca.pem", folder);
    FILE *file = fopen(path, "r");
    size_t len = fread(pem, 1, sizeof(pem), file);
    fclose(file);
    assert_null(tls_trust_new((struct span){ pem, len }, &trust));
    return trust;
}

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    strcpy(world->folder, "/tmp/test_http.XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    own_network();
    start_server(world);
    world->loop = loop_new();
    world->trust = load_trust(world->folder);
    assert_null(http_new(world->loop, world->trust, &world->http));
    *state = world;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int world_close(void **state)
{
    struct world *world = *state;
    http_free(&world->http);
    tls_trust_free(&world->trust);
    loop_free(&world->loop);
    kill(world->server, SIGKILL);
    waitpid(world->server, NULL, 0);
    nftw(world->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(world);
    return 0;
}

static void on_done(void *ctx, const struct http_answer *answer)
{
    struct world *world = ctx;
    world->answers++;
    world->answer = *answer;
    world->body_len = answer->body.len;
    if (answer->body.len > 0)
        memcpy(world->body, answer->body.data, answer->body.len);
    if (answer->outcome == HTTP_GOT)
        span_to_string(answer->content_type, world->type, sizeof(world->type));
    loop_stop(world->loop);
}

static struct ip_address local(const char *text)
{
    struct ip_address address;
    assert_true(ip_address_parse(span_of(text), &address));
    return address;
}

static void get_within(struct world *world, const char *host, const char *path, int64_t wait_ms)
{
    struct ip_address address = local("127.0.0.1");
    unsigned before = world->answers;
    struct http_request *get =
        http_get_start(world->http, host, path, &address, 1, 65536, wait_ms, on_done, world);
    assert_non_null(get);
    loop_run(world->loop);
    assert_int_equal(world->answers, before + 1);
}

static void get(struct world *world, const char *host, const char *path)
{
    get_within(world, host, path, 10000);
}

static void a_policy_comes_whole_and_of_its_type(void **state)
{
    struct world *world = *state;
    get(world, "mta-sts.example.com", "/ok");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->answer.status, 200);
    assert_string_equal(world->type, "text/plain");
    assert_true(world->body_len > 10 && memcmp(world->body, "version: STSv1", 14) == 0);
    get(world, "mta-sts.example.com", "/chunked");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    get(world, "mta-sts.wildcard.test", "/ok");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    get(world, "mta-sts.example.com", "/full");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->body_len, 65536);
}

static void no_redirect_is_followed(void **state)
{
    struct world *world = *state;
    get(world, "mta-sts.example.com", "/moved");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->answer.status, 301);
    get(world, "mta-sts.example.com", "/missing");
    assert_int_equal(world->answer.status, 404);
    get(world, "mta-sts.example.com", "/html");
    assert_string_equal(world->type, "text/html");
}

static void assert_bad_certificate(struct world *world, const char *host, enum cert_verdict cert)
{
    get(world, host, "/ok");
    assert_int_equal(world->answer.outcome, HTTP_BAD_CERTIFICATE);
    assert_int_equal(world->answer.cert, cert);
    assert_non_null(strstr(world->answer.reason, "X509_V_ERR_"));
    assert_int_equal(world->body_len, 0);
}

static void a_bad_certificate_is_told_by_its_kind(void **state)
{
    struct world *world = *state;
    assert_bad_certificate(world, "mta-sts.wrong.test", CERT_HOST_MISMATCH);
    assert_bad_certificate(world, "mta-sts.common-name.test", CERT_HOST_MISMATCH);
    assert_bad_certificate(world, "mta-sts.self-signed.test", CERT_NOT_TRUSTED);
    assert_bad_certificate(world, "mta-sts.expired.test", CERT_EXPIRED);
    assert_non_null(strstr(world->answer.reason, "X509_V_ERR_CERT_HAS_EXPIRED, valid until 20"));
    assert_non_null(strstr(world->answer.reason, "Z, CN="));
}

static void an_answer_whose_end_nothing_marks_is_not_taken(void **state)
{
    struct world *world = *state;
    get(world, "mta-sts.example.com", "/unmarked");
    assert_int_not_equal(world->answer.outcome, HTTP_GOT);
    get(world, "mta-sts.example.com", "/cut");
    assert_int_not_equal(world->answer.outcome, HTTP_GOT);
}

static void an_answer_beyond_the_limit_is_cut_off(void **state)
{
    struct world *world = *state;
    get(world, "mta-sts.example.com", "/large");
    assert_int_equal(world->answer.outcome, HTTP_TOO_LARGE);
    get(world, "mta-sts.example.com", "/large-chunked");
    assert_int_equal(world->answer.outcome, HTTP_TOO_LARGE);
    get(world, "mta-sts.example.com", "/long-line"); /* the host's fault, not ours */
    assert_int_equal(world->answer.outcome, HTTP_TOO_LARGE);
    assert_string_equal(world->answer.reason, "the answer's header is too long");
}

static void a_silent_host_costs_no_more_than_the_time_given(void **state)
{
    struct world *world = *state;
    int64_t before = clock_monotonic_ms();
    get_within(world, "mta-sts.example.com", "/silent", 1000);
    assert_int_equal(world->answer.outcome, HTTP_UNREACHABLE);
    assert_string_equal(world->answer.reason, "timed out after at most 1 s");
    assert_in_range(clock_monotonic_ms() - before, 900, 5000);
}

static void the_addresses_handed_in_are_tried_in_turn(void **state)
{
    struct world *world = *state;
    struct ip_address addresses[2] = { local("127.0.0.9"), local("127.0.0.1") };
    http_get_start(world->http, "mta-sts.example.com", "/ok", addresses, 2, 65536, 10000, on_done,
                   world);
    loop_run(world->loop);
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    http_get_start(world->http, "mta-sts.example.com", "/ok", addresses, 1, 65536, 10000, on_done,
                   world);
    loop_run(world->loop);
    assert_int_equal(world->answer.outcome, HTTP_UNREACHABLE);
}

/* ---- POST ----------------------------------------------------------------------------------- */

static void post_bytes(struct world *world, const char *host, uint16_t port, const char *path,
                       struct span body)
{
    struct ip_address address = local("127.0.0.1");
    unsigned before = world->answers;
    const struct http_post post = {
        .host = host,
        .port = port,
        .path = path,
        .addresses = &address,
        .address_count = 1,
        .content_type = "application/tlsrpt+gzip",
        .body = body,
        .limit_bytes = 16384,
        .wait_ms = 5000,
    };
    assert_non_null(http_post_start(world->http, &post, on_done, world));
    loop_run(world->loop);
    assert_int_equal(world->answers, before + 1);
}

static void post_to(struct world *world, const char *path)
{
    post_bytes(world, "mta-sts.example.com", 443, path, (struct span){ "a\0b", 3 });
}

static size_t posted(struct world *world, char *room, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/posted", world->folder);
    FILE *file = fopen(path, "r");
    size_t len = fread(room, 1, size - 1, file);
    fclose(file);
    room[len] = '\0';
    return len;
}

static void a_post_says_what_it_brings_and_brings_all_of_it(void **state)
{
    static const char first[] = "POST /taken HTTP/1.1\r\nHost: mta-sts.example.com\r\n";
    struct world *world = *state;
    char request[2000];
    post_bytes(world, "mta-sts.example.com", 8443, "/taken?x=%20y", SPAN("abc"));
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    posted(world, request, sizeof(request));
    assert_non_null(strstr(request, "POST /taken?x=%20y HTTP/1.1\r\n"
                                    "Host: mta-sts.example.com:8443\r\n"));
    post_to(world, "/taken");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->answer.status, 201);
    assert_int_equal(world->answer.cert, CERT_OK);
    size_t len = posted(world, request, sizeof(request));
    assert_memory_equal(request, first, sizeof(first) - 1);
    assert_non_null(strstr(request, "\r\nContent-Type: application/tlsrpt+gzip\r\n"));
    assert_non_null(strstr(request, "\r\nContent-Length: 3\r\n"));
    assert_null(strstr(request, "Expect"));
    assert_null(strstr(request, "Content-Encoding"));
    assert_memory_equal(request + len - 7, "\r\n\r\na\0b", 7);
}

static void a_large_post_arrives_whole(void **state)
{
    enum { LARGE = 3 * 1024 * 1024 };
    struct world *world = *state;
    char *body = calloc(1, LARGE);
    char *request = calloc(1, LARGE + 2000);
    for (size_t i = 0; i < LARGE; i++)
        body[i] = (char)(i * 2654435761u >> 11);
    post_bytes(world, "mta-sts.example.com", 443, "/taken", (struct span){ body, LARGE });
    assert_int_equal(world->answer.status, 201);
    size_t len = posted(world, request, LARGE + 2000);
    assert_memory_equal(request + len - LARGE, body, LARGE);
    free(body);
    free(request);
}

static void an_answer_to_a_post_is_its_status(void **state)
{
    struct world *world = *state;
    post_to(world, "/refused");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->answer.status, 400);
    post_to(world, "/moved"); /* not followed */
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->answer.status, 301);
    post_to(world, "/refused-cut");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->answer.status, 500);
    post_to(world, "/unmarked");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->answer.status, 200);
    post_bytes(world, "mta-sts.example.com", 444, "/taken", SPAN("x"));
    assert_int_equal(world->answer.outcome, HTTP_UNREACHABLE);
}

static void ten_megabytes_of_answer_are_cut_off_and_are_an_answer(void **state)
{
    struct world *world = *state;
    post_to(world, "/taken-endless");
    assert_int_equal(world->answer.outcome, HTTP_GOT);
    assert_int_equal(world->answer.status, 200);
    assert_true(world->body_len <= 16384);
}

/* 20 MiB do not fit the buffers between us: it cannot have them all. */
static void who_answers_before_it_had_all_has_not_taken_it(void **state)
{
    enum { LARGE = 20 * 1024 * 1024 };
    struct world *world = *state;
    char *body = calloc(1, LARGE);
    post_bytes(world, "mta-sts.example.com", 443, "/early", (struct span){ body, LARGE });
    assert_int_not_equal(world->answer.outcome, HTTP_GOT);
    assert_true(world->answer.reason[0] != '\0');
    free(body);
}

static void a_bad_certificate_does_not_end_a_post_but_is_told(void **state)
{
    static const struct {
        const char *host;
        enum cert_verdict cert;
        const char *reason;
    } hosts[] = {
        { "mta-sts.expired.test", CERT_EXPIRED, "X509_V_ERR_CERT_HAS_EXPIRED" },
        { "mta-sts.wrong.test", CERT_HOST_MISMATCH, "X509_V_ERR_HOSTNAME_MISMATCH" },
        { "mta-sts.common-name.test", CERT_HOST_MISMATCH, "X509_V_ERR_HOSTNAME_MISMATCH" },
        { "mta-sts.self-signed.test", CERT_NOT_TRUSTED, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT" },
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        post_bytes(world, hosts[i].host, 443, "/taken", SPAN("x"));
        assert_int_equal(world->answer.outcome, HTTP_GOT);
        assert_int_equal(world->answer.status, 201);
        assert_int_equal(world->answer.cert, hosts[i].cert);
        assert_string_equal(world->answer.reason, hosts[i].reason);
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

static void on_nothing(void *ctx, const struct http_answer *answer)
{
    (void)ctx;
    (void)answer;
    fail();
}

static void a_cancelled_get_is_never_answered(void **state)
{
    struct world *world = *state;
    struct ip_address address = local("127.0.0.1");
    struct http_request *early = http_get_start(world->http, "mta-sts.example.com", "/ok", &address,
                                                1, 65536, 9000, on_nothing, NULL);
    struct http_request *late = http_get_start(world->http, "mta-sts.example.com", "/silent",
                                               &address, 1, 65536, 9000, on_nothing, NULL);
    http_cancel(&early);
    assert_null(early);
    get(world, "mta-sts.example.com", "/ok");
    http_cancel(&late);
    get(world, "mta-sts.example.com", "/ok");
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY("a policy comes whole and of its type", a_policy_comes_whole_and_of_its_type),
        STORY("no redirect is followed (RFC 8461 s.3.3)", no_redirect_is_followed),
        STORY("a bad certificate is told by its kind, a common name counts for nothing",
              a_bad_certificate_is_told_by_its_kind),
        STORY("an answer whose end nothing marks is not taken",
              an_answer_whose_end_nothing_marks_is_not_taken),
        STORY("an answer beyond the limit is cut off", an_answer_beyond_the_limit_is_cut_off),
        STORY("a silent host costs no more than the time given",
              a_silent_host_costs_no_more_than_the_time_given),
        STORY("the addresses handed in are tried in turn",
              the_addresses_handed_in_are_tried_in_turn),
        STORY("a POST says what it brings and brings all of it",
              a_post_says_what_it_brings_and_brings_all_of_it),
        STORY("a large POST arrives whole", a_large_post_arrives_whole),
        STORY("the answer to a POST is its status, whatever becomes of its words",
              an_answer_to_a_post_is_its_status),
        STORY("ten megabytes of answer to a POST are cut off, and are an answer",
              ten_megabytes_of_answer_are_cut_off_and_are_an_answer),
        STORY("who answers a POST before it had all has not taken it",
              who_answers_before_it_had_all_has_not_taken_it),
        STORY("a bad certificate does not end a POST but is told (RFC 8460 s.3)",
              a_bad_certificate_does_not_end_a_post_but_is_told),
        STORY("a cancelled GET is never answered", a_cancelled_get_is_never_answered),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, world_open, world_close);
}
