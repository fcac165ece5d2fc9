#include "tlsrpt/reader_notes.h"

static const char *const sentences[NOTE_COUNT] = {
    [NOTE_NOT_A_REPORT_MAIL] = "the mail is no multipart/report of the type tlsrpt",
    [NOTE_REPORT_WITHIN_A_MAIL] = "the report stands in a mail within the mail",
    [NOTE_SUBMITTER_MISSING] = "the mail lacks the field TLS-Report-Domain or TLS-Report-Submitter",
    [NOTE_SUBMITTER_DIFFERS] =
        "the mail's TLS-Report-Submitter is not the domain of contact-info, which counts",
    [NOTE_DOMAIN_DIFFERS] =
        "the mail's TLS-Report-Domain is not the domain of any policy; what the report says counts",
    [NOTE_MEDIA_TYPE] =
        "the media type is neither application/tlsrpt+gzip nor application/tlsrpt+json",
    [NOTE_MEDIA_TYPE_DIFFERS] =
        "the media type says packed where it is not, or the other way round",
    [NOTE_MORE_REPORTS] = "the mail holds more reports; the first one is told",
    [NOTE_PARTS_LEFT_OUT] = "the mail has more parts, or deeper ones, than were looked at",
    [NOTE_PACKED_TWICE] = "the report was packed more than once",
    [NOTE_BEHIND_THE_PACKED] = "something stands behind the packed report; it was left out",
    [NOTE_CUT_OFF] = "the packed report is damaged or cut off at its end; what came out was read",
    [NOTE_BYTE_ORDER_MARK] = "a byte order mark stands in front",
    [NOTE_NOT_UTF8] = "it holds bytes that are not UTF-8; each became a question mark",
    [NOTE_KEY_TWICE] = "a key stands twice in one object; the last one counts",
    [NOTE_BEHIND_THE_JSON] = "something stands behind the JSON; it was left out",
    [NOTE_LIST_AROUND] = "the report stands in a list; its first item counts",
    [NOTE_KEY_SPELLING] = "a key is spelled in another way than in RFC 8460",
    [NOTE_KEY_UNKNOWN] = "a key that RFC 8460 does not have was left out",
    [NOTE_KEY_MISSING] = "something that every report must say is missing",
    [NOTE_KIND] = "something is of another kind than it should be, and was left out",
    [NOTE_OBJECT_FOR_LIST] = "one thing stands where a list belongs",
    [NOTE_TEXT_FOR_LIST] =
        "a text stands where a list of texts belongs, as in the RFC's own example",
    [NOTE_LINES_IN_ONE_TEXT] = "the lines of a policy stand in one text; each should be its own",
    [NOTE_LINES_LEFT_OUT] = "a policy in one text has more than 100 lines; the rest was left out",
    [NOTE_POLICY_FLAT] = "a policy's members stand beside its counts; they belong in \"policy\"",
    [NOTE_NUMBER_FOR_TEXT] = "a number stands where a text belongs",
    [NOTE_TEXT_CUT] = "a text is very long and was cut",
    [NOTE_COUNT_AS_TEXT] = "a count is written as text",
    [NOTE_COUNT_WRONG] = "a count is no whole number; it was taken for 0",
    [NOTE_DATE_WITHOUT_ZONE] = "a time has no zone; it was taken for UTC",
    [NOTE_DATE_FORM] = "a time is not written as RFC 3339 has it",
    [NOTE_DATE_UNKNOWN] = "a time is in no form that is known here; it stands as it was written",
    [NOTE_NOT_A_DAY] = "the report is not about one full day of UTC",
    [NOTE_WORD_SPELLING] =
        "a policy-type or result-type is spelled in another way than in RFC 8460",
    [NOTE_TYPE_UNKNOWN] = "there is a policy-type that RFC 8460 does not have",
    [NOTE_RESULT_UNKNOWN] = "there is a result-type that RFC 8460 does not have",
    [NOTE_ADDRESS_FORM] = "an IP address is written in another way than it should be",
    [NOTE_NO_ADDRESS] = "something stands as an IP address that is none",
    [NOTE_NO_POLICIES] = "there is no policy in it, so it says nothing",
    [NOTE_POLICIES_LEFT_OUT] = "there are more than 10,000 policies; the rest was left out",
    [NOTE_FAILURES_LEFT_OUT] = "there are more than 200,000 failure details; the rest was left out",
    [NOTE_SUM] = "failed sessions have no details, or there are details without failed sessions",
};

void reader_note(struct reader_notes *notes, enum reader_note note)
{
    notes->times[note]++;
}

void reader_notes_add(const struct reader_notes *notes, struct json *list)
{
    for (int i = 0; i < NOTE_COUNT; i++) {
        if (notes->times[i] == 0)
            continue;
        struct json *note = json_append_object(list);
        json_add_string(note, "note", sentences[i]);
        json_add_number(note, "times", (int64_t)notes->times[i]);
    }
}
