#include "tests/support/test.h"

#include "lib/base/base64.h"
#include "lib/io/body_hash.h"

#include <string.h>

#define EMPTY_SIMPLE "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="
#define EMPTY_RELAXED "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void check_digest(const unsigned char digest[DKIM_SHA256_SIZE], const char *wanted)
{
    struct buf text;

    buf_init(&text, 64);
    assert_true(base64_encode((struct span){ (const char *)digest, DKIM_SHA256_SIZE }, &text));
    assert_int_equal(buf_len(&text), strlen(wanted));
    assert_memory_equal(buf_span(&text).data, wanted, strlen(wanted));
    buf_clear(&text);
}

/* In pieces of every size. */
static void check(const char *content, const char *simple, const char *relaxed)
{
    for (size_t size = 1; size <= strlen(content) + 1; size++) {
        struct body_hash *hash = body_hash_new(true, true);
        struct body_hashes found;
        for (struct span rest = span_of(content); rest.len > 0; rest = span_from(rest, size))
            body_hash_add(hash, span_first(rest, size));
        body_hash_end(hash, &found);
        assert_true(found.has_relaxed && found.has_simple);
        check_digest(found.relaxed, relaxed);
        check_digest(found.simple, simple);
        body_hash_free(&hash);
        assert_null(hash);
    }
}

static void what_counts_begins_behind_the_headers_empty_line(void **state)
{
    (void)state;
    check("From: a\r\nSubject: x\r\n y\r\n\r\nHello  you \r\n\tend\r\n\r\n\r\n",
          "TiPiLHZx1D/LCoIPzcAe3onY3tppMwHfW4uaocB/Pzs=",
          "4xUtdIvD5a1vPqpApyATaUWHudJoNRcf/3VvQrqlJl0=");
    check("\r\nHello  you \r\n\tend\r\n\r\n\r\n", "TiPiLHZx1D/LCoIPzcAe3onY3tppMwHfW4uaocB/Pzs=",
          "4xUtdIvD5a1vPqpApyATaUWHudJoNRcf/3VvQrqlJl0=");
}

static void a_message_without_body_has_an_empty_one(void **state)
{
    (void)state;
    check("", EMPTY_SIMPLE, EMPTY_RELAXED);
    check("From: a\r\n", EMPTY_SIMPLE, EMPTY_RELAXED);
    check("From: a", EMPTY_SIMPLE, EMPTY_RELAXED);
    check("From: a\r\n\r\n", EMPTY_SIMPLE, EMPTY_RELAXED);
    check("From: a\r\n\r\n\r\n", EMPTY_SIMPLE, EMPTY_RELAXED);
}

static void only_a_line_that_is_empty_ends_the_header(void **state)
{
    (void)state;
    check("From: a\r\n \r\nX: b\r\nabc\r\n", EMPTY_SIMPLE, EMPTY_RELAXED);
    check("From: a\r\nx\r\r\n\n\nabc\r\n", EMPTY_SIMPLE, EMPTY_RELAXED);
}

static void what_was_not_asked_for_is_not_there(void **state)
{
    struct body_hash *none = body_hash_new(false, false);
    struct body_hashes found;
    (void)state;

    body_hash_of(SPAN("\r\n"), true, false, &found);
    assert_true(found.has_relaxed && !found.has_simple);
    check_digest(found.relaxed, EMPTY_RELAXED);
    body_hash_of(SPAN("\r\n"), false, true, &found);
    assert_true(found.has_simple && !found.has_relaxed);
    check_digest(found.simple, EMPTY_SIMPLE);
    assert_null(none);
    body_hash_add(none, SPAN("x"));
    body_hash_end(none, &found);
    assert_false(found.has_simple || found.has_relaxed);
    body_hash_free(&none);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "body_hash: what counts begins behind the header's empty line, whatever the pieces",
          what_counts_begins_behind_the_headers_empty_line, 0, 0, 0 },
        { "body_hash: a message without body has an empty one",
          a_message_without_body_has_an_empty_one, 0, 0, 0 },
        { "body_hash: only a line that is empty ends the header",
          only_a_line_that_is_empty_ends_the_header, 0, 0, 0 },
        { "body_hash: what was not asked for is not there", what_was_not_asked_for_is_not_there, 0,
          0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
