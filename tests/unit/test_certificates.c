#include "supervisor/certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tests/support/test.h"
#include "tests/support/throwaway_ca.h"

/* The complaints, one a line, faults with "fault: " in front. */
struct heard {
    char text[1024];
};

static void on_complaint(void *ctx, bool is_fault, struct error **taken)
{
    struct heard *heard = ctx;
    size_t len = strlen(heard->text);

    snprintf(heard->text + len, sizeof(heard->text) - len, "%s%s\n", is_fault ? "fault: " : "",
             error_text(*taken));
    error_free(taken);
}

static void examine(const struct leaf_wish *wish, int64_t now_utc_ms, struct heard *heard)
{
    struct throwaway_ca *ca = throwaway_ca_new("test");
    char *pem = NULL;

    memset(heard, 0, sizeof(*heard));
    throwaway_leaf(ca, wish, &pem, NULL);
    certificate_examine(span_of(pem), "/c.pem", SPAN("relay.example"), now_utc_ms, on_complaint,
                        heard);
    free(pem);
    throwaway_ca_free(&ca);
}

static const char *const our_name[] = { "DNS:relay.example", NULL };
static const char *const other_name[] = { "DNS:www.example", NULL };

static void assert_heard(const struct heard *heard, const char *part)
{
    if (!strstr(heard->text, part))
        fail_msg("\"%s\" was not said in \"%s\"", part, heard->text);
}

static void a_good_certificate_is_nothing_to_speak_of(void **state)
{
    struct heard heard;

    (void)state;
    examine(&(struct leaf_wish){ .names = our_name }, clock_utc_ms(), &heard);
    assert_string_equal(heard.text, "");
    examine(&(struct leaf_wish){ .names = our_name, .ends_in_days = 15 }, clock_utc_ms(), &heard);
    assert_string_equal(heard.text, "");
}

static void its_end_is_told_14_days_ahead(void **state)
{
    struct heard heard;

    (void)state;
    examine(&(struct leaf_wish){ .names = our_name, .ends_in_days = 13 }, clock_utc_ms(), &heard);
    assert_memory_equal(heard.text, "tls-certificate /c.pem: expires at 20", 37);
    assert_heard(&heard, "; renew it\n");
}

static void one_that_is_not_valid_today_is_a_fault(void **state)
{
    struct heard heard;

    (void)state;
    examine(&(struct leaf_wish){ .names = our_name, .ends_in_days = 13 },
            clock_utc_ms() + 14 * DAY_MS, &heard);
    assert_heard(&heard, "fault: tls-certificate /c.pem: expired at 20");
    examine(&(struct leaf_wish){ .names = our_name }, clock_utc_ms() - 3 * DAY_MS, &heard);
    assert_heard(&heard, "fault: tls-certificate /c.pem: is not valid before 20");
}

static void another_name_is_told_and_no_fault(void **state)
{
    struct heard heard;

    (void)state;
    examine(&(struct leaf_wish){ .names = other_name }, clock_utc_ms(), &heard);
    assert_string_equal(heard.text,
                        "tls-certificate /c.pem does not bear our name, relay.example\n");
    examine(&(struct leaf_wish){ .names = other_name, .ends_in_days = 1 }, clock_utc_ms(), &heard);
    assert_heard(&heard, "expires at");
    assert_heard(&heard, "does not bear our name");
}

static void hear_chain(const char *const *parts, struct heard *heard)
{
    char text[16384] = "";

    memset(heard, 0, sizeof(*heard));
    for (; *parts; parts++)
        strcat(text, *parts);
    certificate_examine(span_of(text), "/c.pem", SPAN("relay.example"), clock_utc_ms(),
                        on_complaint, heard);
}

static void a_chain_out_of_order_is_told(void **state)
{
    struct throwaway_ca *ca = throwaway_ca_new("test"), *other = throwaway_ca_new("other");
    char *root = throwaway_ca_pem(ca), *stranger = throwaway_ca_pem(other), *leaf = NULL;
    struct heard heard;

    (void)state;
    throwaway_leaf(ca, &(struct leaf_wish){ .names = our_name }, &leaf, NULL);
    hear_chain((const char *[]){ leaf, root, NULL }, &heard);
    assert_string_equal(heard.text, "");
    hear_chain((const char *[]){ leaf, stranger, root, NULL }, &heard);
    assert_string_equal(heard.text,
                        "tls-certificate /c.pem: a certificate in the chain did not issue the one "
                        "before it; put each in front of its issuer's\n");
    hear_chain((const char *[]){ leaf, root, stranger, NULL }, &heard);
    assert_heard(&heard, "did not issue the one before it");
    free(leaf);
    free(root);
    free(stranger);
    throwaway_ca_free(&ca);
    throwaway_ca_free(&other);
}

static void what_is_no_certificate_is_a_fault(void **state)
{
    struct heard heard = { "" };

    (void)state;
    certificate_examine(SPAN("nonsense"), "/c.pem", SPAN("relay.example"), 0, on_complaint, &heard);
    assert_string_equal(heard.text,
                        "fault: tls-certificate /c.pem: holds no certificate in PEM form\n");
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a good certificate is nothing to speak of",
             a_good_certificate_is_nothing_to_speak_of),
        TEST("the end of a certificate is told 14 days ahead", its_end_is_told_14_days_ahead),
        TEST("a certificate that is not valid today is a fault",
             one_that_is_not_valid_today_is_a_fault),
        TEST("a certificate with another name is told, and no fault",
             another_name_is_told_and_no_fault),
        TEST("a chain out of order is told", a_chain_out_of_order_is_told),
        TEST("what is no certificate is a fault", what_is_no_certificate_is_a_fault),
    };

    return cmocka_run_group_tests_name("certificates", tests, NULL, NULL);
}
