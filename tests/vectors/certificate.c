/* Certificates with the names of a vector, made on the spot with OpenSSL. */
#include "lib/io/tls.h"
#include "tests/vectors/vectors.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

static EVP_PKEY *key; /* one will do for all */

static GENERAL_NAME *text_name(int type, struct span text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();

    ASN1_STRING_set(string, text.data, (int)text.len);
    GENERAL_NAME_set0_value(name, type, string);
    return name;
}

static GENERAL_NAME *address_name(struct span text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
    unsigned char bytes[16];
    int family = span_find(text, ':') < text.len ? AF_INET6 : AF_INET;

    inet_pton(family, text.data, bytes);
    ASN1_OCTET_STRING_set(string, bytes, family == AF_INET6 ? 16 : 4);
    GENERAL_NAME_set0_value(name, GEN_IPADD, string);
    return name;
}

/* RFC 4985: id-on-dnsSRV */
static GENERAL_NAME *service_name(struct span text)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();
    ASN1_TYPE *value = ASN1_TYPE_new();

    ASN1_STRING_set(string, text.data, (int)text.len);
    ASN1_TYPE_set(value, V_ASN1_IA5STRING, string);
    GENERAL_NAME_set0_othername(name, OBJ_txt2obj("1.3.6.1.5.5.7.8.7", 1), value);
    return name;
}

static GENERAL_NAMES *names_of(const json_t *given)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(given, "san_dns"), i, item)
        sk_GENERAL_NAME_push(names, text_name(GEN_DNS, text_of(item)));
    json_array_foreach(json_object_get(given, "san_email"), i, item)
        sk_GENERAL_NAME_push(names, text_name(GEN_EMAIL, text_of(item)));
    json_array_foreach(json_object_get(given, "san_uri"), i, item)
        sk_GENERAL_NAME_push(names, text_name(GEN_URI, text_of(item)));
    json_array_foreach(json_object_get(given, "san_ip"), i, item)
        sk_GENERAL_NAME_push(names, address_name(text_of(item)));
    json_array_foreach(json_object_get(given, "san_srv"), i, item)
        sk_GENERAL_NAME_push(names, service_name(text_of(item)));
    return names;
}

static X509 *certificate_of(const json_t *given)
{
    struct span cn = text_of(json_object_get(given, "cn"));
    GENERAL_NAMES *names = names_of(given);
    X509_NAME *subject = X509_NAME_new();
    X509 *x509 = X509_new();

    if (!key)
        key = EVP_EC_gen("P-256");
    if (cn.len > 0)
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)cn.data,
                                   (int)cn.len, -1, 0);
    X509_set_version(x509, X509_VERSION_3);
    X509_set_subject_name(x509, subject);
    X509_set_issuer_name(x509, subject);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 86400);
    X509_set_pubkey(x509, key);
    if (sk_GENERAL_NAME_num(names) > 0)
        X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0);
    X509_sign(x509, key, EVP_sha256());
    X509_NAME_free(subject);
    GENERAL_NAMES_free(names);
    return x509;
}

json_t *judge_certificate(const json_t *given)
{
    X509 *x509 = certificate_of(given);
    unsigned char *der = NULL;
    int len = i2d_X509(x509, &der);
    bool match = len > 0 && tls_certificate_names((struct span){ (char *)der, (size_t)len },
                                                  text_of(json_object_get(given, "reference")));

    OPENSSL_free(der);
    X509_free(x509);
    return json_pack("{s:b}", "match", match);
}
