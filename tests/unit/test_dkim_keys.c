#include "supervisor/dkim_keys.h"

#include "tests/support/settings_text.h"
#include "tests/support/signing_keys.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is said of a key that cannot sign; empty: it can. */
static const char *said_of(const char *pem, enum listener_switch short_allowed)
{
    static char said[512];
    struct dkim_settings entry = { .key = "/k", .allow_short_key = short_allowed };
    struct error *err = dkim_key_check(&entry, span_of(pem));

    snprintf(said, sizeof(said), "%s", err ? error_text(err) : "");
    error_free(&err);
    return said;
}

/* --- warnings -------------------------------------------------------------------------------- */

struct warned {
    const char *const *pems;
    unsigned count;
    char text[2048]; /* "ENTRY: SENTENCE\n" */
};

static struct span pem_of(void *ctx, unsigned entry)
{
    const struct warned *warned = ctx;

    return warned->pems[entry] ? span_of(warned->pems[entry]) : (struct span){ NULL, 0 };
}

static void on_warning(void *ctx, unsigned entry, struct error **taken)
{
    struct warned *warned = ctx;
    size_t len = strlen(warned->text);

    warned->count++;
    snprintf(warned->text + len, sizeof(warned->text) - len, "%u: %s\n", entry, error_text(*taken));
    error_free(taken);
}

static struct warned warnings_of(const char *entries, const char *const *pems)
{
    struct warned warned = { .pems = pems };
    struct settings *s = settings_of(entries);

    dkim_keys_examine(s, pem_of, on_warning, &warned);
    free(s);
    return warned;
}

static void assert_holds(const char *said, const char *part)
{
    if (!strstr(said, part))
        fail_msg("\"%s\" lacks \"%s\"", said, part);
}

static void keys_that_can_sign_are_taken(void **state)
{
    (void)state;
    assert_string_equal(said_of(KEY_ED25519, SWITCH_OFF), "");
    assert_string_equal(said_of(KEY_RSA_2048, SWITCH_OFF), "");
    assert_string_equal(said_of(KEY_RSA_1024, SWITCH_ON), "");
}

static void others_are_refused_with_their_file(void **state)
{
    static const char *const pems[] = { KEY_RSA_1024, KEY_RSA_BROKEN, KEY_P256, KEY_ENCRYPTED, "" };

    (void)state;
    for (size_t i = 0; i < sizeof(pems) / sizeof(pems[0]); i++)
        assert_holds(said_of(pems[i], SWITCH_OFF), "dkim key /k: ");
    assert_holds(said_of(KEY_RSA_1023, SWITCH_ON), "dkim key /k: ");
}

#define ENTRY(senders, selector)                                                                   \
    "{ senders = [ " senders " ]; selector = \"" selector "\"; key = \"/k\"; "                     \
    "allow-short-key = \"on\"; }"

static void keys_that_not_all_receivers_take_are_warned_of(void **state)
{
    struct warned warned =
        warnings_of("dkim = ( " ENTRY("\"a\"", "x") " );", (const char *const[]){ KEY_RSA_1024 });

    (void)state;
    assert_string_equal(warned.text,
                        "0: dkim key /k has 1024 bits, and many receivers do not count its "
                        "signatures; make a new one with waxseal dkim new\n");
    warned =
        warnings_of("dkim = ( " ENTRY("\"a\"", "x") " );", (const char *const[]){ KEY_RSA_2048 });
    assert_int_equal(warned.count, 0);
}

static void ed25519_alone_is_warned_of(void **state)
{
    static const char said[] =
        "0: dkim signs mail from a with Ed25519 alone, which many receivers cannot judge; add an "
        "RSA key, with a selector of its own\n";
    struct warned warned =
        warnings_of("dkim = ( " ENTRY("\"a\"", "x") " );", (const char *const[]){ KEY_ED25519 });

    (void)state;
    assert_string_equal(warned.text, said);
    warned = warnings_of("dkim = ( " ENTRY("\"a\"", "x") ", " ENTRY("\"b\"", "y") " );",
                         (const char *const[]){ KEY_ED25519, KEY_RSA_2048 });
    assert_string_equal(warned.text, said);
    warned = warnings_of("dkim = ( " ENTRY("\"b\", \"a\"", "x") ", " ENTRY("\"b\"", "y") " );",
                         (const char *const[]){ KEY_ED25519, KEY_RSA_2048 });
    assert_string_equal(warned.text, said);
    warned = warnings_of("dkim = ( " ENTRY("\"a\"", "x") ", " ENTRY("\"a\"", "y") " );",
                         (const char *const[]){ KEY_ED25519, KEY_RSA_2048 });
    assert_int_equal(warned.count, 0);
    warned =
        warnings_of("dkim = ( " ENTRY("\"*\"", "x") " );", (const char *const[]){ KEY_ED25519 });
    assert_holds(warned.text, "dkim signs mail from any domain with Ed25519 alone");
}

static void what_cannot_be_read_is_said_as_a_fault_alone(void **state)
{
    struct warned warned =
        warnings_of("dkim = ( " ENTRY("\"a\"", "x") " );", (const char *const[]){ NULL });

    (void)state;
    assert_int_equal(warned.count, 0);
}

struct judged {
    unsigned count;
    unsigned entry;
    char sentence[512];
};

static void on_judged(void *ctx, unsigned entry, const char *member, const char *sentence)
{
    struct judged *judged = ctx;

    assert_string_equal(member, "domain");
    judged->count++;
    judged->entry = entry;
    snprintf(judged->sentence, sizeof(judged->sentence), "%s", sentence);
}

static struct judged judged_of(const char *senders, const char *domain)
{
    struct judged judged = { .count = 0 };
    char text[512];

    snprintf(text, sizeof(text),
             "dkim = ( { senders = \"first.example\"; selector = \"a\"; key = \"/k\"; },"
             " { senders = %s; domain = \"%s\"; selector = \"s\"; key = \"/k\"; } );",
             senders, domain);
    struct settings *s = settings_of(text);
    dkim_keys_judge(s, on_judged, &judged);
    free(s);
    return judged;
}

static void a_domain_of_the_sender_or_above_is_fine(void **state)
{
    (void)state;
    assert_int_equal(judged_of("\"a.example\"", "").count, 0);
    assert_int_equal(judged_of("\"*\"", "").count, 0);
    assert_int_equal(judged_of("\"a.example\"", "A.example").count, 0);
    assert_int_equal(
        judged_of("[ \"b.a.example\", \".a.example\", \".c.a.example\" ]", "a.example").count, 0);
}

static void another_domain_is_warned_of(void **state)
{
    struct judged judged = judged_of("\"a.example\"", "b.example");

    (void)state;
    assert_int_equal(judged.count, 1);
    assert_int_equal(judged.entry, 1);
    assert_string_equal(judged.sentence,
                        "warning: mail from a.example is signed as b.example, which DMARC does not "
                        "count; leave domain out, or name a.example or what is above it");
    assert_int_equal(judged_of("\"a.example\"", "b.a.example").count, 1);
    assert_int_equal(judged_of("\"xa.example\"", "a.example").count, 1);
    assert_holds(judged_of("\".a.example\"", "b.example").sentence, "name a.example or what is");
    assert_holds(judged_of("\"*\"", "b.example").sentence,
                 "warning: mail of any domain is signed as b.example");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "keys that can sign are taken", keys_that_can_sign_are_taken, NULL, NULL, NULL },
        { "others are refused, with their file", others_are_refused_with_their_file, NULL, NULL,
          NULL },
        { "keys that not all receivers take are warned of",
          keys_that_not_all_receivers_take_are_warned_of, NULL, NULL, NULL },
        { "Ed25519 alone is warned of: many receivers cannot judge it", ed25519_alone_is_warned_of,
          NULL, NULL, NULL },
        { "a file that cannot be read is said as a fault alone",
          what_cannot_be_read_is_said_as_a_fault_alone, NULL, NULL, NULL },
        { "signing as the sender's domain, or one above it, is fine",
          a_domain_of_the_sender_or_above_is_fine, NULL, NULL, NULL },
        { "signing as another domain is warned of: DMARC does not count that",
          another_domain_is_warned_of, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("dkim_keys", tests, NULL, NULL);
}
