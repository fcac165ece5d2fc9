#include "tests/support/throwaway_ca.h"

#include "lib/base/error.h"
#include "lib/base/memory.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct throwaway_ca {
    EVP_PKEY *key;
    X509 *certificate;
};

enum { DAY_S = 24 * 3600, CA_DAYS = 365, LEAF_DAYS = 30 };

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ensure(extension);
    ensure(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void set_serial(X509 *certificate)
{
    unsigned char bytes[8];
    uint64_t serial;

    ensure(RAND_bytes(bytes, sizeof(bytes)) == 1);
    memcpy(&serial, bytes, sizeof(serial));
    ensure(ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1);
}

/* Version, serial, dates, key and subject; the issuer and the signature are still missing. */
static X509 *certificate_new(EVP_PKEY *key, const char *common_name, long from_s, long to_s)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_NAME_new();

    ensure(certificate && subject);
    ensure(X509_set_version(certificate, X509_VERSION_3) == 1);
    set_serial(certificate);
    ensure(X509_gmtime_adj(X509_getm_notBefore(certificate), from_s));
    ensure(X509_gmtime_adj(X509_getm_notAfter(certificate), to_s));
    ensure(X509_set_pubkey(certificate, key) == 1);
    if (common_name)
        ensure(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                          (const unsigned char *)common_name, -1, -1, 0) == 1);
    ensure(X509_set_subject_name(certificate, subject) == 1);
    X509_NAME_free(subject);
    return certificate;
}

static void sign(X509 *certificate, X509 *issuer, EVP_PKEY *key)
{
    ensure(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1);
    add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
    ensure(X509_sign(certificate, key, EVP_sha256()) > 0);
}

struct throwaway_ca *throwaway_ca_new(const char *common_name)
{
    struct throwaway_ca *ca = memory_new(sizeof(*ca));

    ca->key = EVP_EC_gen("P-256");
    ensure(ca->key);
    ca->certificate = certificate_new(ca->key, common_name, -DAY_S, (long)CA_DAYS * DAY_S);
    add_extension(ca->certificate, ca->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca->certificate, ca->certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(ca->certificate, ca->certificate, ca->key);
    return ca;
}

void throwaway_ca_free(struct throwaway_ca **ca)
{
    if (!*ca)
        return;
    EVP_PKEY_free((*ca)->key);
    X509_free((*ca)->certificate);
    free(*ca);
    *ca = NULL;
}

/* Takes the memory BIO. */
static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = memory_copy_span((struct span){ data, (size_t)len });

    BIO_free(bio);
    return text;
}

static char *certificate_pem(X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());

    ensure(PEM_write_bio_X509(bio, certificate) == 1);
    return text_of(bio);
}

static char *key_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    ensure(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    return text_of(bio);
}

char *throwaway_ca_pem(const struct throwaway_ca *ca)
{
    return certificate_pem(ca->certificate);
}

static int san_type(struct span kind)
{
    if (span_equal(kind, SPAN("IP")))
        return GEN_IPADD;
    if (span_equal(kind, SPAN("email")))
        return GEN_EMAIL;
    ensure(span_equal(kind, SPAN("URI")));
    return GEN_URI;
}

/* OpenSSL's parser refuses the odd DNS names that tests want: those are set by hand. */
static GENERAL_NAME *san_new(const char *text)
{
    struct span rest = span_of(text);
    struct span kind;
    GENERAL_NAME *name;

    ensure(span_cut(&rest, ':', &kind));
    if (!span_equal(kind, SPAN("DNS"))) {
        name = a2i_GENERAL_NAME(NULL, NULL, NULL, san_type(kind), rest.data, 0);
    } else {
        ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
        ensure(dns && ASN1_STRING_set(dns, rest.data, (int)rest.len) == 1);
        name = GENERAL_NAME_new();
        GENERAL_NAME_set0_value(name, GEN_DNS, dns);
    }
    ensure(name);
    return name;
}

static void add_names(X509 *certificate, const char *const *names)
{
    GENERAL_NAMES *sans = GENERAL_NAMES_new();

    for (; *names; names++)
        ensure(sk_GENERAL_NAME_push(sans, san_new(*names)) > 0);
    ensure(X509_add1_ext_i2d(certificate, NID_subject_alt_name, sans, 0, X509V3_ADD_APPEND) == 1);
    GENERAL_NAMES_free(sans);
}

static X509 *leaf_new(const struct throwaway_ca *ca, const struct leaf_wish *wish, EVP_PKEY *key)
{
    int from = wish->starts_in_days ? wish->starts_in_days : -1;
    int to = wish->ends_in_days ? wish->ends_in_days : LEAF_DAYS;
    X509 *leaf;

    if (from >= to)
        from = to - 1;
    leaf = certificate_new(key, wish->common_name, (long)from * DAY_S, (long)to * DAY_S);
    if (wish->names && wish->names[0])
        add_names(leaf, wish->names);
    add_extension(leaf, leaf, NID_basic_constraints, "critical,CA:FALSE");
    if (wish->self_signed)
        sign(leaf, leaf, key);
    else
        sign(leaf, ca->certificate, ca->key);
    return leaf;
}

static EVP_PKEY *leaf_key(const struct leaf_wish *wish)
{
    EVP_PKEY *key = wish->rsa_bits ? EVP_RSA_gen((size_t)wish->rsa_bits) : EVP_EC_gen("P-256");

    ensure(key);
    return key;
}

void throwaway_leaf(const struct throwaway_ca *ca, const struct leaf_wish *wish, char **out_pem,
                    char **out_key_pem)
{
    EVP_PKEY *key = leaf_key(wish);
    X509 *leaf = leaf_new(ca, wish, key);

    if (out_pem)
        *out_pem = certificate_pem(leaf);
    if (out_key_pem)
        *out_key_pem = key_pem(key);
    X509_free(leaf);
    EVP_PKEY_free(key);
}

unsigned char *throwaway_leaf_der(const struct throwaway_ca *ca, const struct leaf_wish *wish,
                                  size_t *out_len)
{
    EVP_PKEY *key = leaf_key(wish);
    X509 *leaf = leaf_new(ca, wish, key);
    int len = i2d_X509(leaf, NULL);
    unsigned char *der = memory_new((size_t)len);
    unsigned char *at = der;

    i2d_X509(leaf, &at);
    *out_len = (size_t)len;
    X509_free(leaf);
    EVP_PKEY_free(key);
    return der;
}

struct error *throwaway_server(struct span pem, struct span key_pem,
                               struct tls_context **out_context)
{
    const struct tls_pair pair = { pem, key_pem };

    return tls_server_context_new(
        &(struct tls_server_wish){ .pairs = &pair, .pair_count = 1, .session_id = SPAN("test") },
        out_context);
}
