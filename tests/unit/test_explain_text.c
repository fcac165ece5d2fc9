#include "tests/support/test.h"

#include "supervisor/explain_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *told_text;

static struct json *parse(const char *text)
{
    struct json *value = NULL;

    assert_null(json_parse(span_of(text), &value));
    return value;
}

static const char *told(const char *found)
{
    struct json *value = parse(found);
    size_t size;

    free(told_text);
    FILE *out = open_memstream(&told_text, &size);
    explain_tell(value, out);
    fclose(out);
    json_free(&value);
    return told_text;
}

static void assert_tells(const char *found, const char *words)
{
    if (!strstr(told(found), words))
        fail_msg("\"%s\" is not in:\n%s", words, told_text);
}

/* An answer with one next hop, and with one host of it. */
static const char *hop(const char *members)
{
    static char text[4096];

    snprintf(text, sizeof(text),
             "{\"address\":\"ada@example.net\",\"next_hop\":\"example.net\",\"dnssec\":{\"state\":"
             "\"on\"},"
             "\"deliverable\":\"yes\",\"hops\":[{\"name\":\"example.net\",%s}]%s}",
             members, ",\"policies\":[{\"domain\":\"example.org\",\"cached\":null}]");
    return text;
}

static const char *host(const char *members)
{
    static char text[3000];

    snprintf(text, sizeof(text), "\"hosts\":[{\"mx\":\"mx.example.net\",\"preference\":10,%s}]",
             members);
    return hop(text);
}

static void beginning_says_where_mail_goes(void **state)
{
    (void)state;
    assert_tells("{\"address\":\"a@b.test\",\"next_hop\":\"b.test\",\"dnssec\":{\"state\":\"on\"}}",
                 "Mail for a@b.test goes to b.test\n");
    assert_tells("{\"address\":\"a@b.test\",\"rewritten\":\"c@d.test\",\"next_hop\":\"d.test\"}",
                 "Mail for a@b.test, which becomes c@d.test, goes to d.test\n");
    assert_tells("{\"address\":\"a@b.test\",\"route\":\"r\",\"next_hop\":\"route:r\"}",
                 "goes by route r, to route:r\nDNSSEC cannot be judged, so that DANE is off\n");
    assert_tells("{\"dnssec\":{\"state\":\"off\",\"reason\":\"no AD\"}}",
                 "DANE is off: no AD\n  to be mended by");
    assert_tells("{\"address\":\"a@b.test\",\"route\":\"r\",\"ends\":\"error\","
                 "\"text\":\"5.7.1 no\",\"deliverable\":\"no\"}",
                 "goes by route r, which refuses it: 5.7.1 no\n\nnot deliverable now\n");
    assert_tells("{\"address\":\"a@b.test\",\"route\":\"r\",\"ends\":\"discard\"}",
                 "goes by route r, which throws it away\n");
}

static void routes_that_other_mail_goes_by_are_told(void **state)
{
    (void)state;
    assert_tells(
        "{\"address\":\"a@b.test\",\"next_hop\":\"b.test\",\"dnssec\":{\"state\":\"on\"},"
        "\"other_routes\":[{\"route\":\"r\",\"listeners\":[\"in\",\"[::1]:25\"],\"users\":[]},"
        "{\"route\":\"s\",\"listeners\":[],\"users\":[\"ada\"]},"
        "{\"route\":\"t\",\"listeners\":[\"in\"],\"users\":[\"bob\",\"*\"]}]}",
        "Mail for a@b.test goes to b.test\n"
        "  but mail that came in by listener in or [::1]:25 goes by route r\n"
        "  else mail that came in from user ada goes by route s\n"
        "  else mail that came in by listener in from user bob or * goes by route t\n");
}

static void what_keeps_mail_waiting_here_is_told_first(void **state)
{
    static const char head[] =
        "{\"address\":\"a@b.test\",\"next_hop\":\"b.test\",\"dnssec\":{\"state\":"
        "\"on\"},";
    char text[512];

    (void)state;
    snprintf(text, sizeof(text),
             "%s\"queue\":{\"hop_state\":\"suspended\",\"suspended_until\":\"resumed\","
             "\"suspended_reason\":\"they move\"},\"deliverable\":\"no\",\"deliverable_then\":"
             "\"securely\"}",
             head);
    assert_tells(text,
                 "goes to b.test\n  mail waits: an operator suspended this next hop until it is "
                 "resumed: they move\n    to let mail go: waxseal queue resume b.test\n");
    assert_tells(text,
                 "\nnot deliverable now, for mail waits as said above; but for that deliverable "
                 "securely: ");
    snprintf(text, sizeof(text),
             "%s\"queue\":{\"hop_state\":\"suspended\",\"suspended_until\":\"T9\"},"
             "\"deliverable\":\"no\",\"deliverable_then\":\"no\"}",
             head);
    assert_tells(text, "suspended this next hop until T9\n");
    assert_tells(text, "\nnot deliverable now\n");
    snprintf(text, sizeof(text), "%s\"queue\":{\"hop_state\":\"open\",\"delivery\":\"hold\"}}",
             head);
    assert_tells(text, "  mail waits: delivery = \"hold\" is in the configuration: ");
    snprintf(text, sizeof(text),
             "%s\"queue\":{\"hop_state\":\"resting\",\"rests_until\":\"T3\",\"delivery\":\"on\"}}",
             head);
    assert_tells(text, "all its mail rests until T3\n");
    assert_null(strstr(told_text, "mail waits"));
    snprintf(text, sizeof(text), "%s\"queue_unknown\":\"silence\"}", head);
    assert_tells(text, "  it is not known whether mail waits here: silence\n");
}

static void policy_is_told_as_it_binds_as_cached_and_as_published(void **state)
{
    const char *found =
        "{\"hops\":[{\"name\":\"b.test\",\"kind\":\"domain\",\"mx\":\"found\",\"mx_dnssec\":true,"
        "\"policy\":\"sts enforce\",\"policy_id\":\"7\",\"policy_expires\":\"T9\",\"exception\":"
        "{\"allow\":\"clear\",\"until\":\"T5\",\"days_left\":2,\"reason\":\"why\"}}],"
        "\"policies\":[{\"domain\":\"b.test\",\"cached_age_s\":7300,\"cached\":{\"mode\":"
        "\"enforce\",\"id\":\"7\","
        "\"fetched\":\"T1\",\"expires\":\"T9\",\"next_refresh\":\"T2\",\"alarms\":[{\"alarm\":"
        "\"weakened\","
        "\"since\":\"T0\",\"days_left\":3,\"detail\":\"mode\"}]},"
        "\"published\":{\"txt\":\"valid\",\"id\":\"8\",\"fetch\":\"success\",\"mode\":\"testing\","
        "\"max_age\":86400,\"mx\":[\"*.b.test\",\"c.test\"]},"
        "\"problems\":[{\"what\":\"odd\",\"who\":\"them\"}]}]}";

    (void)state;
    assert_tells(found, "b.test, MX records with DNSSEC\n"
                        "  policy that binds: sts enforce, id 7, until T9\n"
                        "  exception: clear until T5, days left: 2: why\n");
    assert_tells(
        found, "  cached: mode enforce, id 7, fetched T1 (2 hours ago), until T9, next refresh T2\n"
               "  alarm: weakened since T0, days left: 3: mode\n"
               "  published now: TXT record valid, id 8; mode testing, mx *.b.test c.test, "
               "max_age 86400\n"
               "  wrong: odd\n         to be mended by them\n");
}

static void what_is_not_published_or_cannot_be_fetched_is_said(void **state)
{
    static const char head[] = "{\"hops\":[{\"name\":\"b.test\",\"kind\":\"domain\",\"mx\":"
                               "\"found\"}],\"policies\":[{\"domain\":\"b.test\",";
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "%s\"cached\":null,\"published\":{\"txt\":\"no_record\"}}]}",
             head);
    assert_tells(text, "b.test, MX records without DNSSEC\n");
    assert_tells(text, "published now: no MTA-STS policy\n");
    snprintf(text, sizeof(text),
             "%s\"cached\":null,\"problems\":[{\"what\":\"not known\",\"who\":\"us\"}]}]}", head);
    assert_tells(text, "  wrong: not known\n         to be mended by us\n");
    assert_null(strstr(told_text, "published now"));
    static const struct {
        int age_s;
        const char *words;
    } ages[] = { { 5, "5 seconds" },
                 { 120, "2 minutes" },
                 { 7199, "119 minutes" },
                 { 86400, "24 hours" },
                 { 200000, "2 days" } };
    for (size_t n = 0; n < sizeof(ages) / sizeof(ages[0]); n++) {
        char words[128];
        snprintf(
            text, sizeof(text),
            "%s\"cached_age_s\":%d,\"cached\":{\"mode\":\"none\",\"expired\":true,\"fetched\":"
            "\"T\",\"expires\":\"T0\",\"next_refresh\":\"T1\"},\"published\":{\"txt\":\"valid\","
            "\"fetch\":\"sts-policy-fetch-error\"}}]}",
            head, ages[n].age_s);
        snprintf(words, sizeof(words),
                 "cached: mode none, fetched T (%s ago), lapsed T0, next refresh T1\n",
                 ages[n].words);
        assert_tells(text, words);
    }
    assert_tells(text, "published now: TXT record valid; sts-policy-fetch-error\n");
    snprintf(text, sizeof(text),
             "%s\"cached\":null,\"published\":{\"txt\":\"valid\",\"fetch\":\"success\","
             "\"mx\":[\"a.b\"],\"mx_left_out\":7,\"max_age\":9}}]}",
             head);
    assert_tells(text, "published now: TXT record valid, mx a.b and 7 more, max_age 9\n");
}

static void where_reports_go_is_said(void **state)
{
    (void)state;
    assert_tells(hop("\"report_records\":[\"v=TLSRPTv1; rua=mailto:a@b.test\"]"),
                 "  TLS reports: v=TLSRPTv1; rua=mailto:a@b.test\n");
    assert_tells(hop("\"report_records\":[]"), "  TLS reports: nobody asks for any\n");
    assert_tells(hop("\"report_records\":[\"a\",\"b\"]"), "several records");
    assert_tells(hop("\"report_records_unknown\":\"SERVFAIL\""),
                 "where they go is not known: SERVFAIL\n");
}

static void host_is_told_from_its_addresses_to_its_level(void **state)
{
    const char *found = host(
        "\"usable\":true,\"addresses\":[\"192.0.2.1\",\"2001:db8::1\"],\"addresses_dnssec\":true,"
        "\"tlsa\":{\"worth\":\"usable\",\"base\":\"mx.example.net\",\"records\":[\"3 1 1 ab\"]},"
        "\"level_wanted\":\"dane\",\"session\":{\"address\":\"192.0.2.1\",\"tls\":\"on\","
        "\"version\":\"TLSv1.3\",\"cipher\":\"X\",\"group\":\"x25519\",\"level\":\"dane\","
        "\"certificate\":{\"subject\":\"CN=mx\",\"names\":\"mx.example.net\",\"issuer\":\"CN=CA\","
        "\"expires\":\"T9\",\"verify_result\":\"ok\",\"key_sha256\":\"0a\",\"tlsa_record\":\"3 1 "
        "1\"}},"
        "\"report\":{\"counted\":true,\"policy_type\":\"tlsa\",\"policy_domain\":\"mx.example."
        "net\",\"result\":\"success\"}");

    (void)state;
    assert_tells(found, "\n  mx.example.net, preference 10\n"
                        "    addresses: 192.0.2.1, 2001:db8::1 (with DNSSEC)\n"
                        "    TLSA records: usable at mx.example.net: 3 1 1 ab\n"
                        "    wanted: dane\n"
                        "    session with [192.0.2.1]: TLSv1.3 X x25519 (dane)\n"
                        "      certificate: subject CN=mx; names mx.example.net; issuer CN=CA; "
                        "expires T9; ok\n"
                        "      its key: sha256 0a\n      it fits TLSA record 3 1 1\n"
                        "    in TLS reports: tlsa of mx.example.net, success\n");
}

static void host_that_does_not_do_says_what_is_wrong_and_who_mends_it(void **state)
{
    const char *found =
        host("\"implicit\":true,\"usable\":false,\"addresses\":[\"192.0.2.1\"],"
             "\"tlsa\":{\"worth\":\"none\",\"reason\":\"no DNSSEC\"},\"level_wanted\":\"clear\","
             "\"session\":{\"address\":\"192.0.2.1\",\"tls\":\"not offered\",\"level\":\"clear\"},"
             "\"report\":{\"counted\":false},"
             "\"problems\":[{\"what\":\"it is slow\",\"who\":\"its keeper\"}]");

    (void)state;
    assert_tells(found, "mx.example.net (the domain itself, for it has no MX record): mail cannot "
                        "go there now\n    addresses: 192.0.2.1 (without DNSSEC)\n"
                        "    TLSA records: none; no DNSSEC\n    wanted: clear\n"
                        "    session with [192.0.2.1]: TLS not offered (clear)\n"
                        "    in TLS reports: not counted\n"
                        "    wrong: it is slow\n           to be mended by its keeper\n");
}

static void verdict_is_said_and_is_the_exit_status(void **state)
{
    static const struct {
        const char *found, *words;
        int status;
    } rows[] = {
        { "{\"deliverable\":\"securely\"}", "\ndeliverable securely: ", 0 },
        { "{\"deliverable\":\"yes\"}", "\ndeliverable, but whoever", 1 },
        { "{\"deliverable\":\"no\"}", "\nnot deliverable now\n", 2 },
        { "{\"deliverable\":\"no\",\"offline\":true}", "now (no host was contacted)\n", 2 },
        { "{\"deliverable\":\"yes\",\"cut\":true}", "There are more hosts, which nobody", 1 },
        { "{\"deliverable\":\"yes\",\"late\":true}", "Not all that was asked", 1 },
        { "{}", "\nnot deliverable now\n", 2 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct json *value = parse(rows[i].found);
        assert_tells(rows[i].found, rows[i].words);
        assert_int_equal(explain_status(value), rows[i].status);
        json_free(&value);
    }
}

static void what_comes_from_outside_cannot_speak_to_the_terminal(void **state)
{
    (void)state;
    assert_tells(host("\"problems\":[{\"what\":\"a\\u001b[2Jb\",\"who\":\"c\"}]"), "a\\x1b[2Jb");
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, NULL, NULL, NULL                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("the beginning says where mail goes", beginning_says_where_mail_goes),
        T("routes are told that mail of other listeners or users goes by",
          routes_that_other_mail_goes_by_are_told),
        T("what keeps mail waiting here is told first, with how to end it",
          what_keeps_mail_waiting_here_is_told_first),
        T("the policy is told as it binds, as it is cached, and as it is published",
          policy_is_told_as_it_binds_as_cached_and_as_published),
        T("what is not published, or cannot be fetched, is said",
          what_is_not_published_or_cannot_be_fetched_is_said),
        T("where reports go is said", where_reports_go_is_said),
        T("a host is told from its addresses to its level",
          host_is_told_from_its_addresses_to_its_level),
        T("of a host that does not do it is said what is wrong, and who mends it",
          host_that_does_not_do_says_what_is_wrong_and_who_mends_it),
        T("the verdict is said, and is the exit status", verdict_is_said_and_is_the_exit_status),
        T("what comes from outside cannot speak to the terminal",
          what_comes_from_outside_cannot_speak_to_the_terminal),
    };
    int status = cmocka_run_group_tests_name("explain_text", tests, NULL, NULL);

    free(told_text);
    return status;
}
