#include "tests/support/test.h"

#include "lib/base/buf.h"
#include "lib/mail/dkim_published.h"

#include <stdlib.h>
#include <string.h>

#define OURS "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static const unsigned char our_key[] = { 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
                                         0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                         0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
                                         0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a };

/* The words of what was found, one after the other. */
static void on_finding(void *ctx, const struct dkim_finding *finding, struct span detail)
{
    struct buf *words = ctx;

    assert_true(strlen(finding->text) > 0 && strlen(finding->remedy) > 0);
    assert_true(buf_printf(words, "%d:%s", finding->severity, finding->word));
    if (detail.len > 0)
        assert_true(buf_printf(words, "(" SPAN_FMT ")", SPAN_ARG(detail)));
    assert_true(buf_append(words, SPAN(" ")));
}

static void check_answer(const struct dns_answer *answer, const char *wanted)
{
    const struct dkim_public ours = { DKIM_ED25519_SHA256,
                                      { (const char *)our_key, sizeof(our_key) } };
    struct buf words;

    buf_init(&words, 1024);
    dkim_published_judge(answer, &ours, on_finding, &words);
    assert_int_equal(buf_len(&words), strlen(wanted));
    assert_memory_equal(buf_span(&words).data, wanted, strlen(wanted));
    buf_clear(&words);
}

static void check_texts(const char *one, const char *other, const char *wanted)
{
    char *first = strdup(one);
    char *second = strdup(other ? other : "");
    struct dns_record records[] = { { .data = first, .data_len = strlen(first) },
                                    { .data = second, .data_len = strlen(second) } };
    const struct dns_answer answer = { .outcome = DNS_ANSWER,
                                       .records = records,
                                       .count = other ? 2 : 1 };

    check_answer(&answer, wanted);
    free(first);
    free(second);
}

static void our_key_alone_is_as_it_should_be(void **state)
{
    (void)state;
    check_texts("v=DKIM1; k=ed25519; p=" OURS, NULL, "");
    check_texts("k=ed25519; t=s; h=sha256; s=email:tlsrpt; p=" OURS, NULL, "");
}

static void what_is_not_there_signs_nothing(void **state)
{
    const struct dns_answer none = { .outcome = DNS_NODATA };
    const struct dns_answer no_name = { .outcome = DNS_NXDOMAIN };
    const struct dns_answer empty = { .outcome = DNS_ANSWER };
    (void)state;

    check_answer(&none, "2:no-record ");
    check_answer(&no_name, "2:no-record ");
    check_answer(&empty, "2:no-record ");
}

static void a_lookup_that_fails_is_no_proof_of_anything(void **state)
{
    const struct dns_answer failed = { .outcome = DNS_TEMPFAIL, .reason = "SERVFAIL" };
    (void)state;

    check_answer(&failed, "1:not-looked-up(SERVFAIL) ");
}

static void another_key_is_told_from_a_broken_record(void **state)
{
    (void)state;
    check_texts("v=DKIM1; k=ed25519; p=AAAAAAKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", NULL,
                "2:other-key ");
    check_texts("v=DKIM1; p=" OURS, NULL, "2:other-kind ");
    check_texts("v=DKIM1; k=ed25519; p=", NULL, "2:revoked ");
    check_texts("v=DKIM1; k=ed25519", NULL, "2:broken-record(it has no p=, which holds the key) ");
    check_texts("v=spf1 -all", NULL, "2:broken-record(v= is not DKIM1 and the first of it) ");
}

static void of_several_records_none_is_the_key(void **state)
{
    (void)state;
    check_texts("v=DKIM1; k=ed25519; p=" OURS, "v=spf1 -all", "2:several-records ");
}

static void words_of_the_record_may_forbid_what_we_do(void **state)
{
    (void)state;
    check_texts("k=ed25519; h=sha1; p=" OURS, NULL, "2:not-sha256 ");
    check_texts("k=ed25519; s=tlsrpt; p=" OURS, NULL, "2:not-for-email ");
    check_texts("k=ed25519; s=email; p=" OURS, NULL, "0:not-for-reports ");
    check_texts("k=ed25519; t=y; p=" OURS, NULL, "0:testing ");
    check_texts("k=ed25519; h=sha1; s=x; t=s:y; p=" OURS, NULL,
                "2:not-sha256 2:not-for-email 0:not-for-reports 0:testing ");
}

/* An RSA key of 16 octets in a SubjectPublicKeyInfo of 8 more: only the form counts here. */
static void a_bare_rsa_key_is_ours_and_not_for_all(void **state)
{
    static char text[] = "p=MEFCQ0RFRkdISUpLTE1OTw==";
    static char other[] = "p=MUFCQ0RFRkdISUpLTE1OTw==";
    struct dns_record record = { .data = text, .data_len = sizeof(text) - 1 };
    const struct dns_answer answer = { .outcome = DNS_ANSWER, .records = &record, .count = 1 };
    struct dkim_public ours = { DKIM_RSA_SHA256, SPAN("words..0ABCDEFGHIJKLMNO") };
    struct buf words;
    (void)state;

    buf_init(&words, 100);
    dkim_published_judge(&answer, &ours, on_finding, &words);
    assert_true(span_equal(buf_span(&words), SPAN("0:bare-key ")));
    buf_reset(&words);
    record.data = other;
    dkim_published_judge(&answer, &ours, on_finding, &words);
    assert_true(span_equal(buf_span(&words), SPAN("2:other-key ")));
    buf_reset(&words);
    record.data = text;
    ours.key = SPAN("a much longer key than that: 0ABCDEFGHIJKLMNO");
    dkim_published_judge(&answer, &ours, on_finding, &words);
    assert_true(span_equal(buf_span(&words), SPAN("2:other-key ")));
    buf_clear(&words);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim_published: our key alone is as it should be", our_key_alone_is_as_it_should_be, 0,
          0, 0 },
        { "dkim_published: what is not there signs nothing", what_is_not_there_signs_nothing, 0, 0,
          0 },
        { "dkim_published: a lookup that fails is no proof of anything",
          a_lookup_that_fails_is_no_proof_of_anything, 0, 0, 0 },
        { "dkim_published: another key is told from a broken record",
          another_key_is_told_from_a_broken_record, 0, 0, 0 },
        { "dkim_published: a bare RSA key is ours, and not for all (RFC 6376 erratum 3017)",
          a_bare_rsa_key_is_ours_and_not_for_all, 0, 0, 0 },
        { "dkim_published: of several records none is the key (RFC 6376 s.3.6.2.2)",
          of_several_records_none_is_the_key, 0, 0, 0 },
        { "dkim_published: words of the record may forbid what we do",
          words_of_the_record_may_forbid_what_we_do, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
