#include "lib/base/settings.h"

#include "lib/base/memory.h"
#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_says(const char *text, const char *part)
{
    struct settings *s = settings_new();
    struct settings_errors errors;

    settings_errors_init(&errors);
    bool fine = settings_parse(span_of(text), "conf", s, &errors);
    assert_int_equal(fine, errors.count == 0);
    char *said = memory_copy_span(buf_span(&errors.text));
    if (!strstr(said, part))
        fail_msg("of \"%s\" was said \"%s\", not \"%s\"", text, said, part);
    free(said);
    settings_errors_clear(&errors);
    settings_free(&s);
}

static void assert_is_fine(const char *text)
{
    struct settings *s = settings_of(text);

    free(s);
}

#define ENTRY(members) "dkim = (\n { " members " } );"
#define AND " }, { "
#define SENDERS "senders = \"Example.NET\"; "
#define SELECTOR "selector = \"2026a\"; "
#define KEY "key = \"/k\"; "

static void an_entry_signs_as_the_domain_of_its_senders(void **state)
{
    struct settings *s = settings_of(ENTRY(SENDERS SELECTOR KEY));
    const struct dkim_settings *e = &s->dkim[0];

    (void)state;
    assert_int_equal(s->dkim_count, 1);
    assert_string_equal(name_list_item(&e->senders, 0), "example.net");
    assert_string_equal(e->domain, "");
    assert_string_equal(e->selector, "2026a");
    assert_string_equal(e->key, "/k");
    assert_true(dkim_settings_header_is_relaxed(e));
    assert_true(dkim_settings_body_is_relaxed(e));
    assert_int_equal(e->sign_signed, SWITCH_OFF);
    assert_int_equal(e->allow_short_key, SWITCH_OFF);
    free(s);
}

static void entries_survive_writing_and_reading(void **state)
{
    struct settings *s = settings_of(
        ENTRY("senders = [ \"a.example\", \".b.example\", \"*\" ]; domain = \"example.net\"; "
              "selector = \"x.y\"; key = \"/a \\\"b\\\"\"; canonicalization = \"simple/relaxed\"; "
              "sign-signed = \"on\"; allow-short-key = \"on\"; " AND SENDERS SELECTOR KEY));
    struct buf text;

    (void)state;
    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_write(s, &text);
    char *written = memory_copy_span(buf_span(&text));
    struct settings *back = settings_of(written);
    assert_int_equal(back->dkim_count, 2);
    assert_memory_equal(back->dkim, s->dkim, 2 * sizeof(s->dkim[0]));
    assert_int_equal(back->dkim[0].senders.count, 3);
    assert_false(dkim_settings_header_is_relaxed(&back->dkim[0]));
    assert_true(dkim_settings_body_is_relaxed(&back->dkim[0]));
    assert_int_equal(back->dkim[0].sign_signed, SWITCH_ON);
    free(written);
    free(back);
    free(s);
    buf_clear(&text);
}

/* The numbers of the entries that sign mail from a domain, as digits. */
static void assert_signed_by(const struct settings *s, const char *domain, const char *expected)
{
    const struct dkim_settings *entry;
    char found[16] = "";
    unsigned at = 0;

    while (settings_dkim_next(s, span_of(domain), &at, &entry)) {
        assert_ptr_equal(entry, &s->dkim[at - 1]);
        found[strlen(found)] = (char)('0' + at - 1);
    }
    assert_string_equal(found, expected);
    assert_int_equal(settings_dkim_signs(s, span_of(domain)), expected[0] != '\0');
}

static void all_entries_that_fit_best_sign(void **state)
{
    struct settings *s = settings_of(
        ENTRY("senders = \"*\"; selector = \"s0\"; " KEY AND
              "senders = \".example.net\"; selector = \"s1\"; " KEY AND
              "senders = [ \"example.net\", \"a.example.net\" ]; selector = \"s2\"; " KEY AND
              "senders = \".b.example.net\"; selector = \"s3\"; " KEY AND
              "senders = [ \"*\", \"example.net\" ]; selector = \"s4\"; " KEY));

    (void)state;
    assert_signed_by(s, "example.net", "24");
    assert_signed_by(s, "EXAMPLE.net", "24");
    assert_signed_by(s, "a.example.net", "2");
    assert_signed_by(s, "b.example.net", "1");
    assert_signed_by(s, "c.b.example.net", "3");
    assert_signed_by(s, "other.example", "04");
    assert_signed_by(s, "xexample.net", "04");
    free(s);
}

static void without_entries_nothing_is_signed_nor_hashed(void **state)
{
    struct settings *s = settings_of("");

    (void)state;
    assert_signed_by(s, "example.net", "");
    assert_false(settings_dkim_bodies(s).relaxed);
    assert_false(settings_dkim_bodies(s).simple);
    free(s);
}

static void mail_of_others_is_not_signed(void **state)
{
    struct settings *s =
        settings_of(ENTRY(SENDERS SELECTOR KEY AND "senders = \".example.org\"; " SELECTOR KEY));

    (void)state;
    assert_signed_by(s, "example.com", "");
    assert_signed_by(s, "sub.example.net", "");
    assert_signed_by(s, "example.org", "");
    assert_signed_by(s, "", "");
    free(s);
}

static void bodies_are_hashed_in_the_forms_that_entries_want(void **state)
{
    static const struct {
        const char *word;
        bool relaxed, simple;
    } cases[] = {
        { "relaxed/relaxed", true, false },
        { "relaxed/simple", false, true },
        { "simple/relaxed", true, false },
        { "simple/simple", false, true },
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), ENTRY(SENDERS SELECTOR KEY "canonicalization = \"%s\"; "),
                 cases[i].word);
        struct settings *s = settings_of(text);
        assert_int_equal(settings_dkim_bodies(s).relaxed, cases[i].relaxed);
        assert_int_equal(settings_dkim_bodies(s).simple, cases[i].simple);
        assert_int_equal(dkim_settings_header_is_relaxed(&s->dkim[0]), i < 2);
        free(s);
    }
    struct settings *both =
        settings_of(ENTRY(SENDERS SELECTOR KEY AND "senders = \"*\"; " SELECTOR KEY
                                                   "canonicalization = \"relaxed/simple\"; "));
    assert_true(settings_dkim_bodies(both).relaxed && settings_dkim_bodies(both).simple);
    free(both);
}

static void an_entry_lacks_nothing(void **state)
{
    (void)state;
    assert_says(ENTRY(SELECTOR KEY), "conf:2: dkim lacks senders in this entry");
    assert_says(ENTRY("senders = [ ]; " SELECTOR KEY), "conf:2: dkim lacks senders");
    assert_says(ENTRY(SENDERS KEY), "conf:2: dkim lacks a selector in this entry");
    assert_says(ENTRY(SENDERS SELECTOR), "conf:2: dkim lacks a key in this entry; write key = ");
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    assert_says("dkim = 5;", "conf:1: dkim cannot be 5; write ( { senders = ");
    assert_says("dkim = [ \"a.example\" ];", "dkim cannot be \"a.example\"");
    assert_says(ENTRY("senders = \"@x\"; " SELECTOR KEY),
                "senders cannot be \"@x\"; write a domain");
    assert_says(ENTRY("senders = \"*.x\"; " SELECTOR KEY), "senders cannot be \"*.x\"");
    assert_says(ENTRY("senders = 5; " SELECTOR KEY), "senders cannot be 5");
    assert_says(ENTRY("senders = [ 5 ]; " SELECTOR KEY), "senders cannot be 5");
    assert_says(ENTRY(SENDERS "selector = \"a_b\"; " KEY),
                "selector cannot be \"a_b\"; write letters, digits and hyphens");
    assert_says(ENTRY(SENDERS "selector = \"..\"; " KEY), "selector cannot be \"..\"");
    assert_says(ENTRY(SENDERS "selector = 2026; " KEY), "selector cannot be 2026");
    assert_says(ENTRY(SENDERS SELECTOR "key = \"k\"; "), "key cannot be \"k\"");
    assert_says(ENTRY(SENDERS SELECTOR KEY "canonicalization = \"relaxed\"; "),
                "canonicalization cannot be \"relaxed\"");
    assert_says(ENTRY(SENDERS SELECTOR KEY "allow = \"clear\"; "), "allow does not belong here");
}

static void a_record_holds_one_key(void **state)
{
    (void)state;
    const char *said = "conf:2: dkim has this selector for the same domain already; write another";
    assert_says(ENTRY(SENDERS SELECTOR KEY AND SENDERS SELECTOR "key = \"/other\"; "), said);
    assert_says(ENTRY(SENDERS SELECTOR KEY AND SENDERS "selector = \"2026A\"; " KEY), said);
    assert_says(ENTRY("senders = \"*\"; " SELECTOR KEY AND "senders = \"*\"; " SELECTOR KEY), said);
    assert_says(ENTRY(SENDERS SELECTOR KEY AND
                      "senders = \"*\"; domain = \"example.net\"; " SELECTOR "key = \"/other\"; "),
                said);
    assert_says(ENTRY("senders = \"*\"; domain = \"example.net\"; " SELECTOR
                      "key = \"/other\"; " AND SENDERS SELECTOR KEY),
                said);
    assert_says(ENTRY("senders = \"a\"; domain = \"x\"; " SELECTOR "key = \"/other\"; " AND
                      "senders = \"b\"; domain = \"X\"; " SELECTOR KEY),
                said);
}

static void one_key_may_serve_many(void **state)
{
    (void)state;
    assert_is_fine(ENTRY(SENDERS SELECTOR KEY AND SENDERS "selector = \"2026b\"; key = \"/o\"; "));
    assert_is_fine(ENTRY("senders = \"*\"; " SELECTOR KEY AND SENDERS SELECTOR "key = \"/o\"; "));
    assert_is_fine(ENTRY(
        "senders = \"a\"; domain = \"x\"; " SELECTOR KEY AND
        "senders = \"b\"; domain = \"x\"; canonicalization = \"simple/simple\"; " SELECTOR KEY));
}

static void a_name_that_dns_cannot_hold_is_refused(void **state)
{
    char label[64], domain[200], text[1024];

    (void)state;
    memset(label, 'a', 63);
    label[63] = '\0';
    snprintf(domain, sizeof(domain), "%s.%s.%.50s", label, label, label); /* 178 octets */
    snprintf(text, sizeof(text), ENTRY("senders = \"*\"; domain = \"%s\"; selector = \"%s\"; " KEY),
             domain, label);
    assert_is_fine(text); /* 253 octets in all */
    snprintf(text, sizeof(text),
             ENTRY("senders = \"*\"; domain = \"%sb\"; selector = \"%s\"; " KEY), domain, label);
    assert_says(text, "has an entry whose key DNS could not name: it is longer than 253 octets");
    snprintf(text, sizeof(text), ENTRY("senders = \"%sb\"; selector = \"%s\"; " KEY), domain,
             label);
    assert_says(text, "has an entry whose key DNS could not name");
    snprintf(text, sizeof(text),
             ENTRY("senders = \"%sb\"; domain = \"x\"; selector = \"%s\"; " KEY), domain, label);
    assert_is_fine(text);
    snprintf(text, sizeof(text), ENTRY(SENDERS "selector = \"%s.a\"; " KEY), label);
    assert_says(text, "selector is too long");
}

static void there_are_at_most_as_many_as_there_is_room_for(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 100000);
    assert_true(buf_printf(&text, "dkim = ( "));
    for (int i = 0; i <= SETTINGS_DKIM_MAX; i++)
        assert_true(buf_printf(&text, "%s{ senders = \"d%d.example\"; " SELECTOR KEY "}",
                               i > 0 ? ", " : "", i));
    assert_true(buf_printf(&text, " );"));
    char *whole = memory_copy_span(buf_span(&text));
    assert_says(whole, "dkim has more than 256 entries");
    free(whole);
    buf_clear(&text);
}

static void a_domain_has_at_most_eight_keys(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 10000);
    assert_true(buf_printf(&text, "dkim = ( "));
    for (int i = 0; i <= SETTINGS_DKIM_PER_SENDER_MAX; i++)
        assert_true(
            buf_printf(&text, "%s{ " SENDERS "selector = \"s%d\"; " KEY "}", i > 0 ? ", " : "", i));
    assert_true(buf_printf(&text, " );"));
    char *whole = memory_copy_span(buf_span(&text));
    assert_says(whole, "dkim has more than 8 entries for one domain; write fewer of them");
    *strstr(whole, ", { senders = \"Example.NET\"; selector = \"s8\"") = '\0';
    buf_reset(&text);
    assert_true(buf_printf(&text, "%s );", whole));
    assert_is_fine(buf_span(&text).data);
    free(whole);
    buf_clear(&text);
}

/* A list of senders that is longer than there is room for, in bytes. */
static void senders_have_their_room(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 100000);
    assert_true(buf_printf(&text, "dkim = ( { senders = [ "));
    for (int i = 0; i < 100; i++)
        assert_true(buf_printf(&text, "%s\"d%d.example\"", i > 0 ? ", " : "", i));
    assert_true(buf_printf(&text, " ]; " SELECTOR KEY "} );"));
    char *whole = memory_copy_span(buf_span(&text));
    assert_says(whole, "of 1 KiB in all");
    free(whole);
    buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "an entry signs as the domain of its senders, relaxed, and leaves what is signed alone",
          an_entry_signs_as_the_domain_of_its_senders, NULL, NULL, NULL },
        { "entries survive writing and reading", entries_survive_writing_and_reading, NULL, NULL,
          NULL },
        { "all entries that fit best sign: a domain before what is above it, and * last",
          all_entries_that_fit_best_sign, NULL, NULL, NULL },
        { "without entries nothing is signed nor hashed",
          without_entries_nothing_is_signed_nor_hashed, NULL, NULL, NULL },
        { "mail of others is not signed", mail_of_others_is_not_signed, NULL, NULL, NULL },
        { "bodies are hashed in the forms that entries want",
          bodies_are_hashed_in_the_forms_that_entries_want, NULL, NULL, NULL },
        { "an entry lacks neither senders nor selector nor key", an_entry_lacks_nothing, NULL, NULL,
          NULL },
        { "an entry that makes no sense is refused, with what would be right",
          what_makes_no_sense_is_refused, NULL, NULL, NULL },
        { "a record holds one key: a selector twice for one domain is refused",
          a_record_holds_one_key, NULL, NULL, NULL },
        { "one key may serve many, and one domain have many keys", one_key_may_serve_many, NULL,
          NULL, NULL },
        { "a name that DNS cannot hold is refused", a_name_that_dns_cannot_hold_is_refused, NULL,
          NULL, NULL },
        { "there are at most as many entries as there is room for",
          there_are_at_most_as_many_as_there_is_room_for, NULL, NULL, NULL },
        { "a domain has at most eight keys", a_domain_has_at_most_eight_keys, NULL, NULL, NULL },
        { "senders are refused when they need more room than there is", senders_have_their_room,
          NULL, NULL, NULL },
    };
    return cmocka_run_group_tests_name("settings_dkim", tests, NULL, NULL);
}
