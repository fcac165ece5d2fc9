#include "tests/support/test.h"

#include "lib/mail/dkim_select.h"

#include <string.h>

static void check_names(const char *header, const char *wanted)
{
    struct buf out;

    buf_init(&out, 4096);
    assert_null(dkim_select_names(span_of(header), &out));
    assert_int_equal(buf_len(&out), span_of(wanted).len);
    assert_memory_equal(buf_span(&out).data, wanted, buf_len(&out));
    buf_clear(&out);
}

static void check_fault(struct span header, const char *wanted)
{
    struct buf out;

    buf_init(&out, 4096);
    assert_string_equal(dkim_select_names(header, &out), wanted);
    buf_clear(&out);
}

/* Fields chosen by a list of names, one a line. */
static void check_fields(const char *header, const char *names, const char *wanted)
{
    struct dkim_selection selection;
    struct buf out;

    buf_init(&out, 4096);
    assert_true(dkim_select_fields(span_of(header), span_of(names), &selection));
    for (size_t i = 0; i < selection.count; i++)
        assert_true(buf_append(&out, selection.fields[i]));
    assert_int_equal(buf_len(&out), span_of(wanted).len);
    assert_memory_equal(buf_span(&out).data, wanted, buf_len(&out));
    buf_clear(&out);
}

static void what_readers_look_at_is_listed_once_more_than_it_is_there(void **state)
{
    (void)state;
    check_names("From: a@b.test\r\n\r\n",
                "From:From:To:Cc:Subject:Date:Reply-To:Sender:Message-ID:In-Reply-To:References:"
                "MIME-Version:Content-Type:Content-Transfer-Encoding");
    check_names("FROM: a@b.test\r\nto: x\r\nTo: y\r\nSubject: s\r\n\r\n",
                "From:From:To:To:To:Cc:Subject:Subject:Date:Reply-To:Sender:Message-ID:In-Reply-To:"
                "References:MIME-Version:Content-Type:Content-Transfer-Encoding");
}

static void others_are_listed_as_often_as_they_are_there(void **state)
{
    (void)state;
    check_names("From: a@b.test\r\nList-Id: x\r\nTLS-Report-Domain: d\r\n"
                "TLS-Report-Submitter: s\r\nTLS-Required: No\r\nResent-To: x\r\nResent-To: y\r\n",
                "From:From:To:Cc:Subject:Date:Reply-To:Sender:Message-ID:In-Reply-To:References:"
                "MIME-Version:Content-Type:Content-Transfer-Encoding:Resent-To:Resent-To:List-Id:"
                "TLS-Required:TLS-Report-Domain:TLS-Report-Submitter");
}

static void what_changes_on_the_way_is_not_signed(void **state)
{
    (void)state;
    check_names("Return-Path: <>\r\nReceived: x\r\nAuthentication-Results: x\r\n"
                "DKIM-Signature: v=1\r\nX-Spam: y\r\nBcc: z\r\nComments: c\r\nFrom: a@b.test\r\n",
                "From:From:To:Cc:Subject:Date:Reply-To:Sender:Message-ID:In-Reply-To:References:"
                "MIME-Version:Content-Type:Content-Transfer-Encoding");
}

static void without_one_from_nothing_is_signed(void **state)
{
    (void)state;
    check_fault(SPAN("Subject: x\r\n\r\n"), "the message has no From field");
    check_fault(SPAN(""), "the message has no From field");
    check_fault(SPAN("From: a@b.test\r\nfrom : c@d.test\r\n\r\n"),
                "the message has more than one From field");
}

static void a_header_that_readers_may_read_in_two_ways_is_not_signed(void **state)
{
    (void)state;
    check_fault(SPAN("From: a@b.test\r\nno field\r\nFrom: c@d.test\r\n\r\n"),
                "the header has a line that is no field");
    check_fault(SPAN("From ada Fri Jan 30\r\nFrom: a@b.test\r\n\r\n"),
                "the header has a line that is no field");
}

static void a_field_that_is_there_too_often_is_not_signed(void **state)
{
    char header[1024] = "From: a@b.test\r\n";
    struct buf out;
    (void)state;

    buf_init(&out, 4096);
    for (int i = 0; i < DKIM_SAME_MAX; i++)
        strcat(header, "To: x\r\n");
    assert_null(dkim_select_names(span_of(header), &out));
    strcat(header, "To: x\r\n");
    check_fault(span_of(header), "a header field is there too often");
    buf_clear(&out);
}

static void a_list_without_room_is_no_list(void **state)
{
    struct span header = SPAN("From: a@b.test\r\n");
    struct buf out;
    size_t len;
    (void)state;

    buf_init(&out, 4096);
    assert_null(dkim_select_names(header, &out));
    len = buf_len(&out);
    buf_clear(&out);
    for (size_t cap = 0; cap < len; cap++) {
        buf_init(&out, cap);
        assert_string_equal(dkim_select_names(header, &out), "the header has too many fields");
        buf_clear(&out);
    }
}

static void fields_of_one_name_come_from_the_bottom_up(void **state)
{
    (void)state;
    check_fields("Received: A\r\nReceived: B\r\nReceived: C\r\n", "Received:received",
                 "Received: C\r\nReceived: B\r\n");
    check_fields("A: 1\r\nB: 2\r\nA: 3\r\n", "a:b:a", "A: 3\r\nB: 2\r\nA: 1\r\n");
}

static void a_name_that_is_used_up_adds_nothing(void **state)
{
    (void)state;
    check_fields("From: a\r\n\r\n", "From:From:To:Subject", "From: a\r\n");
}

static void blanks_and_folds_may_stand_round_the_colons(void **state)
{
    (void)state;
    check_fields("From: a\r\nTo: b\r\n\r\n", " to :\r\n\tfrom ", "To: b\r\nFrom: a\r\n");
}

static void what_follows_the_header_is_no_field(void **state)
{
    (void)state;
    check_fields("From: a\r\n\r\nTo: b\r\n", "From:To", "From: a\r\n");
}

static void lists_and_headers_have_bounds(void **state)
{
    static char names[2 * (DKIM_NAMES_MAX + 1)];
    static char header[4 * (DKIM_FIELDS_MAX + 1)];
    struct dkim_selection selection;
    (void)state;

    for (size_t i = 0; i <= DKIM_NAMES_MAX; i++)
        memcpy(names + 2 * i, "a:", 2);
    for (size_t i = 0; i <= DKIM_FIELDS_MAX; i++)
        memcpy(header + 4 * i, "a:\r\n", 4);
    assert_true(dkim_select_fields(SPAN("a: x\r\n"), (struct span){ names, sizeof(names) - 3 },
                                   &selection));
    assert_int_equal(selection.count, 1);
    assert_false(dkim_select_fields(SPAN("a: x\r\n"), (struct span){ names, sizeof(names) - 1 },
                                    &selection));
    assert_true(
        dkim_select_fields((struct span){ header, sizeof(header) - 4 }, SPAN("a"), &selection));
    assert_false(
        dkim_select_fields((struct span){ header, sizeof(header) }, SPAN("a"), &selection));
}

/* So that what was listed can be hashed. */
static void no_header_is_listed_that_cannot_be_hashed(void **state)
{
    static const char *const short_names[] = { "To",        "Cc",        "Date",      "Sender",
                                               "Subject",   "Reply-To",  "List-Id",   "Content-ID",
                                               "Resent-To", "Resent-Cc", "List-Help", "List-Post",
                                               "References" };
    static struct dkim_selection selection;
    struct buf header, names;
    (void)state;

    buf_init(&header, 64 * 1024);
    buf_init(&names, 8 * 1024);
    assert_true(buf_append(&header, SPAN("From: a@b.test\r\n")));
    for (size_t i = 0; i < sizeof(short_names) / sizeof(short_names[0]); i++)
        for (int n = 0; n < DKIM_SAME_MAX; n++)
            assert_true(buf_printf(&header, "%s: x\r\n", short_names[i]));
    assert_null(dkim_select_names(buf_span(&header), &names));
    assert_true(dkim_select_fields(buf_span(&header), buf_span(&names), &selection));
    assert_int_equal(selection.count, 1 + 13 * DKIM_SAME_MAX);
    buf_clear(&header);
    buf_clear(&names);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "dkim_select: what readers look at is listed once more than it is there (RFC 6376 s.5.4)",
          what_readers_look_at_is_listed_once_more_than_it_is_there, 0, 0, 0 },
        { "dkim_select: others are listed as often as they are there",
          others_are_listed_as_often_as_they_are_there, 0, 0, 0 },
        { "dkim_select: what changes on the way is not signed, nor another's signature",
          what_changes_on_the_way_is_not_signed, 0, 0, 0 },
        { "dkim_select: without exactly one From field nothing is signed",
          without_one_from_nothing_is_signed, 0, 0, 0 },
        { "dkim_select: a header that readers may read in two ways is not signed",
          a_header_that_readers_may_read_in_two_ways_is_not_signed, 0, 0, 0 },
        { "dkim_select: a field that is there too often is not signed",
          a_field_that_is_there_too_often_is_not_signed, 0, 0, 0 },
        { "dkim_select: a list without room is no list", a_list_without_room_is_no_list, 0, 0, 0 },
        { "dkim_select: fields of one name come from the bottom up (RFC 6376 s.5.4.2)",
          fields_of_one_name_come_from_the_bottom_up, 0, 0, 0 },
        { "dkim_select: a name that is used up adds nothing", a_name_that_is_used_up_adds_nothing,
          0, 0, 0 },
        { "dkim_select: blanks and folds may stand round the colons of h=",
          blanks_and_folds_may_stand_round_the_colons, 0, 0, 0 },
        { "dkim_select: what follows the header is no field", what_follows_the_header_is_no_field,
          0, 0, 0 },
        { "dkim_select: no header is listed that cannot be hashed",
          no_header_is_listed_that_cannot_be_hashed, 0, 0, 0 },
        { "dkim_select: lists and headers have bounds", lists_and_headers_have_bounds, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
