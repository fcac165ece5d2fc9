/* What one client, user and sender may have: whose limit holds, and who is counted for which. */
#include "smtpd/shares.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "tests/support/test.h"

struct bench {
    struct settings settings;
    struct listener_settings *listener;
    struct rates *rates;
    struct ip_address client;
    struct share_facts facts;
};

static int open_bench(void **state)
{
    static struct bench b;

    b = (struct bench){ .client = { ADDRESS_V4, { 192, 0, 2, 1 } } };
    settings_defaults(&b.settings);
    b.listener = &b.settings.listeners[0];
    b.facts = (struct share_facts){
        .settings = &b.settings,
        .listener = b.listener,
        .client = &b.client,
        .sender = SPAN("a@example.net"),
        .now_ms = HOUR_MS,
    };
    assert_null(rates_open(-1, &b.rates));
    *state = &b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;

    rates_close(&b->rates);
    return 0;
}

/* How many messages, and recipients, are taken before one is refused for this reason. */
static unsigned taken(struct bench *b, bool recipients, enum rate reason)
{
    for (unsigned count = 0; count < 100; count++) {
        enum rate spent = RATE_COUNT;
        bool fine = recipients ? shares_take_recipient(b->rates, &b->facts, &spent)
                               : shares_take_message(b->rates, &b->facts, &spent);
        if (!fine) {
            assert_int_equal(spent, reason);
            return count;
        }
    }
    return 100;
}

static void a_listeners_limit_stands_before_that_of_all(void **state)
{
    struct bench *b = *state;

    assert_int_equal(shares_message_bytes(&b->settings, b->listener), 25 << 20);
    assert_int_equal(shares_recipients(&b->settings, b->listener), 1000);
    assert_int_equal(shares_connections(&b->settings, b->listener), 50);
    b->listener->max_message_bytes = 1;
    b->listener->max_recipients = 2;
    b->listener->max_connections_per_client = 3;
    assert_int_equal(shares_message_bytes(&b->settings, b->listener), 1);
    assert_int_equal(shares_recipients(&b->settings, b->listener), 2);
    assert_int_equal(shares_connections(&b->settings, b->listener), 3);
}

static void a_client_has_its_share_and_loopback_none(void **state)
{
    struct bench *b = *state;

    b->settings.max_messages_per_client = 5;
    b->settings.max_recipients_per_client = 7;
    assert_int_equal(taken(b, false, RATE_CLIENT_MESSAGES), 5);
    assert_int_equal(taken(b, true, RATE_CLIENT_RECIPIENTS), 7);
    b->client = (struct ip_address){ ADDRESS_V4, { 127, 0, 0, 1 } };
    assert_int_equal(taken(b, false, RATE_COUNT), 100);
    b->client = ip_address_of_user(1000); /* but users of this machine have one */
    assert_int_equal(taken(b, false, RATE_CLIENT_MESSAGES), 5);
    b->client = (struct ip_address){ ADDRESS_V4, { 192, 0, 2, 2 } };
    b->listener->max_messages_per_client = 9;
    assert_int_equal(taken(b, false, RATE_CLIENT_MESSAGES), 9);
}

static void a_user_has_a_share_who_has_logged_in(void **state)
{
    struct bench *b = *state;

    b->settings.max_messages_per_user = 3;
    b->settings.max_recipients_per_user = 4;
    assert_int_equal(taken(b, false, RATE_COUNT), 100);
    b->facts.user = SPAN("ada");
    assert_int_equal(taken(b, false, RATE_USER_MESSAGES), 3);
    assert_int_equal(taken(b, true, RATE_USER_RECIPIENTS), 4);
    b->client.bytes[3] = 9; /* from wherever */
    assert_int_equal(taken(b, false, RATE_USER_MESSAGES), 0);
    b->facts.user = SPAN("bob");
    assert_int_equal(taken(b, false, RATE_USER_MESSAGES), 3);
}

static void a_sender_has_a_share_and_the_null_one_none(void **state)
{
    struct bench *b = *state;

    b->settings.max_messages_per_sender = 2;
    b->settings.max_recipients_per_sender = 3;
    assert_int_equal(taken(b, false, RATE_SENDER_MESSAGES), 2);
    assert_int_equal(taken(b, true, RATE_SENDER_RECIPIENTS), 3);
    b->facts.sender = SPAN("");
    assert_int_equal(taken(b, false, RATE_COUNT), 100);
}

static void the_time_is_a_setting(void **state)
{
    struct bench *b = *state;

    b->settings.max_messages_per_sender = 60;
    b->settings.rate_time_s = 60;
    assert_int_equal(taken(b, false, RATE_SENDER_MESSAGES), 60);
    b->facts.now_ms += 10 * SECOND_MS;
    assert_int_equal(taken(b, false, RATE_SENDER_MESSAGES), 10);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_bench, close_bench, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("a listener's limit stands before that of all",
             a_listeners_limit_stands_before_that_of_all),
        TEST("a client has its share, and loopback none", a_client_has_its_share_and_loopback_none),
        TEST("a user has a share who has logged in", a_user_has_a_share_who_has_logged_in),
        TEST("a sender has a share, and the null one none",
             a_sender_has_a_share_and_the_null_one_none),
        TEST("the time is a setting", the_time_is_a_setting),
    };
    return cmocka_run_group_tests_name("shares", tests, NULL, NULL);
}
