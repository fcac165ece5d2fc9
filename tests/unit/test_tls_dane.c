#include "tests/support/test.h"

#include "lib/base/memory.h"
#include "lib/io/tls_dane.h"
#include "lib/io/wire.h"
#include "tests/support/throwaway_ca.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MX "mx1.example.net"
#define DOMAIN "example.net"
#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

enum { TA = 2, EE = 3, CERT = 0, KEY = 1, FULL = 0, SHA2_256 = 1, SHA2_512 = 2, RECORDS_MAX = 3 };

/* What a record of a case is of. */
enum whose { NOBODY, LEAF, AUTHORITY, STRANGER };

struct wanted {
    unsigned usage, selector, matching;
    enum whose whose;
};

/* A server whose chain our own authorities know nothing of. */
struct fixture {
    struct tls_trust *trust;
    struct throwaway_ca *ca;
    struct throwaway_ca *stranger;
};

static int setup(void **state)
{
    static struct fixture f;
    struct throwaway_ca *ours = throwaway_ca_new("Ours");
    char *pem = throwaway_ca_pem(ours);

    assert_null(tls_trust_new(span_of(pem), &f.trust));
    free(pem);
    throwaway_ca_free(&ours);
    f.ca = throwaway_ca_new("Theirs");
    f.stranger = throwaway_ca_new("Stranger");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    tls_trust_free(&f->trust);
    throwaway_ca_free(&f->ca);
    throwaway_ca_free(&f->stranger);
    return 0;
}

/* --- records */

static size_t der_of(const char *pem, unsigned selector, unsigned char **out_der)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int len;

    assert_non_null(x);
    *out_der = NULL;
    len =
        selector == CERT ? i2d_X509(x, out_der) : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), out_der);
    assert_true(len > 0);
    X509_free(x);
    BIO_free(bio);
    return (size_t)len;
}

/* RDATA as in DNS; the caller's to free(). */
static struct span record_of(const char *pem, const struct wanted *w)
{
    char *rdata = memory_new(TLSA_RECORD_MAX);
    unsigned len = EVP_MAX_MD_SIZE;
    unsigned char *der;
    size_t der_len = der_of(pem, w->selector, &der);

    rdata[0] = (char)w->usage;
    rdata[1] = (char)w->selector;
    rdata[2] = (char)w->matching;
    if (w->matching == FULL)
        memcpy(rdata + 3, der, len = (unsigned)der_len);
    else
        EVP_Digest(der, der_len, (unsigned char *)rdata + 3, &len,
                   w->matching == SHA2_256 ? EVP_sha256() : EVP_sha512(), NULL);
    OPENSSL_free(der);
    return (struct span){ rdata, len + 3 };
}

/* --- handshakes */

struct site {
    struct leaf_wish wish;
    bool omits_authority;   /* the chain is the leaf alone */
    struct tlsa_names also; /* the next hop's, where they count */
    struct wanted wanted[RECORDS_MAX];
};

static struct tls_context *server_of(const struct fixture *f, const struct site *site, char *leaf,
                                     const char *key)
{
    struct tls_context *server = NULL;
    char *authority = throwaway_ca_pem(f->ca);
    char chain[8192];

    snprintf(chain, sizeof(chain), "%s%s", leaf, site->omits_authority ? "" : authority);
    assert_null(throwaway_server(span_of(chain), span_of(key), &server));
    free(authority);
    return server;
}

static unsigned make_records(const struct fixture *f, const struct site *site, const char *leaf,
                             struct span *records)
{
    char *authority = throwaway_ca_pem(f->ca), *stranger = throwaway_ca_pem(f->stranger);
    const char *const pems[] = { NULL, leaf, authority, stranger };
    unsigned count = 0;

    for (unsigned i = 0; i < RECORDS_MAX && site->wanted[i].whose != NOBODY; i++)
        records[count++] = record_of(pems[site->wanted[i].whose], &site->wanted[i]);
    free(authority);
    free(stranger);
    return count;
}

static bool under_way(enum wire_result result)
{
    return result == WIRE_WANT_READ || result == WIRE_WANT_WRITE;
}

static void shake(struct wire wires[2], struct tls_session *session)
{
    enum wire_result result = WIRE_WANT_WRITE, answer = WIRE_WANT_READ;
    struct tls_session other;

    for (int i = 0; i < 20 && under_way(result); i++) {
        result = wire_handshake(&wires[0], session);
        if (under_way(answer))
            answer = wire_handshake(&wires[1], &other);
    }
    assert_int_equal(result, WIRE_DONE);
}

/* What the session with that server comes to, and how many of the records were in force. */
static struct tls_session judged(const struct fixture *f, const struct site *site,
                                 unsigned *in_force)
{
    struct span records[RECORDS_MAX];
    struct tls_context *client = NULL, *server;
    struct tls_session session;
    struct wire wires[2];
    char *leaf, *key;
    unsigned count;
    int fds[2];

    throwaway_leaf(f->ca, &site->wish, &leaf, &key);
    server = server_of(f, site, leaf, key);
    count = make_records(f, site, leaf, records);
    assert_null(tls_client_context_new(f->trust, TLS_FLOOR_STRICT, &client));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    wire_open(&wires[0], fds[0]);
    wire_open(&wires[1], fds[1]);
    wire_secure_client(&wires[0], client, MX);
    *in_force = wire_expect_tlsa(&wires[0], &site->also, records, count);
    wire_secure_server(&wires[1], server);
    shake(wires, &session);
    wire_close(&wires[0]);
    wire_close(&wires[1]);
    tls_context_free(&client);
    tls_context_free(&server);
    for (unsigned i = 0; i < count; i++)
        free((char *)(uintptr_t)records[i].data);
    free(leaf);
    free(key);
    return session;
}

static void assert_site(void *const *state, const struct site *site, const char *reason)
{
    unsigned in_force;
    struct tls_session s = judged(*state, site, &in_force);

    assert_true(in_force > 0);
    assert_string_equal(s.cert_reason, reason);
    assert_int_equal(s.cert == CERT_OK, *reason == '\0');
}

static const struct leaf_wish good = { .names = NAMES("DNS:" MX) };
static const struct leaf_wish of_domain = { .names = NAMES("DNS:" DOMAIN) };
static const struct leaf_wish expired = { .names = NAMES("DNS:" MX),
                                          .starts_in_days = -20,
                                          .ends_in_days = -2 };
/* Nothing about it is right but that it is the one. */
static const struct leaf_wish awful = { .names = NAMES("DNS:elsewhere.example"),
                                        .starts_in_days = -20,
                                        .ends_in_days = -2,
                                        .self_signed = true };

static void dane_ee_asks_for_the_certificate_alone(void **state)
{
    for (unsigned selector = CERT; selector <= KEY; selector++)
        for (unsigned matching = FULL; matching <= SHA2_512; matching++) {
            struct site site = { .wish = awful,
                                 .omits_authority = true,
                                 .wanted = { { EE, selector, matching, LEAF } } };
            assert_site(state, &site, "");
            site.wish = good;
            assert_site(state, &site, "");
            site.wanted[0].whose = STRANGER;
            assert_site(state, &site, "X509_V_ERR_DANE_NO_MATCH");
            site.wanted[0].whose = AUTHORITY; /* it signed, and is not the one */
            assert_site(state, &site, "X509_V_ERR_DANE_NO_MATCH");
        }
}

static void dane_ta_asks_for_chain_dates_and_name(void **state)
{
    for (unsigned selector = CERT; selector <= KEY; selector++)
        for (unsigned matching = FULL; matching <= SHA2_512; matching++) {
            struct site site = { .wish = good,
                                 .wanted = { { TA, selector, matching, AUTHORITY } } };
            assert_site(state, &site, "");
            site.wish = expired;
            assert_site(state, &site, "X509_V_ERR_CERT_HAS_EXPIRED");
            site.wish = of_domain;
            assert_site(state, &site, "X509_V_ERR_HOSTNAME_MISMATCH");
            site.also.next_hop = DOMAIN; /* DANE-71: the next hop's domain will do */
            assert_site(state, &site, "");
            site.also = (struct tlsa_names){ .next_hop = "alias.example", .expanded = DOMAIN };
            assert_site(state, &site, "");
        }
}

static void another_authority_is_none(void **state)
{
    for (unsigned selector = CERT; selector <= KEY; selector++)
        for (unsigned matching = FULL; matching <= SHA2_512; matching++) {
            struct site site = { .wish = good, .wanted = { { TA, selector, matching, STRANGER } } };
            unsigned in_force;
            assert_int_not_equal(judged(*state, &site, &in_force).cert, CERT_OK);
            assert_int_equal(in_force, 1);
        }
}

/* DANE-64: it need not be sent where DNS holds it in full; a digest alone is no help. */
static void an_authority_in_full_need_not_be_sent(void **state)
{
    struct site site = { .wish = good,
                         .omits_authority = true,
                         .wanted = { { TA, CERT, FULL, AUTHORITY } } };
    unsigned in_force;

    assert_site(state, &site, "");
    site.wanted[0].selector = KEY;
    assert_site(state, &site, "");
    site.wanted[0].matching = SHA2_256;
    assert_int_not_equal(judged(*state, &site, &in_force).cert, CERT_OK);
}

static void one_record_that_fits_is_enough(void **state)
{
    struct site site = { .wish = awful,
                         .wanted = { { TA, CERT, SHA2_256, STRANGER },
                                     { EE, KEY, SHA2_256, STRANGER },
                                     { EE, KEY, SHA2_256, LEAF } } };

    assert_site(state, &site, "");
}

/* DANE-67: where there are stronger digests the weaker count for nothing. */
static void the_strongest_digest_counts_alone(void **state)
{
    struct site site = {
        .wish = good,
        .wanted = { { EE, KEY, SHA2_512, STRANGER }, { EE, KEY, SHA2_256, LEAF } },
    };

    assert_site(state, &site, "X509_V_ERR_DANE_NO_MATCH");
    site.wanted[1].selector = CERT; /* of each selector for itself */
    assert_site(state, &site, "");
}

static void usages_of_the_web_are_not_in_force(void **state)
{
    struct site site = {
        .wish = good, .wanted = { { 0, CERT, SHA2_256, AUTHORITY }, { 1, KEY, SHA2_256, LEAF } }
    };
    unsigned in_force;

    judged(*state, &site, &in_force);
    assert_int_equal(in_force, 0);
    site.wanted[2] = (struct wanted){ EE, KEY, SHA2_256, STRANGER };
    assert_site(state, &site, "X509_V_ERR_DANE_NO_MATCH");
}

static void what_stands_in_full_is_whole_and_nothing_more(void **state)
{
    const struct fixture *f = *state;
    char *pem = throwaway_ca_pem(f->ca);

    for (unsigned selector = CERT; selector <= KEY; selector++) {
        struct span record = record_of(pem, &(struct wanted){ TA, selector, FULL, AUTHORITY });
        assert_true(tls_dane_usable(record));
        assert_false(tls_dane_usable(span_first(record, record.len - 1)));
        record.len++; /* there is room, and a NUL in it */
        assert_false(tls_dane_usable(record));
        ((char *)(uintptr_t)record.data)[1] ^= 1; /* the one in place of the other */
        record.len--;
        assert_false(tls_dane_usable(record));
        free((char *)(uintptr_t)record.data);
    }
    free(pem);
}

/* What is kept for other next hops: DANE-71. */
static void it_is_told_which_record_fits_and_whether_the_base_name_does(void **state)
{
    struct site site = { .wish = awful, .wanted = { { EE, KEY, SHA2_512, LEAF } } };
    struct tls_session s;
    unsigned in_force;

    s = judged(*state, &site, &in_force);
    assert_string_equal(s.tlsa, "3 1 2");
    assert_true(s.fits_base);
    site = (struct site){ .wish = good, .wanted = { { TA, CERT, SHA2_256, AUTHORITY } } };
    s = judged(*state, &site, &in_force);
    assert_string_equal(s.tlsa, "2 0 1");
    assert_true(s.fits_base);
    site.wish = of_domain;
    site.also.next_hop = DOMAIN;
    s = judged(*state, &site, &in_force);
    assert_string_equal(s.tlsa, "2 0 1");
    assert_false(s.fits_base);
    site.also.next_hop = NULL;
    s = judged(*state, &site, &in_force);
    assert_string_equal(s.tlsa, "");
    assert_false(s.fits_base);
}

static void what_cannot_be_read_is_not_in_force(void **state)
{
    const struct fixture *f = *state;
    static const char garbage[] = "\x03\x00\x00no certificate";
    struct span record = { garbage, sizeof(garbage) - 1 };
    const struct tlsa_names also = { .next_hop = DOMAIN };
    struct tls_context *client = NULL;
    struct wire wire;
    int fds[2];

    assert_true(tlsa_is_usable(record)); /* by its form, in which it could be one */
    assert_false(tls_dane_usable(record));
    assert_null(tls_client_context_new(f->trust, TLS_FLOOR_STRICT, &client));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    wire_open(&wire, fds[0]);
    wire_secure_client(&wire, client, MX);
    assert_int_equal(wire_expect_tlsa(&wire, &also, &record, 1), 0);
    wire_close(&wire);
    close(fds[1]);
    tls_context_free(&client);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        "tls_dane: " title, function, NULL, NULL, NULL                                             \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STORY("DANE-EE asks for the certificate or key alone, in full or by digest (RFC 7672 "
              "s.3.1.1)",
              dane_ee_asks_for_the_certificate_alone),
        STORY("DANE-TA asks for chain, dates and name (RFC 7672 s.3.1.2)",
              dane_ta_asks_for_chain_dates_and_name),
        STORY("another authority is none", another_authority_is_none),
        STORY("an authority in full need not be sent (RFC 7671 s.5.2.2)",
              an_authority_in_full_need_not_be_sent),
        STORY("one record that fits is enough", one_record_that_fits_is_enough),
        STORY("the strongest digest counts alone (RFC 7671 s.9)",
              the_strongest_digest_counts_alone),
        STORY("usages 0 and 1 are not in force (RFC 7672 s.3.1.3)",
              usages_of_the_web_are_not_in_force),
        STORY("what stands in full is one certificate or key, whole, and nothing more",
              what_stands_in_full_is_whole_and_nothing_more),
        STORY("it is told which record fits, and whether the base domain's name does",
              it_is_told_which_record_fits_and_whether_the_base_name_does),
        STORY("what cannot be read is not in force", what_cannot_be_read_is_not_in_force),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
