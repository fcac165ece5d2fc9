#include "lib/io/tls_server.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io/tls_openssl.h"
#include "lib/io/wire.h"
#include "tests/support/test.h"
#include "tests/support/throwaway_ca.h"

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

enum { PAIRS_MAX = 4 };

/* A listener of its own kind; `wish` is the test's to change before it opens. */
struct fixture {
    struct throwaway_ca *ca;
    struct tls_trust *trust;
    struct tls_pair pairs[PAIRS_MAX];
    struct tls_server_wish wish;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char *pem;

    f->ca = throwaway_ca_new("Throwaway CA");
    pem = throwaway_ca_pem(f->ca);
    assert_null(tls_trust_new(span_of(pem), &f->trust));
    free(pem);
    f->wish = (struct tls_server_wish){ .pairs = f->pairs, .session_id = SPAN("test") };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < f->wish.pair_count; i++) {
        free((void *)(uintptr_t)f->pairs[i].chain_pem.data);
        free((void *)(uintptr_t)f->pairs[i].key_pem.data);
    }
    tls_trust_free(&f->trust);
    throwaway_ca_free(&f->ca);
    free(f);
    return 0;
}

static void add_pair(struct fixture *f, const struct leaf_wish *leaf)
{
    char *pem, *key;

    throwaway_leaf(f->ca, leaf, &pem, &key);
    f->pairs[f->wish.pair_count++] = (struct tls_pair){ span_of(pem), span_of(key) };
}

static struct tls_context *open_server(struct fixture *f)
{
    struct tls_context *context = NULL;

    if (f->wish.pair_count == 0)
        add_pair(f, &(struct leaf_wish){ .names = NAMES("DNS:relay.example") });
    struct error *err = tls_server_context_new(&f->wish, &context);
    if (err)
        fail_msg("%s", error_text(err));
    return context;
}

/* --- clients: OpenSSL's own ------------------------------------------------------------------ */

/* How a meeting went, as the server saw it, and what the client was shown. */
struct meeting {
    bool server_done;
    bool client_done;
    struct tls_session session;
    char reason[TLS_REASON_SIZE];
    char shown[256]; /* the subject's common name */
    int key;         /* of the certificate shown: EVP_PKEY_RSA, ... */
};

static void note_shown(SSL *client, struct meeting *m)
{
    X509 *x = SSL_get0_peer_certificate(client);

    if (!x)
        return;
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, m->shown, sizeof(m->shown));
    m->key = EVP_PKEY_get_base_id(X509_get0_pubkey(x));
}

static bool under_way(enum wire_result result)
{
    return result == WIRE_WANT_READ || result == WIRE_WANT_WRITE;
}

/* Shakes hands, then the client reads once: TLS 1.3 tells it of a refusal, and of tickets, there.
 */
static struct meeting meet_with(struct tls_context *server, SSL *client)
{
    enum wire_result result = WIRE_WANT_READ;
    struct meeting m = { .server_done = false };
    struct wire wire;
    char room[1];
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    wire_open(&wire, fds[1]);
    wire_secure_server(&wire, server);
    SSL_set_fd(client, fds[0]);
    for (int i = 0; i < 20; i++) {
        SSL_connect(client);
        if (under_way(result))
            result = wire_handshake(&wire, &m.session);
    }
    m.server_done = result == WIRE_DONE;
    (void)SSL_read(client, room, sizeof(room));
    m.client_done = SSL_is_init_finished(client) && SSL_get_shutdown(client) == 0;
    note_shown(client, &m);
    snprintf(m.reason, sizeof(m.reason), "%s", wire.reason);
    wire_close(&wire);
    close(fds[0]);
    return m;
}

static struct meeting meet(struct tls_context *server, SSL_CTX *ctx, const char *name)
{
    SSL *client = SSL_new(ctx);

    if (name)
        SSL_set_tlsext_host_name(client, name);
    struct meeting m = meet_with(server, client);
    SSL_free(client);
    return m;
}

static SSL_CTX *client_new(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_security_level(ctx, 0); /* it shows what it has */
    return ctx;
}

/* Gives the client a certificate, in DER form also to the caller. */
static X509 *arm(SSL_CTX *ctx, struct fixture *f, const struct leaf_wish *leaf)
{
    char *pem, *key;

    throwaway_leaf(f->ca, leaf, &pem, &key);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(key, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, pkey), 1);
    EVP_PKEY_free(pkey);
    free(pem);
    free(key);
    return x;
}

static struct meeting meet_armed(struct fixture *f, const struct leaf_wish *leaf)
{
    struct tls_context *server = open_server(f);
    SSL_CTX *ctx = client_new();

    if (leaf)
        X509_free(arm(ctx, f, leaf));
    struct meeting m = meet(server, ctx, NULL);
    SSL_CTX_free(ctx);
    tls_context_free(&server);
    return m;
}

static const struct leaf_wish ada = {
    .common_name = "ada",
    .names = NAMES("DNS:ada.example", "email:ada@example.net", "DNS:b c", "email:a2@example.net"),
};
static const struct leaf_wish nobodys = { .common_name = "self", .self_signed = true };

/* --- certificates of clients ----------------------------------------------------------------- */

static void nobody_is_asked_by_default(void **state)
{
    struct meeting m = meet_armed(*state, &ada);

    assert_true(m.server_done && m.client_done);
    assert_int_equal(m.session.cert, CERT_NONE);
    assert_string_equal(m.session.certificate_sha256, "");
    assert_string_equal(m.session.key_sha256, "");
}

static void hex_of(const unsigned char *bytes, int len, char text[TLS_DIGEST_SIZE])
{
    unsigned char digest[32];

    assert_int_equal(EVP_Digest(bytes, (size_t)len, digest, NULL, EVP_sha256(), NULL), 1);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static void who_is_asked_is_known_by_fingerprints_and_names(void **state)
{
    struct fixture *f = *state;
    char certificate[TLS_DIGEST_SIZE], key[TLS_DIGEST_SIZE];
    unsigned char *der = NULL;

    f->wish.client = TLS_CLIENT_ASKED;
    struct tls_context *server = open_server(f);
    SSL_CTX *ctx = client_new();
    X509 *x = arm(ctx, f, &ada);
    struct meeting m = meet(server, ctx, NULL);

    int len = i2d_X509(x, &der);
    hex_of(der, len, certificate);
    OPENSSL_free(der);
    der = NULL;
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    hex_of(der, len, key);
    OPENSSL_free(der);
    assert_true(m.server_done && m.client_done);
    assert_string_equal(m.session.certificate_sha256, certificate);
    assert_string_equal(m.session.key_sha256, key);
    assert_string_equal(m.session.client.common_name, "ada");
    assert_string_equal(m.session.client.mailboxes, "ada@example.net a2@example.net");
    assert_string_equal(m.session.names, "ada.example b?c");
    X509_free(x);
    SSL_CTX_free(ctx);
    tls_context_free(&server);
}

static void asking_never_ends_a_handshake(void **state)
{
    static const struct leaf_wish expired = { .starts_in_days = -9, .ends_in_days = -2 };
    static const struct leaf_wish weak = { .rsa_bits = 1024, .self_signed = true };
    struct fixture *f = *state;
    struct meeting m;

    f->wish.client = TLS_CLIENT_ASKED;
    m = meet_armed(f, NULL);
    assert_true(m.server_done && m.client_done);
    assert_int_equal(m.session.cert, CERT_NONE);
    m = meet_armed(f, &nobodys);
    assert_true(m.server_done && m.client_done);
    assert_int_equal(m.session.cert, CERT_NOT_TRUSTED);
    f->wish.client_trust = f->trust;
    m = meet_armed(f, &nobodys);
    assert_true(m.server_done && m.client_done);
    assert_string_equal(m.session.cert_reason, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT");
    m = meet_armed(f, &expired);
    assert_true(m.server_done && m.client_done);
    assert_int_equal(m.session.cert, CERT_EXPIRED);
    m = meet_armed(f, &weak);
    assert_true(m.server_done);
    assert_int_not_equal(m.session.cert, CERT_OK);
    assert_int_equal(strlen(m.session.key_sha256), 64);
}

static void our_authority_vouches_for_its_own(void **state)
{
    struct fixture *f = *state;

    f->wish.client = TLS_CLIENT_ASKED;
    assert_int_equal(meet_armed(f, &ada).session.cert, CERT_NOT_TRUSTED); /* by nobody yet */
    f->wish.client_trust = f->trust;
    assert_int_equal(meet_armed(f, &ada).session.cert, CERT_OK);
}

static void without_a_certificate_that_is_required_there_is_no_session(void **state)
{
    struct fixture *f = *state;

    f->wish.client = TLS_CLIENT_REQUIRED;
    struct meeting m = meet_armed(f, NULL);
    assert_false(m.server_done);
    assert_string_equal(m.reason, "SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE");
    m = meet_armed(f, &nobodys); /* nobody vouches: any will do */
    assert_true(m.server_done && m.client_done);
    f->wish.client_trust = f->trust;
    m = meet_armed(f, &nobodys);
    assert_false(m.server_done);
    assert_string_equal(m.reason, "SSL_R_CERTIFICATE_VERIFY_FAILED");
    m = meet_armed(f, &ada);
    assert_true(m.server_done && m.client_done);
    assert_int_equal(m.session.cert, CERT_OK);
}

/* A name that is cut at the end of the room could be another's. */
static void names_that_do_not_fit_are_left_out_whole(void **state)
{
    static char many[40][64];
    const char *names[41] = { NULL };
    struct fixture *f = *state;

    for (int i = 0; i < 40; i++) {
        snprintf(many[i], sizeof(many[i]), "email:somebody.with.a.long.name-%02d@example.net", i);
        names[i] = many[i];
    }
    f->wish.client = TLS_CLIENT_ASKED;
    struct meeting m = meet_armed(f, &(struct leaf_wish){ .names = names });
    size_t len = strlen(m.session.client.mailboxes);
    assert_true(len > 400 && len < TLS_NAMES_SIZE);
    assert_string_equal(m.session.client.mailboxes + len - strlen("@example.net"), "@example.net");
}

/* --- names ----------------------------------------------------------------------------------- */

static void give_three_names(struct fixture *f)
{
    add_pair(f, &(struct leaf_wish){ .common_name = "first", .names = NAMES("DNS:relay.example") });
    add_pair(f, &(struct leaf_wish){ .common_name = "second",
                                     .names = NAMES("DNS:mail.example", "DNS:*.mail.example") });
    add_pair(f, &(struct leaf_wish){ .common_name = "third", .names = NAMES("DNS:smtp.example") });
}

static void assert_shown(struct tls_context *server, const char *name, const char *shown)
{
    SSL_CTX *ctx = client_new();
    struct meeting m = meet(server, ctx, name);

    assert_true(m.server_done && m.client_done);
    assert_string_equal(m.shown, shown);
    SSL_CTX_free(ctx);
}

static void each_is_shown_the_certificate_of_the_name_it_asks_for(void **state)
{
    struct fixture *f = *state;

    give_three_names(f);
    struct tls_context *server = open_server(f);
    assert_shown(server, "relay.example", "first");
    assert_shown(server, "MAIL.example", "second");
    assert_shown(server, "x.mail.example", "second");
    assert_shown(server, "smtp.example", "third");
    tls_context_free(&server);
}

static void a_name_that_is_nobodys_gets_the_first(void **state)
{
    struct fixture *f = *state;

    give_three_names(f);
    struct tls_context *server = open_server(f);
    assert_shown(server, NULL, "first");
    assert_shown(server, "www.example", "first");
    assert_shown(server, ".mail.example", "first"); /* would fit any name below: pitfalls.md 5 */
    assert_shown(server, "192.0.2.1", "first");
    tls_context_free(&server);
}

static int key_shown(struct tls_context *server, const char *name, const char *signatures)
{
    SSL_CTX *ctx = client_new();

    assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, signatures), 1);
    struct meeting m = meet(server, ctx, name);
    assert_true(m.server_done && m.client_done);
    SSL_CTX_free(ctx);
    return m.key;
}

static void rsa_and_ecdsa_stand_side_by_side(void **state)
{
    struct fixture *f = *state;

    add_pair(f, &(struct leaf_wish){ .names = NAMES("DNS:a.example"), .rsa_bits = 2048 });
    add_pair(f, &(struct leaf_wish){ .names = NAMES("DNS:b.example") });
    add_pair(f, &(struct leaf_wish){ .names = NAMES("DNS:b.example"), .rsa_bits = 2048 });
    add_pair(f, &(struct leaf_wish){ .names = NAMES("DNS:a.example") });
    struct tls_context *server = open_server(f);
    for (const char **name = (const char *[]){ "a.example", "b.example", NULL }; *name; name++) {
        assert_int_equal(key_shown(server, *name, "RSA-PSS+SHA256:RSA+SHA256"), EVP_PKEY_RSA);
        assert_int_equal(key_shown(server, *name, "ECDSA+SHA256"), EVP_PKEY_EC);
    }
    tls_context_free(&server);
}

static void a_certificate_with_fewer_names_stands_for_itself(void **state)
{
    struct fixture *f = *state;

    add_pair(f, &(struct leaf_wish){ .common_name = "both",
                                     .names = NAMES("DNS:a.example", "DNS:*.b.example"),
                                     .rsa_bits = 2048 });
    add_pair(f, &(struct leaf_wish){ .common_name = "one", .names = NAMES("DNS:a.example") });
    add_pair(f, &(struct leaf_wish){ .common_name = "same",
                                     .names = NAMES("DNS:*.b.example", "DNS:A.example") });
    struct tls_context *server = open_server(f);
    for (const char **name = (const char *[]){ "a.example", "x.b.example", NULL }; *name; name++) {
        assert_int_equal(key_shown(server, *name, "RSA-PSS+SHA256:RSA+SHA256"), EVP_PKEY_RSA);
        assert_int_equal(key_shown(server, *name, "ECDSA+SHA256"), EVP_PKEY_EC);
        assert_shown(server, *name, "same");
    }
    tls_context_free(&server);
}

static void sessions_outlive_the_context_they_began_with(void **state)
{
    struct fixture *f = *state;
    struct wire wire;
    int fds[2];

    give_three_names(f);
    struct tls_context *server = open_server(f);
    SSL_CTX *ctx = client_new();
    SSL *client = SSL_new(ctx);
    struct tls_session session;
    enum wire_result result = WIRE_WANT_READ;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    wire_open(&wire, fds[1]);
    wire_secure_server(&wire, server);
    tls_context_free(&server); /* as when a new certificate has come */
    SSL_set_fd(client, fds[0]);
    SSL_set_tlsext_host_name(client, "smtp.example");
    for (int i = 0; i < 20 && under_way(result); i++) {
        SSL_connect(client);
        result = wire_handshake(&wire, &session);
    }
    assert_int_equal(result, WIRE_DONE);
    wire_close(&wire);
    SSL_free(client);
    SSL_CTX_free(ctx);
    close(fds[0]);
}

/* --- what is spoken -------------------------------------------------------------------------- */

static bool takes_version(struct tls_context *server, int version, const char *ciphers)
{
    SSL_CTX *ctx = client_new();

    if (ciphers)
        assert_int_equal(SSL_CTX_set_cipher_list(ctx, ciphers), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    struct meeting m = meet(server, ctx, NULL);
    SSL_CTX_free(ctx);
    return m.server_done;
}

static void versions_begin_at_1_2_or_where_the_listener_says(void **state)
{
    struct fixture *f = *state;

    struct tls_context *server = open_server(f);
    assert_false(takes_version(server, TLS1_VERSION, "ALL:@SECLEVEL=0"));
    assert_false(takes_version(server, TLS1_1_VERSION, "ALL:@SECLEVEL=0"));
    assert_true(takes_version(server, TLS1_2_VERSION, NULL));
    assert_true(takes_version(server, TLS1_3_VERSION, NULL));
    tls_context_free(&server);
    f->wish.only_13 = true;
    server = open_server(f);
    assert_false(takes_version(server, TLS1_2_VERSION, NULL));
    assert_true(takes_version(server, TLS1_3_VERSION, NULL));
    tls_context_free(&server);
}

static void weak_ciphers_are_not_spoken(void **state)
{
    static const char *const weak[] = { "aNULL",    "eNULL", "PSK", "SRP",
                                        "CAMELLIA", "ARIA",  "DHE", "AESCCM" };
    struct fixture *f = *state;

    add_pair(f, &(struct leaf_wish){ .names = NAMES("DNS:a.example"), .rsa_bits = 2048 });
    struct tls_context *server = open_server(f);
    for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++)
        if (takes_version(server, TLS1_2_VERSION, weak[i]))
            fail_msg("%s is spoken", weak[i]);
    assert_true(takes_version(server, TLS1_2_VERSION, "ECDHE+AESGCM"));
    assert_true(takes_version(server, TLS1_2_VERSION, "AES128-SHA"));
    tls_context_free(&server);
}

/* --- sessions that come back ----------------------------------------------------------------- */

/* Keys that are known by one letter each, the first of which seals. */
static void give_keys(struct fixture *f, const char *letters)
{
    static char bytes[TLS_TICKET_KEYS_MAX * TLS_TICKET_KEY_SIZE];

    for (size_t i = 0; i < strlen(letters); i++)
        memset(bytes + i * TLS_TICKET_KEY_SIZE, letters[i], TLS_TICKET_KEY_SIZE);
    f->wish.ticket_keys = (struct span){ bytes, strlen(letters) * TLS_TICKET_KEY_SIZE };
}

/* A client that comes again: what it keeps, and the binding that the server saw last. */
struct returner {
    SSL_CTX *ctx;
    SSL_SESSION *kept;
    unsigned tickets; /* how many it was given in all */
    unsigned char binding[TLS_BINDING_MAX];
    size_t binding_len;
};

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct returner *r = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    SSL_SESSION_free(r->kept);
    r->kept = session;
    r->tickets++;
    return 1; /* ours now */
}

static void returner_open(struct returner *r, int version)
{
    *r = (struct returner){ .ctx = client_new() };
    SSL_CTX_set_app_data(r->ctx, r);
    SSL_CTX_set_min_proto_version(r->ctx, version);
    SSL_CTX_set_max_proto_version(r->ctx, version);
    SSL_CTX_set_session_cache_mode(r->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(r->ctx, on_ticket);
}

static void returner_close(struct returner *r)
{
    SSL_SESSION_free(r->kept);
    SSL_CTX_free(r->ctx);
}

/* Comes with the session that it keeps, if any; was it resumed? */
static bool comes(struct returner *r, struct tls_context *server, const char *name)
{
    enum wire_result result = WIRE_WANT_READ;
    SSL *client = SSL_new(r->ctx);
    struct tls_session session;
    struct wire wire;
    char room[1];
    int fds[2];

    if (r->kept)
        SSL_set_session(client, r->kept);
    if (name)
        SSL_set_tlsext_host_name(client, name);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    wire_open(&wire, fds[1]);
    wire_secure_server(&wire, server);
    SSL_set_fd(client, fds[0]);
    for (int i = 0; i < 20 && under_way(result); i++) {
        SSL_connect(client);
        result = wire_handshake(&wire, &session);
    }
    assert_int_equal(result, WIRE_DONE);
    (void)SSL_read(client, room, sizeof(room));
    assert_int_equal(session.resumed, SSL_session_reused(client));
    r->binding_len = wire_binding(&wire, TLS_BINDING_END_POINT, r->binding);
    SSL_set_quiet_shutdown(client, 1);
    SSL_shutdown(client);
    if (SSL_version(client) == TLS1_2_VERSION && session.resumed) { /* told to nobody */
        SSL_SESSION_free(r->kept);
        r->kept = SSL_get1_session(client);
    }
    SSL_free(client);
    wire_close(&wire);
    close(fds[0]);
    return session.resumed;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static void a_client_with_a_ticket_needs_no_whole_handshake(void **state)
{
    struct fixture *f = *state;
    struct returner r;

    give_keys(f, "a");
    struct tls_context *server = open_server(f);
    for (size_t i = 0; i < 2; i++) {
        returner_open(&r, versions[i]);
        assert_false(comes(&r, server, NULL));
        assert_true(r.tickets > 0);
        assert_int_equal(SSL_SESSION_get_max_early_data(r.kept), 0); /* never 0-RTT */
        assert_true(SSL_SESSION_get_ticket_lifetime_hint(r.kept) <= 7200);
        assert_true(comes(&r, server, NULL));
        assert_true(comes(&r, server, NULL));
        returner_close(&r);
    }
    tls_context_free(&server);
}

static void tickets_open_with_the_key_before_and_not_with_older_ones(void **state)
{
    struct fixture *f = *state;
    struct returner r;

    for (size_t i = 0; i < 2; i++) {
        returner_open(&r, versions[i]);
        give_keys(f, "a");
        struct tls_context *server = open_server(f);
        assert_false(comes(&r, server, NULL));
        tls_context_free(&server);
        give_keys(f, "ba");
        server = open_server(f);
        assert_true(comes(&r, server, NULL)); /* and is given a ticket of the new key */
        tls_context_free(&server);
        give_keys(f, "cb");
        server = open_server(f);
        assert_true(comes(&r, server, NULL));
        tls_context_free(&server);
        give_keys(f, "ed");
        server = open_server(f);
        assert_false(comes(&r, server, NULL));
        tls_context_free(&server);
        returner_close(&r);
    }
}

static void without_keys_there_are_no_tickets(void **state)
{
    struct fixture *f = *state;
    struct returner r;

    struct tls_context *server = open_server(f);
    for (size_t i = 0; i < 2; i++) {
        returner_open(&r, versions[i]);
        comes(&r, server, NULL);
        assert_false(comes(&r, server, NULL));
        assert_true(!r.kept || !SSL_SESSION_has_ticket(r.kept));
        returner_close(&r);
    }
    tls_context_free(&server);
}

/* What a ticket says of a client's certificate would never be verified again. */
static void where_certificates_are_asked_for_there_are_no_tickets(void **state)
{
    struct fixture *f = *state;
    struct returner r;

    give_keys(f, "a");
    f->wish.client = TLS_CLIENT_ASKED;
    struct tls_context *server = open_server(f);
    for (size_t i = 0; i < 2; i++) {
        returner_open(&r, versions[i]);
        comes(&r, server, NULL);
        assert_false(comes(&r, server, NULL));
        assert_true(!r.kept || !SSL_SESSION_has_ticket(r.kept));
        returner_close(&r);
    }
    tls_context_free(&server);
}

static void a_ticket_of_one_listener_is_worth_nothing_at_another(void **state)
{
    struct fixture *f = *state;
    struct returner r;

    give_keys(f, "a");
    struct tls_context *one = open_server(f);
    f->wish.session_id = SPAN("another");
    struct tls_context *another = open_server(f);
    for (size_t i = 0; i < 2; i++) {
        returner_open(&r, versions[i]);
        assert_false(comes(&r, one, NULL));
        assert_false(comes(&r, another, NULL));
        returner_close(&r);
    }
    tls_context_free(&one);
    tls_context_free(&another);
}

static void tickets_work_for_every_name(void **state)
{
    struct fixture *f = *state;
    struct returner r;

    give_keys(f, "a");
    give_three_names(f);
    struct tls_context *server = open_server(f);
    for (size_t i = 0; i < 2; i++) {
        returner_open(&r, versions[i]);
        assert_false(comes(&r, server, "smtp.example"));
        assert_true(comes(&r, server, "smtp.example"));
        returner_close(&r);
    }
    tls_context_free(&server);
}

/* SCRAM-SHA-256-PLUS by tls-server-end-point: the client knows the certificate it was shown. */
static void a_session_that_comes_back_is_bound_to_the_certificate_it_began_with(void **state)
{
    struct fixture *f = *state;
    unsigned char first[TLS_BINDING_MAX];
    struct returner r;

    give_keys(f, "a");
    add_pair(f, &(struct leaf_wish){ .common_name = "old", .names = NAMES("DNS:relay.example") });
    add_pair(f, &(struct leaf_wish){ .common_name = "new", .names = NAMES("DNS:relay.example") });
    for (size_t i = 0; i < 2; i++) {
        f->wish.pairs = f->pairs;
        f->wish.pair_count = 1;
        struct tls_context *server = open_server(f);
        returner_open(&r, versions[i]);
        assert_false(comes(&r, server, NULL));
        assert_int_equal(r.binding_len, 32);
        memcpy(first, r.binding, sizeof(first));
        tls_context_free(&server);
        f->wish.pairs = f->pairs + 1;
        server = open_server(f);
        for (int again = 0; again < 2; again++) {
            assert_true(comes(&r, server, NULL));
            assert_int_equal(r.binding_len, 32);
            assert_memory_equal(r.binding, first, 32);
        }
        tls_context_free(&server);
        returner_close(&r);
    }
    f->wish.pairs = f->pairs;
    f->wish.pair_count = 2;
}

/* --- pairs that are none --------------------------------------------------------------------- */

static void assert_refused(struct fixture *f, const char *part)
{
    struct tls_context *context = NULL;
    struct error *err = tls_server_context_new(&f->wish, &context);

    assert_null(context);
    assert_non_null(err);
    if (!strstr(error_text(err), part))
        fail_msg("\"%s\" was not said in \"%s\"", part, error_text(err));
    error_free(&err);
}

static void a_pair_that_does_not_fit_is_refused_wherever_it_stands(void **state)
{
    struct fixture *f = *state;

    give_three_names(f);
    struct span right = f->pairs[2].key_pem;
    f->pairs[2].key_pem = f->pairs[1].key_pem;
    assert_refused(f, "private key does not fit the certificate");
    f->pairs[2].key_pem = SPAN("no key");
    assert_refused(f, "no readable private key");
    f->pairs[2].key_pem = right;
    right = f->pairs[0].chain_pem;
    f->pairs[0].chain_pem = SPAN("");
    assert_refused(f, "no certificate in the chain");
    f->pairs[0].chain_pem = right;
}

static void a_chain_broken_behind_its_first_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    char *text;

    give_three_names(f);
    struct span whole = f->pairs[0].chain_pem;
    assert_true(asprintf(&text,
                         SPAN_FMT "-----BEGIN CERTIFICATE-----\nnonsense\n"
                                  "-----END CERTIFICATE-----\n",
                         SPAN_ARG(whole)) > 0);
    f->pairs[0].chain_pem = span_of(text);
    assert_refused(f, "broken certificate in the chain");
    f->pairs[0].chain_pem = whole;
    free(text);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, setup, teardown, NULL                                                     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("nobody is asked for a certificate by default (RFC 8314 s.4.2)",
             nobody_is_asked_by_default),
        TEST("a client that is asked is known by its fingerprints and names",
             who_is_asked_is_known_by_fingerprints_and_names),
        TEST("asking for a certificate never ends a handshake", asking_never_ends_a_handshake),
        TEST("an authority vouches for its own", our_authority_vouches_for_its_own),
        TEST("without a certificate that is required there is no session",
             without_a_certificate_that_is_required_there_is_no_session),
        TEST("names of clients that do not fit are left out whole",
             names_that_do_not_fit_are_left_out_whole),
        TEST("each client is shown the certificate of the name it asks for (RFC 6066 s.3)",
             each_is_shown_the_certificate_of_the_name_it_asks_for),
        TEST("a name that is nobody's gets the first certificate",
             a_name_that_is_nobodys_gets_the_first),
        TEST("RSA and ECDSA stand side by side for one name", rsa_and_ecdsa_stand_side_by_side),
        TEST("a certificate with fewer names does not stand beside one with more",
             a_certificate_with_fewer_names_stands_for_itself),
        TEST("sessions outlive the context they began with",
             sessions_outlive_the_context_they_began_with),
        TEST("versions begin at TLS 1.2, or at 1.3 where the listener says so",
             versions_begin_at_1_2_or_where_the_listener_says),
        TEST("weak ciphers are not spoken, and those of old devices are",
             weak_ciphers_are_not_spoken),
        TEST("a client with a ticket needs no whole handshake; never 0-RTT",
             a_client_with_a_ticket_needs_no_whole_handshake),
        TEST("tickets open with the key before, and not with older ones",
             tickets_open_with_the_key_before_and_not_with_older_ones),
        TEST("without keys there are no tickets", without_keys_there_are_no_tickets),
        TEST("where clients are asked for certificates there are no tickets",
             where_certificates_are_asked_for_there_are_no_tickets),
        TEST("a ticket of one listener is worth nothing at another",
             a_ticket_of_one_listener_is_worth_nothing_at_another),
        TEST("tickets work for every name", tickets_work_for_every_name),
        TEST("a session that comes back is bound to the certificate it began with (RFC 5929 s.4)",
             a_session_that_comes_back_is_bound_to_the_certificate_it_began_with),
        TEST("a pair that does not fit is refused wherever it stands",
             a_pair_that_does_not_fit_is_refused_wherever_it_stands),
        TEST("a chain broken behind its first certificate is refused",
             a_chain_broken_behind_its_first_certificate_is_refused),
    };

    alarm(60);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("tls_server", tests, NULL, NULL);
}
