#include "tests/support/test.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/io/tls_resumption.h"
#include "lib/io/wire.h"
#include "tests/support/throwaway_ca.h"

#define MX "mx1.example.net"
#define OTHER "mx2.example.net"
#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A client of one floor, and a server whose ways the tests set. */
struct world {
    struct throwaway_ca *ca;
    struct tls_trust *trust;
    struct tls_context *client;
    SSL_CTX *server;
};

static SSL_CTX *server_of(const struct throwaway_ca *ca, const struct leaf_wish *wish)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char *pem, *key;

    throwaway_leaf(ca, wish, &pem, &key);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(key, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_int_equal(SSL_CTX_use_certificate(ctx, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, pkey), 1);
    X509_free(certificate);
    EVP_PKEY_free(pkey);
    free(pem);
    free(key);
    return ctx;
}

static void world_serve(struct world *w, const struct leaf_wish *wish)
{
    SSL_CTX_free(w->server);
    w->server = server_of(w->ca, wish);
}

static void world_version(struct world *w, int version)
{
    assert_int_equal(SSL_CTX_set_min_proto_version(w->server, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(w->server, version), 1);
}

static const struct leaf_wish good = { .names = NAMES("DNS:" MX, "DNS:" OTHER) };

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    char *pem;

    signal(SIGPIPE, SIG_IGN);
    w->ca = throwaway_ca_new("Throwaway CA");
    pem = throwaway_ca_pem(w->ca);
    assert_null(tls_trust_new(span_of(pem), &w->trust));
    free(pem);
    assert_null(tls_client_context_new(w->trust, TLS_FLOOR_STRICT, &w->client));
    world_serve(w, &good);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    SSL_CTX_free(w->server);
    tls_context_free(&w->client);
    tls_trust_free(&w->trust);
    throwaway_ca_free(&w->ca);
    free(w);
    return 0;
}

enum { KEPT_MAX = 8 };

/* One connection for `name`, offering `past`; what the server gave for the next ones. */
struct visit {
    struct tls_session session;
    struct tls_resumable *kept[KEPT_MAX];
    unsigned count;
};

static void shake(struct wire *wire, SSL *server, struct tls_session *session)
{
    enum wire_result result = WIRE_WANT_WRITE;

    for (int i = 0; i < 20 && (result == WIRE_WANT_READ || result == WIRE_WANT_WRITE); i++) {
        result = wire_handshake(wire, session);
        (void)SSL_accept(server);
    }
    assert_int_equal(result, WIRE_DONE);
}

/* Tickets of TLS 1.3 come with the first bytes behind the handshake. */
static void hear(struct wire *wire, SSL *server)
{
    char room[20000];
    size_t len;

    assert_int_equal(SSL_write(server, "250 \r\n", 6), 6);
    assert_int_equal(wire_read(wire, room, sizeof(room), &len), WIRE_DONE);
    assert_int_equal(len, 6);
}

static struct visit visit(struct world *w, const char *name, const struct tls_resumable *past)
{
    SSL *server = SSL_new(w->server);
    struct visit v = { .count = 0 };
    struct tls_resumable *kept;
    struct wire wire;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    wire_open(&wire, fds[0]);
    SSL_set_fd(server, fds[1]);
    wire_secure_client(&wire, w->client, name);
    if (past)
        wire_resume(&wire, past);
    shake(&wire, server, &v.session);
    hear(&wire, server);
    while ((kept = wire_resumable(&wire)) != NULL)
        v.kept[v.count++] = kept;
    SSL_shutdown(server);
    wire_close(&wire);
    SSL_free(server);
    close(fds[1]);
    return v;
}

static void visit_clear(struct visit *v)
{
    for (unsigned i = 0; i < v->count; i++)
        tls_resumable_free(&v->kept[i]);
    v->count = 0;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static void a_session_is_resumed_and_keeps_its_verdict(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 2; i++) {
        world_version(w, versions[i]);
        struct visit first = visit(w, MX, NULL);
        assert_false(first.session.resumed);
        assert_int_equal(first.session.cert, CERT_OK);
        assert_true(first.count > 0);
        assert_true(tls_resumable_verified(first.kept[0]));
        assert_int_equal(tls_resumable_once(first.kept[0]), versions[i] == TLS1_3_VERSION);
        struct visit second = visit(w, MX, first.kept[0]);
        assert_true(second.session.resumed);
        assert_int_equal(second.session.cert, CERT_OK);
        assert_string_equal(second.session.names, first.session.names);
        assert_true(second.session.not_after_utc_ms == first.session.not_after_utc_ms);
        visit_clear(&first);
        visit_clear(&second);
    }
}

static void a_session_resumed_for_another_name_is_not_good_for_it(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 2; i++) {
        world_serve(w, &(struct leaf_wish){ .names = NAMES("DNS:" MX) });
        world_version(w, versions[i]);
        struct visit first = visit(w, MX, NULL);
        struct visit second = visit(w, OTHER, first.kept[0]);
        assert_true(second.session.resumed); /* OpenSSL has no objection ... */
        assert_int_equal(second.session.cert, CERT_HOST_MISMATCH); /* ... we have */
        visit_clear(&first);
        visit_clear(&second);
    }
}

static void a_bad_verdict_stays_with_its_session(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 2; i++) {
        world_serve(w, &(struct leaf_wish){ .names = NAMES("DNS:" MX), .self_signed = true });
        world_version(w, versions[i]);
        struct visit first = visit(w, MX, NULL);
        assert_int_equal(first.session.cert, CERT_NOT_TRUSTED);
        assert_false(tls_resumable_verified(first.kept[0]));
        struct visit second = visit(w, MX, first.kept[0]);
        assert_true(second.session.resumed);
        assert_int_equal(second.session.cert, CERT_NOT_TRUSTED);
        visit_clear(&first);
        visit_clear(&second);
    }
}

static void a_server_that_has_forgotten_gets_a_whole_handshake(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 2; i++) {
        world_version(w, versions[i]);
        struct visit first = visit(w, MX, NULL);
        world_serve(w, &(struct leaf_wish){ .names = NAMES("DNS:" OTHER) });
        world_version(w, versions[i]);
        struct visit second = visit(w, MX, first.kept[0]);
        assert_false(second.session.resumed);
        assert_int_equal(second.session.cert, CERT_HOST_MISMATCH);
        visit_clear(&first);
        visit_clear(&second);
        world_serve(w, &good);
    }
}

static void age_counts_from_the_whole_handshake(void **state)
{
    struct world *w = *state;
    int64_t before = clock_monotonic_ms();
    struct visit first = visit(w, MX, NULL);
    int64_t since = tls_resumable_since_ms(first.kept[0]);

    assert_true(since >= before && since <= clock_monotonic_ms());
    usleep(5000);
    struct visit second = visit(w, MX, first.kept[0]);
    assert_true(second.session.resumed && second.count > 0);
    assert_true(tls_resumable_since_ms(second.kept[0]) == since);
    struct visit third = visit(w, MX, NULL);
    assert_true(tls_resumable_since_ms(third.kept[0]) > since);
    visit_clear(&first);
    visit_clear(&second);
    visit_clear(&third);
}

static void a_server_gives_as_many_as_it_likes_and_two_are_kept(void **state)
{
    struct world *w = *state;

    assert_int_equal(SSL_CTX_set_num_tickets(w->server, 5), 1);
    struct visit v = visit(w, MX, NULL);
    assert_int_equal(v.count, TLS_GIFTS_MAX);
    visit_clear(&v);
    assert_int_equal(SSL_CTX_set_num_tickets(w->server, 0), 1);
    v = visit(w, MX, NULL);
    assert_int_equal(v.count, 0);
}

static void without_the_extended_master_secret_nothing_is_kept(void **state)
{
    struct world *w = *state;

    world_version(w, TLS1_2_VERSION);
    SSL_CTX_set_options(w->server, SSL_OP_NO_EXTENDED_MASTER_SECRET);
    struct visit v = visit(w, MX, NULL);
    assert_int_equal(v.session.cert, CERT_OK);
    assert_int_equal(v.count, 0);
}

static void what_is_too_large_is_not_kept(void **state)
{
    struct world *w = *state;
    char names[400][40];
    const char *list[402] = { "DNS:" MX };

    for (int i = 0; i < 400; i++) {
        snprintf(names[i], sizeof(names[i]), "DNS:name-%d.some.example.net", i);
        list[i + 1] = names[i];
    }
    world_serve(w, &(struct leaf_wish){ .names = list });
    struct visit v = visit(w, MX, NULL);
    assert_int_equal(v.session.cert, CERT_OK);
    assert_int_equal(v.count, 0);
}

static void a_certificate_that_expired_since_is_known(void **state)
{
    struct world *w = *state;
    struct visit v = visit(w, MX, NULL);
    int64_t end = v.session.not_after_utc_ms;

    assert_false(tls_resumable_expired(v.kept[0], end - 1));
    assert_true(tls_resumable_expired(v.kept[0], end));
    struct tls_resumable *copy = tls_resumable_copy(v.kept[0]);
    assert_true(tls_resumable_expired(copy, end));
    struct visit again = visit(w, MX, copy);
    assert_true(again.session.resumed);
    tls_resumable_free(&copy);
    visit_clear(&v);
    visit_clear(&again);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, open_world, close_world, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a session is resumed and keeps its verdict", a_session_is_resumed_and_keeps_its_verdict),
        T("a session resumed for another name is not good for it",
          a_session_resumed_for_another_name_is_not_good_for_it),
        T("a bad verdict stays with its session", a_bad_verdict_stays_with_its_session),
        T("a server that has forgotten the session gets a whole handshake, judged as such",
          a_server_that_has_forgotten_gets_a_whole_handshake),
        T("the age of a session counts from the whole handshake",
          age_counts_from_the_whole_handshake),
        T("a server gives as many sessions as it likes, and two are kept",
          a_server_gives_as_many_as_it_likes_and_two_are_kept),
        T("without the extended master secret nothing is kept (RFC 7627 s.5.3)",
          without_the_extended_master_secret_nothing_is_kept),
        T("what is too large is not kept", what_is_too_large_is_not_kept),
        T("a certificate that expired since is known", a_certificate_that_expired_since_is_known),
    };

    return cmocka_run_group_tests_name("tls_resumption", tests, NULL, NULL);
}
