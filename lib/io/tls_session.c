#include "lib/io/tls_openssl.h"

#include "lib/base/clock.h"
#include "lib/io/tls_tickets.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { REFERENCE_MAX = 253, LABEL_MAX = 63, DANE_EE = 3 };

static bool label_is_plain(struct span label)
{
    if (label.len == 0 || label.len > LABEL_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_alnum(label.data[i]) && label.data[i] != '-' && label.data[i] != '_')
            return false;
    return true;
}

static bool label_is_number(struct span label)
{
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_digit(label.data[i]))
            return false;
    return true;
}

/* Takes the root dot away; false for what is no host name, above all an IP address. */
static bool reference_host(struct span reference, struct span *out_host)
{
    struct span label = { NULL, 0 };
    struct span rest;

    if (reference.len > 0 && reference.data[reference.len - 1] == '.')
        reference.len--;
    if (reference.len == 0 || reference.len > REFERENCE_MAX)
        return false;
    rest = reference;
    while (span_cut(&rest, '.', &label))
        if (!label_is_plain(label))
            return false;
    if (label_is_number(label)) /* no top-level domain is one: RFC 3696 s.2 */
        return false;
    *out_host = reference;
    return true;
}

bool tls_certificate_bears(X509 *certificate, struct span reference)
{
    struct span host;
    bool bears = reference_host(reference, &host) &&
                 X509_check_host(certificate, host.data, host.len, TLS_HOST_FLAGS, NULL) == 1;

    ERR_clear_error();
    return bears;
}

bool tls_certificate_names(struct span der, struct span reference)
{
    const unsigned char *at = (const unsigned char *)der.data;
    X509 *certificate;
    bool fits;

    if (der.len > INT32_MAX)
        return false;
    certificate = d2i_X509(NULL, &at, (long)der.len);
    fits = certificate && tls_certificate_bears(certificate, reference);
    X509_free(certificate);
    ERR_clear_error();
    return fits;
}

/* A name that is none is not sent as SNI (RFC 6066 s.3); its verdict is a mismatch, see below. */
static void session_expect(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    char text[REFERENCE_MAX + 1];
    struct span host;

    X509_VERIFY_PARAM_set_hostflags(param, TLS_HOST_FLAGS);
    if (!reference_host(span_of(name), &host))
        return;
    ensure(span_to_string(host, text, sizeof(text)));
    ensure(X509_VERIFY_PARAM_set1_host(param, host.data, host.len) == 1);
    ensure(SSL_set_tlsext_host_name(ssl, text) == 1);
}

SSL *tls_session_begin(struct tls_context *context, const char *name)
{
    SSL *ssl = tls_context_session(context);

    ERR_clear_error();
    if (name) {
        session_expect(ssl, name);
        SSL_set_connect_state(ssl);
    } else {
        SSL_set_accept_state(ssl);
    }
    return ssl;
}

static struct span text_of(const ASN1_STRING *string)
{
    return (struct span){ (const char *)ASN1_STRING_get0_data(string),
                          (size_t)ASN1_STRING_length(string) };
}

/* A name cut short could be another's: it is put whole, or not at all. */
static void put_name(char *room, size_t size, struct span name)
{
    size_t used = strlen(room);
    size_t blank = used > 0 ? 1 : 0;

    if (name.len == 0 || name.len >= size - used - blank)
        return;
    memcpy(room + used, " ", blank);
    used += blank;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        room[used++] = c > ' ' && c <= '~' ? c : '?';
    }
    room[used] = '\0';
}

static void describe_name(const X509_NAME *name, char text[TLS_NAME_SIZE])
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long len;

    ensure(bio);
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253); /* escapes all that is not ASCII */
    len = BIO_get_mem_data(bio, &data);
    if (len >= TLS_NAME_SIZE)
        len = TLS_NAME_SIZE - 1;
    if (len > 0)
        memcpy(text, data, (size_t)len);
    BIO_free(bio);
}

/* The alternative names of one type, all of which are IA5 strings. */
static void describe_names(X509 *certificate, int type, char text[TLS_NAMES_SIZE])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == type)
            put_name(text, TLS_NAMES_SIZE, text_of(name->d.ia5));
    }
    GENERAL_NAMES_free(names);
}

static void describe_common_name(X509 *certificate, char text[TLS_NAME_SIZE])
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = -1;

    for (int next; (next = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
        at = next;
    if (at >= 0)
        put_name(text, TLS_NAME_SIZE,
                 text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
}

static void put_digest(const unsigned char *der, int len, char text[TLS_DIGEST_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (len <= 0 || EVP_Digest(der, (size_t)len, digest, &size, EVP_sha256(), NULL) != 1)
        return;
    for (unsigned i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static void describe_digests(X509 *certificate, struct tls_session *s)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);

    put_digest(der, len, s->certificate_sha256);
    OPENSSL_free(der);
    der = NULL;
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    put_digest(der, len, s->key_sha256);
    OPENSSL_free(der);
}

static void describe_client(X509 *certificate, struct tls_client_facts *client)
{
    describe_common_name(certificate, client->common_name);
    describe_names(certificate, GEN_EMAIL, client->mailboxes);
}

/* A session resumed in TLS 1.2 has exchanged no keys. */
static void describe_group(SSL *ssl, struct tls_session *s)
{
    int group = (int)SSL_get_negotiated_group(ssl);
    const char *name = group > 0 ? SSL_group_to_name(ssl, group) : NULL;

    snprintf(s->group, sizeof(s->group), "%s", name ? name : "");
}

static int64_t utc_ms_of(const ASN1_TIME *when)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(when, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm) * 1000;
}

void tls_certificate_words(X509 *certificate, char words[TLS_CERTIFICATE_WORDS_SIZE])
{
    char subject[TLS_NAME_SIZE] = "", until[CLOCK_TEXT_SIZE];

    describe_name(X509_get_subject_name(certificate), subject);
    clock_format_rfc3339(utc_ms_of(X509_get0_notAfter(certificate)), until);
    snprintf(words, TLS_CERTIFICATE_WORDS_SIZE, "valid until %.32s, %.80s", until,
             subject[0] ? subject : "without a name");
}

/* A peer without certificate leaves OpenSSL's result at "ok": look for the certificate first. */
/*
 * OpenSSL takes over the verdict of the handshake that a resumed session comes from, whatever name
 * is asked for now: what can be seen in the certificate is compared anew.
 */
static long verdict_for(SSL *ssl, X509 *certificate, const char *name)
{
    long result = SSL_get_verify_result(ssl);
    struct span host;

    if (!name || result != X509_V_OK)
        return result;
    if (!reference_host(span_of(name), &host))
        return X509_V_ERR_HOSTNAME_MISMATCH;
    if (!SSL_session_reused(ssl))
        return X509_V_OK;
    if (!tls_certificate_bears(certificate, host))
        return X509_V_ERR_HOSTNAME_MISMATCH;
    return X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0 ? X509_V_OK
                                                                      : X509_V_ERR_CERT_HAS_EXPIRED;
}

static void describe_tlsa(SSL *ssl, X509 *certificate, const char *name, struct tls_session *s)
{
    uint8_t usage, selector, matching;

    if (SSL_get0_dane_tlsa(ssl, &usage, &selector, &matching, NULL, NULL) < 0)
        return;
    snprintf(s->tlsa, sizeof(s->tlsa), "%u %u %u", usage, selector, matching);
    s->fits_base = usage == DANE_EE || tls_certificate_bears(certificate, span_of(name));
}

static void describe_certificate(SSL *ssl, const char *name, struct tls_session *s)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    long result;

    if (!certificate)
        return;
    result = verdict_for(ssl, certificate, name);
    s->cert = tls_verdict_of(result);
    snprintf(s->cert_reason, sizeof(s->cert_reason), "%s", tls_reason_of(result));
    if (result == X509_V_OK && name)
        describe_tlsa(ssl, certificate, name, s);
    describe_name(X509_get_subject_name(certificate), s->subject);
    describe_name(X509_get_issuer_name(certificate), s->issuer);
    describe_names(certificate, GEN_DNS, s->names);
    s->not_after_utc_ms = utc_ms_of(X509_get0_notAfter(certificate));
    describe_digests(certificate, s);
    if (SSL_is_server(ssl))
        describe_client(certificate, &s->client);
}

void tls_session_describe(SSL *ssl, const char *name, struct tls_session *out_session)
{
    const char *cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl));
    struct tls_session s = { .cert = CERT_NONE, .resumed = SSL_session_reused(ssl) };

    snprintf(s.version, sizeof(s.version), "%s", SSL_get_version(ssl));
    snprintf(s.cipher, sizeof(s.cipher), "%s", cipher ? cipher : "");
    describe_group(ssl, &s);
    describe_certificate(ssl, name, &s);
    ERR_clear_error();
    *out_session = s;
}

/* RFC 9266 s.4.2: TLS 1.2 is bound only with the extended master secret. */
static size_t exporter_binding(SSL *ssl, unsigned char room[TLS_BINDING_MAX])
{
    static const char label[] = "EXPORTER-Channel-Binding";
    const unsigned char no_context = 0;

    if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1)
        return 0;
    if (SSL_export_keying_material(ssl, room, 32, label, sizeof(label) - 1, &no_context, 0, 1) != 1)
        return 0;
    return 32;
}

/* RFC 5929 s.4.1: the hash of the signature, but SHA-256 for MD5 and SHA-1. */
static size_t end_point_binding(const SSL *ssl, unsigned char room[TLS_BINDING_MAX])
{
    X509 *certificate = SSL_get_certificate(ssl);
    int digest = NID_undef;
    unsigned len = 0;

    if (SSL_session_reused(ssl))
        return tls_tickets_end_point(ssl, room);
    if (!certificate || X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) != 1)
        return 0;
    if (digest == NID_md5 || digest == NID_sha1)
        digest = NID_sha256;
    const EVP_MD *md = EVP_get_digestbynid(digest);
    if (!md || EVP_MD_get_size(md) > TLS_BINDING_MAX ||
        X509_digest(certificate, md, room, &len) != 1)
        return 0;
    return len;
}

size_t tls_session_binding(SSL *ssl, enum tls_binding kind, unsigned char room[TLS_BINDING_MAX])
{
    size_t len =
        kind == TLS_BINDING_EXPORTER ? exporter_binding(ssl, room) : end_point_binding(ssl, room);

    ERR_clear_error();
    return len;
}
