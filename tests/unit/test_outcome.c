#include "tests/support/test.h"

#include "queue/deliver/outcome.h"

/* A reply at a stage, with an enhanced status "5.1.1" or "". */
static struct outcome reply_at(enum stage stage, int code, const char *status, unsigned accepted,
                               bool size_declared)
{
    struct reply_facts f = {
        .stage = stage, .code = code, .accepted = accepted, .size_declared = size_declared
    };

    status_parse(span_of(status), &f.status);
    return outcome_of_reply(f);
}

static struct outcome plain_reply(enum stage stage, int code)
{
    return reply_at(stage, code, "", 0, false);
}

static void assert_outcome(struct outcome o, enum outcome_kind kind, const char *status)
{
    assert_int_equal(o.kind, kind);
    assert_string_equal(o.status, status);
}

/* --- replies */

static void positive_reply_to_the_dot_delivers(void **state)
{
    struct outcome o = reply_at(STAGE_DOT, 250, "2.6.0", 1, false);

    (void)state;
    assert_outcome(o, OUTCOME_DELIVERED, "2.6.0");
    assert_false(o.elsewhere || o.again || o.hang_up);
    assert_outcome(plain_reply(STAGE_DOT, 250), OUTCOME_DELIVERED, "2.0.0");
    assert_outcome(plain_reply(STAGE_DOT, 299), OUTCOME_DELIVERED, "2.0.0");
}

static void refusal_of_the_message_is_final_here(void **state)
{
    struct outcome o = reply_at(STAGE_DOT, 554, "5.7.1", 1, false);

    (void)state;
    assert_outcome(o, OUTCOME_FAILED, "5.7.1");
    assert_false(o.elsewhere || o.hang_up);
    o = plain_reply(STAGE_DOT, 451);
    assert_outcome(o, OUTCOME_DEFERRED, "4.3.0");
    assert_false(o.elsewhere || o.hang_up);
}

static void status_of_another_class_is_brought_into_line(void **state)
{
    (void)state;
    assert_outcome(reply_at(STAGE_DOT, 550, "4.7.1", 1, false), OUTCOME_FAILED, "5.7.1");
    assert_outcome(reply_at(STAGE_RCPT, 450, "5.2.1", 1, false), OUTCOME_DEFERRED, "4.2.1");
}

static void service_not_available_may_come_at_any_stage(void **state)
{
    (void)state;
    for (int stage = STAGE_GREETING; stage < STAGE_COUNT; stage++) {
        struct outcome o = plain_reply((enum stage)stage, 421);
        assert_int_equal(o.kind, OUTCOME_DEFERRED);
        assert_int_equal(o.status[0], '4');
        assert_true(o.hang_up);
        assert_int_equal(o.elsewhere, stage != STAGE_DOT);
    }
}

static void host_that_will_not_talk_sends_us_to_the_next(void **state)
{
    static const enum stage stages[] = { STAGE_GREETING, STAGE_EHLO };
    static const int codes[] = { 450, 500, 554, 300, 250 };

    (void)state;
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
            struct outcome o = plain_reply(stages[s], codes[i]);
            assert_int_equal(o.kind, OUTCOME_DEFERRED);
            assert_true(o.elsewhere && o.hang_up);
        }
}

static void host_that_never_takes_mail_says_521(void **state)
{
    struct outcome o = plain_reply(STAGE_GREETING, 521);

    (void)state;
    assert_outcome(o, OUTCOME_FAILED, "5.3.2");
    assert_true(o.elsewhere);
}

static void only_a_transient_refusal_of_mail_goes_elsewhere(void **state)
{
    struct outcome o = plain_reply(STAGE_MAIL, 451);

    (void)state;
    assert_outcome(o, OUTCOME_DEFERRED, "4.3.0");
    assert_true(o.elsewhere);
    assert_false(o.hang_up);
    o = reply_at(STAGE_MAIL, 552, "5.3.4", 0, true);
    assert_outcome(o, OUTCOME_FAILED, "5.3.4");
    assert_false(o.elsewhere);
    assert_false(plain_reply(STAGE_RCPT, 450).elsewhere);
    assert_false(plain_reply(STAGE_DATA, 451).elsewhere);
}

static void refusal_of_a_recipient_is_the_recipients(void **state)
{
    (void)state;
    assert_outcome(reply_at(STAGE_RCPT, 550, "5.1.1", 3, false), OUTCOME_FAILED, "5.1.1");
    assert_outcome(plain_reply(STAGE_RCPT, 550), OUTCOME_FAILED, "5.1.0");
    assert_outcome(plain_reply(STAGE_RCPT, 450), OUTCOME_DEFERRED, "4.3.0");
    assert_outcome(plain_reply(STAGE_DATA, 554), OUTCOME_FAILED, "5.0.0");
}

static void one_recipient_too_many_follows_at_once(void **state)
{
    static const int codes[] = { 452, 552 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct outcome o = reply_at(STAGE_RCPT, codes[i], "", 1, false);
        assert_outcome(o, OUTCOME_DEFERRED, "4.5.3");
        assert_true(o.again);
        assert_false(o.elsewhere);
        o = reply_at(STAGE_RCPT, codes[i], codes[i] == 452 ? "4.5.3" : "5.5.3", 100, true);
        assert_true(o.again);
    }
}

static void first_recipient_is_never_one_too_many(void **state)
{
    struct outcome o = reply_at(STAGE_RCPT, 452, "4.5.3", 0, false);

    (void)state;
    assert_outcome(o, OUTCOME_DEFERRED, "4.5.3");
    assert_false(o.again);
    o = reply_at(STAGE_RCPT, 552, "5.5.3", 0, false);
    assert_outcome(o, OUTCOME_DEFERRED, "4.5.3");
    assert_false(o.again);
    assert_outcome(reply_at(STAGE_RCPT, 552, "", 0, true), OUTCOME_FAILED, "5.1.0");
}

static void full_mailbox_is_not_taken_for_too_many_recipients(void **state)
{
    struct outcome o = reply_at(STAGE_RCPT, 452, "4.2.2", 5, false);

    (void)state;
    assert_outcome(o, OUTCOME_DEFERRED, "4.2.2");
    assert_false(o.again);
    assert_outcome(reply_at(STAGE_RCPT, 552, "5.2.2", 5, false), OUTCOME_FAILED, "5.2.2");
}

static void answer_before_the_end_of_the_message_is_no_answer(void **state)
{
    static const int codes[] = { 250, 354, 451, 554 };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct outcome o = plain_reply(STAGE_CONTENT, codes[i]);
        assert_outcome(o, OUTCOME_DEFERRED, "4.5.0");
        assert_true(o.hang_up);
        assert_false(o.elsewhere);
    }
}

static void neither_yes_nor_no_ends_the_session(void **state)
{
    (void)state;
    for (int stage = STAGE_MAIL; stage <= STAGE_DATA; stage++) {
        struct outcome o = plain_reply((enum stage)stage, 354);
        assert_outcome(o, OUTCOME_DEFERRED, "4.5.0");
        assert_true(o.hang_up && o.elsewhere);
    }
    assert_int_equal(plain_reply(STAGE_DOT, 354).kind, OUTCOME_UNKNOWN);
}

/* --- losses */

static void loss_before_the_dot_defers_and_goes_elsewhere(void **state)
{
    (void)state;
    for (int stage = STAGE_CONNECT; stage <= STAGE_CONTENT; stage++) {
        struct outcome o = outcome_of_loss((enum stage)stage, LOSS_CLOSED);
        assert_int_equal(o.kind, OUTCOME_DEFERRED);
        assert_true(o.elsewhere && o.hang_up);
    }
}

static void loss_after_the_dot_is_unknown(void **state)
{
    (void)state;
    for (int loss = LOSS_CLOSED; loss < LOSS_COUNT; loss++) {
        struct outcome o = outcome_of_loss(STAGE_DOT, (enum loss)loss);
        assert_int_equal(o.kind, OUTCOME_UNKNOWN);
        assert_false(o.elsewhere);
    }
}

static void losses_have_their_status(void **state)
{
    (void)state;
    assert_string_equal(outcome_of_loss(STAGE_CONNECT, LOSS_REFUSED).status, "4.4.1");
    assert_string_equal(outcome_of_loss(STAGE_CONNECT, LOSS_TIMEOUT).status, "4.4.1");
    assert_string_equal(outcome_of_loss(STAGE_MAIL, LOSS_CLOSED).status, "4.4.2");
    assert_string_equal(outcome_of_loss(STAGE_HANDSHAKE, LOSS_CLOSED).status, "4.7.5");
    assert_string_equal(outcome_of_loss(STAGE_GREETING, LOSS_PROTOCOL).status, "4.5.0");
}

static void every_stage_and_loss_has_words(void **state)
{
    (void)state;
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        assert_true(stage_words((enum stage)stage)[0] != '\0');
    for (int loss = 0; loss < LOSS_COUNT; loss++)
        assert_true(loss_words((enum loss)loss)[0] != '\0');
}

/* --- routes, addresses, policy */

static void routes_without_a_host(void **state)
{
    (void)state;
    assert_outcome(outcome_of_route(ROUTE_NO_DOMAIN), OUTCOME_FAILED, "5.1.2");
    assert_outcome(outcome_of_route(ROUTE_NULL_MX), OUTCOME_FAILED, "5.1.10");
    assert_outcome(outcome_of_route(ROUTE_LOOP), OUTCOME_FAILED, "5.4.6");
    assert_outcome(outcome_of_route(ROUTE_NO_HOST), OUTCOME_FAILED, "5.4.4");
    assert_outcome(outcome_of_route(ROUTE_TEMPFAIL), OUTCOME_DEFERRED, "4.4.3");
}

static void hosts_without_an_address(void **state)
{
    (void)state;
    assert_outcome(outcome_of_addresses(ADDRESSES_NONE), OUTCOME_FAILED, "5.4.4");
    assert_outcome(outcome_of_addresses(ADDRESSES_REFUSED), OUTCOME_DEFERRED, "4.4.4");
    assert_outcome(outcome_of_addresses(ADDRESSES_OWN), OUTCOME_FAILED, "5.4.6");
    assert_outcome(outcome_of_addresses(ADDRESSES_TEMPFAIL), OUTCOME_DEFERRED, "4.4.3");
    assert_true(outcome_of_addresses(ADDRESSES_NONE).elsewhere);
}

static void policy_bounces_at_the_end_only(void **state)
{
    (void)state;
    assert_outcome(outcome_of_policy(false), OUTCOME_DEFERRED, "4.7.5");
    assert_outcome(outcome_of_policy(true), OUTCOME_FAILED, "5.7.5");
    assert_true(outcome_of_policy(true).elsewhere);
    assert_outcome(outcome_of_unprotected(), OUTCOME_FAILED, "5.7.10");
    assert_true(outcome_of_unprotected().elsewhere);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

static void nobody_logged_in_fails_no_mail(void **state)
{
    struct status said = { 5, 7, 8 };
    struct outcome o = outcome_of_login(said);
    (void)state;
    assert_int_equal(o.kind, OUTCOME_DEFERRED);
    assert_string_equal(o.status, "4.7.8");
    assert_true(o.elsewhere && o.hang_up && !o.again);
    o = outcome_of_login((struct status){ 4, 7, 0 });
    assert_string_equal(o.status, "4.7.0");
    o = outcome_of_login((struct status){ 0, 0, 0 });
    assert_string_equal(o.status, "4.7.8");
}

/* Of an MX host it is a refusal like others; of a next hop that we chose it is our own trouble. */
static void a_login_that_is_wanted_of_us_waits_for_the_administrator(void **state)
{
    struct reply_facts f = { .stage = STAGE_MAIL, .code = 530, .status = { 5, 7, 0 } };
    struct outcome o = outcome_of_reply(f);
    (void)state;
    assert_int_equal(o.kind, OUTCOME_FAILED);
    f.is_chosen = true;
    o = outcome_of_reply(f);
    assert_int_equal(o.kind, OUTCOME_DEFERRED);
    assert_string_equal(o.status, "4.7.0");
    assert_true(o.elsewhere && !o.hang_up);
    f.stage = STAGE_RCPT;
    o = outcome_of_reply(f);
    assert_int_equal(o.kind, OUTCOME_DEFERRED);
    assert_false(o.elsewhere);
    f.code = 550;
    assert_int_equal(outcome_of_reply(f).kind, OUTCOME_FAILED);
}

static bool blames_host(enum stage stage, int code, const char *status)
{
    struct reply_facts f = { .stage = stage, .code = code };

    status_parse(span_of(status), &f.status);
    return outcome_blames_host(f);
}

static void what_a_host_says_of_itself_lowers_its_limit(void **state)
{
    static const enum stage late[] = { STAGE_DATA, STAGE_DOT };

    (void)state;
    assert_true(blames_host(STAGE_MAIL, 451, "4.7.1"));
    assert_true(blames_host(STAGE_MAIL, 450, ""));
    assert_true(blames_host(STAGE_MAIL, 451, "4.3.2"));
    assert_false(blames_host(STAGE_MAIL, 451, "4.1.8")); /* the sender's domain, RFC 3463 s.3.2 */
    assert_true(blames_host(STAGE_MAIL, 451, "5.1.8"));  /* contradicts itself: the code counts */
    assert_false(blames_host(STAGE_MAIL, 550, "5.3.2"));
    for (unsigned i = 0; i < 2; i++) {
        assert_true(blames_host(late[i], 452, "4.3.2"));
        assert_true(blames_host(late[i], 451, "4.4.5"));
        assert_false(blames_host(late[i], 451, "4.7.1")); /* greylisting says the same */
        assert_false(blames_host(late[i], 452, "4.3.1"));
        assert_false(blames_host(late[i], 451, "4.4.2"));
        assert_false(blames_host(late[i], 451, ""));
        assert_false(blames_host(late[i], 550, "5.3.2"));
        assert_false(blames_host(late[i], 250, "2.0.0"));
    }
    assert_false(blames_host(STAGE_RCPT, 452, "4.3.2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("2yz to the final dot delivers", positive_reply_to_the_dot_delivers),
        T("4yz and 5yz to the final dot are not tried at another host",
          refusal_of_the_message_is_final_here),
        T("an enhanced status gets the class of what is done",
          status_of_another_class_is_brought_into_line),
        T("421 may come at any stage, and sends us elsewhere unless it answers the message",
          service_not_available_may_come_at_any_stage),
        T("a host that refuses at greeting or EHLO defers and sends us elsewhere",
          host_that_will_not_talk_sends_us_to_the_next),
        T("521 fails, if all other hosts do so, too (RFC 7504)",
          host_that_never_takes_mail_says_521),
        T("4yz to MAIL goes elsewhere, 5yz is final",
          only_a_transient_refusal_of_mail_goes_elsewhere),
        T("a refused recipient is refused alone", refusal_of_a_recipient_is_the_recipients),
        T("452 or 552 after accepted recipients: the rest follows at once",
          one_recipient_too_many_follows_at_once),
        T("452 or 552 to the first recipient is a refusal, or we would never end",
          first_recipient_is_never_one_too_many),
        T("452 4.2.2 is a full mailbox", full_mailbox_is_not_taken_for_too_many_recipients),
        T("an answer in the middle of the message is a protocol error",
          answer_before_the_end_of_the_message_is_no_answer),
        T("3yz where yes or no was due is a protocol error", neither_yes_nor_no_ends_the_session),
        T("a loss before the final dot defers", loss_before_the_dot_defers_and_goes_elsewhere),
        T("a loss after the final dot is unknown", loss_after_the_dot_is_unknown),
        T("losses have their own status", losses_have_their_status),
        T("stages and losses have words", every_stage_and_loss_has_words),
        T("no route: failed, but for DNS trouble", routes_without_a_host),
        T("no address: failed, but for DNS trouble and internal ones", hosts_without_an_address),
        T("a policy failure is final with the last attempt only", policy_bounces_at_the_end_only),
        { "a login that is refused fails no mail: it waits, or another host takes it (CLI-151)",
          nobody_logged_in_fails_no_mail, NULL, NULL, NULL },
        { "530 of a host that the administrator named fails no mail",
          a_login_that_is_wanted_of_us_waits_for_the_administrator, NULL, NULL, NULL },
        { "4yz to MAIL, and 4.3.2 or 4.4.5 to a message, speak of the host; greylisting does not",
          what_a_host_says_of_itself_lowers_its_limit, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
