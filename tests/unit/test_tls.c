#include "tests/support/test.h"

#include "lib/io/tls.h"
#include "lib/io/wire.h"
#include "tests/support/throwaway_ca.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MX "mx1.example.net"
#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/*
 * The whole file runs under an openssl.cnf that would break everything: TLS 1.3 only, no cipher
 * of use below it, level 5.
 */
static const char hostile_configuration[] = "openssl_conf = init\n"
                                            "[init]\nssl_conf = ssl\n"
                                            "[ssl]\nsystem_default = all\n"
                                            "[all]\nMinProtocol = TLSv1.3\n"
                                            "CipherString = PSK@SECLEVEL=5\n"
                                            "Groups = P-521\nSignatureAlgorithms = ed448\n"
                                            "Options = -EncryptThenMac,UnsafeLegacyRenegotiation\n";

struct fixture {
    struct throwaway_ca *ca;
    struct tls_trust *trust;
};

static int setup(void **state)
{
    static struct fixture f;
    char *pem;

    f.ca = throwaway_ca_new("Throwaway CA");
    pem = throwaway_ca_pem(f.ca);
    assert_null(tls_trust_new(span_of(pem), &f.trust));
    free(pem);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tls_trust_free(&f->trust);
    throwaway_ca_free(&f->ca);
    return 0;
}

static void hostile_configuration_is_in_force(void **state)
{
    SSL_CTX *bare = SSL_CTX_new(TLS_client_method());

    (void)state;
    assert_int_equal(SSL_CTX_get_min_proto_version(bare), TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_get_security_level(bare), 5);
    SSL_CTX_free(bare);
}

/* Handshakes */

static struct tls_context *server_of(const struct throwaway_ca *ca, const struct leaf_wish *wish)
{
    struct tls_context *context = NULL;
    struct error *err;
    char *pem;
    char *key;

    throwaway_leaf(ca, wish, &pem, &key);
    err = throwaway_server(span_of(pem), span_of(key), &context);
    free(pem);
    free(key);
    if (err)
        fail_msg("%s", error_text(err));
    return context;
}

static bool under_way(enum wire_result result)
{
    return result == WIRE_WANT_READ || result == WIRE_WANT_WRITE;
}

/* Both sides step in turn until the client knows; its session, or the name of its failure. */
static enum wire_result shake(struct tls_context *client, struct tls_context *server,
                              const char *name, struct tls_session *session, char *reason)
{
    enum wire_result result = WIRE_WANT_WRITE;
    enum wire_result answer = WIRE_WANT_READ;
    struct tls_session other;
    struct wire wires[2];
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    wire_open(&wires[0], fds[0]);
    wire_open(&wires[1], fds[1]);
    wire_secure_client(&wires[0], client, name);
    wire_secure_server(&wires[1], server);
    for (int i = 0; i < 20 && under_way(result); i++) {
        result = wire_handshake(&wires[0], session);
        if (under_way(answer))
            answer = wire_handshake(&wires[1], &other);
    }
    snprintf(reason, TLS_REASON_SIZE, "%s", wires[0].reason);
    wire_close(&wires[0]);
    wire_close(&wires[1]);
    return result;
}

static struct tls_session judged(struct fixture *f, const struct throwaway_ca *issuer,
                                 enum tls_floor floor, const struct leaf_wish *wish,
                                 const char *name)
{
    struct tls_context *server = server_of(issuer, wish);
    struct tls_context *client = NULL;
    struct tls_session session;
    char reason[TLS_REASON_SIZE];

    assert_null(tls_client_context_new(f->trust, floor, &client));
    assert_int_equal(shake(client, server, name, &session, reason), WIRE_DONE);
    tls_context_free(&client);
    tls_context_free(&server);
    return session;
}

static struct tls_session strict(struct fixture *f, const struct leaf_wish *wish)
{
    return judged(f, f->ca, TLS_FLOOR_STRICT, wish, MX);
}

static void good_certificate_is_ok_and_described(void **state)
{
    struct leaf_wish wish = { .common_name = "M\xc3\xbcller",
                              .names = NAMES("DNS:other.example", "DNS:" MX) };
    struct tls_session s = strict(*state, &wish);

    assert_int_equal(s.cert, CERT_OK);
    assert_string_equal(s.cert_reason, "");
    assert_string_equal(s.version, "TLSv1.3");
    assert_string_equal(s.cipher, "TLS_AES_256_GCM_SHA384");
    assert_string_equal(s.names, "other.example " MX);
    assert_string_equal(s.issuer, "CN=Throwaway CA");
    assert_string_equal(s.subject, "CN=M\\C3\\BCller");
    assert_true(s.not_after_utc_ms > 0);
    assert_false(s.resumed);
}

static void assert_verdict(struct tls_session s, enum cert_verdict cert, const char *reason)
{
    assert_string_equal(s.cert_reason, reason);
    assert_int_equal(s.cert, cert);
}

static void expired_certificate(void **state)
{
    struct leaf_wish wish = { .names = NAMES("DNS:" MX),
                              .starts_in_days = -20,
                              .ends_in_days = -2 };

    assert_verdict(strict(*state, &wish), CERT_EXPIRED, "X509_V_ERR_CERT_HAS_EXPIRED");
}

static void certificate_of_tomorrow(void **state)
{
    struct leaf_wish wish = { .names = NAMES("DNS:" MX), .starts_in_days = 2 };

    assert_verdict(strict(*state, &wish), CERT_OTHER, "X509_V_ERR_CERT_NOT_YET_VALID");
}

static void certificate_of_another_host(void **state)
{
    struct leaf_wish wish = { .names = NAMES("DNS:mx2.example.net") };

    assert_verdict(strict(*state, &wish), CERT_HOST_MISMATCH, "X509_V_ERR_HOSTNAME_MISMATCH");
}

static void common_name_counts_for_nothing(void **state)
{
    struct leaf_wish wish = { .common_name = MX };

    assert_verdict(strict(*state, &wish), CERT_HOST_MISMATCH, "X509_V_ERR_HOSTNAME_MISMATCH");
}

static void wildcard_stands_for_one_label(void **state)
{
    struct leaf_wish wish = { .names = NAMES("DNS:*.example.net") };

    assert_int_equal(strict(*state, &wish).cert, CERT_OK);
    wish.names = NAMES("DNS:mx*.example.net");
    assert_int_equal(strict(*state, &wish).cert, CERT_HOST_MISMATCH);
    wish.names = NAMES("DNS:*.net");
    assert_int_equal(strict(*state, &wish).cert, CERT_HOST_MISMATCH);
}

static void unknown_issuer_is_not_trusted(void **state)
{
    struct throwaway_ca *stranger = throwaway_ca_new("Stranger");
    struct leaf_wish wish = { .names = NAMES("DNS:" MX) };

    assert_verdict(judged(*state, stranger, TLS_FLOOR_STRICT, &wish, MX), CERT_NOT_TRUSTED,
                   "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
    wish.self_signed = true;
    wish.common_name = MX;
    assert_verdict(strict(*state, &wish), CERT_NOT_TRUSTED,
                   "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT");
    throwaway_ca_free(&stranger);
}

static void address_is_never_a_reference(void **state)
{
    struct leaf_wish wish = { .names = NAMES("DNS:192.0.2.1", "IP:192.0.2.1", "DNS:" MX) };
    static const char *const references[] = { "192.0.2.1", "", ".example.net", "2001:db8::1" };

    for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++)
        assert_int_equal(
            judged(*state, ((struct fixture *)*state)->ca, TLS_FLOOR_STRICT, &wish, references[i])
                .cert,
            CERT_HOST_MISMATCH);
}

static void root_dot_is_no_part_of_the_name(void **state)
{
    struct fixture *f = *state;
    struct leaf_wish wish = { .names = NAMES("DNS:" MX) };

    assert_int_equal(judged(f, f->ca, TLS_FLOOR_STRICT, &wish, MX ".").cert, CERT_OK);
}

static void weak_key_is_refused_where_a_policy_binds(void **state)
{
    struct fixture *f = *state;
    struct leaf_wish wish = { .names = NAMES("DNS:" MX), .rsa_bits = 1024 };

    assert_verdict(strict(f, &wish), CERT_OTHER, "X509_V_ERR_EE_KEY_TOO_SMALL");
    assert_int_equal(judged(f, f->ca, TLS_FLOOR_OPPORTUNISTIC, &wish, MX).cert, CERT_OK);
}

/* A server that does what ours would not: of one version alone, at no security level. */
struct odd_server {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static void odd_server_open(struct odd_server *server, const struct throwaway_ca *ca, int version,
                            int fd)
{
    struct leaf_wish wish = { .names = NAMES("DNS:" MX), .rsa_bits = 2048 };
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char *pem;
    char *key;

    throwaway_leaf(ca, &wish, &pem, &key);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_cipher_list(ctx, "ALL");
    SSL_CTX_set1_groups_list(ctx, "P-256");
    SSL_CTX_set1_sigalgs_list(ctx, "RSA-PSS+SHA256:RSA+SHA256");
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_clear_options(ctx, SSL_OP_NO_SSL_MASK | SSL_OP_NO_RENEGOTIATION);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(key, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, pkey), 1);
    *server = (struct odd_server){ ctx, SSL_new(ctx), fd };
    SSL_set_fd(server->ssl, fd);
    X509_free(x);
    EVP_PKEY_free(pkey);
    free(pem);
    free(key);
}

static void odd_server_close(struct odd_server *server)
{
    SSL_free(server->ssl);
    close(server->fd);
    SSL_CTX_free(server->ctx);
}

static enum wire_result shake_with(struct odd_server *server, struct wire *wire,
                                   struct tls_session *session)
{
    enum wire_result result = WIRE_WANT_READ;

    for (int i = 0; i < 20 && (under_way(result) || SSL_in_init(server->ssl)); i++) {
        if (under_way(result))
            result = wire_handshake(wire, session);
        SSL_accept(server->ssl);
    }
    return result;
}

/* A server of the past: TLS 1.0 and nothing else. */
static bool old_server_takes(struct fixture *f, enum tls_floor floor)
{
    struct tls_context *client = NULL;
    struct tls_session session = { 0 };
    struct odd_server server;
    enum wire_result result;
    struct wire wire;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    odd_server_open(&server, f->ca, TLS1_VERSION, fds[1]);
    wire_open(&wire, fds[0]);
    assert_null(tls_client_context_new(f->trust, floor, &client));
    wire_secure_client(&wire, client, MX);
    result = shake_with(&server, &wire, &session);
    if (result == WIRE_DONE)
        assert_string_equal(session.version, "TLSv1");
    else
        assert_true(strlen(wire.reason) > 0);
    wire_close(&wire);
    tls_context_free(&client);
    odd_server_close(&server);
    return result == WIRE_DONE;
}

/* Who was verified stays who was verified: a second handshake never comes about. */
static void a_server_may_not_renegotiate(void **state)
{
    struct fixture *f = *state;
    struct tls_context *client = NULL;
    struct tls_session session = { 0 };
    struct odd_server server;
    struct wire wire;
    char room[64];
    size_t len;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    odd_server_open(&server, f->ca, TLS1_2_VERSION, fds[1]);
    wire_open(&wire, fds[0]);
    assert_null(tls_client_context_new(f->trust, TLS_FLOOR_OPPORTUNISTIC, &client));
    wire_secure_client(&wire, client, MX);
    assert_int_equal(shake_with(&server, &wire, &session), WIRE_DONE);
    assert_int_equal(SSL_renegotiate(server.ssl), 1);
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(server.ssl);
        wire_read(&wire, room, sizeof(room), &len);
        SSL_read(server.ssl, room, sizeof(room));
    }
    assert_int_equal(SSL_CTX_sess_accept_good(server.ctx), 1);
    wire_close(&wire);
    tls_context_free(&client);
    odd_server_close(&server);
}

static void old_versions_are_for_the_legacy_floor_alone(void **state)
{
    assert_false(old_server_takes(*state, TLS_FLOOR_STRICT));
    assert_false(old_server_takes(*state, TLS_FLOOR_OPPORTUNISTIC));
    assert_true(old_server_takes(*state, TLS_FLOOR_LEGACY));
}

/* Trust */

static void trust_counts_its_certificates(void **state)
{
    struct fixture *f = *state;
    struct throwaway_ca *second = throwaway_ca_new("Second");
    char *a = throwaway_ca_pem(f->ca);
    char *b = throwaway_ca_pem(second);
    struct tls_trust *trust = NULL;
    char text[8192];

    snprintf(text, sizeof(text), "# a comment\n%s-----BEGIN CERTIFICATE-----\nnonsense\n%s\n%s", a,
             "-----END CERTIFICATE-----\n", b);
    assert_int_equal(tls_trust_count(f->trust), 1);
    assert_null(tls_trust_new(span_of(text), &trust));
    assert_int_equal(tls_trust_count(trust), 2); /* the broken one is passed over */
    tls_trust_free(&trust);
    free(a);
    free(b);
    throwaway_ca_free(&second);
}

static void trust_in_nothing_is_an_error(void **state)
{
    struct tls_trust *trust = NULL;
    static const char *const texts[] = { "", "nothing here\n", "-----BEGIN CERTIFICATE-----\n",
                                         "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                         "-----END CERTIFICATE-----\n" };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct error *err = tls_trust_new(span_of(texts[i]), &trust);
        assert_non_null(err);
        assert_int_equal(error_kind(err), ERROR_LOCAL);
        assert_null(trust);
        error_free(&err);
    }
}

static void trust_file_is_counted_or_named(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/waxseal-test-XXXXXX";
    char *pem = throwaway_ca_pem(f->ca);
    int fd = mkstemp(path);
    struct error *err;
    unsigned count = 0;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, pem, strlen(pem)), (ssize_t)strlen(pem));
    assert_null(tls_trust_check_file(path, &count));
    assert_int_equal(count, 1);
    assert_int_equal(ftruncate(fd, 0), 0);
    err = tls_trust_check_file(path, &count);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), path));
    error_free(&err);
    unlink(path);
    err = tls_trust_check_file(path, &count);
    assert_non_null(strstr(error_text(err), "No such file"));
    error_free(&err);
    close(fd);
    free(pem);
}

/* Servers */

static void key_must_fit_the_certificate(void **state)
{
    struct fixture *f = *state;
    struct leaf_wish wish = { .names = NAMES("DNS:" MX) };
    struct tls_context *context = NULL;
    struct error *err;
    char *pem;
    char *key;

    throwaway_leaf(f->ca, &wish, &pem, NULL);
    throwaway_leaf(f->ca, &wish, NULL, &key);
    err = throwaway_server(span_of(pem), span_of(key), &context);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), "does not fit"));
    error_free(&err);
    err = throwaway_server(span_of(pem), SPAN(""), &context);
    assert_non_null(err);
    error_free(&err);
    err = throwaway_server(SPAN(""), span_of(key), &context);
    assert_non_null(err);
    error_free(&err);
    assert_null(context);
    free(pem);
    free(key);
}

/* Names */

static bool names_fit(struct fixture *f, const struct leaf_wish *wish, const char *reference)
{
    size_t len;
    unsigned char *der = throwaway_leaf_der(f->ca, wish, &len);
    bool fit = tls_certificate_names((struct span){ (const char *)der, len }, span_of(reference));

    free(der);
    return fit;
}

static void names_are_compared_alone(void **state)
{
    struct leaf_wish expired = { .names = NAMES("DNS:" MX), .ends_in_days = -5 };

    assert_true(names_fit(*state, &expired, "MX1.Example.NET"));
    assert_true(names_fit(*state, &expired, MX "."));
    assert_false(names_fit(*state, &expired, "example.net"));
    assert_false(names_fit(*state, &expired, ".example.net"));
    assert_false(names_fit(*state, &expired, ""));
    assert_false(names_fit(*state, &expired, "."));
    assert_false(names_fit(*state, &expired, MX ".."));
    assert_false(tls_certificate_names(SPAN("no certificate"), SPAN(MX)));
}

static void odd_names_fit_nothing(void **state)
{
    struct leaf_wish wish = { .common_name = MX,
                              .names = NAMES("DNS:", "DNS:*", "DNS:192.0.2.1", "DNS:.example.net",
                                             "email:a@" MX, "URI:https://" MX "/") };

    assert_false(names_fit(*state, &wish, MX));
    assert_false(names_fit(*state, &wish, "192.0.2.1"));
    assert_false(names_fit(*state, &wish, "*"));
}

static void numbers_of_openssl_become_verdicts(void **state)
{
    static const struct {
        long number;
        enum cert_verdict verdict;
    } rows[] = {
        { 0, CERT_OK },           { 2, CERT_NOT_TRUSTED },    { 7, CERT_NOT_TRUSTED },
        { 9, CERT_OTHER },        { 10, CERT_EXPIRED },       { 17, CERT_OTHER },
        { 18, CERT_NOT_TRUSTED }, { 22, CERT_NOT_TRUSTED },   { 23, CERT_OTHER },
        { 24, CERT_NOT_TRUSTED }, { 26, CERT_OTHER },         { 47, CERT_NOT_TRUSTED },
        { 48, CERT_NOT_TRUSTED }, { 62, CERT_HOST_MISMATCH }, { 66, CERT_OTHER },
        { 65, CERT_NOT_OF_TLSA }, { 9999, CERT_OTHER },     { -1, CERT_OTHER },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(tls_verdict_of(rows[i].number), rows[i].verdict);
    assert_string_equal(tls_reason_of(X509_V_ERR_CERT_HAS_EXPIRED), "X509_V_ERR_CERT_HAS_EXPIRED");
    assert_string_equal(tls_reason_of(X509_V_OK), "");
    assert_string_equal(tls_reason_of(75), "X509_V_ERR_UNSPECIFIED");
    assert_string_equal(tls_reason_of(-3), "X509_V_ERR_UNSPECIFIED");
}

/* OpenSSL reads its configuration at the first call: it must be in place before. */
static void use_hostile_configuration(void)
{
    char path[] = "/tmp/waxseal-test-cnf-XXXXXX";
    int fd = mkstemp(path);
    size_t len = strlen(hostile_configuration);

    if (fd < 0 || write(fd, hostile_configuration, len) != (ssize_t)len)
        abort();
    close(fd);
    setenv("OPENSSL_CONF", path, 1);
    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(title, function) { title, function, NULL, NULL, NULL }
        TEST("these tests run under an openssl.cnf that means harm",
             hostile_configuration_is_in_force),
        TEST("a good certificate is ok, and the session is described",
             good_certificate_is_ok_and_described),
        TEST("an expired certificate is called expired", expired_certificate),
        TEST("a certificate of tomorrow is not valid yet", certificate_of_tomorrow),
        TEST("a certificate of another host is a mismatch", certificate_of_another_host),
        TEST("the common name counts for nothing (RFC 8461 s.4.2)", common_name_counts_for_nothing),
        TEST("a wildcard stands for one whole label (RFC 6125 s.6.4.3)",
             wildcard_stands_for_one_label),
        TEST("an unknown issuer and a self-signed certificate are not trusted",
             unknown_issuer_is_not_trusted),
        TEST("an address, or no name, is never a reference that fits",
             address_is_never_a_reference),
        TEST("the root dot is no part of the name", root_dot_is_no_part_of_the_name),
        TEST("a weak key is refused where a policy binds, and taken where none does",
             weak_key_is_refused_where_a_policy_binds),
        TEST("old versions are for the legacy floor alone",
             old_versions_are_for_the_legacy_floor_alone),
        TEST("a server may not renegotiate", a_server_may_not_renegotiate),
        TEST("trust counts its certificates and passes over a broken one",
             trust_counts_its_certificates),
        TEST("trust in nothing is an error", trust_in_nothing_is_an_error),
        TEST("a trust file is counted, or named in the error", trust_file_is_counted_or_named),
        TEST("a server's key must fit its certificate", key_must_fit_the_certificate),
        TEST("names are compared alone, whatever the dates", names_are_compared_alone),
        TEST("odd names fit nothing", odd_names_fit_nothing),
        TEST("OpenSSL's numbers become verdicts (RFC 8460 s.4.3)",
             numbers_of_openssl_become_verdicts),
    };

    alarm(60);
    signal(SIGPIPE, SIG_IGN);
    use_hostile_configuration();
    return cmocka_run_group_tests(tests, setup, teardown);
}
