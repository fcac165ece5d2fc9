/* AUTH in a client's dialogue: a session on its rig, with the true exchanges behind it. */
#include "smtpd/session_private.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "smtpd/auth/exchanges.h"
#include "tests/support/smtpd/hear.h"

/* "ada" and "secret" */
#define USERS                                                                                      \
    "ada:$6$rounds=1000$saltsaltsalt$eX3bxJXT3.ujpABOqZ7ph4r9D9Fn0.qoDqJgZU6cTq8xPfk2."            \
    "Fmq2bf1GgjAlb6X1QXE7sMOtwZRTxjI1OZvT1\n"
#define PLAIN "AUTH PLAIN AGFkYQBzZWNyZXQ=\r\n"
#define PLAIN_WRONG "AUTH PLAIN AGFkYQBzZWNyZXg=\r\n"

static struct exchanges *role;

static void use(const char *text)
{
    struct settings_errors errors;
    struct users *users = NULL;

    settings_errors_init(&errors);
    assert_true(users_parse(span_of(text), "users", &errors, &users));
    exchanges_use(role, &users);
    settings_errors_clear(&errors);
}

static void start_role(struct rig *rig)
{
    int fds[2];

    role = exchanges_new(rig->loop);
    use(USERS);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    exchanges_attach(role, fds[0]);
    auth_client_attach(rig->host.auth, fds[1]);
}

static int set_up(void **state)
{
    static struct rig rig;

    rig_init(&rig);
    snprintf(rig.settings.users_file, sizeof(rig.settings.users_file), "/etc/waxseal/users");
    rig.settings.listeners[0].auth = LISTENER_AUTH_OPTIONAL;
    rig.host.auth = auth_client_new(rig.loop);
    start_role(&rig);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;

    session_host_clear(&rig->host);
    auth_client_free(&rig->host.auth);
    exchanges_free(&role);
    rig_close(rig);
    return 0;
}

/* Says EHLO; is there an AUTH line that begins so? */
static bool is_offered(struct rig *rig, const char *line)
{
    bool found = false;

    rig_say(rig, "EHLO client.test\r\n");
    do {
        hear(rig, "250");
        found = found || strncmp(rig->line + 4, line, strlen(line)) == 0;
    } while (rig->line[3] == '-');
    return found;
}

/* A session whose TLS is taken as read: what it says is not under test here. */
static struct session *begin(struct rig *rig)
{
    rig_open(rig, "203.0.113.7");
    hear(rig, "220 ");
    struct session *s = LIST_FIRST(&rig->host.sessions, struct session, in_host);
    conversation_secured(&s->talk);
    assert_true(is_offered(rig, "AUTH PLAIN LOGIN"));
    return s;
}

static void say(struct rig *rig, const char *line, const char *reply)
{
    rig_say(rig, line);
    hear(rig, reply);
}

/* --- */

static void who_logs_in_may_relay(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    say(rig, "MAIL FROM:<a@example.net>\r\n", "250");
    say(rig, "RCPT TO:<b@example.com>\r\n", "550 5.7.1");
    say(rig, PLAIN, "503 5.5.1 Not within");
    say(rig, "RSET\r\n", "250");
    say(rig, PLAIN, "235 2.7.0");
    say(rig, PLAIN, "503 5.5.1 You are");
    assert_true(is_offered(rig, "AUTH"));
    say(rig, "MAIL FROM:<a@example.net>\r\n", "250");
    say(rig, "RCPT TO:<b@example.com>\r\n", "250 2.1.5");
    say(rig, "DATA\r\n", "354");
    say(rig, "hello\r\n.\r\n", "250 2.0.0");
    struct span content = buf_span(&fake_queue.content);
    assert_true(span_starts_with(content, SPAN("Received: from client.test ([203.0.113.7])\r\n"
                                               "\tby relay.example with ESMTPA id ")));
    assert_true(rig_has_logged(rig, "auth client=203.0.113.7"));
    assert_true(rig_has_logged(rig, "user=ada"));
}

static void without_tls_or_users_nothing_is_offered(void **state)
{
    struct rig *rig = *state;

    rig_open(rig, "203.0.113.7");
    hear(rig, "220 ");
    assert_false(is_offered(rig, "AUTH"));
    say(rig, PLAIN, "538 5.7.11");
    say(rig, "MAIL FROM:<> AUTH=<>\r\n", "555");
    struct session *s = LIST_FIRST(&rig->host.sessions, struct session, in_host);
    conversation_secured(&s->talk);
    say(rig, PLAIN, "503 5.5.1 Say EHLO");
    rig->settings.users_file[0] = '\0';
    assert_false(is_offered(rig, "AUTH"));
    say(rig, PLAIN, "502");
    snprintf(rig->settings.users_file, sizeof(rig->settings.users_file), "/etc/waxseal/users");
    use("# nobody\n");
    rig_settle(rig);
    assert_false(is_offered(rig, "AUTH"));
    say(rig, PLAIN, "454 4.7.0");
}

static void each_response_has_its_reply(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    say(rig, "AUTH LOGIN\r\n", "334 VXNlcm5hbWU6");
    say(rig, "YWRh\r\n", "334 UGFzc3dvcmQ6");
    say(rig, "*\r\n", "501 5.7.0");
    say(rig, "AUTH LOGIN\r\n", "334 ");
    say(rig, "QUIT now\r\n", "501 5.5.2");
    say(rig, "AUTH PLAIN\r\n", "334 ");
    say(rig, "=\r\n", "501 5.5.2");
    say(rig, "AUTH PLAIN =\r\n", "501 5.5.2");
    say(rig, "AUTH GSSAPI\r\n", "504 5.5.4");
    say(rig, "AUTH\r\n", "501 5.5.4");
    say(rig, "AUTH LOGIN YWRh\r\n", "334 UGFzc3dvcmQ6");
    rig_say(rig, "c2VjcmV0\r\nNOOP\r\n"); /* what follows waits for its turn */
    hear(rig, "235 2.7.0");
    hear(rig, "250 2.0.0");
    assert_false(rig_has_logged(rig, "c2VjcmV0"));
    assert_false(rig_has_logged(rig, "secret"));
}

static void a_refusal_takes_its_time_and_the_third_ends_the_session(void **state)
{
    struct rig *rig = *state;
    struct session *s = begin(rig);

    rig_say(rig, PLAIN_WRONG);
    rig_settle(rig);
    assert_int_equal(buf_len(&rig->heard), 0);
    hear(rig, "535 5.7.8");
    assert_true(rig_has_logged(rig, "auth-failed client=203.0.113.7"));
    assert_int_equal(s->auth_failures, 1);
    s->auth_failures = 2;
    say(rig, PLAIN_WRONG, "421 4.7.0");
    assert_true(rig_is_closed(rig));
}

static void a_role_that_dies_leaves_each_line_its_own_reply(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    say(rig, "AUTH LOGIN\r\n", "334 VXNlcm5hbWU6");
    exchanges_free(&role);
    rig_settle(rig);
    assert_int_equal(buf_len(&rig->heard), 0);
    say(rig, "YWRh\r\n", "454 4.7.0");
    say(rig, "NOOP\r\n", "250");
    say(rig, PLAIN, "454 4.7.0");
    start_role(rig);
    say(rig, PLAIN, "235 2.7.0");
}

static void a_client_that_goes_in_the_middle_leaves_nothing(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    say(rig, "AUTH LOGIN\r\n", "334 VXNlcm5hbWU6");
    rig_open(rig, "203.0.113.8"); /* the first one hangs up */
    rig_settle(rig);
    hear(rig, "220 ");
    assert_int_equal(rig->host.session_count, 1);
    struct session *s = LIST_FIRST(&rig->host.sessions, struct session, in_host);
    conversation_secured(&s->talk);
    assert_true(is_offered(rig, "AUTH"));
    say(rig, PLAIN, "235");
}

static void a_host_that_ends_takes_exchanges_with_it(void **state)
{
    struct rig *rig = *state;

    begin(rig);
    say(rig, "AUTH PLAIN\r\n", "334 ");
    session_host_end(&rig->host, true);
    hear(rig, "421 4.3.2");
    assert_true(rig_is_closed(rig));
    assert_int_equal(rig->host.session_count, 0);
}

/* A session whose client has shown a certificate of this user's. */
static struct session *begin_with_certificate(struct rig *rig, bool may_relay, const char *user)
{
    rig_open(rig, "203.0.113.7");
    hear(rig, "220 ");
    struct session *s = LIST_FIRST(&rig->host.sessions, struct session, in_host);
    conversation_secured(&s->talk);
    s->talk.has_relay_certificate = may_relay;
    s->talk.certificate_user = span_of(user);
    return s;
}

static void a_certificate_may_be_a_users(void **state)
{
    struct rig *rig = *state;

    begin_with_certificate(rig, false, "ada");
    rig->settings.users_file[0] = '\0';
    assert_true(is_offered(rig, "AUTH EXTERNAL"));
    say(rig, PLAIN, "504 5.5.4");
    say(rig, "AUTH EXTERNAL\r\n", "334 ");
    say(rig, "*\r\n", "501 5.7.0");
    say(rig, "AUTH EXTERNAL\r\n", "334 ");
    say(rig, "?\r\n", "501 5.5.2");
    say(rig, "AUTH EXTERNAL Ym9i\r\n", "535 5.7.8"); /* bob */
    assert_true(rig_has_logged(rig, "mechanism=EXTERNAL why=another"));
    rig_say(rig, "AUTH EXTERNAL\r\n\r\nNOOP\r\n");
    hear(rig, "334 ");
    hear(rig, "235 2.7.0");
    hear(rig, "250");
    say(rig, "AUTH EXTERNAL =\r\n", "503");
    say(rig, "MAIL FROM:<a@example.net>\r\n", "250");
    say(rig, "RCPT TO:<b@example.com>\r\n", "250 2.1.5");
    begin_with_certificate(rig, false, "ada");
    assert_true(is_offered(rig, "AUTH EXTERNAL"));
    say(rig, "AUTH EXTERNAL =\r\n", "235 2.7.0");
    begin_with_certificate(rig, false, "ada");
    assert_true(is_offered(rig, "AUTH EXTERNAL"));
    say(rig, "AUTH EXTERNAL YWRh\r\n", "235 2.7.0");
}

static void nobodys_certificate_logs_nobody_in(void **state)
{
    struct rig *rig = *state;

    begin_with_certificate(rig, false, "");
    assert_false(is_offered(rig, "AUTH PLAIN LOGIN EXTERNAL"));
    say(rig, "AUTH EXTERNAL =\r\n", "504 5.5.4");
    begin_with_certificate(rig, false, "ada");
    rig->settings.listeners[0].auth = LISTENER_AUTH_OFF;
    assert_false(is_offered(rig, "AUTH"));
    say(rig, "AUTH EXTERNAL =\r\n", "502");
}

static void a_certificate_may_relay(void **state)
{
    struct rig *rig = *state;

    begin_with_certificate(rig, true, "");
    (void)is_offered(rig, "");
    say(rig, "MAIL FROM:<a@example.net>\r\n", "250");
    say(rig, "RCPT TO:<b@example.com>\r\n", "250 2.1.5");
    begin_with_certificate(rig, false, "ada"); /* who has not logged in */
    (void)is_offered(rig, "");
    say(rig, "MAIL FROM:<a@example.net>\r\n", "250");
    say(rig, "RCPT TO:<b@example.com>\r\n", "550 5.7.1");
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, set_up, tear_down, NULL                                                   \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("who logs in may relay, once, and not within a transaction", who_logs_in_may_relay),
        TEST("without TLS, users or greeting AUTH is not there",
             without_tls_or_users_nothing_is_offered),
        TEST("each response has its reply, and none is logged", each_response_has_its_reply),
        TEST("a refusal takes its time; the third ends the session",
             a_refusal_takes_its_time_and_the_third_ends_the_session),
        TEST("a role that dies leaves each line its own reply",
             a_role_that_dies_leaves_each_line_its_own_reply),
        TEST("a client that goes in the middle leaves nothing",
             a_client_that_goes_in_the_middle_leaves_nothing),
        TEST("a host that ends takes its exchanges with it",
             a_host_that_ends_takes_exchanges_with_it),
        TEST("a certificate may be a user's, who logs in with EXTERNAL",
             a_certificate_may_be_a_users),
        TEST("a certificate that is nobody's logs nobody in", nobodys_certificate_logs_nobody_in),
        TEST("a certificate may relay", a_certificate_may_relay),
    };

    return cmocka_run_group_tests_name("session_auth", tests, NULL, NULL);
}
