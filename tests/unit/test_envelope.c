#include "tests/support/test.h"

#include "lib/mail/envelope.h"

#include <stdio.h>

static void recipients_keep_their_order_and_numbers(void **state)
{
    struct envelope e;
    struct address a;
    char text[32];
    (void)state;
    envelope_init(&e);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "u%u@b.test", i);
        assert_int_equal(address_parse(span_of(text), &a), ADDRESS_FINE);
        assert_int_equal(envelope_add(&e, &a)->number, i);
    }
    assert_int_equal(e.recipient_count, 1000);
    assert_string_equal(e.recipients[0].forward_path.text, "u0@b.test");
    assert_string_equal(e.recipients[999].forward_path.text, "u999@b.test");
    assert_int_equal(e.recipients[512].notify, 0);
    assert_string_equal(e.recipients[512].orcpt, "");
    envelope_clear(&e);
}

static void a_cleared_envelope_is_empty_and_usable(void **state)
{
    struct envelope e;
    struct address a;
    (void)state;
    envelope_init(&e);
    assert_int_equal(address_parse(SPAN("a@b.test"), &a), ADDRESS_FINE);
    e.reverse_path = a;
    e.body = BODY_8BITMIME;
    (void)envelope_add(&e, &a);
    envelope_clear(&e);
    assert_int_equal(e.recipient_count, 0);
    assert_null(e.recipients);
    assert_string_equal(e.reverse_path.text, "");
    assert_int_equal(e.body, BODY_7BIT);
    (void)envelope_add(&e, &a);
    assert_int_equal(e.recipient_count, 1);
    envelope_clear(&e);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "envelope: recipients keep their order and numbers",
          recipients_keep_their_order_and_numbers, 0, 0, 0 },
        { "envelope: a cleared envelope is empty and usable",
          a_cleared_envelope_is_empty_and_usable, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
