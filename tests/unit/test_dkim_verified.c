/* Messages of many shapes, signed in all ways and judged by dkimpy and by Perl's Mail::DKIM. */
#include "tests/support/test.h"

#include "lib/base/base64.h"
#include "lib/io/body_hash.h"
#include "lib/io/signing_key.h"
#include "lib/mail/dkim_record.h"
#include "lib/mail/dkim_signature.h"
#include "tests/support/signing_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_MAX = 256 * 1024 };

#define FROM "From: Ada <ada@relay.example>\r\n"

/* A message as it leaves. */
struct shape {
    const char *name;
    const char *header; /* with its empty line */
    const char *body;
};

static const struct shape shapes[] = {
    { "plain", FROM "To: you@b.test\r\nSubject: Hi\r\n\r\n", "Hello.\r\n" },
    { "empty", FROM "\r\n", "" },
    { "lines", FROM "\r\n", "\r\n\r\n\r\n" },
    { "blanks", FROM "\r\n", "  \t\r\n \r\n" },
    { "unended", FROM "\r\n", "no line end" },
    { "trailing", FROM "\r\n", "a \r\nb\t\r\n \r\nc\r\n\r\n\r\n" },
    { "runs", FROM "\r\n", "a  b\t\tc \t d\r\n\te\r\n" },
    { "dots", FROM "\r\n", ".\r\n..\r\n.a\r\n" },
    { "eight",
      FROM "Subject: gr\xc3\xbc\xc3\x9f"
           "e\r\n\r\n",
      "\xe4\xf6\xfc \xa0\r\n" },
    { "folded",
      "Subject: one\r\n two\r\n\tthree  \r\nFROM:Ada\r\n "
      "<ada@relay.example>\r\nTo:x@b.test\r\n\r\n",
      "body\r\n" },
    { "obsolete", "From : ada@relay.example\r\nSubject\t: x\r\n\r\n", "body\r\n" },
    { "spaced", FROM "Subject:  a \t b  \r\nTo:\r\n x@b.test\r\n\r\n", "body\r\n" },
    { "repeated",
      "Received: one\r\nReceived: two\r\n" FROM
      "List-Id: a\r\nList-Id: b\r\nTo: a\r\nTo: b\r\n\r\n",
      "body\r\n" },
    { "report",
      FROM "To: r@b.test\r\nSubject: Report Domain: b.test\r\n Submitter: relay.example\r\n"
           "TLS-Report-Domain: b.test\r\nTLS-Report-Submitter: relay.example\r\n"
           "TLS-Required: No\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report;\r\n"
           " report-type=\"tlsrpt\"; boundary=\"b\"\r\nMessage-ID: <1@relay.example>\r\n\r\n",
      "--b\r\nContent-Type: text/plain\r\n\r\nReport\r\n--b--\r\n" },
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

struct signer {
    const char *name;
    struct signing_key *key;
};

static char folder[] = "/tmp/waxseal-dkim-XXXXXX";

static void save(const char *name, const char *suffix, struct span text)
{
    char path[256];
    FILE *out;

    snprintf(path, sizeof(path), "%s/%s%s", folder, name, suffix);
    out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text.data, 1, text.len, out), text.len);
    assert_int_equal(fclose(out), 0);
}

static void save_keys(const struct signer *signers)
{
    struct buf text;

    buf_init(&text, 8192);
    for (size_t i = 0; i < 2; i++) {
        unsigned char key[DKIM_KEY_MAX];
        size_t len = signing_key_public(signers[i].key, key);
        assert_true(buf_printf(&text, "%s._domainkey.relay.example ", signers[i].name));
        assert_true(dkim_record_write(signing_key_algorithm(signers[i].key),
                                      (struct span){ (char *)key, len }, &text));
        assert_true(buf_append(&text, SPAN("\n")));
    }
    save("keys", "", buf_span(&text));
    buf_clear(&text);
}

/* The finished field in front of the message, as the relay sends it. */
static void sign(const struct signer *signer, enum dkim_canon header_canon,
                 enum dkim_canon body_canon, struct span header, struct span body, struct buf *out)
{
    int64_t now = time(NULL);
    unsigned char signature[DKIM_SIGNATURE_MAX];
    struct body_hashes hashes;
    struct buf message, open, input;
    size_t len = 0;

    buf_init(&message, MESSAGE_MAX);
    buf_init(&open, DKIM_FIELD_MAX);
    buf_init(&input, DKIM_INPUT_MAX);
    assert_true(buf_append(&message, header) && buf_append(&message, body));
    body_hash_of(buf_span(&message), true, true, &hashes);
    const unsigned char *digest = body_canon == DKIM_RELAXED ? hashes.relaxed : hashes.simple;
    const struct dkim_signing signing = {
        .algorithm = signing_key_algorithm(signer->key),
        .header = header_canon,
        .body = body_canon,
        .domain = SPAN("relay.example"),
        .selector = span_of(signer->name),
        .signed_utc_s = now,
        .expires_utc_s = now + 1000000,
        .body_sha256 = { (const char *)digest, DKIM_SHA256_SIZE },
    };
    assert_null(dkim_signature_open(&signing, header, &open));
    assert_true(dkim_signature_input(header, buf_span(&open), header_canon, &input));
    assert_null(signing_key_sign(signer->key, buf_span(&input), signature, &len));
    assert_true(
        dkim_signature_close(buf_span(&open), (struct span){ (char *)signature, len }, out));
    assert_true(buf_append(out, buf_span(&message)));
    buf_clear(&message);
    buf_clear(&open);
    buf_clear(&input);
}

static void save_signed(const struct signer *signer, const char *name, struct span header,
                        struct span body)
{
    for (int way = 0; way < 4; way++) {
        struct buf out;
        char file[128];
        buf_init(&out, MESSAGE_MAX);
        sign(signer, way & 1 ? DKIM_RELAXED : DKIM_SIMPLE, way & 2 ? DKIM_RELAXED : DKIM_SIMPLE,
             header, body, &out);
        snprintf(file, sizeof(file), "%s-%s-%d", signer->name, name, way);
        save(file, ".good", buf_span(&out));
        buf_clear(&out);
    }
}

/* What was changed or added on the way must be found out. */
static void save_changed(const struct signer *signer)
{
    static const char added[] = "Subject: added\r\n";
    struct span header = span_of(shapes[0].header);
    struct buf out, changed;
    char file[64];

    buf_init(&out, MESSAGE_MAX);
    buf_init(&changed, MESSAGE_MAX);
    sign(signer, DKIM_RELAXED, DKIM_RELAXED, header, SPAN("Hello.\r\n"), &out);
    assert_true(buf_append(&changed, span_of(added)) && buf_append(&changed, buf_span(&out)));
    snprintf(file, sizeof(file), "%s-added", signer->name);
    save(file, ".bad", buf_span(&changed)); /* by over-signing alone */
    buf_reset(&changed);
    assert_true(buf_append(&changed, buf_span(&out)) && buf_append(&changed, SPAN("more\r\n")));
    snprintf(file, sizeof(file), "%s-longer", signer->name);
    save(file, ".bad", buf_span(&changed));
    buf_clear(&out);
    buf_clear(&changed);
}

/* Lines of all lengths up to 998, with blanks wherever they may stand. */
static void save_random(const struct signer *signer, unsigned *seed)
{
    static const char octets[] = "abcdefgh. \t=-\xe4";
    struct buf body;

    buf_init(&body, MESSAGE_MAX);
    for (int line = 0; line < 60; line++) {
        int len = rand_r(seed) % (line % 10 == 0 ? 999 : 60);
        for (int i = 0; i < len; i++)
            assert_true(buf_append(
                &body, (struct span){ octets + (unsigned)rand_r(seed) % (sizeof(octets) - 1), 1 }));
        assert_true(buf_append(&body, SPAN("\r\n")));
    }
    save_signed(signer, "random", span_of(shapes[0].header), buf_span(&body));
    buf_clear(&body);
}

static int run(const char *command)
{
    char whole[256];

    snprintf(whole, sizeof(whole), "%s %s", command, folder);
    return system(whole);
}

static void other_peoples_verifiers_find_all_signatures_good(void **state)
{
    struct signer signers[] = { { "rsa", NULL }, { "ed25519", NULL } };
    unsigned seed = (unsigned)time(NULL);
    int dkimpy, mail_dkim;
    (void)state;

    assert_non_null(mkdtemp(folder));
    print_message("seed %u\n", seed);
    assert_null(signing_key_load(SPAN(KEY_RSA_2048), false, &signers[0].key));
    assert_null(signing_key_load(SPAN(KEY_ED25519), false, &signers[1].key));
    save_keys(signers);
    for (size_t i = 0; i < 2; i++) {
        for (size_t n = 0; n < SHAPES; n++)
            save_signed(&signers[i], shapes[n].name, span_of(shapes[n].header),
                        span_of(shapes[n].body));
        save_random(&signers[i], &seed);
        save_changed(&signers[i]);
    }
    dkimpy = run("/usr/bin/python3 tests/support/dkim_verify.py");
    mail_dkim = run("/usr/bin/perl tests/support/dkim_verify.pl");
    assert_int_equal(run("rm -r"), 0);
    assert_int_equal(dkimpy, 0);
    assert_int_equal(mail_dkim, 0);
    signing_key_free(&signers[0].key);
    signing_key_free(&signers[1].key);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim: dkimpy, and Mail::DKIM those with RSA, find all our signatures good",
          other_peoples_verifiers_find_all_signatures_good, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
