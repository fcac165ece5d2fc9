/* Dovecot's auth server: its words, and the connection to one that we play. */
#include "smtpd/auth/dovecot.h"
#include "smtpd/auth/dovecot_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "tests/support/test.h"

/* --- the words */

#define PARSED(literal) dovecot_parse(SPAN(literal))

static void its_greeting_is_understood(void **state)
{
    (void)state;
    assert_int_equal(PARSED("VERSION\t1\t2").kind, DOVECOT_VERSION);
    assert_true(PARSED("VERSION\t1\t2").is_ours);
    assert_false(PARSED("VERSION\t2\t0").is_ours);
    assert_int_equal(PARSED("VERSION").kind, DOVECOT_BROKEN);
    struct dovecot_line line = PARSED("MECH\tPLAIN\tplaintext");
    assert_int_equal(line.kind, DOVECOT_MECHANISM);
    assert_true(span_equal(line.mechanism, SPAN("PLAIN")));
    assert_int_equal(PARSED("MECH").kind, DOVECOT_BROKEN);
    assert_int_equal(PARSED("DONE").kind, DOVECOT_READY);
    assert_int_equal(PARSED("SPID\t4711").kind, DOVECOT_OTHER);
    assert_int_equal(PARSED("COOKIE\tabc").kind, DOVECOT_OTHER);
    assert_int_equal(PARSED("").kind, DOVECOT_BROKEN);
    assert_int_equal(PARSED("\tDONE").kind, DOVECOT_BROKEN);
}

static void its_answers_are_understood(void **state)
{
    struct dovecot_line line = PARSED("CONT\t7\tYWJj");

    (void)state;
    assert_int_equal(line.kind, DOVECOT_CONTINUE);
    assert_int_equal(line.id, 7);
    assert_true(span_equal(line.challenge, SPAN("YWJj")));
    assert_int_equal(PARSED("CONT\t7\t").challenge.len, 0);
    assert_int_equal(PARSED("CONT\t7").kind, DOVECOT_CONTINUE);
    assert_int_equal(PARSED("CONT\tx\tYWJj").kind, DOVECOT_BROKEN);
    assert_int_equal(PARSED("CONT").kind, DOVECOT_BROKEN);
    line = PARSED("OK\t4294967295\tuser=ada@example.net\tnologin");
    assert_int_equal(line.kind, DOVECOT_OK);
    assert_true(line.id == UINT32_MAX);
    assert_string_equal(line.user, "ada@example.net");
    assert_int_equal(PARSED("OK\t4294967296\tuser=ada").kind, DOVECOT_BROKEN);
    assert_int_equal(PARSED("OK\t-1\tuser=ada").kind, DOVECOT_BROKEN);
    line = PARSED("FAIL\t1\tuser=ada\tcode=authz_fail");
    assert_int_equal(line.kind, DOVECOT_FAIL);
    assert_string_equal(line.user, "ada");
    assert_false(line.is_temporary);
    assert_true(PARSED("FAIL\t1\ttemp").is_temporary);
    assert_true(PARSED("FAIL\t1\tuser=ada\tcode=temp_fail").is_temporary);
    assert_false(PARSED("FAIL\t1\tuser=temp").is_temporary);
    assert_int_equal(PARSED("FAIL\t").kind, DOVECOT_BROKEN);
}

static void names_are_unescaped_and_looked_at(void **state)
{
    char text[600] = "OK\t1\tuser=";

    (void)state;
    assert_string_equal(PARSED("OK\t1\tuser=g\xc3\xb6th\xc3\xa9").user, "g\xc3\xb6th\xc3\xa9");
    assert_string_equal(PARSED("OK\t1\tuser=").user, "");
    assert_string_equal(PARSED("OK\t1\tuser= ada").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=a\001tb").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=a\001nb").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=a\001rb").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=a\0011b").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=a\0010b").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=a\001").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=a\0b").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=a\x7f").user, "");
    assert_string_equal(PARSED("OK\t1\tuser=\xff").user, "");
    size_t begin = strlen(text);
    memset(text + begin, 'x', 255);
    assert_string_equal(dovecot_parse((struct span){ text, begin + 255 }).user, "");
    assert_int_equal(strlen(dovecot_parse((struct span){ text, begin + 254 }).user), 254);
}

static void requests_are_single_lines_of_bounded_length(void **state)
{
    static const char secret[8192];
    const struct span response = SPAN("\0ada\0x"), most = { secret, 5952 }, more = { secret, 5953 };
    struct buf out;

    (void)state;
    buf_init(&out, 2 * DOVECOT_LINE_MAX);
    assert_true(dovecot_put_begin(&out, 3, "PLAIN", "192.0.2.1", &response));
    assert_true(span_equal(
        buf_span(&out),
        SPAN("AUTH\t3\tPLAIN\tservice=smtp\tnologin\tno-penalty\tsecured\trip=192.0.2.1\t"
             "resp=AGFkYQB4\n")));
    buf_reset(&out);
    assert_true(dovecot_put_begin(&out, 3, "LOGIN", "x\ty", NULL)); /* no address: left out */
    assert_true(span_equal(buf_span(&out),
                           SPAN("AUTH\t3\tLOGIN\tservice=smtp\tnologin\tno-penalty\tsecured\n")));
    buf_reset(&out);
    assert_false(dovecot_put_begin(&out, UINT32_MAX, "SCRAM-SHA-256-PLUS", "2001:db8::1", &more));
    assert_false(dovecot_put_continue(&out, 3, more));
    assert_int_equal(buf_len(&out), 0);
    assert_true(dovecot_put_begin(&out, UINT32_MAX, "SCRAM-SHA-256-PLUS",
                                  "2001:db8:1111:2222:3333:4444:5555:6666", &most));
    assert_in_range(buf_len(&out), 7936, DOVECOT_LINE_MAX);
    buf_reset(&out);
    assert_true(dovecot_put_continue(&out, UINT32_MAX, most));
    assert_in_range(buf_len(&out), 7936, DOVECOT_LINE_MAX);
    buf_reset(&out);
    assert_true(dovecot_put_continue(&out, 3, SPAN("")));
    dovecot_put_cancel(&out, 3);
    dovecot_put_hello(&out, 99);
    assert_true(
        span_equal(buf_span(&out), SPAN("CONT\t3\t\nCANCEL\t3\nVERSION\t1\t1\nCPID\t99\n")));
    buf_clear(&out);
}

/* --- the connection */

#define GREETING                                                                                   \
    "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tCRAM-MD5\nMECH\tSCRAM-SHA-256-PLUS\n"            \
    "SPID\t1\nCUID\t2\nCOOKIE\tx\nDONE\n"

static struct loop *loop;
static struct loop_timer *patience;
static struct dovecot_link *link_;
static char folder[] = "/tmp/waxseal-dovecot-XXXXXX";
static char path[64];
static int listening, peer;
static unsigned offers;

static void on_patience(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

static void run(int64_t ms)
{
    loop_timer_start(patience, ms);
    loop_run(loop);
    loop_timer_cancel(patience);
}

static void on_offer(void *ctx)
{
    (void)ctx;
    offers++;
    loop_stop(loop);
}

static void listen_there(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    unlink(path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listening, 5), 0);
}

static void say(const char *text)
{
    assert_int_equal(write(peer, text, strlen(text)), strlen(text));
}

/* What has been said to it, as one text. */
static const char *heard(void)
{
    static char text[65536];
    ssize_t len = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);

    text[len > 0 ? len : 0] = '\0';
    return text;
}

static void accept_and_greet(void)
{
    run(20);
    peer = accept(listening, NULL, NULL);
    assert_true(peer >= 0);
    run(20);
    assert_int_equal(strncmp(heard(), "VERSION\t1\t1\nCPID\t", 17), 0);
    say(GREETING);
    run(1000);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/auth", folder);
    log_open(STDERR_FILENO, LOG_ERROR + 1, "test");
    loop = loop_new();
    patience = loop_timer_new(loop, on_patience, NULL);
    listen_there();
    link_ = dovecot_link_new(loop, path, on_offer, NULL);
    peer = -1;
    offers = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dovecot_link_free(&link_);
    dovecot_link_free(&link_);
    loop_timer_free(&patience);
    loop_free(&loop);
    close(listening);
    if (peer >= 0)
        close(peer);
    unlink(path);
    rmdir(folder);
    memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
    return 0;
}

struct answers {
    unsigned count;
    enum dovecot_verdict verdict;
    char user[256];
    char challenge[256];
};

static void on_answer(void *ctx, const struct dovecot_answer *answer)
{
    struct answers *answers = ctx;

    answers->count++;
    answers->verdict = answer->verdict;
    snprintf(answers->user, sizeof(answers->user), "%s", answer->user);
    span_to_string(answer->challenge, answers->challenge, sizeof(answers->challenge));
    loop_stop(loop);
}

static void what_it_offers_and_we_know_is_offered(void **state)
{
    (void)state;
    assert_string_equal(dovecot_link_path(link_), path);
    assert_int_equal(dovecot_link_mechanisms(link_), 1U << AUTH_PLAIN | 1U << AUTH_LOGIN);
    accept_and_greet();
    assert_int_equal(offers, 1);
    assert_int_equal(dovecot_link_mechanisms(link_), 1U << AUTH_PLAIN);
}

static void an_exchange_goes_to_and_fro(void **state)
{
    struct answers answers = { 0 };
    struct dovecot_request *request;

    (void)state;
    accept_and_greet();
    request = dovecot_begin(link_, AUTH_LOGIN, "192.0.2.1", NULL, on_answer, &answers);
    run(20);
    assert_string_equal(
        heard(), "AUTH\t1\tLOGIN\tservice=smtp\tnologin\tno-penalty\tsecured\trip=192.0.2.1\n");
    say("CONT\t1\tVXNl");
    run(20);
    assert_int_equal(answers.count, 0); /* half a line */
    say("cm5hbWU6\n");
    run(1000);
    assert_int_equal(answers.verdict, DOVECOT_CHALLENGE);
    assert_string_equal(answers.challenge, "Username:");
    say("OK\t1\tuser=mallory\n"); /* it is not asked: nobody believes it */
    run(20);
    assert_int_equal(answers.count, 1);
    dovecot_respond(request, SPAN("ada"));
    run(20);
    assert_string_equal(heard(), "CONT\t1\tYWRh\n");
    say("OK\t2\tuser=bob\nOK\t1\tuser=ada\n");
    run(1000);
    assert_int_equal(answers.count, 2);
    assert_int_equal(answers.verdict, DOVECOT_YES);
    assert_string_equal(answers.user, "ada");
}

/* The request of this number is answered "WORD\tNUMBER" and the rest. */
static void ask(unsigned number, const char *word, const char *rest, enum dovecot_verdict verdict,
                const char *user)
{
    struct answers answers = { 0 };
    char line[256];

    dovecot_begin(link_, AUTH_PLAIN, "192.0.2.1", &(struct span){ "x", 1 }, on_answer, &answers);
    snprintf(line, sizeof(line), "%s\t%u%s\n", word, number, rest);
    run(20);
    say(line);
    run(1000);
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.verdict, verdict);
    assert_string_equal(answers.user, user);
}

static void yes_is_yes_to_somebody_only(void **state)
{
    (void)state;
    accept_and_greet();
    ask(1, "OK", "\tuser=ada", DOVECOT_YES, "ada");
    ask(2, "FAIL", "\tuser=ada\treason=x", DOVECOT_NO, "ada");
    ask(3, "FAIL", "", DOVECOT_NO, "");
    ask(4, "FAIL", "\tuser=ada\ttemp", DOVECOT_TROUBLE, "ada");
    ask(5, "OK", "", DOVECOT_TROUBLE, "");
    ask(6, "OK", "\tuser=a\001nb", DOVECOT_TROUBLE, "");
}

static void without_it_there_is_trouble_until_it_is_back(void **state)
{
    struct answers waits = { 0 }, thinks = { 0 }, late = { 0 };
    struct dovecot_request *request;

    (void)state;
    dovecot_begin(link_, AUTH_PLAIN, "192.0.2.1", NULL, on_answer, &late); /* not connected yet */
    run(50);
    assert_int_equal(late.verdict, DOVECOT_TROUBLE);
    accept_and_greet();
    request = dovecot_begin(link_, AUTH_LOGIN, "192.0.2.1", NULL, on_answer, &thinks);
    run(20);
    (void)heard();
    say("CONT\t2\t\n");
    run(1000);
    assert_int_equal(thinks.verdict, DOVECOT_CHALLENGE);
    dovecot_begin(link_, AUTH_PLAIN, "192.0.2.1", NULL, on_answer, &waits);
    run(20);
    close(peer);
    run(1000);
    assert_int_equal(waits.verdict, DOVECOT_TROUBLE);
    assert_int_equal(thinks.count, 1);
    run(150); /* it connects anew by itself */
    accept_and_greet();
    assert_int_equal(offers, 2);
    dovecot_respond(request, SPAN("ada"));
    run(1000);
    assert_int_equal(thinks.verdict, DOVECOT_TROUBLE);
    assert_string_equal(heard(), "");
    ask(4, "OK", "\tuser=ada", DOVECOT_YES, "ada");
}

static void what_is_given_up_is_cancelled(void **state)
{
    static const char much[6000];
    struct answers answers = { 0 };
    struct dovecot_request *request;

    (void)state;
    accept_and_greet();
    request = dovecot_begin(link_, AUTH_LOGIN, "192.0.2.1", NULL, on_answer, &answers);
    run(20);
    (void)heard();
    dovecot_cancel(&request);
    assert_null(request);
    dovecot_cancel(&request);
    run(20);
    assert_string_equal(heard(), "CANCEL\t1\n");
    say("OK\t1\tuser=ada\n");
    run(20);
    assert_int_equal(answers.count, 0);
    request = dovecot_begin(link_, AUTH_LOGIN, "192.0.2.1", NULL, on_answer, &answers);
    run(20);
    (void)heard();
    say("CONT\t2\t\n");
    run(1000);
    dovecot_respond(request, (struct span){ much, sizeof(much) }); /* more than it reads */
    run(1000);
    assert_int_equal(answers.verdict, DOVECOT_TROUBLE);
    assert_string_equal(heard(), "CANCEL\t2\n");
}

/* It hangs up on us, or we on it, and nothing of what was asked is believed. */
static void is_broken_by(const char *text)
{
    struct answers answers = { 0 };
    char room[16];

    accept_and_greet();
    dovecot_begin(link_, AUTH_PLAIN, "192.0.2.1", NULL, on_answer, &answers);
    run(20);
    (void)heard();
    say(text);
    run(1000);
    assert_int_equal(answers.verdict, DOVECOT_TROUBLE);
    run(20);
    assert_int_equal(recv(peer, room, sizeof(room), MSG_DONTWAIT), 0);
    close(peer);
    peer = -1;
    run(150);
}

static void what_makes_no_sense_ends_the_connection(void **state)
{
    static char endless[20000];

    (void)state;
    is_broken_by("OK\tnumber\n");
    is_broken_by("\n");
    is_broken_by("VERSION\t2\t0\n");
    memset(endless, 'x', sizeof(endless) - 1);
    is_broken_by(endless);
    is_broken_by("CONT\t5\t?\n");
    run(20);
    peer = accept(listening, NULL, NULL);
    say("DONE\n"); /* no version */
    run(50);
    assert_int_equal(offers, 5);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, set_up, tear_down, NULL                                                   \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "its greeting is understood", its_greeting_is_understood, NULL, NULL, NULL },
        { "its answers are understood", its_answers_are_understood, NULL, NULL, NULL },
        { "names are unescaped, and looked at", names_are_unescaped_and_looked_at, NULL, NULL,
          NULL },
        { "requests are single lines of bounded length",
          requests_are_single_lines_of_bounded_length, NULL, NULL, NULL },
        TEST("what it offers, and we know, is offered", what_it_offers_and_we_know_is_offered),
        TEST("an exchange goes to and fro", an_exchange_goes_to_and_fro),
        TEST("yes is yes to somebody only", yes_is_yes_to_somebody_only),
        TEST("without it there is trouble, until it is back",
             without_it_there_is_trouble_until_it_is_back),
        TEST("what is given up is cancelled", what_is_given_up_is_cancelled),
        TEST("what makes no sense ends the connection", what_makes_no_sense_ends_the_connection),
    };

    return cmocka_run_group_tests_name("dovecot", tests, NULL, NULL);
}
