/*
 * fuzz_tlsa - what a host publishes: one message as the answer to each question of the walk to its
 * TLSA records, and the records themselves as far as they are used, compared and written.
 */
#include "lib/base/error.h"
#include "lib/io/tls_dane.h"
#include "lib/io/tls_openssl.h"
#include "lib/mail/tlsa_walk.h"

#include <string.h>

#define HOST "mx1.example.test"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static SSL *session(void)
{
    static SSL_CTX *ctx;

    if (!ctx) {
        ctx = SSL_CTX_new(TLS_client_method());
        ensure(ctx && SSL_CTX_dane_enable(ctx) > 0);
    }
    return SSL_new(ctx);
}

static void check_words(struct span rdata)
{
    char text[64];

    tlsa_text(rdata, text, sizeof(text));
    ensure(text[0] != '\0' && span_is_printable(span_of(text)));
}

static void check_set(const struct tlsa_set *set)
{
    struct tlsa_names also = tlsa_names_of("example.test", "end.example.test", true);
    SSL *ssl = session();

    ensure(set->count > 0 && set->count <= TLSA_RECORDS_MAX && set->usable_count <= set->count);
    for (unsigned i = 0; i < set->count; i++) {
        ensure(tls_dane_usable(set->records[i]) == (i < set->usable_count));
        check_words(set->records[i]);
    }
    /* What counts as usable is what OpenSSL takes: else a host were held to nothing. */
    ensure(tls_dane_expect(ssl, set->base, &also, set->records, set->count) == set->usable_count);
    SSL_free(ssl);
}

static void walk(struct span message, bool secure, bool is_alias)
{
    struct host_security security = { .secure = secure, .is_alias = is_alias };
    struct dns_answer answer;
    struct tlsa_walk w;
    char name[TLSA_NAME_SIZE];

    strcpy(security.expanded, is_alias ? "end.example.test" : HOST);
    tlsa_walk_start(&w, HOST, 25, true, &security);
    for (int steps = 0; w.question != TLSA_ASK_NOTHING; steps++) {
        enum dns_type type = w.question == TLSA_ASK_ALIAS ? DNS_CNAME : DNS_TLSA;
        ensure(steps < 3);
        dns_message_parse(message, span_of(tlsa_walk_name(&w, name)), type, true, &answer);
        tlsa_walk_take(&w, &answer);
        if (w.base) {
            struct tlsa_set *set = tlsa_set_new(w.base, &answer, tls_dane_usable);
            check_set(set);
            tlsa_set_free(&set);
        }
        dns_answer_clear(&answer);
    }
    ensure(!(w.failed && w.base));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = { (const char *)data, size };

    if (tls_dane_usable(bytes))
        ensure(tlsa_is_usable(bytes));
    check_words(bytes);
    walk(bytes, true, false);
    walk(bytes, true, true);
    walk(bytes, false, true);
    return 0;
}
