#include "tests/support/test.h"

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/mail/dkim_select.h"
#include "lib/mail/dkim_signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char digest[DKIM_SHA256_SIZE] = "0123456789abcdef0123456789abcdef";

static struct dkim_signing flawless_signing(void)
{
    return (struct dkim_signing){
        .algorithm = DKIM_ED25519_SHA256,
        .header = DKIM_RELAXED,
        .body = DKIM_RELAXED,
        .domain = SPAN("relay.example"),
        .selector = SPAN("2026a"),
        .signed_utc_s = 1769770000,
        .expires_utc_s = 1770979600,
        .body_sha256 = { digest, sizeof(digest) },
    };
}

static void check(const struct buf *got, const char *wanted)
{
    assert_int_equal(buf_len(got), span_of(wanted).len);
    assert_memory_equal(buf_span(got).data, wanted, buf_len(got));
}

/* Each line that may be folded is short enough; the rest of the CRLFs are folds. */
static void check_lines(struct span field)
{
    struct span line;

    while (span_cut(&field, '\n', &line)) {
        assert_true(line.len <= DKIM_LINE_MAX + 1);
        assert_true(!field.data || field.len == 0 || field.data[0] == ' ');
    }
}

static void a_field_says_who_signs_what_with_what(void **state)
{
    struct dkim_signing signing = flawless_signing();
    struct buf out;
    (void)state;

    buf_init(&out, DKIM_FIELD_MAX);
    assert_null(
        dkim_signature_open(&signing, SPAN("From: a@relay.example\r\nTo: b\r\n\r\n"), &out));
    check(&out, "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=relay.example;\r\n"
                " s=2026a; t=1769770000; x=1770979600;\r\n"
                " h=From:From:To:To:Cc:Subject:Date:Reply-To:Sender:Message-ID:In-Reply-To:\r\n"
                " References:MIME-Version:Content-Type:Content-Transfer-Encoding;\r\n"
                " bh=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=;\r\n"
                " b=");
    check_lines(buf_span(&out));
    buf_clear(&out);
}

static void other_canonical_forms_and_algorithms_are_named(void **state)
{
    struct dkim_signing signing = flawless_signing();
    struct buf out;
    (void)state;

    signing.algorithm = DKIM_RSA_SHA256;
    signing.header = DKIM_SIMPLE;
    buf_init(&out, DKIM_FIELD_MAX);
    assert_null(dkim_signature_open(&signing, SPAN("From: a@relay.example\r\n"), &out));
    assert_non_null(memmem(buf_span(&out).data, buf_len(&out),
                           " a=rsa-sha256; c=simple/relaxed; d=relay.example;", 49));
    buf_clear(&out);
}

static void long_names_stand_on_lines_of_their_own(void **state)
{
    struct dkim_signing signing = flawless_signing();
    struct buf out;
    char domain[DOMAIN_MAX + 1] = "";
    char selector[64];
    (void)state;

    for (int i = 0; i < 31; i++)
        strcat(domain, "labels7.");
    strcat(domain, "test");
    memset(selector, 's', 63);
    selector[63] = '\0';
    signing.domain = span_of(domain);
    signing.selector = span_of(selector);
    buf_init(&out, DKIM_FIELD_MAX);
    assert_null(dkim_signature_open(&signing, SPAN("From: a@relay.example\r\n"), &out));
    assert_non_null(memmem(buf_span(&out).data, buf_len(&out), "relaxed;\r\n d=labels7.", 21));
    assert_non_null(memmem(buf_span(&out).data, buf_len(&out), ".test;\r\n s=sss", 14));
    buf_clear(&out);
}

static void what_cannot_be_signed_is_said(void **state)
{
    struct dkim_signing signing = flawless_signing();
    struct buf out;
    (void)state;

    buf_init(&out, DKIM_FIELD_MAX);
    assert_string_equal(dkim_signature_open(&signing, SPAN("Subject: x\r\n\r\n"), &out),
                        "the message has no From field");
    assert_int_equal(buf_len(&out), 0);
    buf_clear(&out);
    buf_init(&out, 100);
    assert_string_equal(dkim_signature_open(&signing, SPAN("From: x\r\n\r\n"), &out),
                        "the signature's field would be too long");
    buf_clear(&out);
}

static const char header[] =
    "Received: x\r\nFrom: Ada  <a@b.test>\r\nSubject: Hi\r\n there\r\n\r\n";

static void what_is_signed_is_the_fields_and_then_the_new_one(void **state)
{
    struct buf out;
    (void)state;

    buf_init(&out, DKIM_INPUT_MAX);
    assert_true(dkim_signature_input(span_of(header),
                                     SPAN("DKIM-Signature: v=1;\r\n h=Subject:From:From; b="),
                                     DKIM_RELAXED, &out));
    check(&out, "subject:Hi there\r\nfrom:Ada <a@b.test>\r\n"
                "dkim-signature:v=1; h=Subject:From:From; b=");
    buf_reset(&out);
    assert_true(dkim_signature_input(span_of(header),
                                     SPAN("DKIM-Signature: v=1;\r\n h=Subject:From:From; b="),
                                     DKIM_SIMPLE, &out));
    check(&out, "Subject: Hi\r\n there\r\nFrom: Ada  <a@b.test>\r\n"
                "DKIM-Signature: v=1;\r\n h=Subject:From:From; b=");
    buf_clear(&out);
}

static void what_is_no_signatures_field_has_nothing_to_sign(void **state)
{
    struct buf out;
    (void)state;

    buf_init(&out, DKIM_INPUT_MAX);
    assert_false(dkim_signature_input(span_of(header), SPAN("DKIM-Signature"), DKIM_SIMPLE, &out));
    assert_false(
        dkim_signature_input(span_of(header), SPAN("DKIM-Signature: v"), DKIM_SIMPLE, &out));
    assert_false(
        dkim_signature_input(span_of(header), SPAN("DKIM-Signature: v=1"), DKIM_SIMPLE, &out));
    buf_clear(&out);
}

static void what_is_signed_has_a_bound(void **state)
{
    static char names[2 * DKIM_NAMES_MAX + 64];
    struct buf out;
    size_t len = (size_t)snprintf(names, sizeof(names), "DKIM-Signature: h=a");
    (void)state;

    for (size_t cap = 0; cap < 60; cap += 10) {
        buf_init(&out, cap);
        assert_false(dkim_signature_input(span_of(header), SPAN("DKIM-Signature: h=From:Subject"),
                                          DKIM_SIMPLE, &out));
        buf_clear(&out);
    }
    for (size_t i = 0; i < DKIM_NAMES_MAX; i++, len += 2)
        memcpy(names + len, ":a", 2);
    buf_init(&out, DKIM_INPUT_MAX);
    assert_false(
        dkim_signature_input(span_of(header), (struct span){ names, len }, DKIM_SIMPLE, &out));
    buf_clear(&out);
}

static void a_signature_is_folded_and_its_folds_take_nothing_away(void **state)
{
    static char signature[DKIM_SIGNATURE_MAX];
    struct span sizes[] = {
        { signature, 1 }, { signature, 64 }, { signature, 256 }, { signature, sizeof(signature) }
    };
    struct buf out;
    (void)state;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        buf_init(&out, DKIM_FIELD_MAX);
        assert_true(dkim_signature_close(SPAN("DKIM-Signature: v=1;\r\n b="), sizes[i], &out));
        struct span field = buf_span(&out);
        check_lines(field);
        assert_memory_equal(field.data + field.len - 2, "\r\n", 2);
        size_t letters = 0;
        for (size_t at = 25; at < field.len; at++)
            letters += field.data[at] == 'A' || field.data[at] == '=';
        assert_int_equal(letters, (sizes[i].len + 2) / 3 * 4);
        buf_clear(&out);
    }
}

static void a_signature_without_room_is_none(void **state)
{
    static const char signature[64];
    struct buf out;
    (void)state;

    for (size_t cap = 0; cap < 116; cap++) {
        buf_init(&out, cap);
        assert_false(dkim_signature_close(SPAN("DKIM-Signature: v=1;\r\n b="),
                                          (struct span){ signature, sizeof(signature) }, &out));
        buf_clear(&out);
    }
    buf_init(&out, DKIM_FIELD_MAX);
    char *much = memory_new(2 * DKIM_SIGNATURE_MAX);
    assert_false(dkim_signature_close(SPAN("DKIM-Signature: v=1;\r\n b="),
                                      (struct span){ much, 2 * DKIM_SIGNATURE_MAX }, &out));
    free(much);
    buf_clear(&out);
}

static void a_signature_of_that_domain_is_found(void **state)
{
    static const char signed_header[] = "From: a@b.test\r\n"
                                        "DKIM-Signature: v=1; d=Other.TEST; s=a; b=x\r\n"
                                        "DKIM-Signature: broken\r\n"
                                        "DKIM-Signature: v=1; s=a\r\n"
                                        "DKIM-Signature: v=1; d=not a domain\r\n"
                                        "dkim-signature:v=1;\r\n d=b\xc3\xbc"
                                        "cher.test ; s=a; b=x\r\n"
                                        "X-Signature: d=b.test\r\n"
                                        "\r\n"
                                        "DKIM-Signature: v=1; d=b.test; s=a\r\n";
    (void)state;

    assert_true(dkim_signature_is_there(span_of(signed_header), SPAN("other.test")));
    assert_true(dkim_signature_is_there(span_of(signed_header), SPAN("xn--bcher-kva.test")));
    assert_false(dkim_signature_is_there(span_of(signed_header), SPAN("b.test")));
    assert_false(dkim_signature_is_there(span_of(signed_header), SPAN("sub.other.test")));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim_signature: a field says who signs what with what, in lines of at most 78 (RFC 6376 "
          "s.3.5)",
          a_field_says_who_signs_what_with_what, 0, 0, 0 },
        { "dkim_signature: other canonical forms and algorithms are named",
          other_canonical_forms_and_algorithms_are_named, 0, 0, 0 },
        { "dkim_signature: long names stand on lines of their own",
          long_names_stand_on_lines_of_their_own, 0, 0, 0 },
        { "dkim_signature: what cannot be signed is said", what_cannot_be_signed_is_said, 0, 0, 0 },
        { "dkim_signature: what is signed is the fields of h= and then the new one (RFC 6376 "
          "s.3.7)",
          what_is_signed_is_the_fields_and_then_the_new_one, 0, 0, 0 },
        { "dkim_signature: what is no signature's field has nothing to sign",
          what_is_no_signatures_field_has_nothing_to_sign, 0, 0, 0 },
        { "dkim_signature: what is signed has a bound", what_is_signed_has_a_bound, 0, 0, 0 },
        { "dkim_signature: a signature is folded, and its folds take nothing away",
          a_signature_is_folded_and_its_folds_take_nothing_away, 0, 0, 0 },
        { "dkim_signature: a signature without room is none", a_signature_without_room_is_none, 0,
          0, 0 },
        { "dkim_signature: a signature of that domain is found, however it is written",
          a_signature_of_that_domain_is_found, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
