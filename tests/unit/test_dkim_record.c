#include "tests/support/test.h"

#include "lib/base/base64.h"
#include "lib/mail/dkim_record.h"

#include <stdio.h>
#include <string.h>

#define ED25519_P "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static struct dkim_record parsed(const char *text)
{
    struct dkim_record record;

    assert_null(dkim_record_parse(span_of(text), &record));
    return record;
}

static void check_fault(const char *text, const char *wanted)
{
    struct dkim_record record;

    assert_string_equal(dkim_record_parse(span_of(text), &record), wanted);
}

static void an_ed25519_key_is_32_octets(void **state)
{
    struct dkim_record record = parsed("v=DKIM1; k=ed25519; p=" ED25519_P);
    (void)state;

    assert_int_equal(record.algorithm, DKIM_ED25519_SHA256);
    assert_int_equal(record.key_len, 32);
    assert_int_equal(record.key[0], 0xd7);
    assert_true(record.takes_sha256 && record.is_for_email && record.is_for_reports);
    assert_false(record.is_testing || record.is_strict);
    check_fault("v=DKIM1; k=ed25519; p=AAAA",
                "p= is not an Ed25519 key: that has 32 octets, 44 characters");
}

static void without_words_it_is_an_rsa_key_for_all(void **state)
{
    struct dkim_record record = parsed("p=AA AA\r\n AAAA;");
    (void)state;

    assert_int_equal(record.algorithm, DKIM_RSA_SHA256);
    assert_int_equal(record.key_len, 6);
}

static void an_empty_key_is_revoked(void **state)
{
    (void)state;
    assert_int_equal(parsed("v=DKIM1; p=").key_len, 0);
    assert_int_equal(parsed("v=DKIM1; k=ed25519; p=").key_len, 0);
}

static void services_hashes_and_flags_are_told(void **state)
{
    (void)state;
    assert_true(parsed("p=; s=email").is_for_email);
    assert_false(parsed("p=; s=email").is_for_reports);
    assert_true(parsed("p=; s=other : TLSRPT").is_for_reports);
    assert_false(parsed("p=; s=tlsrpt").is_for_email);
    assert_true(parsed("p=; s=x:*").is_for_email && parsed("p=; s=x:*").is_for_reports);
    assert_false(parsed("p=; h=sha1").takes_sha256);
    assert_true(parsed("p=; h=sha1:sha256").takes_sha256);
    assert_true(parsed("p=; t=y").is_testing && !parsed("p=; t=y").is_strict);
    assert_true(parsed("p=; t=y:s").is_strict && parsed("p=; t=s:y").is_testing);
    assert_false(parsed("p=; n=notes; x=unknown").is_testing);
}

static void what_is_no_key_record_is_refused_with_the_reason(void **state)
{
    char text[DKIM_RECORD_MAX + 2];
    (void)state;

    check_fault("", "it is not a list of tags with \";\" between");
    check_fault("v=spf1 -all", "v= is not DKIM1 and the first of it");
    check_fault("p=; v=DKIM1", "v= is not DKIM1 and the first of it");
    check_fault("v=dkim1; p=", "v= is not DKIM1 and the first of it");
    check_fault("v=DKIM1; k=dsa; p=", "k= names a kind of key that is neither rsa nor ed25519");
    check_fault("v=DKIM1; k=rsa", "it has no p=, which holds the key");
    check_fault("v=DKIM1; p=AAA", "p= is not base64, or too long");
    check_fault("v=DKIM1; p=*", "p= is not base64, or too long");
    memset(text, 'A', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    check_fault(text, "it is not a list of tags with \";\" between");
    memcpy(text, "p=", 2);
    text[DKIM_RECORD_MAX - 2] = '\0';
    check_fault(text, "p= is not base64, or too long");
}

static void what_is_written_is_read_again(void **state)
{
    static const unsigned char key[32] = { 1, 2, 3 };
    struct dkim_record record;
    struct buf out;
    (void)state;

    buf_init(&out, DKIM_RECORD_MAX);
    assert_true(
        dkim_record_write(DKIM_ED25519_SHA256, (struct span){ (const char *)key, 32 }, &out));
    assert_true(span_starts_with(buf_span(&out), SPAN("v=DKIM1; k=ed25519; p=AQID")));
    assert_null(dkim_record_parse(buf_span(&out), &record));
    assert_int_equal(record.algorithm, DKIM_ED25519_SHA256);
    assert_memory_equal(record.key, key, 32);
    buf_clear(&out);
    buf_init(&out, 10);
    assert_false(dkim_record_write(DKIM_RSA_SHA256, SPAN("x"), &out));
    buf_clear(&out);
}

static void a_record_stands_below_domainkey(void **state)
{
    char name[DKIM_NAME_SIZE];
    char domain[DOMAIN_MAX + 1];
    (void)state;

    assert_true(dkim_record_name(SPAN("2026a.mail"), SPAN("example.net"), name));
    assert_string_equal(name, "2026a.mail._domainkey.example.net");
    memset(domain, 'd', DOMAIN_MAX);
    assert_true(dkim_record_name(SPAN("s"), (struct span){ domain, DOMAIN_MAX - 13 }, name));
    assert_int_equal(strlen(name), DOMAIN_MAX);
    assert_false(dkim_record_name(SPAN("s"), (struct span){ domain, DOMAIN_MAX - 12 }, name));
}

static void a_zone_file_has_strings_of_at_most_255_octets(void **state)
{
    char text[512];
    char wanted[600];
    struct buf out;
    (void)state;

    memset(text, 'x', sizeof(text));
    buf_init(&out, DKIM_ZONE_LINE_MAX);
    assert_true(dkim_record_zone("s._domainkey.d.test", (struct span){ text, 300 }, &out));
    snprintf(wanted, sizeof(wanted),
             "s._domainkey.d.test. IN TXT (\n    \"%.255s\"\n    \"%.45s\" )\n", text, text);
    assert_int_equal(buf_len(&out), strlen(wanted));
    assert_memory_equal(buf_span(&out).data, wanted, strlen(wanted));
    buf_clear(&out);
    for (size_t cap = 0; cap < 300; cap += 30) {
        buf_init(&out, cap);
        assert_false(dkim_record_zone("s", (struct span){ text, 300 }, &out));
        buf_clear(&out);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim_record: an Ed25519 key is 32 octets (RFC 8463 s.4.2)", an_ed25519_key_is_32_octets,
          0, 0, 0 },
        { "dkim_record: without further words it is an RSA key for all (RFC 6376 s.3.6.1)",
          without_words_it_is_an_rsa_key_for_all, 0, 0, 0 },
        { "dkim_record: an empty key is revoked", an_empty_key_is_revoked, 0, 0, 0 },
        { "dkim_record: services, hashes and flags are told", services_hashes_and_flags_are_told, 0,
          0, 0 },
        { "dkim_record: what is no key's record is refused with the reason",
          what_is_no_key_record_is_refused_with_the_reason, 0, 0, 0 },
        { "dkim_record: what is written is read again", what_is_written_is_read_again, 0, 0, 0 },
        { "dkim_record: a record stands below _domainkey", a_record_stands_below_domainkey, 0, 0,
          0 },
        { "dkim_record: a zone file has strings of at most 255 octets",
          a_zone_file_has_strings_of_at_most_255_octets, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
